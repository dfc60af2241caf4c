//! `struct virtio_net_hdr` of a received frame: what it may say with the agreed features, and what it says
//! (virtio 1.x, 5.1.6 and 5.1.6.4.2).
//!
//! Contract: what [`inspect`] gives out is within bounds: a hash has a known type, and the place of a
//! checksum that is still to be completed lies in the frame. What was not agreed is noticed and ignored.
//! Not checked: whether the hash is right, or a checksum said to be verified was.

use crate::spec;

/// What the agreed features mean for received frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RxFormat {
    /// Bytes of the header, in both directions.
    pub(crate) header_bytes: usize,
    /// A frame may come in several buffers.
    pub(crate) mergeable: bool,
    checksum: bool,
    hash: bool,
}

/// What the device says about the checksum of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RxChecksum {
    /// Nothing.
    #[default]
    Unknown,
    /// It was verified and is right.
    Valid,
    /// It is that of the pseudo header and has to be completed before the frame goes onto a wire: sum from
    /// `start` to the end of the frame, stored at `start + offset`. Both lie in the frame.
    Partial {
        /// First byte to sum, from the start of the frame.
        start: u16,
        /// Place of the checksum, from `start`.
        offset: u16,
    },
}

/// The hash that the device reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RxHash {
    /// Its value.
    pub value: u32,
    /// What it was computed over: VIRTIO_NET_HASH_REPORT_*, 1..=9; the bit of the hash type plus one.
    pub report: u8,
}

/// What a header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RxHeader {
    pub(crate) checksum: RxChecksum,
    pub(crate) hash: Option<RxHash>,
    /// It speaks of what was not agreed, or of a hash type that does not exist.
    pub(crate) unexpected: bool,
}

impl RxFormat {
    pub(crate) fn of(features: u64) -> Self {
        let hash = features & spec::NET_F_HASH_REPORT != 0;
        Self {
            header_bytes: spec::header_bytes(features),
            mergeable: features & spec::NET_F_MRG_RXBUF != 0,
            checksum: features & spec::NET_F_GUEST_CSUM != 0,
            hash,
        }
    }

    /// The header says nothing that would have to be looked at more closely.
    #[inline]
    fn is_plain(&self, header: &[u8]) -> bool {
        header[..2] == [0, 0] && !self.hash && (self.mergeable || header[10..12] == [1, 0])
    }
}

/// `num_buffers` of a header (5.1.6.4).
#[inline]
pub(crate) fn num_buffers(header: &[u8]) -> u16 {
    u16::from_le_bytes([header[10], header[11]])
}

/// Reads the header at the start of `bytes`, which has the frame behind it.
///
/// # Errors
/// The bytes that the frame would need for the checksum that is to be completed to lie in it.
#[inline]
pub(crate) fn inspect(format: RxFormat, bytes: &[u8]) -> Result<RxHeader, usize> {
    if format.is_plain(bytes) {
        return Ok(RxHeader::default());
    }
    inspect_closely(format, bytes)
}

fn inspect_closely(format: RxFormat, bytes: &[u8]) -> Result<RxHeader, usize> {
    let (header, frame) = bytes.split_at(format.header_bytes);
    let le16 = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let (flags, gso_type) = (header[0], header[1]);
    let mut said = RxHeader {
        // No segmentation is ever agreed, so no gso_type, nor the count of segments that goes with it.
        // Other flags are to be ignored (5.1.6.4.2).
        unexpected: gso_type != 0
            || flags & spec::HDR_F_RSC_INFO != 0
            || (!format.checksum && flags != 0)
            || (!format.mergeable && num_buffers(header) != 1),
        ..RxHeader::default()
    };
    if format.checksum && flags & spec::HDR_F_NEEDS_CSUM != 0 {
        let (start, offset) = (le16(6), le16(8));
        let need = usize::from(start) + usize::from(offset) + 2;
        if need > frame.len() {
            return Err(need);
        }
        said.checksum = RxChecksum::Partial { start, offset };
    } else if format.checksum && flags & spec::HDR_F_DATA_VALID != 0 {
        said.checksum = RxChecksum::Valid;
    }
    if format.hash {
        let value = u32::from_le_bytes([header[12], header[13], header[14], header[15]]);
        match le16(16) {
            0 => {}
            report if report <= spec::HASH_REPORT_MAX => {
                // Below 10.
                said.hash = Some(RxHash { value, report: report as u8 });
            }
            _ => said.unexpected = true,
        }
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(header: &[u8], frame: usize) -> Vec<u8> {
        [header, &vec![0; frame]].concat()
    }

    const PLAIN: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];

    fn with(changes: &[(usize, u8)]) -> Vec<u8> {
        let mut header = PLAIN.to_vec();
        changes.iter().for_each(|(at, value)| header[*at] = *value);
        bytes(&header, 60)
    }

    #[test]
    fn nothing_is_unexpected_but_what_was_not_agreed() {
        let said = |features, changes: &[(usize, u8)]| {
            inspect(RxFormat::of(features), &with(changes)).unwrap()
        };
        assert_eq!(said(0, &[]), RxHeader::default());
        for changes in [[(0, 1)], [(0, 2)], [(0, 8)], [(1, 1)], [(1, 0x80)], [(10, 0)], [(10, 2)]] {
            assert!(said(0, &changes).unexpected, "{changes:?}");
        }
        let csum = spec::NET_F_GUEST_CSUM;
        let valid = RxHeader { checksum: RxChecksum::Valid, ..RxHeader::default() };
        assert_eq!(said(csum, &[(0, 2)]), valid);
        assert_eq!(said(csum, &[(0, 2 | 8)]), valid, "an unknown flag is ignored");
        assert!(said(csum, &[(1, 4)]).unexpected, "checksums are not segments");
        assert!(said(csum, &[(0, 4)]).unexpected);
        assert!(!said(spec::NET_F_MRG_RXBUF, &[(10, 2)]).unexpected);
    }

    #[test]
    fn a_partial_checksum_must_lie_in_the_frame() {
        let format = RxFormat::of(spec::NET_F_GUEST_CSUM);
        let said = |start: u16, offset: u16| {
            let mut bytes = with(&[(0, 1)]);
            bytes[6..8].copy_from_slice(&start.to_le_bytes());
            bytes[8..10].copy_from_slice(&offset.to_le_bytes());
            inspect(format, &bytes).map(|said| said.checksum)
        };
        assert_eq!(said(34, 16), Ok(RxChecksum::Partial { start: 34, offset: 16 }));
        assert_eq!(said(0, 58), Ok(RxChecksum::Partial { start: 0, offset: 58 }));
        assert_eq!(said(1, 58), Err(61));
        assert_eq!(said(0xffff, 0xffff), Err(0x2_0000));
    }

    #[test]
    fn a_hash_has_a_known_type() {
        let format = RxFormat::of(spec::NET_F_HASH_REPORT);
        let said = |report: u16| {
            let mut header = [&PLAIN[..], &[0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0]].concat();
            header[16..18].copy_from_slice(&report.to_le_bytes());
            inspect(format, &bytes(&header, 14)).unwrap()
        };
        assert_eq!(said(0), RxHeader::default());
        assert_eq!(said(9).hash, Some(RxHash { value: 0x1234_5678, report: 9 }));
        for unknown in [10, 0x100, 0xffff] {
            assert_eq!((said(unknown).hash, said(unknown).unexpected), (None, true));
        }
    }
}
