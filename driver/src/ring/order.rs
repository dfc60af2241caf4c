//! The order in which chains were given to the device, for VIRTIO_F_IN_ORDER (2.7.9, 2.8.8).
//!
//! A device that uses chains in order may return the last of several only; that one stands for all
//! before it. What it says of their lengths is nothing, and means: used completely.
//!
//! Contract: [`Order::describe`] and [`Order::publish`] for each chain given; [`Order::start`] with an id
//! that the device owns, then [`Order::next`] until the batch has no more.

use crate::ring::{Buffer, Used};

#[derive(Debug)]
pub(crate) struct Order {
    /// Slots in the order given, a ring.
    slots: Vec<u16>,
    /// Per slot: which chain since the start it was, counting modulo 2^16.
    place: Vec<u16>,
    /// Per slot: bytes the device can write.
    writable: Vec<u32>,
    /// Chains given and chains taken, modulo 2^16.
    given: u16,
    taken: u16,
    /// The completion that ends the batch under way.
    last: Option<Used>,
}

impl Order {
    /// `slots` must be a power of two.
    pub(crate) fn new(slots: u16) -> Self {
        let (n, zeros) = (usize::from(slots), vec![0; slots.into()]);
        let (place, writable) = (zeros.clone(), vec![0; n]);
        Self { slots: zeros, place, writable, given: 0, taken: 0, last: None }
    }

    pub(crate) fn describe(&mut self, slot: u16, buffers: &[Buffer]) {
        let writable = buffers.iter().filter(|buffer| buffer.writable);
        self.writable[usize::from(slot)] = writable.map(|buffer| buffer.len).sum();
    }

    pub(crate) fn publish(&mut self, slot: u16) {
        let at = self.at(self.given);
        self.slots[at] = slot;
        self.place[usize::from(slot)] = self.given;
        self.given = self.given.wrapping_add(1);
    }

    /// How many chains `last` stands for, itself included. The device must own it.
    pub(crate) fn batch(&self, last: u16) -> u16 {
        self.place[usize::from(last)].wrapping_sub(self.taken).wrapping_add(1)
    }

    /// Begins the batch that ends with `last`, and gives its first completion.
    pub(crate) fn start(&mut self, last: Used) -> Used {
        self.last = Some(last);
        self.next().unwrap_or(last)
    }

    /// Whether a batch is under way.
    pub(crate) fn has_more(&self) -> bool {
        self.last.is_some()
    }

    /// The next completion of the batch under way.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Used> {
        let last = self.last?;
        let id = self.slots[self.at(self.taken)];
        self.taken = self.taken.wrapping_add(1);
        if id != last.id {
            return Some(Used { id, len: self.writable[usize::from(id)] });
        }
        self.last.take()
    }

    fn at(&self, count: u16) -> usize {
        usize::from(count) & (self.slots.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Order {
        let mut order = Order::new(4);
        for slot in 0..4 {
            let buffer = Buffer { address: 0, len: 100 + u32::from(slot), writable: true };
            order.describe(slot, &[buffer, Buffer { len: 7, writable: false, ..buffer }]);
        }
        order
    }

    fn batch(order: &mut Order, id: u16, len: u32) -> Vec<(u16, u32)> {
        let first = order.start(Used { id, len });
        std::iter::once(first)
            .chain(std::iter::from_fn(|| order.next()))
            .map(|used| (used.id, used.len))
            .collect()
    }

    #[test]
    fn the_last_stands_for_all_before_it() {
        let mut order = order();
        [2, 0, 3, 1].into_iter().for_each(|slot| order.publish(slot));
        assert_eq!(order.batch(3), 3);
        assert_eq!(batch(&mut order, 3, 7), [(2, 102), (0, 100), (3, 7)]);
        assert_eq!(batch(&mut order, 1, 9), [(1, 9)]);
        assert!(!order.has_more());
    }

    #[test]
    fn counts_run_over_the_end_of_sixteen_bits() {
        let mut order = order();
        for round in 0..40_000u32 {
            let (a, b) = ((2 * round % 4) as u16, ((2 * round + 1) % 4) as u16);
            order.publish(a);
            order.publish(b);
            assert_eq!(order.batch(b), 2);
            assert_eq!(batch(&mut order, b, 1), [(a, 100 + u32::from(a)), (b, 1)]);
        }
    }
}
