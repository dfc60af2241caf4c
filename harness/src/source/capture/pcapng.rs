//! The pcapng capture file.
//!
//! Source: draft-ietf-opsawg-pcapng. Sections in either byte order, interface descriptions with
//! `if_tsresol`, `if_fcslen` and `if_tsoffset`, enhanced and simple packet blocks and the obsolete
//! packet block. Every other block is passed over. Of options only the three named are read.

use std::io::Read;

use super::input::{Input, Order};
use super::pcap::without_fcs;
use super::{Record, SourceFault, linktype};

const SECTION: u32 = 0x0a0d_0d0a; // the same in both byte orders
const INTERFACE: u32 = 1;
const PACKET_OBSOLETE: u32 = 2;
const PACKET_SIMPLE: u32 = 3;
const PACKET_ENHANCED: u32 = 6;

/// Block type, total length, and total length again at the end.
const FRAMING: u32 = 12;
/// More interfaces than this are no capture.
const INTERFACES_MAX: usize = 65_536;
const DAMAGED: &str = "the file is damaged here; what is before this place can be used";

/// A file whose first section head has been read.
pub(super) struct PcapNg {
    order: Order,
    interfaces: Vec<Interface>,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    linktype: u16,
    snaplen: u32,
    resolution: Resolution,
    offset_seconds: i64,
    fcs: u32,
}

/// Units of the time stamps per second.
#[derive(Clone, Copy, Debug)]
enum Resolution {
    /// 10^n; the number itself.
    Decimal(u128),
    /// 2^n; n.
    Binary(u32),
}

/// The parts of a packet block's head.
struct Packet {
    interface: u32,
    time: Option<u64>,
    captured: u32,
    original: u32,
    /// Bytes of the block's body before the data.
    head: u32,
}

impl PcapNg {
    /// Reads the first section head after its block type; `None` if that is another format's.
    pub(super) fn open<R: Read>(
        magic: [u8; 4],
        input: &mut Input<R>,
    ) -> Result<Option<Self>, SourceFault> {
        if u32::from_be_bytes(magic) != SECTION {
            return Ok(None);
        }
        let mut file = Self { order: Order::Little, interfaces: Vec::new() };
        let length = input.array("a section head")?;
        file.section(length, input)?;
        Ok(Some(file))
    }

    pub(super) fn next<R: Read>(
        &mut self,
        input: &mut Input<R>,
        frame: &mut Vec<u8>,
    ) -> Result<Option<Record>, SourceFault> {
        while let Some(head) = input.next::<8>()? {
            let kind = self.order.u32(&head, 0);
            if kind == SECTION {
                self.section([head[4], head[5], head[6], head[7]], input)?;
                continue;
            }
            let body = self.body_length(self.order.u32(&head, 4), input)?;
            let record = match kind {
                INTERFACE => self.interface(body, input).map(|()| None)?,
                PACKET_ENHANCED | PACKET_OBSOLETE | PACKET_SIMPLE => {
                    Some(self.packet(kind, body, input, frame)?)
                }
                _ => {
                    input.skip(u64::from(body), "a block")?;
                    None
                }
            };
            self.end(body, input)?;
            if record.is_some() {
                input.record();
                return Ok(record);
            }
        }
        Ok(None)
    }

    /// A section head after its block type; it sets the byte order, and forgets the interfaces.
    fn section<R: Read>(
        &mut self,
        length: [u8; 4],
        input: &mut Input<R>,
    ) -> Result<(), SourceFault> {
        let head: [u8; 16] = input.array("a section head")?;
        self.order = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            0x1a2b_3c4d => Order::Big,
            0x4d3c_2b1a => Order::Little,
            _ => return Err(input.fault("a section head has no byte-order magic".into(), DAMAGED)),
        };
        let major = self.order.u16(&head, 4);
        if major != 1 {
            let what = format!("this is version {major} of the pcapng format");
            return Err(input.fault(what, "version 1 can be read"));
        }
        self.interfaces.clear();
        let body = self.body_length(self.order.u32(&length, 0), input)?;
        let rest = body.checked_sub(16);
        let rest =
            rest.ok_or_else(|| input.fault("a section head is too short".into(), DAMAGED))?;
        input.skip(u64::from(rest), "a section head")?;
        self.end(body, input)
    }

    /// The length of a block's body, from its total length.
    fn body_length<R: Read>(&self, total: u32, input: &Input<R>) -> Result<u32, SourceFault> {
        match total.checked_sub(FRAMING) {
            Some(body) if body % 4 == 0 => Ok(body),
            _ => Err(input.fault(format!("a block cannot be {total} bytes long"), DAMAGED)),
        }
    }

    /// The total length again, behind the body.
    fn end<R: Read>(&self, body: u32, input: &mut Input<R>) -> Result<(), SourceFault> {
        let again = self.order.u32(&input.array::<4>("a block")?, 0);
        if again == body + FRAMING {
            return Ok(());
        }
        let what =
            format!("a block is {} bytes long at its start and {again} at its end", body + FRAMING);
        Err(input.fault(what, DAMAGED))
    }

    fn interface<R: Read>(&mut self, body: u32, input: &mut Input<R>) -> Result<(), SourceFault> {
        let mut bytes = Vec::new();
        input.take(body, "an interface description", &mut bytes)?;
        if bytes.len() < 8 || self.interfaces.len() == INTERFACES_MAX {
            let what = "an interface description is too short, or one of too many";
            return Err(input.fault(what.into(), DAMAGED));
        }
        let mut interface = Interface {
            linktype: self.order.u16(&bytes, 0),
            snaplen: self.order.u32(&bytes, 4),
            resolution: Resolution::Decimal(1_000_000),
            offset_seconds: 0,
            fcs: 0,
        };
        for (code, value) in (Options { order: self.order, bytes: &bytes[8..] }) {
            match (code, value) {
                (9, [exponent]) => {
                    let resolution = Resolution::new(*exponent);
                    interface.resolution = resolution.ok_or_else(|| {
                        input.fault(format!("an if_tsresol of 10^-{exponent} seconds"), DAMAGED)
                    })?;
                }
                (13, [bits]) => interface.fcs = u32::from(*bits) / 8,
                (14, seconds) if seconds.len() == 8 => {
                    interface.offset_seconds = self.order.i64(seconds, 0);
                }
                _ => {}
            }
        }
        self.interfaces.push(interface);
        Ok(())
    }

    fn packet<R: Read>(
        &self,
        kind: u32,
        body: u32,
        input: &mut Input<R>,
        frame: &mut Vec<u8>,
    ) -> Result<Record, SourceFault> {
        let packet = self.packet_head(kind, body, input)?;
        let Some(interface) = self.interfaces.get(packet.interface as usize) else {
            let (number, known) = (packet.interface, self.interfaces.len());
            let what = format!("a packet of interface {number}, of which there are {known}");
            return Err(input.fault(what, DAMAGED));
        };
        linktype::check(interface.linktype, input)?;
        let room = body - packet.head;
        if packet.captured > room {
            let captured = packet.captured;
            let what = format!("a packet of {captured} bytes in a block with room for {room}");
            return Err(input.fault(what, DAMAGED));
        }
        input.take(packet.captured, "a packet", frame)?;
        input.skip(u64::from(room - packet.captured), "a packet block")?;
        let original = without_fcs(frame, packet.original, interface.fcs);
        Ok(Record { time_ps: packet.time.map(|time| interface.time_ps(time)), original })
    }

    fn packet_head<R: Read>(
        &self,
        kind: u32,
        body: u32,
        input: &mut Input<R>,
    ) -> Result<Packet, SourceFault> {
        let order = self.order;
        let head = if kind == PACKET_SIMPLE { 4 } else { 20 };
        if body < head {
            return Err(input.fault("a packet block is too short".into(), DAMAGED));
        }
        if kind == PACKET_SIMPLE {
            let original = order.u32(&input.array::<4>("a packet block")?, 0);
            // How much was captured is not said: the snap length cuts (0 = it does not).
            let snaplen = self.interfaces.first().map_or(0, |interface| interface.snaplen);
            let captured = if snaplen == 0 { original } else { original.min(snaplen) };
            return Ok(Packet { interface: 0, time: None, captured, original, head });
        }
        let fields: [u8; 20] = input.array("a packet block")?;
        let interface = match kind {
            PACKET_OBSOLETE => u32::from(order.u16(&fields, 0)), // a drop count follows
            _ => order.u32(&fields, 0),
        };
        let time = u64::from(order.u32(&fields, 4)) << 32 | u64::from(order.u32(&fields, 8));
        let (captured, original) = (order.u32(&fields, 12), order.u32(&fields, 16));
        Ok(Packet { interface, time: Some(time), captured, original, head })
    }
}

impl Resolution {
    /// From `if_tsresol`: the high bit tells powers of two from powers of ten.
    fn new(exponent: u8) -> Option<Self> {
        match exponent & 0x80 {
            0 => 10u128.checked_pow(u32::from(exponent)).map(Self::Decimal),
            _ => Some(Self::Binary(u32::from(exponent & 0x7f))),
        }
    }
}

impl Interface {
    /// Since 1970 in picoseconds, rounded down.
    fn time_ps(&self, time: u64) -> i128 {
        const PS: u128 = 1_000_000_000_000;
        let scaled = u128::from(time) * PS; // below 2^104
        let time_ps = match self.resolution {
            Resolution::Decimal(units) => scaled / units,
            Resolution::Binary(exponent) => scaled >> exponent,
        };
        time_ps as i128 + i128::from(self.offset_seconds) * PS as i128
    }
}

/// The options of a block: code and value, up to the end or the first that does not fit.
struct Options<'a> {
    order: Order,
    bytes: &'a [u8],
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.bytes.split_at_checked(4)?;
        let (code, length) = (self.order.u16(head, 0), usize::from(self.order.u16(head, 2)));
        if code == 0 {
            return None;
        }
        let value = rest.get(..length)?;
        self.bytes = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((code, value))
    }
}
