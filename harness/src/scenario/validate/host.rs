//! Checks of the CPUs, the costs, the handles and their readers.

use super::super::units::{Bytes, Duration};
use super::super::{BufferMode, Control, Engine, Handle, Mode, Scenario, Send};
use super::{Impossible, LONGEST_COST, LONGEST_RUN, MEMORY_MAX, within, wrong};

/// A record of the capture buffer opens with so many bytes: `struct bpf_hdr` as Npcap has it.
const RECORD_HEADER: u64 = 20;

pub(super) fn check(scenario: &Scenario) -> Result<(), Impossible> {
    cpus(scenario)?;
    for (name, cost) in scenario.costs.named() {
        within(&format!("costs.{name}"), cost, Duration(0), LONGEST_COST)?;
    }
    if scenario.handle.len() > 64 {
        let what = format!("{} handles", scenario.handle.len());
        return wrong(&["handle.64"], what, "64 at most");
    }
    let handles = scenario.handles();
    for (index, handle) in handles.iter().enumerate() {
        check_handle(scenario, &format!("handle.{index}"), handle)?;
        if handles[..index].iter().any(|other| other.name == handle.name) {
            let what = format!("a second handle called \"{}\"", handle.name);
            let key = format!("handle.{index}.name");
            return wrong(&[&key], what, "each handle needs a name of its own");
        }
    }
    compare(scenario)?;
    if let Some(at) = scenario.run.detach_at {
        within("run.detach_at", at, Duration(0), LONGEST_RUN)?;
    }
    within("run.drain", scenario.run.drain, Duration(0), LONGEST_RUN)
}

fn compare(scenario: &Scenario) -> Result<(), Impossible> {
    let compare = &scenario.compare;
    for (index, engine) in compare.engine.iter().enumerate() {
        if compare.engine[..index].contains(engine) {
            let key = format!("compare.engine.{index}");
            return wrong(&[&key], format!("{} a second time", engine.name()), "each engine once");
        }
    }
    if compare.key.is_empty() != compare.values.is_empty() {
        let allowed = "give compare.key and compare.values, or neither";
        return wrong(&["compare.key", "compare.values"], "one without the other", allowed);
    }
    Ok(())
}

fn cpus(scenario: &Scenario) -> Result<(), Impossible> {
    within("cpus.count", scenario.cpu_count(), 1, 1024)?;
    let Some(rx) = &scenario.cpus.rx else { return Ok(()) };
    let channels = usize::from(scenario.channels.combined);
    if rx.len() != channels {
        let what = format!("{} CPUs for {channels} queues", rx.len());
        return wrong(&["cpus.rx", "channels.combined"], what, "name one CPU for each queue");
    }
    for (queue, &chosen) in rx.iter().enumerate() {
        cpu(scenario, &format!("cpus.rx.{queue}"), chosen)?;
    }
    Ok(())
}

fn cpu(scenario: &Scenario, key: &str, cpu: u16) -> Result<(), Impossible> {
    let count = scenario.cpu_count();
    if cpu < count {
        return Ok(());
    }
    let allowed = format!("CPUs are 0 to {} (cpus.count = {count})", count - 1);
    wrong(&[key, "cpus.count"], format!("there is no CPU {cpu}"), allowed)
}

fn check_handle(scenario: &Scenario, at: &str, handle: &Handle) -> Result<(), Impossible> {
    let key = |name: &str| format!("{at}.{name}");
    within(&key("kernel_buffer"), handle.kernel_buffer, Bytes(0), MEMORY_MAX)?;
    within(&key("user_buffer"), handle.user_buffer, Bytes(RECORD_HEADER), MEMORY_MAX)?;
    within(&key("min_to_copy"), handle.min_to_copy, Bytes(0), MEMORY_MAX)?;
    within(&key("read_timeout"), handle.read_timeout, Duration(0), LONGEST_RUN)?;
    within(&key("snaplen"), handle.snaplen, 1, u32::MAX)?;
    if let Some(filter) = &handle.filter
        && filter.trim_start_matches('@').trim().is_empty()
    {
        let allowed = "an expression like \"udp port 53\", \"@FILE\", or leave it out to keep all";
        return wrong(&[&key("filter")], "an empty filter", allowed);
    }
    let reader = &handle.reader;
    cpu(scenario, &key("worker.cpu"), scenario.worker_cpu(handle))?;
    cpu(scenario, &key("reader.cpu"), scenario.reader_cpu(handle))?;
    if let Some(at) = handle.zero_copy.fork_at {
        within(&key("zero_copy.fork_at"), at, Duration(0), LONGEST_RUN)?;
    }
    if let Some(count) = handle.segments.count {
        within(&key("segments.count"), count, 1, 1024)?;
    }
    within(&key("reader.frame"), scenario.reader_frame(handle), Duration(0), LONGEST_COST)?;
    for (name, time) in [("reader.period", reader.period), ("reader.stop_at", reader.stop_at)] {
        if let Some(time) = time {
            within(&key(name), time, Duration(0), LONGEST_RUN)?;
        }
    }
    if shares_buffers(handle)
        && let Some(mode) = dump_key(handle)
    {
        let allowed = "a dump needs a kernel buffer: another engine, or buffer_mode = \"buffered\"";
        return wrong(
            &[&key(&mode), &key("engine")],
            "zero-copy buffers cannot be dumped",
            allowed,
        );
    }
    super::windows(&key("reader.stall"), &reader.stall)?;
    for (index, send) in handle.send.iter().enumerate() {
        check_send(&key(&format!("send.{index}")), send)?;
    }
    for (index, control) in handle.control.iter().enumerate() {
        check_control(&key(&format!("control.{index}")), control)?;
    }
    Ok(())
}

/// Whether the buffers belong to the reading process.
fn shares_buffers(handle: &Handle) -> bool {
    handle.engine == Engine::ZeroCopy && handle.zero_copy.buffer_mode != BufferMode::Buffered
}

/// The key that puts the handle into dump mode, if any does.
fn dump_key(handle: &Handle) -> Option<String> {
    if handle.mode == Mode::Dump {
        return Some("mode".to_owned());
    }
    let control = handle.control.iter().position(|control| control.mode == Some(Mode::Dump))?;
    Some(format!("control.{control}.mode"))
}

fn check_send(at: &str, send: &Send) -> Result<(), Impossible> {
    let key = |name: &str| format!("{at}.{name}");
    within(&key("at"), send.at, Duration(0), LONGEST_RUN)?;
    within(&key("frames"), send.frames, 1, 1_000_000)?;
    within(&key("size"), send.size, Bytes(64), Bytes(1518))?;
    within(&key("gap"), send.gap, Duration(0), Duration(3600 * 1_000_000_000_000))?;
    within(&key("repeat"), send.repeat, 0, 1_000_000)?;
    if send.repeat != 1 && send.frames != 1 {
        let allowed = "repeat goes with frames = 1: the frames of a queue are sent once each";
        return wrong(&[&key("repeat"), &key("frames")], "a queue that repeats", allowed);
    }
    Ok(())
}

fn check_control(at: &str, control: &Control) -> Result<(), Impossible> {
    let key = |name: &str| format!("{at}.{name}");
    within(&key("at"), control.at, Duration(0), LONGEST_RUN)?;
    if let Some(timeout) = control.read_timeout {
        within(&key("read_timeout"), timeout, Duration(0), LONGEST_RUN)?;
    }
    if let Some(bytes) = control.user_buffer {
        within(&key("user_buffer"), bytes, Bytes(0), MEMORY_MAX)?;
    }
    let nothing = Control { at: control.at, ..Control::default() };
    if *control == nothing {
        return wrong(&[&key("at")], "a control that changes nothing", "name what it changes");
    }
    if control.keep && control.filter.is_none() {
        let allowed = "`keep` goes with a new `filter`";
        return wrong(&[&key("keep")], "keep without filter", allowed);
    }
    Ok(())
}
