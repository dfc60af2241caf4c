//! Descriptors as 16 bytes, and the indirect tables that both formats have (2.7.5.3, 2.8.7).
//!
//! Contract: a slot has room for one chain of the layout's length, in the ring or in its indirect table.

use crate::dma::DmaRegion;
use crate::layout::RingLayout;
use crate::ring::Buffer;
use crate::spec;

/// One descriptor of a chain, without what the formats add to it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Descriptor {
    pub(super) address: u64,
    pub(super) len: u32,
    pub(super) flags: u16,
}

impl Descriptor {
    /// Of `buffer`; `more` of the chain follow.
    pub(super) fn of(buffer: &Buffer, more: bool) -> Self {
        let write = if buffer.writable { spec::DESC_F_WRITE } else { 0 };
        let next = if more { spec::DESC_F_NEXT } else { 0 };
        Self { address: buffer.address, len: buffer.len, flags: write | next }
    }

    /// The second half: length, then two fields of 16 bits.
    #[inline]
    pub(super) fn word(len: u32, low: u16, high: u16) -> u64 {
        u64::from(len) | u64::from(low) << 32 | u64::from(high) << 48
    }
}

/// Writes the indirect table of `slot`, and gives the descriptor that refers to it. A split table is
/// chained by `next`; in a packed one the order of the entries is the order of the chain, and of the
/// flags only WRITE counts (2.8.7).
pub(super) fn write_indirect(
    memory: &DmaRegion,
    layout: &RingLayout,
    slot: u16,
    buffers: &[Buffer],
    packed: bool,
) -> Descriptor {
    let table = memory.view(layout.indirect);
    let start = usize::from(slot) * usize::from(layout.chain) * spec::DESCRIPTOR_BYTES;
    for (place, buffer) in (1u16..).zip(buffers) {
        let more = !packed && usize::from(place) < buffers.len();
        let Descriptor { address, len, flags } = Descriptor::of(buffer, more);
        let word = if packed {
            Descriptor::word(len, 0, flags)
        } else {
            Descriptor::word(len, flags, if more { place } else { 0 })
        };
        let at = start + usize::from(place - 1) * spec::DESCRIPTOR_BYTES;
        table.write_u64(at, address);
        table.write_u64(at + 8, word);
    }
    Descriptor {
        address: memory.address_of(layout.indirect) + start as u64,
        len: (buffers.len() * spec::DESCRIPTOR_BYTES) as u32,
        flags: spec::DESC_F_INDIRECT,
    }
}
