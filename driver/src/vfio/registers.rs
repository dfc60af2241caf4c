//! A virtio device's registers: the mapped BARs, and accesses of the width that each field has (virtio 1.x 4.1.3.1).
//!
//! Contract: every access is within a BAR; one that would not be reads as all ones, as of a device that is not
//! there, and writes nothing. Loads and stores are single accesses in program order.

use std::sync::atomic::Ordering;

use vm_memory::{Bytes, MmapRegion, VolatileMemory};

use super::capability::{Notify, Place, Structures};

/// `device_feature_select`, `device_feature`, le32 each (all of these: 4.1.4.3).
const DEVICE_FEATURE_SELECT: u32 = 0;
const DEVICE_FEATURE: u32 = 4;
const DRIVER_FEATURE_SELECT: u32 = 8;
const DRIVER_FEATURE: u32 = 12;
const CONFIG_MSIX_VECTOR: u32 = 16;
const NUM_QUEUES: u32 = 18;
const DEVICE_STATUS: u32 = 20;
const CONFIG_GENERATION: u32 = 21;
const QUEUE_SELECT: u32 = 22;
const QUEUE_SIZE: u32 = 24;
const QUEUE_MSIX_VECTOR: u32 = 26;
const QUEUE_ENABLE: u32 = 28;
const QUEUE_NOTIFY_OFF: u32 = 30;
const QUEUE_DESC: u32 = 32;
const QUEUE_DRIVER: u32 = 40;
const QUEUE_DEVICE: u32 = 48;
const QUEUE_RESET: u32 = 58;
/// Bytes of a common configuration that has `queue_reset`.
const WITH_RESET: u32 = 60;

/// Widths of the fields of virtio-net's configuration, in order: MAC, status, pairs, MTU, speed, duplex, and
/// what belongs to RSS (5.1.4).
const FIELDS: [u8; 14] = [1, 1, 1, 1, 1, 1, 2, 2, 2, 4, 1, 1, 2, 4];
/// Bytes of these fields together.
const FIELDS_BYTES: usize = 24;

/// A virtqueue's registers after its selection.
pub(super) enum QueueRegister {
    /// Entries; after a reset the most there can be.
    Size,
    /// The MSI-X vector.
    Vector,
    /// 1: the device may use it.
    Enable,
    /// Where its doorbell is, in multiples.
    NotifyOffset,
    /// 1: it is being reset.
    Reset,
}

pub(super) struct Registers {
    bars: [Option<MmapRegion>; 6],
    structures: Structures,
}

impl Registers {
    /// The BARs must be as long as the structures need.
    pub(super) fn new(bars: [Option<MmapRegion>; 6], structures: Structures) -> Self {
        Self { bars, structures }
    }

    pub(super) fn device_features(&self) -> u64 {
        let half = |select: u32| {
            self.set_common_u32(DEVICE_FEATURE_SELECT, select);
            u64::from(self.u32_at(self.common(), DEVICE_FEATURE))
        };
        half(0) | half(1) << 32
    }

    pub(super) fn set_driver_features(&self, features: u64) {
        for (select, half) in [(0, features as u32), (1, (features >> 32) as u32)] {
            self.set_common_u32(DRIVER_FEATURE_SELECT, select);
            self.set_common_u32(DRIVER_FEATURE, half);
        }
    }

    pub(super) fn status(&self) -> u8 {
        self.u8_at(self.common(), DEVICE_STATUS)
    }

    pub(super) fn set_status(&self, status: u8) {
        if let Some((bar, at)) = self.find(self.common(), DEVICE_STATUS, 1) {
            // Found, so it is there.
            let _ = bar.store(status, at, Ordering::Release);
        }
    }

    pub(super) fn config_generation(&self) -> u8 {
        self.u8_at(self.common(), CONFIG_GENERATION)
    }

    pub(super) fn num_queues(&self) -> u16 {
        self.u16_at(self.common(), NUM_QUEUES)
    }

    /// The vector that the device has taken.
    pub(super) fn set_config_vector(&self, vector: u16) -> u16 {
        self.set_common_u16(CONFIG_MSIX_VECTOR, vector);
        self.u16_at(self.common(), CONFIG_MSIX_VECTOR)
    }

    pub(super) fn has_queue_reset(&self) -> bool {
        self.structures.common.len >= WITH_RESET
    }

    pub(super) fn queue(&self, queue: u16, register: &QueueRegister) -> u16 {
        self.set_common_u16(QUEUE_SELECT, queue);
        self.u16_at(self.common(), register.offset())
    }

    pub(super) fn set_queue(&self, queue: u16, register: &QueueRegister, value: u16) {
        self.set_common_u16(QUEUE_SELECT, queue);
        self.set_common_u16(register.offset(), value);
    }

    /// Descriptor table, driver area and device area of a virtqueue.
    pub(super) fn set_addresses(&self, queue: u16, addresses: [u64; 3]) {
        self.set_common_u16(QUEUE_SELECT, queue);
        for (at, address) in [QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE].into_iter().zip(addresses) {
            self.set_common_u32(at, address as u32);
            self.set_common_u32(at + 4, (address >> 32) as u32);
        }
    }

    /// Where the doorbell of a queue with this `queue_notify_off` is in the notification area, if it is inside
    /// (4.1.4.4).
    pub(super) fn doorbell(&self, notify_off: u16) -> Option<u32> {
        let Notify { place, multiplier } = self.structures.notify;
        let at = multiplier.checked_mul(notify_off.into())?;
        at.checked_add(2).filter(|end| *end <= place.len).map(|_| at)
    }

    /// Rings it.
    #[inline]
    pub(super) fn ring(&self, doorbell: u32, queue: u16) {
        if let Some((bar, at)) = self.find(self.structures.notify.place, doorbell, 2) {
            // Release: what the driver stored into its rings is there first. Found, so it is there.
            let _ = bar.store(queue.to_le(), at, Ordering::Release);
        }
    }

    /// The interrupt status, which reading clears (4.1.4.5).
    pub(super) fn take_isr(&self) -> u8 {
        self.u8_at(self.structures.isr, 0)
    }

    /// Fills `out` from the device's configuration; what it does not have reads 0.
    pub(super) fn read_config(&self, offset: u32, out: &mut [u8]) {
        let place = self.structures.device;
        let mut bytes = [0; FIELDS_BYTES];
        let mut at = 0;
        for width in FIELDS {
            let end = at + usize::from(width);
            let to = at as u32;
            if end as u32 > place.len {
                break;
            }
            match width {
                1 => bytes[at] = self.u8_at(place, to),
                2 => bytes[at..end].copy_from_slice(&self.u16_at(place, to).to_le_bytes()),
                4 => bytes[at..end].copy_from_slice(&self.u32_at(place, to).to_le_bytes()),
                _ => {}
            }
            at = end;
        }
        for (byte, at) in out.iter_mut().zip(offset as usize..) {
            *byte = bytes.get(at).copied().unwrap_or(0);
        }
    }

    fn common(&self) -> Place {
        self.structures.common
    }

    fn set_common_u16(&self, at: u32, value: u16) {
        if let Some((bar, at)) = self.find(self.common(), at, 2) {
            // Found, so it is there.
            let _ = bar.store(value.to_le(), at, Ordering::Release);
        }
    }

    fn set_common_u32(&self, at: u32, value: u32) {
        if let Some((bar, at)) = self.find(self.common(), at, 4) {
            // Found, so it is there.
            let _ = bar.store(value.to_le(), at, Ordering::Release);
        }
    }

    fn u8_at(&self, place: Place, at: u32) -> u8 {
        let found = self.find(place, at, 1);
        found.and_then(|(bar, at)| bar.load(at, Ordering::Acquire).ok()).unwrap_or(u8::MAX)
    }

    fn u16_at(&self, place: Place, at: u32) -> u16 {
        let found = self.find(place, at, 2);
        let value = found.and_then(|(bar, at)| bar.load(at, Ordering::Acquire).ok());
        u16::from_le(value.unwrap_or(u16::MAX))
    }

    fn u32_at(&self, place: Place, at: u32) -> u32 {
        let found = self.find(place, at, 4);
        let value = found.and_then(|(bar, at)| bar.load(at, Ordering::Acquire).ok());
        u32::from_le(value.unwrap_or(u32::MAX))
    }

    /// The BAR of `place`, and the offset in it of the `len` bytes at `at` of it, if they are inside.
    #[inline]
    fn find(
        &self,
        place: Place,
        at: u32,
        len: u32,
    ) -> Option<(vm_memory::VolatileSlice<'_>, usize)> {
        let inside = at.checked_add(len)? <= place.len;
        let bar = self.bars.get(usize::from(place.bar))?.as_ref()?;
        inside.then(|| (bar.as_volatile_slice(), (place.offset + at) as usize))
    }
}

impl QueueRegister {
    fn offset(&self) -> u32 {
        match self {
            Self::Size => QUEUE_SIZE,
            Self::Vector => QUEUE_MSIX_VECTOR,
            Self::Enable => QUEUE_ENABLE,
            Self::NotifyOffset => QUEUE_NOTIFY_OFF,
            Self::Reset => QUEUE_RESET,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Registers that are plain memory, all structures in BAR 4.
    fn registers(multiplier: u32) -> Registers {
        let place = |offset, len| Place { bar: 4, offset, len };
        let mut bars = [const { None }; 6];
        bars[4] = Some(MmapRegion::new(0x4000).unwrap());
        let notify = Notify { place: place(0x3000, 0x20), multiplier };
        let (common, isr, device) = (place(0, 64), place(0x1000, 1), place(0x2000, 20));
        Registers::new(bars, Structures { common, notify, isr, device })
    }

    fn bytes(registers: &Registers) -> vm_memory::VolatileSlice<'_> {
        registers.bars[4].as_ref().unwrap().as_volatile_slice()
    }

    #[test]
    fn fields_are_where_the_specification_has_them() {
        let registers = registers(4);
        registers.set_status(15);
        registers.set_driver_features(0x1_0000_0020);
        registers.set_addresses(3, [0x1122_3344_5566_7788, 2, 3]);
        registers.set_queue(3, &QueueRegister::Enable, 1);
        assert_eq!(registers.set_config_vector(2), 2);
        let mut common = [0; 60];
        bytes(&registers).read_slice(&mut common, 0).unwrap();
        assert_eq!((common[8], common[12], common[16], common[20]), (1, 1, 2, 15));
        assert_eq!((common[22], common[28]), (3, 1));
        assert_eq!(common[32..40], 0x1122_3344_5566_7788_u64.to_le_bytes());
        assert_eq!((common[40], common[48]), (2, 3));
        assert!(registers.has_queue_reset());
    }

    #[test]
    fn a_doorbell_must_be_inside() {
        let with = registers(4);
        assert_eq!((with.doorbell(0), with.doorbell(7)), (Some(0), Some(28)));
        assert_eq!((with.doorbell(8), with.doorbell(u16::MAX)), (None, None));
        assert_eq!(registers(1 << 31).doorbell(2), None);
        assert_eq!(registers(0).doorbell(u16::MAX), Some(0));
        with.ring(28, 0x1234);
        assert_eq!(bytes(&with).read_obj::<u16>(0x301c).unwrap(), 0x1234);
        with.ring(31, 1);
    }

    #[test]
    fn what_the_configuration_does_not_have_reads_zero() {
        let registers = registers(4);
        let whole: Vec<u8> = (1..=24).collect();
        bytes(&registers).write_slice(&whole, 0x2000).unwrap();
        let mut out = [0xff; 30];
        registers.read_config(0, &mut out);
        assert_eq!(out[..20], whole[..20]);
        assert_eq!(out[20..], [0; 10]);
        let mut out = [0xff; 4];
        registers.read_config(6, &mut out);
        assert_eq!(out, [7, 8, 9, 10]);
        registers.read_config(u32::MAX, &mut out);
        assert_eq!(out, [0; 4]);
    }

    #[test]
    fn what_is_not_there_reads_as_all_ones() {
        let registers = registers(4);
        let nowhere = Place { bar: 1, offset: 0, len: 64 };
        assert_eq!(registers.u8_at(nowhere, 0), 0xff);
        assert_eq!(registers.u16_at(registers.common(), 63), 0xffff);
        assert_eq!(registers.u32_at(registers.common(), u32::MAX), u32::MAX);
    }
}
