//! A run in a guest as text and as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use nic_model::DropReason;
use qemu::launch::Accel;
use qemu::protocol::{HandleAccount, QueueAccount, SocketAccount};
use serde_json::{Map, Value, json};

use super::{Account, End, Machine, Outcome};
use crate::nic::tally::Tally;
use crate::report::text::count;
use crate::scenario::Scenario;

/// Version of the JSON.
const VERSION: u32 = 1;

/// The report of a run that is over. `repeat` is the command that repeats it.
#[must_use]
pub fn text(scenario: &Scenario, outcome: &Outcome, repeat: &str) -> String {
    let mut text = format!("{}\n", scenario.name);
    for line in scenario.description.trim().lines() {
        text += &format!("  {}\n", line.trim());
    }
    text += "\n";
    text += &account(&outcome.account);
    if let Some(machine) = &outcome.machine {
        text += &of_machine(machine);
    }
    for notice in &outcome.notices {
        let _ = writeln!(text, "note: {notice}");
    }
    for fault in &outcome.faults {
        let _ = writeln!(text, "fault: {fault}");
    }
    match &outcome.end {
        End::Complete => {}
        End::Interrupted => text += "end: interrupted\n",
        End::TimeLimit => text += "end: the time limit is reached\n",
        End::Failed { .. } => text += "end: failed; the account up to then\n",
    }
    let seconds = outcome.wall.as_secs_f64();
    let rate = outcome.account.offered() as f64 / seconds.max(1e-9) / 1e3;
    let _ = writeln!(text, "seed {}  wall {seconds:.2} s  {rate:.1} kpps offered", scenario.seed);
    let _ = writeln!(text, "account: {}", standing(outcome));
    let _ = writeln!(text, "repeat: {repeat}");
    text
}

/// Of a run that broke off nobody can say that its account adds up.
fn standing(outcome: &Outcome) -> String {
    match outcome.check() {
        None => "open: the guest was not asked at rest".into(),
        Some(Ok(())) => "ok".into(),
        Some(Err(wrong)) => wrong,
    }
}

fn of_machine(machine: &Machine) -> String {
    let accel = accel(machine.accel);
    let interrupts = if machine.msix { "MSI-X" } else { "one interrupt line" };
    let memory = if machine.bypasses_iommu { "no IOMMU" } else { "behind an IOMMU" };
    let part = |time: Option<Duration>| match time {
        Some(time) => format!("{:.3} s", time.as_secs_f64()),
        None => "-".into(),
    };
    format!(
        "machine: {} on QEMU {} ({accel}), {interrupts}, {memory}\n\
         boot: QEMU to hello {}, to ready {}, to the first captured frame {}\n",
        machine.system,
        machine.qemu,
        part(Some(machine.boot)),
        part(machine.ready),
        part(machine.first_frame)
    )
}

/// Who executed, as `--accel` has it.
#[must_use]
pub fn accel(accel: Accel) -> &'static str {
    match accel {
        Accel::Kvm => "kvm",
        Accel::Auto | Accel::Tcg => "tcg",
    }
}

/// The table of an account, and what its drops are made of.
#[must_use]
pub fn account(account: &Account) -> String {
    let mut text = String::new();
    queues(&mut text, account);
    for SocketAccount { name, seen, dropped, taken, .. } in &account.guest.sockets {
        let _ = writeln!(
            text,
            "{name:<14}{:>13} seen = {} taken + {} dropped by the kernel",
            count(*seen),
            count(*taken),
            count(*dropped)
        );
    }
    if !account.guest.sockets.is_empty() {
        text += "\n";
    }
    row(&mut text, "", ["shown", "delivered", "filtered", "dropped", "held"].map(str::to_owned));
    for handle in &account.guest.handles {
        let HandleAccount { shown, delivered, filtered, held, .. } = handle;
        let cells = [*shown, *delivered, *filtered, handle.dropped_total(), *held].map(count);
        row(&mut text, &handle.name, cells);
    }
    text += "\n";
    for reason in DropReason::ALL {
        let frames = nic_drops(account, reason);
        if frames > 0 {
            let _ = writeln!(text, "{} {}: {}", count(frames), reason.name(), reason.describe());
        }
    }
    for (number, queue) in account.guest.queues.iter().enumerate() {
        for (reason, frames) in &queue.dropped {
            let _ = writeln!(text, "{} {reason} (driver, rxq{number})", count(*frames));
        }
    }
    for handle in &account.guest.handles {
        for (reason, frames) in &handle.dropped {
            let _ = writeln!(text, "{} {reason} ({})", count(*frames), handle.name);
        }
    }
    text
}

fn nic_drops(account: &Account, reason: DropReason) -> u64 {
    account.nic.iter().map(|nic| nic.device.dropped[reason.index()]).sum()
}

/// By queue: with our driver also what it has made of the frames, with Linux's the NIC's interrupts.
fn queues(text: &mut String, account: &Account) {
    let ours = !account.guest.queues.is_empty();
    let third = if ours { "indicated" } else { "interrupts" };
    let titles = ["offered", "delivered", third, "dropped", "in FIFO"];
    row(text, "", titles.map(str::to_owned));
    for (number, nic) in account.nic.iter().enumerate() {
        let queue = account.guest.queues.get(number);
        let dropped = nic.device.dropped_total() + queue.map_or(0, QueueAccount::dropped_total);
        let third = count(queue.map_or(nic.interrupts[0], |queue| queue.indicated));
        let [offered, written] = [nic.device.offered, nic.device.written].map(count);
        let cells = [offered, written, third, count(dropped), count(nic.held)];
        row(text, &format!("rxq{number}"), cells);
    }
    *text += "\n";
}

fn row(text: &mut String, name: &str, cells: [String; 5]) {
    let [one, two, three, four, five] = cells;
    let line = format!("{name:<14}{one:>13}{two:>13}{three:>13}{four:>10}{five:>10}");
    let _ = writeln!(text, "{}", line.trim_end());
}

/// The report as JSON, on several lines (`schemas/vm.schema.json`).
#[must_use]
pub fn json(scenario: &Scenario, outcome: &Outcome) -> String {
    let Outcome { end, account, machine, wall, driver, nic, notices, faults } = outcome;
    let (end, error) = match end {
        End::Complete => ("complete", None),
        End::Interrupted => ("interrupted", None),
        End::TimeLimit => ("time_limit", None),
        End::Failed { error, .. } => ("failed", Some(error)),
    };
    let value = json!({
        "v": VERSION,
        "world": "vm",
        "name": scenario.name,
        "seed": scenario.seed,
        "driver": driver.name(),
        "nic": nic.name(),
        "end": end,
        "error": error,
        "account": {
            "offered": account.offered(),
            "delivered": account.delivered(),
            "indicated": account.guest.indicated(),
            "dropped": account.dropped(),
            "held": account.held(),
            "ok": outcome.check() == Some(Ok(())),
        },
        "lanes": account.nic.iter().map(Tally::json).collect::<Vec<_>>(),
        "queues": account.guest.queues.iter().map(queue).collect::<Vec<_>>(),
        "sockets": account.guest.sockets,
        "interface": account.guest.interface,
        "driver_counters": account.guest.driver,
        "handles": account.guest.handles.iter().map(handle).collect::<Vec<_>>(),
        "machine": machine.as_ref().map(machine_json),
        "wall_s": wall.as_secs_f64(),
        "notices": notices,
        "faults": faults,
        "scenario": scenario,
    });
    // Maps have string keys and numbers are finite, so this cannot fail.
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.push('\n');
    text
}

fn machine_json(machine: &Machine) -> Value {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    json!({
        "qemu": machine.qemu.to_string(),
        "accel": accel(machine.accel),
        "system": machine.system,
        "msix": machine.msix,
        "bypasses_iommu": machine.bypasses_iommu,
        "boot_s": machine.boot.as_secs_f64(),
        "ready_s": seconds(machine.ready),
        "first_frame_s": seconds(machine.first_frame),
    })
}

fn queue(queue: &QueueAccount) -> Value {
    json!({
        "received": queue.received,
        "indicated": queue.indicated,
        "bytes": queue.bytes,
        "dropped": queue.dropped_total(),
        "drop_reasons": queue.dropped,
        "messages": queue.messages,
        "counters": queue.counters,
        "error": queue.error,
    })
}

fn handle(handle: &HandleAccount) -> Value {
    let all = serde_json::to_value(handle).unwrap_or_default();
    let mut all: Map<String, Value> = all.as_object().cloned().unwrap_or_default();
    if let Some(reasons) = all.insert("dropped".into(), handle.dropped_total().into()) {
        all.insert("drop_reasons".into(), reasons);
    }
    all.into()
}
