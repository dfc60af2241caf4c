//! The classic capture file.
//!
//! Source: draft-ietf-opsawg-pcap. Microseconds and nanoseconds, both byte orders, and the
//! "modified" format of A. Kuznetzov's Linux patches, whose record heads are 8 bytes longer.

use std::io::Read;

use super::input::{Input, Order};
use super::{Record, SourceFault, linktype};

/// A file whose head has been read.
pub(super) struct Pcap {
    order: Order,
    /// Picoseconds of the fraction's unit.
    unit_ps: i128,
    modified: bool,
    /// Bytes of FCS at the end of each whole frame.
    fcs: u32,
}

const MICRO: i128 = 1_000_000;
const NANO: i128 = 1_000;

impl Pcap {
    /// Reads the head after its magic number; `None` if the magic is another format's.
    pub(super) fn open<R: Read>(
        magic: [u8; 4],
        input: &mut Input<R>,
    ) -> Result<Option<Self>, SourceFault> {
        let number = u32::from_be_bytes(magic);
        let formats =
            [(0xa1b2_c3d4, MICRO, false), (0xa1b2_3c4d, NANO, false), (0xa1b2_cd34, MICRO, true)];
        let found = formats.into_iter().find_map(|(known, unit_ps, modified): (u32, _, _)| {
            let order = match number {
                _ if number == known => Order::Big,
                _ if number == known.swap_bytes() => Order::Little,
                _ => return None,
            };
            Some((order, unit_ps, modified))
        });
        let Some((order, unit_ps, modified)) = found else { return Ok(None) };
        let head: [u8; 20] = input.array("the head of the file")?;
        let major = order.u16(&head, 0);
        if major != 2 {
            let what = format!("this is version {major} of the pcap format");
            return Err(input.fault(what, "version 2 can be read"));
        }
        // Bits 0 to 15 are the link type; 26 says that 28 to 31 are the FCS length in 16-bit words.
        let network = order.u32(&head, 16);
        linktype::check(network as u16, input)?;
        let fcs = if network & 1 << 26 != 0 { (network >> 28) * 2 } else { 0 };
        Ok(Some(Self { order, unit_ps, modified, fcs }))
    }

    pub(super) fn next<R: Read>(
        &mut self,
        input: &mut Input<R>,
        frame: &mut Vec<u8>,
    ) -> Result<Option<Record>, SourceFault> {
        let Some(head) = input.next::<16>()? else { return Ok(None) };
        let field = |at| self.order.u32(&head, at);
        if self.modified {
            input.skip(8, "a record's head")?;
        }
        let seconds = i128::from(field(0)) * 1_000_000_000_000;
        let time_ps = Some(seconds + i128::from(field(4)) * self.unit_ps);
        input.take(field(8), "a record", frame)?;
        let original = without_fcs(frame, field(12), self.fcs);
        input.record();
        Ok(Some(Record { time_ps, original }))
    }
}

/// Takes away what of the FCS was captured; gives the original length without it.
pub(super) fn without_fcs(frame: &mut Vec<u8>, original: u32, fcs: u32) -> u32 {
    let original = original.saturating_sub(fcs);
    if fcs > 0 {
        frame.truncate(original as usize);
    }
    original
}
