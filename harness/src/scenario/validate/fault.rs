//! Checks of the faults: when each comes, and which keys its kind has.

use super::super::units::{Bytes, Duration};
use super::super::{Amount, Fault, Scenario, Traffic};
use super::{Impossible, LONGEST_RUN, within, wrong};
use crate::fault::{Key, Kind, Unit};

/// A run with more of them is a mistake.
const FAULTS_MAX: usize = 10_000;
/// How many times as long a transfer may take.
const SLOWEST: u64 = 1_000_000;
/// Hits in a row.
const COUNT_MAX: u32 = 1_000_000;

pub(super) fn check(scenario: &Scenario) -> Result<(), Impossible> {
    if scenario.fault.len() > FAULTS_MAX {
        let what = format!("{} faults", scenario.fault.len());
        return wrong(&["fault"], what, format!("{FAULTS_MAX} at most"));
    }
    for (index, fault) in scenario.fault.iter().enumerate() {
        check_one(scenario, &format!("fault.{index}"), fault)?;
    }
    Ok(())
}

fn check_one(scenario: &Scenario, at: &str, fault: &Fault) -> Result<(), Impossible> {
    let key = |name: &str| format!("{at}.{name}");
    when(scenario, &key, fault)?;
    keys(&key, fault)?;
    if let Some(lasting) = fault.lasting {
        within(&key("for"), lasting, Duration(1), LONGEST_RUN)?;
    }
    if let Some(count) = fault.count {
        within(&key("count"), count, 1, COUNT_MAX)?;
    }
    let channels = scenario.channels.combined;
    if let Some(queue) = fault.queue.filter(|queue| *queue >= channels) {
        let allowed = format!("queues are 0 to {} (channels.combined = {channels})", channels - 1);
        let keys = [&key("queue") as &str, "channels.combined"];
        return wrong(&keys, format!("there is no queue {queue}"), allowed);
    }
    if let Some(cpu) = fault.cpu.filter(|cpu| *cpu >= scenario.cpu_count()) {
        let allowed = format!("CPUs are 0 to {}", scenario.cpu_count() - 1);
        let keys = [&key("cpu") as &str, "cpus.count"];
        return wrong(&keys, format!("there is no CPU {cpu}"), allowed);
    }
    if fault.kind == Kind::Runt && scenario.min_frame() == Bytes(14) {
        let what = "no frame is short enough for a runt: min_frame is 14B";
        let allowed = "set wire.min_frame to 15B or more (60B is Ethernet's)";
        return wrong(&[&key("kind"), "wire.min_frame"], what, allowed);
    }
    amount(&key, fault)?;
    let fifo = scenario.nic.fifo;
    if let (Kind::FifoShrink, Some(Amount::Bytes(left))) = (fault.kind, fault.amount)
        && left > fifo
    {
        let keys = [&key("amount") as &str, "nic.fifo"];
        let what = format!("a FIFO of {fifo} does not shrink to {left}");
        return wrong(&keys, what, format!("{fifo} (nic.fifo) at most"));
    }
    Ok(())
}

fn when(
    scenario: &Scenario,
    key: &impl Fn(&str) -> String,
    fault: &Fault,
) -> Result<(), Impossible> {
    let said = [fault.at.is_some(), fault.frame.is_some(), fault.chance.is_some()];
    let name = fault.kind.name();
    if said.iter().filter(|said| **said).count() != 1 {
        let keys = [key("at"), key("frame"), key("chance"), key("kind")];
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let what = match said.contains(&true) {
            true => format!("{name} at two different occasions"),
            false => format!("nothing says when {name} happens"),
        };
        return wrong(&keys, what, "one of at = \"1ms\", frame = 1000 and chance = \"1/1000\"");
    }
    if let Some(at) = fault.at {
        within(&key("at"), at, Duration(0), LONGEST_RUN)?;
    }
    if let (Some(frame), Traffic::Generator(traffic)) = (fault.frame, &scenario.traffic)
        && frame >= traffic.frames
    {
        let keys = [&key("frame") as &str, "traffic.frames"];
        let allowed = format!("0 to {} (traffic.frames = {})", traffic.frames - 1, traffic.frames);
        return wrong(&keys, format!("there is no frame {frame}"), allowed);
    }
    Ok(())
}

/// Keys that must be there, and those that mean nothing here.
fn keys(key: &impl Fn(&str) -> String, fault: &Fault) -> Result<(), Impossible> {
    let (kind, rules) = (fault.kind.name(), fault.kind.keys());
    for (name, rule) in rules {
        let there = match name {
            "for" => fault.lasting.is_some(),
            "queue" => fault.queue.is_some(),
            "count" => fault.count.is_some(),
            "amount" => fault.amount.is_some(),
            _ => fault.cpu.is_some(),
        };
        let what = match (rule, there) {
            (Key::Must, false) => format!("{kind} needs the key `{name}`"),
            (Key::No, true) => format!("{kind} has no key `{name}`"),
            _ => continue,
        };
        let wanted = |(name, rule): &(&str, Key)| match rule {
            Key::No => None,
            Key::May => Some(format!("{name} (may be left out)")),
            Key::Must => Some((*name).to_owned()),
        };
        let list: Vec<String> = rules.iter().filter_map(wanted).collect();
        let allowed = match list.is_empty() {
            true => format!("{kind} has only the key that says when"),
            false => format!("keys of {kind}: {}", list.join(", ")),
        };
        return wrong(&[&key(name), &key("kind")], what, allowed);
    }
    Ok(())
}

fn amount(key: &impl Fn(&str) -> String, fault: &Fault) -> Result<(), Impossible> {
    let key = key("amount");
    match (fault.kind.facts().amount, fault.amount) {
        (Unit::Bytes, Some(Amount::Bytes(bytes))) => {
            within(&key, bytes, Bytes(0), Bytes(u32::MAX.into()))
        }
        (Unit::Times, Some(Amount::Number(times))) => within(&key, times, 2, SLOWEST),
        (Unit::Bytes, Some(_)) => wrong(&[&key], "a number without unit", "a size, like \"4KiB\""),
        (Unit::Times, Some(_)) => wrong(&[&key], "a size", "how many times as long, like 10"),
        (Unit::None, _) | (_, None) => Ok(()),
    }
}
