//! The copies of the frames of one batch, between their DMA buffers and the host.
//!
//! Contract: [`Staging::add`] at most [`BATCH`] times, each with at most a buffer's bytes, then
//! [`Staging::indicate`], which empties it. Everything is allocated at the start. A copy may grow by
//! [`Staging::extend`] while it is the last one; with mergeable buffers there is room for a longest frame
//! whenever [`Staging::has_room`] says so.

use crate::config::DriverConfig;
use crate::header::{RxFormat, RxHeader};
use crate::spec;
use crate::{Host, RxChecksum, RxFrame};

/// Most frames in one indication.
pub const BATCH: usize = 64;

/// Copies start on a cache line, so that a short frame touches few.
const LINE: usize = 64;

/// Up to so many frames are indicated from a smaller array, as clearing a large one takes longer than
/// a few frames do.
const FEW: usize = 8;

#[derive(Debug)]
pub(crate) struct Staging {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    end: usize,
    /// How received frames look; by the features agreed.
    pub(crate) format: RxFormat,
}

/// Where one copy lies, virtio header included, which frame it is, and what its header
/// says.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
    position: u64,
    header: RxHeader,
    buffer: Option<u16>,
}

impl Staging {
    pub(crate) fn new(config: &DriverConfig) -> Self {
        let buffer = (config.buffer_size as usize + config.buffers.header()).next_multiple_of(LINE);
        let merging = config.wanted() & spec::NET_F_MRG_RXBUF != 0;
        // A longest frame behind a batch of ordinary ones; or a batch of whole buffers.
        let merged = if merging { spec::MAX_MERGED_BYTES + BATCH * 2048 } else { 0 };
        Self {
            bytes: vec![0; merged.max(buffer * BATCH)],
            spans: Vec::with_capacity(BATCH),
            end: 0,
            format: RxFormat::default(),
        }
    }

    /// The features are agreed.
    pub(crate) fn reset(&mut self, format: RxFormat) {
        self.format = format;
    }

    /// A frame of any length can be added. Without mergeable buffers one always can.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        !self.format.mergeable || self.bytes.len() - self.end >= spec::MAX_MERGED_BYTES
    }

    /// Room for the next copy of `len` bytes, header included.
    #[inline]
    pub(crate) fn add(&mut self, len: usize, position: u64) -> &mut [u8] {
        let (start, end) = (self.end, self.end + len);
        let header = RxHeader::default();
        self.spans.push(Span { start, end, position, header, buffer: None });
        self.end = end.next_multiple_of(LINE);
        &mut self.bytes[start..end]
    }

    /// Room behind the last copy for `len` bytes more of its frame; `None` if that makes it longer than any.
    pub(crate) fn extend(&mut self, len: usize) -> Option<&mut [u8]> {
        let span = self.spans.last_mut()?;
        let (start, end) = (span.end, span.end + len);
        if end - span.start > spec::MAX_MERGED_BYTES || end > self.bytes.len() {
            return None;
        }
        span.end = end;
        self.end = end.next_multiple_of(LINE).min(self.bytes.len());
        Some(&mut self.bytes[start..end])
    }

    /// The last copy, header included.
    #[inline]
    pub(crate) fn last(&self) -> &[u8] {
        self.spans.last().map_or(&[], |span| &self.bytes[span.start..span.end])
    }

    /// What the header of the last copy says.
    #[inline]
    pub(crate) fn describe_last(&mut self, header: RxHeader) {
        if let Some(span) = self.spans.last_mut() {
            span.header = header;
        }
    }

    /// The buffer of the last copy goes to the host.
    #[inline]
    pub(crate) fn lend_last(&mut self, buffer: u16) {
        if let Some(span) = self.spans.last_mut() {
            span.buffer = Some(buffer);
        }
    }

    /// Forgets the last copy.
    pub(crate) fn take_back(&mut self) {
        if let Some(span) = self.spans.pop() {
            self.end = span.start;
        }
    }

    /// Hands everything added to the host, in one call, and forgets it.
    #[inline]
    pub(crate) fn indicate<H: Host>(&mut self, now: u64, queue: u16, host: &mut H) {
        match self.spans.len() {
            0 => {}
            1..=FEW => self.indicate_from::<FEW, H>(now, queue, host),
            _ => self.indicate_from::<BATCH, H>(now, queue, host),
        }
        self.spans.clear();
        self.end = 0;
    }

    #[inline]
    fn indicate_from<const N: usize, H: Host>(&self, now: u64, queue: u16, host: &mut H) {
        let empty = RxFrame {
            data: &[],
            position: 0,
            checksum: RxChecksum::Unknown,
            hash: None,
            buffer: None,
        };
        let header_bytes = self.format.header_bytes;
        // Each place is written once.
        let mut spans = self.spans.iter();
        let frames: [_; N] = std::array::from_fn(|_| {
            spans.next().map_or(empty, |span| {
                let data = &self.bytes[span.start + header_bytes..span.end];
                let RxHeader { checksum, hash, .. } = span.header;
                RxFrame { data, position: span.position, checksum, hash, buffer: span.buffer }
            })
        });
        host.indicate(now, queue, &frames[..self.spans.len()]);
    }
}
