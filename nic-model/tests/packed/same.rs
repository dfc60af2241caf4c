//! Whatever a driver does, a device with packed rings does what one with split rings does.

use crate::lab::{Lab, WRITE, room};
use nic_model::spec::feature::{EVENT_IDX, IN_ORDER, RING_PACKED};
use nic_model::{DropRecord, Event};
use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};

#[derive(Clone, Debug)]
enum Step {
    /// A free slot, with so long buffers.
    Give(Vec<u32>),
    Send(Vec<u32>),
    Kick(u16),
    Frame(usize),
    Pass(u64),
    /// Takes all completions of a queue, then wishes for an interrupt or not.
    Take(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let lens = |least| prop::collection::vec(least..=2000u32, 1..=3);
    prop_oneof![
        4 => lens(1).prop_map(Step::Give),
        2 => lens(14).prop_map(Step::Send),
        3 => (0u16..2).prop_map(Step::Kick),
        6 => (60usize..1500).prop_map(Step::Frame),
        3 => (0u64..2000).prop_map(Step::Pass),
        3 => (0usize..2, any::<bool>()).prop_map(|(queue, wish)| Step::Take(queue, wish)),
    ]
}

/// What a driver sees: completions with the bytes behind them.
type Seen = Vec<(usize, u16, u32, Vec<u8>)>;

struct Run {
    lab: Lab,
    /// Per queue and slot: lengths of the buffers with the device.
    given: [[Option<Vec<u32>>; 4]; 2],
    seen: Seen,
}

impl Run {
    fn make(&mut self, step: &Step) {
        match step {
            Step::Give(lens) => self.give(0, lens),
            Step::Send(lens) => self.give(1, lens),
            Step::Kick(queue) => self.lab.kick(*queue),
            Step::Frame(len) => self.lab.frame(*len),
            Step::Pass(time) => self.lab.pass(*time),
            Step::Take(queue, wish) => {
                while let Some((slot, len)) = self.lab.rings[*queue].take() {
                    let lens = self.given[*queue][usize::from(slot)].take().unwrap();
                    let parts = lens.iter().enumerate();
                    let bytes = parts
                        .flat_map(|(i, len)| self.lab.bytes(room(*queue, slot, i), *len))
                        .collect();
                    self.seen.push((*queue, slot, len, bytes));
                }
                self.lab.rings[*queue].wish(*wish);
            }
        }
    }

    fn give(&mut self, queue: usize, lens: &[u32]) {
        let Some(slot) = self.given[queue].iter().position(Option::is_none) else { return };
        let buffers = Lab::buffers(queue, slot as u16, lens);
        for (address, len, flags) in &buffers {
            // A header that asks for nothing, and a frame.
            let fill = if *flags == WRITE { 0xee } else { 0 };
            let bytes = vec![fill; *len as usize];
            self.lab.memory.write_slice(&bytes, GuestAddress(*address)).unwrap();
        }
        self.given[queue][slot] = Some(lens.to_vec());
        self.lab.rings[queue].give(slot as u16, &buffers);
    }
}

fn run(size: u16, features: u64, steps: &[Step]) -> Run {
    let lab = Lab::new(size, features);
    let mut run = Run { lab, given: Default::default(), seen: Seen::new() };
    // Memory of zeros says: at descriptor 0 in a split ring, and always in a packed one.
    run.lab.rings.iter_mut().for_each(|ring| ring.wish(true));
    steps.iter().for_each(|step| run.make(step));
    for queue in [0, 1] {
        run.make(&Step::Kick(queue as u16));
        run.make(&Step::Pass(100_000));
        run.make(&Step::Take(queue, false));
    }
    run
}

/// The events, but for the numbers in which a ring's size is told.
fn events(run: &Run) -> Vec<(u64, Event)> {
    let sizeless = |event: &Event| match event {
        Event::Dropped(record) => {
            Event::Dropped(DropRecord { occupancy: 0, capacity: 0, ..*record })
        }
        other => *other,
    };
    run.lab.log.events.iter().map(|(now, event)| (*now, sizeless(event))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_same_chains_completions_events_and_interrupts(
        steps in prop::collection::vec(step(), 1..120),
        size in prop::sample::select(vec![12u16, 13, 15, 16]),
        event_idx in any::<bool>(),
    ) {
        let more = if event_idx { EVENT_IDX } else { 0 };
        let split = run(16, more, &steps);
        let packed = run(size, RING_PACKED | more, &steps);
        prop_assert_eq!(split.lab.fault(), None);
        prop_assert_eq!(packed.lab.fault(), None);
        prop_assert_eq!(&split.seen, &packed.seen);
        prop_assert_eq!(events(&split), events(&packed));
        prop_assert_eq!(&split.lab.log.interrupts, &packed.lab.log.interrupts);
        prop_assert_eq!(&split.lab.log.sent, &packed.lab.log.sent);
        prop_assert_eq!(split.lab.device.available(0), packed.lab.device.available(0));
    }

    #[test]
    fn in_order_changes_nothing_for_frames_received(
        steps in prop::collection::vec(step(), 1..120)
            .prop_map(|steps| steps.into_iter().filter(|s| !matches!(s, Step::Send(_))).collect::<Vec<_>>()),
    ) {
        let plain = run(16, RING_PACKED, &steps);
        let ordered = run(16, RING_PACKED | IN_ORDER, &steps);
        prop_assert_eq!(&plain.seen, &ordered.seen);
        prop_assert_eq!(events(&plain), events(&ordered));
    }
}
