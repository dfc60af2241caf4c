//! What QEMU connects the lockstep NIC to: the guest's memory, doorbells and interrupts.
//!
//! Contract: the vrings themselves are not used. The guest's world says over another way where its rings are; of the
//! vhost-user session the NIC takes memory, translations, and for each virtqueue the two event descriptors.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nic_model::QueueError;
use nic_model::vhost_user::iotlb::Translations;
use nic_model::vhost_user::memory::Memory;
use nic_model::vhost_user::port::{Start, Vrings};
use nic_model::vhost_user::server::{Note, Notes};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use crate::nic::asks;

/// How long a doorbell that the guest has rung may be on its way.
const PATIENCE: Duration = Duration::from_secs(20);

/// See the module's contract.
#[derive(Default)]
pub struct Bus(Mutex<State>);

#[derive(Default)]
struct State {
    memory: Option<Arc<Memory>>,
    /// By vring.
    kicks: Vec<Option<Arc<OwnedFd>>>,
    calls: Vec<Option<OwnedFd>>,
    /// Why there is no front-end any more.
    gone: Option<String>,
}

impl Bus {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guest's memory.
    ///
    /// # Errors
    /// There is none, and why.
    pub fn memory(&self) -> Result<Arc<Memory>, String> {
        let state = self.state();
        let why =
            || state.gone.clone().unwrap_or_else(|| "QEMU has not connected its memory".into());
        state.memory.clone().ok_or_else(why)
    }

    /// Waits for the doorbell of a virtqueue, which the guest says it has rung.
    ///
    /// # Errors
    /// It is not heard.
    pub fn await_kick(&self, virtqueue: u16) -> Result<(), String> {
        let kick = self.state().kicks.get(usize::from(virtqueue)).cloned().flatten();
        let kick = kick.ok_or_else(|| {
            format!("virtqueue {virtqueue} was notified, and QEMU has no doorbell connected for it")
        })?;
        let until = Instant::now() + PATIENCE;
        loop {
            let mut count = [0; 8];
            if rustix::io::read(&*kick, &mut count).is_ok() {
                return Ok(());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.state().gone.is_some() {
                let seconds = PATIENCE.as_secs();
                return Err(format!(
                    "virtqueue {virtqueue} was notified, and its doorbell was not heard for {seconds} s"
                ));
            }
            // A signal or a time-out: it is looked again.
            let left = Timespec::try_from(left.min(Duration::from_millis(100))).ok();
            let _ = poll(&mut [PollFd::new(&*kick, PollFlags::IN)], left.as_ref());
        }
    }

    /// Interrupts the guest for a receive queue.
    ///
    /// # Errors
    /// Nobody wants to be.
    pub fn interrupt(&self, pair: u16) -> Result<(), String> {
        let state = self.state();
        let call = state.calls.get(usize::from(2 * pair)).and_then(Option::as_ref);
        let call =
            call.ok_or_else(|| format!("QEMU has no interrupt connected for pair {pair}"))?;
        let sent = rustix::io::write(call, &1_u64.to_ne_bytes());
        sent.map(|_| ()).map_err(|error| format!("the interrupt of pair {pair}: {error}"))
    }
}

/// The session's side of it.
pub struct BusPort(pub Arc<Bus>);

impl BusPort {
    fn keep<T>(slots: &mut Vec<Option<T>>, vring: u16, fd: Option<T>) {
        let at = usize::from(vring);
        if slots.len() <= at {
            slots.resize_with(at + 1, || None);
        }
        slots[at] = fd;
    }
}

impl Vrings for BusPort {
    fn set_memory(&mut self, memory: Option<Arc<Memory>>) {
        self.0.state().memory = memory;
    }

    fn set_features(&mut self, _features: u64) {}

    fn start(&mut self, _vring: u16, _start: Start) -> Result<(), QueueError> {
        Ok(())
    }

    fn stop(&mut self, _vring: u16) -> u32 {
        // Nothing has moved in it.
        0
    }

    fn enable(&mut self, _vring: u16, _enabled: bool) {}

    fn set_kick(&mut self, vring: u16, kick: Option<OwnedFd>) {
        if let Some(kick) = &kick {
            // One that cannot be made so is read when it is readable.
            let _ = rustix::io::ioctl_fionbio(kick, true);
        }
        Self::keep(&mut self.0.state().kicks, vring, kick.map(Arc::new));
    }

    fn set_call(&mut self, vring: u16, call: Option<OwnedFd>) {
        Self::keep(&mut self.0.state().calls, vring, call);
    }

    fn set_err(&mut self, _vring: u16, _err: Option<OwnedFd>) {}

    fn set_channel(&mut self, channel: OwnedFd, answers: bool, translations: &Arc<Translations>) {
        let bus = Arc::clone(&self.0);
        asks::connect(channel, answers, translations, move |error| {
            bus.state().gone.get_or_insert_with(|| error.to_string());
        });
    }

    fn announce(&mut self, _mac: [u8; 6]) {}

    fn set_mtu(&mut self, _mtu: u16) -> bool {
        true
    }

    fn read_config(&self, _offset: u32, out: &mut [u8]) {
        // QEMU's device says all of it by itself; the world's driver reads that of the NIC model.
        out.fill(0);
    }
}

impl Notes for BusPort {
    fn note(&mut self, note: Note) {
        let why = match note {
            Note::Connected | Note::TurnedAway | Note::Listener(_) => return,
            Note::Closed => "QEMU has closed its connection".into(),
            Note::Dropped(error) => format!("QEMU's connection was dropped: {error}"),
        };
        self.0.state().gone = Some(why);
    }
}
