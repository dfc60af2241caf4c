//! The oracle on drops made by hand.

use super::*;
use npf_core::{DumpLimits, EngineKind, PacketQueueOptions};

fn oracle() -> Oracle {
    let engine = EngineKind::PacketQueue(PacketQueueOptions::CURRENT);
    let limit = HandleLimit {
        engine,
        capacity: 1000,
        cpus: 1,
        object_limit: None,
        dump: DumpLimits::default(),
        markers: false,
    };
    let handles = vec![limit];
    let limits = Limits {
        fifo_bytes: 100,
        min_frame: 60,
        mtu: 1500,
        buffer_bytes: 2048,
        spare_buffers: 2,
        header_bytes: 12,
        rx_ring: 16,
        mergeable: false,
        packed: false,
        mac: [2; 6],
        rx_filter: RxFilter::default(),
        hash_report: None,
        handles,
    };
    let mut oracle = Oracle::new(limits, 2);
    oracle.ready(true);
    oracle
}

fn claim(tag: u64) -> Claim {
    Claim {
        tag,
        queue: Some(0),
        handle: Some(0),
        occupancy: 0,
        capacity: 0,
        need: 0,
        held: None,
        lied: false,
    }
}

#[test]
fn with_mergeable_buffers_too_few_are_as_good_as_none() {
    let mut ledger = Ledger::new(2, 1);
    let tag = ledger.offer(0, &[0; 100]);
    let mut oracle = oracle();
    oracle.limits.mergeable = true;
    oracle.limits.buffer_bytes = 56;
    oracle.entered_fifo(60);
    oracle.posted(0, 1);
    let judge = |oracle: &mut Oracle, reason, occupancy| {
        let claim = Claim { occupancy, capacity: 16, ..claim(tag) };
        oracle.judge(Reason::Nic(reason), claim, &ledger).is_ok()
    };
    assert!(judge(&mut oracle, Nic::NoDescriptor, 15));
    assert!(!judge(&mut oracle, Nic::NoDescriptor, 16), "one is there");
    assert!(!judge(&mut oracle, Nic::FifoOverflow, 60));
    oracle.posted(0, 1);
    assert!(!judge(&mut oracle, Nic::NoDescriptor, 14), "112 B do");
    assert!(judge(&mut oracle, Nic::FifoOverflow, 60));
    assert!(!judge(&mut oracle, Nic::BufferTooSmall, 0), "the ring has 896 B");
    oracle.queue_restarted(1, 1);
    assert!(!judge(&mut oracle, Nic::BufferTooSmall, 0), "that was another ring");
    oracle.queue_restarted(0, 1);
    assert!(judge(&mut oracle, Nic::BufferTooSmall, 0));
}

#[test]
fn a_queue_is_disabled_only_if_its_channel_is_not_used() {
    let mut ledger = Ledger::new(2, 1);
    let tag = ledger.offer(0, &[4; 60]);
    let mut oracle = oracle();
    let judge = |oracle: &mut Oracle| {
        let claim = Claim { queue: Some(1), ..claim(tag) };
        oracle.judge(Reason::Nic(Nic::QueueDisabled), claim, &ledger).is_ok()
    };
    assert!(!judge(&mut oracle));
    oracle.uses_channels(1);
    assert!(judge(&mut oracle));
}

#[test]
fn a_frame_is_filtered_only_if_the_nic_was_told_so() {
    let mut ledger = Ledger::new(2, 1);
    let tag = ledger.offer(0, &[4; 60]);
    let mut oracle = oracle();
    let judge = |oracle: &mut Oracle| {
        oracle.judge(Reason::Nic(Nic::RxFiltered), claim(tag), &ledger).is_ok()
    };
    assert!(!judge(&mut oracle));
    oracle.limits.rx_filter.promiscuous = false;
    assert!(judge(&mut oracle));
}

#[test]
fn a_checksum_is_called_right_only_if_it_is() {
    assert_eq!(Oracle::judge_checksum(&[0; 60], RxChecksum::Unknown), Ok(()));
    assert!(Oracle::judge_checksum(&[0; 60], RxChecksum::Valid).is_err());
    let partial = RxChecksum::Partial { start: 34, offset: 6 };
    assert!(Oracle::judge_checksum(&[0; 60], partial).is_err());
}

#[test]
fn a_reported_hash_is_that_of_the_frame() {
    let mut frame = vec![0; 60];
    frame[12..15].copy_from_slice(&[8, 0, 0x45]);
    frame[26..34].copy_from_slice(&[66, 9, 149, 187, 161, 142, 100, 80]);
    let mut oracle = oracle();
    assert!(oracle.judge_hash(&frame, (1, 0x323e_8fc2)).is_err(), "nobody asked");
    let key = crate::scenario::HashKey::default().0.to_vec();
    oracle.limits.hash_report = Some((0x1ff, key));
    // The published vector of these addresses (Microsoft's RSS verification suite).
    assert_eq!(oracle.judge_hash(&frame, (1, 0x323e_8fc2)), Ok(()));
    assert!(oracle.judge_hash(&frame, (1, 0x323e_8fc3)).is_err());
    assert!(oracle.judge_hash(&frame, (2, 0x323e_8fc2)).is_err());
    assert!(oracle.judge_hash(&[0; 60], (1, 0)).is_err(), "no IP, no hash");
}

#[test]
fn no_descriptor_holds_only_with_an_empty_ring_and_a_full_fifo() {
    let mut ledger = Ledger::new(2, 1);
    let tag = ledger.offer(0, &[0; 60]);
    let mut oracle = oracle();
    let judge =
        |oracle: &mut Oracle| oracle.judge(Reason::Nic(Nic::NoDescriptor), claim(tag), &ledger);
    assert!(judge(&mut oracle).is_err(), "the FIFO has room");
    oracle.entered_fifo(60);
    assert!(judge(&mut oracle).is_ok());
    oracle.posted(0, 1);
    let error = judge(&mut oracle).unwrap_err();
    assert!(error.contains("1 descriptors are available"), "{error}");
    oracle.fetched(0, 1).unwrap();
    assert!(judge(&mut oracle).is_ok());
    assert!(oracle.fetched(0, 1).is_err());
}

#[test]
fn buffer_full_holds_only_when_the_charges_say_so_and_the_record_agrees() {
    let mut ledger = Ledger::new(2, 1);
    let tag = ledger.offer(0, &[0; 60]);
    let mut oracle = oracle();
    let full = Claim { occupancy: 1040, capacity: 1000, need: 80, ..claim(tag) };
    let judge =
        |oracle: &mut Oracle, claim| oracle.judge(Reason::Npf(Npf::BufferFull), claim, &ledger);
    oracle.stored(0, 960);
    assert!(
        judge(&mut oracle, Claim { occupancy: 960, ..full }).is_err(),
        "40 B are free: soft limit"
    );
    oracle.stored(0, 80);
    assert!(judge(&mut oracle, full).is_ok());
    assert!(judge(&mut oracle, Claim { occupancy: 999, ..full }).is_err(), "the record lies");
}

#[test]
fn a_giant_is_longer_than_mtu_header_and_tags() {
    let mut ledger = Ledger::new(2, 1);
    let mut oracle = oracle();
    let mut frame = vec![0; 1518];
    frame[12..14].copy_from_slice(&[0x81, 0x00]);
    let tagged = ledger.offer(0, &frame);
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    let plain = ledger.offer(0, &frame);
    let mut judge = |tag| oracle.judge(Reason::Nic(Nic::Giant), claim(tag), &ledger);
    assert!(judge(tagged).is_err());
    assert!(judge(plain).is_ok());
}

#[test]
fn what_accuses_a_component_holds_only_where_a_fault_has_lied() {
    let mut ledger = Ledger::new(2, 1);
    let tag = ledger.offer(0, &[0; 60]);
    let mut oracle = oracle();
    for reason in [
        Reason::Driver(Driver::ShortCompletion),
        Reason::Driver(Driver::DriverReset),
        Reason::Nic(Nic::RingBroken),
    ] {
        assert!(oracle.judge(reason, claim(tag), &ledger).is_err());
        let lied = Claim { lied: true, ..claim(tag) };
        assert_eq!(oracle.judge(reason, lied, &ledger), Ok(()));
    }
}

#[test]
fn a_missing_spare_buffer_holds_only_while_all_are_out() {
    let mut ledger = Ledger::new(2, 1);
    let tag = ledger.offer(0, &[0; 60]);
    let mut oracle = oracle();
    let reason = Reason::Driver(Driver::NoSpareBuffer);
    let full = Claim { occupancy: 2, capacity: 2, need: 1, ..claim(tag) };
    oracle.lent(0);
    oracle.lent(1);
    assert!(oracle.judge(reason, full, &ledger).is_err(), "one of two is out");
    oracle.lent(0);
    assert!(oracle.judge(reason, full, &ledger).is_ok());
    assert!(oracle.judge(reason, Claim { occupancy: 1, ..full }, &ledger).is_err());
    oracle.given_back(0);
    assert!(oracle.judge(reason, full, &ledger).is_err());
}
