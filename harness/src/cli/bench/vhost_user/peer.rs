//! A pair of NIC and driver at work, and how many frames a second pass between them.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Turn;
use super::testpmd::{Port, Testpmd};
use crate::guest::session::{self, BackEnd};
use crate::nic::build::Origin;
use crate::nic::port::Begin;
use crate::nic::served::Nic;
use crate::scenario::Scenario;

/// Whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// DPDK's.
    Dpdk,
    /// Ours.
    Ours,
}

impl Side {
    pub(super) fn nic_name(self) -> &'static str {
        match self {
            Self::Dpdk => "net_vhost",
            Self::Ours => "rxlab nic",
        }
    }

    pub(super) fn driver_name(self) -> &'static str {
        match self {
            Self::Dpdk => "virtio-user",
            Self::Ours => "rxlab driver",
        }
    }
}

/// How long a pair may take to begin.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time from the beginning of traffic to that of the measurement.
const RUN_UP: Duration = Duration::from_millis(500);

/// Frames per second between these two.
pub(super) fn rate(turn: &Turn, nic: Side, driver: Side) -> Result<f64, String> {
    let folder = Folder::new()?;
    let socket = folder.0.join("vhost-user.sock");
    let nic = match nic {
        Side::Dpdk => AnyNic::Dpdk(Testpmd::start(turn, Port::Vhost, &socket)?),
        Side::Ours => AnyNic::Ours(our_nic(turn, &socket)?),
    };
    wait_for(&socket)?;
    match driver {
        Side::Dpdk => {
            let mut driver = Testpmd::start(turn, Port::VirtioUser, &socket)?;
            match &nic {
                // It counts what it has written, which is a ring ahead of the driver at most.
                AnyNic::Ours(nic) => measured(turn, || Ok(written(nic))),
                AnyNic::Dpdk(_) => measured(turn, || driver.received()),
            }
        }
        Side::Ours => our_driver(turn, &socket),
    }
}

/// The NIC, for as long as it is held.
enum AnyNic {
    Dpdk(#[allow(dead_code, reason = "it ends when it is let go")] Testpmd),
    Ours(Nic),
}

/// The rate of what `count` counts: over the window, behind the run-up, from when it counts something.
fn measured(turn: &Turn, mut count: impl FnMut() -> Result<u64, String>) -> Result<f64, String> {
    let begun = Instant::now();
    while count()? == 0 {
        if begun.elapsed() > PATIENCE {
            return Err("no frame has passed: are both sides up?".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(RUN_UP);
    let (first, from) = (count()?, Instant::now());
    std::thread::sleep(turn.window);
    let (last, to) = (count()?, Instant::now());
    Ok((last - first) as f64 / (to - from).as_secs_f64())
}

fn our_nic(turn: &Turn, socket: &Path) -> Result<Nic, String> {
    let listener = UnixListener::bind(socket).map_err(|error| error.to_string())?;
    let cpus = vec![turn.nic_cpu];
    let nic =
        Nic::listen(&scenario(turn)?, Origin::Endless, true, cpus, listener, Begin::AllQueues);
    nic.map_err(|error| error.to_string())
}

fn written(nic: &Nic) -> u64 {
    nic.desk().tallies().iter().map(|tally| tally.device.written).sum()
}

fn our_driver(turn: &Turn, socket: &Path) -> Result<f64, String> {
    let mut scenario = scenario(turn)?;
    // The driver alone, as DPDK's lets every frame go.
    scenario.handle.clear();
    let choices = session::Choices { poll: true, cpus: vec![turn.driver_cpu] };
    let taken = AtomicU64::new(0);
    let ends = AtomicBool::new(false);
    let mut result = Err("the driver has ended before the measurement".to_owned());
    std::thread::scope(|scope| {
        let driver = scope.spawn(|| {
            session::run(&scenario, &choices, BackEnd::At(socket), &ends, |watched| {
                let frames = watched.lanes.iter().map(|lane| lane.taken().0).sum();
                taken.store(frames, Ordering::Relaxed);
            })
        });
        result = measured(turn, || match driver.is_finished() {
            true => Err("the driver has ended".into()),
            false => Ok(taken.load(Ordering::Relaxed)),
        });
        ends.store(true, Ordering::Release);
        match driver.join() {
            Ok(Err(error)) => result = Err(error.to_string()),
            Ok(Ok(outcome)) => {
                if let Some(error) = outcome.lanes.iter().find_map(|lane| lane.error.clone()) {
                    result = Err(error);
                }
            }
            Err(_) => result = Err("the driver's thread panicked".into()),
        }
    });
    result
}

fn scenario(turn: &Turn) -> Result<Scenario, String> {
    let format = if turn.packed { "packed" } else { "split" };
    let sets = [
        // On the wire, FCS included.
        format!("traffic.size='{}B'", turn.len + 4),
        format!("ring.format={format}"),
    ];
    let text = "[channels]\ncombined = 1\n[traffic]\nsource = 'generator'\nframes = 100000\nrate = 'line'\n\
                flows = 16\n[ring]\nrx = 256\ntx = 256\n";
    let scenario = Scenario::parse(text, "(vhost-user)", &sets);
    scenario.map(|scenario| scenario.resolved()).map_err(|error| error.to_string())
}

/// An empty folder of this process, gone when it is let go.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("rxlab-bench-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left behind, it is taken the next time.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn wait_for(socket: &Path) -> Result<(), String> {
    let begun = Instant::now();
    while !socket.exists() {
        if begun.elapsed() > PATIENCE {
            return Err(format!("nobody listens at {}", socket.display()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
