//! A reading program of one's own in the laboratory: counts packets by length while the NIC, the driver
//! and the capture buffer of a scenario do their work. A template: `cargo run --example reader -p harness`.

use harness::scenario::Scenario;
use harness::world::embedded::Unwatched;
use harness::world::laboratory::Laboratory;
use harness::world::setup;
use npf_core::capture::{Capture, Next};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/slow-reader.toml");
    let file = std::env::args_os().nth(1).map_or(default, Into::into);
    let scenario = Scenario::load(&file, &[])?.resolved();
    let parts = setup::build(&scenario)?;
    let mut laboratory = Laboratory::new(&scenario, parts, 0, Unwatched)?;

    // From here on as with libpcap.
    let mut capture = Capture::create(&mut laboratory);
    capture.set_snaplen(64)?;
    capture.set_timeout_ms(10)?;
    for warning in capture.activate()? {
        eprintln!("warning: {warning}");
    }
    let mut lengths = BTreeMap::new();
    let mut timeouts = 0;
    loop {
        match capture.next_ex()? {
            Next::Packet(packet) => *lengths.entry(packet.len).or_insert(0u64) += 1,
            Next::Timeout => timeouts += 1,
            Next::Ended => break,
        }
    }
    let stats = capture.stats()?;

    // What libpcap cannot tell: what became of every other frame.
    let outcome = laboratory.finish().outcome;
    for (length, packets) in &lengths {
        println!("{length:>5} bytes: {packets} packets");
    }
    println!("{timeouts} time-outs; {} received, {} dropped", stats.recv, stats.drop);
    for (reason, frames) in outcome.total.occurred() {
        println!("{frames} frames: {}", reason.describe());
    }
    println!("account: {}", if outcome.ok() { "ok" } else { "BROKEN" });
    Ok(())
}
