//! The segments: a list for each CPU, and one sequence number after the other.
//!
//! The model knows no places: where a list stands in its segment it follows by the length of its
//! records alone, which tells when a tail is skipped.

use std::collections::VecDeque;

use npf_core::{CpuClamp, DropReason, EngineKind, ReadError, SegmentChoice, SegmentsOptions};
use proptest::prelude::*;
use proptest_state_machine::prop_state_machine;

use crate::model::{Fate, Gone, Model, Packet, Refused, Step};
use crate::system::Machine;

#[derive(Debug, Clone)]
struct Segments {
    segments: Vec<Segment>,
    /// Segments that the reader knows.
    known: usize,
    next: u64,
    offered: usize,
    capacity: u64,
    min: u64,
    immediate: bool,
    choices: SegmentsOptions,
}

#[derive(Debug, Clone, Default)]
struct Segment {
    packets: VecDeque<(u64, Packet, u64)>,
    /// Where the next record starts.
    end: u64,
    lost: u64,
}

impl Segment {
    fn used(&self) -> u64 {
        self.lost + self.packets.iter().map(|(.., charge)| charge).sum::<u64>()
    }
}

prop_state_machine! {
    #[test]
    fn segments(sequential 1..80 => Machine<Segments>);
}

impl Segments {
    fn size(&self) -> u64 {
        let size = self.capacity / self.known as u64;
        if size < 24 { 0 } else { size }
    }

    fn share(&self) -> u64 {
        if self.immediate { 0 } else { self.min / self.known as u64 }
    }

    fn pick(&mut self, cpu: u16) -> usize {
        let SegmentsOptions { count, choice, clamp, .. } = self.choices;
        let cpu = usize::from(cpu);
        self.offered += 1;
        match (choice, clamp) {
            (SegmentChoice::RoundRobin, _) => (self.offered - 1) % self.known,
            (SegmentChoice::Modulo, _) => cpu % self.known,
            (SegmentChoice::Cpu, CpuClamp::At63) => cpu.min(63).min(self.known - 1),
            // The fault: 255 has a segment of its own.
            (SegmentChoice::Cpu, CpuClamp::At255) if count.is_none() && self.known == 255 => {
                cpu.min(self.segments.len() - 1)
            }
            (SegmentChoice::Cpu, _) => cpu.min(self.known - 1),
        }
    }

    /// Takes out the packet with the lowest number of the first `among` segments, if that is the one
    /// the reader looks for.
    fn oldest(&self, among: usize) -> Option<usize> {
        let held = self.segments.iter().flat_map(|segment| &segment.packets);
        let wanted = held.map(|(number, ..)| *number).min()?;
        self.segments[..among]
            .iter()
            .position(|segment| segment.packets.front().is_some_and(|(front, ..)| *front == wanted))
    }
}

impl Model for Segments {
    const SHARES: bool = false;

    fn engine() -> BoxedStrategy<EngineKind> {
        let count = prop_oneof![2 => Just(None), 2 => (1u16..6).prop_map(Some)];
        let choice = prop_oneof![
            3 => Just(SegmentChoice::Cpu),
            1 => Just(SegmentChoice::Modulo),
            1 => Just(SegmentChoice::RoundRobin),
        ];
        let clamp = prop_oneof![Just(CpuClamp::At63), Just(CpuClamp::At255), Just(CpuClamp::Off)];
        (count, choice, clamp, any::<bool>(), any::<bool>())
            .prop_map(|(count, choice, clamp, wake_on_drop, free_drift)| {
                EngineKind::Segments(SegmentsOptions {
                    count,
                    choice,
                    clamp,
                    wake_on_drop,
                    free_drift,
                })
            })
            .boxed()
    }

    fn cpus() -> BoxedStrategy<u16> {
        prop_oneof![8 => 1u16..=4, 1 => 60u16..70, 1 => 250u16..300, 1 => Just(u16::MAX)].boxed()
    }

    fn tap_cpus() -> BoxedStrategy<u16> {
        prop_oneof![8 => 0u16..6, 1 => 60u16..70, 1 => 250u16..300, 1 => Just(u16::MAX)].boxed()
    }

    fn sizes() -> BoxedStrategy<u64> {
        prop_oneof![
            1 => Just(0),
            3 => 0u64..200,
            10 => 200u64..2500,
            4 => 2500u64..10_000,
            2 => 10_000u64..1_000_000,
            1 => prop_oneof![Just(1 << 30), (1 << 30) + 1..=u64::MAX],
        ]
        .boxed()
    }

    fn open(engine: EngineKind, capacity: u64, min: u64, immediate: bool, cpus: u16) -> Self {
        let EngineKind::Segments(choices) = engine else { panic!("{engine:?}") };
        let most = match choices.clamp {
            CpuClamp::At63 => 64,
            CpuClamp::At255 => 255,
            CpuClamp::Off => u16::MAX,
        };
        let known = usize::from(choices.count.unwrap_or(cpus.min(most)));
        let one_more = choices.count.is_none()
            && choices.choice == SegmentChoice::Cpu
            && choices.clamp == CpuClamp::At255
            && cpus > 255;
        let segments = vec![Segment::default(); known + usize::from(one_more)];
        Segments { segments, known, next: 0, offered: 0, capacity, min, immediate, choices }
    }

    fn store(&mut self, packet: Packet) -> Fate {
        if self.capacity == 0 {
            return Fate::Dropped(Refused {
                reason: DropReason::ZeroBuffer,
                used: 0,
                capacity: 0,
                need: 24 + packet.caplen as u64,
                elsewhere: 0,
                wake: false,
            });
        }
        let at = self.pick(packet.cpu);
        let (size, need) = (self.size(), 24 + packet.caplen as u64);
        let free: u64 = size * self.known as u64;
        let reader_sees: u64 = self.segments[..self.known].iter().map(Segment::used).sum();
        let segment = &mut self.segments[at];
        let used = segment.used();
        if size == 0 || used + need > size {
            let own = if at < self.known { size.saturating_sub(used) } else { 0 };
            return Fate::Dropped(Refused {
                reason: DropReason::SegmentFull,
                used,
                capacity: size,
                need,
                elsewhere: free.saturating_sub(reader_sees).saturating_sub(own),
                wake: size > 0 && self.choices.wake_on_drop,
            });
        }
        let end = (segment.end + need) % size;
        // The next header would not fit before the end; `end` 0 is that end itself.
        let skip = if end != 0 && size - end < 24 { size - end } else { 0 };
        segment.end = (end + skip) % size;
        segment.packets.push_back((self.next, packet, need + skip));
        self.next += 1;
        let used = used + need + skip;
        Fate::Kept { charge: need + skip, used, wake: used >= self.share(), lost: Vec::new() }
    }

    fn ready(&self, event_set: bool) -> bool {
        let held: u64 = self.segments[..self.known].iter().map(Segment::used).sum();
        event_set || held > self.share() * self.known as u64
    }

    fn read(&mut self, len: usize, _at: usize) -> Result<Step, ReadError> {
        if self.size() == 0 {
            return Err(ReadError::ZeroBuffer);
        }
        if len < 20 {
            return Err(ReadError::BufferTooSmall { len, need: 20 });
        }
        let mut step = Step::default();
        while let Some(at) = self.oldest(self.known) {
            let segment = &mut self.segments[at];
            let (_, packet, charge) = segment.packets[0].clone();
            let end = step.bytes + 20 + packet.caplen;
            if end > len {
                break;
            }
            segment.packets.pop_front();
            if self.choices.free_drift {
                segment.lost += charge - 24 - packet.caplen as u64;
            }
            step.bytes = end.next_multiple_of(4).min(len);
            step.padding_cut = end.next_multiple_of(4) - step.bytes;
            let caplen = packet.caplen;
            step.packets.push((packet, caplen));
        }
        Ok(step)
    }

    fn flush(&mut self) -> Vec<Gone> {
        let capacity = self.size();
        let mut gone = Vec::new();
        while let Some(at) = self.oldest(self.segments.len()) {
            let used = self.segments[at].used();
            if let Some((_, packet, charge)) = self.segments[at].packets.pop_front() {
                let skip = charge - 24 - packet.caplen as u64;
                self.segments[at].lost += if self.choices.free_drift { skip } else { 0 };
                let need = charge;
                gone.push(Gone {
                    packet,
                    reason: None,
                    charge,
                    used,
                    capacity,
                    need,
                    elsewhere: 0,
                    in_statistics: false,
                });
            }
        }
        self.segments.fill(Segment::default());
        gone
    }

    fn resize(&mut self, capacity: u64) {
        self.capacity = capacity;
    }

    fn set_min_to_copy(&mut self, min: u64) {
        self.min = min;
    }

    fn set_immediate(&mut self, immediate: bool) {
        self.immediate = immediate;
    }

    fn capacity(&self) -> u64 {
        self.capacity
    }

    fn used(&self) -> u64 {
        self.segments.iter().map(Segment::used).sum()
    }

    fn uncharged(&self) -> u64 {
        self.segments.iter().map(|segment| segment.lost).sum()
    }

    fn queued(&self) -> u64 {
        self.segments.iter().map(|segment| segment.packets.len() as u64).sum()
    }
}
