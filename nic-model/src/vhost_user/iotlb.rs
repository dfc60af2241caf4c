//! Translations of a virtual IOMMU, which only the front-end knows.
//!
//! Contract: the device touches what a translation in force allows, and nothing else. What is not here is
//! asked for ([`Misses`]) and waited for: until it comes, until the front-end says that there is none (at
//! once), or until patience ends ([`PATIENCE`]). A guest that names what its IOMMU does not map makes its ring
//! malformed, like any address outside of memory.
//!
//! A translation goes to the front-end's addresses, which lie in its regions: it is turned into guest
//! addresses when it comes.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread::ThreadId;
use std::time::Instant;

use vm_memory::iommu::{Error, Iommu, IotlbIterator, IovaRange};
use vm_memory::{GuestAddress, Iotlb, Permissions};

pub use super::asking::{Asked, Miss, Misses, PATIENCE, PATIENCE_UNANSWERED};
use super::asking::{Asking, Outcome, Wanted};

/// See the module's contract.
pub struct Translations {
    known: RwLock<Iotlb>,
    asking: Asking,
}

impl Translations {
    /// None is known, and nobody to ask.
    #[must_use]
    pub fn new() -> Self {
        Self { known: RwLock::new(Iotlb::new()), asking: Asking::new() }
    }

    /// Misses are told here from now on.
    pub fn ask(&self, asks: Option<Arc<dyn Misses>>) {
        self.asking.ask(asks);
    }

    /// The front-end's answer to a question: whether there is a translation, which is here or on its way then.
    pub fn answer(&self, number: u64, there_is: bool) {
        self.asking.answer(number, there_is);
    }

    /// Does what waits for `thread`, which waits for no translation meanwhile: what it misses fails at once.
    /// A front-end that waits for a vring to stop may serve nobody until then.
    pub fn without<T>(&self, thread: ThreadId, work: impl FnOnce() -> T) -> T {
        self.asking.without(thread, work)
    }

    /// So many bytes from `iova` on are those from guest address `guest` on.
    pub fn update(&self, iova: u64, guest: u64, size: u64, access: Permissions) {
        let Some(len) = within(iova, size) else { return };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // It has no way to fail, and may have one some day: then the access fails instead.
        let _ = known.set_mapping(GuestAddress(iova), GuestAddress(guest), len, access);
        drop(known);
        self.asking.came(iova, size);
    }

    /// So many bytes from `iova` on are nothing any more.
    pub fn invalidate(&self, iova: u64, size: u64) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match within(iova, size) {
            Some(len) => known.invalidate_mapping(GuestAddress(iova), len),
            // "All there is" does not fit into a size.
            None => known.invalidate_all(),
        }
    }

    /// Nothing is known any more.
    pub fn invalidate_all(&self) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).invalidate_all();
    }

    /// Nothing is known any more, and whoever waits gives up.
    pub fn forget(&self) {
        self.invalidate_all();
        self.ask(None);
    }
}

impl Default for Translations {
    fn default() -> Self {
        Self::new()
    }
}

/// The translations of a session, as one memory after the other uses them.
#[derive(Clone, Debug)]
pub struct Shared(pub(super) Arc<Translations>);

impl fmt::Debug for Translations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Translations").finish_non_exhaustive()
    }
}

impl Iommu for Shared {
    type IotlbGuard<'a> = RwLockReadGuard<'a, Iotlb>;

    fn translate(
        &self,
        iova: GuestAddress,
        length: usize,
        access: Permissions,
    ) -> Result<IotlbIterator<Self::IotlbGuard<'_>>, Error> {
        self.0.translate(iova, length, access)
    }
}

impl Translations {
    fn translate(
        &self,
        iova: GuestAddress,
        length: usize,
        access: Permissions,
    ) -> Result<IotlbIterator<RwLockReadGuard<'_, Iotlb>>, Error> {
        let cannot = |reason: &str| Error::CannotResolve {
            iova_range: IovaRange { base: iova, length },
            reason: reason.into(),
        };
        if iova.0.checked_add(length as u64).is_none() {
            return Err(cannot("it ends beyond the address space"));
        }
        // When the first question was asked, and whether the last answer is all there is to get.
        let mut since = None;
        let mut denied = None;
        loop {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            let fails = match Iotlb::lookup(known, iova, length, access) {
                Ok(found) => return Ok(found),
                Err(fails) => fails,
            };
            let (first, mapped) = match (fails.misses.first(), fails.access_fails.first()) {
                (Some(missing), _) => (missing, false),
                (None, Some(forbidden)) => (forbidden, true),
                (None, None) => return Err(cannot("it is no range")),
            };
            if mapped && denied == Some(first.base) {
                return Err(cannot("the guest's IOMMU does not allow it"));
            }
            let since = *since.get_or_insert_with(Instant::now);
            let wanted = Wanted { range: first.clone(), access, mapped };
            match self.asking.wait(wanted, since) {
                Outcome::Came { answered } => denied = answered.then_some(first.base),
                Outcome::None(why) => return Err(cannot(why)),
            }
        }
    }
}

/// The size, if the range is none of nothing and ends in the address space.
fn within(iova: u64, size: u64) -> Option<usize> {
    iova.checked_add(size).filter(|_| size > 0)?;
    usize::try_from(size).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RW: Permissions = Permissions::ReadWrite;

    fn translated(
        translations: &Translations,
        at: u64,
        len: usize,
        access: Permissions,
    ) -> Option<u64> {
        let mut found = translations.translate(GuestAddress(at), len, access).ok()?;
        found.next().map(|range| range.base.0)
    }

    #[test]
    fn only_what_is_in_force_is_translated() {
        let translations = Translations::new();
        translations.update(0x1000, 0x9000, 0x2000, RW);
        translations.update(0x8000, 0x1000, 0x1000, Permissions::Read);
        assert_eq!(translated(&translations, 0x1800, 0x1000, RW), Some(0x9800));
        assert_eq!(translated(&translations, 0x8000, 1, Permissions::Read), Some(0x1000));
        for (at, len, access) in
            [(0xfff, 2, RW), (0x2fff, 2, RW), (0x8000, 1, Permissions::Write), (u64::MAX, 2, RW)]
        {
            assert_eq!(translated(&translations, at, len, access), None, "{at:#x}");
        }
        translations.invalidate(0x1000, 0x1000);
        assert_eq!(translated(&translations, 0x1800, 1, RW), None);
        assert_eq!(translated(&translations, 0x2000, 1, RW), Some(0xa000));
        translations.invalidate(0, u64::MAX);
        assert_eq!(translated(&translations, 0x2000, 1, RW), None);
        // Of sizes that no range can have nothing comes.
        translations.update(0, 0, 0, RW);
        translations.update(5, 0, u64::MAX, RW);
        assert_eq!(translated(&translations, 5, 1, RW), None);
    }

    /// Somebody who knows, and answers from another thread; or is no use.
    struct Knows(std::sync::mpsc::Sender<Miss>, Asked);

    impl Misses for Knows {
        fn miss(&self, miss: Miss) -> Asked {
            self.0.send(miss).unwrap_or_default();
            self.1
        }

        fn end(&self) {}
    }

    #[test]
    fn a_miss_is_asked_for_and_waited_for() {
        let translations = Translations::new();
        let (asks, asked) = std::sync::mpsc::channel();
        translations.ask(Some(Arc::new(Knows(asks, Asked::Unanswered))));
        std::thread::scope(|scope| {
            let translations = &translations;
            scope.spawn(move || {
                while let Ok(Miss { iova, size, .. }) = asked.recv_timeout(Duration::from_secs(2)) {
                    // Not of what was asked for, which wakes nobody; then one page at a time, as some do.
                    translations.update(0x10_0000, 0, 0x1000, RW);
                    translations.update(iova, iova + 0x10_0000, size.min(0x1000), RW);
                }
            });
            assert_eq!(translated(translations, 0x3000, 0x1800, RW), Some(0x10_3000));
            translations.ask(None);
            assert_eq!(translated(translations, 0x9000, 1, RW), None, "nobody to ask");
        });
    }

    #[test]
    fn without_answers_patience_is_short() {
        for (kind, least) in
            [(Asked::Unanswered, PATIENCE_UNANSWERED), (Asked::Not, Duration::ZERO)]
        {
            let translations = Translations::new();
            let (asks, _asked) = std::sync::mpsc::channel();
            translations.ask(Some(Arc::new(Knows(asks, kind))));
            let begun = Instant::now();
            assert_eq!(translated(&translations, 0x3000, 1, RW), None);
            assert!(begun.elapsed() >= least && begun.elapsed() < PATIENCE, "{kind:?}");
        }
    }
}
