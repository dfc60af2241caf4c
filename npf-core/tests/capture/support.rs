//! What the tests of this crate share: a host that writes everything down, and a reader of user
//! buffers that knows the record format only from its published description.

use npf_core::{Adapter, Delivered, DropReason, DropRecord, Event, Frame, HandleOptions, Host};

/// One packet as a read handed it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    pub handle: u32,
    pub tag: u64,
    pub len: u32,
    pub data: Vec<u8>,
}

/// A host that writes everything down.
#[derive(Debug, Default)]
pub struct Notes {
    pub events: Vec<Event>,
    pub delivered: Vec<Packet>,
    pub wakes: Vec<u32>,
    pub works: Vec<u32>,
    /// Handles whose dump event was set.
    pub dump_wakes: Vec<u32>,
    /// Dump files written, as they came; all handles' in one.
    pub file: Vec<u8>,
    /// Frames sent and fed back, whose tags are [`SENT`] and up.
    pub sent: Vec<Vec<u8>>,
    /// Tags of those that all handles have seen.
    pub tapped: Vec<u64>,
}

/// Tag of the first frame sent; the others count on.
pub const SENT: u64 = 1 << 40;

impl Host for Notes {
    fn event(&mut self, _now: u64, event: Event) {
        self.events.push(event);
    }

    fn delivered(&mut self, _now: u64, handle: u32, packet: Delivered<'_>) {
        let Delivered { tag, len, caplen, data, .. } = packet;
        assert_eq!(caplen as usize, data.len());
        self.delivered.push(Packet { handle, tag, len, data: data.to_vec() });
    }

    fn wake(&mut self, _now: u64, handle: u32) {
        self.wakes.push(handle);
    }

    fn work(&mut self, _now: u64, handle: u32) {
        self.works.push(handle);
    }

    fn wake_dump(&mut self, _now: u64, handle: u32) {
        self.dump_wakes.push(handle);
    }

    fn dump(&mut self, _now: u64, _handle: u32, bytes: &[u8]) {
        self.file.extend_from_slice(bytes);
    }

    fn transmit(&mut self, _now: u64, _handle: u32, frame: &[u8]) -> u64 {
        self.sent.push(frame.to_vec());
        SENT + self.sent.len() as u64 - 1
    }

    fn fed_back(&mut self, now: u64, handle: u32, frame: &[u8]) -> u64 {
        self.transmit(now, handle, frame)
    }

    fn tapped(&mut self, _now: u64, tag: u64) {
        self.tapped.push(tag);
    }
}

/// The account of a handle adds up: every packet that was shown has exactly one fate.
pub fn check_account(adapter: &Adapter, handle: u32) {
    let counters = adapter.counters(handle).unwrap();
    let settled = counters.filtered + counters.delivered + counters.counted + counters.dumped;
    let queued = adapter.queued(handle);
    assert_eq!(counters.shown, settled + counters.dropped_total() + queued, "{counters:?}");
}

impl Notes {
    /// All drops so far.
    pub fn drops(&self) -> Vec<DropRecord> {
        let drop = |event: &Event| match event {
            Event::Dropped(record) => Some(*record),
            _ => None,
        };
        self.events.iter().filter_map(drop).collect()
    }

    /// Tags dropped for `reason`.
    pub fn dropped(&self, reason: DropReason) -> Vec<u64> {
        self.drops().iter().filter(|drop| drop.reason == reason).map(|drop| drop.tag).collect()
    }
}

/// One record of a user buffer.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    pub sec: u32,
    pub usec: u32,
    pub len: u32,
    pub data: Vec<u8>,
}

/// Reads the records in the part of a user buffer that a read filled.
pub fn records(mut bytes: &[u8]) -> Vec<Record> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(bytes[16..20], [20, 0, 0, 0], "hdrlen and its padding");
        let end = 20 + word(8) as usize;
        let next = end.next_multiple_of(4).min(bytes.len());
        assert!(bytes[end..next].iter().all(|byte| *byte == 0), "padding is zero");
        found.push(Record {
            sec: word(0),
            usec: word(4),
            len: word(12),
            data: bytes[20..end].to_vec(),
        });
        bytes = &bytes[next..];
    }
    found
}

/// An adapter with one handle.
pub fn one_handle(options: HandleOptions) -> (Adapter, u32) {
    let mut adapter = Adapter::new();
    let handle = adapter.open(options).unwrap();
    (adapter, handle)
}

/// Taps one frame of `len` bytes, each the low byte of its tag.
pub fn tap(adapter: &mut Adapter, tag: u64, len: usize, notes: &mut Notes) {
    let data = vec![tag as u8; len];
    adapter.tap(0, 0, 0, &[Frame { data: &data, wire_len: len as u32, tag }], notes);
}
