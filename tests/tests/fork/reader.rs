//! The reader's half of the zero-copy protocol on real memory, in the manner of libpcap: strict
//! alternation, acknowledgement at the next poll, a rotate call after a wait.
//!
//! Contract: works in one process's view; follows a header that somebody has scribbled on no further
//! than the buffer reaches.

use crate::kernel::{BUFFER, Kernel};
use std::io;
use tests::fork::{Family, Who};

const HEADER: usize = 32;

/// One reader.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    next: usize,
    taken: Option<usize>,
    waiting: bool,
}

/// What a poll came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub waits: bool,
    pub rotated: bool,
    pub malformed: bool,
    /// Records that look like some.
    pub records: u32,
    /// Bytes gone through.
    pub bytes: usize,
}

impl Reader {
    pub fn poll(&mut self, who: Who, family: &mut Family, kernel: &mut Kernel) -> io::Result<Seen> {
        if let Some(buffer) = self.taken.take() {
            let generation = word(family, who, buffer, 0)?;
            family.poke(who, buffer * BUFFER + 8, &generation.to_le_bytes())?;
        }
        if let Some(seen) = self.look(who, family)? {
            self.waiting = false;
            return Ok(seen);
        }
        self.waiting = !self.waiting;
        if self.waiting {
            return Ok(Seen { waits: true, ..Seen::default() });
        }
        kernel.rotate(family)?;
        Ok(Seen { rotated: true, ..self.look(who, family)?.unwrap_or_default() })
    }

    fn look(&mut self, who: Who, family: &Family) -> io::Result<Option<Seen>> {
        let buffer = self.next;
        if word(family, who, buffer, 0)? == word(family, who, buffer, 8)? {
            return Ok(None);
        }
        let claimed = word(family, who, buffer, 4)? as usize;
        let mut bytes = vec![0; claimed.min(BUFFER - HEADER)];
        family.peek(who, buffer * BUFFER + HEADER, &mut bytes)?;
        let mut seen = walk(&bytes);
        seen.malformed |= claimed > bytes.len();
        self.taken = Some(buffer);
        self.next = 1 - buffer;
        Ok(Some(seen))
    }
}

/// Goes from record to record.
fn walk(bytes: &[u8]) -> Seen {
    let mut seen = Seen::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let record = rest.get(..26).and_then(|header| {
            let caplen = u32::from_le_bytes(header[16..20].try_into().ok()?) as usize;
            let header = usize::from(u16::from_le_bytes(header[24..26].try_into().ok()?));
            (header >= 26 && header + caplen <= rest.len()).then_some(header + caplen)
        });
        let Some(len) = record else {
            seen.malformed = true;
            break;
        };
        seen.records += 1;
        rest = &rest[len.next_multiple_of(8).min(rest.len())..];
    }
    seen.bytes = bytes.len() - rest.len();
    seen
}

fn word(family: &Family, who: Who, buffer: usize, at: usize) -> io::Result<u32> {
    let mut word = [0; 4];
    family.peek(who, buffer * BUFFER + at, &mut word)?;
    Ok(u32::from_le_bytes(word))
}
