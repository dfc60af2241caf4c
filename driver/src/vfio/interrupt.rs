//! The device's interrupts as event descriptors, one per vector.
//!
//! VFIO does not let a program mask a single MSI-X vector: its mask and unmask actions are for the interrupt line
//! only (include/uapi/linux/vfio.h, `VFIO_IRQ_INFO_MASKABLE`). So masking is done here: a message of a masked
//! vector is taken from its descriptor and remembered, once, and put back at unmasking. Nobody but the driver can
//! tell the difference; the guest's CPU has been interrupted all the same.
//!
//! Without MSI-X all vectors share the interrupt line. VFIO masks it when it fires, so that whoever is told must
//! call [`Interrupts::relay`], which asks the device what it was (reading the interrupt status lowers the line, 4.1.4.5),
//! tells every vector that it may concern, and unmasks.

use std::io;

use vfio_bindings::bindings::vfio::{VFIO_PCI_INTX_IRQ_INDEX, VFIO_PCI_MSIX_IRQ_INDEX};
use vfio_ioctls::VfioDevice;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::error::VfioError;
use crate::CONFIG_VECTOR;

/// Interrupt status: a virtqueue has been used, the configuration has changed (4.1.4.5).
const ISR_QUEUE: u8 = 1;
const ISR_CONFIG: u8 = 2;

pub(super) struct Interrupts {
    vectors: Vec<Vector>,
    /// The interrupt line, if it is used.
    line: Option<EventFd>,
}

struct Vector {
    event: EventFd,
    /// By the driver.
    masked: bool,
    /// By somebody else, for a fault on purpose.
    held: bool,
    pending: bool,
}

impl Interrupts {
    /// Enables `count` vectors of the device; the line, if it has no MSI-X.
    pub(super) fn enable(device: &VfioDevice, count: u16) -> Result<Self, VfioError> {
        let system = VfioError::system("event descriptors");
        let mut this = Self::new(count).map_err(system)?;
        let has = |index| device.get_irq_info(index).map_or(0, |irq| irq.count);
        match has(VFIO_PCI_MSIX_IRQ_INDEX) {
            0 if has(VFIO_PCI_INTX_IRQ_INDEX) == 0 => return Err(VfioError::NoInterrupt),
            0 => {
                let line = EventFd::new(EFD_NONBLOCK);
                let line = line.map_err(VfioError::system("an event descriptor"))?;
                let enabled = device.enable_irq(VFIO_PCI_INTX_IRQ_INDEX, vec![&line]);
                enabled.map_err(VfioError::vfio("enabling the interrupt line"))?;
                this.line = Some(line);
            }
            has if has < u32::from(count) => {
                return Err(VfioError::TooFewVectors { need: count, has });
            }
            _ => {
                let events = this.vectors.iter().map(|vector| &vector.event).collect();
                device.enable_msix(events).map_err(VfioError::vfio("enabling MSI-X"))?;
            }
        }
        Ok(this)
    }

    fn new(count: u16) -> io::Result<Self> {
        let vector = |_| {
            let event = EventFd::new(EFD_NONBLOCK)?;
            Ok(Vector { event, masked: false, held: false, pending: false })
        };
        Ok(Self { vectors: (0..count).map(vector).collect::<io::Result<_>>()?, line: None })
    }

    pub(super) fn count(&self) -> u16 {
        // It was made of a u16.
        self.vectors.len() as u16
    }

    pub(super) fn line(&self) -> Option<&EventFd> {
        self.line.as_ref()
    }

    pub(super) fn event(&self, vector: u16) -> Option<&EventFd> {
        self.vectors.get(usize::from(vector)).map(|vector| &vector.event)
    }

    /// Whether a message has come by `vector` that may be passed on.
    pub(super) fn take(&mut self, vector: u16) -> bool {
        let Some(vector) = self.vectors.get_mut(usize::from(vector)) else { return false };
        let came = vector.event.read().is_ok();
        let kept = vector.masked || vector.held;
        vector.pending |= came && kept;
        came && !kept
    }

    pub(super) fn set_masked(&mut self, vector: u16, masked: bool) {
        let Some(vector) = self.vectors.get_mut(usize::from(vector)) else { return };
        vector.masked = masked;
        vector.let_through();
    }

    /// The same for a fault on purpose: the driver knows nothing of it.
    pub(super) fn set_held(&mut self, vector: u16, held: bool) {
        let Some(vector) = self.vectors.get_mut(usize::from(vector)) else { return };
        vector.held = held;
        vector.let_through();
    }

    /// The driver masks no vector, and what is pending is forgotten: the device has been reset.
    pub(super) fn reset(&mut self) {
        for vector in &mut self.vectors {
            (vector.masked, vector.pending) = (false, false);
        }
    }

    /// Sends a message by `vector`, as the device would, through the kernel.
    pub(super) fn trigger(&self, device: &VfioDevice, vector: u16) -> Result<(), VfioError> {
        match &self.line {
            None => device.trigger_irq(VFIO_PCI_MSIX_IRQ_INDEX, vector.into()),
            // The line is everybody's.
            Some(_) => device.trigger_irq(VFIO_PCI_INTX_IRQ_INDEX, 0),
        }
        .map_err(VfioError::vfio("triggering an interrupt"))
    }

    /// The line has fired; `isr` asks the device what for. Whether it had.
    pub(super) fn relay(
        &mut self,
        device: &VfioDevice,
        isr: impl FnOnce() -> u8,
    ) -> Result<bool, VfioError> {
        if self.line.as_ref().is_none_or(|line| line.read().is_err()) {
            return Ok(false);
        }
        self.spread(isr());
        let unmasked = device.unmask_irq(VFIO_PCI_INTX_IRQ_INDEX);
        unmasked.map_err(VfioError::vfio("unmasking the interrupt line")).map(|()| true)
    }

    /// Tells the vectors that an interrupt status concerns: which queue it was, it does not say.
    fn spread(&self, isr: u8) {
        let concerns = |vector: usize| {
            isr & if vector == usize::from(CONFIG_VECTOR) { ISR_CONFIG } else { ISR_QUEUE } != 0
        };
        let concerned = self.vectors.iter().enumerate().filter(|(vector, _)| concerns(*vector));
        concerned.for_each(|(_, vector)| vector.ring());
    }
}

impl Vector {
    /// What is pending goes on, if nobody keeps it.
    fn let_through(&mut self) {
        if !self.masked && !self.held && std::mem::take(&mut self.pending) {
            self.ring();
        }
    }

    fn ring(&self) {
        // One that is full is readable, and that is all that is wanted.
        let _ = self.event.write(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_vector_remembers_once() {
        let mut interrupts = Interrupts::new(2).unwrap();
        interrupts.vectors[1].ring();
        assert!(interrupts.take(1) && !interrupts.take(1));
        interrupts.set_masked(1, true);
        for _ in 0..3 {
            interrupts.vectors[1].ring();
            assert!(!interrupts.take(1));
        }
        // Nobody who waits for the descriptor is woken meanwhile.
        assert!(interrupts.event(1).unwrap().read().is_err());
        interrupts.set_masked(1, false);
        assert!(interrupts.take(1) && !interrupts.take(1));
        // One that came while it was masked and was not looked at is there all the same.
        interrupts.set_masked(1, true);
        interrupts.vectors[1].ring();
        interrupts.set_masked(1, false);
        assert!(interrupts.take(1) && !interrupts.take(0) && !interrupts.take(2));
    }

    #[test]
    fn who_holds_a_vector_does_not_mind_the_driver() {
        let mut interrupts = Interrupts::new(1).unwrap();
        interrupts.set_held(0, true);
        interrupts.vectors[0].ring();
        for masked in [true, false] {
            interrupts.set_masked(0, masked);
            assert!(!interrupts.take(0));
        }
        interrupts.set_held(0, false);
        assert!(interrupts.take(0) && !interrupts.take(0));
    }

    #[test]
    fn the_lines_news_goes_to_whom_it_may_concern() {
        let mut interrupts = Interrupts::new(3).unwrap();
        let mut told = |isr| {
            interrupts.spread(isr);
            [0, 1, 2].map(|vector| interrupts.take(vector))
        };
        assert_eq!(told(ISR_QUEUE), [false, true, true]);
        assert_eq!(told(ISR_CONFIG), [true, false, false]);
        assert_eq!(told(0), [false; 3]);
    }

    #[test]
    fn a_reset_forgets() {
        let mut interrupts = Interrupts::new(1).unwrap();
        interrupts.set_masked(0, true);
        interrupts.vectors[0].ring();
        assert!(!interrupts.take(0));
        interrupts.reset();
        assert!(!interrupts.take(0));
        interrupts.vectors[0].ring();
        assert!(interrupts.take(0));
    }
}
