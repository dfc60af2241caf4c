//! Memory that outlives this process, in which chains in flight are tracked; it is the front-end's to keep.
//!
//! Contract: vring `i` has the bytes from `i` times [`region_len`] on. A file that is too short, or that does not
//! begin at a page, is refused. Not checked: that it is not cut short later, as with guest memory.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use vm_memory::{FileOffset, MmapRegion, VolatileMemory};

use super::request::Inflight;
use crate::ring::Region;
use crate::ring::inflight::region_len;

/// Memory for this many vrings of this many entries, all zeros: what to answer, and its file.
///
/// # Errors
/// The system has none.
pub(super) fn create(asked: &Inflight, packed: bool) -> std::io::Result<(Inflight, OwnedFd)> {
    let size = u64::from(asked.queues) * region_len(packed, asked.entries);
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = memfd_create("rxlab inflight", flags)?;
    ftruncate(&file, size)?;
    // Nobody can cut it short while it is mapped.
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok((Inflight { size, offset: 0, ..*asked }, file))
}

/// All vrings' regions.
#[derive(Debug)]
pub(super) struct Regions {
    bits: Arc<MmapRegion>,
    shape: Inflight,
}

impl Regions {
    /// Maps what the front-end has kept.
    ///
    /// # Errors
    /// It cannot be had, in words.
    pub(super) fn map(shape: Inflight, file: OwnedFd) -> Result<Self, String> {
        let Inflight { size, offset, .. } = shape;
        let file = File::from(file);
        let len = file.metadata().map_err(|error| format!("the inflight file: {error}"))?.len();
        if offset.checked_add(size).is_none_or(|end| end > len) {
            return Err(format!("{size} bytes from {offset} on end beyond a file of {len}"));
        }
        if offset % super::log::PAGE != 0 {
            return Err(format!(
                "the inflight regions begin at {offset}, which is no page's beginning"
            ));
        }
        let bits = usize::try_from(size).map_err(|error| error.to_string()).and_then(|size| {
            MmapRegion::from_file(FileOffset::new(file, offset), size)
                .map_err(|error| error.to_string())
        });
        let bits = bits.map_err(|error| format!("{size} bytes of inflight regions: {error}"))?;
        Ok(Self { bits: Arc::new(bits), shape })
    }

    /// Whether all vrings have room.
    ///
    /// # Errors
    /// They have not, in words.
    pub(super) fn check(&self, packed: bool) -> Result<(), String> {
        let Inflight { size, queues, entries, .. } = self.shape;
        let needed = u64::from(queues) * region_len(packed, entries);
        match size < needed {
            true => Err(format!(
                "{size} bytes for {queues} vrings of {entries} entries, which need {needed}"
            )),
            false => Ok(()),
        }
    }

    /// Vring `index`'s; `None` if it has none.
    pub(super) fn region(&self, index: u16, packed: bool) -> Option<Tracking> {
        if index >= self.shape.queues {
            return None;
        }
        let len = region_len(packed, self.shape.entries);
        // They were checked to lie in what is mapped, so all of it fits.
        let (start, len) = ((u64::from(index) * len) as usize, len as usize);
        let region = Box::new(OfVring { bits: Arc::clone(&self.bits), start, len });
        Some(Tracking { region, entries: self.shape.entries })
    }
}

/// Where the chains of a vring are tracked.
#[derive(Debug)]
pub struct Tracking {
    /// The memory.
    pub region: Box<dyn Region>,
    /// Entries that it was made for.
    pub entries: u16,
}

#[derive(Debug)]
struct OfVring {
    bits: Arc<MmapRegion>,
    start: usize,
    len: usize,
}

impl OfVring {
    fn word<T>(&self, word: usize, with: impl FnOnce(&AtomicU64) -> T) -> Option<T> {
        let at = (word < self.words()).then(|| self.start + 8 * word)?;
        self.bits.as_volatile_slice().get_atomic_ref::<AtomicU64>(at).ok().map(with)
    }
}

impl Region for OfVring {
    fn words(&self) -> usize {
        self.len / 8
    }

    fn load(&self, word: usize) -> u64 {
        self.word(word, |word| word.load(Ordering::Acquire)).unwrap_or(0)
    }

    fn store(&self, word: usize, value: u64) {
        let _ = self.word(word, |word| word.store(value, Ordering::Release));
    }
}

impl Inflight {
    /// As it is sent: 20 bytes, or with the padding of a C structure.
    #[must_use]
    pub fn bytes(&self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.size.to_ne_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_ne_bytes());
        bytes[16..18].copy_from_slice(&self.queues.to_ne_bytes());
        bytes[18..20].copy_from_slice(&self.entries.to_ne_bytes());
        bytes
    }
}
