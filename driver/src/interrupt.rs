//! Interrupts: what they mean, and how they are held off and let through without losing one.
//!
//! # The race at unmasking, and why it is closed
//!
//! The device decides whether to interrupt when it publishes a completion, by what it sees of the driver's
//! wish at that moment. A completion published while the driver still seems not to want one is silent; if
//! the driver, having seen the ring empty before, then unmasks and goes to sleep, it sleeps for ever.
//!
//! **By the ring.** The driver (1) stores its wish, (2) fences, (3) looks at used.idx. The device (a) stores
//! used.idx, (b) fences, (c) looks at the wish. In whatever order the steps of the two mix: either (1) comes
//! before (c), and the device interrupts; or (c) comes before (1), hence (a) before (3), and the driver finds
//! the work, takes its wish back and stays scheduled. Both may happen, and then an interrupt finds the queue
//! scheduled, which is harmless. Neither cannot happen; the fences are what forbids it.
//!
//! **By MSI-X.** The ring's wish is renewed first (with EVENT_IDX it names one completion and is used up by
//! it), fence, look, as above; the message that the device may send meanwhile is held by the mask bit
//! as pending and sent at unmasking. So the driver unmasks only after it has found nothing, and whatever
//! comes between looking and unmasking is in the pending bit. The price is a stale message now and then:
//! pended for work that the poll has taken already. It finds nothing, and is counted as spurious.

use crate::config::Masking;
use crate::device_config;
use crate::dma::DmaRegion;
use crate::event::Event;
use crate::policy::Rearm;
use crate::ring::rx::RxQueue;
use crate::transport::Transport;
use crate::{CONFIG_VECTOR, Driver, Host, vector_of};

/// What an interrupt was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// This receive queue has work; its interrupts are held off now. Poll it.
    Poll(u16),
    /// A receive queue that is scheduled already; nothing to do.
    AlreadyScheduled,
    /// The device configuration has been read again; [`Driver::link_up`] is up to date.
    ConfigChanged,
    /// The device needs a reset or is gone: the driver is broken, see [`Driver::error`].
    DeviceFailed,
    /// Nobody's, or nothing was to be done.
    Spurious,
}

impl Driver {
    /// The interrupt service routine of MSI-X vector `vector`: 0 is the configuration, 1 + i is receive
    /// queue i. Short and without frames: work is left to [`Driver::poll`].
    pub fn interrupt<T: Transport, H: Host>(
        &mut self,
        now: u64,
        vector: u16,
        transport: &mut T,
        host: &mut H,
    ) -> Interrupt {
        if !self.is_live() {
            return self.spurious(now, vector, host);
        }
        if vector == CONFIG_VECTOR {
            return self.config_interrupt(now, transport, host);
        }
        let (queue, masking) = (vector - 1, self.config.mask);
        let Some(rx) = self.rx.get_mut(usize::from(queue)).filter(|rx| rx.broken.is_none()) else {
            return self.spurious(now, vector, host);
        };
        if rx.scheduled {
            rx.counters.receive.already_scheduled += 1;
            host.event(now, Event::AlreadyScheduled { queue });
            return Interrupt::AlreadyScheduled;
        }
        // A used index that is out of bounds counts as work: the poll finds out and stops the queue.
        if rx.ring.is_waiting(&self.memory) == Ok(false) {
            rx.counters.receive.spurious_interrupts += 1;
            host.event(now, Event::SpuriousInterrupt { vector });
            return Interrupt::Spurious;
        }
        rx.counters.receive.interrupts += 1;
        host.event(now, Event::InterruptTaken { queue, vector });
        mask(now, queue, rx, &self.memory, masking, transport, host);
        Interrupt::Poll(queue)
    }

    fn config_interrupt<T: Transport, H: Host>(
        &mut self,
        now: u64,
        transport: &mut T,
        host: &mut H,
    ) -> Interrupt {
        self.counters.config_interrupts += 1;
        self.look_at_device(now, transport, host)
    }

    /// What an interrupt of the configuration is for: the device's health, its link, its wish to be
    /// announced. The watchdog looks as well, as that interrupt can be lost like any other.
    pub(crate) fn look_at_device<T: Transport, H: Host>(
        &mut self,
        now: u64,
        transport: &mut T,
        host: &mut H,
    ) -> Interrupt {
        match self.examine(now, transport, host) {
            Ok(None) => {}
            Ok(Some(_)) => return Interrupt::ConfigChanged,
            Err(_) => return Interrupt::DeviceFailed,
        }
        // Only the link may change while running; all else was agreed on at bring-up and stays.
        match device_config::read(transport, self.features) {
            Ok(device) => {
                if device.link_up != self.device.link_up {
                    self.device.link_up = device.link_up;
                    self.counters.link_changes += 1;
                    host.event(now, Event::LinkChanged { up: device.link_up });
                }
                if device.announce {
                    self.announce(now, transport, host);
                }
            }
            Err(_) => {
                self.counters.config_unstable += 1;
                host.event(now, Event::ConfigUnstable);
            }
        }
        Interrupt::ConfigChanged
    }

    fn spurious<H: Host>(&mut self, now: u64, vector: u16, host: &mut H) -> Interrupt {
        self.counters.spurious_interrupts += 1;
        host.event(now, Event::SpuriousInterrupt { vector });
        Interrupt::Spurious
    }
}

/// Schedules the queue and holds its interrupts off.
pub(crate) fn mask<T: Transport, H: Host>(
    now: u64,
    queue: u16,
    rx: &mut RxQueue,
    memory: &DmaRegion,
    masking: Masking,
    transport: &mut T,
    host: &mut H,
) {
    rx.scheduled = true;
    match masking {
        Masking::Ring => rx.ring.suppress(memory),
        Masking::Msix => transport.set_vector_masked(vector_of(queue), true),
    }
    rx.counters.receive.masked += 1;
    host.event(now, Event::Masked { queue });
}

/// After a poll: a wish not to be interrupted is relative to the position, which has moved.
#[inline]
pub(crate) fn still_masked(rx: &RxQueue, memory: &DmaRegion, masking: Masking) {
    if masking == Masking::Ring {
        rx.ring.suppress(memory);
    }
}

/// Lets interrupts through again, unless there is work: then `true`, and the queue stays scheduled and
/// masked. The order of the steps is explained at the top of this file.
pub(crate) fn unmask<T: Transport, H: Host>(
    now: u64,
    queue: u16,
    rx: &mut RxQueue,
    memory: &DmaRegion,
    (masking, rearm): (Masking, Rearm),
    transport: &mut T,
    host: &mut H,
) -> bool {
    rx.ring.arm(memory);
    if rearm == Rearm::LookAgain && rx.ring.is_waiting(memory) != Ok(false) {
        still_masked(rx, memory, masking);
        return true;
    }
    rx.scheduled = false;
    rx.counters.receive.unmasked += 1;
    host.event(now, Event::Unmasked { queue });
    if masking == Masking::Msix {
        transport.set_vector_masked(vector_of(queue), false);
    }
    false
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vm_memory::{GuestAddress, GuestRegionMmap};

    use crate::DriverConfig;
    use crate::dma::{DmaRegion, peer_fence};
    use crate::layout::{Layout, RingLayout};
    use crate::ring::{Buffer, Ring, RingFeatures};
    use std::sync::atomic::Ordering;

    const AVAILABLE_FLAGS: usize = 0;
    const USED_INDEX: usize = 2;
    const USED_EVENT: usize = 4 + 2 * 16;

    /// A ring of 16, all with the device, which has used `used` chains so far; all of them taken.
    struct Race {
        memory: DmaRegion,
        layout: RingLayout,
        ring: Ring,
        event_index: bool,
        used: u16,
        interrupted: bool,
        found: bool,
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Move {
        DriverArms,
        DriverLooks,
        DevicePublishes,
        DeviceDecides,
    }
    use Move::{DeviceDecides, DevicePublishes, DriverArms, DriverLooks};

    impl Race {
        fn new(event_index: bool, used: u16) -> Self {
            let config = DriverConfig { rx_ring: 16, ..DriverConfig::default() };
            let layout = Layout::new(&config).rx[0].ring;
            let size = config.memory_needed().unwrap() as usize;
            let region = GuestRegionMmap::from_range(GuestAddress(0), size, None).unwrap();
            let memory = DmaRegion::new(Arc::new(region));
            let mut ring = Ring::new(layout);
            ring.reset(&memory, RingFeatures { event_index, ..RingFeatures::default() });
            let ids: Vec<u16> = (0..16).collect();
            for id in &ids {
                let buffer = Buffer { address: 0, len: 2048, writable: true };
                ring.describe(&memory, *id, &[buffer]);
            }
            ring.publish(&memory, &ids);
            let (interrupted, found) = (false, false);
            let mut race = Self { memory, layout, ring, event_index, used: 0, interrupted, found };
            for _ in 0..used {
                race.make(DevicePublishes);
                let view = race.ring.used_view(&race.memory);
                let id = race.ring.take(&view).unwrap().unwrap().id;
                race.ring.publish(&race.memory, &[id]);
            }
            race.ring.suppress(&race.memory);
            race
        }

        fn make(&mut self, step: Move) {
            let used = self.memory.view(self.layout.used);
            let available = self.memory.view(self.layout.available);
            match step {
                DriverArms => self.ring.arm(&self.memory),
                DriverLooks => self.found = self.ring.is_waiting(&self.memory) != Ok(false),
                DevicePublishes => {
                    let slot = usize::from(self.used % 16);
                    used.write_u64(4 + 8 * slot, slot as u64 | 72 << 32);
                    self.used = self.used.wrapping_add(1);
                    used.store_u16(USED_INDEX, self.used, Ordering::Release);
                    peer_fence();
                }
                DeviceDecides if self.event_index => {
                    let event = available.load_u16(USED_EVENT, Ordering::Relaxed);
                    self.interrupted = event == self.used.wrapping_sub(1);
                }
                DeviceDecides => {
                    self.interrupted = available.load_u16(AVAILABLE_FLAGS, Ordering::Relaxed) == 0;
                }
            }
        }
    }

    /// All orders of the four steps that keep the order of each side's two.
    fn orders(driver: [Move; 2]) -> Vec<[Move; 4]> {
        let [a, b] = driver;
        let (p, d) = (DevicePublishes, DeviceDecides);
        vec![[a, b, p, d], [a, p, b, d], [a, p, d, b], [p, a, b, d], [p, a, d, b], [p, d, a, b]]
    }

    /// In how many of the orders the completion is neither found nor announced.
    fn lost(driver: [Move; 2]) -> usize {
        let mut lost = 0;
        for (event_index, used) in
            [(false, 0), (true, 0), (true, 7), (true, 0x7fff), (true, 0x8000), (true, 0xffff)]
        {
            for order in orders(driver) {
                let mut race = Race::new(event_index, used);
                for step in order {
                    race.make(step);
                }
                lost += usize::from(!race.found && !race.interrupted);
            }
        }
        lost
    }

    #[test]
    fn a_completion_at_any_step_of_unmasking_is_found_or_announced() {
        assert_eq!(lost([DriverArms, DriverLooks]), 0);
    }

    #[test]
    fn looking_before_arming_would_lose_it() {
        assert_eq!(lost([DriverLooks, DriverArms]), 6, "one order in each of the six settings");
    }
}
