//! The copies of the frames of one batch, between their DMA buffers and the host.
//!
//! Contract: [`Staging::add`] at most [`BATCH`] times, each with at most a buffer's bytes, then
//! [`Staging::indicate`], which empties it. Everything is allocated at the start.

use crate::spec;
use crate::{Host, RxFrame};

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
}

/// Where one copy lies, virtio header included, and which completion it is.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
    position: u64,
}

impl Staging {
    pub(crate) fn new(buffer_size: u32) -> Self {
        let buffer = (buffer_size as usize).next_multiple_of(LINE);
        Self { bytes: vec![0; buffer * BATCH], spans: Vec::with_capacity(BATCH), end: 0 }
    }

    /// Room for the next copy of `len` bytes, header included.
    #[inline]
    pub(crate) fn add(&mut self, len: usize, position: u64) -> &mut [u8] {
        let (start, end) = (self.end, self.end + len);
        self.spans.push(Span { start, end, position });
        self.end = end.next_multiple_of(LINE);
        &mut self.bytes[start..end]
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
        let mut frames = [RxFrame { data: &[], position: 0 }; N];
        for (frame, span) in frames.iter_mut().zip(&self.spans) {
            let data = &self.bytes[span.start + spec::HEADER_BYTES..span.end];
            *frame = RxFrame { data, position: span.position };
        }
        host.indicate(now, queue, &frames[..self.spans.len()]);
    }
}
