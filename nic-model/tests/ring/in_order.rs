//! VIRTIO_F_IN_ORDER (2.7.9): what is fetched comes back in the order in which it was made available.

use crate::lab::{AGREED, Across, BUFFERS, KINDS, Lab};
use nic_model::ring::{Fetched, Ring, RingFeatures, Shape, Used};
use nic_model::spec::ring::DESC_F_WRITE;
use vm_memory::{Bytes, GuestAddress};

/// Also with chains put back in between, and over the end of a pass.
#[test]
fn chains_come_in_the_order_of_the_available_ring() {
    for kind in KINDS {
        let agreed = RingFeatures { in_order: true, ..AGREED };
        let mut lab = Lab::new(kind, 128, Across::None, agreed);
        for index in 0..128 {
            lab.descriptor(index, (BUFFERS, 64, DESC_F_WRITE, 0));
        }
        let heads: Vec<u16> = (0..1000).map(|n| n * 37 % 128).collect();
        let (mut offered, mut used) = (heads.iter(), Vec::new());
        for turn in 0.. {
            for head in
                offered.by_ref().take(128 - usize::from(lab.ring.available(&lab.memory).unwrap()))
            {
                lab.publish(*head);
            }
            let mut batch = Vec::new();
            while batch.len() < 1 + turn % 100
                && lab.fetch(Shape::Receive, 64) == Ok(Fetched::Chain)
            {
                batch.push(Used { head: lab.chain.head, len: 64 });
            }
            if batch.is_empty() {
                break;
            }
            for _ in 0..(turn % 3).min(batch.len() - 1) {
                batch.pop();
                lab.ring.unfetch();
            }
            lab.put_used(&batch);
            used.extend(batch);
        }
        assert!(used.iter().map(|used| used.head).eq(heads.iter().copied()), "{kind:?}");
        let index: u16 = lab.memory.read_obj(GuestAddress(lab.setup.used_ring + 2)).unwrap();
        assert_eq!(u16::from_le(index), 1000, "an element for each");
    }
}
