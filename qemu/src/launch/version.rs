//! Which QEMU.

use std::fmt;
use std::path::Path;
use std::process::Command;

use super::error::VmError;

/// QEMU's version; 10.0 is behind 9.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Before the dot.
    pub major: u32,
    /// Behind it.
    pub minor: u32,
}

impl Version {
    /// The oldest that this crate is tested with.
    pub const OLDEST: Self = Self { major: 7, minor: 2 };
    /// From here on a chardev's pause between two attempts is `reconnect-ms`; `reconnect` before
    /// (docs/about/deprecated.rst of QEMU 9.2).
    pub const RECONNECT_MS: Self = Self { major: 9, minor: 2 };
    /// Before, QEMU without KVM dies when a guest's driver has a NIC behind vhost-user use MSI-X, whoever the
    /// driver is: when the rings start, it takes each unmasked vector to a route that only KVM has
    /// (`kvm_virtio_pci_irqfd_use` by way of `msix_set_vector_notifiers`), as vhost-user leaves masking to it.
    /// Mended in 8.0 by "virtio-pci: add support for configure interrupt". A device of QEMU's own is not concerned.
    pub const MSIX_WITHOUT_KVM: Self = Self { major: 8, minor: 0 };

    /// Of a program, if it is QEMU and new enough.
    ///
    /// # Errors
    /// It is not there, not QEMU, or too old.
    pub fn of(program: &Path) -> Result<Self, VmError> {
        let missing = |error| VmError::NoQemu { program: program.to_owned(), error };
        let output = Command::new(program).arg("--version").output().map_err(missing)?;
        let said = String::from_utf8_lossy(&output.stdout);
        let line = said.lines().next().unwrap_or_default();
        match Self::parse(line) {
            Some(version) if version >= Self::OLDEST => Ok(version),
            Some(found) => Err(VmError::TooOld { found }),
            None => Err(VmError::NoVersion { program: program.to_owned(), said: line.to_owned() }),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.split_once("QEMU emulator version ")?;
        let mut numbers = rest.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        Some(Self { major: numbers.next()?.ok()?, minor: numbers.next()?.ok()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers() {
        let of = |line| Version::parse(line).map(|version| version.to_string());
        let debian = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)";
        assert_eq!(of(debian).as_deref(), Some("7.2"));
        assert_eq!(of("QEMU emulator version 10.0.2").as_deref(), Some("10.0"));
        assert!(of("qemu-img version 7.2").is_none() && of("QEMU emulator version x").is_none());
        let [old, new] = ["9.1.2", "10.0"]
            .map(|number| Version::parse(&format!("QEMU emulator version {number}")).unwrap());
        assert!(old < Version::RECONNECT_MS && Version::RECONNECT_MS < new);
    }

    #[test]
    fn what_is_no_qemu_is_named() {
        let said = |program: &str| Version::of(Path::new(program)).unwrap_err().to_string();
        assert!(said("no-such-qemu").contains("qemu-system-x86"), "{}", said("no-such-qemu"));
        assert!(said("true").contains("does not say that it is QEMU"));
    }
}
