//! A driver that writes anything at any time: every chain the batched ring gives out is a right one, and
//! whatever it refuses has a name.

use crate::lab::{AGREED, Across, KINDS, Lab, REGIONS, TABLES};
use nic_model::ring::{Fetched, Ring, Shape, Used};
use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};

#[derive(Clone, Debug)]
enum Step {
    Scribble { part: u8, offset: u64, bytes: Vec<u8> },
    Index(u16),
    Publish(u16),
    Fetch(u32),
    Unfetch,
    Use,
    Ask(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = proptest::collection::vec(prop_oneof![3 => Just(0_u8), 1 => any::<u8>()], 1..40);
    prop_oneof![
        3 => (0_u8..4, 0_u64..150, bytes)
            .prop_map(|(part, offset, bytes)| Step::Scribble { part, offset, bytes }),
        1 => any::<u16>().prop_map(Step::Index),
        5 => (0_u16..9).prop_map(Step::Publish),
        8 => (0_u32..100).prop_map(Step::Fetch),
        1 => Just(Step::Unfetch),
        3 => Just(Step::Use),
        1 => any::<bool>().prop_map(Step::Ask),
    ]
}

/// Is all of it in memory? Regions that touch count as one.
fn mapped(address: u64, len: u32) -> bool {
    let spans = [(0, 0x2_0000), REGIONS[2]];
    spans.iter().any(|(start, size)| {
        let end = address.checked_add(len.into());
        address >= *start && end.is_some_and(|end| end <= start + *size as u64)
    })
}

fn check_chain(lab: &Lab, shape: Shape) -> Result<(), TestCaseError> {
    let readable: Vec<_> = lab.chain.readable().collect();
    let writable: Vec<_> = lab.chain.writable().collect();
    let sum = |segments: &[nic_model::ring::Segment]| -> u64 {
        segments.iter().map(|segment| u64::from(segment.len)).sum()
    };
    prop_assert_eq!(sum(&readable), u64::from(lab.chain.readable_len));
    prop_assert_eq!(sum(&writable), u64::from(lab.chain.writable_len));
    let all = readable.len() + writable.len();
    prop_assert!(all > 0 && all <= usize::from(lab.setup.size));
    prop_assert!(lab.chain.head < lab.setup.size);
    for segment in readable.iter().chain(&writable) {
        prop_assert!(segment.len > 0 && mapped(segment.address, segment.len));
    }
    match shape {
        Shape::Receive => prop_assert!(readable.is_empty()),
        Shape::Transmit => prop_assert!(writable.is_empty()),
        Shape::Control => prop_assert!(!writable.is_empty()),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes_are_right_chains_or_a_fault_with_a_name(
        steps in proptest::collection::vec(step(), 1..150),
        shape in prop_oneof![Just(Shape::Receive), Just(Shape::Transmit), Just(Shape::Control)],
        across in prop_oneof![Just(Across::None), Just(Across::Table), Just(Across::Available)],
    ) {
        for kind in KINDS {
            let mut lab = Lab::new(kind, 8, across, AGREED);
            for index in 0..8 {
                let flags = if shape == Shape::Transmit { 0 } else { 2 };
                lab.descriptor(index, (0x1_8000, 64, flags, 0));
                lab.descriptor_at(TABLES + 16 * u64::from(index), (0x1_8000, 64, flags, 0));
            }
            let mut fetched = 0;
            for step in &steps {
                match step {
                    Step::Scribble { part, offset, bytes } => {
                        let setup = &lab.setup;
                        let rings = [setup.available_ring, setup.used_ring];
                        let parts = [setup.descriptor_table, rings[0], rings[1], TABLES];
                        let at = GuestAddress(parts[usize::from(*part)] + offset);
                        lab.memory.write_slice(bytes, at).unwrap();
                    }
                    Step::Index(index) => lab.publish_index(*index),
                    Step::Publish(head) => lab.publish(*head),
                    Step::Fetch(need) => match lab.fetch(shape, need * u32::from(shape != Shape::Transmit)) {
                        Ok(Fetched::Chain) => {
                            check_chain(&lab, shape)?;
                            fetched += 1;
                        }
                        Ok(_) => {}
                        Err(fault) => prop_assert!(!fault.name().is_empty() && fault.to_string().len() > 10),
                    },
                    Step::Unfetch if fetched > 0 => {
                        lab.ring.unfetch();
                        fetched -= 1;
                    }
                    Step::Use if fetched > 0 => {
                        lab.put_used(&[Used { head: lab.chain.head.min(7), len: 64 }]);
                        fetched -= 1;
                    }
                    Step::Unfetch | Step::Use => {}
                    Step::Ask(wanted) => {
                        lab.ring.set_kicks(&lab.memory, *wanted).unwrap();
                        lab.ring.wants_interrupt(&lab.memory).unwrap();
                        let _ = lab.ring.available(&lab.memory);
                    }
                }
            }
        }
    }
}
