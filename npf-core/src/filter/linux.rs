//! What only Linux socket filters have: negative offsets and the search for netlink attributes.
//!
//! Contract: total functions over the bytes that are there; a search looks at each attribute once,
//! at most a quarter as many as there are bytes. Source: Linux `net/core/filter.c`, `lib/nlattr.c`,
//! `include/uapi/linux/filter.h`.
//!
//! Not checked: what attributes mean. Their lengths and types are little-endian here, whatever the
//! machine, so that a verdict does not depend on it.

use super::ancillary::Field;

/// Extension loads start here (SKF_AD_OFF).
pub(super) const ANCILLARY: i32 = -0x1000;
/// Offsets from here on count from the network header (SKF_NET_OFF).
pub(super) const NETWORK: i32 = -0x10_0000;
/// Offsets from here on count from the link header (SKF_LL_OFF).
pub(super) const LINK: i32 = -0x20_0000;

/// What an absolute load at ANCILLARY + n gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extension {
    Field(Field),
    Attribute,
    NestedAttribute,
    /// A = A ^ X.
    Xor,
}

/// The extension load at offset `k`, if `k` is one.
pub(super) fn extension(k: u32) -> Option<Extension> {
    Some(match k.cast_signed().checked_sub(ANCILLARY)? {
        0 => Extension::Field(Field::Protocol),
        4 => Extension::Field(Field::PacketType),
        8 => Extension::Field(Field::InterfaceIndex),
        12 => Extension::Attribute,
        16 => Extension::NestedAttribute,
        20 => Extension::Field(Field::Mark),
        24 => Extension::Field(Field::Queue),
        28 => Extension::Field(Field::HardwareType),
        32 => Extension::Field(Field::Hash),
        36 => Extension::Field(Field::Cpu),
        40 => Extension::Xor,
        44 => Extension::Field(Field::VlanTci),
        48 => Extension::Field(Field::VlanPresent),
        52 => Extension::Field(Field::PayloadOffset),
        56 => Extension::Field(Field::Random),
        60 => Extension::Field(Field::VlanTpid),
        _ => return None,
    })
}

/// Where an offset points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// So many bytes into the frame.
    Frame(u32),
    /// So many bytes behind the start of the network header.
    Network(u32),
    /// Nowhere: a load there rejects the frame.
    Nowhere,
}

/// What the 32 bits of an offset mean.
#[inline]
pub(super) fn place(offset: u32) -> Place {
    match offset.cast_signed() {
        0.. => Place::Frame(offset),
        NETWORK.. => Place::Network(offset.wrapping_sub(NETWORK.cast_unsigned())),
        LINK.. => Place::Frame(offset.wrapping_sub(LINK.cast_unsigned())),
        _ => Place::Nowhere,
    }
}

/// Bytes of an attribute's length and type.
const HEADER: usize = 4;

/// Offset of the first attribute of type `wanted` in the list that starts at `at`; 0 if there is none.
pub(super) fn attribute(data: &[u8], at: u32, wanted: u32) -> u32 {
    list(data, at as usize, data.len(), wanted).unwrap_or(0)
}

/// The same in the list that is the content of the attribute at `at`.
pub(super) fn nested_attribute(data: &[u8], at: u32, wanted: u32) -> u32 {
    let at = at as usize;
    header(data, at, data.len())
        .and_then(|(len, _)| list(data, at + HEADER, at + len, wanted))
        .unwrap_or(0)
}

fn list(data: &[u8], mut at: usize, end: usize, wanted: u32) -> Option<u32> {
    loop {
        let (len, kind) = header(data, at, end)?;
        if len < HEADER {
            return None;
        }
        if u32::from(kind) == wanted {
            return u32::try_from(at).ok();
        }
        at += len.next_multiple_of(4);
    }
}

/// Length and type of the attribute at `at`, if it ends before `end`. Two bits of the type are flags.
fn header(data: &[u8], at: usize, end: usize) -> Option<(usize, u16)> {
    let [a, b, c, d] = *data.get(at..end)?.first_chunk::<HEADER>()?;
    let len = usize::from(u16::from_le_bytes([a, b]));
    let fits = len <= end - at;
    fits.then_some((len, u16::from_le_bytes([c, d]) & 0x3fff))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Type 1 with 5 bytes (and 3 of padding), type 2 that holds type 3 and type 1, type 4 cut short.
    const LIST: [u8; 34] = [
        9, 0, 1, 0, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0, 0, 0, // 0
        14, 0, 2, 0x80, 4, 0, 3, 0, 6, 0, 1, 0, 7, 7, 0, 0, // 12
        5, 0, 4, 0, 1, 0, // 28
    ];

    #[test]
    fn attributes_are_found_by_type() {
        for (at, wanted, found) in
            [(0, 1, 0), (0, 2, 12), (0, 4, 28), (0, 3, 0), (12, 1, 0), (12, 2, 12), (16, 1, 20)]
        {
            assert_eq!(attribute(&LIST, at, wanted), found, "{at} {wanted}");
        }
        assert_eq!(attribute(&LIST[..32], 0, 4), 0, "cut short");
        for at in [31, 34, 35, u32::MAX] {
            assert_eq!(attribute(&LIST, at, 4), 0, "{at}");
        }
        assert_eq!(attribute(&[3, 0, 1, 0, 4, 0, 1, 0], 0, 1), 0, "shorter than its header");
    }

    #[test]
    fn nested_attributes_are_found_inside_only() {
        for (at, wanted, found) in [(12, 3, 16), (12, 1, 20), (12, 4, 0), (12, 2, 0), (0, 1, 0)] {
            assert_eq!(nested_attribute(&LIST, at, wanted), found, "{at} {wanted}");
        }
        assert_eq!(nested_attribute(&LIST[..25], 12, 3), 0, "the outer one is cut short");
        for at in [31, 34, u32::MAX] {
            assert_eq!(nested_attribute(&LIST, at, 1), 0, "{at}");
        }
        assert_eq!(nested_attribute(&[3, 0, 1, 0, 4, 0, 1, 0], 0, 1), 0);
    }

    #[test]
    fn offsets_have_their_places() {
        for (offset, place_) in [
            (0, Place::Frame(0)),
            (i32::MAX, Place::Frame(0x7fff_ffff)),
            (-1, Place::Network(0xf_ffff)),
            (-0x10_0000, Place::Network(0)),
            (-0x10_0001, Place::Frame(0xf_ffff)),
            (-0x20_0000, Place::Frame(0)),
            (-0x20_0001, Place::Nowhere),
            (i32::MIN, Place::Nowhere),
        ] {
            assert_eq!(place(offset.cast_unsigned()), place_, "{offset:#x}");
        }
    }
}
