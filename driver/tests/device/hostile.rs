//! A device that lies in the used ring of a receive queue, lie by lie.

use driver::*;

use crate::fake::POISON;
use crate::lab::{Lab, config, frame};

/// Two good frames, then the lie, then one more completion, all polled at once.
fn with_lie(lie: fn(&mut Lab)) -> Lab {
    let mut lab = Lab::running(config());
    for seed in 0..2 {
        assert!(lab.device.receive(0, &frame(seed, 60)));
    }
    lie(&mut lab);
    assert!(lab.device.receive(0, &frame(9, 60)));
    lab.settle(64);
    lab
}

#[test]
fn checklist_driver_01_used_id_out_of_range() {
    for id in [16, 0xffff, 0x1_0000, 0x1_0003, u32::MAX] {
        let mut lab = Lab::running(config());
        assert!(lab.device.receive(0, &frame(0, 60)));
        lab.device.complete(0, id, 72);
        assert!(lab.device.receive(0, &frame(1, 60)));
        lab.settle(64);
        let error = RingError::UnknownId { id, size: 16 };
        stopped(&mut lab, 1, Some((1, DropReason::UnknownId)), error);
    }
}

#[test]
fn checklist_driver_04_used_id_returned_twice() {
    let mut lab = with_lie(|lab| lab.device.complete(0, 1, 72));
    let error = RingError::DuplicateId { id: 1 };
    stopped(&mut lab, 2, Some((2, DropReason::DuplicateId)), error);
    let record = lab.notes.events.iter().find_map(|event| match event {
        Event::Dropped(record) => Some(*record),
        _ => None,
    });
    let record = record.unwrap();
    assert_eq!((record.occupancy, record.capacity, record.need), (14, 16, 1));
    assert_eq!((record.queue, record.tag), (Some(0), 2));
}

#[test]
fn checklist_driver_02_used_id_not_in_use() {
    // With a threshold the buffers of frames that were taken stay with the driver for a while.
    let mut lab = Lab::running(DriverConfig { refill_threshold: 8, ..config() });
    assert!(lab.device.receive(0, &frame(0, 60)));
    lab.settle(64);
    assert_eq!(lab.driver.posted(0), 15);
    lab.device.complete(0, 0, 72);
    lab.settle(64);
    let error = RingError::DuplicateId { id: 0 };
    stopped(&mut lab, 1, Some((1, DropReason::DuplicateId)), error);
}

#[test]
fn checklist_driver_16_nothing_is_read_back() {
    let mut lab = Lab::running(config());
    let setup = lab.device.setup_of(0);
    for seed in 0..100 {
        assert!(lab.device.receive(0, &frame(seed, 60)));
        lab.deliver();
        // Of what the driver wrote, its index and its wish for interrupts, nothing decides anything.
        let mut ring = [0; 38];
        lab.device.read(setup.available_ring, &mut ring);
        lab.device.write(setup.available_ring, &[0xff; 38]);
        assert_eq!(lab.poll(0, 64).frames, 1);
        lab.device.write(setup.available_ring, &ring);
        assert!(!lab.finish(0).again);
        let index = u16::from_le_bytes([ring[2], ring[3]]);
        let mut now = [0; 2];
        lab.device.read(setup.available_ring + 2, &mut now);
        assert_eq!(u16::from_le_bytes(now), index.wrapping_add(1), "its own count went on");
    }
    assert_eq!((lab.notes.frames.len(), lab.driver.queue_error(0)), (100, None));
}

#[test]
fn checklist_driver_06_used_idx_jump() {
    let mut lab = Lab::running(config());
    assert!(lab.device.receive(0, &frame(0, 60)));
    lab.settle(64);
    lab.device.jump(0, 17);
    lab.device.interrupt_for(0);
    lab.settle(64);
    let error = RingError::IndexJump { index: 18, next: 1, outstanding: 16 };
    stopped(&mut lab, 1, None, error);
    assert_eq!(lab.receive(0).index_jumps, 1);

    // The index going backwards is a jump as well.
    let mut lab = Lab::running(config());
    lab.device.jump(0, u16::MAX);
    assert_eq!(lab.poll(0, 64), Polled::default());
    assert!(matches!(lab.driver.queue_error(0), Some(RingError::IndexJump { .. })));
}

/// `indicated` frames were good, one completion at most was dropped, and nothing goes on.
fn stopped(lab: &mut Lab, indicated: usize, drop: Option<(u64, DropReason)>, error: RingError) {
    assert_eq!(lab.notes.frames.len(), indicated);
    assert_eq!(lab.notes.drops(), drop.into_iter().collect::<Vec<_>>());
    assert_eq!(lab.driver.queue_error(0), Some(error));
    assert_eq!(lab.notes.count("queue_broken"), 1);
    let consumed = (indicated + usize::from(drop.is_some())) as u64;
    assert_eq!(lab.driver.consumed(0), consumed);
    assert_eq!(lab.receive(0).consumed, consumed);
    lab.device.receive(0, &frame(7, 60));
    lab.device.messages.clear();
    assert_eq!(lab.poll(0, 64), Polled::default());
    assert_eq!(lab.finish(0), Finished::default());
    assert_eq!(lab.interrupt(1), Interrupt::Spurious);
    assert_eq!(lab.driver.consumed(0), consumed);
    assert_eq!(lab.driver.error(), None, "only the queue has stopped");
    assert_eq!(lab.start(), Ok(Progress::Running), "a new start is the way back");
    assert_eq!((lab.driver.queue_error(0), lab.driver.consumed(0)), (None, 0));
    lab.notes.frames.clear();
    assert!(lab.device.receive(0, &frame(8, 60)));
    lab.settle(64);
    assert_eq!(lab.notes.frames, [(0, 0, frame(8, 60))]);
}

#[test]
fn a_stopped_queue_leaves_the_others_alone() {
    let mut lab = Lab::running(DriverConfig { queue_pairs: 2, ..config() });
    lab.device.complete(0, 99, 72);
    lab.settle(64);
    assert!(lab.driver.queue_error(0).is_some());
    assert!(lab.device.receive(1, &frame(1, 60)));
    lab.settle(64);
    assert_eq!(lab.notes.frames, [(1, 0, frame(1, 60))]);
}

#[test]
fn a_short_completion_is_dropped_and_its_buffer_recycled() {
    for len in [0, 11, 12, 25] {
        let mut lab = Lab::running(config());
        for _ in 0..40 {
            let buffer = lab.device.take_buffer(0).unwrap();
            lab.device.complete(0, buffer.id.into(), len);
            assert!(lab.device.receive(0, &frame(1, 14)));
            lab.settle(64);
        }
        let drops = lab.notes.drops();
        assert!(drops.iter().all(|(_, reason)| *reason == DropReason::ShortCompletion));
        assert_eq!((drops.len(), lab.notes.frames.len()), (40, 40));
        let positions: Vec<_> = lab.notes.frames.iter().map(|frame| frame.1).collect();
        assert_eq!(positions, (0..40).map(|n| 2 * n + 1).collect::<Vec<_>>());
        assert_eq!(lab.driver.posted(0), 16);
        assert_eq!(lab.driver.queue_error(0), None);
    }
}

#[test]
fn checklist_driver_05_used_len_beyond_posted() {
    for len in [2049, u32::MAX] {
        let mut lab = Lab::running(config());
        let buffer = lab.device.take_buffer(0).unwrap();
        lab.device.fill(&buffer, &[1; 60]);
        lab.device.complete(0, buffer.id.into(), len);
        lab.settle(64);
        let [(0, 0, bytes)] = &lab.notes.frames[..] else { panic!("one frame") };
        assert_eq!(bytes.len(), 2048 - 12);
        assert!(bytes[..60] == [1; 60] && bytes[60..].iter().all(|byte| *byte == POISON));
        assert_eq!(lab.receive(0).length_clamped, 1);
        let claimed = lab.notes.events.iter().find_map(|event| match event {
            Event::LengthClamped { len, capacity, .. } => Some((*len, *capacity)),
            _ => None,
        });
        assert_eq!(claimed, Some((u64::from(len), 2048)));
    }
}

#[test]
fn a_header_that_speaks_of_the_unagreed_is_counted() {
    for (at, byte) in [(0, 1), (1, 3), (10, 0), (10, 2), (11, 1)] {
        let mut lab = Lab::running(config());
        let buffer = lab.device.take_buffer(0).unwrap();
        let len = lab.device.fill(&buffer, &frame(1, 60));
        lab.device.write(buffer.address + at, &[byte]);
        lab.device.complete(0, buffer.id.into(), len);
        lab.settle(64);
        assert_eq!(lab.notes.frames, [(0, 0, frame(1, 60))]);
        assert_eq!(lab.receive(0).header_unexpected, 1);
    }
}

#[test]
fn checklist_driver_15_keeps_shadow_descriptors() {
    let mut lab = Lab::running(config());
    let setup = lab.device.setup_of(0);
    for seed in 0..100 {
        assert!(lab.device.receive(0, &frame(seed, 60)));
        lab.deliver();
        // The driver reads neither table nor available entries back, so these cannot lead it astray.
        let mut table = [0; 16 * 16];
        lab.device.read(setup.descriptor_table, &mut table);
        lab.device.write(setup.descriptor_table, &[0xff; 16 * 16]);
        lab.device.write(setup.available_ring + 4, &[0xff; 32]);
        assert_eq!(lab.poll(0, 64).frames, 1);
        lab.device.write(setup.descriptor_table, &table);
        assert!(!lab.finish(0).again);
    }
    let bytes: Vec<_> = lab.notes.frames.iter().map(|frame| frame.2.clone()).collect();
    assert_eq!(bytes, (0..100).map(|seed| frame(seed, 60)).collect::<Vec<_>>());
}

#[test]
fn checklist_driver_12_interrupts_before_driver_ok() {
    let mut lab = Lab::new(config());
    for vector in [0, 1, 2] {
        assert_eq!(lab.interrupt(vector), Interrupt::Spurious);
    }
    assert_eq!(lab.driver.counters().spurious_interrupts, 3);
}

#[test]
fn checklist_driver_12_interrupts_in_a_slow_reset_over_live_rings() {
    let mut lab = Lab::running(config());
    for seed in 0..3 {
        assert!(lab.device.receive(0, &frame(seed, 60)));
    }
    lab.device.reset_readings = 3;
    assert!(matches!(lab.start(), Ok(Progress::Waiting { .. })));
    for vector in [0, 1] {
        assert_eq!(lab.interrupt(vector), Interrupt::Spurious);
    }
    assert_eq!((lab.poll(0, 64), lab.finish(0)), (Polled::default(), Finished::default()));
    assert_eq!(lab.transmit(0, &frame(0, 60)), Err(TransmitError::NotRunning));
    assert!(lab.notes.frames.is_empty(), "the device may still write");
    while lab.step() != Ok(Progress::Running) {}
    assert_eq!(lab.notes.frames.len(), 3, "now it does not");
    assert_eq!((lab.driver.consumed(0), lab.driver.posted(0)), (0, 16));
}

#[test]
fn frames_before_a_dropped_completion_are_told_before_it() {
    let mut lab = Lab::running(config());
    assert!(lab.device.receive(0, &frame(0, 60)));
    let buffer = lab.device.take_buffer(0).unwrap();
    lab.device.complete(0, buffer.id.into(), 5);
    assert!(lab.device.receive(0, &frame(2, 60)));
    lab.settle(64);
    assert_eq!(lab.notes.batches, [1, 1], "position 0, the drop of 1, position 2");
    assert_eq!(lab.notes.drops(), [(1, DropReason::ShortCompletion)]);
}
