//! Between driver and NPF core: what the driver indicates goes to the tap of the adapter.

use super::book::Book;
use super::lent::Lent;
use driver::{RxChecksum, RxFrame};
use npf_core::{Adapter, Frame, TapWork};
use std::cell::RefCell;

/// Frames that the tap is shown at once, at most.
const BATCH: usize = 64;

/// The driver's host while it only tells: every event but no frames.
pub struct DriverEvents<'a> {
    /// Where events and fates go.
    pub book: &'a RefCell<Book>,
}

impl driver::Host for DriverEvents<'_> {
    fn event(&mut self, now: u64, event: driver::Event) {
        self.book.borrow_mut().driver_event(now, event);
    }

    fn indicate(&mut self, _now: u64, _queue: u16, _frames: &[RxFrame<'_>]) {}
}

/// The driver's host during a poll: every batch of frames goes to the tap at once.
pub struct Tap<'a> {
    /// CPU that polls.
    pub cpu: u16,
    /// Whose handles see the frames.
    pub adapter: &'a mut Adapter,
    /// Where events and fates go.
    pub book: &'a RefCell<Book>,
    /// What the tap did so far; the caller turns it into time.
    pub work: TapWork,
    /// Buffers that the driver hands over: the world keeps them for the stack.
    pub lent: &'a mut Lent,
}

impl driver::Host for Tap<'_> {
    fn event(&mut self, now: u64, event: driver::Event) {
        self.book.borrow_mut().driver_event(now, event);
    }

    fn indicate(&mut self, now: u64, queue: u16, frames: &[RxFrame<'_>]) {
        let book = &mut *self.book.borrow_mut();
        book.oracle.tapping(self.cpu);
        for batch in frames.chunks(BATCH) {
            // Most batches are short, and the list of what is shown is written before it is filled.
            match batch.len() {
                0..=4 => self.show::<4>(now, queue, batch, book),
                5..=16 => self.show::<16>(now, queue, batch, book),
                _ => self.show::<BATCH>(now, queue, batch, book),
            }
        }
    }
}

impl Tap<'_> {
    /// Shows the adapter a batch of `N` frames at most.
    #[inline]
    fn show<const N: usize>(
        &mut self,
        now: u64,
        queue: u16,
        batch: &[RxFrame<'_>],
        book: &mut Book,
    ) {
        let mut shown = [Frame { data: &[], wire_len: 0, tag: 0 }; N];
        let mut count = 0;
        for frame in batch {
            self.lent.take(now, queue, frame.buffer);
            if book.faulty && book.is_false_frame(queue, frame.position) {
                continue;
            }
            let Some(tag) = book.ledger.taken(queue, frame.position) else { continue };
            if book.faulty {
                book.inspect(queue, frame.position, tag, frame.data);
            }
            if frame.checksum != RxChecksum::Unknown {
                book.check_checksum(tag, frame.checksum);
            }
            if let Some(hash) = frame.hash {
                book.check_hash(tag, (hash.report, hash.value));
            }
            let wire_len = frame.data.len() as u32;
            shown[count] = Frame { data: frame.data, wire_len, tag };
            count += 1;
        }
        let shown = &shown[..count];
        let work = self.adapter.tap(now, self.cpu, queue, shown, book);
        self.work.frames += work.frames;
        self.work.accepted += work.accepted;
        self.work.instructions += work.instructions;
        self.work.compiled += work.compiled;
        self.work.bytes_copied += work.bytes_copied;
        for frame in shown {
            book.shown_to_all(frame.tag);
        }
    }
}
