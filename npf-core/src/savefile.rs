//! The headers of a capture file in libpcap's format (pcap-savefile(5)): version 2.4, microseconds,
//! Ethernet; integers little-endian.

/// Bytes at the start of a capture file.
pub const DUMP_FILE_HEADER: usize = 24;
/// Bytes before each packet of a capture file.
pub const DUMP_PACKET_HEADER: usize = 16;

/// Microseconds, written in the order of bytes of this file.
const MAGIC: u32 = 0xa1b2_c3d4;
const VERSION: [u16; 2] = [2, 4];
const ETHERNET: u32 = 1;

/// The header of a file of packets of at most `snaplen` bytes each.
pub(crate) fn file_header(snaplen: u32) -> [u8; DUMP_FILE_HEADER] {
    let mut header = [0; DUMP_FILE_HEADER];
    header[..4].copy_from_slice(&MAGIC.to_le_bytes());
    header[4..6].copy_from_slice(&VERSION[0].to_le_bytes());
    header[6..8].copy_from_slice(&VERSION[1].to_le_bytes());
    // Time zone and accuracy of timestamps are 0.
    header[16..20].copy_from_slice(&snaplen.to_le_bytes());
    header[20..].copy_from_slice(&ETHERNET.to_le_bytes());
    header
}

/// The header of a packet.
pub(crate) fn packet_header(
    sec: u32,
    usec: u32,
    caplen: u32,
    len: u32,
) -> [u8; DUMP_PACKET_HEADER] {
    let mut header = [0; DUMP_PACKET_HEADER];
    for (place, value) in header.chunks_exact_mut(4).zip([sec, usec, caplen, len]) {
        place.copy_from_slice(&value.to_le_bytes());
    }
    header
}
