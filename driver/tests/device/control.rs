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
fn checklist_driver_dead_control_queue() {
    let mut lab = Lab::new(two_pairs());
    lab.device.control = Answer::Never;
    assert!(matches!(lab.start(), Ok(Progress::Waiting { .. })));
    lab.now = 1000;
    let error = DriverError::ControlTimeout { class: 4, command: 0, limit_ps: 1000 };
    assert_eq!(lab.step(), Err(error));
    assert_ne!(lab.device.status & spec::STATUS_FAILED, 0);
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
