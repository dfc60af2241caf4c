//! What a reference model of one capture buffer design must say.
//!
//! Contract: a model is plain data; it is cloned for every step of every sequence. All numbers are
//! bytes unless said otherwise.

use std::fmt::Debug;

use npf_core::{ControlError, DropReason, EngineKind, MAX_KERNEL_BUFFER, ReadError};
use proptest::prelude::*;

/// A packet that the filter let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    pub tag: u64,
    /// When it was tapped.
    pub now: u64,
    pub cpu: u16,
    pub queue: u16,
    pub caplen: usize,
    /// Length on the wire.
    pub len: usize,
}

/// What becomes of a packet that is offered.
#[derive(Debug, Clone)]
pub enum Fate {
    /// It is held. `used` is what its part of the buffer holds then; `charge` is 0 if it waits for
    /// the worker. `lost`: older packets given up for it.
    Kept { charge: u64, used: u64, wake: bool, lost: Vec<Gone> },
    /// It is not.
    Dropped(Refused),
}

/// A packet refused; numbers of the part of the buffer that it would have gone to.
#[derive(Debug, Clone)]
pub struct Refused {
    pub reason: DropReason,
    pub used: u64,
    pub capacity: u64,
    pub need: u64,
    pub elsewhere: u64,
    pub wake: bool,
}

/// A packet that was held and is lost.
#[derive(Debug, Clone)]
pub struct Gone {
    pub packet: Packet,
    /// `None`: that of whoever asked for the flush.
    pub reason: Option<DropReason>,
    pub charge: u64,
    /// In its part of the buffer, before it left.
    pub used: u64,
    pub capacity: u64,
    pub need: u64,
    pub elsewhere: u64,
    /// Counted by the driver's own statistics.
    pub in_statistics: bool,
}

/// One step of a read.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// Bytes written by this step, padding included.
    pub bytes: usize,
    /// Packets handed out by this step, with the bytes of each that are handed out.
    pub packets: Vec<(Packet, usize)>,
    pub padding_cut: usize,
    /// The first record was cut.
    pub truncated: bool,
    /// Another step follows.
    pub more: bool,
    /// The read leaves the read event as it is; of the first step only.
    pub leaves_event: bool,
}

/// What the worker did.
#[derive(Debug, Clone, Default)]
pub struct Worked {
    /// In the order in which the requests were queued.
    pub done: Vec<Done>,
    pub bytes_copied: u64,
    pub wake: bool,
}

/// What the worker made of one packet.
#[derive(Debug, Clone)]
pub enum Done {
    /// It is in the buffer, which now holds `used`.
    Moved { packet: Packet, charge: u64, used: u64 },
    /// It is lost.
    Gone(Gone),
}

/// One record of a user buffer.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    pub sec: u64,
    pub usec: u64,
    pub len: usize,
    pub data: Vec<u8>,
}

/// A reference model of one design.
pub trait Model: Clone + Debug + 'static {
    /// Whether the design keeps references to one shared copy of a frame.
    const SHARES: bool;

    /// The design, with every one of its choices.
    fn engine() -> BoxedStrategy<EngineKind>;

    /// CPUs that a handle is told of.
    fn cpus() -> BoxedStrategy<u16> {
        (1u16..=4).boxed()
    }

    /// CPUs that frames are tapped on; also some that no handle was told of.
    fn tap_cpus() -> BoxedStrategy<u16> {
        (0u16..6).boxed()
    }

    /// Sizes of the kernel buffer; above [`MAX_KERNEL_BUFFER`] they are refused.
    fn sizes() -> BoxedStrategy<u64> {
        prop_oneof![
            2 => Just(0),
            4 => 0u64..200,
            10 => 200u64..2500,
            4 => 2500u64..10_000,
            1 => prop_oneof![Just(MAX_KERNEL_BUFFER), MAX_KERNEL_BUFFER + 1..=u64::MAX],
        ]
        .boxed()
    }

    /// Lengths of user buffers.
    fn user_buffers() -> BoxedStrategy<usize> {
        prop_oneof![1 => 0usize..30, 3 => 30usize..400, 3 => 400usize..4000].boxed()
    }

    /// An empty buffer of a handle just opened.
    fn open(engine: EngineKind, capacity: u64, min: u64, immediate: bool, cpus: u16) -> Self;

    /// The handle was opened with a filter.
    fn opened_with_filter(&mut self) {}

    /// Refuses a frame before any filter has seen it.
    fn refuse_unfiltered(&self, _cpu: u16, _len: usize) -> Option<Refused> {
        None
    }

    /// Whether the driver's own statistics count what is refused for `reason`.
    fn counts(&self, _reason: DropReason) -> bool {
        true
    }

    /// The most bytes that are kept of a frame.
    fn longest(&self) -> usize {
        usize::MAX
    }

    /// Offers a packet.
    fn store(&mut self, packet: Packet) -> Fate;

    /// Whether a reader that comes now is served without waiting.
    fn ready(&self, event_set: bool) -> bool {
        event_set
    }

    /// One step of a read into a user buffer of `len` bytes, of which `at` are written.
    fn read(&mut self, len: usize, at: usize) -> Result<Step, ReadError>;

    /// The read is over.
    fn end_read(&mut self) {}

    /// Packets that wait for the worker.
    fn pending(&self) -> u64 {
        0
    }

    /// The worker takes up to `max` packets.
    fn work(&mut self, _max: u32) -> Worked {
        Worked::default()
    }

    /// Everything held is given up, in this order.
    fn flush(&mut self) -> Vec<Gone>;

    /// Whether the size may be changed at all.
    fn can_resize(&self, _capacity: u64) -> Result<(), ControlError> {
        Ok(())
    }

    /// The buffer, which is empty, gets this size; the same one when a filter was set.
    fn resize(&mut self, capacity: u64);

    /// Bytes that must be queued before the reader is woken.
    fn set_min_to_copy(&mut self, min: u64);

    /// Whether each packet wakes the reader.
    fn set_immediate(&mut self, immediate: bool);

    /// The whole buffer.
    fn capacity(&self) -> u64;

    /// Charged in the whole buffer.
    fn used(&self) -> u64;

    /// Part of `used` that no queued packet is charged for.
    fn uncharged(&self) -> u64 {
        0
    }

    /// Part of what queued packets are charged that is no longer `used`.
    fn freed(&self) -> u64 {
        0
    }

    /// Packets held.
    fn queued(&self) -> u64;

    /// Reads the records that a read wrote; its first word is `bytes[0..4]`. Default: Npcap's format
    /// (`Common/npcap-bpf.h`), 20 bytes of header, alignment 4.
    fn records(&self, bytes: &[u8]) -> Vec<Record> {
        npcap_records(bytes)
    }
}

fn npcap_records(mut bytes: &[u8]) -> Vec<Record> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(bytes[16..20], [20, 0, 0, 0], "hdrlen and its padding");
        let end = 20 + word(8) as usize;
        let next = end.next_multiple_of(4).min(bytes.len());
        assert!(bytes[end..next].iter().all(|byte| *byte == 0), "padding is zero");
        found.push(Record {
            sec: word(0).into(),
            usec: word(4).into(),
            len: word(12) as usize,
            data: bytes[20..end].to_vec(),
        });
        bytes = &bytes[next..];
    }
    found
}
