//! Programs written with npf-core's capture API over the whole laboratory, and `rxlab capture`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

mod common;

use common::{folder, root, run};
use harness::scenario::{Scenario, Traffic};
use harness::world::embedded::{Embedded, Unwatched, Watch};
use harness::world::laboratory::Laboratory;
use harness::world::outcome::{End, Outcome};
use harness::world::setup;
use npf_core::capture::{Capture, CaptureError, Next, Platform, Waited};
use npf_core::{ControlError, DumpLimits, EngineKind, FilterReset, Mode, Pacing, SendQueue};

const MS: u64 = 1_000_000_000;

/// A shipped scenario with fewer frames.
fn shipped(name: &str, sets: &[&str]) -> Scenario {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let path = root().join("scenarios").join(name);
    let mut scenario = Scenario::load(&path, &sets).unwrap().resolved();
    if let Traffic::Generator(generator) = &mut scenario.traffic {
        generator.frames = generator.frames.min(20_000);
    }
    scenario
}

/// A quiet laboratory: a frame per 100 us, which costs nobody much.
fn quiet(frames: u64, more: &str) -> Scenario {
    let text = format!(
        "[traffic]\nsource = \"generator\"\nrate = \"10kpps\"\nframes = {frames}\nsize = \"64B\"\n{more}"
    );
    Scenario::parse(&text, "quiet", &[]).unwrap().resolved()
}

fn laboratory(scenario: &Scenario) -> Laboratory<Unwatched> {
    Laboratory::new(scenario, setup::build(scenario).unwrap(), 0, Unwatched).unwrap()
}

/// What the scenario's own reader makes of it.
fn of_its_reader(scenario: &Scenario) -> Outcome {
    Embedded::new(scenario, setup::build(scenario).unwrap()).run(&mut Unwatched).outcome
}

/// What a program does that reads in a loop until there is nothing more; and the packets it saw.
fn of_a_loop(scenario: &Scenario) -> (Outcome, u64) {
    let mut laboratory = laboratory(scenario);
    let mut capture = Capture::create(&mut laboratory);
    assert_eq!(capture.activate(), Ok(vec![]));
    let mut packets = 0;
    capture.loop_(-1, |_| packets += 1).unwrap();
    assert!(capture.ended());
    (laboratory.finish().outcome, packets)
}

/// The promise of the laboratory: a program in the rhythm of the scenario's reader is that reader.
#[test]
fn a_loop_gives_the_run_of_the_scenarios_own_reader_to_the_last_event() {
    for name in ["slow-reader.toml", "small-ring.toml", "fast-reader.toml", "bursts.toml"] {
        for engine in EngineKind::NAMES {
            let set = format!("handle.0.engine=\"{engine}\"");
            let scenario = shipped(name, &[&set]);
            let reader = of_its_reader(&scenario);
            let (program, packets) = of_a_loop(&scenario);
            assert!(matches!(program.end, End::Complete), "{name} {engine}: {}", program.end);
            assert_eq!(program.digest, reader.digest, "{name} {engine}");
            assert_eq!(program.total, reader.total, "{name} {engine}");
            assert_eq!(program.sim_time_ps, reader.sim_time_ps, "{name} {engine}");
            assert_eq!(packets, program.handles[0].tally.delivered, "{name} {engine}");
        }
    }
}

#[test]
fn counters_are_packets_of_a_scenario_in_statistics_mode() {
    for engine in ["packet-queue", "zero-copy"] {
        let more = format!(
            "[[handle]]\nmode = \"statistics\"\nengine = \"{engine}\"\nread_timeout = \"10ms\"\n"
        );
        let scenario = quiet(1_000, &more);
        let mut laboratory = laboratory(&scenario);
        let mut capture = Capture::create(&mut laboratory);
        capture.activate().unwrap();
        let mut counted = 0;
        capture
            .loop_(-1, |packet| {
                assert_eq!(packet.caplen, 16);
                counted += u64::from_le_bytes(packet.data[..8].try_into().unwrap());
            })
            .unwrap();
        let outcome = laboratory.finish().outcome;
        assert!(outcome.ok(), "{engine}: {}", outcome.end);
        assert!((900..=1_000).contains(&counted), "{engine}: {counted}, less the last period");
    }
}

#[test]
fn settings_reach_the_open_handle_and_the_design_stays() {
    let scenario = quiet(500, "");
    let mut laboratory = laboratory(&scenario);
    let mut capture = Capture::create(&mut laboratory);
    let other = EngineKind::Worker(npf_core::WorkerOptions::default());
    capture.set_engine(other).unwrap();
    assert_eq!(capture.activate(), Err(CaptureError::EngineIsFixed));
    let engine = capture.platform().settings().engine;
    capture.set_engine(engine).unwrap();
    capture.set_snaplen(0).unwrap();
    capture.set_buffer_size(10_000).unwrap();
    assert_eq!(capture.activate(), Err(ControlError::ZeroSnaplen.into()));
    capture.set_snaplen(20).unwrap();
    capture.set_immediate_mode(true).unwrap();
    assert_eq!(capture.activate(), Ok(vec![]));
    let occupancy = capture.platform().with(|_, adapter, _| adapter.occupancy(0));
    assert_eq!(occupancy.capacity, 10_000);
    let Ok(Next::Packet(packet)) = capture.next_ex() else { panic!() };
    assert_eq!((packet.caplen, packet.len), (20, 60), "at once");
    assert!(capture.platform().now() < MS);
    let mut second = Capture::create(capture.platform());
    assert_eq!(second.activate(), Err(CaptureError::InUse));
}

#[test]
fn a_handle_that_is_not_there_is_no_device() {
    let scenario = quiet(1, "");
    let parts = setup::build(&scenario).unwrap();
    let refused = Laboratory::new(&scenario, parts, 1, Unwatched).map(|_| ()).unwrap_err();
    assert_eq!((refused, refused.code()), (CaptureError::NoSuchDevice, -5));
}

/// What the scenario would change about its reader's buffer and patience is the program's own.
#[test]
fn controls_of_the_scenario_leave_the_programs_own_alone() {
    let mut more = "[[handle]]\nread_timeout = \"5ms\"\n".to_owned();
    for (at, bytes) in [(1, 100), (2, 1_000_000), (30, 64), (40, 500_000)] {
        more += "[[handle.control]]\n";
        more += &format!("at = \"{at}ms\"\nuser_buffer = \"{bytes}B\"\nread_timeout = \"1s\"\n");
    }
    let scenario = quiet(1_000, &more);
    let mut laboratory = laboratory(&scenario);
    let mut capture = Capture::create(&mut laboratory);
    capture.activate().unwrap();
    let mut reads = 0;
    let mut packets = 0;
    while !capture.ended() {
        packets += capture.dispatch(-1, |_| ()).unwrap();
        reads += 1;
    }
    assert_eq!(packets, 1_000);
    assert!((20..=25).contains(&reads), "{reads} in 100 ms");
    assert!(laboratory.finish().outcome.ok());
}

#[test]
fn select_without_patience_takes_no_time() {
    let scenario = quiet(1_000, "");
    let mut laboratory = laboratory(&scenario);
    let mut capture = Capture::create(&mut laboratory);
    capture.activate().unwrap();
    assert_eq!(capture.select(Some(0)), Ok(Waited::TimedOut));
    assert_eq!(capture.platform().now(), 0);
    assert_eq!(capture.select(Some(MS)), Ok(Waited::TimedOut));
    assert_eq!(capture.platform().now(), MS);
    assert_eq!(capture.select(None), Ok(Waited::Ready));
    assert_eq!(capture.select(Some(0)), Ok(Waited::Ready));
}

#[test]
fn a_program_that_stops_early_ends_the_run_there() {
    let scenario = shipped("slow-reader.toml", &[]);
    let mut laboratory = laboratory(&scenario);
    let mut capture = Capture::create(&mut laboratory);
    capture.activate().unwrap();
    let mut packets = 0;
    capture.loop_(10, |_| packets += 1).unwrap();
    let outcome = laboratory.finish().outcome;
    assert_eq!(packets, 10);
    assert!(outcome.ok() && outcome.total.offered < 20_000, "{}", outcome.end);
    assert!(outcome.handles[0].tally.delivered >= 10, "a bufferful was read");
}

#[test]
fn a_closed_capture_loses_what_is_queued_and_frames_go_on_without_it() {
    let scenario = quiet(1_000, "");
    let mut laboratory = laboratory(&scenario);
    let mut capture = Capture::create(&mut laboratory);
    capture.activate().unwrap();
    assert_eq!(capture.platform().sleep(0, 20 * MS), Waited::TimedOut);
    let counters = capture.close().unwrap();
    assert!((150..=201).contains(&counters.dropped_total()), "{}", counters.dropped_total());
    assert_eq!(laboratory.wait(0, None), Waited::Ended);
    let outcome = laboratory.finish().outcome;
    assert!(outcome.ok());
    assert_eq!(outcome.dropped_for("closed"), counters.dropped_total());
    assert_eq!(outcome.dropped_for("no_handle"), 1_000 - counters.shown);
}

#[test]
fn what_a_program_sends_is_on_the_wire_and_takes_time() {
    let scenario = quiet(10, "");
    let mut laboratory = laboratory(&scenario);
    let mut capture = Capture::create(&mut laboratory);
    capture.activate().unwrap();
    let before = capture.platform().now();
    assert_eq!(capture.inject(&[0xff; 100]), Ok(100));
    assert!(capture.platform().now() > before, "a system call and a tap");
    assert_eq!(capture.inject(&[]).unwrap_err().code(), -1);
    let mut queue = SendQueue::new(1_000);
    queue.queue(0, 0, &[0xff; 60]).unwrap();
    queue.queue(0, 2_000, &[0xff; 60]).unwrap();
    let sent_at = capture.platform().now();
    let bytes = queue.as_bytes();
    assert_eq!(capture.sendqueue_transmit(bytes, Pacing::Npcap1_70), Ok(bytes.len()));
    assert!(capture.platform().now() - sent_at >= 2 * MS);
    let (mut own, mut others) = (0, 0);
    capture
        .loop_(-1, |packet| *(if packet.data[0] == 0xff { &mut own } else { &mut others }) += 1)
        .unwrap();
    let outcome = laboratory.finish().outcome;
    assert!(outcome.ok(), "{}", outcome.end);
    assert_eq!((own, others), (3, 10));
}

#[test]
fn a_filter_that_changes_on_the_way_is_in_the_account() {
    let scenario = quiet(1_000, "[[handle]]\nread_timeout = \"5ms\"\n");
    let mut laboratory = laboratory(&scenario);
    let mut capture = Capture::create(&mut laboratory);
    capture.activate().unwrap();
    let mut packets = 0;
    for _ in 0..4 {
        packets += capture.dispatch(-1, |_| ()).unwrap();
    }
    assert_eq!(capture.platform().sleep(0, 30 * MS), Waited::TimedOut);
    let nothing = npf_core::filter::Program::parse_ddd("1\n6 0 0 0\n").unwrap();
    capture.setfilter(Some(nothing.into()), FilterReset::Yes).unwrap();
    capture.loop_(-1, |_| panic!("nothing passes")).unwrap();
    let outcome = laboratory.finish().outcome;
    let tally = &outcome.handles[0].tally;
    assert!(outcome.ok(), "{}", outcome.end);
    assert_eq!(tally.delivered, u64::from(packets));
    assert!(outcome.dropped_for("flushed") > 50, "{}", outcome.dropped_for("flushed"));
    assert_eq!(tally.filtered + tally.delivered + outcome.dropped_for("flushed"), 1_000);
}

#[test]
fn a_live_dump_is_written_without_the_program() {
    let scenario = quiet(500, "");
    let mut laboratory = laboratory(&scenario);
    let mut capture = Capture::create(&mut laboratory);
    capture.activate().unwrap();
    let limits = DumpLimits { max_packets: Some(100), ..DumpLimits::default() };
    capture.live_dump(limits).unwrap();
    assert_eq!(capture.live_dump_ended(true), Ok(true));
    capture.setmode(Mode::Capture).unwrap();
    let outcome = laboratory.finish().outcome;
    assert!(outcome.ok(), "{}", outcome.end);
    assert_eq!(outcome.handles[0].tally.delivered, 100, "to the file");
}

/// Stops after so many looks.
struct After(u32);

impl Watch for After {
    fn stop(&mut self, _offered: u64, _now_ps: u64) -> bool {
        self.0 = self.0.saturating_sub(1);
        self.0 == 0
    }
}

/// As with a signal handler that calls pcap_breakloop.
#[test]
fn an_interrupted_laboratory_breaks_the_loop() {
    let scenario = shipped("slow-reader.toml", &[]);
    let parts = setup::build(&scenario).unwrap();
    let mut laboratory = Laboratory::new(&scenario, parts, 0, After(5)).unwrap();
    let mut capture = Capture::create(&mut laboratory);
    capture.activate().unwrap();
    assert_eq!(capture.loop_(-1, |_| ()), Err(CaptureError::Break));
    assert_eq!(capture.next_ex().map(|next| next.code()), Err(CaptureError::Break), "still");
    let outcome = laboratory.finish().outcome;
    assert!(matches!(outcome.end, End::Interrupted));
}

/// The account line of what a command printed.
fn account(text: &str) -> &str {
    text.lines().find(|line| line.starts_with("offered ")).unwrap()
}

#[test]
fn rxlab_capture_is_tcpdump_over_the_laboratory() {
    let scenario = "scenarios/slow-reader.toml";
    let few = "traffic.frames=20000";
    let (code, lines, talk) = run(&["capture", scenario, "--set", few]);
    assert_eq!(code, 0, "{talk}");
    let (_, report, _) = run(&["run", scenario, "--set", few]);
    assert_eq!(account(&talk), account(&report));
    let told: Vec<&str> = talk.lines().collect();
    assert!(told[0].contains("listening on slow, link-type EN10MB (Ethernet)"), "{talk}");
    let packets = format!("{} packets captured", lines.lines().count());
    assert_eq!(told[1], packets);
    assert!(told[2].ends_with(" packets received by filter"), "{talk}");
    assert!(told[3].ends_with(" packets dropped by kernel"), "{talk}");
    assert!(lines.lines().next().unwrap().starts_with("00:00:00.0000"), "{lines}");
}

#[test]
fn rxlab_capture_stops_at_a_count_and_writes_savefiles() {
    let folder = folder("capture_api");
    let file = folder.join("ten.pcap");
    let path = file.to_str().unwrap();
    let scenario = "scenarios/slow-reader.toml";
    let (code, stdout, talk) = run(&["capture", scenario, "-c", "10", "-w", path, "-s", "40"]);
    assert_eq!((code, stdout.as_str()), (0, ""), "{talk}");
    assert!(talk.contains("\n10 packets captured\n"), "{talk}");
    assert!(talk.contains(" read and not looked at\n"), "{talk}");
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(bytes.len(), 24 + 10 * (16 + 40));

    // What was captured can be played, and captured again: the same lines.
    let (code, lines, talk) = run(&["capture", "--pcap", path]);
    assert_eq!(code, 0, "{talk}");
    assert_eq!(lines.lines().count(), 10, "{talk}");
    let (code, _, talk) = run(&["capture", "--pcap", path, "-w", path]);
    assert_eq!(code, 2);
    assert!(talk.contains("overwrite"), "{talk}");
}

#[test]
fn rxlab_capture_names_what_is_wrong() {
    let (code, _, talk) = run(&["capture", "--handle", "nobody"]);
    assert_eq!(code, 2);
    assert!(talk.contains("there is no handle `nobody`"), "{talk}");
    let (code, _, talk) = run(&["capture", "-s", "0"]);
    assert_eq!(code, 2);
    assert!(talk.contains("snap length of 0"), "{talk}");
    let (code, _, talk) = run(&["capture", "-w", "/dev/full", "-c", "1"]);
    assert_eq!(code, 1);
    assert!(talk.contains("/dev/full"), "{talk}");
    assert_eq!(run(&["capture", "-c", "0"]).0, 2);
}

#[test]
fn rxlab_capture_shows_counters_of_statistics_mode() {
    let (code, lines, talk) =
        run(&["capture", "scenarios/statistics.toml", "--set", "handle.0.mode=\"statistics\""]);
    assert_eq!(code, 0, "{talk}");
    assert!(lines.lines().all(|line| line.contains(" packets, ")), "{lines}");
}
