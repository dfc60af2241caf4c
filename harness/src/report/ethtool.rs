//! The account under the names that Linux has for it: `ethtool -S` of virtio_net, and `rtnl_link_stats64`.
//!
//! | name | what it counts here |
//! |---|---|
//! | `rx_queue_N_packets`, `_bytes` | frames that the driver indicated, without virtio header |
//! | `rx_queue_N_drops` | completions that the driver dropped, whatever the reason |
//! | `rx_queue_N_kicks` | times the driver told the device of buffers |
//! | `tx_queue_N_packets`, `_bytes`, `_kicks` | frames given to the device to be sent |
//! | `rx_packets` | frames that the driver indicated, over all queues |
//! | `rx_bytes` | the bytes of all that it indicated |
//! | `rx_dropped` | frames that the driver dropped |
//! | `rx_false_packets`, `rx_false_drops` | completions that were no frames, indicated or dropped all the same |
//! | `rx_left_behind` | frames that it left in a ring which a fault had upset, and counted nowhere |
//! | `rx_missed_errors` | no descriptor: the device had no buffer |
//! | `rx_fifo_errors` | the FIFO was full although buffers were there |
//! | `rx_crc_errors`, `rx_length_errors` | bad FCS; runts, giants, frames too long for a buffer |
//! | `rx_nic_other` | every other drop of the device; no name of Linux's |
//!
//! A driver cannot tell false completions from frames, so Linux has no names for them, nor for what is left
//! behind; the laboratory knows.
//!
//! Names: drivers/net/virtio_net.c (`virtnet_rq_stats_desc`, `virtnet_sq_stats_desc`) and
//! include/uapi/linux/if_link.h.
//!
//! Contract: every frame that the wire offered and that is held neither by the device nor in a ring is in
//! exactly one of `rx_packets`, `rx_dropped`, `rx_left_behind` and the error counters. The queues' `packets`
//! and `drops` are the driver's own: together they are `rx_packets` and `rx_dropped` and the false ones.

use crate::account::Reason;
use crate::world::outcome::{Counters, Outcome};
use nic_model::DropReason as Nic;

/// Every name with its count, queues first.
#[must_use]
pub fn statistics(outcome: &Outcome) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    for (index, queue) in outcome.queues.iter().enumerate() {
        let driver = &queue.driver;
        for (name, count) in [
            ("packets", of(driver, "indicated")),
            ("bytes", of(driver, "bytes")),
            ("drops", driver_drops(driver)),
            ("kicks", of(driver, "kicks")),
        ] {
            all.push((format!("rx_queue_{index}_{name}"), count));
        }
        for (name, counter) in [("packets", "sent"), ("bytes", "bytes"), ("kicks", "kicks")] {
            all.push((format!("tx_queue_{index}_{name}"), of(&queue.transmit, counter)));
        }
    }
    let nic = |reasons: &[Nic]| {
        reasons.iter().map(|&reason| outcome.total.reasons[Reason::Nic(reason).index()]).sum()
    };
    let named: [(&str, &[Nic]); 4] = [
        ("rx_missed_errors", &[Nic::NoDescriptor]),
        ("rx_fifo_errors", &[Nic::FifoOverflow]),
        ("rx_crc_errors", &[Nic::BadFcs]),
        ("rx_length_errors", &[Nic::Runt, Nic::Giant, Nic::BufferTooSmall]),
    ];
    let others: Vec<Nic> = Nic::ALL
        .into_iter()
        .filter(|reason| !named.iter().any(|(_, reasons)| reasons.contains(reason)))
        .collect();
    let sum =
        |of: &dyn Fn(&Counters) -> u64| outcome.queues.iter().map(|q| of(&q.driver)).sum::<u64>();
    let (false_packets, false_drops) = (outcome.faults.false_frames, outcome.false_drops);
    let packets: u64 = sum(&|driver| of(driver, "indicated"));
    let drops: u64 = sum(&driver_drops);
    all.push(("rx_packets".into(), packets - false_packets));
    all.push(("rx_bytes".into(), sum(&|driver| of(driver, "bytes"))));
    all.push(("rx_dropped".into(), drops - false_drops));
    all.push(("rx_false_packets".into(), false_packets));
    all.push(("rx_false_drops".into(), false_drops));
    all.push(("rx_left_behind".into(), outcome.left_behind));
    all.extend(named.map(|(name, reasons)| (name.to_owned(), nic(reasons))));
    all.push(("rx_nic_other".into(), nic(&others)));
    all
}

fn of(counters: &Counters, name: &str) -> u64 {
    counters.iter().find(|(counter, _)| *counter == name).map_or(0, |(_, count)| *count)
}

fn driver_drops(counters: &Counters) -> u64 {
    driver::DropReason::ALL.iter().map(|reason| of(counters, reason.name())).sum()
}
