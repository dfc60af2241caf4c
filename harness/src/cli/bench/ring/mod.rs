//! `rxlab bench ring`: what a frame costs at a virtqueue, on the device's side and on the driver's.
//!
//! The device's side fetches a chain, writes the frame into its buffer and returns it: with `virtio-queue`
//! bare, with the same behind full validation (the reference), and with the batched rings, 64 chains at a
//! time. The driver's side polls and refills what a batched device has filled. Making chains available
//! again is not timed. Before anything is timed, each writes a lap of frames that are looked at.

mod bare;
mod device;
mod driver;
mod place;

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::{Figures, Spread, show};
use crate::exit::Exit;

/// Bytes written per frame, the virtio header included.
const SIZES: [usize; 2] = [64, 1514];

/// Bytes of that header; nothing is negotiated that makes it longer.
const HEADER_LEN: usize = nic_model::spec::header::LEN;

/// What to measure.
#[derive(Args)]
pub struct RingArgs {
    /// Timed rounds; in each, every implementation has its turn with every size.
    #[arg(long, default_value_t = 101)]
    rounds: usize,
    /// Laps of 256 frames in a turn.
    #[arg(long, default_value_t = 40)]
    laps: usize,
    /// Print the figures as JSON instead of the table.
    #[arg(long)]
    json: bool,
}

/// Runs the benchmark.
pub fn ring(args: &RingArgs) -> Exit {
    show(args.json, measure(args))
}

/// Somebody who takes frames through a ring.
trait Side {
    /// What the table calls it.
    fn name(&self) -> &'static str;

    /// Takes [`place::ENTRIES`] frames like this one through the ring; the time of its own part.
    fn lap(&mut self, frame: &[u8]) -> Result<Duration, String>;

    /// Whether the last lap left the frame where it belongs.
    fn check(&self, frame: &[u8]) -> Result<(), String>;
}

fn measure(args: &RingArgs) -> Result<Table, String> {
    let (rounds, laps) = (args.rounds.max(1), args.laps.max(1));
    let mut sides = sides()?;
    let frames = SIZES.map(frame);
    for side in &mut sides {
        for frame in &frames {
            side.lap(frame)?;
            side.check(frame).map_err(|what| format!("{}: {what}", side.name()))?;
        }
    }
    let mut times = vec![SIZES.map(|_| Vec::with_capacity(rounds)); sides.len()];
    for _ in 0..rounds {
        for (size, frame) in frames.iter().enumerate() {
            for (side, times) in sides.iter_mut().zip(&mut times) {
                let mut time = Duration::ZERO;
                for _ in 0..laps {
                    time += side.lap(frame)?;
                }
                let frames = laps * usize::from(place::ENTRIES);
                times[size].push(time.as_nanos() as f64 / frames as f64);
            }
        }
    }
    let rows = sides.iter().zip(&times).map(|(side, times)| Row {
        name: side.name(),
        ns_64: Spread::of(&times[0]),
        ns_1514: Spread::of(&times[1]),
    });
    Ok(Table { rounds, frames: laps * usize::from(place::ENTRIES), rings: rows.collect() })
}

/// A header that says nothing but that the frame has one buffer (5.1.6), and bytes.
fn frame(len: usize) -> Vec<u8> {
    let mut frame: Vec<u8> = (0..len).map(|byte| byte as u8 ^ 0x5a).collect();
    frame[..HEADER_LEN].fill(0);
    frame[nic_model::spec::header::NUM_BUFFERS] = 1;
    frame
}

fn sides() -> Result<Vec<Box<dyn Side>>, String> {
    Ok(vec![
        Box::new(bare::Bare::new()?),
        Box::new(device::DeviceSide::reference()?),
        Box::new(device::DeviceSide::batched()?),
        Box::new(device::DeviceSide::packed()?),
        Box::new(driver::DriverSide::new(false)?),
        Box::new(driver::DriverSide::new(true)?),
    ])
}

/// The figures.
#[derive(Serialize)]
struct Table {
    rounds: usize,
    /// Of each turn.
    frames: usize,
    rings: Vec<Row>,
}

/// One implementation: nanoseconds per frame.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    ns_64: Option<Spread>,
    ns_1514: Option<Spread>,
}

impl Figures for Table {
    const BENCH: &'static str = "ring";

    fn value(&self) -> Result<Value, String> {
        serde_json::to_value(self).map_err(|error| error.to_string())
    }

    fn text(&self) -> String {
        let Self { rounds, frames, rings } = self;
        let mut text = format!("rings of 256, {frames} frames a turn, {rounds} rounds in turn\n");
        text += &format!("\n{:44}{:>16}{:>18}\n", "ns per frame: median (least)", "64 B", "1514 B");
        for Row { name, ns_64, ns_1514 } in rings {
            let [small, large] = [ns_64, ns_1514]
                .map(|it| it.as_ref().map_or_else(|| "-".to_owned(), Spread::with_least));
            text += &format!("{name:44}{small:>16}{large:>18}\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// None of the times is looked at.
    #[test]
    fn every_side_writes_its_frames_and_has_a_row() {
        let args = RingArgs { rounds: 2, laps: 1, json: false };
        let table = measure(&args).unwrap();
        let text = table.text();
        for side in sides().unwrap() {
            assert_eq!(text.matches(&format!("\n{} ", side.name())).count(), 1, "{text}");
        }
        let json = table.value().unwrap();
        let rings = json["rings"].as_array().unwrap();
        assert_eq!(rings.len(), 6);
        assert!(rings.iter().all(|row| row["ns_64"]["median"].is_f64()));
    }
}
