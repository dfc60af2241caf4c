//! A reader of capture files in libpcap's format, written from pcap-savefile(5) alone.

/// One packet of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    pub sec: u32,
    pub usec: u32,
    pub len: u32,
    pub data: Vec<u8>,
}

/// The snap length and the packets of a file of Ethernet frames, microseconds, little-endian.
pub fn savefile(bytes: &[u8]) -> (u32, Vec<Saved>) {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!((word(0), word(4), word(8), word(12)), (0xa1b2_c3d4, 0x0004_0002, 0, 0));
    assert_eq!(word(20), 1, "Ethernet");
    let mut packets = Vec::new();
    let mut at = 24;
    while at < bytes.len() {
        let end = at + 16 + word(at + 8) as usize;
        let (sec, usec, len) = (word(at), word(at + 4), word(at + 12));
        packets.push(Saved { sec, usec, len, data: bytes[at + 16..end].to_vec() });
        at = end;
    }
    (word(16), packets)
}
