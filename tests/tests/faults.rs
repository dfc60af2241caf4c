//! Faults in whole runs: each does what its name says, is noticed by whom the table says, and costs no frame
//! without a reason; and a hundred random schedules of them on each engine keep the account.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

use harness::fault::{Count, Kind, Unit};
use harness::scenario::Scenario;
use harness::world::embedded::{Embedded, Unwatched};
use harness::world::outcome::{End, Outcome};
use harness::world::setup;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tests::draw::{driver_policies, nic_features};

/// A quiet laboratory: 4 queues, 2000 frames at 1 Mpps, a reader that keeps up.
const QUIET: &str = "[traffic]\nsource = \"generator\"\nframes = 2000\nrate = \"1Mpps\"\n\
                     [run]\ndrain = \"20ms\"\n[[handle]]\nimmediate = true\n";

fn play(text: &str) -> Outcome {
    let scenario = Scenario::parse(text, "drawn.toml", &[]).unwrap().resolved();
    let parts = setup::build(&scenario).unwrap();
    let mut world = Embedded::new(&scenario, parts);
    world.check_everything();
    world.run(&mut Unwatched).outcome
}

/// Plays the quiet laboratory with this one fault; the account must be kept.
fn with(fault: &str) -> Outcome {
    with_more("", fault)
}

/// The same with more keys in front.
fn with_more(more: &str, fault: &str) -> Outcome {
    let outcome = play(&format!("{more}{QUIET}[[fault]]\n{fault}\n"));
    assert!(
        matches!(outcome.end, End::Complete),
        "{fault}: {}\n{}",
        outcome.end,
        outcome.last_events
    );
    outcome
}

/// (injected, noticed by the driver, by the laboratory).
fn seen(outcome: &Outcome, kind: Kind) -> (u64, u64, u64) {
    let Count { injected, driver, laboratory, .. } = outcome.faults.count(kind);
    assert_eq!(outcome.faults.unnoticed_total(), 0);
    (injected, driver, laboratory)
}

fn nothing_lost(outcome: &Outcome) {
    assert_eq!((outcome.total.dropped, outcome.held.sum()), (0, 0), "{:?}", outcome.first_drops);
}

#[test]
fn a_flapping_link_drops_what_arrives_meanwhile() {
    let outcome = with("kind = 'link_flap'\nat = '500us'\nfor = '100us'");
    assert_eq!(outcome.dropped_for("link_down"), 100);
    assert_eq!(outcome.total.dropped, 100);
    assert_eq!(seen(&outcome, Kind::LinkFlap).0, 1);
}

#[test]
fn damaged_frames_are_dropped_by_the_mac_and_no_others() {
    for (kind, reason) in [("bad_fcs", "bad_fcs"), ("runt", "runt"), ("giant", "giant")] {
        let outcome = with(&format!("kind = '{kind}'\nframe = 7\ncount = 3"));
        assert_eq!((outcome.dropped_for(reason), outcome.total.dropped), (3, 3), "{kind}");
        assert_eq!(outcome.first_drops[0].frame, 7, "{kind}");
    }
}

#[test]
fn a_flipped_bit_is_found_by_the_laboratory_and_reaches_the_reader() {
    let outcome = with("kind = 'payload_bit_flip'\nchance = '1/100'");
    let (injected, driver, laboratory) = seen(&outcome, Kind::PayloadBitFlip);
    assert!(injected > 5 && driver == 0);
    assert_eq!((laboratory, outcome.faults.frames_corrupted), (injected, injected));
    nothing_lost(&outcome);
}

#[test]
fn slowness_costs_time_but_no_frame_while_there_is_room() {
    let quiet = with("kind = 'dma_slow'\namount = 2\nat = '1s'\nfor = '1us'");
    let latency = |outcome: &Outcome| outcome.handles[0].latency.max;
    for fault in [
        "kind = 'dma_stall'\nfor = '200us'",
        "kind = 'dma_slow'\namount = 40\nfor = '1ms'",
        "kind = 'used_index_delayed'\nqueue = 0\nfor = '200us'",
        "kind = 'queue_stuck'\nqueue = 1\nfor = '200us'",
        "kind = 'interrupt_delayed'\nfor = '200us'\ncount = 50",
        "kind = 'vector_masked'\nqueue = 2\nfor = '200us'",
        "kind = 'cpu_stolen'\ncpu = 0\nfor = '400us'",
        "kind = 'descriptors_withheld'\nqueue = 3\nfor = '300us'",
    ] {
        let outcome = with(&format!("{fault}\nat = '500us'"));
        nothing_lost(&outcome);
        let withheld = outcome.driver_count("refills_withheld");
        let later = latency(&outcome) > latency(&quiet);
        assert!(later || withheld > 0, "{fault} does nothing");
        assert_ne!(outcome.digest, quiet.digest, "{fault}");
    }
    let stolen = with("kind = 'cpu_stolen'\ncpu = 0\nfor = '400us'\nat = '500us'");
    assert_eq!(stolen.cpus[0].stolen, 400_000_000);
}

#[test]
fn faults_that_starve_the_nic_drop_for_the_reason_that_is_true() {
    let small = "[nic]\nfifo = \"4096B\"\n[ring]\nrx = 16\n";
    let outcome =
        with_more(small, "kind = 'descriptors_withheld'\nqueue = 0\nat = '300us'\nfor = '1ms'");
    assert!(outcome.dropped_for("no_descriptor") > 0);
    assert!(outcome.driver_count("refills_withheld") > 0);
    let outcome = with_more(small, "kind = 'queue_stuck'\nqueue = 0\nat = '300us'");
    assert!(outcome.dropped_for("fifo_overflow") > 0);
    assert!(outcome.held.fifo > 0, "what it has stays");
    let shrunk = "kind = 'fifo_shrink'\namount = '0B'\nat = '300us'\nfor = '1ms'\n\
                  [[fault]]\nkind = 'dma_slow'\namount = 100\nat = '300us'\nfor = '1ms'";
    assert!(with(shrunk).dropped_for("fifo_overflow") > 0);
}

#[test]
fn queues_overtake_each_other_when_the_engine_goes_backwards() {
    let fault = "kind = 'dma_reorder'\nat = '0s'\nfor = '10ms'\n\
                 [[fault]]\nkind = 'dma_stall'\nchance = '1/50'\nfor = '20us'";
    let forwards = "kind = 'dma_stall'\nchance = '1/50'\nfor = '20us'";
    let (there, back) = (with(forwards), with(fault));
    nothing_lost(&back);
    assert_ne!(there.digest, back.digest);
    assert_eq!(there.faults.count(Kind::DmaStall), back.faults.count(Kind::DmaStall));
}

#[test]
fn a_wrong_id_stops_its_queue_and_no_other() {
    let outcome = with("kind = 'completion_wrong_id'\nqueue = 1\nframe = 400");
    assert_eq!(seen(&outcome, Kind::CompletionWrongId), (1, 1, 0));
    assert_eq!((outcome.dropped_for("unknown_id"), outcome.total.dropped), (1, 1));
    for (queue, of) in outcome.queues.iter().enumerate() {
        assert_eq!(of.held.sum() > 0, queue == 1, "queue {queue}");
    }
}

#[test]
fn a_duplicate_is_noticed_and_costs_no_frame_a_reason() {
    let outcome = with("kind = 'completion_duplicated'\nqueue = 2\nframe = 400");
    let (injected, driver, laboratory) = seen(&outcome, Kind::CompletionDuplicated);
    assert_eq!((injected, driver + laboratory), (1, 1));
    assert_eq!(outcome.total.dropped, 0, "the second element is no frame");
}

#[test]
fn short_completions_are_dropped_or_found_too_short() {
    let outcome = with("kind = 'completion_short'\namount = '5B'\nframe = 400\ncount = 4");
    assert_eq!(seen(&outcome, Kind::CompletionShort), (4, 4, 0));
    assert_eq!((outcome.dropped_for("short_completion"), outcome.total.dropped), (4, 4));
    let outcome = with("kind = 'completion_short'\namount = '40B'\nframe = 400\ncount = 4");
    assert_eq!(seen(&outcome, Kind::CompletionShort), (4, 0, 4));
    assert_eq!((outcome.faults.frames_corrupted, outcome.total.dropped), (4, 0));
}

#[test]
fn a_stale_completion_is_noticed_by_one_of_the_two() {
    let ring = "[ring]\nrx = 16\n[driver]\nrefill_threshold = 1\n";
    for frame in [3, 100, 900, 901, 902] {
        let outcome = with_more(ring, &format!("kind = 'completion_stale'\nframe = {frame}"));
        let (injected, driver, laboratory) = seen(&outcome, Kind::CompletionStale);
        assert_eq!((injected, driver + laboratory), (1, 1), "frame {frame}");
    }
}

#[test]
fn a_lost_interrupt_is_recovered_by_the_watchdog_or_seen_as_held() {
    let fault = "kind = 'interrupt_lost'\nqueue = 0\nat = '500us'";
    let outcome = with(fault);
    assert_eq!(seen(&outcome, Kind::InterruptLost), (1, 0, 1), "nobody polls the queue again");
    assert!(outcome.queues[0].held.ring > 0);
    assert_eq!(outcome.held.sum(), outcome.queues[0].held.sum(), "the others go on");
    let outcome = with_more("[driver]\nwatchdog = \"100us\"\n", fault);
    assert_eq!(seen(&outcome, Kind::InterruptLost), (1, 1, 0));
    assert_eq!(outcome.driver_count("watchdog_recovered"), 1);
    nothing_lost(&outcome);
}

/// A driver that forgets to look again sleeps on waiting frames for ever; the reader's time-outs are no
/// progress, and a fault elsewhere excuses nothing.
#[test]
fn frames_that_nothing_will_ever_move_are_a_lack_of_progress() {
    let laboratory = |more: &str| {
        format!(
            "[channels]\ncombined = 2\n[driver]\nrearm = 'blind'\n{more}[traffic]\nsource = 'generator'\n\
             frames = 20000\nrate = '500kpps'\nflows = 16\nburst = 100\n[run]\ndrain = '20ms'\n[[handle]]\n\
             read_timeout = '1ms'\n"
        )
    };
    let outcome = play(&laboratory(""));
    let End::Stuck(what) = &outcome.end else { panic!("{}", outcome.end) };
    assert!(what.contains("in the used rings of rxq0, rxq1"), "{what}");
    assert!(outcome.ok() && outcome.held.ring > 0);
    let stuck = "[[fault]]\nkind = 'queue_stuck'\nqueue = 1\nat = '0s'\n";
    let outcome = play(&(laboratory("") + stuck));
    let End::Stuck(what) = &outcome.end else { panic!("{}", outcome.end) };
    assert!(what.contains("rings of rxq0, and"), "{what}");
    assert!(outcome.queues[1].held.fifo > 0);
    let outcome = play(&laboratory("watchdog = '1ms'\n"));
    assert!(matches!(outcome.end, End::Complete), "{}", outcome.end);
    nothing_lost(&outcome);
}

#[test]
fn interrupts_too_many_are_counted_and_harmless() {
    for (fault, kind) in [
        ("kind = 'interrupt_spurious'\nchance = '1/10'", Kind::InterruptSpurious),
        ("kind = 'interrupt_duplicated'\nfor = '3us'\nchance = '1/3'", Kind::InterruptDuplicated),
    ] {
        let outcome = with(fault);
        let spurious =
            outcome.driver_count("spurious_interrupts") + outcome.driver_count("already_scheduled");
        assert!(seen(&outcome, kind).0 > 5 && spurious > 0, "{fault}");
        nothing_lost(&outcome);
    }
}

#[test]
fn a_message_on_the_wrong_vector_is_spurious_there_and_missing_here() {
    let fault = "kind = 'interrupt_wrong_vector'\nqueue = 0\nat = '500us'";
    let outcome = with_more("[driver]\nwatchdog = \"100us\"\n", fault);
    assert_eq!(seen(&outcome, Kind::InterruptWrongVector), (1, 1, 0));
    nothing_lost(&outcome);
}

#[test]
fn a_changing_configuration_is_read_again() {
    let outcome = with("kind = 'config_changed'\nat = '500us'\ncount = 3");
    assert_eq!(seen(&outcome, Kind::ConfigChanged).0, 1);
    nothing_lost(&outcome);
}

#[test]
fn a_device_that_stops_or_leaves_is_noticed_and_every_frame_has_its_reason() {
    let outcome = with("kind = 'device_reset'\nat = '500us'");
    assert_eq!(seen(&outcome, Kind::DeviceReset), (1, 1, 0));
    assert!(outcome.dropped_for("needs_reset") > 1000);
    let outcome = with("kind = 'surprise_removal'\nat = '500us'");
    assert_eq!(seen(&outcome, Kind::SurpriseRemoval), (1, 1, 0));
    assert!(outcome.dropped_for("removed") > 1000);
}

#[test]
fn a_dead_control_queue_hurts_only_who_commands() {
    let fault = "kind = 'control_queue_dead'\nat = '500us'";
    let outcome = with(fault);
    assert_eq!(outcome.faults.count(Kind::ControlQueueDead).moot, 1);
    nothing_lost(&outcome);
    // A driver that begins anew has commands to give, and gives up.
    let reset = format!("{fault}\n[[fault]]\nkind = 'device_reset'\nat = '600us'");
    let outcome = with_more("[driver]\ncontrol_timeout = '100us'\nrecover = 'device'\n", &reset);
    assert_eq!(seen(&outcome, Kind::ControlQueueDead), (1, 1, 0));
}

/// Found by chance: a driver that begins a queue anew takes first what was completed before, the frames that
/// a fault cut short among them.
#[test]
fn a_driver_that_recovers_still_takes_what_was_cut_short() {
    let outcome = play(
        "seed = 275911126044\n[channels]\ncombined = 3\n[ring]\nrx = 16\n[nic]\nfifo = '1514B'\n\
         event_idx = false\n[driver]\ncontrol_timeout = '300us'\nrecover = 'queue'\n[traffic]\n\
         source = 'generator'\nframes = 1500\nrate = '1Mpps'\nsize = 'imix'\n[run]\ndrain = '5ms'\n\
         [[handle]]\nengine = 'store-hold'\nread_timeout = '1ms'\n\
         [[fault]]\nkind = 'cpu_stolen'\nchance = '1/28'\nfor = '209us'\ncpu = 2\n\
         [[fault]]\nkind = 'device_reset'\nchance = '1/127'\n\
         [[fault]]\nkind = 'completion_short'\nframe = 445\ncount = 3\nqueue = 2\namount = '26B'\n",
    );
    assert!(matches!(outcome.end, End::Complete), "{}\n{}", outcome.end, outcome.last_events);
    let (injected, driver, laboratory) = seen(&outcome, Kind::CompletionShort);
    assert!(injected == 3 && driver + laboratory > 0, "{injected} {driver} {laboratory}");
}

/// Switching one fault on leaves what another one hits as it was, and what is offered.
#[test]
fn each_fault_draws_from_a_stream_of_its_own() {
    let damaged = "kind = 'bad_fcs'\nchance = '1/100'";
    let alone = with(damaged);
    let more = with(&format!(
        "kind = 'interrupt_duplicated'\nchance = '1/5'\nfor = '1us'\n[[fault]]\n{damaged}\n\
         [[fault]]\nkind = 'payload_bit_flip'\nchance = '1/10'"
    ));
    assert_eq!(alone.faults.count(Kind::BadFcs), more.faults.count(Kind::BadFcs));
    assert_eq!(alone.offered_digest, more.offered_digest);
    let first = |outcome: &Outcome| outcome.first_drops[0].frame;
    assert_eq!(first(&alone), first(&more));
    // One of its own kind in front, which hits nothing before this one's first frame, changes nothing either.
    let late = first(&alone) + 1;
    let before = format!("kind = 'bad_fcs'\nframe = {late}\n[[fault]]\n{damaged}");
    let two = with(&before);
    let (one, two) = (alone.faults.count(Kind::BadFcs), two.faults.count(Kind::BadFcs));
    assert_eq!(one.injected + 1, two.injected);
}

/// Found by reading: bit flips come last on the frame, and that is no other fault's place in the list.
#[test]
fn a_fault_behind_a_bit_flip_begins_at_its_time() {
    let outcome = with(
        "kind = 'payload_bit_flip'\nframe = 3\n[[fault]]\nkind = 'link_flap'\nat = '500us'\nfor = '100us'",
    );
    assert_eq!(seen(&outcome, Kind::LinkFlap).0, 1);
    assert_eq!((outcome.dropped_for("link_down"), outcome.total.dropped), (100, 100));
}

/// One random `[[fault]]`.
fn fault() -> impl Strategy<Value = String> {
    let when = prop_oneof![
        (0_u64..1500).prop_map(|us| format!("at = '{us}us'")),
        (0_u64..1500).prop_map(|frame| format!("frame = {frame}")),
        (5_u64..500).prop_map(|n| format!("chance = '1/{n}'")),
    ];
    let keys = (1_u64..400, 1_u32..4, 0_u16..3, any::<[bool; 3]>(), 0_u64..3000);
    (prop::sample::select(Kind::ALL.to_vec()), when, keys).prop_map(|(kind, when, keys)| {
        let (lasting, count, queue, [a, b, c], amount) = keys;
        let amount = match (kind, kind.facts().amount) {
            // No more than the smallest FIFO has.
            (Kind::FifoShrink, _) => format!("'{}B'", amount.min(1514)),
            (_, Unit::Bytes) => format!("'{amount}B'"),
            (_, _) => (2 + amount % 50).to_string(),
        };
        let mut text = format!("[[fault]]\nkind = '{}'\n{when}\n", kind.name());
        for (key, may, value) in [
            ("for", a, format!("'{lasting}us'")),
            ("count", b, count.to_string()),
            ("queue", c, queue.to_string()),
            ("amount", true, amount),
            ("cpu", true, queue.to_string()),
        ] {
            if kind.has(key, may) {
                text += &format!("{key} = {value}\n");
            }
        }
        text
    })
}

/// A hundred random schedules on one engine: the account is kept and everything that must be is noticed.
fn schedules(engine: &str) {
    let laboratory = (0_u64..1 << 40, 4_u32..8, any::<[bool; 3]>(), 0_u64..30_000, 0_usize..6);
    let rings = (prop::sample::select(vec!["split", "packed"]), any::<bool>(), nic_features());
    let cases = (laboratory, rings, driver_policies(), prop::collection::vec(fault(), 1..8));
    // The same hundred each time; RXLAB_FAULTS_SEED draws others.
    let seed = std::env::var("RXLAB_FAULTS_SEED").ok().and_then(|seed| seed.parse().ok());
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&u64::to_le_bytes(seed.unwrap_or(1)));
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config { cases: 100, failure_persistence: None, ..Config::default() };
    let run = TestRunner::new_with_rng(config, rng).run(
        &cases,
        |((seed, ring, [msix, index, dog], fifo, recover), rings, policies, faults)| {
            let (format, in_order, features) = rings;
            let masking = if msix { "msix" } else { "ring" };
            let recover = ["", "", "recover = 'queue'\n", "recover = 'device'\n"][recover.min(3)];
            let watchdog = if dog { "watchdog = '100us'\n" } else { "" };
            let text = format!(
                "seed = {seed}\n[channels]\ncombined = 3\n[ring]\nrx = {}\nformat = '{format}'\n[nic]\nfifo = '{}B'\n\
             event_idx = {index}\nin_order = {in_order}\n{features}[driver]\nmasking = '{masking}'\ncontrol_timeout = '300us'\n{watchdog}{recover}{policies}\
             [traffic]\nsource = 'generator'\nframes = 1500\nrate = '1Mpps'\nsize = 'imix'\n\
             [run]\ndrain = '5ms'\n[[handle]]\nengine = '{engine}'\nread_timeout = '1ms'\n{}",
                1 << ring,
                1514 + fifo,
                faults.concat()
            );
            let outcome = play(&text);
            let account = outcome.total.offered == outcome.total.settled() + outcome.held.sum();
            prop_assert!(
                account && matches!(outcome.end, End::Complete),
                "{}\n{}\nput this into a file and play it with `rxlab run`:\n{text}",
                outcome.end,
                outcome.last_events
            );
            Ok(())
        },
    );
    run.unwrap_or_else(|failure| panic!("{engine}: {failure}"));
}

#[test]
fn a_hundred_schedules_on_segments() {
    schedules("segments");
}

#[test]
fn a_hundred_schedules_on_worker() {
    schedules("worker");
}

#[test]
fn a_hundred_schedules_on_packet_queue() {
    schedules("packet-queue");
}

#[test]
fn a_hundred_schedules_on_ring() {
    schedules("ring");
}

#[test]
fn a_hundred_schedules_on_store_hold() {
    schedules("store-hold");
}

#[test]
fn a_hundred_schedules_on_zero_copy() {
    schedules("zero-copy");
}
