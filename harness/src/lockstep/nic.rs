//! The host's NIC in lockstep: a device of the NIC model that does what the guest's world asks of it.
//!
//! Contract: a thread of its own answers one call after the other, as [`server::serve`] does. A doorbell that the
//! world says it has rung is awaited first; every interrupt that the device sends goes to the guest before the
//! answer does. What cannot be done is answered [`Value::Lost`], and is the last answer.

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use nic_model::spec::feature;
use nic_model::vhost_user::memory::Memory;
use nic_model::{Device, DeviceCounters};
use qemu::protocol::frame::{self, FrameError};

use super::bus::Bus;
use crate::scenario::Scenario;
use crate::world::nic::message::{Answer, Call, Effect, State, Value};
use crate::world::nic::server;
use crate::world::setup;

/// See the module's contract.
pub struct Nic {
    shared: Arc<Shared>,
    port: UnixStream,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    /// What the next device is for.
    next: Mutex<Option<Box<Scenario>>>,
}

/// What has been seen of the run from here.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Calls answered.
    pub calls: u64,
    /// What the NIC has counted.
    pub counters: DeviceCounters,
    /// Why it stopped, if it has.
    pub stopped: Option<String>,
}

impl Nic {
    /// Serves the guest at the other end of `port`.
    ///
    /// # Errors
    /// The system refuses.
    pub fn start(bus: Arc<Bus>, port: UnixStream) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let mut served = Served { bus, shared: Arc::clone(&shared), device: None };
        let mut stream = port.try_clone()?;
        let thread = std::thread::Builder::new()
            .name("nic".into())
            .spawn(move || served.run(&mut stream))?;
        Ok(Self { shared, port, thread: Some(thread) })
    }

    /// The calls that come are for another run, of this scenario. The guest must not have begun with it.
    pub fn expect(&self, scenario: Scenario) {
        *lock(&self.shared.next) = Some(Box::new(scenario));
        *lock(&self.shared.seen) = Seen::default();
    }

    /// What has been seen of the run so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        lock(&self.shared.seen).clone()
    }
}

impl Drop for Nic {
    fn drop(&mut self) {
        // A port that is closed already is no reason to stay.
        let _ = self.port.shutdown(std::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            // A panic there was told there.
            let _ = thread.join();
        }
    }
}

struct Served {
    bus: Arc<Bus>,
    shared: Arc<Shared>,
    device: Option<(Device<Arc<Memory>>, Arc<Memory>)>,
}

impl Served {
    fn run(&mut self, port: &mut UnixStream) {
        loop {
            let answer = match frame::read_bytes(port) {
                Ok(bytes) => Call::from_bytes(&bytes)
                    .map_err(|error| format!("the guest's call: {error}"))
                    .and_then(|call| self.answer(&call)),
                Err(FrameError::Closed) => return,
                Err(error) => return self.stopped(format!("the guest's port: {error}")),
            };
            let lost = answer.as_ref().err().cloned();
            let answer = answer.unwrap_or_else(|why| Answer {
                value: Value::Lost(why),
                effects: Vec::new(),
                state: State::default(),
            });
            let sent = answer.to_bytes().map_err(|error| error.to_string()).and_then(|bytes| {
                frame::write_bytes(port, &bytes).map_err(|error| error.to_string())
            });
            if let Some(why) = lost.or(sent.err()) {
                return self.stopped(why);
            }
        }
    }

    fn stopped(&self, why: String) {
        lock(&self.shared.seen).stopped = Some(why);
    }

    fn answer(&mut self, call: &Call) -> Result<Answer, String> {
        let Self { bus, shared, device } = self;
        let memory = bus.memory()?;
        if let Some(scenario) = lock(&shared.next).take() {
            let made = setup::model(&scenario, Arc::clone(&memory));
            *device = Some((made.map_err(|error| error.to_string())?, Arc::clone(&memory)));
        }
        let Some((device, known)) = device else { return Err("no run has begun".into()) };
        if !Arc::ptr_eq(known, &memory) {
            device.set_memory(Arc::clone(&memory));
            *known = memory;
        }
        if let Call::Notify(_, virtqueue) = call
            && !is_control(device, *virtqueue)
        {
            bus.await_kick(*virtqueue)?;
        }
        let answer = server::serve(device, call);
        let mut interrupted = Vec::new();
        for (_, effect) in &answer.effects {
            // That of the configuration is QEMU's to send.
            if let Effect::Interrupt(vector, _) = effect
                && let Some(pair) = vector.checked_sub(1)
                && !interrupted.contains(&pair)
            {
                bus.interrupt(pair)?;
                interrupted.push(pair);
            }
        }
        let mut seen = lock(&shared.seen);
        seen.calls += 1;
        seen.counters = answer.state.counters.clone();
        Ok(answer)
    }
}

/// The control queue's doorbell stays with QEMU.
fn is_control(device: &Device<Arc<Memory>>, virtqueue: u16) -> bool {
    device.driver_features() & feature::CTRL_VQ != 0 && virtqueue + 1 == device.num_queues()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn nic() -> (Nic, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Nic::start(Arc::new(Bus::default()), ours).unwrap(), theirs)
    }

    fn lost(guest: &mut UnixStream) -> String {
        let answer = Answer::from_bytes(&frame::read_bytes(guest).unwrap()).unwrap();
        let Value::Lost(why) = answer.value else { panic!("{answer:?}") };
        why
    }

    #[test]
    fn what_is_no_call_is_the_last_one() {
        let (nic, mut guest) = nic();
        frame::write_bytes(&mut guest, &[0xff; 5]).unwrap();
        assert!(lost(&mut guest).contains("the guest's call"));
        while nic.seen().stopped.is_none() {
            std::thread::yield_now();
        }
        assert!(nic.seen().stopped.unwrap().contains("malformed"));
    }

    #[test]
    fn a_call_before_qemu_is_connected_says_so() {
        let (nic, mut guest) = nic();
        frame::write_bytes(&mut guest, &Call::Look.to_bytes().unwrap()).unwrap();
        assert!(lost(&mut guest).contains("QEMU has not connected its memory"));
        drop(nic);
    }

    #[test]
    fn a_port_that_ends_within_a_call_is_told() {
        let (nic, mut guest) = nic();
        guest.write_all(&[200, 0, 0, 0, 1]).unwrap();
        drop(guest);
        while nic.seen().stopped.is_none() {
            std::thread::yield_now();
        }
        assert!(nic.seen().stopped.unwrap().contains("in the middle of a message"));
    }
}
