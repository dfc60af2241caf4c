//! Transmit: bytes, reaping, a full ring, and lies in its used ring.

use driver::*;

use crate::lab::{Lab, config, frame};

#[test]
fn frames_leave_whole_and_in_order() {
    for features in [spec::DEFAULT_FEATURES, spec::DEFAULT_FEATURES & !spec::F_EVENT_IDX] {
        let mut lab = Lab::running(DriverConfig { features, ..config() });
        let frames: Vec<_> = (0..70_000).map(|seed| frame(seed, 14 + seed as usize % 9)).collect();
        for bytes in &frames {
            assert_eq!(lab.transmit(0, bytes), Ok(()));
        }
        assert!(lab.device.sent == frames);
        let counters = lab.driver.transmit_counters(0).unwrap();
        assert_eq!((counters.sent, counters.completed), (70_000, 69_999));
        assert_eq!(lab.device.mute, 0, "transmit wants no interrupt");
    }
}

#[test]
fn a_full_ring_refuses_until_the_device_is_done() {
    let mut lab = Lab::running(config());
    lab.device.hold_transmit = true;
    for seed in 0..16 {
        assert_eq!(lab.transmit(0, &frame(seed, 60)), Ok(()));
    }
    assert_eq!(lab.transmit(0, &frame(16, 60)), Err(TransmitError::QueueFull));
    lab.device.finish_transmit(0);
    assert_eq!(lab.transmit(0, &frame(17, 60)), Ok(()));
    let counters = lab.driver.transmit_counters(0).unwrap();
    assert_eq!((counters.sent, counters.completed, counters.queue_full), (17, 16, 1));
}

#[test]
fn lengths_have_limits() {
    let mut lab = Lab::running(config());
    for (len, good) in [(0, false), (13, false), (14, true), (1518, true), (1519, false)] {
        let result = lab.transmit(0, &frame(0, len));
        let bad = TransmitError::BadLength { len: len as u64, max: 1518 };
        assert_eq!(result, if good { Ok(()) } else { Err(bad) });
    }
    let features = spec::DEFAULT_FEATURES & !spec::NET_F_MTU;
    let mut lab = Lab::running(DriverConfig { features, ..config() });
    assert_eq!(lab.transmit(0, &frame(0, 2036)), Ok(()), "without an MTU the buffer is the limit");
    assert!(lab.transmit(0, &frame(0, 2037)).is_err());
    assert_eq!(lab.transmit(1, &frame(0, 60)), Err(TransmitError::NoSuchQueue { queue: 1 }));
}

/// What the device does, and how the driver calls it.
type Lie = (fn(&mut Lab), RingError);

#[test]
fn lies_stop_the_queue_and_no_other() {
    let lies: [Lie; 3] = [
        (|lab| lab.device.complete(1, 16, 0), RingError::UnknownId { id: 16, size: 16 }),
        (|lab| lab.device.complete(1, 3, 0), RingError::DuplicateId { id: 3 }),
        (|lab| lab.device.jump(1, 2), RingError::IndexJump { index: 2, next: 0, outstanding: 1 }),
    ];
    for (lie, error) in lies {
        let mut lab = Lab::running(DriverConfig { queue_pairs: 2, ..config() });
        lab.device.hold_transmit = true;
        assert_eq!(lab.transmit(0, &frame(0, 60)), Ok(()));
        lie(&mut lab);
        for _ in 0..2 {
            assert_eq!(lab.transmit(0, &frame(1, 60)), Err(TransmitError::Broken(error)));
        }
        assert_eq!(lab.notes.count("transmit_broken"), 1);
        assert_eq!(lab.transmit(1, &frame(1, 60)), Ok(()));
        let counters = lab.driver.transmit_counters(0).unwrap();
        assert_eq!(counters.unknown_id + counters.duplicate_id + counters.index_jumps, 1);
    }
}
