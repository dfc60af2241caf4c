//! Reading a descriptor chain and believing nothing.
//!
//! Done here and not with `virtio-queue`'s chain iterator, because that one ends a malformed chain
//! silently, so that a truncated chain looks like a whole one, and follows indirect descriptors whether or
//! not they were negotiated.
//!
//! Not checked: that a chain is not in flight already. A driver that offers it twice gets it used twice.

use super::access::{Access, View};
use super::{Chain, ChainFault, RingFault, Segment, Shape};
use crate::spec::ring::{DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE, DESCRIPTOR_LEN};
use vm_memory::{GuestAddress, Permissions};

/// What the descriptors of a queue may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Entries of the queue.
    pub(super) size: u16,
    /// VIRTIO_F_INDIRECT_DESC was negotiated.
    pub(super) indirect: bool,
    /// Which way the bytes go.
    pub(super) shape: Shape,
}

/// A descriptor of a split virtqueue (2.7.5) as two le64: the address; and from the low bits on the length,
/// the flags, and the next one.
#[derive(Clone, Copy, Debug)]
struct Descriptor([u64; 2]);

impl Descriptor {
    #[inline(always)]
    fn address(self) -> u64 {
        u64::from_le(self.0[0])
    }

    #[inline(always)]
    fn len(self) -> u32 {
        u64::from_le(self.0[1]) as u32
    }

    #[inline(always)]
    fn flags(self) -> u16 {
        (u64::from_le(self.0[1]) >> 32) as u16
    }

    #[inline(always)]
    fn next(self) -> u16 {
        (u64::from_le(self.0[1]) >> 48) as u16
    }
}

/// Reads the chain at `head` of the descriptor table into `chain`. Each descriptor is read exactly once.
#[inline(always)]
pub(super) fn read_chain<G: Access>(
    memory: &G,
    table: &View<'_, G>,
    head: u16,
    rules: Rules,
    chain: &mut Chain,
) -> Result<(), RingFault> {
    let only = read_only(memory, table, head, rules, chain)?;
    if let Some(Only { segment, writable }) = only {
        chain.set_only(head, segment, writable);
    }
    Ok(())
}

/// A whole chain of one descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Only {
    pub(super) segment: Segment,
    pub(super) writable: bool,
}

/// The same, but a chain of one descriptor is returned. Nearly every chain is one, and needs few of the
/// checks; `chain` is not touched then.
#[inline(always)]
pub(super) fn read_only<G: Access>(
    memory: &G,
    table: &View<'_, G>,
    head: u16,
    rules: Rules,
    chain: &mut Chain,
) -> Result<Option<Only>, RingFault> {
    if head >= rules.size {
        let fault = ChainFault::IndexOutOfRange(head);
        return Err(RingFault::Chain { head, fault });
    }
    let first = read_descriptor(table, head)?;
    let buffer = (first.address(), first.len());
    let only = only(memory, buffer, first.flags(), rules.shape);
    if only.is_none() {
        read_rest(memory, table, first, head, rules, chain)?;
    }
    Ok(only)
}

/// The chain of one descriptor, if that is what this is and nothing is wrong with it.
#[inline(always)]
pub(super) fn only<G: Access>(
    memory: &G,
    (address, len): (u64, u32),
    flags: u16,
    shape: Shape,
) -> Option<Only> {
    let (writable, expected, access) = match shape {
        Shape::Receive => (true, DESC_F_WRITE, Permissions::Write),
        Shape::Transmit => (false, 0, Permissions::Read),
        Shape::Control => return None,
    };
    let good = flags & (DESC_F_NEXT | DESC_F_WRITE | DESC_F_INDIRECT) == expected
        && len > 0
        && memory.check_range(GuestAddress(address), len as usize, access);
    good.then_some(Only { segment: Segment { address, len }, writable })
}

/// Reads a chain of which `first` has been read.
#[inline(never)]
fn read_rest<G: Access>(
    memory: &G,
    table: &View<'_, G>,
    first: Descriptor,
    head: u16,
    rules: Rules,
    chain: &mut Chain,
) -> Result<(), RingFault> {
    chain.clear();
    chain.head = head;
    let malformed = |fault| RingFault::Chain { head, fault };
    let mut descriptor = first;
    for _ in 0..rules.size {
        if descriptor.flags() & DESC_F_INDIRECT != 0 {
            return read_indirect(memory, descriptor, rules, chain);
        }
        let buffer = (descriptor.address(), descriptor.len());
        append(memory, buffer, descriptor.flags(), rules.shape, chain).map_err(malformed)?;
        if descriptor.flags() & DESC_F_NEXT == 0 {
            return finish(rules.shape, chain).map_err(malformed);
        }
        let index = descriptor.next();
        if index >= rules.size {
            return Err(malformed(ChainFault::IndexOutOfRange(index)));
        }
        descriptor = read_descriptor(table, index)?;
    }
    Err(malformed(ChainFault::Loop))
}

/// Reads the chain in the table that an indirect descriptor names, which is where it ends (2.7.5.3.1). The
/// descriptor's write flag means nothing (2.7.5.3.2).
#[inline(never)]
fn read_indirect<G: Access>(
    memory: &G,
    indirect: Descriptor,
    rules: Rules,
    chain: &mut Chain,
) -> Result<(), RingFault> {
    let head = chain.head;
    let malformed = |fault| RingFault::Chain { head, fault };
    let (address, len) = (indirect.address(), indirect.len());
    let entries = indirect_entries(memory, indirect, rules).map_err(malformed)?;
    // Descriptors of the ring before the table are part of the chain, which has the queue's size for all.
    let room = u32::from(rules.size) - chain.segments_len();
    let table = View::new(memory, address, len as usize, Permissions::Read);
    let mut index = 0;
    for _ in 0..room.min(entries) {
        if u32::from(index) >= entries {
            return Err(malformed(ChainFault::IndirectIndexOutOfRange(index)));
        }
        let descriptor = read_descriptor(&table, index)?;
        if descriptor.flags() & DESC_F_INDIRECT != 0 {
            return Err(malformed(ChainFault::NestedIndirect));
        }
        let buffer = (descriptor.address(), descriptor.len());
        append(memory, buffer, descriptor.flags(), rules.shape, chain).map_err(malformed)?;
        if descriptor.flags() & DESC_F_NEXT == 0 {
            return finish(rules.shape, chain).map_err(malformed);
        }
        index = descriptor.next();
    }
    let fault = if entries <= room { ChainFault::Loop } else { ChainFault::LongerThanQueue };
    Err(malformed(fault))
}

/// Entries of an indirect table, if the descriptor may name one at all.
fn indirect_entries<G: Access>(
    memory: &G,
    indirect: Descriptor,
    rules: Rules,
) -> Result<u32, ChainFault> {
    let (address, len) = (indirect.address(), indirect.len());
    if !rules.indirect {
        return Err(ChainFault::Indirect);
    }
    if indirect.flags() & DESC_F_NEXT != 0 {
        return Err(ChainFault::IndirectWithNext);
    }
    if len == 0 || u64::from(len) % DESCRIPTOR_LEN != 0 {
        return Err(ChainFault::IndirectLength(len));
    }
    if !memory.check_range(GuestAddress(address), len as usize, Permissions::Read) {
        return Err(ChainFault::OutsideMemory { address, len });
    }
    Ok(len / DESCRIPTOR_LEN as u32)
}

#[inline(always)]
fn read_descriptor<G: Access>(table: &View<'_, G>, index: u16) -> Result<Descriptor, RingFault> {
    // The table was checked to lie in memory: no overflow.
    let offset = usize::from(index) * DESCRIPTOR_LEN as usize;
    table
        .read(offset)
        .map(Descriptor)
        .ok_or_else(|| RingFault::memory("a descriptor", table.address(offset)))
}

/// Adds a buffer to a chain, if it belongs there by `shape`, its flags and those before it.
#[inline(always)]
pub(super) fn append<G: Access>(
    memory: &G,
    (address, len): (u64, u32),
    flags: u16,
    shape: Shape,
    chain: &mut Chain,
) -> Result<(), ChainFault> {
    if flags & DESC_F_INDIRECT != 0 {
        return Err(ChainFault::Indirect);
    }
    if len == 0 {
        return Err(ChainFault::Empty);
    }
    let writable = flags & DESC_F_WRITE != 0;
    let permission = if writable {
        if shape == Shape::Transmit {
            return Err(ChainFault::WritableNotAllowed);
        }
        Permissions::Write
    } else {
        if shape == Shape::Receive || chain.writable_len > 0 {
            return Err(ChainFault::ReadableNotAllowed);
        }
        Permissions::Read
    };
    if !memory.check_range(GuestAddress(address), len as usize, permission) {
        return Err(ChainFault::OutsideMemory { address, len });
    }
    let total = chain.readable_len.checked_add(chain.writable_len).and_then(|n| n.checked_add(len));
    if total.is_none() {
        return Err(ChainFault::TooLong);
    }
    chain.push(Segment { address, len }, writable);
    Ok(())
}

/// What only a whole chain can be asked.
pub(super) fn finish(shape: Shape, chain: &Chain) -> Result<(), ChainFault> {
    if shape == Shape::Control && chain.writable_len == 0 {
        return Err(ChainFault::NoRoomForAck);
    }
    Ok(())
}
