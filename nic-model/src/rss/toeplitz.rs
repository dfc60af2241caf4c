//! The Toeplitz hash: plainly, bit by bit, and by tables.
//!
//! The hash is the exclusive or, over every set bit `i` of the input, of the 32 key bits that start at
//! bit `i`. Hence the hash of an input is the exclusive or of the hashes of its parts, and a table per
//! half byte of input serves: 72 tables of 16 entries, 4.5 KiB, which stay in the first-level cache
//! where a table per byte (36 KiB) would not. Key bits beyond the key's end count as zero.

/// Longest input: two IPv6 addresses and two ports.
pub const INPUT_LEN_MAX: usize = 36;

/// The hash by its definition: the reference for [`Hasher`]. Inputs of any length.
#[must_use]
pub fn toeplitz(key: &[u8], input: &[u8]) -> u32 {
    let mut hash = 0;
    for (index, byte) in input.iter().enumerate() {
        for bit in 0..8 {
            if byte & (0x80 >> bit) != 0 {
                hash ^= window(key, index * 8 + bit);
            }
        }
    }
    hash
}

/// The hash for one key, by tables.
#[derive(Clone, Debug)]
pub struct Hasher {
    /// By half byte of input, high half first; each by the value of the half byte.
    tables: [[u32; 16]; 2 * INPUT_LEN_MAX],
}

impl Hasher {
    /// Computes the tables of a key; the bytes that can matter are the first 40.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        let mut tables = [[0; 16]; 2 * INPUT_LEN_MAX];
        for (half, table) in tables.iter_mut().enumerate() {
            for (value, entry) in table.iter_mut().enumerate() {
                for bit in 0..4 {
                    if value & (8 >> bit) != 0 {
                        *entry ^= window(key, half * 4 + bit);
                    }
                }
            }
        }
        Self { tables }
    }

    /// The hash of an input of at most [`INPUT_LEN_MAX`] bytes; bytes beyond that do not count.
    #[inline]
    #[must_use]
    pub fn hash(&self, input: &[u8]) -> u32 {
        let mut hash = 0;
        // Four bytes a turn: what is hashed of a packet is made of words.
        let (words, rest) = input.as_chunks::<4>();
        let (tables, _) = self.tables.as_chunks::<8>();
        for (tables, word) in tables.iter().zip(words) {
            for (tables, byte) in tables.as_chunks::<2>().0.iter().zip(word) {
                hash ^= tables[0][usize::from(byte >> 4)] ^ tables[1][usize::from(byte & 15)];
            }
        }
        for (tables, byte) in self.tables.chunks_exact(2).skip(words.len() * 4).zip(rest) {
            hash ^= tables[0][usize::from(byte >> 4)] ^ tables[1][usize::from(byte & 15)];
        }
        hash
    }
}

/// The 32 key bits that start at bit `start`.
fn window(key: &[u8], start: usize) -> u32 {
    let byte = |index: usize| u64::from(key.get(index).copied().unwrap_or(0));
    let first = start / 8;
    let bits = (0..5).fold(0, |bits, offset| bits << 8 | byte(first + offset));
    // 40 bits, of which the wanted 32 start at `start % 8`; the cast cuts off those before them.
    (bits >> (8 - start % 8)) as u32
}

#[cfg(test)]
mod tests {
    use super::super::AUTOMATIC_KEY as KEY;
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    /// The published suite: Microsoft, "Verifying the RSS Hash Calculation"; DPDK app/test/test_thash.c.
    /// Source, its port, destination, its port, hash of the addresses, hash with TCP ports.
    const V4: [(&str, u16, &str, u16, u32, u32); 5] = [
        ("66.9.149.187", 2794, "161.142.100.80", 1766, 0x323e_8fc2, 0x51cc_c178),
        ("199.92.111.2", 14230, "65.69.140.83", 4739, 0xd718_262a, 0xc626_b0ea),
        ("24.19.198.95", 12898, "12.22.207.184", 38024, 0xd2d0_a5de, 0x5c2b_394a),
        ("38.27.205.30", 48228, "209.142.163.6", 2217, 0x8298_9176, 0xafc7_327f),
        ("153.39.163.191", 44251, "202.188.127.2", 1303, 0x5d18_09c5, 0x10e8_28a2),
    ];
    const V6: [(&str, u16, &str, u16, u32, u32); 3] = [
        ("3ffe:2501:200:1fff::7", 2794, "3ffe:2501:200:3::1", 1766, 0x2cc1_8cd5, 0x4020_7d3d),
        ("3ffe:501:8::260:97ff:fe40:efab", 14230, "ff02::1", 4739, 0x0f0c_461c, 0xdde5_1bbf),
        (
            "3ffe:1900:4545:3:200:f8ff:fe21:67cf",
            44251,
            "fe80::200:f8ff:fe21:67cf",
            38024,
            0x4b61_e985,
            0x02d1_feef,
        ),
    ];

    fn check(addresses: &[u8], ports: [u16; 2], plain: u32, with_ports: u32) {
        let mut input = addresses.to_vec();
        assert_eq!(toeplitz(&KEY, &input), plain);
        assert_eq!(Hasher::new(&KEY).hash(&input), plain);
        input.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
        assert_eq!(toeplitz(&KEY, &input), with_ports);
        assert_eq!(Hasher::new(&KEY).hash(&input), with_ports);
    }

    #[test]
    fn published_vectors() {
        for (source, from, target, to, plain, with_ports) in V4 {
            let octets = |text: &str| text.parse::<Ipv4Addr>().unwrap().octets();
            check(&[octets(source), octets(target)].concat(), [from, to], plain, with_ports);
        }
        for (source, from, target, to, plain, with_ports) in V6 {
            let octets = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
            check(&[octets(source), octets(target)].concat(), [from, to], plain, with_ports);
        }
    }

    proptest! {
        #[test]
        fn tables_agree_with_the_definition(
            key in proptest::collection::vec(any::<u8>(), 0..=48),
            input in proptest::collection::vec(any::<u8>(), 0..=INPUT_LEN_MAX),
        ) {
            prop_assert_eq!(Hasher::new(&key).hash(&input), toeplitz(&key, &input));
        }
    }
}
