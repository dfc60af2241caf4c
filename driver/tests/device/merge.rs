//! Mergeable buffers, hash report and checksum flags from a device that obeys, and from one that lies.

use driver::*;
use proptest::prelude::*;

use crate::fake::Owned;
use crate::lab::{Lab, config, frame};

/// Small buffers, frames over several; without an MTU, which would ask for more room.
fn merging(buffer_size: u32) -> DriverConfig {
    let features = config().features & !spec::NET_F_MTU;
    DriverConfig { required: spec::NET_F_MRG_RXBUF, buffer_size, features, ..config() }
}

/// Takes buffers and writes `bytes` over them, each full but the last. Nothing is completed.
fn spread(lab: &mut Lab, bytes: &[u8]) -> Vec<(Owned, u32)> {
    let size = lab.driver.config().buffer_size as usize;
    let parts = bytes.chunks(size);
    parts
        .map(|part| {
            let buffer = lab.device.take_buffer(0).expect("a buffer");
            lab.device.write(buffer.address, part);
            (buffer, part.len() as u32)
        })
        .collect()
}

fn complete(lab: &mut Lab, parts: &[(Owned, u32)]) {
    for (buffer, len) in parts {
        lab.device.put_used(0, buffer.id.into(), *len);
    }
    lab.device.interrupt_for(0);
}

/// Header of a frame over so many buffers, and the frame.
fn with_header(num_buffers: u16, frame: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    bytes[10..12].copy_from_slice(&num_buffers.to_le_bytes());
    bytes.extend(frame);
    bytes
}

fn receive(lab: &mut Lab, frame: &[u8]) {
    let size = lab.driver.config().buffer_size as usize;
    let num_buffers = (frame.len() + 12).div_ceil(size) as u16;
    let parts = spread(lab, &with_header(num_buffers, frame));
    complete(lab, &parts);
}

/// One frame with a header of this kind, as the driver hands it up: what it says and what was counted.
fn told(features: u64, header: &[u8], frame: &[u8]) -> (Vec<(RxChecksum, Option<RxHash>)>, Lab) {
    let hash = HashSettings { hash_types: 1, key: vec![1; 40] };
    let hash_report = (features & spec::NET_F_HASH_REPORT != 0).then_some(hash);
    let features = config().features | features & !spec::NET_F_HASH_REPORT;
    let mut lab = Lab::running(DriverConfig { features, hash_report, ..config() });
    let buffer = lab.device.take_buffer(0).unwrap();
    let bytes = [header, frame].concat();
    lab.device.write(buffer.address, &bytes);
    lab.device.complete(0, buffer.id.into(), bytes.len() as u32);
    lab.settle(64);
    (lab.notes.said.clone(), lab)
}

const PLAIN: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];

#[test]
fn a_frame_over_several_buffers_is_one_frame_and_all_its_buffers_come_back() {
    let mut lab = Lab::running(merging(64));
    for seed in 0..50 {
        receive(&mut lab, &frame(seed, 300));
        receive(&mut lab, &frame(seed, 52));
        lab.settle(64);
    }
    let expected = (0..50).flat_map(|seed| [frame(seed, 300), frame(seed, 52)]);
    let got = lab.notes.frames.iter().map(|(_, _, bytes)| bytes.clone());
    assert!(got.eq(expected));
    assert_eq!(lab.notes.frames.last().map(|frame| frame.1), Some(99), "positions count frames");
    assert_eq!((lab.driver.posted(0), lab.driver.consumed(0)), (16, 100));
    assert_eq!(lab.receive(0).header_unexpected, 0);
}

#[test]
fn a_poll_ends_between_frames() {
    let mut lab = Lab::running(merging(64));
    receive(&mut lab, &frame(1, 300));
    receive(&mut lab, &frame(2, 300));
    lab.deliver();
    let one = lab.poll(0, 1);
    assert_eq!((one.frames, one.bytes, one.exhausted), (1, 300, true));
    let rest = lab.poll(0, 64);
    assert_eq!((rest.frames, rest.exhausted), (1, false));
    assert_eq!(lab.notes.frames[1].2, frame(2, 300));
}

#[test]
fn small_buffers_are_not_used_with_a_device_that_does_not_merge() {
    let mut lab = Lab::new(merging(64));
    lab.device.offered &= !spec::NET_F_MRG_RXBUF;
    assert!(matches!(lab.start(), Err(DriverError::MissingFeatures { .. })));
    let mut lab = Lab::new(DriverConfig { features: config().features, ..merging(64) });
    lab.device.config[10..12].copy_from_slice(&1100_u16.to_le_bytes());
    assert!(matches!(lab.start(), Err(DriverError::BufferTooSmall { .. })), "16 of 64 B");
}

/// Frames of ten buffers and a policy that waits for more free ones than a frame leaves.
#[test]
fn a_device_is_never_left_with_fewer_buffers_than_a_frame_takes() {
    for refill in [Refill::WhenEmpty, Refill::Threshold] {
        let features = config().features;
        let policy = DriverConfig { refill, refill_threshold: 32, features, ..merging(160) };
        let mut lab = Lab::running(DriverConfig { rx_ring: 32, ..policy });
        for seed in 0..20 {
            assert!(lab.device.queues[0].owned.len() >= 10, "{refill:?} {seed}");
            receive(&mut lab, &frame(seed, 1514));
            lab.settle(64);
        }
        assert_eq!(lab.notes.frames.len(), 20);
    }
}

#[test]
fn a_ring_is_not_made_shorter_than_a_frame() {
    let features = config().features;
    let mut lab = Lab::running(DriverConfig { rx_ring: 32, features, ..merging(64) });
    let mut reset =
        |entries| lab.driver.reset_queue(0, 0, Some(entries), &mut lab.device, &mut lab.notes);
    assert_eq!(reset(16), Err(ResetError::TooShort { entries: 16 }));
    assert_eq!(reset(32), Ok(Progress::Running));
    let split = Buffers::HeaderSplit { header: 64, spares: 1, exhausted: Exhausted::Copy };
    let mut lab = Lab::new(DriverConfig { rx_ring: 16, buffers: split, features, ..merging(100) });
    assert!(matches!(lab.start(), Err(DriverError::BufferTooSmall { .. })), "8 slots of 164 B");
}

#[test]
fn checklist_driver_07_num_buffers_0() {
    let mut lab = Lab::running(merging(2048));
    let parts = spread(&mut lab, &with_header(0, &frame(1, 60)));
    complete(&mut lab, &parts);
    receive(&mut lab, &frame(2, 60));
    lab.settle(64);
    assert_eq!(lab.notes.drops(), [(0, DropReason::BadMerge)]);
    assert_eq!(lab.notes.frames, [(0, 1, frame(2, 60))], "the queue goes on");
    assert_eq!(lab.driver.posted(0), 16);
}

#[test]
fn checklist_driver_08_num_buffers_beyond_what_is_there() {
    for num_buffers in [3, 17, u16::MAX] {
        let mut lab = Lab::running(merging(64));
        receive(&mut lab, &frame(1, 30));
        let parts = spread(&mut lab, &with_header(num_buffers, &frame(2, 100)));
        complete(&mut lab, &parts);
        lab.settle(64);
        assert_eq!(lab.notes.frames, [(0, 0, frame(1, 30))]);
        assert_eq!(lab.notes.drops(), [(1, DropReason::BadMerge)]);
        let error = RingError::MissingBuffers { num_buffers, there: 2 };
        assert_eq!(lab.driver.queue_error(0), Some(error), "where the next frame begins is lost");
        let record = lab.notes.events.iter().find_map(|event| match event {
            Event::Dropped(record) => Some((record.occupancy, record.capacity, record.need)),
            _ => None,
        });
        assert_eq!(record, Some((2, 16, num_buffers.into())));
    }
}

#[test]
fn checklist_driver_08_num_buffers_with_a_buffer_that_is_not_full() {
    let mut lab = Lab::running(merging(64));
    let mut parts = spread(&mut lab, &with_header(3, &frame(1, 150)));
    parts[1].1 -= 1;
    complete(&mut lab, &parts);
    receive(&mut lab, &frame(2, 150));
    lab.settle(64);
    assert_eq!(lab.notes.drops(), [(0, DropReason::BadMerge)]);
    assert_eq!(lab.notes.frames, [(0, 1, frame(2, 150))]);
    assert_eq!(lab.driver.posted(0), 16);
}

#[test]
fn checklist_driver_08_num_buffers_longer_than_any_frame() {
    let large = DriverConfig { rx_ring: 128, ..merging(2048) };
    let mut lab = Lab::running(large);
    let parts = spread(&mut lab, &with_header(33, &frame(1, 33 * 2048 - 12)));
    complete(&mut lab, &parts);
    receive(&mut lab, &frame(2, 65_589));
    lab.settle(64);
    assert_eq!(lab.notes.drops(), [(0, DropReason::BadMerge)]);
    assert!(lab.notes.frames == [(0, 1, frame(2, 65_589))], "the longest there is");
}

#[test]
fn checklist_driver_01_a_bad_id_amid_a_frame() {
    let mut lab = Lab::running(merging(64));
    let parts = spread(&mut lab, &with_header(3, &frame(1, 150)));
    complete(&mut lab, &parts[..1]);
    lab.device.complete(0, 99, 64);
    lab.settle(64);
    assert_eq!(lab.notes.drops(), [(0, DropReason::UnknownId)]);
    assert_eq!(lab.driver.queue_error(0), Some(RingError::UnknownId { id: 99, size: 16 }));
}

#[test]
fn checklist_driver_05_merged_frame_shorter_than_a_header() {
    let mut lab = Lab::running(merging(12));
    let parts = spread(&mut lab, &with_header(2, &[0; 10]));
    complete(&mut lab, &parts);
    lab.settle(64);
    assert_eq!(lab.notes.drops(), [(0, DropReason::ShortCompletion)]);
}

#[test]
fn checklist_driver_09_csum_start() {
    let with = |flags: u8, start: u16, offset: u16| {
        let mut header = PLAIN;
        header[0] = flags;
        header[6..8].copy_from_slice(&start.to_le_bytes());
        header[8..10].copy_from_slice(&offset.to_le_bytes());
        told(spec::NET_F_GUEST_CSUM, &header, &frame(1, 60))
    };
    let (said, _) = with(1, 34, 16);
    assert_eq!(said, [(RxChecksum::Partial { start: 34, offset: 16 }, None)]);
    for (start, offset) in [(60, 0), (34, 25), (0, 59), (0xffff, 0xffff)] {
        let (said, lab) = with(1, start, offset);
        assert_eq!((said.len(), lab.notes.drops()), (0, vec![(0, DropReason::BadChecksumPlace)]));
        assert_eq!((lab.driver.posted(0), lab.driver.queue_error(0)), (16, None));
    }
    let (said, lab) = with(2, 0xffff, 0xffff);
    assert_eq!(said, [(RxChecksum::Valid, None)], "without the flag the fields mean nothing");
    assert_eq!(lab.receive(0).header_unexpected, 0);
}

#[test]
fn checklist_driver_10_gso() {
    for (features, at, value) in
        [(0, 1, 1), (0, 1, 0x80), (spec::NET_F_GUEST_CSUM, 1, 4), (spec::NET_F_GUEST_CSUM, 0, 4)]
    {
        let mut header = PLAIN;
        header[at] = value;
        let (said, lab) = told(features, &header, &frame(1, 60));
        assert_eq!(said, [(RxChecksum::Unknown, None)]);
        assert_eq!(lab.receive(0).header_unexpected, 1, "never agreed, so noticed");
    }
}

#[test]
fn checklist_driver_10_header_with_a_hash() {
    let header = |report: u16| {
        let mut bytes = PLAIN.to_vec();
        bytes.extend(0xdead_beef_u32.to_le_bytes());
        bytes.extend(report.to_le_bytes());
        bytes.extend([0; 2]);
        bytes
    };
    let (said, lab) = told(spec::NET_F_HASH_REPORT, &header(3), &frame(1, 60));
    assert_eq!(said, [(RxChecksum::Unknown, Some(RxHash { value: 0xdead_beef, report: 3 }))]);
    assert_eq!(lab.notes.frames, [(0, 0, frame(1, 60))], "behind 20 bytes");
    for report in [10, 0x103] {
        let (said, lab) = told(spec::NET_F_HASH_REPORT, &header(report), &frame(1, 60));
        assert_eq!(said, [(RxChecksum::Unknown, None)]);
        assert_eq!(lab.receive(0).header_unexpected, 1);
    }
    let (_, lab) = told(spec::NET_F_HASH_REPORT, &header(0)[..19], &[]);
    assert_eq!(lab.notes.drops(), [(0, DropReason::ShortCompletion)]);
}

#[test]
fn the_commands_of_a_start_are_sent_one_after_the_other() {
    let filter =
        ReceiveFilter { promiscuous: false, vlans: Some(vec![7]), ..ReceiveFilter::default() };
    let hash = HashSettings { hash_types: 1, key: vec![9; 40] };
    let config = DriverConfig { queue_pairs: 2, filter, hash_report: Some(hash), ..config() };
    let mut lab = Lab::running(config.clone());
    let sent: Vec<_> = lab.device.commands.iter().map(|c| (c.0, c.1)).collect();
    assert_eq!(sent, [(4, 0), (4, 2), (2, 0), (0, 0)]);
    assert_eq!(lab.driver.counters().control_done, 4);
    let mut slow = Lab::new(config);
    slow.device.control = crate::fake::Answer::Never;
    let mut progress = slow.start();
    for _ in 0..4 {
        assert!(matches!(progress, Ok(Progress::Waiting { .. })));
        slow.device.answer_late(0);
        slow.device.control = crate::fake::Answer::Never;
        progress = slow.step();
    }
    assert_eq!(progress, Ok(Progress::Running));
    lab.device.offered &= !spec::NET_F_CTRL_VLAN;
    assert!(matches!(lab.start(), Err(DriverError::MissingFeatures { .. })));
}

proptest! {
    /// Whatever the device says in the headers and lengths of a handful of completions: no panic, every
    /// position once, and nothing indicated that is longer than what was written.
    #[test]
    fn lies_about_merging_are_contained(
        buffer_size in 12_u32..100,
        lies in proptest::collection::vec((0_u16..6, 0_u32..110, any::<[u8; 12]>()), 1..14),
    ) {
        let mut lab = Lab::running(DriverConfig { rx_ring: 128, ..merging(buffer_size) });
        for (num_buffers, len, noise) in &lies {
            let buffer = lab.device.take_buffer(0).unwrap();
            let mut header = *noise;
            header[10..12].copy_from_slice(&num_buffers.to_le_bytes());
            lab.device.write(buffer.address, &header);
            lab.device.put_used(0, buffer.id.into(), *len);
        }
        lab.device.interrupt_for(0);
        lab.settle(3);
        let mut positions: Vec<u64> = lab.notes.frames.iter().map(|frame| frame.1).collect();
        positions.extend(lab.notes.drops().iter().map(|drop| drop.0));
        positions.sort_unstable();
        prop_assert_eq!(&positions, &(0..positions.len() as u64).collect::<Vec<_>>());
        prop_assert_eq!(lab.driver.consumed(0), positions.len() as u64);
        let bytes: usize = lab.notes.frames.iter().map(|frame| frame.2.len()).sum();
        prop_assert!(bytes <= lies.len() * buffer_size as usize);
        if lab.driver.queue_error(0).is_none() {
            prop_assert_eq!(lab.driver.posted(0), 128);
        }
    }
}
