//! Where rings and buffers lie in the DMA region: computed once from the configuration.
//!
//! ```text
//! rx 0: descriptors | available | used | tables | buffers, spare ones | headers
//! tx 0: descriptors | available | used | tables | buffers
//! rx 1: ...
//! control: descriptors | available | used | header and data | ack
//! ```
//!
//! Everything starts on a cache line, so that what the device writes (used ring, buffers) shares no
//! line with what the driver writes. A buffer is the device's from the publication of the slot that names it
//! until that slot's completion, and the driver's otherwise. With the copy policy buffer i is slot i's for
//! ever; with the others a slot gets a spare one for each that it hands over. Tables are those of indirect
//! descriptors, headers the buffers of split-off headers: there only if they are in use.
//! Not checked here: that the region is large enough; [`DmaRegion::check`](crate::DmaRegion) does it.

use crate::command;
use crate::config::DriverConfig;
use crate::config_error::ConfigError;
use crate::dma::Window;
use crate::spec;

/// Entries of the control ring. One command is outstanding at a time and takes three.
pub(crate) const CONTROL_RING: u16 = 16;

/// A cache line.
const ALIGN: usize = spec::CACHE_LINE;

/// All windows of one driver.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) rx: Vec<QueueLayout>,
    pub(crate) tx: Vec<QueueLayout>,
    pub(crate) control: ControlLayout,
    /// Bytes from the start of the region to the end of the last window.
    pub(crate) total: u64,
}

/// One ring. A packed one takes the same windows: descriptors in `table`, the driver's event suppression
/// in `available`, the device's in `used`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RingLayout {
    pub(crate) size: u16,
    pub(crate) table: Window,
    pub(crate) available: Window,
    pub(crate) used: Window,
    /// Most buffers of a chain.
    pub(crate) chain: u16,
    /// A table of `chain` descriptors per entry, if indirect descriptors may be used; else empty.
    pub(crate) indirect: Window,
}

/// One receive or transmit queue: a ring and a buffer per descriptor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueLayout {
    pub(crate) ring: RingLayout,
    pub(crate) buffers: Window,
    /// Bytes from one buffer to the next; at least a buffer.
    pub(crate) stride: usize,
    /// A header buffer per slot, if headers are split off; else empty.
    pub(crate) headers: Window,
}

/// The control queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ControlLayout {
    pub(crate) ring: RingLayout,
    /// The header at [`ControlLayout::HEADER`], and the data behind it.
    pub(crate) request: Window,
    pub(crate) ack: Window,
}

impl ControlLayout {
    /// Where the header is in the request.
    pub(crate) const HEADER: usize = Self::DATA - command::HEADER_BYTES;
    /// Where the data are: on a cache line.
    pub(crate) const DATA: usize = ALIGN;
}

impl Layout {
    /// `config` must be valid: its limits keep the sum below 2^45 bytes.
    pub(crate) fn new(config: &DriverConfig) -> Self {
        let indirect = config.wanted() & spec::F_INDIRECT_DESC != 0;
        let mut end = Cursor { end: 0, indirect };
        let (mut rx, mut tx) = (Vec::new(), Vec::new());
        for _ in 0..config.queue_pairs {
            rx.push(end.rx_queue(config));
            tx.push(end.queue(config.tx_ring, config.tx_header.chain(), config.tx_buffer_size()));
        }
        let control = ControlLayout {
            ring: end.ring(CONTROL_RING, command::CHAIN),
            request: end.take(ControlLayout::DATA + command::largest_command(config)),
            ack: end.take(1 + command::largest_result(config)),
        };
        Self { rx, tx, control, total: end.end as u64 }
    }
}

impl DriverConfig {
    /// Bytes of DMA memory that rings and buffers of this configuration take.
    ///
    /// # Errors
    /// The configuration breaks a rule.
    pub fn memory_needed(&self) -> Result<u64, ConfigError> {
        self.validate()?;
        Ok(Layout::new(self).total)
    }
}

struct Cursor {
    end: usize,
    /// Rings of chains have indirect tables.
    indirect: bool,
}

impl Cursor {
    fn take(&mut self, len: usize) -> Window {
        let offset = self.end;
        self.end = (offset + len).next_multiple_of(ALIGN);
        Window { offset, len }
    }

    fn ring(&mut self, size: u16, chain: u16) -> RingLayout {
        let entries = usize::from(size);
        let tables = if self.indirect && chain > 1 { entries * usize::from(chain) } else { 0 };
        // Two bytes after the entries of each ring: used_event and avail_event (2.7.6, 2.7.8).
        RingLayout {
            size,
            table: self.take(entries * spec::DESCRIPTOR_BYTES),
            available: self.take(spec::RING_ENTRIES + entries * spec::AVAIL_ENTRY_BYTES + 2),
            used: self.take(spec::RING_ENTRIES + entries * spec::USED_ELEMENT_BYTES + 2),
            chain,
            indirect: self.take(tables * spec::DESCRIPTOR_BYTES),
        }
    }

    fn queue(&mut self, size: u16, chain: u16, buffer_size: u32) -> QueueLayout {
        let stride = (buffer_size as usize).next_multiple_of(ALIGN);
        let ring = self.ring(size, chain);
        let buffers = self.take(usize::from(size) * stride);
        QueueLayout { ring, buffers, stride, headers: Window { offset: self.end, len: 0 } }
    }

    /// With spare buffers, and header buffers if the policy has some.
    fn rx_queue(&mut self, config: &DriverConfig) -> QueueLayout {
        let (policy, size) = (config.buffers, usize::from(config.rx_ring));
        let ring = self.ring(config.rx_ring, policy.chain());
        let stride = (config.buffer_size as usize).next_multiple_of(ALIGN);
        let buffers = self.take((size + usize::from(policy.spares())) * stride);
        let headers = self.take(size * policy.header().next_multiple_of(ALIGN));
        QueueLayout { ring, buffers, stride, headers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffers::{Buffers, Exhausted};
    use crate::config::TxHeader;
    use proptest::prelude::*;

    /// Every window that has bytes.
    fn windows(layout: &Layout) -> Vec<Window> {
        let ring = |r: &RingLayout| [r.table, r.available, r.used, r.indirect];
        let mut all = Vec::new();
        for queue in layout.rx.iter().chain(&layout.tx) {
            all.extend(ring(&queue.ring));
            all.extend([queue.buffers, queue.headers]);
        }
        all.extend(ring(&layout.control.ring));
        all.extend([layout.control.request, layout.control.ack]);
        all.retain(|window| window.len > 0);
        all.sort_by_key(|w| w.offset);
        all
    }

    proptest! {
        #[test]
        fn windows_are_aligned_apart_and_inside(
            queue_pairs in 1u16..=64, rx in 4u32..=15, tx in 4u32..=15, buffer_size in 1526u32..=131072,
            header in prop::option::of(64u16..=1024), apart in any::<bool>(), indirect in any::<bool>(),
        ) {
            let (rx_ring, tx_ring) = (1 << rx, 1 << tx);
            let config =
                DriverConfig { queue_pairs, rx_ring, tx_ring, buffer_size, ..DriverConfig::default() };
            let split = |header| Buffers::HeaderSplit { header, spares: 3, exhausted: Exhausted::Drop };
            let buffers = header.map_or(Buffers::Copy, split);
            let tx_header = if apart { TxHeader::Apart } else { TxHeader::WithFrame };
            let table = if indirect { spec::F_INDIRECT_DESC } else { 0 };
            let features = config.features | table;
            let config = DriverConfig { buffers, tx_header, features, ..config };
            let layout = Layout::new(&config);
            let all = windows(&layout);
            let (headers, tables) = (u16::from(header.is_some()), u16::from(apart));
            let tables = if indirect { queue_pairs * (headers + tables) + 1 } else { 0 };
            let expected = queue_pairs * (8 + headers) + tables + 5;
            prop_assert_eq!(all.len(), usize::from(expected));
            prop_assert!(all.iter().all(|w| w.offset % ALIGN == 0 && w.len > 0));
            prop_assert!(all.windows(2).all(|w| w[0].offset + w[0].len <= w[1].offset));
            let last = all[all.len() - 1];
            prop_assert!((last.offset + last.len) as u64 <= layout.total);
            prop_assert_eq!(config.memory_needed(), Ok(layout.total));
            prop_assert!(layout.rx.iter().all(|q| q.stride >= buffer_size as usize));
        }
    }
}
