//! The host's side of a run: our NIC with its lanes, or the wire of QEMU's own.
//!
//! Contract: QEMU's own NIC takes a frame as a datagram, and takes none while the guest has no buffer; so a frame that
//! was sent arrives, later perhaps. A frame with a wrong FCS is not sent: there is nobody to check one. What the
//! NIC does with a frame nobody here sees; it is `delivered` when it was sent.

use std::io;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nic_model::DropReason;
use qemu::launch::{Nic as Card, Wire};

use super::{Choices, NicKind, VmRunError};
use crate::nic::lane::Order;
use crate::nic::port::Begin;
use crate::nic::served::Nic;
use crate::nic::tally::Tally;
use crate::scenario::{RingFormat, Scenario};
use crate::source::{self, Source};

/// See the module's contract.
pub enum Side {
    /// Ours.
    Lanes(Nic),
    /// QEMU's.
    Wire(Feeder),
}

/// Entries of a ring that QEMU gives a guest.
const RING: (u16, u16) = (256, 1024);
/// A datagram that is not taken is tried again after so long.
const AGAIN: Duration = Duration::from_micros(200);

impl Side {
    /// Of a scenario; and the card that the guest has for it.
    ///
    /// # Errors
    /// See [`VmRunError`].
    pub fn new(scenario: &Scenario, choices: &Choices) -> Result<(Self, Card), VmRunError> {
        let path = |name: &str| choices.folder.join(name);
        let (side, wire) = match choices.nic {
            NicKind::Rxlab => {
                let path = path("nic");
                let socket = |error| VmRunError::Socket { path: path.clone(), error };
                let listener = UnixListener::bind(&path).map_err(socket)?;
                let from = choices.from.clone();
                let nic = Nic::listen(scenario, from, false, Vec::new(), listener, Begin::Command)?;
                // The report says it.
                nic.desk().lanes().iter().for_each(|lane| lane.order(Order::BeQuiet));
                (Self::Lanes(nic), Wire::VhostUser(path))
            }
            NicKind::Qemu => {
                let (here, there) = (path("guest-wire"), path("wire"));
                let feeder = Feeder::new(scenario, here.clone(), &there)?;
                (Self::Wire(feeder), Wire::Dgram { here, there })
            }
        };
        let size = |entries: u16| entries.next_power_of_two().clamp(RING.0, RING.1);
        let card = Card {
            queues: scenario.channels.combined,
            ring: (size(scenario.ring.rx), size(scenario.ring.tx)),
            packed: scenario.ring.format == RingFormat::Packed,
            iommu_platform: true,
            ..Card::on(wire)
        };
        Ok((side, card))
    }

    /// The traffic begins.
    pub fn go(&mut self) {
        match self {
            Self::Lanes(nic) => nic.desk().go(),
            Self::Wire(feeder) => feeder.go(),
        }
    }

    /// No more frames come.
    pub fn end_traffic(&self) {
        match self {
            Self::Lanes(nic) => nic.desk().end_traffic(),
            Self::Wire(feeder) => feeder.ends.store(true, Ordering::Release),
        }
    }

    /// What was counted, by queue pair.
    pub fn tallies(&self) -> Vec<Tally> {
        match self {
            Self::Lanes(nic) => nic.desk().tallies(),
            Self::Wire(feeder) => vec![lock(&feeder.tally).clone()],
        }
    }

    /// Whether QEMU is connected, as far as that can be seen here.
    pub fn is_connected(&self) -> bool {
        match self {
            Self::Lanes(nic) => nic.desk().is_connected(),
            Self::Wire(_) => true,
        }
    }
}

/// Who sends the traffic of a scenario as datagrams.
pub struct Feeder {
    work: Option<Work>,
    thread: Option<JoinHandle<()>>,
    tally: Arc<Mutex<Tally>>,
    ends: Arc<AtomicBool>,
}

struct Work {
    source: Box<dyn FnOnce() -> Option<Box<dyn Source>> + Send>,
    socket: UnixDatagram,
    to: PathBuf,
}

impl Feeder {
    fn new(scenario: &Scenario, to: PathBuf, from: &Path) -> Result<Self, VmRunError> {
        let failed = |error| VmRunError::Socket { path: from.to_owned(), error };
        let socket = UnixDatagram::bind(from).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        // What can be refused is tried here first.
        source::open(scenario).map_err(crate::world::setup::SetupError::from)?;
        let scenario = scenario.clone();
        let source = Box::new(move || source::open(&scenario).ok());
        let (tally, ends) = Default::default();
        Ok(Self { work: Some(Work { source, socket, to }), thread: None, tally, ends })
    }

    fn go(&mut self) {
        let Some(work) = self.work.take() else { return };
        let (tally, ends) = (Arc::clone(&self.tally), Arc::clone(&self.ends));
        let thread = std::thread::Builder::new().name("wire".into()).spawn(move || {
            let sent = work.send(&tally, &ends);
            let mut tally = lock(&tally);
            tally.feed.is_over = true;
            if let Err(error) = sent {
                tally.feed.fault.get_or_insert_with(|| format!("QEMU's wire: {error}"));
            }
        });
        match thread {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => {
                let mut tally = lock(&self.tally);
                (tally.feed.is_over, tally.feed.fault) = (true, Some(error.to_string()));
            }
        }
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic there was told there.
            let _ = thread.join();
        }
    }
}

impl Work {
    /// Each frame at its time, until there is none or somebody wants the end.
    fn send(self, tally: &Mutex<Tally>, ends: &AtomicBool) -> io::Result<()> {
        let Self { source, socket, to } = self;
        let Some(mut source) = source() else { return Ok(()) };
        let begun = Instant::now();
        let mut frame = Vec::new();
        loop {
            let next = source.next(&mut frame).unwrap_or_else(|fault| {
                lock(tally).feed.fault = Some(fault.to_string());
                None
            });
            let Some(arrival) = next else { return Ok(()) };
            let due = begun + Duration::from_nanos(arrival.earliest_ps / 1000);
            while Instant::now() < due {
                if ends.load(Ordering::Acquire) {
                    return Ok(());
                }
                std::thread::sleep((due - Instant::now()).min(Duration::from_millis(20)));
            }
            if arrival.fcs_ok && !deliver(&frame, &socket, &to, ends)? {
                return Ok(());
            }
            let mut tally = lock(tally);
            let device = &mut tally.device;
            device.offered += 1;
            device.offered_bytes += frame.len() as u64;
            match arrival.fcs_ok {
                true => device.written += 1,
                false => device.dropped[DropReason::BadFcs.index()] += 1,
            }
            tally.feed.position += 1;
        }
    }
}

/// Whether it was sent before somebody wanted the end.
fn deliver(frame: &[u8], socket: &UnixDatagram, to: &Path, ends: &AtomicBool) -> io::Result<bool> {
    loop {
        match socket.send_to(frame, to) {
            Ok(_) => return Ok(true),
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock
                    || error.raw_os_error() == Some(libc::ENOBUFS) => {}
            Err(error) => return Err(error),
        }
        if ends.load(Ordering::Acquire) {
            return Ok(false);
        }
        std::thread::sleep(AGAIN);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
