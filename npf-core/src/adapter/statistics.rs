//! Statistics mode: a classifier, which is the filter, and a counter; no buffer.
//!
//! Contract: an accepted frame counts as one packet of `max(length on the wire, 60) + 12` bytes, that
//! is with the padding of a short frame, preamble and FCS. A read gives both counters in one record of
//! [`STATISTICS_RECORD`] bytes and zeroes them; it is served by time alone, the reader's time-out
//! (1 s unless it was set), never by packets. Of the buffer nothing is used and nothing is touched.
//! From nmap/npcap `Read.c` (NPF_Read, NPF_TapExForEachOpen), wireshark/winpcap `packetNtx/driver/Read.c`.
//!
//! ```text
//!   0                20          28        36
//!   | record header  | packets   | bytes   |     caplen = datalen = 16, counters i64 little-endian,
//!                                                whatever the design of the buffer
//! ```
//!
//! Not modelled: in the source the values are read before the lock is taken under which they are
//! zeroed, so that a frame in between is lost to the counters.

use super::handle::Handle;
use crate::record::{Header, RECORD_HEADER};
use crate::{Event, Frame, Host, Read, ReadError};

/// Bytes of the record that a read in statistics mode gives.
pub const STATISTICS_RECORD: usize = RECORD_HEADER + COUNTERS;
const COUNTERS: usize = 16;

/// Shortest Ethernet frame without FCS.
const SHORTEST: u64 = 60;
/// Preamble and FCS.
const AROUND: u64 = 12;

/// What was counted since the last read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counted {
    packets: u64,
    bytes: u64,
}

impl Handle {
    /// Counts an accepted frame.
    #[inline]
    pub(super) fn count<H: Host>(&mut self, now: u64, frame: &Frame<'_>, host: &mut H) {
        let (tag, handle, len) = (frame.tag, self.id, frame.wire_len);
        self.counted.packets += 1;
        self.counted.bytes += u64::from(len).max(SHORTEST) + AROUND;
        self.account.counters.counted += 1;
        host.event(now, Event::Counted { tag, handle, len });
    }

    /// Gives the counters to a reader and zeroes them.
    pub(super) fn read_statistics<H: Host>(
        &mut self,
        now: u64,
        out: &mut [u8],
        host: &mut H,
    ) -> Result<Read, ReadError> {
        let Some(record) = out.first_chunk_mut::<STATISTICS_RECORD>() else {
            return Err(ReadError::BufferTooSmall { len: out.len(), need: STATISTICS_RECORD });
        };
        let queued = self.queued();
        if self.detached && self.counted == Counted::default() {
            return Err(ReadError::DeviceRemoved { queued });
        }
        let Counted { packets, bytes } = std::mem::take(&mut self.counted);
        let (epoch_seconds, caplen) = (self.epoch_seconds, COUNTERS as u32);
        Header { timestamp: now, epoch_seconds, caplen, len: caplen }.write(record);
        let (first, second) = record[RECORD_HEADER..].split_at_mut(COUNTERS / 2);
        first.copy_from_slice(&packets.to_le_bytes());
        second.copy_from_slice(&bytes.to_le_bytes());

        self.event_set = false;
        let handle = self.id;
        host.event(now, Event::Statistics { handle, packets, bytes });
        Ok(self.read_done(now, 0, STATISTICS_RECORD, host))
    }
}
