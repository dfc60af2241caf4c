//! From copied descriptors to a validated chain.

use super::super::access::Access;
use super::super::validate::{append, finish};
use super::super::{Chain, ChainFault, RingFault, Shape, access};
use super::{Cursor, Descriptor};
use crate::spec::ring::{DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE, DESCRIPTOR_LEN};
use vm_memory::{GuestAddress, Permissions};

/// Validates the chain that begins at `start` among `copies`, which has its end there, into `chain`; how
/// many descriptors of the ring it takes. `indirect`: tables may be used.
#[inline(never)]
pub(super) fn read_chain<G: Access>(
    memory: &G,
    copies: &[Descriptor],
    start: Cursor,
    indirect: bool,
    shape: Shape,
    chain: &mut Chain,
) -> Result<u16, RingFault> {
    chain.clear();
    let head = start.place();
    let malformed = |fault| RingFault::Chain { head, fault };
    let (mut at, mut count) = (start, 0);
    loop {
        let Descriptor { address, len, id, flags } = copies[usize::from(at.place())];
        count += 1;
        at.advance(1);
        if flags & DESC_F_INDIRECT != 0 && indirect {
            if count > 1 || flags & DESC_F_NEXT != 0 {
                return Err(malformed(ChainFault::IndirectInChain));
            }
            read_table(memory, (address, len), copies.len(), head, shape, chain)?;
        } else {
            append(memory, (address, len), flags, shape, chain).map_err(malformed)?;
        }
        if flags & DESC_F_NEXT == 0 {
            // The id is that of the last descriptor (2.8.6).
            chain.head = id;
            finish(shape, chain).map_err(malformed)?;
            return Ok(count);
        }
    }
}

/// Appends the buffers of an indirect table: all of them, in their order; of their flags only WRITE has a
/// meaning (2.8.7).
#[cold]
fn read_table<G: Access>(
    memory: &G,
    (address, len): (u64, u32),
    size: usize,
    head: u16,
    shape: Shape,
    chain: &mut Chain,
) -> Result<(), RingFault> {
    let malformed = |fault| RingFault::Chain { head, fault };
    let entries = u64::from(len) / DESCRIPTOR_LEN;
    if entries == 0 || !u64::from(len).is_multiple_of(DESCRIPTOR_LEN) {
        return Err(malformed(ChainFault::IndirectLength(len)));
    }
    if entries > size as u64 {
        return Err(malformed(ChainFault::LongerThanQueue));
    }
    if !memory.check_range(GuestAddress(address), len as usize, Permissions::Read) {
        return Err(malformed(ChainFault::OutsideMemory { address, len }));
    }
    for entry in 0..entries {
        // Within a span of guest memory: no overflow.
        let at = address + entry * DESCRIPTOR_LEN;
        let mut bytes = [0; DESCRIPTOR_LEN as usize];
        if !access::read(memory, at, &mut bytes) {
            return Err(RingFault::memory("an indirect descriptor", at));
        }
        let [address @ .., l0, l1, l2, l3, _, _, f0, f1] = bytes;
        let (address, len) = (u64::from_le_bytes(address), u32::from_le_bytes([l0, l1, l2, l3]));
        let flags = u16::from_le_bytes([f0, f1]) & DESC_F_WRITE;
        append(memory, (address, len), flags, shape, chain).map_err(malformed)?;
    }
    Ok(())
}
