//! Any sequence of taps, reads and controls keeps the account, against a small model.
//!
//! The model knows the design in a few lines: per handle a list of (tag, kept bytes) and the free
//! bytes. Frames carry their tag in their bytes, so that what is delivered can be told apart.

use std::collections::VecDeque;

use crate::support::{Notes, Packet, records};
use npf_core::filter::Program;
use npf_core::{Adapter, DropReason, EngineKind, Event, Frame, HandleOptions, PacketQueueOptions};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Op {
    Open {
        size: u64,
        soft: bool,
        limit: Option<u64>,
    },
    Tap {
        lengths: Vec<usize>,
    },
    Read {
        handle: usize,
        length: usize,
    },
    Resize {
        handle: usize,
        size: u64,
    },
    /// Keep frames at least so long, and so many bytes of them; `None` keeps all.
    Filter {
        handle: usize,
        keep: Option<(u32, u32)>,
    },
    Snaplen {
        handle: usize,
        snaplen: u32,
    },
    Close {
        handle: usize,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let size = || prop_oneof![1 => Just(0u64), 4 => 0u64..600, 4 => 600u64..6000];
    let length = prop_oneof![3 => 0usize..200, 1 => 1500usize..1515];
    prop_oneof![
        2 => (size(), any::<bool>(), prop::option::of(0u64..20))
            .prop_map(|(size, soft, limit)| Op::Open { size, soft, limit }),
        9 => prop::collection::vec(length, 0..12).prop_map(|lengths| Op::Tap { lengths }),
        6 => (0usize..4, prop_oneof![0usize..30, 0usize..400, 400usize..6000])
            .prop_map(|(handle, length)| Op::Read { handle, length }),
        1 => (0usize..4, size()).prop_map(|(handle, size)| Op::Resize { handle, size }),
        2 => (0usize..4, prop::option::of((0u32..150, 0u32..300)))
            .prop_map(|(handle, keep)| Op::Filter { handle, keep }),
        1 => (0usize..4, 1u32..300).prop_map(|(handle, snaplen)| Op::Snaplen { handle, snaplen }),
        1 => (0usize..4).prop_map(|handle| Op::Close { handle }),
    ]
}

/// What the model knows of a handle.
struct Model {
    id: u32,
    size: i64,
    soft: bool,
    limit: u64,
    keep: Option<(u32, u32)>,
    snaplen: u32,
    queue: VecDeque<(u64, usize, u32)>,
    expected: Vec<Packet>,
    shown: u64,
    filtered: u64,
    dropped: u64,
}

impl Model {
    fn free(&self) -> i64 {
        self.size - self.queue.iter().map(|(_, caplen, _)| 20 + *caplen as i64).sum::<i64>()
    }

    fn tap(&mut self, tag: u64, len: usize) {
        self.shown += 1;
        let (least, most) = self.keep.unwrap_or((0, u32::MAX));
        if (len as u32) < least || most == 0 {
            self.filtered += 1;
            return;
        }
        let caplen = len.min(most as usize).min(self.snaplen as usize);
        let fits = if self.soft { self.free() > 0 } else { self.free() >= 20 + caplen as i64 };
        if fits && (self.queue.len() as u64) < self.limit {
            self.queue.push_back((tag, caplen, len as u32));
        } else {
            self.dropped += 1;
        }
    }

    fn read(&mut self, length: usize) {
        let mut left = length as i64;
        let mut first = true;
        while let Some((tag, caplen, len)) = self.queue.front().copied() {
            let room = left - 20;
            if room <= 0 || (!first && caplen as i64 > room) {
                break;
            }
            let taken = caplen.min(room as usize);
            let data = bytes(tag, len as usize)[..taken].to_vec();
            self.expected.push(Packet { handle: self.id, tag, len, data });
            left -= (20 + taken as i64 + 3) / 4 * 4;
            first = false;
            self.queue.pop_front();
        }
    }

    fn flush(&mut self) {
        self.dropped += self.queue.len() as u64;
        self.queue.clear();
    }
}

/// A frame's bytes: its tag over and over.
fn bytes(tag: u64, len: usize) -> Vec<u8> {
    tag.to_le_bytes().into_iter().cycle().take(len).collect()
}

fn filter(keep: Option<(u32, u32)>) -> Option<Program> {
    let (least, most) = keep?;
    Some(
        Program::parse_ddd(&format!("4\n128 0 0 0\n53 0 1 {least}\n6 0 0 {most}\n6 0 0 0"))
            .unwrap(),
    )
}

#[derive(Default)]
struct World {
    adapter: Adapter,
    notes: Notes,
    models: Vec<Model>,
    next_tag: u64,
    unseen: u64,
    /// Stored and dropped after being stored, of handles since closed.
    closed_stored: u64,
}

impl World {
    fn apply(&mut self, op: Op) {
        match op {
            Op::Open { size, soft, limit } if self.models.len() < 4 => self.open(size, soft, limit),
            Op::Open { .. } => {}
            Op::Tap { lengths } => self.tap(&lengths),
            Op::Read { handle, length } => self.read(handle, length),
            Op::Resize { handle, size } => {
                let Some(model) = self.models.get_mut(handle) else { return };
                self.adapter.set_buffer_size(0, model.id, size, &mut self.notes).unwrap();
                if model.size != size as i64 {
                    model.size = size as i64;
                    model.flush();
                }
            }
            Op::Filter { handle, keep } => {
                let Some(model) = self.models.get_mut(handle) else { return };
                self.adapter
                    .set_filter(
                        0,
                        model.id,
                        filter(keep).map(Into::into),
                        npf_core::FilterReset::Yes,
                        &mut self.notes,
                    )
                    .unwrap();
                model.keep = keep;
                model.flush();
            }
            Op::Snaplen { handle, snaplen } => {
                let Some(model) = self.models.get_mut(handle) else { return };
                self.adapter.set_snaplen(0, model.id, snaplen, &mut self.notes).unwrap();
                model.snaplen = snaplen;
            }
            Op::Close { handle } if handle < self.models.len() => {
                let mut model = self.models.remove(handle);
                let last = self.adapter.close(0, model.id, &mut self.notes).unwrap();
                model.flush();
                self.closed_stored += last.stored;
                let delivered = model.expected.len() as u64;
                assert_eq!(last.shown, last.filtered + last.delivered + last.dropped_total());
                assert_eq!((last.delivered, last.dropped_total()), (delivered, model.dropped));
            }
            Op::Close { .. } => {}
        }
    }

    fn open(&mut self, size: u64, soft: bool, limit: Option<u64>) {
        let quirks = PacketQueueOptions { soft_limit: soft, ..PacketQueueOptions::CURRENT };
        let id = self.adapter.open(HandleOptions {
            engine: EngineKind::PacketQueue(quirks),
            kernel_buffer: size,
            object_limit: limit,
            ..HandleOptions::default()
        });
        self.models.push(Model {
            id: id.unwrap(),
            size: size as i64,
            soft,
            limit: limit.unwrap_or(u64::MAX),
            keep: None,
            snaplen: 262_144,
            queue: VecDeque::new(),
            expected: Vec::new(),
            shown: 0,
            filtered: 0,
            dropped: 0,
        });
    }

    fn tap(&mut self, lengths: &[usize]) {
        let first = self.next_tag;
        self.next_tag += lengths.len() as u64;
        let data: Vec<_> =
            (first..).zip(lengths).map(|(tag, len)| (tag, bytes(tag, *len))).collect();
        let frames: Vec<_> = data
            .iter()
            .map(|(tag, data)| Frame { data, wire_len: data.len() as u32, tag: *tag })
            .collect();
        let before: u64 = self.models.iter().map(|model| self.adapter.queued(model.id)).sum();
        let work = self.adapter.tap(0, 0, 0, &frames, &mut self.notes);
        let after: u64 = self.models.iter().map(|model| self.adapter.queued(model.id)).sum();
        assert_eq!(
            (work.frames as usize, u64::from(work.accepted)),
            (lengths.len(), after - before)
        );
        if self.models.is_empty() {
            self.unseen += lengths.len() as u64;
        }
        for (tag, len) in (first..).zip(lengths) {
            self.models.iter_mut().for_each(|model| model.tap(tag, *len));
        }
    }

    fn read(&mut self, handle: usize, length: usize) {
        let Some(model) = self.models.get_mut(handle) else { return };
        let mut out = vec![0xee; length];
        let from = self.notes.delivered.len();
        let read = self.adapter.read(0, model.id, &mut out, &mut self.notes);
        if model.size == 0 || length < 20 {
            assert!(read.is_err());
            return;
        }
        let read = read.unwrap();
        let seen = model.expected.len();
        model.read(length);
        assert_eq!(self.notes.delivered[from..], model.expected[seen..]);
        let written = records(&out[..read.bytes]);
        assert!(out[read.bytes..].iter().all(|byte| *byte == 0xee), "nothing beyond the records");
        assert_eq!(written.len(), model.expected.len() - seen);
        for (record, packet) in written.iter().zip(&model.expected[seen..]) {
            assert_eq!((record.len, &record.data), (packet.len, &packet.data));
        }
        assert_eq!(read.queued_left, model.queue.len() as u64);
    }

    fn check(&self) {
        let mut stored = self.closed_stored;
        for model in &self.models {
            let counters = self.adapter.counters(model.id).unwrap();
            let queued = self.adapter.queued(model.id);
            let settled = counters.filtered + counters.delivered + counters.dropped_total();
            assert_eq!(counters.shown, settled + queued, "the account of {}", model.id);
            assert_eq!(
                (counters.shown, counters.filtered, counters.dropped_total(), queued),
                (model.shown, model.filtered, model.dropped, model.queue.len() as u64)
            );
            assert_eq!(counters.delivered, model.expected.len() as u64);
            let occupancy = self.adapter.occupancy(model.id);
            assert_eq!(occupancy.free, model.free());
            assert_eq!(occupancy.free, occupancy.capacity as i64 - occupancy.used as i64);
            stored += counters.stored;
        }
        let events = self.notes.events.iter();
        let told = events.filter(|event| matches!(event, Event::Stored { .. })).count();
        assert_eq!(told as u64, stored);
        assert_eq!(self.notes.dropped(DropReason::NoHandle).len() as u64, self.unseen);
        assert_eq!(self.adapter.adapter_counters().no_handle, self.unseen);
    }
}

proptest! {
    #[test]
    fn the_account_adds_up_after_every_step(ops in prop::collection::vec(op(), 1..60)) {
        let mut world = World::default();
        for op in ops {
            world.apply(op);
            world.check();
        }
        while !world.models.is_empty() {
            world.apply(Op::Close { handle: 0 });
        }
        // Every stored packet ended once: delivered, or dropped with a reason that takes it out.
        let out = [DropReason::Flushed, DropReason::Closed].map(|why| world.notes.dropped(why).len());
        let ended = world.notes.delivered.len() + out.iter().sum::<usize>();
        prop_assert_eq!(ended as u64, world.closed_stored);
    }
}
