//! The kernel's half of the zero-copy protocol on real memory: as much of FreeBSD's catchpacket and
//! bpf_zerocopy as the test needs, for 64-bit words.
//!
//! Contract: it keeps generations, lengths and owners to itself and believes of the pages only that
//! `user_gen` equals a generation of its own.

use std::io;
use tests::fork::Family;

/// Bytes of one buffer: two pages.
pub const BUFFER: usize = 2 * 4096;
const HEADER: usize = 32;
const RECORD: usize = 26;
const ROOM: usize = BUFFER - HEADER;

/// What the kernel knows.
#[derive(Debug, Default)]
pub struct Kernel {
    store: usize,
    /// The other buffer is not free.
    held: bool,
    len: [usize; 2],
    generation: [u32; 2],
    users: [bool; 2],
    /// Packets that found both buffers with the user.
    pub dropped: u64,
}

impl Kernel {
    /// A packet arrives.
    pub fn tap(&mut self, family: &mut Family, data: &[u8]) -> io::Result<()> {
        let other = 1 - self.store;
        if self.held && word(family, other, 8)? == self.generation[other] {
            self.held = false;
            self.users[other] = false;
            self.len[other] = 0;
        }
        let mut at = self.len[self.store].next_multiple_of(8);
        if at + RECORD + data.len() > ROOM || self.users[self.store] {
            if self.held {
                self.dropped += 1;
                return self.hand_over(family, self.store);
            }
            self.swap(family)?;
            at = 0;
        }
        let mut record = vec![0; 16];
        record.extend((data.len() as u32).to_le_bytes());
        record.extend((data.len() as u32).to_le_bytes());
        record.extend((RECORD as u16).to_le_bytes());
        record.extend(data);
        self.len[self.store] = at + record.len();
        family.kernel_poke(self.store * BUFFER + HEADER + at, &record)
    }

    /// The user asks for what there is.
    pub fn rotate(&mut self, family: &mut Family) -> io::Result<()> {
        if !self.held && self.len[self.store] > 0 { self.swap(family) } else { Ok(()) }
    }

    fn swap(&mut self, family: &mut Family) -> io::Result<()> {
        self.hand_over(family, self.store)?;
        self.held = true;
        self.store = 1 - self.store;
        Ok(())
    }

    fn hand_over(&mut self, family: &mut Family, buffer: usize) -> io::Result<()> {
        if self.users[buffer] {
            return Ok(());
        }
        self.users[buffer] = true;
        self.generation[buffer] += 1;
        family.kernel_poke(buffer * BUFFER + 4, &(self.len[buffer] as u32).to_le_bytes())?;
        family.kernel_poke(buffer * BUFFER, &self.generation[buffer].to_le_bytes())
    }
}

fn word(family: &Family, buffer: usize, at: usize) -> io::Result<u32> {
    let mut word = [0; 4];
    family.kernel_peek(buffer * BUFFER + at, &mut word)?;
    Ok(u32::from_le_bytes(word))
}
