//! Checks of the wire, the NIC and the driver.

use super::super::coalesce;
use super::super::units::{BitRate, Bytes, Duration};
use super::super::{BufferPolicy, Indirection, Moderation, Refill, Scenario};
use super::{Impossible, LONGEST_COST, LONGEST_RUN, MEMORY_MAX, within, wrong};

/// Longest receive buffer that the driver makes.
const LONGEST_BUFFER: Bytes = Bytes(driver::MAX_BUFFER_BYTES as u64);
/// Addresses in each table of the receive filter.
const ADDRESSES_MAX: usize = driver::MAX_ADDRESSES;
/// Ethernet header, and two VLAN tags that do not count against the MTU.
const LINK_HEADER: u64 = 14 + 8;

pub(super) fn check(scenario: &Scenario) -> Result<(), Impossible> {
    wire(scenario)?;
    queues(scenario)?;
    steering(scenario)?;
    features(scenario)?;
    rx_filter(scenario)?;
    device(scenario)?;
    driver(scenario)
}

pub(super) fn wire_rate(rate: u64) -> Result<(), Impossible> {
    within("wire.rate", BitRate(rate), BitRate(1_000), BitRate(1_000_000_000_000))
}

fn wire(scenario: &Scenario) -> Result<(), Impossible> {
    let wire = &scenario.wire;
    wire_rate(wire.rate.0)?;
    within("wire.mtu", wire.mtu, 68, 65_535)?;
    let longest = Bytes(u64::from(wire.mtu) + 14);
    within("wire.min_frame", scenario.min_frame(), Bytes(14), longest)?;
    if !wire.runt.is_zero() && scenario.min_frame() == Bytes(14) {
        let what = "no frame is short enough for a runt: min_frame is 14B";
        let allowed = "set wire.min_frame to 15B or more (60B is Ethernet's), or wire.runt to 0";
        return wrong(&["wire.runt", "wire.min_frame"], what, allowed);
    }
    super::windows("wire.link_down", &wire.link_down)
}

fn queues(scenario: &Scenario) -> Result<(), Impossible> {
    within("channels.combined", scenario.channels.combined, 1, 64)?;
    for (key, size) in [("ring.rx", scenario.ring.rx), ("ring.tx", scenario.ring.tx)] {
        if !size.is_power_of_two() || !(16..=32_768).contains(&size) {
            let what = format!("a ring of {size} descriptors is not possible");
            return wrong(&[key], what, "allowed: a power of two from 16 to 32768");
        }
    }
    coalesce::check(scenario)
}

fn steering(scenario: &Scenario) -> Result<(), Impossible> {
    let (rxfh, channels) = (&scenario.rxfh, scenario.channels.combined);
    let queue = |key: &str, queue: u16| {
        if queue < channels {
            return Ok(());
        }
        let what = format!("there is no queue {queue}");
        let allowed = format!("queues are 0 to {} (channels.combined = {channels})", channels - 1);
        wrong(&[key, "channels.combined"], what, allowed)
    };
    queue("rxfh.unclassified_queue", rxfh.unclassified_queue)?;
    if let Indirection::Table(table) = &rxfh.indirection {
        if !table.len().is_power_of_two() || table.len() > 128 {
            let what = format!("an indirection table of {} entries is not possible", table.len());
            return wrong(&["rxfh.indirection"], what, "allowed: 1, 2, 4, 8, 16, 32, 64 or 128");
        }
        for (index, &entry) in table.iter().enumerate() {
            queue(&format!("rxfh.indirection.{index}"), entry)?;
        }
    }
    if rxfh.hash_types.is_empty() {
        let what = "RSS without a hash type sends every frame to one queue";
        return wrong(&["rxfh.hash_types"], what, "name one at least, or set rxfh.enabled = false");
    }
    for (index, hash_type) in rxfh.hash_types.iter().enumerate() {
        if rxfh.hash_types[..index].contains(hash_type) {
            let key = format!("rxfh.hash_types.{index}");
            return wrong(&[&key], "named twice", "name each hash type once");
        }
    }
    Ok(())
}

/// The rules between features, from the device's own table.
fn features(scenario: &Scenario) -> Result<(), Impossible> {
    match scenario.broken_feature_rule() {
        Some((rule, key)) => {
            let mending = if rule.needs == nic_model::spec::feature::CTRL_VQ {
                "set nic.ctrl_vq = true, or do without what needs it"
            } else {
                "ask for both or for neither"
            };
            wrong(&[key, "nic.ctrl_vq"], rule.to_string(), mending)
        }
        None => Ok(()),
    }
}

fn rx_filter(scenario: &Scenario) -> Result<(), Impossible> {
    let filter = &scenario.rx_filter;
    let lengths = [
        ("rx_filter.unicast", filter.unicast.len()),
        ("rx_filter.multicast", filter.multicast.len()),
    ];
    for (key, len) in lengths {
        within(key, len, 0, ADDRESSES_MAX)?;
    }
    let ignored = [
        ("rx_filter.nomulticast", filter.nomulticast),
        ("rx_filter.nounicast", filter.nounicast),
        ("rx_filter.nobroadcast", filter.nobroadcast),
        ("rx_filter.unicast", !filter.unicast.is_empty()),
        ("rx_filter.multicast", !filter.multicast.is_empty()),
        ("rx_filter.vlan", filter.vlan.is_some()),
    ];
    if let Some((key, _)) = ignored.into_iter().find(|(_, asked)| *asked && filter.promiscuous) {
        let what = "a promiscuous NIC takes every frame, whatever else it is told";
        let allowed = "set rx_filter.promiscuous = false, or leave this key out";
        return wrong(&[key, "rx_filter.promiscuous"], what, allowed);
    }
    for (index, &vlan) in filter.vlan.iter().flatten().enumerate() {
        within(&format!("rx_filter.vlan.{index}"), vlan, 0, 4095)?;
    }
    Ok(())
}

fn device(scenario: &Scenario) -> Result<(), Impossible> {
    let (channels, vectors) = (scenario.channels.combined, scenario.vectors());
    if vectors <= channels || vectors > 2048 {
        let what = format!("{vectors} vectors do not do for {channels} channels");
        let allowed = format!("one each and one for the configuration: {} to 2048", channels + 1);
        return wrong(&["nic.vectors", "channels.combined"], what, allowed);
    }
    let longest = Bytes(u64::from(scenario.wire.mtu) + 14);
    if scenario.nic.fifo.0 != 0 && scenario.nic.fifo < longest {
        let what = format!("a FIFO of {} cannot hold one frame", scenario.nic.fifo);
        let allowed = format!("0B (no FIFO), or {longest} (wire.mtu and header) or more");
        return wrong(&["nic.fifo", "wire.mtu"], what, allowed);
    }
    within("nic.fifo", scenario.nic.fifo, Bytes(0), MEMORY_MAX)?;
    for (index, at) in scenario.nic.announce.iter().enumerate() {
        within(&format!("nic.announce.{index}"), *at, Duration(0), LONGEST_RUN)?;
    }
    within("dma.frame", scenario.dma.frame, Duration(0), LONGEST_COST)?;
    within("dma.byte", scenario.dma.byte, Duration(0), Duration(1_000_000))
}

fn driver(scenario: &Scenario) -> Result<(), Impossible> {
    let driver = &scenario.driver;
    within("driver.budget", driver.budget, 1, u16::MAX)?;
    within("driver.refill_threshold", driver.refill_threshold, 1, scenario.ring.rx)?;
    controls(scenario)?;
    buffer(scenario)?;
    within("driver.spare_buffers", driver.spare_buffers, 1, 32_767)?;
    within("driver.header_buffer", driver.header_buffer, Bytes(64), Bytes(1024))?;
    within("driver.buffer_hold", driver.buffer_hold, Duration(0), LONGEST_RUN)?;
    let spares = match driver.buffer_policy {
        BufferPolicy::Copy => 0,
        BufferPolicy::PageFlip | BufferPolicy::HeaderSplit => u64::from(driver.spare_buffers),
    };
    let per_queue = u64::from(scenario.ring.rx) + spares;
    let buffers = u64::from(scenario.channels.combined) * per_queue;
    let memory = Bytes(buffers * driver.buffer.0);
    if memory > MEMORY_MAX {
        let what = format!("{buffers} receive buffers would take {memory}");
        let allowed = format!("channels.combined x ring.rx x driver.buffer: {MEMORY_MAX} at most");
        return wrong(&["ring.rx", "driver.buffer", "channels.combined"], what, allowed);
    }
    moderation(scenario)?;
    let least = Duration(1_000_000);
    within("driver.control_timeout", driver.control_timeout, least, LONGEST_RUN)
}

/// Receive buffers must do for the longest frame: each of them, or with mergeable buffers as many as the
/// driver leaves with the device at least, or the frame would wait for ever.
fn buffer(scenario: &Scenario) -> Result<(), Impossible> {
    let (driver, mtu) = (&scenario.driver, scenario.wire.mtu);
    let header = scenario.virtio_header();
    let frame = Bytes(header + LINK_HEADER + u64::from(mtu));
    let most = LONGEST_BUFFER.max(frame);
    if !scenario.nic.mrg_rxbuf {
        if driver.buffer >= frame {
            return within("driver.buffer", driver.buffer, frame, most);
        }
        let what = format!("a buffer of {} cannot hold every frame of MTU {mtu}", driver.buffer);
        let allowed = format!(
            "{frame} or more: {header} virtio header, 14 Ethernet, 8 two VLAN tags, {mtu} MTU"
        );
        return wrong(&["driver.buffer", "wire.mtu"], what, allowed);
    }
    // Each buffer must hold the header at least (virtio 5.1.6.3.1).
    within("driver.buffer", driver.buffer, Bytes(header), most)?;
    left_with_device(scenario, "ring.rx", scenario.ring.rx, frame)?;
    for (index, control) in driver.control.iter().enumerate() {
        if let Some(entries) = control.ring_rx {
            left_with_device(scenario, &format!("driver.control.{index}.ring_rx"), entries, frame)?;
        }
    }
    Ok(())
}

/// With mergeable buffers: those that the driver leaves in a ring of so many entries, which `key` says, hold
/// a frame of `frame` bytes.
fn left_with_device(
    scenario: &Scenario,
    key: &str,
    entries: u16,
    frame: Bytes,
) -> Result<(), Impossible> {
    let driver = &scenario.driver;
    let split = driver.buffer_policy == BufferPolicy::HeaderSplit;
    // A chain of two buffers takes two entries, unless they stand in a table of their own.
    let chains = if split && !scenario.nic.indirect_desc { entries / 2 } else { entries };
    let posted = match driver.refill {
        Refill::EachPoll => chains,
        Refill::Threshold | Refill::WithoutKick => chains - driver.refill_threshold.min(chains) + 1,
        Refill::WhenEmpty => 1,
    };
    let each = Bytes(scenario.receive_chain());
    if u64::from(posted) * each.0 >= frame.0 {
        return Ok(());
    }
    let what = format!(
        "{posted} buffers of {each}, all that the device may be left with, cannot hold every frame of \
         MTU {}",
        scenario.wire.mtu
    );
    let allowed = format!("{frame} in all: larger buffers, a longer ring, or an earlier refill");
    let keys = [key, "driver.buffer", "driver.refill_threshold", "driver.refill", "ring.rx"];
    // Of the first ring, whatever is written may be the cause; a later one is one itself.
    let first = usize::from(key == "ring.rx");
    wrong(&keys[first..], what, allowed)
}

/// Times that let virtual time pass.
fn moderation(scenario: &Scenario) -> Result<(), Impossible> {
    let driver = &scenario.driver;
    let least = Duration(100_000);
    within("driver.busy_poll", driver.busy_poll, least, LONGEST_COST)?;
    within("driver.defer_hard_irqs", driver.defer_hard_irqs, 1, u32::MAX)?;
    within("driver.gro_flush_timeout", driver.gro_flush_timeout, least, LONGEST_COST)?;
    if driver.moderation == Moderation::AdaptiveDevice {
        if !scenario.nic.vq_notf_coal {
            let what = "moderation by the NIC is set by command";
            let allowed =
                "set nic.vq_notf_coal = true: VIRTIO_NET_F_VQ_NOTF_COAL (virtio 5.1.6.5.9)";
            return wrong(&["driver.moderation", "nic.vq_notf_coal"], what, allowed);
        }
        if !scenario.coalesce.queue.is_empty() {
            let what = "moderation by the NIC sets the coalescing of each queue";
            return wrong(&["driver.moderation"], what, "leave out coalesce.queue");
        }
    }
    match driver.watchdog {
        Some(period) => within("driver.watchdog", period, Duration(1_000_000), LONGEST_RUN),
        None => Ok(()),
    }
}

/// Each control does one thing, to queues that exist.
fn controls(scenario: &Scenario) -> Result<(), Impossible> {
    for (index, control) in scenario.driver.control.iter().enumerate() {
        let key = |name: &str| format!("driver.control.{index}.{name}");
        within(&key("at"), control.at, Duration(0), LONGEST_RUN)?;
        let things = [
            control.reset,
            control.queue_reset.is_some(),
            control.ring_rx.is_some(),
            control.combined.is_some(),
        ];
        if things.iter().filter(|thing| **thing).count() != 1 {
            let what = "a control of the driver does exactly one thing";
            let allowed = "give one of reset = true, queue_reset = N, ring_rx = N, combined = N";
            return wrong(&[&key("at")], what, allowed);
        }
        if let Some(queue) = control.queue_reset {
            within(&key("queue_reset"), queue, 0, scenario.channels.combined - 1)?;
        }
        if let Some(channels) = control.combined {
            within(&key("combined"), channels, 1, scenario.channels.combined)?;
            if scenario.channels.combined == 1 {
                let what = "with one channel there is nothing to choose";
                return wrong(
                    &[&key("combined"), "channels.combined"],
                    what,
                    "set up more channels",
                );
            }
        }
        if let Some(entries) = control.ring_rx {
            within(&key("ring_rx"), entries, 16, scenario.ring.rx)?;
            if !entries.is_power_of_two() {
                let what = format!("a ring of {entries} descriptors is not possible");
                return wrong(&[&key("ring_rx")], what, "allowed: a power of two up to ring.rx");
            }
        }
    }
    Ok(())
}
