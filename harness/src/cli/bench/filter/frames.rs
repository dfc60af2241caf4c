//! The frames that filters are measured on: a mixed set, the same on every machine.
//!
//! Contract: a pure function of the number. Of every expression there are frames that match and frames
//! that do not, and some that stop being readable half way: other protocols, fragments, header options,
//! captures cut short.

use crate::source::random::Stream;

/// A frame that is there whole, or its first bytes.
pub struct Frame {
    /// The bytes that are there.
    pub data: Vec<u8>,
    /// Its length on the wire.
    pub wire_len: u32,
}

/// So many frames of 64 bytes and less.
pub fn mixed(count: usize) -> Vec<Frame> {
    let mut dice = Stream::new(0, "bench", "filter frames");
    (0..count).map(|_| frame(&mut dice)).collect()
}

const LEN: usize = 64;

fn frame(dice: &mut Stream) -> Frame {
    let mut data = vec![0; LEN];
    for byte in &mut data {
        *byte = dice.next_u64() as u8;
    }
    match dice.below(16) {
        0 => data[12..14].copy_from_slice(&[0x08, 0x06]),
        1..=3 => ipv6(&mut data, dice),
        _ => ipv4(&mut data, dice),
    }
    if dice.below(32) == 0 {
        data.truncate(dice.below(LEN as u64) as usize);
    }
    Frame { data, wire_len: LEN as u32 }
}

fn ipv4(data: &mut [u8], dice: &mut Stream) {
    let header = if dice.below(8) == 0 { 24 } else { 20 };
    let fragment = u16::from(dice.below(16) == 0) * 185;
    let protocol = protocol(dice);
    data[12..14].copy_from_slice(&[0x08, 0x00]);
    data[14] = 0x40 | (header / 4) as u8;
    data[20..22].copy_from_slice(&fragment.to_be_bytes());
    data[23] = protocol;
    for address in [26, 30] {
        if dice.below(3) == 0 {
            data[address..address + 4].copy_from_slice(&[10, 0, 0, 1]);
        }
    }
    ports(&mut data[14 + header..], protocol, dice);
}

fn ipv6(data: &mut [u8], dice: &mut Stream) {
    let protocol = protocol(dice);
    data[12..15].copy_from_slice(&[0x86, 0xdd, 0x60]);
    data[20] = protocol;
    ports(&mut data[54..], protocol, dice);
}

fn protocol(dice: &mut Stream) -> u8 {
    match dice.below(8) {
        0 => 1,
        1..=3 => 17,
        _ => 6,
    }
}

/// Either port is the one that is looked for in a third of the frames.
fn ports(data: &mut [u8], protocol: u8, dice: &mut Stream) {
    let wanted: u16 = if protocol == 17 { 53 } else { 80 };
    for at in [0, 2] {
        if dice.below(3) == 0 {
            data[at..at + 2].copy_from_slice(&wanted.to_be_bytes());
        }
    }
}
