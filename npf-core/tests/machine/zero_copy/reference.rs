//! What the kernel and the readers of zero-copy buffers do, plainly: two lists of packets and a few
//! flags, on the pages of [`super::pages`].
//!
//! Contract: [`World::apply`] foretells everything that the adapter may be seen to do in a step. It
//! reads from the pages what the real readers read, and of what users write it lets the kernel see
//! `user_gen` alone.

use npf_core::{DropReason, DropRecord, Event, ForkedPages};

use super::pages::{PAGE, Pages};
use crate::handle::unseen;
use crate::model::Packet;
use crate::reference::{Delivery, Told, frame_bytes};

/// Bytes of one buffer.
pub const BUFFER: usize = 2 * PAGE;
const HEADER: usize = 32;
const ROOM: usize = BUFFER - HEADER;
const RECORD: usize = 26;
const HANDLE: u32 = 0;

/// What is done.
#[derive(Debug, Clone)]
pub enum Op {
    /// Frames of these lengths, one indication each.
    Tap(Vec<usize>),
    /// The reader of this process comes.
    Poll(u32),
    /// This process forks.
    Fork(u32),
    Rotate,
    /// A filter is set with a reset.
    Reset,
    Immediate(bool),
    /// A process writes a byte.
    Write {
        process: u32,
        buffer: usize,
        at: usize,
        byte: u8,
    },
    Remove,
}

/// What a poll gives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Polled {
    pub packets: u32,
    pub records: u32,
    pub bytes: usize,
    pub malformed: bool,
    pub waits: bool,
    pub rotated: bool,
}

/// One handle, its pages and its readers.
#[derive(Debug, Clone)]
pub struct World {
    pages: Pages,
    buffers: [Buffer; 2],
    /// The buffer that is filled; the other one is free unless `held`.
    store: usize,
    held: bool,
    readers: Vec<Reader>,
    immediate: bool,
    pub leak: bool,
    pub event_set: bool,
    detached: bool,
    next_tag: u64,
    pub now: u64,
    /// What the last step must have been seen to do.
    pub told: Told,
    pub polled: Option<Result<Polled, u64>>,
    pub rotated: Option<(usize, usize)>,
}

#[derive(Debug, Clone, Default)]
struct Buffer {
    /// Packet, where its record is, what it is charged; those that nobody has taken yet.
    packets: Vec<(Packet, usize, u64)>,
    len: usize,
    generation: u32,
    users: bool,
}

#[derive(Debug, Clone, Default)]
struct Reader {
    next: usize,
    taken: Option<usize>,
    waiting: bool,
}

impl World {
    pub fn new(rule: Option<ForkedPages>, leak: bool) -> Self {
        World {
            pages: Pages::new(rule),
            buffers: Default::default(),
            store: 0,
            held: false,
            readers: vec![Reader::default()],
            immediate: false,
            leak,
            event_set: false,
            detached: false,
            next_tag: 0,
            now: 0,
            told: Told::default(),
            polled: None,
            rotated: None,
        }
    }

    pub fn rule(&self) -> Option<ForkedPages> {
        self.pages.rule
    }

    pub fn processes(&self) -> u32 {
        self.pages.processes()
    }

    pub fn used(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.len as u64).sum()
    }

    pub fn charged(&self) -> u64 {
        self.buffers.iter().map(Buffer::charged).sum()
    }

    pub fn queued(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.packets.len() as u64).sum()
    }

    pub fn ready(&self) -> bool {
        let other = &self.buffers[1 - self.store];
        self.held && other.len > 0 && !self.is_acknowledged()
            || self.immediate && self.buffers[self.store].len > 0
    }

    pub fn sees(&self, process: u32, buffer: usize) -> Vec<u8> {
        (0..BUFFER).map(|at| self.pages.read(process, buffer * BUFFER + at)).collect()
    }

    pub fn apply(&mut self, op: &Op) {
        self.now += 1_000_001_000_000;
        self.told = Told::default();
        match *op {
            Op::Tap(ref lengths) => lengths.iter().for_each(|len| self.tap(*len)),
            Op::Poll(process) => self.polled = Some(self.poll(process)),
            Op::Fork(parent) => {
                self.pages.fork(parent);
                self.readers.push(self.readers[parent as usize].clone());
            }
            Op::Rotate => self.rotated = self.rotate(),
            Op::Reset => self.reset(),
            Op::Immediate(on) => {
                self.immediate = on;
                self.event_set &= self.ready();
                self.told.events.push(Event::ImmediateSet { handle: HANDLE, on });
            }
            Op::Write { process, buffer, at, byte } => {
                self.pages.write(process, buffer * BUFFER + at, byte);
            }
            Op::Remove if self.detached => {}
            Op::Remove => {
                self.detached = true;
                self.told.events.push(Event::Detached { handle: HANDLE, queued: self.queued() });
            }
        }
    }

    fn tap(&mut self, len: usize) {
        let tag = self.next_tag;
        self.next_tag += 1;
        let mut packet = Packet { tag, now: self.now, cpu: 0, queue: 0, caplen: len, len };
        if self.detached {
            self.told.events.push(Event::Dropped(unseen(&packet)));
            return;
        }
        self.reclaim(!self.leak);
        packet.caplen = len.min(ROOM - RECORD);
        let store = &self.buffers[self.store];
        let padded = store.len.next_multiple_of(8);
        let need = (padded - store.len + RECORD + packet.caplen) as u64;
        let mut at = padded;
        let mut wake = self.immediate;
        if store.users || padded + RECORD + packet.caplen > ROOM {
            if self.held {
                self.told.events.push(Event::Dropped(DropRecord {
                    reason: DropReason::UserOwned,
                    handle: Some(HANDLE),
                    occupancy: if store.users { ROOM } else { store.len } as u64,
                    capacity: ROOM as u64,
                    need,
                    free_elsewhere: (ROOM - self.buffers[1 - self.store].len) as u64,
                    ..unseen(&packet)
                }));
                return self.hand_over(self.store);
            }
            self.swap();
            (at, wake) = (0, true);
        }
        self.keep(packet, at, len);
        if wake && !self.event_set {
            self.event_set = true;
            let occupancy = self.used();
            self.told.events.push(Event::Woken { handle: HANDLE, occupancy });
            self.told.wakes.push(HANDLE);
        }
    }

    fn keep(&mut self, packet: Packet, at: usize, len: usize) {
        let (tag, caplen, end) = (packet.tag, packet.caplen, at + RECORD + packet.caplen);
        let mut record = Vec::new();
        record.extend((self.now / 1_000_000_000_000).to_le_bytes());
        record.extend((self.now % 1_000_000_000_000 / 1_000_000).to_le_bytes());
        record.extend((caplen as u32).to_le_bytes());
        record.extend((len as u32).to_le_bytes());
        record.extend((RECORD as u16).to_le_bytes());
        record.extend(&frame_bytes(tag, len)[..caplen]);
        self.pages.kernel_write(self.store * BUFFER + HEADER + at, &record);
        let store = &mut self.buffers[self.store];
        let charge = (end - store.len) as u64;
        store.packets.push((packet, at, charge));
        store.len = end;
        // The tap tells what it asked to keep, not what the buffer could take.
        let (caplen, occupancy) = (len as u32, end as u64);
        self.told.events.push(Event::Stored { tag, handle: HANDLE, caplen, charge, occupancy });
    }

    fn reset(&mut self) {
        let before = self.queued();
        self.reclaim(true);
        if !self.buffers[self.store].users {
            self.give_up(self.store, DropReason::Flushed);
        }
        self.event_set &= self.ready();
        let (handle, flushed) = (HANDLE, before - self.queued());
        self.told.events.push(Event::BufferReset { handle, flushed, capacity: 2 * ROOM as u64 });
        self.told.events.push(Event::FilterSet { handle, instructions: 0 });
    }

    fn rotate(&mut self) -> Option<(usize, usize)> {
        let given = (self.store, self.buffers[self.store].len);
        if self.held || given.1 == 0 {
            return None;
        }
        self.swap();
        Some(given)
    }

    fn is_acknowledged(&self) -> bool {
        let other = 1 - self.store;
        let byte = |at| self.pages.kernel_read(other * BUFFER + 8 + at);
        u32::from_le_bytes([0, 1, 2, 3].map(byte)) == self.buffers[other].generation
    }

    fn reclaim(&mut self, unmark: bool) {
        if self.held && self.is_acknowledged() {
            let other = 1 - self.store;
            self.held = false;
            self.give_up(other, DropReason::Unread);
            if unmark {
                self.buffers[other].users = false;
            }
        }
    }

    fn give_up(&mut self, buffer: usize, reason: DropReason) {
        let buffer = &mut self.buffers[buffer];
        while !buffer.packets.is_empty() {
            let occupancy = buffer.charged();
            let (packet, _, charge) = buffer.packets.remove(0);
            self.told.events.push(Event::Dropped(DropRecord {
                reason,
                handle: Some(HANDLE),
                occupancy,
                capacity: ROOM as u64,
                need: charge,
                held: Some(charge),
                ..unseen(&packet)
            }));
        }
        buffer.len = 0;
    }

    fn swap(&mut self) {
        self.hand_over(self.store);
        self.held = true;
        self.store = 1 - self.store;
    }

    fn hand_over(&mut self, buffer: usize) {
        let at = buffer * BUFFER;
        let Buffer { users, generation, len, .. } = &mut self.buffers[buffer];
        if !*users {
            *users = true;
            *generation += 1;
            self.pages.kernel_write(at + 4, &(*len as u32).to_le_bytes());
            self.pages.kernel_write(at, &generation.to_le_bytes());
        }
    }

    fn poll(&mut self, process: u32) -> Result<Polled, u64> {
        self.event_set = false;
        if let Some(buffer) = self.readers[process as usize].taken.take() {
            for at in 0..4 {
                let byte = self.pages.read(process, buffer * BUFFER + at);
                self.pages.write(process, buffer * BUFFER + 8 + at, byte);
            }
        }
        if let Some(polled) = self.look(process) {
            self.readers[process as usize].waiting = false;
            return Ok(polled);
        }
        let waiting = &mut self.readers[process as usize].waiting;
        *waiting = !*waiting;
        if *waiting {
            return Ok(Polled { waits: true, ..Polled::default() });
        }
        self.rotate();
        let polled = match self.look(process) {
            Some(polled) => polled,
            None if self.detached => return Err(self.queued()),
            None => {
                self.read_done(0, 0);
                Polled::default()
            }
        };
        Ok(Polled { rotated: true, ..polled })
    }

    fn look(&mut self, process: u32) -> Option<Polled> {
        let number = self.readers[process as usize].next;
        let sees = self.sees(process, number);
        let word = |at: usize| u32::from_le_bytes(sees[at..at + 4].try_into().unwrap());
        if word(0) == word(8) {
            return None;
        }
        let len = (word(4) as usize).min(ROOM);
        let mut polled = Polled { malformed: word(4) as usize > len, ..Polled::default() };
        let current = self.buffers[number].users && self.buffers[number].generation == word(0);
        let records = &sees[HEADER..HEADER + len];
        while polled.bytes < len {
            let Some((start, end)) = record(records, polled.bytes) else {
                polled.malformed = true;
                break;
            };
            let packets = &mut self.buffers[number].packets;
            let known = packets.iter().position(|(_, at, _)| current && *at == polled.bytes);
            if let Some(known) = known {
                let (mut packet, ..) = packets.remove(known);
                packet.caplen = packet.caplen.min(end - start);
                let data = records[start..start + packet.caplen].to_vec();
                self.told.delivered.push(Delivery { handle: HANDLE, packet, data });
                polled.packets += 1;
            }
            polled.records += 1;
            polled.bytes = (polled.bytes + (end - polled.bytes).next_multiple_of(8)).min(len);
        }
        let reader = &mut self.readers[process as usize];
        (reader.taken, reader.next) = (Some(number), 1 - number);
        self.read_done(polled.packets, polled.bytes as u64);
        Some(polled)
    }

    fn read_done(&mut self, packets: u32, bytes: u64) {
        let queued = self.queued();
        self.told.events.push(Event::Read { handle: HANDLE, packets, bytes, queued });
    }
}

impl Buffer {
    fn charged(&self) -> u64 {
        self.packets.iter().map(|(.., charge)| charge).sum()
    }
}

/// Where the bytes of the record at `at` begin and end, if they lie in `records`.
fn record(records: &[u8], at: usize) -> Option<(usize, usize)> {
    let header = records.get(at..at + RECORD)?;
    let caplen = u32::from_le_bytes(header[16..20].try_into().unwrap()) as usize;
    let start = at + usize::from(u16::from_le_bytes(header[24..26].try_into().unwrap()));
    (start >= at + RECORD && start + caplen <= records.len()).then_some((start, start + caplen))
}
