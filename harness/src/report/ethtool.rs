//! The account under the names that Linux has for it: `ethtool -S` of virtio_net, and `rtnl_link_stats64`.
//!
//! | name | what it counts here |
//! |---|---|
//! | `rx_queue_N_packets`, `_bytes` | frames that the driver indicated, without virtio header |
//! | `rx_queue_N_drops` | completions that the driver dropped, whatever the reason |
//! | `rx_queue_N_kicks` | times the driver told the device of buffers |
//! | `tx_queue_N_packets`, `_bytes`, `_kicks` | frames given to the device to be sent |
//! | `rx_packets`, `rx_bytes` | the same over all queues |
//! | `rx_dropped` | dropped by the driver |
//! | `rx_missed_errors` | no descriptor: the device had no buffer |
//! | `rx_fifo_errors` | the FIFO was full although buffers were there |
//! | `rx_crc_errors`, `rx_length_errors` | bad FCS; runts, giants, frames too long for a buffer |
//! | `rx_nic_other` | every other drop of the device; no name of Linux's |
//!
//! Names: drivers/net/virtio_net.c (`virtnet_rq_stats_desc`, `virtnet_sq_stats_desc`) and
//! include/uapi/linux/if_link.h.
//!
//! Contract: every frame that the wire offered and that is not held by the device is in exactly one of
//! `rx_packets`, `rx_dropped` and the error counters.

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
    let sum = |of: &dyn Fn(&Counters) -> u64| outcome.queues.iter().map(|q| of(&q.driver)).sum();
    all.push(("rx_packets".into(), sum(&|driver| of(driver, "indicated"))));
    all.push(("rx_bytes".into(), sum(&|driver| of(driver, "bytes"))));
    all.push(("rx_dropped".into(), sum(&|driver| driver_drops(driver))));
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
