//! The byte budget of the packet queue: one number that all CPUs and the reader change.
//!
//! Contract: every way to charge tests and takes in one atomic step. The soft limit is Npcap's
//! (nmap/npcap `packetWin7/npf/npf/Read.c`): a look, then an exchange-and-add whose *old* value
//! decides, and what was taken in vain is given back. So the packets kept exceed the capacity by less
//! than one packet, however many CPUs race; but between taking and giving back each racing CPU may
//! show one packet more in [`Budget::used`], and may have another one refused for it.
//!
//! Every access is relaxed: nothing else is read on the strength of this number.

use super::sync::{AtomicU64, Ordering::Relaxed};

/// Bytes charged.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) used: AtomicU64,
}

impl Budget {
    pub(super) fn new() -> Self {
        Budget { used: AtomicU64::new(0) }
    }

    #[inline]
    pub(super) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// Takes `need` if anything is free, as it was seen; gives what is used then, or was used.
    #[inline]
    pub(super) fn charge_soft(&self, need: u64, capacity: u64) -> Result<u64, u64> {
        let seen = self.used();
        if seen >= capacity {
            return Err(seen);
        }
        let old = self.used.fetch_add(need, Relaxed);
        if old > capacity {
            self.release(need);
            return Err(old);
        }
        Ok(old + need)
    }

    /// Takes `need` if so much is free; gives what is used then, or was used.
    #[inline]
    pub(super) fn charge_hard(&self, need: u64, capacity: u64) -> Result<u64, u64> {
        let fits = |used: u64| Some(used + need).filter(|after| *after <= capacity);
        self.used.fetch_update(Relaxed, Relaxed, fits).map(|old| old + need)
    }

    /// Gives back what was charged.
    #[inline]
    pub(super) fn release(&self, charged: u64) {
        self.used.fetch_sub(charged, Relaxed);
    }
}
