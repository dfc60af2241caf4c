//! The ledger: every frame in flight, where it is, and which fate it has met so far.
//!
//! The components carry a frame's `tag`, which is the ledger's slot for it, and report what they did
//! to the frame; between device and driver, where only bytes pass, the frame is known by its place
//! in the used ring. The ledger keeps the offered bytes until the frame's fate is sealed, so that
//! whatever a reader gets can be compared with what the wire offered.
//!
//! Contract: calls come in the order of a frame's life; one that does not fit (a frame delivered
//! twice, a completion that nobody wrote) is remembered as [`Ledger::fault`] and breaks the run.
//! Memory is bounded by the frames in flight, not by the frames offered.

mod faults;

use super::{Reason, Tally};
use std::collections::VecDeque;

/// Where a frame in flight is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Offered to the device, not steered yet.
    Wire,
    /// In the NIC's FIFO (or in DMA).
    Fifo,
    /// Written to guest memory, its used element not taken yet.
    Ring,
    /// Taken by the driver, or shown to the tap.
    Core,
}

/// One frame in flight.
#[derive(Debug)]
pub struct Flight {
    /// The frame's number: how many were offered before it.
    pub frame: u64,
    /// When its last bit arrived.
    pub arrival: u64,
    /// Its bytes as offered.
    pub bytes: Vec<u8>,
    /// The RX queue it was steered to.
    pub queue: Option<u16>,
    stage: Stage,
    /// Handles that still hold a copy.
    held_by: u32,
    /// At least one handle delivered it.
    delivered: bool,
    /// A handle dropped it: its fate in the total is sealed while other handles may still hold it.
    dropped: bool,
    /// The bit that a fault changed.
    pub flip: Option<u32>,
    /// A fault has left it with other bytes than were offered.
    pub damaged: bool,
    live: bool,
}

impl Flight {
    /// It was offered and has got nowhere yet.
    #[must_use]
    pub fn is_on_the_wire(&self) -> bool {
        self.stage == Stage::Wire
    }

    /// It takes up room in the NIC's FIFO.
    #[must_use]
    pub fn is_in_the_fifo(&self) -> bool {
        self.stage == Stage::Fifo
    }
}

/// Where one queue's frames are now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// In the NIC's FIFO.
    pub fifo: u64,
    /// In the used ring.
    pub ring: u64,
    /// In the NPF core, and not dropped by any handle.
    pub core: u64,
}

impl Held {
    /// Frames held in all places.
    #[must_use]
    pub fn sum(self) -> u64 {
        self.fifo + self.ring + self.core
    }
}

/// One queue's share of the ledger.
#[derive(Default)]
pub struct QueueBook {
    /// Fates of the frames steered to this queue.
    pub tally: Tally,
    /// Its frames in flight, by place.
    pub held: Held,
    /// Tags of the frames in the used ring, oldest first.
    ring: VecDeque<u32>,
    /// Used elements that the driver has taken.
    taken: u64,
    /// Completions that the driver left in the ring when it began the queue anew, since the device started.
    pub never_taken: u64,
    /// Completions that the driver has taken and the device never wrote, since the device started.
    pub never_written: u64,
    /// Completions in the used ring that belong to no frame.
    pub false_in_ring: u64,
}

/// One handle's share of the ledger.
#[derive(Default)]
pub struct HandleBook {
    /// Fates of the frames that the tap showed to this handle.
    pub tally: Tally,
    /// Packets stored for it and not read yet.
    pub held: u64,
}

/// All frames in flight and all fates met. See the module's contract.
pub struct Ledger {
    /// Fates of all frames.
    pub total: Tally,
    /// Frames among them that a handle sent: the tap saw them, the NIC was not offered them.
    pub sent: u64,
    /// Frames in flight, by place.
    pub held: Held,
    /// Per RX queue.
    pub queues: Vec<QueueBook>,
    /// Per handle.
    pub handles: Vec<HandleBook>,
    flights: Vec<Flight>,
    free: Vec<u32>,
    fault: Option<String>,
    /// Completions that were no frames, by the reason for which the driver dropped them.
    pub false_drops: [u64; Reason::COUNT],
    /// Frames that the driver left behind without counting them, by the reason that the laboratory gives.
    pub uncounted_drops: [u64; Reason::COUNT],
    /// Queues that changed since the law was last checked, one bit each.
    pub touched_queues: u64,
    /// Handles that changed since the law was last checked.
    pub touched_handles: bool,
}

impl Ledger {
    /// An empty ledger for so many RX queues and handles.
    #[must_use]
    pub fn new(queues: u16, handles: usize) -> Self {
        Self {
            total: Tally::default(),
            sent: 0,
            held: Held::default(),
            queues: (0..queues).map(|_| QueueBook::default()).collect(),
            handles: (0..handles).map(|_| HandleBook::default()).collect(),
            flights: Vec::new(),
            free: Vec::new(),
            fault: None,
            false_drops: [0; Reason::COUNT],
            uncounted_drops: [0; Reason::COUNT],
            touched_queues: 0,
            touched_handles: false,
        }
    }

    /// A frame has arrived: gives its tag.
    #[inline]
    pub fn offer(&mut self, now: u64, bytes: &[u8]) -> u64 {
        let frame = self.total.offered;
        self.total.offered += 1;
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.flights.push(Flight {
                    frame,
                    arrival: now,
                    bytes: Vec::new(),
                    queue: None,
                    stage: Stage::Wire,
                    held_by: 0,
                    delivered: false,
                    dropped: false,
                    flip: None,
                    damaged: false,
                    live: false,
                });
                (self.flights.len() - 1) as u32
            }
        };
        let flight = &mut self.flights[slot as usize];
        flight.frame = frame;
        flight.arrival = now;
        flight.bytes.clear();
        flight.bytes.extend_from_slice(bytes);
        flight.queue = None;
        flight.stage = Stage::Wire;
        flight.held_by = 0;
        flight.delivered = false;
        flight.dropped = false;
        flight.flip = None;
        flight.damaged = false;
        flight.live = true;
        u64::from(slot)
    }

    /// A handle sends a frame, which the tap is shown next: gives its tag.
    pub fn send(&mut self, now: u64, bytes: &[u8]) -> u64 {
        let tag = self.offer(now, bytes);
        self.sent += 1;
        self.held.core += 1;
        self.flights[tag as usize].stage = Stage::Core;
        tag
    }

    /// The frame in flight that is called `tag`.
    #[inline]
    #[must_use]
    pub fn flight(&self, tag: u64) -> Option<&Flight> {
        self.flights.get(usize::try_from(tag).ok()?).filter(|flight| flight.live)
    }

    /// The first call that did not fit a frame's life.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Frames in flight.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        (self.flights.len() - self.free.len()) as u64
    }

    /// The device chose an RX queue.
    #[inline]
    pub fn steered(&mut self, tag: u64, queue: u16) {
        let Some(flight) = self.at(tag, Stage::Wire, "steered") else { return };
        flight.queue = Some(queue);
        match self.queues.get_mut(usize::from(queue)) {
            Some(book) => book.tally.offered += 1,
            None => self.fail(format!("a frame was steered to queue {queue}, which is not there")),
        }
        self.touch(queue);
    }

    /// The frame entered the FIFO.
    #[inline]
    pub fn entered_fifo(&mut self, tag: u64) {
        let Some(flight) = self.at(tag, Stage::Wire, "held") else { return };
        flight.stage = Stage::Fifo;
        let Some(queue) = flight.queue else {
            return self.fail(format!("frame {tag} is held before it was steered"));
        };
        self.queues[usize::from(queue)].held.fifo += 1;
        self.held.fifo += 1;
        self.touch(queue);
    }

    /// Payload, used element and used index are in guest memory.
    #[inline]
    pub fn written(&mut self, tag: u64) {
        let Some(flight) = self.at(tag, Stage::Fifo, "written") else { return };
        flight.stage = Stage::Ring;
        let queue = flight.queue.unwrap_or_default();
        let book = &mut self.queues[usize::from(queue)];
        book.held.fifo -= 1;
        book.held.ring += 1;
        book.ring.push_back(tag as u32);
        self.held.fifo -= 1;
        self.held.ring += 1;
        self.touch(queue);
    }

    /// The driver has brought the device up: positions in the rings count from 0. What was in them must have
    /// met its fate before.
    pub fn restarted(&mut self) {
        for (queue, book) in self.queues.iter_mut().enumerate() {
            (book.taken, book.never_taken, book.never_written) = (0, 0, 0);
            if !book.ring.is_empty() {
                let left = book.ring.len();
                self.fault.get_or_insert(format!(
                    "the driver started anew and left {left} frames in the ring of queue {queue}"
                ));
            }
        }
    }

    /// The driver took the used element at `position` of `queue`: gives the frame's tag.
    #[inline]
    pub fn taken(&mut self, queue: u16, position: u64) -> Option<u64> {
        let book = self.queues.get_mut(usize::from(queue))?;
        let expected = book.taken;
        let Some(tag) = book.ring.pop_front() else {
            self.fail(format!("the driver took completion {position} of queue {queue}, which the device has not written"));
            return None;
        };
        book.taken += 1;
        book.held.ring -= 1;
        book.held.core += 1;
        self.held.ring -= 1;
        self.held.core += 1;
        if position != expected {
            self.fail(format!(
                "the driver took completion {position} of queue {queue}, {expected} was next"
            ));
        }
        self.flights[tag as usize].stage = Stage::Core;
        self.touch(queue);
        Some(u64::from(tag))
    }

    /// Before the tap the frame's only fate is a drop for `reason`.
    #[inline]
    pub fn dropped(&mut self, tag: u64, reason: Reason) {
        let Some(flight) = self.live(tag, "dropped") else { return };
        let stage = flight.stage;
        if let Some(queue) = flight.queue {
            let book = &mut self.queues[usize::from(queue)];
            book.tally.drop_for(reason);
            match stage {
                Stage::Wire => {}
                Stage::Fifo => {
                    book.held.fifo -= 1;
                    self.held.fifo -= 1;
                }
                Stage::Ring | Stage::Core => {
                    book.held.core -= 1;
                    self.held.core -= 1;
                }
            }
            self.touch(queue);
        } else if stage == Stage::Core {
            self.held.core -= 1;
        }
        self.total.drop_for(reason);
        self.release(tag);
    }

    /// The filter of `handle` did not want the frame.
    #[inline]
    pub fn filtered_by(&mut self, handle: u32) {
        let Some(book) = self.handle(handle) else { return };
        book.tally.offered += 1;
        book.tally.filtered += 1;
    }

    /// `handle` holds a copy of the frame.
    #[inline]
    pub fn stored_by(&mut self, tag: u64, handle: u32) {
        let Some(book) = self.handle(handle) else { return };
        book.tally.offered += 1;
        book.held += 1;
        if let Some(flight) = self.at(tag, Stage::Core, "stored") {
            flight.held_by += 1;
        }
    }

    /// `handle` dropped the frame at the tap.
    #[inline]
    pub fn refused_by(&mut self, tag: u64, handle: u32, reason: Reason) {
        let Some(book) = self.handle(handle) else { return };
        book.tally.offered += 1;
        book.tally.drop_for(reason);
        self.seal_as_dropped(tag, reason);
    }

    /// `handle` dropped a frame that it had stored.
    #[inline]
    pub fn discarded_by(&mut self, tag: u64, handle: u32, reason: Reason) {
        let Some(book) = self.handle(handle) else { return };
        book.tally.drop_for(reason);
        book.held -= 1;
        self.seal_as_dropped(tag, reason);
        self.let_go(tag);
    }

    /// `handle` counted the frame, and that is all it wanted of it.
    pub fn counted_by(&mut self, tag: u64, handle: u32) {
        let Some(book) = self.handle(handle) else { return };
        book.tally.offered += 1;
        book.tally.delivered += 1;
        if let Some(flight) = self.at(tag, Stage::Core, "counted") {
            flight.delivered = true;
        }
    }

    /// `handle` copied the frame to its reader, or wrote it to its dump file.
    #[inline]
    pub fn delivered_by(&mut self, tag: u64, handle: u32) {
        let Some(book) = self.handle(handle) else { return };
        if book.held == 0 {
            return self.fail(format!("handle {handle} delivered a frame that it did not hold"));
        }
        book.tally.delivered += 1;
        book.held -= 1;
        if let Some(flight) = self.at(tag, Stage::Core, "delivered") {
            flight.delivered = true;
            self.let_go(tag);
        }
    }

    /// The tap has shown the frame to every handle: if none holds it, its fate is sealed.
    #[inline]
    pub fn shown_to_all(&mut self, tag: u64) {
        if let Some(flight) = self.at(tag, Stage::Core, "shown to all")
            && flight.held_by == 0
        {
            self.settle(tag);
        }
    }

    /// One handle no longer holds the frame.
    fn let_go(&mut self, tag: u64) {
        let Some(flight) = self.at(tag, Stage::Core, "let go") else { return };
        if flight.held_by == 0 {
            let frame = flight.frame;
            return self.fail(format!("frame {frame} left a handle that did not hold it"));
        }
        flight.held_by -= 1;
        if flight.held_by == 0 {
            self.settle(tag);
        }
    }

    /// A drop is the worst fate, so the first one decides; other handles may still hold copies.
    fn seal_as_dropped(&mut self, tag: u64, reason: Reason) {
        let Some(flight) = self.at(tag, Stage::Core, "dropped by a handle") else { return };
        if flight.dropped {
            return;
        }
        flight.dropped = true;
        self.held.core -= 1;
        self.total.drop_for(reason);
        if let Some(queue) = self.flights[tag as usize].queue {
            let book = &mut self.queues[usize::from(queue)];
            book.tally.drop_for(reason);
            book.held.core -= 1;
            self.touch(queue);
        }
    }

    /// No handle holds the frame any more: counts its fate, unless a drop sealed it, and forgets it.
    #[inline]
    fn settle(&mut self, tag: u64) {
        let Some(flight) = self.at(tag, Stage::Core, "settled") else { return };
        let (queue, delivered, dropped) = (flight.queue, flight.delivered, flight.dropped);
        if !dropped {
            let fate = |tally: &mut Tally| {
                if delivered { tally.delivered += 1 } else { tally.filtered += 1 }
            };
            fate(&mut self.total);
            self.held.core -= 1;
            if let Some(queue) = queue {
                let book = &mut self.queues[usize::from(queue)];
                fate(&mut book.tally);
                book.held.core -= 1;
                self.touch(queue);
            }
        }
        self.release(tag);
    }

    fn release(&mut self, tag: u64) {
        self.flights[tag as usize].live = false;
        self.free.push(tag as u32);
    }

    #[inline]
    fn touch(&mut self, queue: u16) {
        self.touched_queues |= 1 << (queue & 63);
    }

    #[inline]
    fn handle(&mut self, handle: u32) -> Option<&mut HandleBook> {
        self.touched_handles = true;
        let known = self.handles.len();
        if handle as usize >= known {
            self.fail(format!("handle {handle} spoke, there are {known}"));
        }
        self.handles.get_mut(handle as usize)
    }

    #[inline]
    fn live(&mut self, tag: u64, what: &str) -> Option<&mut Flight> {
        if self.flight(tag).is_none() {
            self.fail(format!("tag {tag} is {what}, but no such frame is in flight"));
            return None;
        }
        self.flights.get_mut(tag as usize)
    }

    #[inline]
    fn at(&mut self, tag: u64, stage: Stage, what: &str) -> Option<&mut Flight> {
        let at = self.live(tag, what)?.stage;
        if at != stage {
            let frame = self.flights[tag as usize].frame;
            self.fail(format!("frame {frame} is {what} while it is at {at:?}, not at {stage:?}"));
            return None;
        }
        self.flights.get_mut(tag as usize)
    }

    #[cold]
    fn fail(&mut self, what: String) {
        self.fault.get_or_insert(what);
    }
}
