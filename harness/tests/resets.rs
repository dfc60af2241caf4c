//! Resets under load, by scenario: every frame meets a fate, and the run goes on.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

mod common;

use serde_json::Value;

fn run(sets: &[&str]) -> Value {
    let mut args = vec!["run", "scenarios/resets.toml"];
    args.extend(sets.iter().flat_map(|set| ["--set", set]));
    common::result(&args)
}

fn counter(result: &Value, name: &str) -> u64 {
    let queues = result["queues"].as_array().unwrap();
    queues.iter().map(|queue| queue["counters"]["driver"][name].as_u64().unwrap()).sum()
}

#[test]
fn every_frame_has_its_fate_in_a_reset_under_load() {
    let result = run(&[]);
    assert_eq!(result["account"]["ok"], true);
    assert_eq!(result["end"], "complete");
    assert_eq!(counter(&result, "queue_resets"), 5, "one of queue 0, two of each for its size");
    assert!(counter(&result, "reset_taken") > 0, "used rings are not empty at 4 Mpps");
    assert_eq!(result["account"]["held"], 0);
    let dropped = result["account"]["dropped"].as_object().unwrap();
    for reason in dropped.keys() {
        assert!(["queue_reset", "reset", "no_descriptor"].contains(&reason.as_str()), "{reason}");
    }
    let delivered = result["account"]["delivered"].as_u64().unwrap();
    assert!(delivered > 190_000, "it goes on after each reset: {delivered}");
}

#[test]
fn resets_may_come_at_any_time_and_with_any_policy() {
    let policies = [
        vec!["driver.moderation=busy-poll"],
        vec!["driver.moderation=defer-hard-irqs", "driver.masking=msix"],
        vec!["driver.moderation=adaptive", "nic.event_idx=false"],
        vec!["driver.refill=when-empty", "nic.fifo=4KiB"],
        vec!["driver.refill=without-kick", "driver.rearm=blind"],
        vec!["driver.budget=8", "dma.frame=400ns"],
    ];
    for (round, policy) in policies.iter().enumerate() {
        let at = format!("driver.control.3.at={}us", 33_333 + 7 * round);
        let mut sets = vec!["traffic.frames=160000", at.as_str()];
        sets.extend(policy);
        let result = run(&sets);
        assert_eq!(result["account"]["ok"], true, "{sets:?}");
        assert_eq!(counter(&result, "queue_resets"), 5, "{sets:?}");
    }
}

#[test]
fn channels_come_and_go_under_load() {
    let result = run(&[
        "traffic.frames=160000",
        "driver.control=[{ at = '10ms', combined = 1 }, { at = '20ms', combined = 2 }]",
    ]);
    assert_eq!(result["account"]["ok"], true);
    assert_eq!(result["end"], "complete");
    let frames =
        |queue: usize| result["queues"][queue]["counters"]["driver"]["indicated"].as_u64().unwrap();
    assert!(frames(1) > 0 && frames(0) > frames(1) + 30_000, "{} {}", frames(0), frames(1));
}

#[test]
fn a_device_that_moderates_interrupts_less_under_load() {
    let interrupts = |moderation: &str| {
        let moderation = format!("driver.moderation={moderation}");
        let sets = ["traffic.frames=160000", "nic.vq_notf_coal=true", &moderation];
        let result = run(&[&sets[..], &["driver.control=[]"]].concat());
        assert_eq!(result["account"]["ok"], true);
        counter(&result, "interrupts")
    };
    let (plain, moderated) = (interrupts("interrupts"), interrupts("adaptive-device"));
    assert!(moderated < plain / 2, "{moderated} of {plain}");
}
