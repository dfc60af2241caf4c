//! Features that do not go together, and buffers that do not do.

use super::*;

fn refused(sets: &[&str]) -> String {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    Scenario::parse("", "test.toml", &sets).expect_err("must be refused").to_string()
}

fn accepted(sets: &[&str]) -> Scenario {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    Scenario::parse("", "test.toml", &sets).map_err(miette::Report::new).unwrap()
}

/// One channel, no RSS, no control queue: what is left asks for nothing.
const BARE: [&str; 3] = ["nic.ctrl_vq=false", "rxfh.enabled=false", "channels.combined=1"];

#[test]
fn without_a_control_queue_a_bare_scenario_is_possible() {
    let scenario = accepted(&BARE);
    let features = scenario.net_features();
    assert_eq!(nic_model::broken_rule(features), None);
    assert_eq!(features & nic_model::spec::feature::MQ, 0);
}

#[test]
fn what_needs_the_control_queue_is_refused_with_rule_and_section() {
    for (set, feature, section) in [
        ("rxfh.enabled=true", "VIRTIO_NET_F_RSS", "5.1.3.1"),
        ("channels.combined=2", "VIRTIO_NET_F_MQ", "5.1.3.1"),
        ("nic.hash_report=true", "VIRTIO_NET_F_HASH_REPORT", "5.1.4"),
        ("rx_filter.promiscuous=false", "VIRTIO_NET_F_CTRL_RX", "5.1.3.1"),
        ("rx_filter.vlan=[7]", "VIRTIO_NET_F_CTRL_VLAN", "5.1.3.1"),
        ("nic.notf_coal=true", "VIRTIO_NET_F_NOTF_COAL", "5.1.3.1"),
        ("nic.vq_notf_coal=true", "VIRTIO_NET_F_VQ_NOTF_COAL", "5.1.3.1"),
        ("nic.device_stats=true", "VIRTIO_NET_F_DEVICE_STATS", "5.1.6.5.10"),
        ("nic.announce=['1ms']", "VIRTIO_NET_F_GUEST_ANNOUNCE", "5.1.3.1"),
    ] {
        let message = refused(&[&BARE[..], &[set]].concat());
        assert!(message.contains(feature) && message.contains(section), "{set}: {message}");
        assert!(message.contains("VIRTIO_NET_F_CTRL_VQ"), "{message}");
    }
}

#[test]
fn buffers_hold_a_frame_or_the_ring_does() {
    let message = refused(&["driver.buffer=1533B"]);
    assert!(message.contains("cannot hold every frame"), "{message}");
    accepted(&["driver.buffer=1534B"]);
    let message = refused(&["driver.buffer=1541B", "nic.hash_report=true"]);
    assert!(message.contains("cannot hold every frame"), "{message}");
    accepted(&["driver.buffer=1542B", "nic.hash_report=true"]);
    accepted(&["driver.buffer=256B", "nic.mrg_rxbuf=true"]);
    let threshold = "driver.refill_threshold=256";
    let message = refused(&["driver.buffer=256B", "nic.mrg_rxbuf=true", threshold]);
    assert!(message.contains("may be left with"), "{message}");
    let when_empty = "driver.refill=when-empty";
    let message = refused(&["driver.buffer=256B", "nic.mrg_rxbuf=true", when_empty]);
    assert!(message.contains("may be left with"), "{message}");
    accepted(&["driver.buffer=2KiB", "nic.mrg_rxbuf=true", when_empty]);
}

#[test]
fn mergeable_buffers_hold_a_frame_in_every_ring_that_there_will_be() {
    let shrunk = |entries: u16, more: &[&str]| {
        let text = format!("[[driver.control]]\nat = '1ms'\nring_rx = {entries}\n");
        let mut sets = vec!["driver.buffer=128B".to_owned(), "nic.mrg_rxbuf=true".to_owned()];
        sets.extend(more.iter().map(|&set| set.to_owned()));
        Scenario::parse(&text, "test.toml", &sets).map(drop).map_err(|error| error.to_string())
    };
    // 32 - 16 + 1 buffers of 128 B do for 1534 B; of a ring of 16 the driver may leave one.
    assert_eq!(shrunk(32, &[]), Ok(()));
    let message = shrunk(16, &[]).unwrap_err();
    assert!(message.contains("1 buffers of 128B"), "{message}");
    assert_eq!(shrunk(16, &["driver.refill_threshold=1"]), Ok(()));
    // Header and payload in two entries: half as many chains, each 64 B longer.
    let split = ["driver.buffer_policy=header-split", "driver.header_buffer=64B"];
    let more = [split[0], split[1], "driver.refill_threshold=1"];
    let message = shrunk(16, &[&more[..], &["driver.buffer=100B"]].concat()).unwrap_err();
    assert!(message.contains("8 buffers of 164B"), "{message}");
    assert_eq!(shrunk(16, &[&more[..], &["nic.indirect_desc=true"]].concat()), Ok(()));
}

#[test]
fn filters_name_what_exists() {
    let strict = "rx_filter.promiscuous=false";
    assert!(refused(&[strict, "rx_filter.vlan=[1, 4096]"]).contains("4096"));
    assert!(refused(&["rx_filter.multicast=['02:00:00:00:00:01']"]).contains("not the address"));
    assert!(refused(&["rx_filter.unicast=['01:00:5e:00:00:01']"]).contains("not the address"));
    let group = "rx_filter.multicast=['01:00:5e:00:00:01']";
    let scenario = accepted(&[strict, group]);
    assert_eq!(scenario.rx_filter.multicast, [Group([1, 0, 0x5e, 0, 0, 1])]);
    // A promiscuous NIC would not listen to any of them.
    for set in [
        group,
        "rx_filter.unicast=['02:00:00:00:00:07']",
        "rx_filter.vlan=[7]",
        "rx_filter.nomulticast=true",
        "rx_filter.nounicast=true",
        "rx_filter.nobroadcast=true",
    ] {
        let message = refused(&[set]);
        assert!(message.contains("a promiscuous NIC"), "{message}");
        let mut made = accepted(&[strict, set]);
        made.rx_filter.promiscuous = true;
        let key = set.split('=').next();
        assert_eq!(made.validate().unwrap_err().keys.first().map(String::as_str), key);
    }
    accepted(&["rx_filter.allmulticast=true"]);
}

#[test]
fn a_queue_is_told_once_how_to_coalesce() {
    let queues = |second: u16| {
        let table = |queue| {
            format!("[[coalesce.queue]]\nqueue = {queue}\nrx_usecs = '5us'\nrx_frames = 4\n")
        };
        let text = format!("[nic]\nvq_notf_coal = true\n{}{}", table(1), table(second));
        Scenario::parse(&text, "test.toml", &[]).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(queues(2), Ok(()));
    assert!(queues(1).unwrap_err().contains("queue 1 is set twice"));
}
