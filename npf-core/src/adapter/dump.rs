//! Dump mode: a handle's packets go from its buffer to a capture file in libpcap's format, with no
//! copy of their bytes in between.
//!
//! ```text
//!   tap --> buffer --> Adapter::dump --> Host::dump: file header 24, then per packet header 16 and data
//! ```
//!
//! Contract: the design of WinPcap 2.3 (wireshark/winpcap `packetNtx/driver/dump.c`, 2002-10-24), with
//! any engine. A thread of the surroundings calls [`Adapter::dump`] when [`Host::wake_dump`] says so,
//! and every [`DUMP_PERIOD_PS`] at the latest. The file holds whole packets, in the order of the
//! buffer, unaligned; all integers little-endian; its header tells the snap length of the time when it
//! was begun. A read gives 0 bytes; whoever waits is woken when the file is complete.
//!
//! The limits hold for the file: no packet is written that would exceed `max_bytes`, and once
//! `max_packets` are written or queued no frame is stored any more. The dump has ended when it comes to
//! such a packet, has written `max_packets`, or the adapter is gone and nothing is queued. What is
//! queued then, and every accepted frame from then on, is dropped with reason `dump_ended`.
//!
//! Differences from the source: there the number of packets is that of the driver's statistics, which
//! a change of filter zeroes; and the mode that counts and dumps at once is not here.
//!
//! Not modelled: a process that shares zero-copy buffers and comes back to read them after a dump. The
//! kernel then took buffers back that the process was waiting for, so that it takes the two out of
//! step: late and out of order.

use super::Adapter;
use super::handle::Handle;
use super::tap::Source;
use crate::engine::{Engine, Packet};
use crate::pool::Pool;
use crate::record::{PS_PER_SEC, PS_PER_USEC};
use crate::savefile::{file_header, packet_header};
use crate::{
    ControlError, DUMP_FILE_HEADER, DUMP_PACKET_HEADER, DropReason, DropRecord, DumpLimits,
    DumpStep, Event, Host, Mode,
};

/// The longest that whoever writes the file waits for the dump event: 5 s, in picoseconds.
pub const DUMP_PERIOD_PS: u64 = 5 * PS_PER_SEC;

/// The dump file of a handle.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Dumping {
    packets: u64,
    ended: bool,
    /// The dump event.
    event_set: bool,
}

impl Dumping {
    /// Whether no further packet may be stored while so many are queued.
    pub(super) fn is_full(&self, limits: DumpLimits, queued: u64) -> bool {
        self.ended || self.packets + queued >= limits.packets()
    }
}

impl Adapter {
    /// Writes up to `max` packets of a handle in dump mode to its file, and clears the dump event.
    ///
    /// # Errors
    ///
    /// No such handle; one that is not in dump mode; a read that was begun in capture mode and is
    /// still in progress.
    pub fn dump<H: Host>(
        &mut self,
        now: u64,
        handle: u32,
        max: u32,
        host: &mut H,
    ) -> Result<DumpStep, ControlError> {
        let (open, pool) = self.get_mut(handle)?;
        let Mode::Dump(limits) = open.mode else { return Err(ControlError::NotDumping { handle }) };
        if open.reading.is_some() {
            return Err(ControlError::ReadInProgress { handle });
        }
        open.dumping.event_set = false;
        let (packets, bytes) = (open.dumping.packets, open.account.file_bytes);
        if !open.dumping.ended {
            open.dump(now, limits, max, pool, host);
        }
        let packets = (open.dumping.packets - packets) as u32;
        let bytes = open.account.file_bytes - bytes;
        let left = open.queued();
        Ok(DumpStep { packets, bytes, left, ended: open.dumping.ended })
    }

    /// Whether the file of a handle in dump mode is complete.
    ///
    /// # Errors
    ///
    /// No such handle; one that is not in dump mode.
    pub fn dump_ended(&self, handle: u32) -> Result<bool, ControlError> {
        let open = self.get(handle)?;
        match open.mode {
            Mode::Dump(_) => Ok(open.dumping.ended),
            _ => Err(ControlError::NotDumping { handle }),
        }
    }
}

impl Handle {
    /// The dump event: enough is stored.
    #[cold]
    pub(super) fn wake_dump<H: Host>(&mut self, now: u64, host: &mut H) {
        if self.dumping.event_set {
            return;
        }
        self.dumping.event_set = true;
        let occupancy = self.engine.occupancy().used;
        host.event(now, Event::DumpWoken { handle: self.id, occupancy });
        host.wake_dump(now, self.id);
    }

    /// Drops an accepted frame for which there is no place in the file.
    pub(super) fn drop_behind_dump<H: Host>(
        &mut self,
        source: Source,
        tag: u64,
        caplen: u32,
        host: &mut H,
    ) {
        let record = DropRecord { handle: Some(self.id), ..source.record(tag) };
        let record = self.account.behind_dump(record, caplen);
        self.account.dropped(source.now, record, host);
        if !self.dumping.ended {
            self.wake_dump(source.now, host);
        }
    }

    fn dump<H: Host>(
        &mut self,
        now: u64,
        limits: DumpLimits,
        max: u32,
        pool: &mut Pool,
        host: &mut H,
    ) {
        let Handle { id, epoch_seconds, snaplen, .. } = *self;
        if self.account.file_bytes == 0 {
            host.dump(now, id, &file_header(snaplen));
            self.account.wrote(DUMP_FILE_HEADER as u64);
        }
        let until = self.dumping.packets.saturating_add(max.into()).min(limits.packets());
        let Handle { engine, dumping, account, .. } = self;
        let mut too_much = None;
        while dumping.packets < until && too_much.is_none() {
            let taken = engine.take(pool, &mut |packet, charge, data| {
                if let Some(marker) = packet.marker() {
                    return account.marker_gone(now, marker, host);
                }
                let size = DUMP_PACKET_HEADER as u64 + u64::from(packet.caplen);
                if account.file_bytes.saturating_add(size) > limits.bytes() {
                    too_much = Some((*packet, charge));
                    return;
                }
                host.dump(now, id, &header_of(packet, epoch_seconds));
                data.into_iter().filter(|part| !part.is_empty()).for_each(|part| {
                    host.dump(now, id, part);
                });
                account.wrote(size);
                account.counters.dumped += 1;
                dumping.packets += 1;
                let Packet { tag, caplen, .. } = *packet;
                host.event(now, Event::Dumped { tag, handle: id, caplen });
            });
            if !taken {
                break;
            }
        }
        let done = self.dumping.packets >= limits.packets();
        let gone = self.detached && self.queued() == 0;
        if too_much.is_some() || done || gone {
            self.end_dump(now, too_much, pool, host);
        }
    }

    /// Drops the packet that was taken and not written, and all that are queued.
    fn end_dump<H: Host>(
        &mut self,
        now: u64,
        too_much: Option<(Packet, u64)>,
        pool: &mut Pool,
        host: &mut H,
    ) {
        self.dumping.ended = true;
        let mut left_out = too_much;
        loop {
            if let Some((packet, charge)) = left_out.take() {
                match packet.marker() {
                    Some(marker) => self.account.marker_gone(now, marker, host),
                    None => {
                        let record = self.account.record(&packet, charge);
                        let record = self.account.behind_dump(record, packet.caplen);
                        self.account.dropped(now, record, host);
                    }
                }
            }
            // Also what a flush would have to leave to the reading process.
            if !self.engine.take(pool, &mut |packet, charge, _| left_out = Some((*packet, charge)))
            {
                break;
            }
        }
        self.flush(now, DropReason::DumpEnded, pool, host);
        let (packets, bytes) = (self.dumping.packets, self.account.file_bytes);
        host.event(now, Event::DumpEnded { handle: self.id, packets, bytes });
        self.wake_reader(now, host);
    }
}

fn header_of(packet: &Packet, epoch_seconds: u32) -> [u8; DUMP_PACKET_HEADER] {
    let Packet { timestamp, caplen, len, .. } = *packet;
    // 2^64 ps are 213 days, so the quotient always fits.
    let sec = epoch_seconds.wrapping_add((timestamp / PS_PER_SEC) as u32);
    let usec = (timestamp % PS_PER_SEC / PS_PER_USEC) as u32;
    packet_header(sec, usec, caplen, len)
}
