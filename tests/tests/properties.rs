//! Properties of whole runs: any scenario that is possible keeps the promises.
//!
//! proptest draws scenarios (queues, rings, buffers, rates, budgets, stalls, filters, seeds), the
//! embedded world plays them with the whole law checked after every event, and what comes out is
//! checked again from outside. A failure shrinks to a scenario file; the message names it and the
//! command that plays it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

use harness::scenario::{RingFormat, Scenario, ScenarioError, TxHeader};
use harness::world::embedded::{Embedded, Unwatched};
use harness::world::outcome::{End, Outcome};
use harness::world::setup;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use std::path::PathBuf;
use tests::draw::{driver_policies, nic_features};

/// Scenarios drawn for each property; the variable PROPTEST_CASES asks for more.
const CASES: u32 = 400;

fn config() -> Config {
    // No file of old failures: a failure becomes a scenario file instead.
    let cases = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => Config::default().cases,
        None => CASES,
    };
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// The choices that a scenario is made of, in the shape in which they shrink best.
#[derive(Clone, Debug)]
struct Choices {
    nic: String,
    traffic: String,
    host: String,
    handles: Vec<String>,
    seed: u64,
}

impl Choices {
    fn toml(&self) -> String {
        let handles = self.handles.concat();
        format!("seed = {}\n{}{}{}{handles}", self.seed, self.nic, self.traffic, self.host)
    }

    /// The scenario, as if its file lay in the folder of these tests.
    fn scenario(&self) -> Result<Scenario, ScenarioError> {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("drawn.toml");
        Scenario::parse(&self.toml(), &file.display().to_string(), &[])
    }
}

/// The NIC and what is before it; `more` are further keys of the NIC.
fn nic(more: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let sizes = (
        1u16..=8,
        4u32..=9,
        prop_oneof![Just(0u64), 3200u64..=65_536],
        any::<[bool; 4]>(),
        1500u32..=3000,
    );
    let coalesce = (0u64..=200, 0u32..=70, any::<bool>(), 0u64..=500, 0u64..=4000);
    (sizes, coalesce, more).prop_map(|((queues, ring, fifo, flags, mtu), coalesce, more)| {
        let [event_idx, in_order, packed, indirect] = flags;
        let format = if packed { "packed" } else { "split" };
        let (usecs, frames, rss, dma_frame, dma_byte) = coalesce;
        // Coalescing needs both limits or neither.
        let frames = if usecs == 0 { 0 } else { frames.max(1) };
        format!(
            "[channels]\ncombined = {queues}\n[ring]\nrx = {}\nformat = \"{format}\"\n\
             [nic]\nfifo = \"{fifo}B\"\nevent_idx = {event_idx}\nin_order = {in_order}\nindirect_desc = {indirect}\n{more}\
             [wire]\nmtu = {mtu}\nbad_fcs = \"1/50\"\nrunt = \"1/60\"\ngiant = \"1/70\"\n\
             [coalesce]\nrx_usecs = \"{usecs}us\"\nrx_frames = {frames}\n[rxfh]\nenabled = {rss}\n\
             [dma]\nframe = \"{dma_frame}ns\"\nbyte = \"{dma_byte}ps\"\n",
            1 << ring
        )
    })
}

fn traffic() -> impl Strategy<Value = String> {
    let rate = prop_oneof![
        Just("line".to_owned()),
        (10u64..=800).prop_map(|k| format!("{k}kpps")),
        (1u64..=9000).prop_map(|m| format!("{m}Mbit/s")),
    ];
    let size = prop_oneof![
        Just("\"imix\"".to_owned()),
        (64u64..=1518).prop_map(|bytes| format!("\"{bytes}B\"")),
    ];
    (1u64..=1500, rate, size, 1u32..=200, 1u32..=300, 0u32..=100).prop_map(
        |(frames, rate, size, flows, burst, elephant)| {
            let skew = if elephant < 50 { "uniform".into() } else { format!("elephant:{elephant}%") };
            format!(
                "[traffic]\nsource = \"generator\"\nframes = {frames}\nrate = \"{rate}\"\nsize = {size}\n\
                 flows = {flows}\nburst = {burst}\nskew = \"{skew}\"\njitter = \"50%\"\n"
            )
        },
    )
}

/// The driver and the CPUs; `more` are further keys of the driver.
fn host(more: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (1u16..=200, 1u16..=16, any::<[bool; 2]>(), 1u16..=9, 0u64..=5000, more).prop_map(
        |(budget, refill, [msix, apart], cpus, poll_frame, more)| {
            let masking = if msix { "msix" } else { "ring" };
            let header = if apart { "apart" } else { "with-frame" };
            format!(
                "[driver]\nbuffer = \"4096B\"\nbudget = {budget}\nrefill_threshold = {refill}\nmasking = \"{masking}\"\n\
                 tx_header = \"{header}\"\n{more}\
                 [cpus]\ncount = {cpus}\n[costs]\npoll_frame = \"{poll_frame}ns\"\n"
            )
        },
    )
}

/// A handle; `more` are further keys of it.
fn handle(more: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let buffers = (0u64..=200_000, 64u64..=70_000, 0u64..=40_000, 1u32..=2000);
    let reader = (0u64..=20_000, 0u64..=3000, 0u64..=2000, 1u64..=5000, any::<bool>());
    let filter = prop_oneof![
        Just(String::new()),
        // Accepts frames with an even source port.
        Just("filter = \"@programs/even.ddd\"\n".to_owned()),
    ];
    (buffers, reader, filter, more).prop_map(|((kernel, user, min, snaplen), reader, filter, more)| {
        let (frame, period, at, lasting, soft) = reader;
        format!(
            "[[handle]]\nkernel_buffer = \"{kernel}B\"\nuser_buffer = \"{user}B\"\nmin_to_copy = \"{min}B\"\n\
             snaplen = {snaplen}\nread_timeout = \"2ms\"\n{filter}packet_queue = {{ soft_limit = {soft} }}\n{more}\
             [handle.reader]\nframe = \"{frame}ns\"\nperiod = \"{period}us\"\n\
             stall = [{{ at = \"{at}us\", for = \"{lasting}us\" }}]\n"
        )
    })
}

/// Which engine, with which of its choices.
fn engine() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "segments",
        "worker",
        "packet-queue",
        "ring",
        "store-hold",
        "zero-copy",
    ]);
    let choice = prop::sample::select(vec!["cpu", "modulo", "round-robin"]);
    let mode = prop::sample::select(vec!["buffered", "zero-copy", "zero-copy-inherit"]);
    (name, choice, mode, prop::option::of(1u16..=12), 0u64..=3000, any::<[bool; 7]>()).prop_map(
        |(name, choice, mode, count, fork, [a, b, c, d, e, f, g])| {
            let count = count.map_or(String::new(), |count| format!("count = {count}, "));
            let word = if a { "32" } else { "64" };
            format!(
                "engine = \"{name}\"\nimmediate = {g}\n\
                 segments = {{ {count}choice = \"{choice}\", wake_on_drop = {a}, free_drift = {b} }}\n\
                 worker = {{ uncounted_full_drop = {c}, free_not_initialised = {d} }}\n\
                 ring = {{ prefilter_heuristic = {e} }}\n\
                 store_hold = {{ word = \"{word}\", head_drop = {f} }}\n\
                 zero_copy = {{ buffer_mode = \"{mode}\", word = \"{word}\", fork_at = \"{fork}us\" }}\n"
            )
        },
    )
}

/// What is done to a handle while it runs, and what it sends.
fn doings() -> impl Strategy<Value = String> {
    let what = prop_oneof![
        Just("filter = \"@programs/even.ddd\"".to_owned()),
        Just("filter = \"\", keep = true".to_owned()),
        (0u64..=100_000).prop_map(|bytes| format!("kernel_buffer = \"{bytes}B\"")),
        (0u64..=9_000).prop_map(|bytes| format!("user_buffer = \"{bytes}B\"")),
        (0u64..=9_000).prop_map(|bytes| format!("min_to_copy = \"{bytes}B\"")),
        any::<bool>().prop_map(|on| format!("immediate = {on}")),
        (1u32..=2000).prop_map(|bytes| format!("snaplen = {bytes}")),
        prop::sample::select(vec!["capture", "statistics", "dump"])
            .prop_map(|mode| format!("mode = \"{mode}\"")),
        prop::sample::select(vec!["inout", "in", "out"])
            .prop_map(|direction| format!("direction = \"{direction}\"")),
        any::<bool>().prop_map(|on| format!("skip_own = {on}")),
        Just("close = true".to_owned()),
    ];
    let control =
        (0u64..=4000, what).prop_map(|(at, what)| format!("{{ at = \"{at}us\", {what} }}"));
    let pacing = prop::sample::select(vec!["none", "npcap", "winpcap"]);
    let send = (0u64..=4000, 1u32..=40, 64u64..=1518, 0u64..=100, pacing).prop_map(
        |(at, frames, size, gap, pacing)| {
            format!(
                "{{ at = \"{at}us\", frames = {frames}, size = \"{size}B\", gap = \"{gap}us\", pacing = \"{pacing}\" }}"
            )
        },
    );
    let start = (prop::sample::select(vec!["capture", "statistics", "dump"]), any::<bool>());
    let dump = prop::option::of((0u64..=300, 24u64..=30_000));
    let lists = (prop::collection::vec(control, 0..=5), prop::collection::vec(send, 0..=2));
    (start, dump, lists).prop_map(|((mode, markers), dump, (controls, sends))| {
        let dump = dump.map_or(String::new(), |(packets, bytes)| {
            format!("dump = {{ max_packets = {packets}, max_bytes = \"{bytes}B\" }}\n")
        });
        format!(
            "mode = \"{mode}\"\nmarkers = {markers}\n{dump}control = [{}]\nsend = [{}]\n",
            controls.join(", "),
            sends.join(", ")
        )
    })
}

/// Scenarios of the packet queue that nobody interferes with: they drain.
fn tame() -> impl Strategy<Value = Choices> {
    let plain = Just(String::new());
    choices(nic(plain.clone()), host(plain.clone()), handle(plain))
}

/// Scenarios of any engine, in any mode, with anything done to them, and any driver.
fn wild() -> impl Strategy<Value = Choices> {
    let handle = handle((engine(), doings()).prop_map(|(engine, doings)| engine + &doings));
    choices(nic(nic_features()), host(driver_policies()), handle)
}

fn choices(
    nic: impl Strategy<Value = String>,
    host: impl Strategy<Value = String>,
    handle: impl Strategy<Value = String>,
) -> impl Strategy<Value = Choices> {
    let handles = prop::collection::vec(handle, 1..=3);
    (nic, traffic(), host, handles, any::<u32>())
        .prop_map(|(nic, traffic, host, handles, seed)| Choices {
            nic,
            traffic,
            host,
            handles,
            seed: seed.into(),
        })
        // Few of the draws do not fit together (a single flow with an elephant in it, say).
        .prop_filter("possible", |choices| choices.scenario().is_ok())
}

fn play(scenario: &Scenario) -> Outcome {
    let mut world = Embedded::new(scenario, setup::build(scenario).unwrap());
    world.check_everything();
    world.run(&mut Unwatched).outcome
}

/// Searches for a scenario that `property` refuses; shrinks it, writes it down and says where.
fn search(
    name: &str,
    choices: impl Strategy<Value = Choices>,
    property: impl Fn(&Outcome) -> Result<(), String>,
) -> Option<Scenario> {
    let result = TestRunner::new(config()).run(&choices, |choices| {
        property(&play(&choices.scenario().unwrap().resolved())).map_err(TestCaseError::fail)
    });
    match result {
        Ok(()) => None,
        Err(TestError::Fail(reason, choices)) => {
            let found = choices.scenario().unwrap().resolved();
            let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.toml"));
            std::fs::write(&file, found.to_toml()).unwrap();
            eprintln!("{reason}\nrepeat: cargo run --release -- run {}", file.display());
            Some(found)
        }
        Err(TestError::Abort(reason)) => panic!("no scenario could be drawn: {reason}"),
    }
}

/// Law, order, bytes and justification are checked inside the run; here is what they leave.
#[test]
fn any_scenario_keeps_the_account_and_drains() {
    let found = search("any_scenario", tame(), |outcome| {
        if !matches!(outcome.end, End::Complete) {
            return Err(format!("the run ended otherwise: {}", outcome.end));
        }
        let total = &outcome.total;
        if total.offered != total.delivered + total.filtered + total.dropped + outcome.held.sum() {
            return Err("the account does not add up".into());
        }
        drains(outcome)
    });
    assert!(found.is_none(), "see the scenario file named above");
}

/// Whatever the engine, the mode and the controls: each frame has one fate, and each drop is justified.
/// What a quirk or a closed limit holds back for ever may stay held.
#[test]
fn any_engine_mode_and_control_keeps_the_account() {
    let found = search("any_engine", wild(), |outcome| {
        if !matches!(outcome.end, End::Complete) {
            return Err(format!("the run ended otherwise: {}", outcome.end));
        }
        let total = &outcome.total;
        if total.offered != total.delivered + total.filtered + total.dropped + outcome.held.sum() {
            return Err("the account does not add up".into());
        }
        Ok(())
    });
    assert!(found.is_none(), "see the scenario file named above");
}

/// After the load stops, everything held is delivered within a bounded number of events.
fn drains(outcome: &Outcome) -> Result<(), String> {
    // A packet larger than the user buffer is cut, never stuck, so nothing may stay behind.
    if outcome.held.sum() != 0 {
        return Err(format!("{} frames are still held", outcome.held.sum()));
    }
    let (events, held) = outcome.at_source_end.ok_or("the source never ended")?;
    let after = outcome.events - events;
    // A frame meets ten events at most and each handle three more; timeouts, stalls and idle polls
    // come on top, a few per handle and queue.
    let handles = outcome.handles.len() as u64;
    let bound = held * (10 + 3 * handles) + 200 * (handles + outcome.queues.len() as u64);
    if after > bound {
        return Err(format!("{after} events after the load stopped with {held} frames held"));
    }
    Ok(())
}

/// The format of the rings, and what they may use, is nobody's business but that of device and driver: every
/// frame has the same fate at the same time, whatever was agreed, on two conditions. A kick takes no time,
/// because a device with packed rings may want one more or less; and interrupts are masked in the ring,
/// because one that interrupts into a masked vector does so at another time in each round of the ring.
#[test]
fn the_format_of_the_rings_changes_no_fate() {
    let drawn = tame().prop_map(|choices| Choices {
        host: choices
            .host
            .replace("[costs]\n", "[costs]\nkick = \"0s\"\n")
            .replace("\"msix\"", "\"ring\""),
        ..choices
    });
    let drawn = (drawn, any::<[bool; 4]>());
    let result = TestRunner::new(config()).run(&drawn, |(choices, other)| {
        let scenario = choices.scenario().unwrap().resolved();
        let [plain, other] = [[false; 4], other].map(|[packed, in_order, indirect_desc, apart]| {
            let mut scenario = scenario.clone();
            scenario.ring.format = if packed { RingFormat::Packed } else { RingFormat::Split };
            (scenario.nic.in_order, scenario.nic.indirect_desc) = (in_order, indirect_desc);
            scenario.driver.tx_header = if apart { TxHeader::Apart } else { TxHeader::WithFrame };
            let outcome = play(&scenario);
            let drops = format!("{:?}", outcome.first_drops);
            let handles = format!("{:?}", outcome.handles);
            (outcome.total, outcome.sim_time_ps, drops, handles)
        });
        prop_assert_eq!(plain, other);
        Ok(())
    });
    if let Err(TestError::Fail(reason, (choices, other))) = &result {
        panic!(
            "{reason}\n{other:?} (packed, in order, indirect, header apart)\n{}",
            choices.toml()
        );
    }
    result.unwrap();
}

/// The search itself works: asked for a scenario with a loss, it finds one, shrinks it, and the file
/// that it writes repeats the loss to the last event.
#[test]
fn a_found_scenario_repeats_from_its_file() {
    let lossless = |outcome: &Outcome| match outcome.dropped_for("buffer_full") {
        0 => Ok(()),
        n => Err(format!("{n} packets found the buffer full")),
    };
    let found = search("with_a_loss", tame(), lossless).expect("drawn scenarios lose packets");
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("with_a_loss.toml");
    let again = Scenario::load(&file, &[]).unwrap().resolved();
    let (first, second) = (play(&found), play(&again));
    assert!(second.dropped_for("buffer_full") > 0);
    assert_eq!(first.digest, second.digest);
}
