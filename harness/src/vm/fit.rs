//! Which scenarios run freely in a guest.
//!
//! Contract: what changes the fate of frames and cannot be done there is refused by its key. What the device does
//! not offer the guest is left out there, with a notice.

use super::NicKind;
use crate::scenario::{FilterEngine, Scenario};
use crate::threads::fit::{self, Unfit};

/// A scenario asks for what a guest that runs freely has not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {what}, or leave it out")]
pub struct UnfitForGuest {
    /// Key of the scenario.
    pub key: String,
    /// Why not.
    pub what: String,
}

/// Entries of a ring that QEMU gives a guest, at most.
const RING_MAX: u16 = 1024;

/// Whether it can run there.
///
/// # Errors
/// The first key that cannot be honoured.
pub fn check(scenario: &Scenario, nic: NicKind) -> Result<(), UnfitForGuest> {
    fit::check(scenario).map_err(|Unfit { key, what }| UnfitForGuest {
        key,
        what: format!("{what} only in virtual time; play it with --lockstep"),
    })?;
    let unfit = |key: &str, what: &str| {
        let (key, what) = (key.into(), what.into());
        Err(UnfitForGuest { key, what })
    };
    if nic == NicKind::Qemu && scenario.channels.combined > 1 {
        return unfit(
            "channels.combined",
            "QEMU's own NIC has one queue pair on a wire of datagrams; take one",
        );
    }
    if scenario.ring.rx.max(scenario.ring.tx) > RING_MAX {
        return unfit("ring", "QEMU's rings have 1024 entries at most; take fewer");
    }
    for (index, handle) in scenario.handle.iter().enumerate() {
        if handle.filter_engine == FilterEngine::Jit {
            let key = format!("handle.{index}.filter_engine");
            return unfit(&key, "the guest's agent has no compiler for filters; take interpreter");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_done_is_refused_by_its_key() {
        let refused = |text: &str| {
            let scenario = Scenario::parse(text, "test.toml", &[]).unwrap();
            check(&scenario, NicKind::Rxlab).err().map(|unfit| unfit.key)
        };
        assert_eq!(refused("[[handle]]\n"), None);
        let jit = "[[handle]]\nfilter_engine = 'jit'\n";
        assert_eq!(refused(jit), Some("handle.0.filter_engine".into()));
        assert_eq!(refused("[ring]\nrx = 2048\n"), Some("ring".into()));
        let four = Scenario::parse("[channels]\ncombined = 4\n", "test.toml", &[]).unwrap();
        assert!(check(&four, NicKind::Rxlab).is_ok() && check(&four, NicKind::Qemu).is_err());
        let fault = "[[fault]]\nkind = 'link_flap'\nat = '1ms'\nfor = '1ms'\n";
        assert_eq!(refused(fault), Some("fault".into()));
    }
}
