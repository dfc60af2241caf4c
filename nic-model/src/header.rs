//! `struct virtio_net_hdr` in front of a received frame, and how the negotiated features shape it (5.1.6).
//!
//! Frames come from a wire and not from another guest of the same host, so that every one has its whole
//! checksum: NEEDS_CSUM is never set, and no frame is coalesced: `gso_type` is NONE, and `hdr_len`,
//! `gso_size`, `csum_start` and `csum_offset` are 0.

use crate::ring::Front;
use crate::rss::HashType;
use crate::spec::{feature, header};

/// What the agreed features mean for frames in guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    /// Bytes of the header, in both directions.
    pub(crate) header_len: usize,
    /// A received frame may take several chains.
    pub(crate) mergeable: bool,
    /// Checksums are verified for the driver.
    pub(crate) checksum: bool,
    /// The header tells the hash.
    pub(crate) hash: bool,
}

impl Format {
    pub(crate) fn new(features: u64) -> Self {
        let hash = features & feature::HASH_REPORT != 0;
        Self {
            header_len: if hash { header::LEN_WITH_HASH } else { header::LEN },
            mergeable: features & feature::MRG_RXBUF != 0,
            checksum: features & feature::GUEST_CSUM != 0,
            hash,
        }
    }
}

/// What the header of one received frame says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RxHeader {
    /// The checksum was verified, and is right.
    pub(crate) data_valid: bool,
    /// The hash to report.
    pub(crate) hash: Option<(HashType, u32)>,
}

impl RxHeader {
    /// Its bytes: `len` of them count. `buffers`: chains that the frame takes (5.1.6.4.1).
    #[inline(always)]
    pub(crate) fn front(&self, buffers: u16, len: usize) -> Front {
        let flags = if self.data_valid { header::F_DATA_VALID } else { 0 };
        let (report, hash) = self.hash.map_or((0, 0), |(kind, hash)| (kind.report(), hash));
        let low = u128::from(flags) << (8 * header::FLAGS)
            | u128::from(buffers) << (8 * header::NUM_BUFFERS)
            | u128::from(hash) << (8 * header::HASH_VALUE);
        Front { words: (low, report.into()), len }
    }

    /// The longest form, of one buffer; the shorter one is its beginning.
    #[inline(always)]
    pub(crate) fn bytes(&self) -> [u8; header::LEN_WITH_HASH] {
        self.front(1, header::LEN_WITH_HASH).bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_in_its_place() {
        let plain = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(RxHeader::default().bytes(), plain);
        let header = RxHeader { data_valid: true, hash: Some((HashType::UdpIpv6Ex, 0x1234_5678)) };
        let bytes = [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0x78, 0x56, 0x34, 0x12, 9, 0, 0, 0];
        assert_eq!(header.bytes(), bytes);
    }

    #[test]
    fn the_header_is_longer_with_a_hash_whether_or_not_buffers_merge() {
        let len = |features| Format::new(features).header_len;
        assert_eq!([len(0), len(feature::MRG_RXBUF)], [12, 12]);
        assert_eq!(
            [feature::HASH_REPORT, feature::HASH_REPORT | feature::MRG_RXBUF].map(len),
            [20, 20]
        );
    }
}
