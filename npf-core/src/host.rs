//! What crosses the border of the crate: frames in; events, packets, wake-ups and results out.
//!
//! Contract: the [`Host`] is called in the order in which things happen, always with the `now` of
//! the call that caused it. It cannot call back into the adapter.

use crate::Event;

/// One frame as the driver indicates it: Ethernet without preamble and FCS.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The bytes that are there.
    pub data: &'a [u8],
    /// Length on the wire, in bytes; what the filter's LEN load and the record show.
    pub wire_len: u32,
    /// The caller's name of this frame; carried, never looked at.
    pub tag: u64,
}

/// One packet that a read took out of a handle's buffer.
#[derive(Debug, Clone, Copy)]
pub struct Delivered<'a> {
    /// The caller's name of the frame.
    pub tag: u64,
    /// Receive queue on which the frame was tapped.
    pub queue: u16,
    /// CPU on which it was tapped.
    pub cpu: u16,
    /// Time of the tap, in picoseconds of the caller's clock.
    pub timestamp: u64,
    /// Bytes of the frame in the record; less than stored if the read truncated it.
    pub caplen: u32,
    /// Length of the frame on the wire.
    pub len: u32,
    /// Those `caplen` bytes.
    pub data: &'a [u8],
}

/// What the surroundings provide.
pub trait Host {
    /// Something worth telling has happened.
    fn event(&mut self, now: u64, event: Event);
    /// A packet has been written into the reader's buffer.
    fn delivered(&mut self, now: u64, handle: u32, packet: Delivered<'_>);
    /// The handle's read event went from clear to set. A read clears it.
    fn wake(&mut self, now: u64, handle: u32);
    /// The handle's worker, which had nothing to do, has requests now: see
    /// [`Adapter::work`](crate::Adapter::work).
    fn work(&mut self, _now: u64, _handle: u32) {}
    /// The handle's dump event went from clear to set: enough is stored that whoever calls
    /// [`Adapter::dump`](crate::Adapter::dump) should do so. That call clears it.
    fn wake_dump(&mut self, _now: u64, _handle: u32) {}
    /// The next bytes of the handle's dump file. A new file begins with its 24-byte header, behind an
    /// [`Event::ModeSet`] or the opening of the handle.
    fn dump(&mut self, _now: u64, _handle: u32, _bytes: &[u8]) {}
    /// A handle sends a frame, in bytes without FCS. Gives the caller's name of it, under which the
    /// handles are shown it next; it belongs on the wire when they have seen it ([`Host::tapped`]).
    fn transmit(&mut self, _now: u64, _handle: u32, _frame: &[u8]) -> u64 {
        0
    }
    /// A frame that a handle sent comes back as if it were received (BIOCFEEDBACK). Gives the caller's
    /// name of it, under which the handles are shown it next.
    fn fed_back(&mut self, _now: u64, _handle: u32, _frame: &[u8]) -> u64 {
        0
    }
    /// All handles have been shown the frame that [`Host::transmit`] or [`Host::fed_back`] named.
    fn tapped(&mut self, _now: u64, _tag: u64) {}
}

/// What one tap did, so that the caller can turn it into CPU time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TapWork {
    /// Frames in the indication.
    pub frames: u32,
    /// Packets stored, over all handles.
    pub accepted: u32,
    /// Filter instructions that the interpreter executed, over all handles.
    pub instructions: u64,
    /// Runs of compiled filters, over all handles.
    pub compiled: u64,
    /// Bytes copied: into the shared copy of each frame (once, not per handle), and into the buffer of
    /// each handle whose design has no shared copies.
    pub bytes_copied: u64,
}

/// What one read put into the user buffer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Read {
    /// Bytes written: records and the padding between them; never more than the buffer's length.
    pub bytes: usize,
    /// Records written.
    pub packets: u32,
    /// Packets still queued.
    pub queued_left: u64,
    /// Whether the first record was cut because it alone exceeds the user buffer.
    pub truncated: bool,
    /// Bytes of padding after the last record that the buffer had no room for (0..=3). Npcap
    /// reports `bytes + padding_cut` as the length read, which then exceeds the buffer.
    pub padding_cut: u32,
}

/// What one step of a read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadStep {
    /// So many bytes are being copied; the read goes on when that has taken its time.
    Copying {
        /// Bytes.
        bytes: usize,
    },
    /// The read is over.
    Done(Read),
}

/// What one call of [`Adapter::dump`](crate::Adapter::dump) wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DumpStep {
    /// Packets.
    pub packets: u32,
    /// Bytes, headers included.
    pub bytes: u64,
    /// Packets still queued.
    pub left: u64,
    /// The file is complete, by this call or an earlier one.
    pub ended: bool,
}

/// What the worker of a handle did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Requests taken off the queue.
    pub requests: u32,
    /// Bytes copied into the buffer.
    pub bytes_copied: u64,
    /// Requests still queued.
    pub left: u64,
}
