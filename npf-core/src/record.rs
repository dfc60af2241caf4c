//! The records a read writes: Npcap's `bpf_hdr` and its alignment (nmap/npcap `Common/npcap-bpf.h`).
//!
//! ```text
//!   0      4      8       12       16       18    20          20+caplen    next multiple of 4
//!   | sec  | usec | caplen | datalen | hdrlen | pad | caplen bytes | padding    |
//! ```
//!
//! Contract: all integers little-endian; `hdrlen` is 20; each record but the last of a read starts
//! and ends at a multiple of 4; padding is zero.

use std::ops::Range;

/// Bytes of a record header.
pub const RECORD_HEADER: usize = 20;
/// Records start at multiples of this (Packet_ALIGNMENT).
pub const RECORD_ALIGNMENT: usize = 4;

const SEC: Range<usize> = 0..4;
const USEC: Range<usize> = SEC.end..8;
const CAPLEN: Range<usize> = USEC.end..12;
const DATALEN: Range<usize> = CAPLEN.end..16;
const HDRLEN: Range<usize> = DATALEN.end..18;
const PAD: Range<usize> = HDRLEN.end..RECORD_HEADER;

pub(crate) const PS_PER_SEC: u64 = 1_000_000_000_000;
pub(crate) const PS_PER_USEC: u64 = 1_000_000;

/// What a record header says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    /// Picoseconds of the caller's clock.
    pub timestamp: u64,
    /// Seconds since 1970 of that clock's 0; the sum is kept modulo 2^32.
    pub epoch_seconds: u32,
    pub caplen: u32,
    pub len: u32,
}

impl Header {
    /// Writes the header into the first [`RECORD_HEADER`] bytes of `out`.
    #[inline]
    pub(crate) fn write(&self, out: &mut [u8]) {
        let out = &mut out[..RECORD_HEADER];
        // 2^64 ps are 213 days, so the quotient always fits.
        let sec = self.epoch_seconds.wrapping_add((self.timestamp / PS_PER_SEC) as u32);
        let usec = (self.timestamp % PS_PER_SEC / PS_PER_USEC) as u32;
        out[SEC].copy_from_slice(&sec.to_le_bytes());
        out[USEC].copy_from_slice(&usec.to_le_bytes());
        out[CAPLEN].copy_from_slice(&self.caplen.to_le_bytes());
        out[DATALEN].copy_from_slice(&self.len.to_le_bytes());
        out[HDRLEN].copy_from_slice(&(RECORD_HEADER as u16).to_le_bytes());
        out[PAD].fill(0);
    }
}

/// `len` rounded up to the record alignment.
#[inline]
pub(crate) fn align(len: usize) -> usize {
    len.next_multiple_of(RECORD_ALIGNMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_bytes() {
        let mut out = [0xff; 24];
        let header =
            Header { timestamp: 3_000_042_999_999, epoch_seconds: 0x100, caplen: 60, len: 1514 };
        header.write(&mut out);
        assert_eq!(out[..8], [0x03, 1, 0, 0, 42, 0, 0, 0]);
        assert_eq!(out[8..], [60, 0, 0, 0, 0xea, 5, 0, 0, 20, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    }

    #[test]
    fn the_end_of_the_clock_and_of_the_seconds_is_no_fault() {
        let mut out = [0; 20];
        let header = Header { timestamp: u64::MAX, epoch_seconds: u32::MAX, caplen: 0, len: 0 };
        header.write(&mut out);
        assert_eq!(out[..4], 18_446_743u32.to_le_bytes());
    }

    #[test]
    fn alignment() {
        assert_eq!([0, 1, 3, 4, 5].map(align), [0, 4, 4, 4, 8]);
    }
}
