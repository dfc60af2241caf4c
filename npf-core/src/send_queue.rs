//! A send queue: frames with their times, in one piece of memory, for one call to send.
//!
//! ```text
//!   0     4      8        12    16        16+caplen
//!   | sec | usec | caplen | len | caplen bytes | sec | usec | ...     no alignment, no padding
//! ```
//!
//! Contract: as libpcap's `pcap_sendqueue_alloc` and `pcap_sendqueue_queue` (libpcap `pcap-npf.c`), the
//! header being that of a capture file (Npcap `dump_bpf_hdr`, `Common/npcap-bpf.h`); integers
//! little-endian. A queue never grows beyond the length it was made for, and takes memory as it fills.
//!
//! Not checked: times and lengths of frames. Whoever sends does that, because a process can hand over
//! any bytes as a queue: [`Adapter::transmit`](crate::Adapter::transmit).

use std::fmt;

/// Bytes before each frame of a send queue.
pub const SEND_HEADER: usize = 16;

/// Frames to be sent by one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendQueue {
    bytes: Vec<u8>,
    max: u32,
}

/// A frame that a send queue has no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendQueueFull {
    /// Bytes that the frame and its header take.
    pub need: usize,
    /// Bytes that are free.
    pub free: usize,
}

impl SendQueue {
    /// An empty queue for up to `max` bytes, headers included.
    pub fn new(max: u32) -> Self {
        SendQueue { bytes: Vec::new(), max }
    }

    /// Adds a frame, to be sent at that time relative to the first one's.
    ///
    /// # Errors
    ///
    /// No room; the queue is as it was.
    pub fn queue(&mut self, sec: u32, usec: u32, frame: &[u8]) -> Result<(), SendQueueFull> {
        let free = self.max as usize - self.bytes.len();
        let need = SEND_HEADER.saturating_add(frame.len());
        if need > free {
            return Err(SendQueueFull { need, free });
        }
        // It fits into `max`, so 32 bits hold it.
        let len = frame.len() as u32;
        for field in [sec, usec, len, len] {
            self.bytes.extend_from_slice(&field.to_le_bytes());
        }
        self.bytes.extend_from_slice(frame);
        Ok(())
    }

    /// The whole queue, as it is handed over.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Display for SendQueueFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SendQueueFull { need, free } = self;
        write!(
            f,
            "the frame takes {need} bytes of the send queue, which has {free} left; transmit what is \
             queued, or make a longer queue"
        )
    }
}

impl std::error::Error for SendQueueFull {}

/// One frame of a queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Queued<'a> {
    pub sec: u32,
    /// Microseconds of the whole time.
    pub micros: i64,
    pub frame: &'a [u8],
}

/// What is wrong with the bytes of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendQueueFault {
    /// Fewer bytes than a header are left.
    Header {
        /// Bytes left.
        left: usize,
    },
    /// The frame's length reaches beyond the end.
    Frame {
        /// That length.
        caplen: u32,
        /// Bytes left behind the header.
        left: usize,
    },
}

/// The frame at the front of `bytes`; `None` if there are none.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Queued<'_>>, SendQueueFault> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let Some((header, rest)) = bytes.split_first_chunk::<SEND_HEADER>() else {
        return Err(SendQueueFault::Header { left: bytes.len() });
    };
    let [sec, usec, caplen] = [0, 4, 8].map(|at| {
        let field = &header[at..at + 4];
        u32::from_le_bytes([field[0], field[1], field[2], field[3]])
    });
    let Some(frame) = rest.get(..caplen as usize) else {
        return Err(SendQueueFault::Frame { caplen, left: rest.len() });
    };
    let micros = i64::from(sec) * 1_000_000 + i64::from(usec);
    Ok(Some(Queued { sec, micros, frame }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_that_of_a_capture_file() {
        let mut queue = SendQueue::new(40);
        queue.queue(1, 2, b"abc").unwrap();
        assert_eq!(queue.as_bytes(), b"\x01\0\0\0\x02\0\0\0\x03\0\0\0\x03\0\0\0abc");
        let refused = queue.queue(3, 4, b"123456");
        assert_eq!(refused, Err(SendQueueFull { need: 22, free: 21 }));
        queue.queue(u32::MAX, u32::MAX, b"12345").unwrap();
        assert_eq!(queue.as_bytes().len(), 40);
        assert!(queue.queue(0, 0, b"").is_err());
        assert!(SendQueue::new(15).queue(0, 0, b"").is_err());
        assert!(SendQueue::new(0).as_bytes().is_empty());
    }

    #[test]
    fn what_is_parsed_lies_in_the_bytes() {
        let mut queue = SendQueue::new(100);
        queue.queue(3, 4, b"abc").unwrap();
        let bytes = queue.as_bytes();
        let first = parse(bytes).unwrap().unwrap();
        assert_eq!((first.sec, first.micros, first.frame), (3, 3_000_004, &b"abc"[..]));
        assert!(parse(&[]).unwrap().is_none());
        for left in 1..SEND_HEADER {
            assert_eq!(parse(&bytes[..left]).err(), Some(SendQueueFault::Header { left }));
        }
        let cut = SendQueueFault::Frame { caplen: 3, left: 2 };
        assert_eq!(parse(&bytes[..SEND_HEADER + 2]).err(), Some(cut));
        let absurd = [0xff; SEND_HEADER];
        let beyond = SendQueueFault::Frame { caplen: u32::MAX, left: 0 };
        assert_eq!(parse(&absurd).err(), Some(beyond));
    }
}
