//! The PCI device that carries a world in lockstep: memory, doorbells, interrupts.
//!
//! QEMU keeps the control queue of its virtio-net device to itself, and what RSS, masks or statistics a driver
//! sets there its vhost-user back-end never hears. So the world's driver has its registers from the host directly,
//! and here a second driver brings the PCI device up with small rings of its own: it makes QEMU connect every
//! doorbell and every interrupt to the host's NIC. Those rings stay empty.

use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use driver::vfio::PciTransport;
use driver::{CONFIG_VECTOR, DmaRegion, Driver, DriverConfig, Progress, RxFrame, Transport};
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

use super::super::serve::Refusal;
use super::super::vfio;

/// Where the world's rings and buffers are for the device: as for a NIC in the same process.
const WORLD: u64 = 0;
/// Where the rings of the driver below are: beyond whatever the world has, below what x86 keeps for messages.
const OWN: u64 = 0xc000_0000;
/// Entries of each of them.
const ENTRIES: u16 = 16;
/// How long an interrupt may be on its way, and how long QEMU may take to bring the device up.
const PATIENCE: Duration = Duration::from_secs(20);

/// See the module's contract.
pub struct Carrier {
    transport: PciTransport,
    /// Has an event when an interrupt comes.
    awaits: Epoll,
    /// It did its work; its rings are there as long as the device runs.
    _driver: Driver,
    /// Virtqueues that the device has doorbells for, the control queue not among them.
    doorbells: u16,
}

impl Carrier {
    /// Takes the machine's NIC, with so many queue pairs; and memory of so many bytes at least that it reaches.
    ///
    /// # Errors
    /// What is missing, in words.
    pub fn open(pairs: u16, bytes: u64) -> Result<(Self, DmaRegion), String> {
        let refusal = |refusal: Refusal| refusal.to_string();
        let (_, device) = vfio::take().map_err(refusal)?;
        // All that there are: QEMU asks for the translation of every ring that was ever there when it starts its
        // back-end, and does without the back-end if one is not mapped any more.
        let all = device.max_queue_pairs();
        if all < pairs {
            return Err(format!("the machine's NIC has {all} queue pairs, the scenario {pairs}"));
        }
        let config = DriverConfig {
            queue_pairs: all,
            rx_ring: ENTRIES,
            tx_ring: ENTRIES,
            ..DriverConfig::default()
        };
        let own = config.memory_needed().map_err(|error| error.to_string())?;
        let world = vfio::memory(&device, WORLD, bytes).map_err(refusal)?;
        let own = vfio::memory(&device, OWN, own).map_err(refusal)?;
        let mut transport = device.into_transport(1 + all).map_err(|error| error.to_string())?;
        let mut driver = Driver::new(config, own).map_err(|error| error.to_string())?;
        bring_up(&mut driver, &mut transport)?;
        let awaits =
            awaits(&transport).map_err(|error| format!("waiting for interrupts: {error}"))?;
        Ok((Self { transport, awaits, _driver: driver, doorbells: 2 * pairs }, world))
    }

    /// Rings the doorbell of a virtqueue, if it is one for frames: that of the control queue is QEMU's.
    pub fn ring(&mut self, virtqueue: u16) {
        if virtqueue < self.doorbells {
            self.transport.notify(virtqueue);
        }
    }

    /// Waits for an interrupt by this vector. That of the configuration is QEMU's to send: it is not awaited.
    ///
    /// # Errors
    /// It does not come.
    pub fn await_message(&mut self, vector: u16) -> Result<(), String> {
        if vector == CONFIG_VECTOR {
            return Ok(());
        }
        let until = Instant::now() + PATIENCE;
        loop {
            if self.transport.take_interrupt(vector) {
                return Ok(());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!(
                    "the NIC has sent an interrupt by vector {vector}, and none has come for {} s",
                    PATIENCE.as_secs()
                ));
            }
            self.sleep(left)?;
        }
    }

    /// Until any interrupt comes.
    fn sleep(&mut self, at_most: Duration) -> Result<(), String> {
        let mut events = [EpollEvent::default(); 8];
        // A few seconds; a signal is as good as a time-out: the caller looks again.
        let _ = self.awaits.wait(at_most.as_millis() as i32, &mut events);
        if self.transport.line().is_some() {
            self.transport.relay_line().map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        // The device lets all memory go before that is unmapped.
        self.transport.set_status(0);
    }
}

/// What has an event for each interrupt that comes.
fn awaits(transport: &PciTransport) -> io::Result<Epoll> {
    let all = Epoll::new()?;
    let vectors = (0..transport.vectors()).map(|vector| transport.event(vector));
    for event in vectors.chain([transport.line()]).flatten() {
        let once = EpollEvent::new(EventSet::IN | EventSet::EDGE_TRIGGERED, 0);
        all.ctl(ControlOperation::Add, event.as_raw_fd(), once)?;
    }
    Ok(all)
}

/// Brings the device up; time is that of this machine.
fn bring_up(driver: &mut Driver, transport: &mut PciTransport) -> Result<(), String> {
    let started = Instant::now();
    let now = || u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX) * 1000;
    let words = |error: driver::DriverError| format!("the PCI device does not come up: {error}");
    let mut progress = driver.start(now(), transport, &mut Nobody).map_err(words)?;
    while let Progress::Waiting { .. } = progress {
        if started.elapsed() > PATIENCE {
            return Err("the PCI device does not come up in time".into());
        }
        std::thread::sleep(Duration::from_micros(200));
        progress = driver.step(now(), transport, &mut Nobody).map_err(words)?;
    }
    Ok(())
}

/// Nothing comes of that driver.
struct Nobody;

impl driver::Host for Nobody {
    fn event(&mut self, _: u64, _: driver::Event) {}
    fn indicate(&mut self, _: u64, _: u16, _: &[RxFrame<'_>]) {}
}
