//! pcapng, as much of it as a run writes: an interface per receive queue, nanoseconds, and the fate of
//! every frame beside its bytes.
//!
//! Source: draft-ietf-opsawg-pcapng, little endian, one section. Written are the section header, one
//! interface description per queue, enhanced packet blocks with the options comment, drop count,
//! packet id and queue, and interface statistics. Nothing of the machine goes in: no host name, no
//! operating system, no time of day, so the same run gives the same bytes everywhere.
//!
//! Every block reaches the sink whole, in one call; the one buffer it is built in is reused, so a
//! packet costs no allocation. Text is never cut: what does not fit its 16-bit length is an error.
//!
//! Not checked: that timestamps ascend (the format does not ask for it) and that packet ids differ.

use crate::output::file::{OutputError, RecordSink};

/// The most bytes of one frame: what libpcap's readers take (its MAXIMUM_SNAPLEN).
pub const MAX_CAPTURED: u32 = 262_144;

/// Writes one capture, block by block.
#[derive(Debug)]
pub struct Writer<S> {
    sink: S,
    /// The block being built.
    block: Vec<u8>,
    /// The most bytes of a frame each interface may hold, by interface id.
    snaplens: Vec<u32>,
}

/// A receive queue as a capture interface; its place in the list is its interface id.
#[derive(Clone, Copy, Debug)]
pub struct Interface<'a> {
    /// The receive queue; the interface is called `rxq` and this number.
    pub queue: u16,
    /// One line for people; empty for none.
    pub description: &'a str,
    /// Line rate in bits per second; 0 for unknown.
    pub speed_bps: u64,
    /// The most bytes that are kept of a frame; 0 for no limit but [`MAX_CAPTURED`].
    pub snaplen: u32,
    /// The filter as an expression, when there is one.
    pub filter: Option<&'a str>,
}

/// One frame with its fate.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Index into the interfaces given to [`Writer::new`].
    pub interface: u32,
    /// Nanoseconds since the capture's epoch.
    pub timestamp_ns: u64,
    /// The bytes kept, from the first byte of the Ethernet header.
    pub data: &'a [u8],
    /// The frame's length on the wire, without FCS.
    pub wire_len: u32,
    /// The same in every place where this frame is captured.
    pub packet_id: u64,
    /// The receive queue.
    pub queue: u32,
    /// Frames of this interface lost since the packet before this one, where that is known.
    pub drop_count: Option<u64>,
    /// The fate in words; empty for no comment.
    pub comment: &'a str,
}

/// What one interface counted over the run, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Index into the interfaces given to [`Writer::new`].
    pub interface: u32,
    /// When these numbers were taken, in nanoseconds as the packets' timestamps.
    pub timestamp_ns: u64,
    /// When the capture began.
    pub start_ns: u64,
    /// When the capture ended.
    pub end_ns: u64,
    /// Received from the wire.
    pub received: u64,
    /// Dropped for lack of resources in the interface.
    pub dropped_by_interface: u64,
    /// Accepted by the filter.
    pub accepted_by_filter: u64,
    /// Dropped by the operating system.
    pub dropped_by_os: u64,
    /// Delivered to the reader.
    pub delivered: u64,
}

/// A block that could not be written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PcapngError {
    /// The packet or statistics name an interface that the capture does not have.
    #[error("pcapng: interface {interface} of {count}; describe it when the writer is made")]
    NoSuchInterface {
        /// The interface asked for.
        interface: u32,
        /// How many there are.
        count: usize,
    },
    /// More bytes of a frame than it has, or than its interface may hold.
    #[error("pcapng: packet {packet_id} holds {len} bytes, at most {limit} are allowed; cut it")]
    TooLong {
        /// The packet.
        packet_id: u64,
        /// The bytes given.
        len: usize,
        /// The least of wire length, snaplen and [`MAX_CAPTURED`].
        limit: u32,
    },
    /// A comment, description or filter that does not fit the format's 16-bit length.
    #[error("pcapng: {what} of {len} bytes, at most 65535 fit; shorten it")]
    TextTooLong {
        /// Which text.
        what: &'static str,
        /// Its length.
        len: usize,
    },
    /// The block did not reach the file.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl<S: RecordSink> Writer<S> {
    /// Writes the section header and one description per interface.
    pub fn new(sink: S, interfaces: &[Interface<'_>]) -> Result<Self, PcapngError> {
        let snaplens = interfaces.iter().map(|i| i.snaplen).collect();
        let mut this = Self { sink, block: Vec::with_capacity(4096), snaplens };
        this.section_header()?;
        for interface in interfaces {
            this.interface(interface)?;
        }
        Ok(this)
    }

    /// Writes one packet.
    pub fn packet(&mut self, packet: &Packet<'_>) -> Result<(), PcapngError> {
        let limit = match self.snaplen(packet.interface)? {
            0 => MAX_CAPTURED.min(packet.wire_len),
            snaplen => snaplen.min(MAX_CAPTURED).min(packet.wire_len),
        };
        let captured = match u32::try_from(packet.data.len()) {
            Ok(len) if len <= limit => len,
            _ => {
                let (packet_id, len) = (packet.packet_id, packet.data.len());
                return Err(PcapngError::TooLong { packet_id, len, limit });
            }
        };
        self.begin(block::ENHANCED_PACKET);
        self.u32(packet.interface);
        self.timestamp(packet.timestamp_ns);
        self.u32(captured);
        self.u32(packet.wire_len);
        self.padded(packet.data);
        self.text(option::COMMENT, "comment", packet.comment)?;
        if let Some(count) = packet.drop_count {
            self.option(option::EPB_DROP_COUNT, &count.to_le_bytes());
        }
        self.option(option::EPB_PACKET_ID, &packet.packet_id.to_le_bytes());
        self.option(option::EPB_QUEUE, &packet.queue.to_le_bytes());
        self.end()
    }

    /// Writes what an interface counted; once per interface, at the end of a run.
    pub fn statistics(&mut self, statistics: &Statistics) -> Result<(), PcapngError> {
        self.snaplen(statistics.interface)?;
        self.begin(block::INTERFACE_STATISTICS);
        self.u32(statistics.interface);
        self.timestamp(statistics.timestamp_ns);
        self.option(option::ISB_START_TIME, &high_low(statistics.start_ns));
        self.option(option::ISB_END_TIME, &high_low(statistics.end_ns));
        for (code, count) in [
            (option::ISB_RECEIVED, statistics.received),
            (option::ISB_DROPPED_BY_INTERFACE, statistics.dropped_by_interface),
            (option::ISB_ACCEPTED_BY_FILTER, statistics.accepted_by_filter),
            (option::ISB_DROPPED_BY_OS, statistics.dropped_by_os),
            (option::ISB_DELIVERED, statistics.delivered),
        ] {
            self.option(code, &count.to_le_bytes());
        }
        self.end()
    }

    /// Gives the sink back, which holds every block written.
    pub fn into_sink(self) -> S {
        self.sink
    }

    fn section_header(&mut self) -> Result<(), PcapngError> {
        self.begin(block::SECTION_HEADER);
        self.u32(0x1a2b_3c4d); // the byte-order magic
        self.u32(1); // version 1.0: major, then minor, 16 bits each
        self.padded(&(-1_i64).to_le_bytes()); // section length not given: a capture may end early
        self.text(option::SHB_USER_APPLICATION, "application", "rxlab")?;
        self.end()
    }

    fn interface(&mut self, interface: &Interface<'_>) -> Result<(), PcapngError> {
        self.begin(block::INTERFACE_DESCRIPTION);
        self.u32(1); // LINKTYPE_ETHERNET, and 16 reserved bits
        self.u32(interface.snaplen);
        self.text(option::IF_NAME, "name", &format!("rxq{}", interface.queue))?;
        self.text(option::IF_DESCRIPTION, "description", interface.description)?;
        if interface.speed_bps != 0 {
            self.option(option::IF_SPEED, &interface.speed_bps.to_le_bytes());
        }
        self.option(option::IF_TIMESTAMP_RESOLUTION, &[9]); // 10^-9 s
        if let Some(filter) = interface.filter {
            // The leading 0 says: what follows is an expression in libpcap's language.
            let filter = [b"\0", filter.as_bytes()].concat();
            if filter.len() > usize::from(u16::MAX) {
                return Err(PcapngError::TextTooLong { what: "filter", len: filter.len() });
            }
            self.option(option::IF_FILTER, &filter);
        }
        self.end()
    }

    fn snaplen(&self, interface: u32) -> Result<u32, PcapngError> {
        let found = usize::try_from(interface).ok().and_then(|i| self.snaplens.get(i));
        let count = self.snaplens.len();
        found.copied().ok_or(PcapngError::NoSuchInterface { interface, count })
    }

    fn begin(&mut self, block_type: u32) {
        self.block.clear();
        self.u32(block_type);
        self.u32(0); // the length, which `end` knows
    }

    /// Closes the options, fills the two lengths in, hands the block over.
    fn end(&mut self) -> Result<(), PcapngError> {
        self.option(option::END, &[]);
        // Fits by far: a frame has at most MAX_CAPTURED bytes, and few options 64 KiB each.
        let len = self.block.len() as u32 + 4;
        self.block[4..8].copy_from_slice(&len.to_le_bytes());
        self.u32(len);
        Ok(self.sink.write_record(&self.block)?)
    }

    /// An option with text; none when the text is empty.
    fn text(&mut self, code: u16, what: &'static str, text: &str) -> Result<(), PcapngError> {
        if text.len() > usize::from(u16::MAX) {
            return Err(PcapngError::TextTooLong { what, len: text.len() });
        }
        if !text.is_empty() {
            self.option(code, text.as_bytes());
        }
        Ok(())
    }

    /// An option of at most 65535 bytes.
    fn option(&mut self, code: u16, value: &[u8]) {
        self.block.extend_from_slice(&code.to_le_bytes());
        self.block.extend_from_slice(&(value.len() as u16).to_le_bytes());
        self.padded(value);
    }

    fn timestamp(&mut self, ns: u64) {
        self.block.extend_from_slice(&high_low(ns));
    }

    fn u32(&mut self, value: u32) {
        self.block.extend_from_slice(&value.to_le_bytes());
    }

    /// Bytes, then zeros up to a multiple of four.
    fn padded(&mut self, bytes: &[u8]) {
        self.block.extend_from_slice(bytes);
        self.block.resize(self.block.len().next_multiple_of(4), 0);
    }
}

/// A time as the format has it: the high 32 bits first, each half little endian.
fn high_low(ns: u64) -> [u8; 8] {
    ns.rotate_left(32).to_le_bytes()
}

/// Block types.
mod block {
    pub(super) const INTERFACE_DESCRIPTION: u32 = 1;
    pub(super) const INTERFACE_STATISTICS: u32 = 5;
    pub(super) const ENHANCED_PACKET: u32 = 6;
    pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
}

/// Option codes; those from 2 on mean something else in each block type.
mod option {
    pub(super) const END: u16 = 0;
    pub(super) const COMMENT: u16 = 1;
    pub(super) const SHB_USER_APPLICATION: u16 = 4;
    pub(super) const IF_NAME: u16 = 2;
    pub(super) const IF_DESCRIPTION: u16 = 3;
    pub(super) const IF_SPEED: u16 = 8;
    pub(super) const IF_TIMESTAMP_RESOLUTION: u16 = 9;
    pub(super) const IF_FILTER: u16 = 11;
    pub(super) const EPB_DROP_COUNT: u16 = 4;
    pub(super) const EPB_PACKET_ID: u16 = 5;
    pub(super) const EPB_QUEUE: u16 = 6;
    pub(super) const ISB_START_TIME: u16 = 2;
    pub(super) const ISB_END_TIME: u16 = 3;
    pub(super) const ISB_RECEIVED: u16 = 4;
    pub(super) const ISB_DROPPED_BY_INTERFACE: u16 = 5;
    pub(super) const ISB_ACCEPTED_BY_FILTER: u16 = 6;
    pub(super) const ISB_DROPPED_BY_OS: u16 = 7;
    pub(super) const ISB_DELIVERED: u16 = 8;
}

#[cfg(test)]
mod tests;
