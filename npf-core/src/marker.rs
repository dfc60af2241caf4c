//! Markers in the delivered stream: what no capture system tells its reader between two packets.
//!
//! ```text
//!   | record header, caplen 16, datalen 0 | "RXLM" | kind 4 | count 8 |     integers little-endian
//! ```
//!
//! Contract: a marker is a record like any other, charged like any other, so that a reader of packets
//! steps over it as over a short frame; one that knows looks for a length on the wire of 0, which no
//! frame has, and for the four letters. They come only if the handle was opened with
//! [`HandleOptions::markers`](crate::HandleOptions::markers).
//!
//! A marker is put in just before the next packet that is stored, if there is room for it; otherwise
//! its count goes on growing until there is. It may take the room of that packet. One that is flushed,
//! cut or dropped with the buffer it is in adds its count to the next one of its kind, so that the
//! counts that a reader got, those still queued and what no marker has told yet make up all losses. If
//! both kinds are due, the losses come first, whichever was first. A dump file has none.
//!
//! Not checked: a frame that claims a length of 0 and begins with the letters looks like a marker.

/// Bytes of a marker's payload.
pub const MARKER_LEN: usize = 16;
const MAGIC: [u8; 4] = *b"RXLM";

/// A marker as a reader finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// What it tells.
    pub kind: MarkerKind,
    /// How many.
    pub count: u64,
}

/// What a marker tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkerKind {
    /// So many frames were lost here since the last such marker: dropped, for whatever reason, the
    /// flush by a control included. Those that a design drops before the filter may be among them.
    Lost,
    /// The filter was changed here, so many times since the last such marker.
    FilterChanged,
}

impl MarkerKind {
    /// Name in events.
    pub const fn name(self) -> &'static str {
        match self {
            MarkerKind::Lost => "lost",
            MarkerKind::FilterChanged => "filter_changed",
        }
    }

    const fn code(self) -> u32 {
        match self {
            MarkerKind::Lost => 1,
            MarkerKind::FilterChanged => 2,
        }
    }
}

impl Marker {
    /// The marker in a record of `len` bytes on the wire with these bytes; `None` if it is a frame.
    pub fn parse(len: u32, data: &[u8]) -> Option<Marker> {
        let data: [u8; MARKER_LEN] = data.try_into().ok()?;
        let [m0, m1, m2, m3, k0, k1, k2, k3, count @ ..] = data;
        if len != 0 || [m0, m1, m2, m3] != MAGIC {
            return None;
        }
        let code = u32::from_le_bytes([k0, k1, k2, k3]);
        let kinds = [MarkerKind::Lost, MarkerKind::FilterChanged];
        let kind = kinds.into_iter().find(|kind| kind.code() == code)?;
        Some(Marker { kind, count: u64::from_le_bytes(count) })
    }

    pub(crate) fn to_bytes(self) -> [u8; MARKER_LEN] {
        let mut bytes = [0; MARKER_LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&self.kind.code().to_le_bytes());
        bytes[8..].copy_from_slice(&self.count.to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        let marker = Marker { kind: MarkerKind::FilterChanged, count: 0x0102_0304_0506_0708 };
        let bytes = marker.to_bytes();
        assert_eq!(bytes, *b"RXLM\x02\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01");
        assert_eq!(Marker::parse(0, &bytes), Some(marker));
        assert_eq!(Marker::parse(16, &bytes), None, "a frame that looks like one");
        assert_eq!(Marker::parse(0, &bytes[..15]), None);
        assert_eq!(Marker::parse(0, &[&bytes[..], &[0]].concat()), None);
        let mut other = bytes;
        other[4] = 3;
        assert_eq!(Marker::parse(0, &other), None, "a kind of another time");
        other = bytes;
        other[0] = b'r';
        assert_eq!(Marker::parse(0, &other), None);
    }
}
