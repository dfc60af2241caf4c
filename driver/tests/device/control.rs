//! Control commands: what is sent, and what happens when the answer is late, wrong or missing.

use driver::*;

use crate::bring_up::rss;
use crate::fake::Answer;
use crate::lab::{Lab, config};

fn two_pairs() -> DriverConfig {
    DriverConfig { queue_pairs: 2, ..config() }
}

#[test]
fn multi_queue_is_turned_on_by_its_command() {
    let lab = Lab::running(two_pairs());
    assert_eq!(lab.device.commands, [(4, 0, vec![2, 0])]);
    assert_eq!(lab.driver.counters().control_done, 1);
    assert!(Lab::running(config()).device.commands.is_empty(), "one pair needs no command");
}

#[test]
fn rss_is_configured_in_one_command() {
    let table = (0..128).map(|i| i % 2).collect();
    let settings = RssSettings { table, unclassified: 1, ..rss() };
    let lab = Lab::running(DriverConfig { rss: Some(settings), ..two_pairs() });
    let [(class, command, data)] = &lab.device.commands[..] else { panic!("one command") };
    assert_eq!((*class, *command, data.len()), (4, 1, 4 + 2 + 2 + 256 + 2 + 1 + 40));
    assert_eq!(data[..12], [0x3f, 0, 0, 0, 127, 0, 1, 0, 0, 0, 1, 0]);
    assert_eq!(data[264..268], [2, 0, 40, 0x6d]);
}

#[test]
fn in_order_the_control_queue_uses_its_descriptors_in_ring_order() {
    for (indirect, descriptors) in [(0, 2), (spec::F_INDIRECT_DESC, 1)] {
        let features = spec::DEFAULT_FEATURES | spec::F_IN_ORDER | indirect;
        let mut lab = Lab::running(DriverConfig { features, ..two_pairs() });
        for round in 0..40 {
            lab.device.results.push_back(Vec::new());
            assert!(lab.driver.query_stats(0, &mut lab.device, &mut lab.notes));
            lab.device.results.clear();
            let heads = &lab.device.heads;
            assert_eq!(heads.len(), round + 2, "one command each time");
            let expected = (heads.len() as u16 - 1) * descriptors % 16;
            assert_eq!(heads.last(), Some(&expected));
        }
        assert_eq!(lab.device.commands[0], (4, 0, vec![2, 0]));
        assert_eq!(lab.driver.counters().control_failed, 0);
    }
}

#[test]
fn the_control_queue_comes_after_all_pairs_of_the_device() {
    let mut lab = Lab::wider(two_pairs(), 4);
    assert_eq!(lab.start(), Ok(Progress::Running));
    lab.device.control = Answer::Never;
    assert!(lab.driver.query_stats(0, &mut lab.device, &mut lab.notes));
    assert_eq!((lab.driver.outstanding(8), lab.driver.outstanding(4)), (1, 0));
}

#[test]
fn a_late_answer_is_waited_for_while_frames_flow() {
    let mut lab = Lab::new(two_pairs());
    lab.device.control = Answer::Never;
    lab.now = 5;
    assert_eq!(lab.start(), Ok(Progress::Waiting { deadline: 1005 }));
    assert!(lab.device.receive(0, &[1; 60]));
    lab.settle(64);
    assert_eq!(lab.notes.frames.len(), 1);
    lab.now = 1004;
    assert_eq!(lab.step(), Ok(Progress::Waiting { deadline: 1005 }));
    lab.device.answer_late(0);
    assert_eq!(lab.step(), Ok(Progress::Running));
    assert_eq!(lab.notes.count("control_done"), 1);
}

#[test]
fn checklist_driver_13_dead_control_queue() {
    let mut lab = Lab::new(two_pairs());
    lab.device.control = Answer::Never;
    assert!(matches!(lab.start(), Ok(Progress::Waiting { .. })));
    lab.now = 1000;
    let error = DriverError::ControlTimeout { class: 4, command: 0, limit_ps: 1000 };
    assert_eq!(lab.step(), Err(error.clone()));
    assert_ne!(lab.device.status & spec::STATUS_FAILED, 0);
    // The timer finds it as well.
    let mut lab = Lab::new(two_pairs());
    lab.device.control = Answer::Never;
    assert!(matches!(lab.start(), Ok(Progress::Waiting { .. })));
    assert_eq!(lab.driver.next_deadline(), Some(1000));
    lab.advance(1000);
    assert_eq!((lab.driver.error(), lab.driver.next_deadline()), (Some(&error), None));
}

#[test]
fn bad_answers_are_errors() {
    let refused = |ack| DriverError::ControlRefused { class: 4, command: 0, ack };
    let cases = [
        (Answer::Ack(1), refused(1)),
        (Answer::Ack(9), refused(9)),
        (Answer::Silence, refused(0xff)),
        (Answer::WrongId, DriverError::ControlRing(RingError::DuplicateId { id: 7 })),
    ];
    for (answer, error) in cases {
        let mut lab = Lab::new(two_pairs());
        lab.device.control = answer;
        assert_eq!(lab.start(), Err(error));
        assert_ne!(lab.device.status & spec::STATUS_FAILED, 0);
        lab.device.control = Answer::Ack(0);
        assert_eq!(lab.start(), Ok(Progress::Running), "a new start is the way back");
    }
}
