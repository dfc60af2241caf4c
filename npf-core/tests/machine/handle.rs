//! One handle of the reference: what is common to all designs.

use npf_core::{
    DropReason, DropRecord, EngineKind, Event, Read, ReadError, ReadStep, Stats, TapWork,
};

use crate::model::{Fate, Gone, Model, Packet, Refused, Step};
use crate::ops::{Keep, Opening};
use crate::reference::{Delivery, Told, frame_bytes};

/// One open handle.
#[derive(Debug, Clone)]
pub struct Handle<M> {
    pub id: u32,
    pub model: M,
    engine: EngineKind,
    pub keep: Keep,
    pub snaplen: u32,
    limit: u64,
    pub event_set: bool,
    pub detached: bool,
    /// The read in progress.
    pub reading: Option<Reading>,
    pub stats: Stats,
}

/// A read in progress.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    pub len: usize,
    pub bytes: usize,
    /// Packets handed out so far.
    pub packets: Vec<(Packet, usize)>,
}

impl<M: Model> Handle<M> {
    pub fn new(id: u32, opening: &Opening) -> Self {
        let Opening { engine, size, min_to_copy, immediate, snaplen, keep, limit, cpus } = *opening;
        let mut model = M::open(engine, size, min_to_copy, immediate, cpus);
        if keep.is_some() {
            model.opened_with_filter();
        }
        Handle {
            id,
            model,
            engine,
            keep,
            snaplen,
            limit: limit.unwrap_or(u64::MAX),
            event_set: false,
            detached: false,
            reading: None,
            stats: Stats::default(),
        }
    }

    /// What this handle wants of a frame, if it does not refuse it at once.
    pub fn choose(&mut self, frame: &Packet, work: &mut TapWork, told: &mut Told) -> Option<usize> {
        if let Some(refused) = self.model.refuse_unfiltered(frame.cpu, frame.len) {
            self.stats.received += 1;
            self.refuse(frame, &refused, told);
            return None;
        }
        let (least, most) = self.keep.unwrap_or((0, u32::MAX));
        work.instructions += if self.keep.is_some() { 3 } else { 0 };
        let (tag, handle) = (frame.tag, self.id);
        if frame.len < least as usize || most == 0 {
            self.stats.received += u64::from(!self.engine.received_after_filter());
            told.events.push(Event::Filtered { tag, handle });
            return None;
        }
        self.stats.received += 1;
        let held = self.model.queued();
        if held >= self.limit {
            self.stats.dropped += 1;
            self.stats.resource_dropped += 1;
            told.events.push(Event::Dropped(DropRecord {
                reason: DropReason::NoMemory,
                handle: Some(handle),
                occupancy: held,
                capacity: self.limit,
                ..unseen(frame)
            }));
            return None;
        }
        let whole = self.keep.is_none() && !self.engine.snaplen_without_filter();
        let snaplen = if whole { u32::MAX } else { self.snaplen };
        Some(frame.len.min(most as usize).min(snaplen as usize).min(self.model.longest()))
    }

    pub fn keep(&mut self, packet: &Packet, work: &mut TapWork, told: &mut Told) {
        let idle = self.model.pending() == 0;
        let (tag, handle, caplen) = (packet.tag, self.id, packet.caplen as u32);
        match self.model.store(packet.clone()) {
            Fate::Kept { charge, used, wake, lost } => {
                lost.iter().for_each(|gone| self.gone(gone, DropReason::HeadDropped, told));
                work.accepted += 1;
                work.bytes_copied += if M::SHARES { 0 } else { u64::from(caplen) };
                self.stats.accepted += u64::from(charge > 0);
                told.events.push(Event::Stored { tag, handle, caplen, charge, occupancy: used });
                if wake {
                    self.wake(told);
                }
                if idle && self.model.pending() > 0 {
                    told.works.push(handle);
                }
            }
            Fate::Dropped(refused) => self.refuse(packet, &refused, told),
        }
    }

    fn refuse(&mut self, packet: &Packet, refused: &Refused, told: &mut Told) {
        let Refused { reason, used, capacity, need, elsewhere, wake } = *refused;
        self.stats.dropped += u64::from(self.model.counts(reason));
        told.events.push(Event::Dropped(DropRecord {
            reason,
            handle: Some(self.id),
            occupancy: used,
            capacity,
            need,
            free_elsewhere: elsewhere,
            ..unseen(packet)
        }));
        if wake {
            self.wake(told);
        }
    }

    pub fn gone(&mut self, gone: &Gone, reason: DropReason, told: &mut Told) {
        self.stats.dropped += u64::from(gone.in_statistics);
        told.events.push(Event::Dropped(DropRecord {
            reason: gone.reason.unwrap_or(reason),
            handle: Some(self.id),
            occupancy: gone.used,
            capacity: gone.capacity,
            need: gone.need,
            free_elsewhere: gone.elsewhere,
            held: Some(gone.charge),
            ..unseen(&gone.packet)
        }));
    }

    pub fn wake(&mut self, told: &mut Told) {
        if !self.event_set {
            self.event_set = true;
            let (handle, occupancy) = (self.id, self.model.used());
            told.events.push(Event::Woken { handle, occupancy });
            told.wakes.push(handle);
        }
    }

    pub fn flush(&mut self, reason: DropReason, told: &mut Told) -> u64 {
        self.reading = None;
        let lost = self.model.flush();
        lost.iter().for_each(|gone| self.gone(gone, reason, told));
        lost.len() as u64
    }

    /// A wake-up that no reader would be served for any more is none.
    pub fn settle_event(&mut self) {
        self.event_set = self.event_set && self.model.ready(true);
    }

    pub fn reset(&mut self, capacity: u64, told: &mut Told) {
        let flushed = self.flush(DropReason::Flushed, told);
        self.model.resize(capacity);
        self.settle_event();
        let resource_dropped = self.stats.resource_dropped;
        self.stats = Stats { dropped: resource_dropped, resource_dropped, ..Stats::default() };
        told.events.push(Event::BufferReset { handle: self.id, flushed, capacity });
    }

    pub fn step(&mut self, len: usize, told: &mut Told) -> Result<ReadStep, ReadError> {
        let mut reading = self.reading.clone().unwrap_or(Reading { len, ..Reading::default() });
        if reading.len != len {
            return Err(ReadError::OtherBuffer { len, begun: reading.len });
        }
        let Step { bytes, packets, padding_cut, truncated, more, leaves_event } =
            self.model.read(len, reading.bytes)?;
        let clears_event = self.reading.is_none() && !leaves_event;
        for (packet, taken) in &packets {
            told.delivered.push(Delivery {
                handle: self.id,
                packet: Packet { caplen: *taken, ..packet.clone() },
                data: frame_bytes(packet.tag, packet.len)[..*taken].to_vec(),
            });
        }
        reading.bytes += bytes;
        reading.packets.extend(packets);
        if more {
            self.event_set &= !clears_event;
            self.reading = Some(reading);
            return Ok(ReadStep::Copying { bytes });
        }
        self.reading = None;
        self.model.end_read();
        let (handle, queued) = (self.id, self.model.queued());
        if reading.packets.is_empty() && self.detached {
            return Err(ReadError::DeviceRemoved { queued });
        }
        self.event_set &= !clears_event;
        if truncated {
            let (first, taken) = &reading.packets[0];
            let (tag, stored, caplen) = (first.tag, first.caplen as u32, *taken as u32);
            told.events.push(Event::Truncated { tag, handle, stored, caplen });
        }
        let (packets, bytes) = (reading.packets.len() as u32, reading.bytes);
        told.events.push(Event::Read { handle, packets, bytes: bytes as u64, queued });
        Ok(ReadStep::Done(Read {
            bytes,
            packets,
            queued_left: queued,
            truncated,
            padding_cut: padding_cut as u32,
        }))
    }
}

/// The record of a frame that no handle was there for.
pub fn unseen(packet: &Packet) -> DropRecord {
    DropRecord {
        tag: packet.tag,
        reason: DropReason::NoHandle,
        queue: Some(packet.queue),
        handle: None,
        cpu: Some(packet.cpu),
        occupancy: 0,
        capacity: 0,
        need: 1,
        free_elsewhere: 0,
        held: None,
    }
}
