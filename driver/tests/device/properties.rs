//! Random devices, honest and not, under random polling: the account always adds up, and no frame waits
//! without somebody who knows of it.

use driver::*;
use proptest::prelude::*;

use crate::lab::{Lab, config, frame};

/// What a completion of the test's device is, in ring order; the position is its place in the list.
#[derive(Debug)]
enum Published {
    Good(Vec<u8>),
    Short,
    /// Claims more than the buffer: its bytes come first, then what was in the buffer.
    Long(Vec<u8>),
    BadId(DropReason),
}

#[derive(Clone, Debug)]
enum Step {
    Receive(usize),
    Short(u32),
    Long(u32),
    UnknownId(u32),
    DuplicateId,
    Jump(u16),
    /// An interrupt out of the blue.
    Spurious,
    /// The next message is lost.
    Lose,
    Deliver,
    Poll(u16),
    Finish,
}

fn honest() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (14usize..1500).prop_map(Step::Receive),
        4 => Just(Step::Deliver),
        4 => (1u16..20).prop_map(Step::Poll),
        4 => Just(Step::Finish),
        1 => Just(Step::Spurious),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => honest(),
        2 => (0u32..26).prop_map(Step::Short),
        2 => (2049u32..).prop_map(Step::Long),
        1 => Just(Step::Lose),
        1 => (16u32..).prop_map(Step::UnknownId),
        1 => Just(Step::DuplicateId),
        1 => (1u16..).prop_map(Step::Jump),
    ]
}

fn any_config() -> impl Strategy<Value = DriverConfig> {
    (any::<bool>(), any::<bool>(), 1u16..=16).prop_map(|(ring, event_index, refill_threshold)| {
        let off = if event_index { 0 } else { spec::F_EVENT_IDX };
        DriverConfig {
            mask: if ring { Masking::Ring } else { Masking::Msix },
            features: spec::DEFAULT_FEATURES & !off,
            refill_threshold,
            ..config()
        }
    })
}

struct Model {
    lab: Lab,
    published: Vec<Published>,
    /// What the device thinks it may not return any more.
    returned: Option<u16>,
    jumped: bool,
    /// Somebody polls the queue.
    scheduled: bool,
    lost: bool,
}

impl Model {
    fn run(&mut self, step: &Step) {
        match *step {
            Step::Receive(len) => {
                let bytes = frame(self.published.len() as u64, len);
                self.publish(&bytes.clone(), |len| len, Published::Good(bytes));
            }
            Step::Short(len) => self.publish(&[], |_| len, Published::Short),
            Step::Long(len) => {
                let bytes = frame(self.published.len() as u64, 60);
                self.publish(&bytes.clone(), |_| len, Published::Long(bytes));
            }
            Step::UnknownId(id) => self.bad_id(id, DropReason::UnknownId),
            Step::DuplicateId => {
                if let Some(id) = self.returned {
                    self.bad_id(id.into(), DropReason::DuplicateId);
                }
            }
            Step::Jump(by) => {
                let ahead = self.published.len() as u64 - self.lab.driver.consumed(0);
                // Only what leads beyond the device's buffers is a jump for sure.
                if ahead + u64::from(by) > 16 && ahead + u64::from(by) < 0x1_0000 {
                    self.lab.device.jump(0, by);
                    self.jumped = true;
                }
            }
            Step::Spurious => self.interrupt(1),
            Step::Lose => self.lost |= self.lab.device.messages.pop_front().is_some(),
            Step::Deliver => {
                if let Some(vector) = self.lab.device.messages.pop_front() {
                    self.interrupt(vector);
                }
            }
            Step::Poll(budget) => {
                if self.scheduled {
                    self.lab.poll(0, budget);
                }
            }
            Step::Finish => {
                if self.scheduled {
                    self.scheduled = self.lab.finish(0).again;
                }
            }
        }
    }

    fn interrupt(&mut self, vector: u16) {
        let interrupt = self.lab.interrupt(vector);
        assert!(!(interrupt == Interrupt::Poll(0) && self.scheduled), "scheduled twice");
        self.scheduled |= interrupt == Interrupt::Poll(0);
    }

    fn publish(&mut self, bytes: &[u8], len: impl Fn(u32) -> u32, published: Published) {
        if self.lies() {
            return;
        }
        let Some(buffer) = self.lab.device.take_buffer(0) else { return };
        let honest = self.lab.device.fill(&buffer, bytes);
        self.returned = Some(buffer.id);
        self.published.push(published);
        self.lab.device.complete(0, buffer.id.into(), len(honest));
    }

    fn bad_id(&mut self, id: u32, reason: DropReason) {
        // An id is a duplicate only while the driver has not given the buffer again, and a lie must not
        // exceed the buffers of the device, or it is a jump; a poll at once keeps both apart.
        let room =
            self.lab.driver.posted(0) > self.published.len() as u64 - self.lab.driver.consumed(0);
        let fresh = self.lab.device.queues[0].owned.iter().all(|owned| u32::from(owned.id) != id);
        if self.lies() || !room || !fresh || self.lab.driver.queue_error(0).is_some() {
            return;
        }
        self.published.push(Published::BadId(reason));
        self.lab.device.complete(0, id, 72);
        self.lab.poll(0, 64);
        self.scheduled = true;
    }

    /// After a lie that stops the queue nothing more is published.
    fn lies(&self) -> bool {
        self.jumped || matches!(self.published.last(), Some(Published::BadId(_)))
    }

    /// Every completion taken was indicated or dropped, each as what it was, in order.
    fn check(&self) {
        let counters = self.lab.driver.queue_counters(0).unwrap();
        let dropped: u64 = counters.dropped.iter().sum();
        let consumed = self.lab.driver.consumed(0);
        assert_eq!(consumed, counters.receive.consumed);
        assert_eq!(consumed, counters.receive.indicated + dropped);
        assert!(consumed <= self.published.len() as u64);
        let mut frames = self.lab.notes.frames.iter();
        let mut drops = self.lab.notes.drops().into_iter();
        for (position, published) in (0..consumed).zip(&self.published) {
            match published {
                Published::Good(bytes) => {
                    assert_eq!(frames.next(), Some(&(0, position, bytes.clone())));
                }
                Published::Long(start) => {
                    let (_, at, bytes) = frames.next().unwrap();
                    assert_eq!((*at, bytes.len()), (position, 2048 - 12));
                    assert!(bytes.starts_with(start));
                }
                Published::Short => {
                    assert_eq!(drops.next(), Some((position, DropReason::ShortCompletion)));
                }
                Published::BadId(reason) => assert_eq!(drops.next(), Some((position, *reason))),
            }
        }
        assert!(frames.next().is_none() && drops.next().is_none());
    }

    /// Lets everything that is scheduled or on its way happen; then nothing may be left over.
    fn settle(&mut self) {
        while self.scheduled || !self.lab.device.messages.is_empty() {
            for step in [Step::Deliver, Step::Poll(5), Step::Finish] {
                self.run(&step);
            }
            self.check();
        }
        let all = self.lab.driver.consumed(0) == self.published.len() as u64;
        assert!(all || self.jumped || self.lost, "frames wait and nobody knows");
    }
}

fn model(config: DriverConfig) -> Model {
    let lab = Lab::running(config);
    let published = Vec::new();
    Model { lab, published, returned: None, jumped: false, scheduled: false, lost: false }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn an_honest_device_loses_nothing(
        config in any_config(), steps in prop::collection::vec(honest(), 0..300),
    ) {
        let mut model = model(config);
        for step in &steps {
            model.run(step);
            model.check();
        }
        model.settle();
        prop_assert_eq!(model.lab.driver.queue_error(0), None);
        prop_assert!(model.lab.notes.drops().is_empty());
    }

    #[test]
    fn a_lying_device_is_accounted_for(
        config in any_config(), steps in prop::collection::vec(any_step(), 0..300),
    ) {
        let mut model = model(config);
        for step in &steps {
            model.run(step);
            model.check();
        }
        model.settle();
        let bad = matches!(model.published.last(), Some(Published::BadId(_)));
        prop_assert!(!bad || model.lab.driver.queue_error(0).is_some());
    }

    /// Whatever the shared memory holds, the driver ends each call and keeps its own books.
    #[test]
    fn random_bytes_in_the_used_ring_do_no_harm(
        config in any_config(),
        writes in prop::collection::vec((0u64..140, any::<u8>(), 0u16..40), 0..200),
    ) {
        let mut lab = Lab::running(config);
        lab.device.meddled = true;
        let used = lab.device.setup_of(0).used_ring;
        for (at, byte, budget) in writes {
            lab.device.write(used + at.min(133), &[byte]);
            lab.interrupt(1);
            lab.poll(0, budget);
            lab.finish(0);
            let counters = lab.driver.queue_counters(0).unwrap();
            let dropped: u64 = counters.dropped.iter().sum();
            prop_assert_eq!(lab.driver.consumed(0), counters.receive.indicated + dropped);
            prop_assert_eq!(lab.notes.frames.len() as u64, counters.receive.indicated);
            prop_assert!(lab.driver.posted(0) <= 16);
        }
    }
}
