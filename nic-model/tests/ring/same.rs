//! Batched and reference: the same chains, faults, answers and used rings, for any ring contents.
//!
//! What a driver has made available is the device's until it is used (2.7.13), and this one leaves it alone:
//! its tables are written before the first chain is offered, be they ever so wrong. One that does not is in
//! [`crate::any_bytes`].

use crate::lab::{AGREED, Across, BUFFERS, Descriptor, GAP, KINDS, Lab, TABLES};
use nic_model::ring::{Fetched, Ring, RingFeatures, Shape, Used};
use nic_model::spec::ring::{DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    /// Heads are made available, as long as there is room.
    Publish(Vec<u16>),
    /// The available index goes on without its entries.
    Jump(u16),
    Fetch {
        need: u32,
    },
    /// So many of those fetched and not used go back.
    Unfetch(usize),
    /// So many of them are used.
    PutUsed(usize, u32),
    Available,
    UsedEvent(u16),
    Flags(u16),
    WantsInterrupt,
    Settle,
    SetKicks(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => proptest::collection::vec(0_u16..300, 1..150).prop_map(Step::Publish),
        1 => (0_u16..20).prop_map(Step::Jump),
        12 => (0_u32..3).prop_map(|n| Step::Fetch { need: n * n * 40 }),
        3 => (1_usize..100).prop_map(Step::Unfetch),
        4 => (1_usize..100, 0_u32..3000).prop_map(|(count, len)| Step::PutUsed(count, len)),
        1 => Just(Step::Available),
        1 => (0_u16..400).prop_map(Step::UsedEvent),
        1 => (0_u16..3).prop_map(Step::Flags),
        3 => Just(Step::WantsInterrupt),
        2 => Just(Step::Settle),
        2 => any::<bool>().prop_map(Step::SetKicks),
    ]
}

/// Mostly right, or there would be no long runs; else at the edges of regions, or anything.
fn descriptor(size: u16, entries: u16) -> impl Strategy<Value = Descriptor> {
    let good = (0_u64..0x1000, 1_u32..100).prop_map(|(at, len)| (BUFFERS + at, len));
    let edge = (
        prop_oneof![Just(0_u64), Just(0x1_0000), Just(GAP), Just(0x3_0000), Just(0x3_4000)],
        -40_i64..4,
        0_u32..48,
    )
        .prop_map(|(edge, by, len)| (edge.wrapping_add_signed(by), len));
    let any = (any::<u64>(), any::<u32>());
    let buffer = prop_oneof![60 => good, 3 => edge, 1 => any];
    let write = DESC_F_WRITE;
    let plain = (
        buffer.clone(),
        prop_oneof![
            60 => Just(write), 8 => Just(write | DESC_F_NEXT), 1 => 0_u16..8
        ],
        0..size + 1,
    )
        .prop_map(|((at, len), flags, next)| (at, len, flags, next));
    let table = (0..entries, 0_u32..20, prop_oneof![12 => Just(0_u16), 1 => Just(1), 1 => Just(2)])
        .prop_map(|(entry, entries, flags)| {
            (TABLES + 16 * u64::from(entry), 16 * entries, DESC_F_INDIRECT | flags, 0)
        });
    prop_oneof![12 => plain, 2 => table]
}

prop_compose! {
    fn world()(size in prop_oneof![Just(1_u16), Just(2), Just(8), Just(128), Just(256)])(
        size in Just(size),
        ring in proptest::collection::vec(descriptor(size, 40), usize::from(size)),
        tables in proptest::collection::vec(descriptor(8, 40), 40),
    ) -> (u16, Vec<Descriptor>, Vec<Descriptor>) {
        (size, ring, tables)
    }
}

fn across() -> impl Strategy<Value = Across> {
    prop_oneof![
        3 => Just(Across::None),
        1 => Just(Across::Table),
        1 => Just(Across::Available),
        1 => Just(Across::Used),
    ]
}

/// Both, and what a driver and a device know of them.
struct Pair {
    labs: [Lab; 2],
    /// Fetched and not used.
    heads: Vec<u16>,
    /// Index of the next chain to fetch.
    next: u16,
}

impl Pair {
    /// The same to both; their answers must be the same.
    fn both<T: PartialEq + std::fmt::Debug>(
        &mut self,
        mut act: impl FnMut(&mut Lab) -> T,
    ) -> Result<T, TestCaseError> {
        let [reference, batched] = self.labs.each_mut().map(&mut act);
        prop_assert_eq!(&reference, &batched);
        prop_assert_eq!(self.labs[0].used_bytes(), self.labs[1].used_bytes());
        Ok(batched)
    }

    /// False once a ring is broken, as both must be.
    fn apply(&mut self, step: &Step, shape: Shape) -> Result<bool, TestCaseError> {
        match step {
            Step::Publish(heads) => {
                let size = self.labs[0].setup.size;
                for head in heads {
                    if self.labs[0].published.wrapping_sub(self.next)
                        < size.saturating_sub(self.heads.len() as u16)
                    {
                        // Now and then one that no queue has.
                        let head = if *head < 299 { head % size } else { *head };
                        self.both(|lab| lab.publish(head))?;
                    }
                }
            }
            Step::Jump(by) => {
                let index = self.labs[0].published.wrapping_add(*by);
                self.both(|lab| lab.publish_index(index))?;
                let available = self.both(|lab| lab.ring.available(&lab.memory))?;
                // With more on offer than there are descriptors the ring is broken, or will be once a chain
                // is put back; one that has read ahead learns of it later.
                let size = self.labs[0].setup.size;
                let room = usize::from(size).saturating_sub(self.heads.len());
                return Ok(available.is_ok_and(|available| usize::from(available) <= room));
            }
            Step::Fetch { need } => {
                let fetched = self.both(|lab| lab.fetch(shape, *need))?;
                if fetched == Ok(Fetched::Chain) {
                    let head = self.both(|lab| (lab.chain.head, lab.segments()))?.0;
                    self.both(|lab| (lab.chain.readable_len, lab.chain.writable_len))?;
                    self.heads.push(head);
                    self.next = self.next.wrapping_add(1);
                }
                return Ok(fetched.is_ok());
            }
            Step::Unfetch(count) => {
                for _ in 0..(*count).min(self.heads.len()) {
                    self.heads.pop();
                    self.next = self.next.wrapping_sub(1);
                    self.both(|lab| lab.ring.unfetch())?;
                }
            }
            Step::PutUsed(count, len) => {
                let count = (*count).min(self.heads.len());
                let used: Vec<Used> =
                    self.heads.drain(..count).map(|head| Used { head, len: *len }).collect();
                self.both(|lab| lab.put_used(&used))?;
            }
            Step::Available => {
                return Ok(self.both(|lab| lab.ring.available(&lab.memory))?.is_ok());
            }
            Step::UsedEvent(index) => self.both(|lab| lab.set_used_event(*index))?,
            Step::Flags(flags) => self.both(|lab| lab.set_flags(*flags))?,
            Step::WantsInterrupt => {
                self.both(|lab| lab.ring.wants_interrupt(&lab.memory))?.unwrap();
            }
            Step::Settle => self.both(|lab| lab.ring.settle())?,
            Step::SetKicks(wanted) => {
                self.both(|lab| lab.ring.set_kicks(&lab.memory, *wanted))?.unwrap();
            }
        }
        Ok(true)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn batched_and_reference_are_the_same(
        (size, ring, tables) in world(),
        across in across(),
        event_idx in any::<bool>(),
        indirect in prop_oneof![4 => Just(true), 1 => Just(false)],
        shape in prop_oneof![
            6 => Just(Shape::Receive),
            1 => Just(Shape::Transmit),
            1 => Just(Shape::Control)
        ],
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let agreed = RingFeatures { event_idx, indirect, ..AGREED };
        let labs = KINDS.map(|kind| Lab::new(kind, size, across, agreed));
        for lab in &labs {
            for (index, entry) in tables.iter().enumerate() {
                lab.descriptor_at(TABLES + 16 * index as u64, *entry);
            }
            for (index, entry) in ring.iter().enumerate() {
                let (at, len, flags, next) = *entry;
                let flags = match shape {
                    Shape::Receive => flags,
                    Shape::Transmit | Shape::Control => flags ^ (DESC_F_WRITE * u16::from(index % 2 == 0)),
                };
                lab.descriptor(index as u16, (at, len, flags, next));
            }
        }
        let mut pair = Pair { labs, heads: Vec::new(), next: 0 };
        for step in &steps {
            if !pair.apply(step, shape)? {
                break;
            }
        }
    }
}
