//! What faults leave in the ledger: completions that are no frames, and frames with other bytes than were
//! offered.
//!
//! Contract: a false completion has its place in the used ring like any other, and no frame. It is in no
//! sum of fates; the law takes it out of what the components say they hold and have dropped.

use super::Ledger;
use crate::account::Reason;

/// Stands in a used ring for a completion that is no frame.
const FALSE: u32 = u32::MAX;

impl Ledger {
    /// The device published a completion of `queue` that belongs to no frame: gives its place.
    pub fn false_completion(&mut self, queue: u16) -> u64 {
        let book = &mut self.queues[usize::from(queue)];
        book.ring.push_back(FALSE);
        book.false_in_ring += 1;
        self.touch(queue);
        self.last_completion(queue)
    }

    /// The place of the completion of `queue` that was published last.
    #[must_use]
    pub fn last_completion(&self, queue: u16) -> u64 {
        let book = &self.queues[usize::from(queue)];
        (book.taken + book.ring.len() as u64).saturating_sub(1)
    }

    /// If the completion that the driver takes next is no frame: takes it, with the reason for which the
    /// driver dropped it, if it did. After a lie on the queue it may be one that the device never wrote: with
    /// IN_ORDER a single false one stands for all chains before it.
    pub fn take_false(&mut self, queue: u16, lied: bool, reason: Option<Reason>) -> bool {
        let Some(book) = self.queues.get_mut(usize::from(queue)) else { return false };
        match book.ring.front() {
            Some(&FALSE) => {
                book.ring.pop_front();
                book.false_in_ring -= 1;
            }
            None if lied => book.never_written += 1,
            _ => return false,
        }
        book.taken += 1;
        if let Some(reason) = reason {
            self.false_drops[reason.index()] += 1;
        }
        self.touch(queue);
        true
    }

    /// The driver has begun `queue` anew and does not believe what was left in its ring: takes the oldest of
    /// that out. `Some` is a frame, which is to be dropped; `Some(None)` was none.
    pub fn unbelieved(&mut self, queue: u16) -> Option<Option<u64>> {
        let book = self.queues.get_mut(usize::from(queue))?;
        let tag = book.ring.pop_front()?;
        book.never_taken += 1;
        if tag == FALSE {
            book.false_in_ring -= 1;
            self.touch(queue);
            return Some(None);
        }
        book.held.ring -= 1;
        book.held.core += 1;
        self.held.ring -= 1;
        self.held.core += 1;
        self.flights[tag as usize].stage = super::Stage::Core;
        self.touch(queue);
        Some(Some(u64::from(tag)))
    }

    /// One bit of the frame was changed, counted from the first bit of its first byte.
    pub fn flip(&mut self, tag: u64, bit: u32) {
        if let Some(flight) = self.live(tag, "flipped") {
            flight.flip = Some(bit);
        }
    }

    /// The frame's bytes prove nothing any more.
    pub fn damage(&mut self, tag: u64) {
        if let Some(flight) = self.live(tag, "damaged") {
            flight.damaged = true;
        }
    }
}

impl super::Flight {
    /// Whether its bytes are those that were offered, as far as anybody knows.
    #[must_use]
    pub fn proves(&self) -> bool {
        self.flip.is_none() && !self.damaged
    }

    /// Whether `data` are the first bytes of the frame, one of its bits changed if a fault did that.
    #[must_use]
    pub fn begins_with(&self, data: &[u8]) -> bool {
        let Some(offered) = self.bytes.get(..data.len()) else { return false };
        let Some(bit) = self.flip else { return offered == data };
        let at = bit as usize / 8;
        offered.iter().zip(data).enumerate().all(|(index, (offered, data))| {
            let flip = if index == at { 1 << (bit % 8) } else { 0 };
            offered ^ flip == *data
        })
    }
}
