//! Commands of a driver that runs, and the settings of a bring-up: what is sent, and what a control queue that
//! refuses, lies or is dead does to them.

use driver::*;

use crate::fake::Answer;
use crate::lab::{Lab, config};

const LIMITS: Coalesce = Coalesce { max_packets: 15, max_usecs: 10 };

fn coalescing() -> DriverConfig {
    let coalesce = CoalesceSettings {
        rx: Some(LIMITS),
        tx: Some(Coalesce { max_packets: 1, max_usecs: 2 }),
        queues: vec![(1, Coalesce { max_packets: 3, max_usecs: 4 })],
    };
    DriverConfig { queue_pairs: 2, coalesce, ..config() }
}

/// The entry of one virtqueue: these numbers under this type.
fn entry(kind: u8, virtqueue: u16, numbers: &[u64]) -> Vec<u8> {
    let [v0, v1] = virtqueue.to_le_bytes();
    let [s0, s1] = (8 + 8 * numbers.len() as u16).to_le_bytes();
    let mut bytes = vec![kind, 0, v0, v1, 0, 0, s0, s1];
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    bytes
}

fn query(lab: &mut Lab) -> bool {
    lab.driver.query_stats(lab.now, &mut lab.device, &mut lab.notes)
}

fn ask_to_announce(lab: &mut Lab) {
    lab.device.config[6] |= 2;
    lab.device.generation = lab.device.generation.wrapping_add(1);
    lab.device.config_changed();
    assert_eq!(lab.deliver(), Some(Interrupt::ConfigChanged));
}

#[test]
fn coalescing_is_set_for_all_and_then_for_single_queues() {
    let lab = Lab::running(coalescing());
    let expected = [
        (4, 0, vec![2, 0]),
        (6, 0, vec![1, 0, 0, 0, 2, 0, 0, 0]),
        (6, 1, vec![15, 0, 0, 0, 10, 0, 0, 0]),
        (6, 2, vec![2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0]),
    ];
    assert_eq!(lab.device.commands, expected);
    assert_eq!(lab.driver.counters().control_done, 4);
    let plain = Lab::running(config());
    let features = spec::NET_F_NOTF_COAL | spec::NET_F_VQ_NOTF_COAL;
    assert_eq!(plain.driver.features() & features, 0, "not asked for without settings");
}

#[test]
fn coalescing_that_the_device_lacks_or_refuses_is_an_error() {
    let mut lab = Lab::new(coalescing());
    lab.device.offered &= !spec::NET_F_VQ_NOTF_COAL;
    assert_eq!(lab.start().unwrap_err().name(), "missing_features");
    let beyond = DriverConfig { queue_pairs: 1, ..coalescing() };
    assert!(beyond.validate().is_err(), "there is no queue 1");
    let one = CoalesceSettings { rx: Some(LIMITS), ..CoalesceSettings::default() };
    let mut lab = Lab::new(DriverConfig { coalesce: one, ..config() });
    lab.device.control = Answer::Ack(1);
    let refused = DriverError::ControlRefused { class: 6, command: 1, ack: 1 };
    assert_eq!(lab.start(), Err(refused));
}

#[test]
fn each_command_of_a_bring_up_has_its_own_time_limit() {
    let mut lab = Lab::new(coalescing());
    lab.device.control = Answer::Never;
    assert_eq!(lab.start(), Ok(Progress::Waiting { deadline: 1000 }));
    for (at, number) in [(400, 0), (900, 0), (1300, 1), (1700, 2)] {
        lab.now = at;
        assert_eq!(lab.device.commands.last().unwrap().1, number);
        lab.device.answer_late(0);
        lab.device.control = Answer::Never;
        let progress = lab.step().unwrap();
        let last = number == 2;
        assert_eq!(progress == Progress::Running, last, "{at}");
        if !last {
            assert_eq!(progress, Progress::Waiting { deadline: at + 1000 });
        }
    }
    let mut lab = Lab::new(coalescing());
    lab.device.control = Answer::Never;
    assert!(lab.start().is_ok());
    lab.device.answer_late(0);
    lab.device.control = Answer::Never;
    assert!(lab.step().is_ok());
    lab.now = 1000;
    let late = DriverError::ControlTimeout { class: 6, command: 0, limit_ps: 1000 };
    assert_eq!(lab.step(), Err(late));
}

#[test]
fn an_announcement_is_sent_and_acknowledged() {
    let mut lab = Lab::running(config());
    ask_to_announce(&mut lab);
    assert_eq!(lab.device.commands, [(3, 0, vec![])]);
    let [frame] = &lab.device.sent[..] else { panic!("one frame") };
    assert_eq!(frame[6..14], [2, 0, 0, 0, 0, 1, 0x80, 0x35]);
    assert_eq!(lab.driver.counters().announcements, 1);
    assert_eq!(lab.notes.count("announced"), 1);
    let off = spec::DEFAULT_FEATURES & !spec::NET_F_GUEST_ANNOUNCE;
    let mut lab = Lab::running(DriverConfig { features: off, ..config() });
    ask_to_announce(&mut lab);
    assert!(lab.device.commands.is_empty() && lab.device.sent.is_empty(), "not agreed, not done");
}

#[test]
fn a_device_without_an_address_gets_the_acknowledgement_alone() {
    let off = spec::DEFAULT_FEATURES & !spec::NET_F_MAC;
    let mut lab = Lab::running(DriverConfig { features: off, ..config() });
    ask_to_announce(&mut lab);
    assert_eq!((lab.device.commands.len(), lab.device.sent.len()), (1, 0));
    assert_eq!(lab.driver.counters().announcements, 0);
}

#[test]
fn a_dead_control_queue_costs_its_commands_and_no_frame() {
    let mut lab = Lab::running(config());
    lab.device.control = Answer::Never;
    ask_to_announce(&mut lab);
    assert_eq!(lab.driver.next_deadline(), Some(1000));
    assert!(query(&mut lab), "waits in line");
    lab.now = 1000;
    lab.driver.advance(lab.now, &mut lab.device, &mut lab.notes);
    assert_eq!(lab.driver.counters().control_failed, 2, "the one sent and the one in line");
    assert_eq!(lab.notes.count("control_failed"), 2);
    assert!(!query(&mut lab), "nothing more is sent");
    ask_to_announce(&mut lab);
    assert_eq!(lab.driver.counters().control_failed, 3);
    assert_eq!(lab.device.commands.len(), 1);
    assert!(lab.device.receive(0, &[1; 60]));
    lab.settle(64);
    assert_eq!((lab.notes.frames.len(), lab.driver.error()), (1, None));
    lab.device.control = Answer::Ack(0);
    lab.device.config[6] = 1;
    assert_eq!(lab.start(), Ok(Progress::Running));
    ask_to_announce(&mut lab);
    assert_eq!(lab.device.commands.last(), Some(&(3, 0, vec![])), "a new start brings it back");
}

#[test]
fn a_refused_command_costs_only_itself() {
    for answer in [Answer::Ack(1), Answer::Silence] {
        let mut lab = Lab::running(config());
        lab.device.control = answer;
        ask_to_announce(&mut lab);
        assert_eq!((lab.driver.counters().control_failed, lab.driver.error()), (1, None));
        lab.device.control = Answer::Ack(0);
        assert!(query(&mut lab));
        assert_eq!(lab.step(), Ok(Progress::Running));
    }
    let mut lab = Lab::running(config());
    lab.device.control = Answer::WrongId;
    ask_to_announce(&mut lab);
    assert_eq!((lab.driver.counters().control_failed, lab.driver.error()), (1, None));
    assert!(!query(&mut lab), "the ring's rules are broken: dead");
}

#[test]
fn one_announcement_is_under_way_at_a_time() {
    let mut lab = Lab::running(config());
    lab.device.control = Answer::Never;
    for _ in 0..100 {
        ask_to_announce(&mut lab);
    }
    assert_eq!(lab.driver.counters().announcements, 1);
    assert_eq!((lab.device.sent.len(), lab.device.commands.len()), (1, 1));
    lab.device.answer_late(0);
    assert_eq!(lab.step(), Ok(Progress::Running));
    ask_to_announce(&mut lab);
    assert_eq!(lab.driver.counters().announcements, 2, "the next one, when that is over");
    lab.device.control = Answer::Ack(1);
    for _ in 0..2 {
        ask_to_announce(&mut lab);
    }
    assert_eq!(lab.driver.counters().announcements, 4, "a refused one is over as well");
}

#[test]
fn a_refused_acknowledgement_does_not_break_a_bring_up() {
    let mut lab = Lab::new(coalescing());
    lab.device.control = Answer::Never;
    assert!(matches!(lab.start(), Ok(Progress::Waiting { .. })));
    ask_to_announce(&mut lab);
    lab.device.refuse_class = Some(3);
    lab.device.answer_late(0);
    assert_eq!(lab.step(), Ok(Progress::Running));
    let sent: Vec<u8> = lab.device.commands.iter().map(|command| command.0).collect();
    assert_eq!(sent[2..], [6, 6, 6, 3], "when the bring-up is over");
    assert_eq!((lab.driver.error(), lab.driver.counters().control_failed), (None, 1));
}

/// Frames come at this many in each millisecond's poll.
fn loaded(lab: &mut Lab, milliseconds: std::ops::Range<u64>, frames: u64) {
    for millisecond in milliseconds {
        lab.now = millisecond * 1_000_000_000;
        for _ in 0..frames {
            assert!(lab.device.receive(0, &[1; 60]));
        }
        lab.settle(64);
    }
}

#[test]
fn a_device_that_moderates_is_told_of_each_step() {
    let moderation = Moderation::AdaptiveDevice;
    let config = DriverConfig { moderation, rx_ring: 512, ..config() };
    let mut lab = Lab::running(config.clone());
    let vq_set = |usecs: u8| (6, 2, vec![0, 0, 0, 0, 0, 1, 0, 0, usecs, 0, 0, 0]);
    assert_eq!(lab.device.commands, [vq_set(1)], "the first step");
    loaded(&mut lab, 1..4, 300);
    assert_eq!(lab.device.commands[1..], [vq_set(8), vq_set(64)]);
    assert_eq!(lab.driver.next_deadline(), None, "no timer of the driver's own");
    assert!(lab.driver.reset_queue(lab.now, 0, None, &mut lab.device, &mut lab.notes).is_ok());
    assert_eq!(lab.device.commands[3..], [vq_set(1)], "from the start again");
    let mut lab = Lab::new(config.clone());
    lab.device.offered &= !spec::NET_F_VQ_NOTF_COAL;
    assert_eq!(lab.start().unwrap_err().name(), "missing_features");
    let queues = vec![(0, LIMITS)];
    let coalesce = CoalesceSettings { queues, ..CoalesceSettings::default() };
    let twice = DriverConfig { coalesce, ..config };
    assert_eq!(twice.validate(), Err(ConfigError::CoalescedTwice));
}

#[test]
fn one_step_of_a_queue_waits_for_a_slow_control_queue() {
    let moderation = Moderation::AdaptiveDevice;
    let control_timeout_ps = u64::MAX;
    let config = DriverConfig { moderation, rx_ring: 512, control_timeout_ps, ..config() };
    let mut lab = Lab::running(config);
    lab.device.control = Answer::Never;
    loaded(&mut lab, 1..4, 300);
    loaded(&mut lab, 4..9, 1);
    assert_eq!(lab.receive(0).moderation_steps, 4);
    lab.device.commands.clear();
    lab.device.answer_late(0);
    assert_eq!(lab.step(), Ok(Progress::Running));
    let sent: Vec<u8> = lab.device.commands.iter().map(|command| command.2[8]).collect();
    assert_eq!(sent, [8, 1], "the one at hand, and the last wish");
}

fn channels(lab: &mut Lab, queue_pairs: u16) -> Result<(), ChannelsError> {
    lab.driver.set_channels(lab.now, queue_pairs, &mut lab.device, &mut lab.notes)
}

#[test]
fn fewer_channels_send_by_fewer_queues_at_once_and_more_when_the_device_agrees() {
    let mut lab = Lab::running(DriverConfig { queue_pairs: 4, ..config() });
    let sends = |lab: &mut Lab| (0..4).filter(|q| lab.transmit(*q, &[1; 60]).is_ok()).count();
    assert_eq!(channels(&mut lab, 0), Err(ChannelsError::OutOfRange { queue_pairs: 0, max: 4 }));
    assert_eq!(channels(&mut lab, 5), Err(ChannelsError::OutOfRange { queue_pairs: 5, max: 4 }));
    lab.device.control = Answer::Never;
    assert_eq!(channels(&mut lab, 2), Ok(()));
    assert_eq!(lab.device.commands.last(), Some(&(4, 0, vec![2, 0])));
    assert_eq!(sends(&mut lab), 2);
    assert_eq!(lab.transmit(3, &[1; 60]), Err(TransmitError::NotInUse { queue: 3, active: 2 }));
    lab.device.answer_late(0);
    assert_eq!(lab.step(), Ok(Progress::Running));
    lab.device.control = Answer::Never;
    assert_eq!(channels(&mut lab, 3), Ok(()));
    assert_eq!(sends(&mut lab), 2, "not before the device's answer");
    lab.device.answer_late(0);
    assert_eq!(lab.step(), Ok(Progress::Running));
    assert_eq!((sends(&mut lab), lab.driver.channels()), (3, 3));
    lab.device.control = Answer::Ack(1);
    assert_eq!(channels(&mut lab, 1), Ok(()));
    assert_eq!(lab.driver.channels(), 3, "a refusal leaves all as it was");
    lab.device.control = Answer::Ack(0);
    assert_eq!(lab.start(), Ok(Progress::Running));
    assert_eq!(lab.device.commands.last(), Some(&(4, 0, vec![3, 0])), "the wish survives");
}

#[test]
fn with_rss_the_table_goes_round_the_channels_in_use() {
    let table = (0..128).map(|entry| entry % 4).collect();
    let rss = RssSettings { table, unclassified: 3, ..crate::bring_up::rss() };
    let mut lab = Lab::running(DriverConfig { queue_pairs: 4, rss: Some(rss), ..config() });
    assert_eq!(channels(&mut lab, 3), Ok(()));
    let (class, number, data) = lab.device.commands.last().unwrap();
    assert_eq!((*class, *number), (4, 1));
    assert_eq!(data[6..16], [0, 0, 0, 0, 1, 0, 2, 0, 0, 0]);
    assert_eq!(data[264..266], [3, 0]);
    let mut lab = Lab::running(config());
    lab.device.commands.clear();
    assert_eq!(channels(&mut lab, 1), Ok(()), "MQ is agreed");
}

#[test]
fn statistics_are_asked_for_by_type_and_told_by_name() {
    let mut lab = Lab::running(config());
    let types: u64 = 1 << 32 | 1 << 16 | 1 | 1 << 5;
    lab.device.results.push_back(types.to_le_bytes().to_vec());
    let answer = [
        entry(0, 0, &[1, 2, 3, 4, 5, 6]),
        entry(16, 1, &[7, 8, 9, 10, 11, 12]),
        entry(32, 2, &[13, 14]),
    ];
    lab.device.results.push_back(answer.concat());
    assert!(query(&mut lab));
    let [(8, 0, nothing), (8, 1, asked)] = &lab.device.commands[..] else { panic!("two") };
    assert!(nothing.is_empty());
    let one = |virtqueue: u8, types: u64| {
        [&[virtqueue, 0, 0, 0, 0, 0, 0, 0][..], &types.to_le_bytes()].concat()
    };
    assert_eq!(*asked, [one(0, 1), one(1, 1 << 16), one(2, 1 << 32)].concat(), "bit 5 is unknown");
    let stats = lab.driver.device_stats().unwrap();
    let told = |virtqueue, name| stats.get(virtqueue, name).unwrap();
    assert_eq!((told(0, "rx_drop_overruns"), told(1, "tx_packets"), told(2, "ok_num")), (6, 8, 14));
    lab.device.results.push_back(Vec::new());
    assert!(query(&mut lab));
    assert_eq!(lab.device.commands.len(), 3, "the types are known by now");
}

#[test]
fn statistics_that_make_no_sense_are_counted_and_forgotten() {
    let mut lab = Lab::running(config());
    lab.device.results.push_back(vec![1, 0, 0]);
    assert!(query(&mut lab));
    assert_eq!(lab.device.commands.len(), 1, "no types, nothing to ask for");
    lab.device.results.push_back(1u64.to_le_bytes().to_vec());
    lab.device.results.push_back(entry(0, 0, &[1]));
    assert!(query(&mut lab));
    assert_eq!(lab.driver.device_stats(), None);
    assert_eq!((lab.driver.counters().stats_malformed, lab.driver.error()), (2, None));
}
