//! Queues that stop, go on, and go on in another device: nothing is used twice and nothing is lost, whatever
//! the format of the ring.

use crate::lab::{Lab, setup};
use nic_model::spec::feature::RING_PACKED;
use nic_model::{Device, DropReason, Fault, Lie, RingKind};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;

/// Entries of a queue: four chains of up to four.
const SIZE: u16 = 16;
const KINDS: [(u64, RingKind); 3] =
    [(0, RingKind::Batched), (0, RingKind::Reference), (RING_PACKED, RingKind::Batched)];

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A chain of so many buffers on the receive queue, or on the transmit queue.
    Give { queue: usize, buffers: usize },
    /// A frame arrives.
    Frame,
    /// Time passes.
    Pass,
    /// The device looks at its transmit queue without a kick.
    Poll,
    /// Receiving is allowed, or not.
    Receive(bool),
    /// A queue stops and goes on where it was.
    Stop(u16),
    /// Both do, in a device that has never seen them.
    Move,
    /// The same memory is given to the device anew.
    Remap,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0usize..2, 1usize..4).prop_map(|(queue, buffers)| Step::Give { queue, buffers }),
        6 => Just(Step::Frame),
        3 => Just(Step::Pass),
        3 => Just(Step::Poll),
        1 => any::<bool>().prop_map(Step::Receive),
        2 => (0u16..2).prop_map(Step::Stop),
        1 => Just(Step::Move),
        1 => Just(Step::Remap),
    ]
}

/// A lab, and what its driver is owed.
struct Moving {
    lab: Lab,
    /// Slots given and not come back, in order, by queue.
    owed: [VecDeque<u16>; 2],
    back: [u64; 2],
    /// Frames written by devices that are gone, and sent by them.
    before: [u64; 2],
}

impl Moving {
    fn new((features, kind): (u64, RingKind)) -> Self {
        let lab = Lab::of_kind(SIZE, features, kind);
        Self { lab, owed: Default::default(), back: [0; 2], before: [0; 2] }
    }

    fn give(&mut self, queue: usize, buffers: usize) {
        let Some(slot) = (0..4).find(|slot| !self.owed[queue].contains(slot)) else { return };
        let lens = vec![100; buffers];
        self.lab.rings[queue].give(slot, &Lab::buffers(queue, slot, &lens));
        self.owed[queue].push_back(slot);
    }

    fn stop(&mut self, queue: u16) -> u32 {
        let Lab { device, log, now, .. } = &mut self.lab;
        let base = device.stop_queue(*now, queue, log).unwrap();
        assert_eq!(device.stop_queue(*now, queue, log), None, "it is not there any more");
        base
    }

    fn go_on(&mut self, queue: u16, base: u32) {
        self.lab.device.resume_queue(queue, &setup(queue, SIZE), base).unwrap();
        self.lab.device.enable_queue(queue).unwrap();
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Give { queue, buffers } => self.give(queue, buffers),
            Step::Frame => self.lab.frame(60),
            Step::Pass => self.lab.pass(300),
            Step::Poll => self.lab.device.poll_queue(self.lab.now, 1, &mut self.lab.log),
            Step::Receive(on) => {
                self.lab.device.set_receiving(self.lab.now, 0, on, &mut self.lab.log);
            }
            Step::Stop(queue) => {
                let base = self.stop(queue);
                self.go_on(queue, base);
            }
            Step::Move => self.change_devices(),
            Step::Remap => self.lab.device.set_memory(Arc::clone(&self.lab.memory)),
        }
        self.look();
    }

    fn change_devices(&mut self) {
        let bases = [self.stop(0), self.stop(1)];
        let next = Device::new(self.lab.device.config().clone(), Arc::clone(&self.lab.memory));
        let gone = std::mem::replace(&mut self.lab.device, next.unwrap());
        assert_eq!(gone.fifo_frames(), 0, "a device without queues holds nothing for them");
        self.before[0] += gone.counters().written;
        self.before[1] += gone.counters().transmitted;
        self.lab.bring_up(|device, queue| {
            device.resume_queue(queue, &setup(queue, SIZE), bases[usize::from(queue)]).unwrap();
        });
    }

    /// What has come back came back in order, and stands for as many frames.
    fn look(&mut self) {
        for queue in [0, 1] {
            while let Some((slot, len)) = self.lab.rings[queue].take() {
                assert_eq!(Some(slot), self.owed[queue].pop_front(), "queue {queue}");
                assert!(queue == 1 || len == 72, "{len}");
                self.back[queue] += 1;
            }
        }
        let counters = self.lab.device.counters();
        let done = [counters.written, counters.transmitted];
        assert_eq!(self.lab.fault(), None);
        assert_eq!(self.back, [self.before[0] + done[0], self.before[1] + done[1]]);
    }

    /// Frames until every buffer has come back.
    fn drain(&mut self) {
        self.take(Step::Receive(true));
        for _ in 0..16 {
            self.take(Step::Frame);
            self.take(Step::Poll);
            self.lab.pass(10_000);
            self.look();
        }
        assert!(self.owed.iter().all(VecDeque::is_empty), "{:?} never came back", self.owed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn queues_that_move_lose_no_buffer_and_use_none_twice(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        for kind in KINDS {
            let mut moving = Moving::new(kind);
            steps.iter().for_each(|step| moving.take(*step));
            moving.drain();
        }
    }
}

#[test]
fn what_a_stopped_queue_would_have_got_is_dropped_with_its_reason() {
    for kind in KINDS {
        let mut moving = Moving::new(kind);
        let dropped = |lab: &Lab| lab.device.counters().dropped[DropReason::QueueDisabled.index()];
        // One on the DMA engine, one behind it in the FIFO.
        moving.give(0, 1);
        moving.lab.frame(60);
        moving.lab.frame(60);
        let base = moving.stop(0);
        assert_eq!((dropped(&moving.lab), moving.lab.device.fifo_frames()), (2, 0));
        moving.lab.frame(60);
        assert_eq!(dropped(&moving.lab), 3);
        moving.go_on(0, base);
        moving.take(Step::Receive(false));
        moving.lab.frame(60);
        assert_eq!(dropped(&moving.lab), 4);
        moving.drain();
    }
}

#[test]
fn a_place_that_no_ring_has_is_refused() {
    for (kind, bases) in [
        (KINDS[0], [0x1_0000, u32::MAX]),
        (KINDS[1], [0x1_0000, u32::MAX]),
        (KINDS[2], [u32::from(SIZE), 0x8000 | u32::from(SIZE)]),
    ] {
        for base in bases {
            let mut moving = Moving::new(kind);
            moving.stop(0);
            let refused = moving.lab.device.resume_queue(0, &setup(0, SIZE), base);
            assert!(refused.is_err(), "{kind:?} {base:#x}");
            let again = moving.lab.device.resume_queue(0, &setup(0, SIZE), 1 << 15);
            assert!(kind.0 == 0 || again.is_ok(), "nothing is left of what was refused");
        }
    }
}

/// Its used index says where a split ring goes on, not the place of its next chain.
#[test]
fn a_split_ring_whose_device_lied_goes_on_where_the_driver_looks() {
    for kind in [KINDS[0], KINDS[1]] {
        let mut moving = Moving::new(kind);
        let Lab { device, log, .. } = &mut moving.lab;
        let lie = Fault::Completion { pair: None, lie: Lie::Duplicated };
        device.inject(0, lie, log).unwrap();
        for slot in [0, 1] {
            moving.lab.rings[0].give(slot, &Lab::buffers(0, slot, &[100]));
        }
        moving.lab.frame(60);
        moving.lab.pass(10_000);
        let base = moving.stop(0);
        moving.go_on(0, base);
        moving.lab.frame(60);
        moving.lab.pass(10_000);
        let mut taken = Vec::new();
        while let Some((slot, _)) = moving.lab.rings[0].take() {
            taken.push(slot);
        }
        assert_eq!((base, taken), (1, vec![0, 0, 1]));
    }
}
