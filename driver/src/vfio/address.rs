//! The place of a PCI function, as `lspci -D` and sysfs write it.

use std::fmt;
use std::str::FromStr;

/// Domain, bus, device and function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PciAddress {
    /// PCI domain (segment).
    pub domain: u16,
    /// Bus.
    pub bus: u8,
    /// Device on the bus, 0..=31.
    pub device: u8,
    /// Function of the device, 0..=7.
    pub function: u8,
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, bus, device, function } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function}")
    }
}

/// A text that is no [`PciAddress`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError(String);

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no PCI address: write domain:bus:device.function, 0000:00:04.0 say",
            self.0
        )
    }
}

impl std::error::Error for AddressError {}

impl FromStr for PciAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        parse(text).ok_or_else(|| AddressError(text.into()))
    }
}

fn parse(text: &str) -> Option<PciAddress> {
    let (domain, rest) = text.split_once(':')?;
    let (bus, rest) = rest.split_once(':')?;
    let (device, function) = rest.split_once('.')?;
    let number = |text: &str, digits: usize| {
        let hex = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u16::from_str_radix(text, 16).ok().filter(|_| hex)
    };
    let device = number(device, 2).filter(|device| *device < 32)?;
    let function = number(function, 1).filter(|function| *function < 8)?;
    // Each fits its type by its digits and limits.
    let (bus, device, function) = (number(bus, 2)? as u8, device as u8, function as u8);
    Some(PciAddress { domain: number(domain, 4)?, bus, device, function })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_address_are_the_same() {
        for text in ["0000:00:04.0", "ffff:ff:1f.7", "0001:0a:10.3"] {
            assert_eq!(text.parse::<PciAddress>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "00:04.0",
            "0000:00:20.0",
            "0000:00:04.8",
            "0000:00:4.0",
            "0000:00:+4.0",
            "0000:0g:04.0",
        ] {
            assert!(
                bad.parse::<PciAddress>().unwrap_err().to_string().contains("0000:00:04.0"),
                "{bad}"
            );
        }
    }
}
