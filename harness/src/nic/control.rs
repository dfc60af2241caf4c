//! The control socket: a command per line, an answer per line, both one JSON object.
//!
//! | command | what it does |
//! |---|---|
//! | `{"command":"stats"}` | the account, by lane and in total |
//! | `{"command":"go"}` | the traffic of a daemon that was started with `--hold` begins |
//! | `{"command":"link","up":false}` | pulls the cable out, or puts it in |
//! | `{"command":"rss","key":"6d5a…","table":[0,1,0,1]}` | RSS by hash key and indirection table; either may be left out |
//! | `{"command":"fault","kind":"dma_slow","lane":0,"amount":40}` | a fault of `rxlab faults` that the NIC itself does |
//! | `{"command":"stop"}` | ends the daemon |
//!
//! Contract: every line is answered, a bad one with `{"ok":false,"error":…}` that says what would do.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nic_model::{Fault, Lie};
use serde::Deserialize;
use serde_json::{Value, json};

use super::desk::Desk;
use super::lane::Order;
use super::tally::Tally;
use crate::scenario::Indirection;

/// Longest line of a client.
const LINE_MAX: u64 = 64 * 1024;

/// Answers a client line by line, until it has gone or must go. `stop` is called when the daemon is to end.
pub fn serve(stream: &UnixStream, desk: &Desk, stop: impl Fn()) {
    if stream.set_write_timeout(Some(Duration::from_secs(1))).is_err() {
        return;
    }
    let mut lines = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let read = (&mut lines).take(LINE_MAX).read_until(b'\n', &mut line);
        if read.is_err() || line.pop() != Some(b'\n') {
            return;
        }
        let (answer, stops) = obey(&line, desk);
        // One write: a socket counts many small ones as full much sooner.
        let sent = (&mut &*stream).write_all(format!("{answer}\n").as_bytes());
        if stops {
            return stop();
        }
        if sent.is_err() {
            return;
        }
    }
}

#[derive(Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
enum Command {
    Stats,
    Go,
    Link { up: bool },
    Rss { key: Option<String>, table: Option<Vec<u16>> },
    Fault(Ask),
    Stop,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    kind: String,
    #[serde(default)]
    lane: u16,
    amount: Option<u64>,
    #[serde(default = "yes")]
    on: bool,
}

fn yes() -> bool {
    true
}

/// Does what a line says; the answer, and whether the daemon is to end.
fn obey(line: &[u8], desk: &Desk) -> (Value, bool) {
    let command = match serde_json::from_slice::<Command>(line) {
        Ok(command) => command,
        Err(error) => return (refusal(&error.to_string()), false),
    };
    let stop = matches!(command, Command::Stop);
    let done = match command {
        Command::Stats => return (stats(desk), false),
        Command::Stop => Ok(()),
        Command::Go => {
            desk.go();
            Ok(())
        }
        Command::Link { up } => {
            desk.lanes().iter().for_each(|lane| lane.order(Order::Link(up)));
            Ok(())
        }
        Command::Rss { key, table } => rss(desk, key.as_deref(), table),
        Command::Fault(ask) => fault(desk, &ask),
    };
    match done {
        Ok(()) => (json!({ "ok": true }), stop),
        Err(why) => (refusal(&why), false),
    }
}

fn refusal(why: &str) -> Value {
    json!({ "ok": false, "error": why })
}

fn stats(desk: &Desk) -> Value {
    desk.settle();
    let tallies = desk.tallies();
    let lanes: Vec<Value> = tallies.iter().map(Tally::json).collect();
    let connections = *desk.connections();
    json!({
        "ok": true,
        "connected": desk.is_connected(),
        "iommu": desk.translates(),
        "connections": {
            "accepted": connections.accepted,
            "turned_away": connections.turned_away,
            "dropped": connections.dropped,
            "closed": connections.closed,
            "vrings_refused": connections.vrings_refused,
            "channels_dropped": connections.channels_dropped,
        },
        "total": Tally::sum(&tallies).json(),
        "lanes": lanes,
    })
}

fn rss(desk: &Desk, key: Option<&str>, table: Option<Vec<u16>>) -> Result<(), String> {
    let mut rxfh = desk.rxfh().clone();
    if let Some(key) = key {
        rxfh.key = key.parse()?;
    }
    if let Some(table) = table {
        let lanes = desk.lanes().len();
        if !table.len().is_power_of_two() || table.len() > 128 {
            return Err(format!("table of {} entries: a power of two up to 128", table.len()));
        }
        if let Some(entry) = table.iter().find(|entry| usize::from(**entry) >= lanes) {
            return Err(format!("table entry {entry}: queues are 0 to {}", lanes - 1));
        }
        rxfh.indirection = Indirection::Table(table);
    }
    rxfh.enabled = true;
    *desk.rxfh() = rxfh;
    desk.steer();
    Ok(())
}

fn fault(desk: &Desk, ask: &Ask) -> Result<(), String> {
    let Ask { kind, lane, amount, on } = ask;
    let number = || amount.ok_or_else(|| format!("{kind} needs \"amount\""));
    let narrow = |value: u64| {
        u32::try_from(value).map_err(|_| format!("amount {value}: up to {}", u32::MAX))
    };
    let lie = |lie| Fault::Completion { pair: None, lie };
    let fault = match kind.as_str() {
        "fifo_shrink" => Fault::FifoShrink { bytes: if *on { Some(number()?) } else { None } },
        "dma_slow" => Fault::DmaSlow { times: if *on { narrow(number()?)? } else { 1 } },
        "dma_stall" => Fault::DmaStall { lasting_ps: number()? },
        "used_index_delayed" => Fault::UsedIndexDelayed { pair: 0, on: *on },
        "queue_stuck" => Fault::QueueStuck { pair: 0, on: *on },
        "completion_duplicated" => lie(Lie::Duplicated),
        "completion_stale" => lie(Lie::Stale),
        "completion_short" => lie(Lie::Short { len: narrow(number()?)? }),
        "completion_wrong_id" => lie(Lie::WrongId),
        "device_reset" => Fault::DeviceReset,
        other => {
            return Err(format!(
                "kind {other}: one of fifo_shrink, dma_slow, dma_stall, used_index_delayed, queue_stuck, \
                 completion_duplicated, completion_stale, completion_short, completion_wrong_id, device_reset"
            ));
        }
    };
    let lanes = desk.lanes();
    let Some(of) = lanes.get(usize::from(*lane)) else {
        return Err(format!("lane {lane}: there are 0 to {}", lanes.len() - 1));
    };
    match of.ask(|done| Order::Fault(fault, done)) {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(error.to_string()),
        None => Err(format!("lane {lane} has ended")),
    }
}
