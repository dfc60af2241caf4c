//! Where a virtio device has its structures: the vendor capabilities of its PCI configuration space, taken apart
//! (virtio 1.x 4.1.4).
//!
//! Contract: any bytes give [`Structures`] or an error, and never a panic or an endless walk. What is given lies
//! within 32 bits of a BAR and is aligned as the specification asks; whether the BAR is as long is the caller's
//! to check. Capabilities of a type or BAR that the specification reserves are skipped, and of several of one
//! type the first counts (4.1.4.1).

use std::fmt;

/// Bytes of configuration space in which capabilities of this kind lie (PCI 3.0, 6.7).
pub const CONFIG_BYTES: usize = 256;

/// Where a structure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which BAR, 0..=5.
    pub bar: u8,
    /// First byte in the BAR.
    pub offset: u32,
    /// Bytes.
    pub len: u32,
}

impl Place {
    /// Bytes that the BAR must have.
    pub fn end(&self) -> u64 {
        u64::from(self.offset) + u64::from(self.len)
    }
}

/// The notification area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notify {
    /// Where it is.
    pub place: Place,
    /// Bytes from one queue's doorbell to the next; 0 if all share one.
    pub multiplier: u32,
}

/// The structures of a virtio device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Structures {
    /// Common configuration, at least [`COMMON_BYTES`] long.
    pub common: Place,
    /// Notification area, at least one doorbell.
    pub notify: Notify,
    /// Interrupt status, at least one byte.
    pub isr: Place,
    /// The device's own configuration.
    pub device: Place,
}

/// Bytes of the common configuration up to and with `queue_device` (4.1.4.3); what is behind belongs to features.
pub const COMMON_BYTES: u32 = 56;

/// Of a BAR that is there (PCI 3.0, 6.2.5.1).
const BARS: u8 = 6;
/// PCI status: there is a list of capabilities (PCI 3.0, 6.2.3).
const STATUS_LIST: u8 = 1 << 4;
const STATUS: usize = 0x06;
const FIRST: usize = 0x34;
/// Capabilities lie behind the header.
const HEADER: u8 = 0x40;
/// Capability id: vendor specific, which is what virtio's are.
const VENDOR: u8 = 0x09;
/// `cfg_type`s (4.1.4).
const COMMON: u8 = 1;
const NOTIFY: u8 = 2;
const ISR: u8 = 3;
const DEVICE: u8 = 4;
/// Bytes of a capability, and of that of the notification area.
const LEN: u8 = 16;
const LEN_NOTIFY: u8 = 20;

/// Why a configuration space is not a virtio device's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapabilityError {
    /// The header says that there are none.
    NoList,
    /// One points to itself by way of others, or into the header, or out of the space.
    BadList {
        /// Where.
        at: u8,
    },
    /// One is too short for what it must hold.
    Short {
        /// Where it is.
        at: u8,
        /// What it says, in bytes.
        len: u8,
        /// What it must be at least.
        need: u8,
    },
    /// One that is needed is not there.
    Missing {
        /// Of which structure.
        what: &'static str,
    },
    /// A structure is too short.
    TooSmall {
        /// Which.
        what: &'static str,
        /// Its bytes.
        len: u32,
        /// What it must be at least.
        need: u32,
    },
    /// A structure does not start where it may.
    Misaligned {
        /// Which.
        what: &'static str,
        /// Where it starts in its BAR.
        offset: u32,
        /// At a multiple of this it may.
        align: u32,
    },
    /// `notify_off_multiplier` is neither 0 nor an even power of two (4.1.4.4.1).
    BadMultiplier {
        /// What it is.
        multiplier: u32,
    },
}

impl fmt::Display for CapabilityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the device's PCI configuration is not that of a virtio 1.x device: ")?;
        match self {
            Self::NoList => {
                write!(f, "it has no capabilities; is it a legacy one? (QEMU: disable-legacy=on)")
            }
            Self::BadList { at } => write!(f, "its list of capabilities goes wrong at {at:#04x}"),
            Self::Short { at, len, need } => {
                write!(f, "the capability at {at:#04x} has {len} bytes, it needs {need}")
            }
            Self::Missing { what } => write!(f, "no capability says where its {what} is"),
            Self::TooSmall { what, len, need } => {
                write!(f, "its {what} has {len} bytes, it needs {need}")
            }
            Self::Misaligned { what, offset, align } => {
                write!(f, "its {what} is at {offset:#x}, which is no multiple of {align}")
            }
            Self::BadMultiplier { multiplier } => {
                write!(
                    f,
                    "notify_off_multiplier is {multiplier}, neither 0 nor a power of two from 2 on"
                )
            }
        }
    }
}

impl std::error::Error for CapabilityError {}

impl Structures {
    /// As the configuration space says.
    ///
    /// # Errors
    /// See [`CapabilityError`].
    pub fn parse(config: &[u8; CONFIG_BYTES]) -> Result<Self, CapabilityError> {
        if config[STATUS] & STATUS_LIST == 0 {
            return Err(CapabilityError::NoList);
        }
        let mut found = Found::default();
        // The two lowest bits of a pointer are reserved.
        let mut at = config[FIRST] & !3;
        let mut seen = [false; CONFIG_BYTES];
        while at != 0 {
            let here = usize::from(at);
            if at < HEADER || std::mem::replace(&mut seen[here], true) {
                return Err(CapabilityError::BadList { at });
            }
            // Four bytes from a multiple of 4 are always there.
            if config[here] == VENDOR {
                found.take(config, at)?;
            }
            at = config[here + 1] & !3;
        }
        found.structures()
    }
}

#[derive(Default)]
struct Found {
    common: Option<Place>,
    notify: Option<Notify>,
    isr: Option<Place>,
    device: Option<Place>,
}

impl Found {
    /// The vendor capability at `at`, if it is one that counts.
    fn take(&mut self, config: &[u8; CONFIG_BYTES], at: u8) -> Result<(), CapabilityError> {
        let here = usize::from(at);
        let (len, kind) = (config[here + 2], config[here + 3]);
        let wanted = match kind {
            COMMON => self.common.is_none(),
            NOTIFY => self.notify.is_none(),
            ISR => self.isr.is_none(),
            DEVICE => self.device.is_none(),
            _ => false,
        };
        if !wanted {
            return Ok(());
        }
        let need = if kind == NOTIFY { LEN_NOTIFY } else { LEN };
        if len < need {
            return Err(CapabilityError::Short { at, len, need });
        }
        let Some(bytes) = config.get(here..here + usize::from(need)) else {
            return Err(CapabilityError::BadList { at });
        };
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let place = Place { bar: bytes[4], offset: word(8), len: word(12) };
        if place.bar >= BARS {
            return Ok(());
        }
        match kind {
            COMMON => self.common = Some(place),
            NOTIFY => self.notify = Some(Notify { place, multiplier: word(16) }),
            ISR => self.isr = Some(place),
            _ => self.device = Some(place),
        }
        Ok(())
    }

    fn structures(self) -> Result<Structures, CapabilityError> {
        let missing = |what| CapabilityError::Missing { what };
        let common = self.common.ok_or(missing("common configuration"))?;
        let notify = self.notify.ok_or(missing("notification area"))?;
        let isr = self.isr.ok_or(missing("interrupt status"))?;
        let device = self.device.ok_or(missing("device configuration"))?;
        let checks = [
            ("common configuration", common, COMMON_BYTES, 4),
            ("notification area", notify.place, 2, 2),
            ("interrupt status", isr, 1, 1),
            ("device configuration", device, 1, 4),
        ];
        for (what, Place { offset, len, .. }, need, align) in checks {
            if len < need {
                return Err(CapabilityError::TooSmall { what, len, need });
            }
            if offset % align != 0 {
                return Err(CapabilityError::Misaligned { what, offset, align });
            }
        }
        let Notify { multiplier, .. } = notify;
        if multiplier != 0 && (multiplier == 1 || !multiplier.is_power_of_two()) {
            return Err(CapabilityError::BadMultiplier { multiplier });
        }
        Ok(Structures { common, notify, isr, device })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Capabilities as QEMU lays them out: (at, type, BAR, offset, length), the last one's multiplier is 4.
    const QEMU: [(u8, u8, u8, u32, u32); 5] = [
        (0x84, 5, 0, 0, 0),
        (0x70, 2, 4, 0x3000, 0x1000),
        (0x60, 4, 4, 0x2000, 0x1000),
        (0x50, 3, 4, 0x1000, 0x1000),
        (0x40, 1, 4, 0, 0x1000),
    ];

    fn config(list: &[(u8, u8, u8, u32, u32)]) -> [u8; CONFIG_BYTES] {
        let mut config = [0; CONFIG_BYTES];
        config[STATUS] = STATUS_LIST;
        let mut pointer = FIRST;
        for (at, kind, bar, offset, len) in list {
            let here = usize::from(*at);
            config[pointer] = *at;
            pointer = here + 1;
            config[here..here + 5].copy_from_slice(&[VENDOR, 0, 20, *kind, *bar]);
            config[here + 8..here + 12].copy_from_slice(&offset.to_le_bytes());
            config[here + 12..here + 16].copy_from_slice(&len.to_le_bytes());
            if *kind == NOTIFY {
                config[here + 16] = 4;
            } else if *kind != 5 {
                config[here + 2] = 16;
            }
        }
        config
    }

    #[test]
    fn what_qemu_says_is_understood() {
        let structures = Structures::parse(&config(&QEMU)).unwrap();
        let place = |offset| Place { bar: 4, offset, len: 0x1000 };
        let notify = Notify { place: place(0x3000), multiplier: 4 };
        let (common, isr, device) = (place(0), place(0x1000), place(0x2000));
        assert_eq!(structures, Structures { common, notify, isr, device });
        assert_eq!(structures.device.end(), 0x3000);
    }

    #[test]
    fn the_first_of_a_type_counts_and_reserved_ones_do_not() {
        let mut more = vec![(0xa0, 1, 6, 0, 0x1000), (0xb0, 99, 1, 0, 0)];
        more.extend(QEMU);
        more.push((0xc0, 1, 2, 0, 0x1000));
        assert_eq!(Structures::parse(&config(&more)), Structures::parse(&config(&QEMU)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let said = |spoil: &dyn Fn(&mut [u8; CONFIG_BYTES])| {
            let mut bytes = config(&QEMU);
            spoil(&mut bytes);
            Structures::parse(&bytes).unwrap_err()
        };
        assert_eq!(said(&|bytes| bytes[STATUS] = 0), CapabilityError::NoList);
        assert_eq!(said(&|bytes| bytes[0x41] = 0x70), CapabilityError::BadList { at: 0x70 });
        assert_eq!(said(&|bytes| bytes[FIRST] = 0x20), CapabilityError::BadList { at: 0x20 });
        let short = CapabilityError::Short { at: 0x70, len: 16, need: 20 };
        assert_eq!(said(&|bytes| bytes[0x72] = 16), short);
        let missing = CapabilityError::Missing { what: "interrupt status" };
        assert_eq!(said(&|bytes| bytes[0x53] = 9), missing);
        let small = CapabilityError::TooSmall { what: "common configuration", len: 0x37, need: 56 };
        assert_eq!(said(&|bytes| bytes[0x4c..0x4e].copy_from_slice(&[0x37, 0])), small);
        let odd =
            CapabilityError::Misaligned { what: "notification area", offset: 0x3001, align: 2 };
        assert_eq!(said(&|bytes| bytes[0x78] = 1), odd);
        for multiplier in [1, 3, 12] {
            let error = said(&|bytes| bytes[0x80] = multiplier);
            assert_eq!(error, CapabilityError::BadMultiplier { multiplier: multiplier.into() });
        }
        // One that would reach behind the end of the space.
        let mut bytes = config(&QEMU[..1]);
        bytes[0x85] = 0xf4;
        bytes[0xf4..0xf8].copy_from_slice(&[VENDOR, 0, 20, COMMON]);
        assert_eq!(Structures::parse(&bytes), Err(CapabilityError::BadList { at: 0xf4 }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_structures_or_an_error(
            mut bytes in prop::array::uniform32(any::<[u8; 8]>()),
            spoilt in prop::collection::vec((0..CONFIG_BYTES, any::<u8>()), 0..8),
            noise: bool,
        ) {
            // Either all noise, or what QEMU says with a few bytes changed.
            let mut config = config(&QEMU);
            if noise {
                bytes[0][STATUS] |= STATUS_LIST;
                config.copy_from_slice(bytes.as_flattened());
            }
            for (at, byte) in spoilt {
                config[at] = byte;
            }
            if let Ok(Structures { common, notify, isr, device }) = Structures::parse(&config) {
                for place in [common, notify.place, isr, device] {
                    prop_assert!(place.bar < BARS && place.end() <= 2 * u64::from(u32::MAX));
                }
                prop_assert!(common.len >= COMMON_BYTES && common.offset % 4 == 0);
                prop_assert!(notify.place.len >= 2 && notify.place.offset % 2 == 0);
                prop_assert!(notify.multiplier % 2 == 0);
            }
        }
    }
}
