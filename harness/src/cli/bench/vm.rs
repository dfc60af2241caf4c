//! `rxlab bench vm`: a guest's boot, and frames per second through it, our driver over VFIO beside Linux's.
//!
//! Each turn is a guest of its own, booted anew; the variants take turns. The NIC gives frames as fast as the guest
//! gives buffers; counted is what the guest has taken, over a window behind the first second. With Linux's driver
//! that is what a packet socket has taken: the core's, or Linux's own ring (TPACKET_V3), which does nothing with a
//! frame but look at its length.
//!
//! Not the same: what Linux's driver receives and a socket has no room for is lost, and counted as such; with ours
//! the NIC waits for buffers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use qemu::cache::Cache;
use qemu::image::{Image, agent};
use qemu::launch::Folder;
use qemu::protocol::Sockets;
use qemu::protocol::lockstep::Trace;
use serde::Serialize;
use serde_json::Value;

use super::{Figures, Spread, show};
use crate::cli::scenario::Failure;
use crate::cli::vm::{KernelArgs, MachineArgs, modules_for};
use crate::exit::Exit;
use crate::lockstep::{Asked, Guest, LockstepError};
use crate::nic::build::Origin;
use crate::scenario::{self, Scenario};
use crate::vm::{self, Account, Choices, Driver, End, NicKind, Outcome, Watch};
use crate::world::embedded::Unwatched;

/// What to measure.
#[derive(Args)]
pub struct VmArgs {
    /// Rounds; in each, every variant has its turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Time that a turn is measured, in milliseconds.
    #[arg(long, default_value_t = 2000)]
    window: u64,
    #[command(flatten)]
    machine: MachineArgs,
    /// Print the figures as JSON instead of the table.
    #[arg(long)]
    json: bool,
}

/// Runs the benchmark.
pub fn vm(args: &VmArgs) -> Exit {
    show(args.json, measure(args))
}

/// Frames that are taken before the window begins.
const WARM: Duration = Duration::from_secs(1);

/// Frames of a run in lockstep.
const LOCKSTEP_FRAMES: u64 = 2000;

/// One way through a guest.
struct Variant {
    name: &'static str,
    driver: Driver,
    sockets: Sockets,
    /// What differs in the scenario.
    scenario: &'static str,
}

const VARIANTS: [Variant; 6] = [
    Variant {
        name: "our driver, NPF core",
        driver: Driver::Vfio,
        sockets: Sockets::Both,
        scenario: "",
    },
    Variant {
        name: "our driver, no EVENT_IDX",
        driver: Driver::Vfio,
        sockets: Sockets::Both,
        scenario: "[nic]\nevent_idx = false\n",
    },
    Variant {
        name: "our driver, adaptive moderation",
        driver: Driver::Vfio,
        sockets: Sockets::Both,
        scenario: "[driver]\nmoderation = 'adaptive'\n",
    },
    Variant {
        name: "virtio_net, AF_PACKET, NPF core",
        driver: Driver::Linux,
        sockets: Sockets::Core,
        scenario: "",
    },
    Variant {
        name: "virtio_net, TPACKET_V3",
        driver: Driver::Linux,
        sockets: Sockets::Ring,
        scenario: "",
    },
    Variant {
        name: "our driver, coalescing 64 or 50 us",
        driver: Driver::Vfio,
        sockets: Sockets::Both,
        scenario: "[coalesce]\nrx_usecs = '50us'\nrx_frames = 64\n",
    },
];

/// The figures.
#[derive(Serialize)]
struct Table {
    rounds: usize,
    window_ms: u64,
    qemu: String,
    accel: &'static str,
    system: String,
    image: ImageFigures,
    /// Seconds: QEMU's start to the hello, to the driver being up, to the first frame.
    boot: [Spread; 3],
    variants: Vec<Row>,
    /// Ours to Linux's with the core behind its packet socket, round by round.
    ratio: Spread,
    /// Ours to Linux's own capture.
    ratio_ring: Spread,
    /// Steps per second of the built-in scenario in lockstep.
    lockstep: Spread,
}

#[derive(Serialize)]
struct ImageFigures {
    bytes: u64,
    /// Seconds, with an agent that was built before.
    build: f64,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    /// Frames per second.
    rate: Spread,
    /// Interrupts that the NIC has raised per frame that it has delivered.
    interrupts: Spread,
}

impl Figures for Table {
    const BENCH: &'static str = "vm";

    fn value(&self) -> Result<Value, String> {
        serde_json::to_value(self).map_err(|error| error.to_string())
    }

    fn text(&self) -> String {
        let mut text = format!(
            "{} on QEMU {} ({}), 64 bytes, one queue; medians (least) of {}\n",
            self.system, self.qemu, self.accel, self.rounds
        );
        let [hello, ready, first] = &self.boot;
        text += &format!(
            "boot, s: QEMU to hello {}, to ready {}, to the first captured frame {}\n",
            hello.with_least(),
            ready.with_least(),
            first.with_least()
        );
        text += &format!(
            "image: {:.1} MB, written in {:.2} s\n",
            self.image.bytes as f64 / 1e6,
            self.image.build
        );
        text += &format!("{:<36}{:>18}{:>20}\n", "", "kpps", "interrupts a frame");
        for Row { name, rate, interrupts } in &self.variants {
            let thousands = format!("{:.1} ({:.1})", rate.median / 1e3, rate.min / 1e3);
            text += &format!("{name:<36}{thousands:>18}{:>20.4}\n", interrupts.median);
        }
        text += &format!("{:<36}{:>18}\n", "ratio to AF_PACKET", self.ratio.with_least());
        text += &format!("{:<36}{:>18}\n", "ratio to TPACKET_V3", self.ratio_ring.with_least());
        let steps = format!("{:.0} ({:.0})", self.lockstep.median, self.lockstep.min);
        text += &format!("{:<36}{steps:>18}\n", "lockstep, steps per second");
        text
    }
}

fn measure(args: &VmArgs) -> Result<Table, String> {
    let image = image(&args.machine.kernel)?;
    let window = Duration::from_millis(args.window.max(200));
    let mut rates = VARIANTS.map(|_| Vec::new());
    let mut interrupts = VARIANTS.map(|_| Vec::new());
    let mut boot = [const { Vec::new() }; 3];
    let mut steps = Vec::new();
    let mut machine = None;
    for _ in 0..args.rounds.max(1) {
        for (number, variant) in VARIANTS.iter().enumerate() {
            let (outcome, rate) = turn(args, variant, window)?;
            rates[number].push(rate);
            interrupts[number].push(interrupts_of(&outcome.account));
            if variant.driver == Driver::Vfio
                && let Some(machine) = &outcome.machine
            {
                let parts = [Some(machine.boot), machine.ready, machine.first_frame];
                for (times, part) in boot.iter_mut().zip(parts) {
                    times.push(part.unwrap_or_default().as_secs_f64());
                }
            }
            machine = outcome.machine;
        }
        steps.push(lockstep(args)?);
    }
    let machine = machine.ok_or("no guest came up")?;
    let of = |values: &Vec<f64>| Spread::of(values).ok_or("no round");
    let variants = VARIANTS.iter().zip(rates.iter().zip(&interrupts));
    let rows = variants.map(|(variant, (rates, interrupts))| {
        Ok(Row { name: variant.name, rate: of(rates)?, interrupts: of(interrupts)? })
    });
    let [hello, ready, first] = &boot;
    Ok(Table {
        rounds: args.rounds.max(1),
        window_ms: args.window,
        qemu: machine.qemu.to_string(),
        accel: vm::report::accel(machine.accel),
        system: machine.system,
        image,
        boot: [of(hello)?, of(ready)?, of(first)?],
        variants: rows.collect::<Result<_, &str>>()?,
        ratio: Spread::of_ratios(&rates[0], &rates[3]).ok_or("no round")?,
        ratio_ring: Spread::of_ratios(&rates[0], &rates[4]).ok_or("no round")?,
        lockstep: of(&steps)?,
    })
}

/// How long it takes to write an image, and how large it is.
fn image(args: &KernelArgs) -> Result<ImageFigures, String> {
    let text = |error: qemu::image::ImageError| error.to_string();
    let kernel = args.find(&Cache::of_user()).map_err(Failure::words)?;
    let agent = agent::find(None).map_err(text)?;
    let folder = Folder::new().map_err(|error| error.to_string())?;
    let started = Instant::now();
    let cache = Cache::at(folder.0.clone());
    let image = Image::build(&cache, &kernel, modules_for(Driver::Vfio), &agent).map_err(text)?;
    let build = started.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(&image.initramfs).map_err(|error| error.to_string())?.len();
    Ok(ImageFigures { bytes, build })
}

/// A guest's turn: what it came to, and frames per second in the window.
fn turn(args: &VmArgs, variant: &Variant, window: Duration) -> Result<(Outcome, f64), String> {
    let text = format!(
        "[traffic]\nsource = 'generator'\nsize = '64B'\n[channels]\ncombined = 1\n[ring]\nrx = 256\n\
         [[handle]]\nkernel_buffer = '8MB'\n{}",
        variant.scenario
    );
    let scenario = Scenario::parse(&text, "(bench vm)", &[]).map_err(|error| error.to_string())?;
    let scenario = scenario.resolved();
    let machine = args.machine.machine(variant.driver, 1, Arc::default());
    let machine = machine.map_err(Failure::words)?;
    let choices = Choices {
        driver: variant.driver,
        nic: NicKind::Rxlab,
        from: Origin::Endless,
        sockets: variant.sockets,
        traffic_for: Some(WARM + window),
        options: machine.options.clone(),
        folder: machine.place.path().to_owned(),
    };
    let mut window = Window { begun: None, first: None, last: None };
    let outcome = vm::run(&scenario, &choices, &mut window).map_err(|error| error.to_string())?;
    if let End::Failed { error, .. } = &outcome.end {
        return Err(format!("{}: {error}", variant.name));
    }
    outcome.account.check().map_err(|wrong| format!("{}: {wrong}", variant.name))?;
    let rate = window.rate().ok_or_else(|| format!("{}: no frame was counted", variant.name))?;
    Ok((outcome, rate))
}

/// The built-in scenario in lockstep, cut short: steps per second.
fn lockstep(args: &VmArgs) -> Result<f64, String> {
    let sets = [format!("traffic.frames={LOCKSTEP_FRAMES}")];
    let scenario = Scenario::parse(scenario::DEFAULT, "(bench vm)", &sets);
    let scenario = scenario.map_err(|error| error.to_string())?.resolved();
    let queues = scenario.channels.combined;
    let machine = args.machine.machine(Driver::Vfio, queues, Arc::default());
    let machine = machine.map_err(Failure::words)?;
    let out = machine.place.path().join("files");
    std::fs::create_dir(&out).map_err(|error| error.to_string())?;
    let text = |error: LockstepError| error.to_string();
    let mut guest = Guest::start(machine.options, queues).map_err(text)?;
    let asked = Asked { out: &out, repeat: "", trace: Trace::Nothing };
    let run = guest.play(&scenario, &asked, &mut Unwatched, &mut |_| {}).map_err(text)?;
    guest.end().map_err(text)?;
    if !run.ended.adds_up {
        return Err(format!("in lockstep: {}", run.ended.end));
    }
    Ok(run.progress.steps as f64 / run.wall.as_secs_f64().max(1e-9))
}

fn interrupts_of(account: &Account) -> f64 {
    let raised: u64 = account.nic.iter().map(|nic| nic.interrupts[0]).sum();
    raised as f64 / (account.delivered() as f64).max(1.0)
}

/// Frames that the guest has taken, at two times.
struct Window {
    begun: Option<Instant>,
    first: Option<(Instant, u64)>,
    last: Option<(Instant, u64)>,
}

impl Window {
    fn rate(&self) -> Option<f64> {
        let ((from, before), (to, after)) = self.first.zip(self.last)?;
        let seconds = (to - from).as_secs_f64();
        (seconds > 0.0).then(|| (after - before) as f64 / seconds)
    }
}

impl Watch for Window {
    fn phase(&mut self, _what: &str) {}

    fn look(&mut self, account: &Account) {
        let now = Instant::now();
        let begun = *self.begun.get_or_insert(now);
        let taken = account.guest.sockets.iter().map(|socket| socket.taken).max();
        let taken = (now, taken.unwrap_or_else(|| account.guest.indicated()));
        if now - begun >= WARM && !account.is_fed() {
            self.first.get_or_insert(taken);
            self.last = Some(taken);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_window() {
        let now = Instant::now();
        let mut window = Window { begun: Some(now), first: None, last: None };
        assert_eq!(window.rate(), None);
        window.first = Some((now, 1000));
        window.last = Some((now + Duration::from_secs(2), 5000));
        assert_eq!(window.rate(), Some(2000.0));
    }
}
