//! Reading a descriptor chain and believing nothing.
//!
//! Done here and not with `virtio-queue`'s chain iterator, because that one ends a malformed chain
//! silently, so that a truncated chain looks like a whole one, and follows indirect descriptors whether or
//! not they were negotiated.

use super::{Chain, ChainFault, RingFault, Segment, Shape, access};
use crate::spec::ring::{DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE, DESCRIPTOR_LEN};
use virtio_queue::desc::split::Descriptor;
use vm_memory::{ByteValued, GuestAddress, GuestMemory, Permissions};

/// Reads the chain at `head` of the table at `table` with `size` entries into `chain`. Each descriptor is
/// read exactly once.
#[inline(always)]
pub(super) fn read_chain<G: GuestMemory>(
    memory: &G,
    table: u64,
    size: u16,
    head: u16,
    shape: Shape,
    chain: &mut Chain,
) -> Result<(), RingFault> {
    chain.clear();
    chain.head = head;
    let malformed = |fault| RingFault::Chain { head, fault };
    let mut index = head;
    for _ in 0..size {
        if index >= size {
            return Err(malformed(ChainFault::IndexOutOfRange(index)));
        }
        // The table was checked to lie in memory when the queue was set up: no overflow.
        let address = table + u64::from(index) * DESCRIPTOR_LEN;
        let mut descriptor = Descriptor::default();
        if !access::read(memory, address, descriptor.as_mut_slice()) {
            return Err(RingFault::memory("a descriptor", address));
        }
        let buffer = (descriptor.addr().0, descriptor.len());
        append(memory, buffer, descriptor.flags(), shape, chain).map_err(malformed)?;
        if descriptor.flags() & DESC_F_NEXT == 0 {
            return finish(shape, chain).map_err(malformed);
        }
        index = descriptor.next();
    }
    Err(malformed(ChainFault::Loop))
}

/// Adds a buffer to a chain, if it belongs there by `shape`, its flags and those before it.
#[inline(always)]
pub(super) fn append<G: GuestMemory>(
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
    let permission = if flags & DESC_F_WRITE != 0 {
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
    if permission == Permissions::Write {
        chain.writable_len += len;
    } else {
        chain.readable_len += len;
        chain.readable += 1;
    }
    chain.segments.push(Segment { address, len });
    Ok(())
}

/// What only a whole chain can be asked.
pub(super) fn finish(shape: Shape, chain: &Chain) -> Result<(), ChainFault> {
    if shape == Shape::Control && chain.writable_len == 0 {
        return Err(ChainFault::NoRoomForAck);
    }
    Ok(())
}
