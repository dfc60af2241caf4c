//! A place in a packed ring, with the wrap counter there (2.8.1).

use crate::spec::ring::{DESC_F_AVAIL, DESC_F_USED, EVENT_WRAP};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    place: u16,
    size: u16,
    wrap: bool,
}

impl Cursor {
    /// The beginning of a ring of `size`: place 0, counter 1.
    pub(super) fn start(size: u16) -> Self {
        Self { place: 0, size, wrap: true }
    }

    #[inline(always)]
    pub(super) fn place(self) -> u16 {
        self.place
    }

    /// Goes on by at most the size of the ring.
    #[inline(always)]
    pub(super) fn advance(&mut self, by: u16) {
        // At most 32768 each.
        let place = u32::from(self.place) + u32::from(by);
        if place >= u32::from(self.size) {
            self.place = (place - u32::from(self.size)) as u16;
            self.wrap = !self.wrap;
        } else {
            self.place = place as u16;
        }
    }

    /// Goes back by at most the size of the ring.
    pub(super) fn retreat(&mut self, by: u16) {
        if by > self.place {
            self.place = (u32::from(self.place) + u32::from(self.size) - u32::from(by)) as u16;
            self.wrap = !self.wrap;
        } else {
            self.place -= by;
        }
    }

    /// AVAIL and USED of a descriptor that the driver has made available here.
    #[inline(always)]
    pub(super) fn available_flags(self) -> u16 {
        if self.wrap { DESC_F_AVAIL } else { DESC_F_USED }
    }

    /// AVAIL and USED of a descriptor that the device has used here.
    #[inline(always)]
    pub(super) fn used_flags(self) -> u16 {
        if self.wrap { DESC_F_AVAIL | DESC_F_USED } else { 0 }
    }

    /// The place that an event suppression structure names so; `None` outside of the ring.
    pub(super) fn at_event(event: u16, size: u16) -> Option<Self> {
        let place = event & !EVENT_WRAP;
        (place < size).then_some(Self { place, size, wrap: event & EVENT_WRAP != 0 })
    }

    /// The place as an event suppression structure names it (2.8.14).
    pub(super) fn event(self) -> u16 {
        self.place | if self.wrap { EVENT_WRAP } else { 0 }
    }

    /// A place named so, counted from the start of this round; one of the round before is negative.
    #[inline]
    pub(super) fn relative(self, event: u16) -> u16 {
        let place = event & !EVENT_WRAP;
        if (event & EVENT_WRAP != 0) == self.wrap { place } else { place.wrapping_sub(self.size) }
    }
}

/// Whether going from place `old` to `new` passes `event`: 2.7.10.1, with the places of one round.
#[inline]
pub(super) fn need_event(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn there_and_back_is_nothing(
            (size, by) in (1u16..=32768).prop_flat_map(|size| (Just(size), 0..=size)),
            first in 0u16..=32767,
        ) {
            let mut cursor = Cursor::start(size);
            cursor.advance(first % size);
            let before = cursor;
            cursor.advance(by);
            let place = (u32::from(before.place()) + u32::from(by)) % u32::from(size);
            prop_assert_eq!(u32::from(cursor.place()), place);
            cursor.retreat(by);
            prop_assert_eq!(cursor, before);
        }

        #[test]
        fn an_event_is_passed_by_the_step_that_covers_it(
            size in 1u16..=300, start in 0u32..600, step in 1u16..=300, ahead in 0u16..300,
        ) {
            let (step, ahead) = (1 + (step - 1) % size, ahead % size);
            let mut old = Cursor::start(size);
            for _ in 0..start { old.advance(1); }
            let (mut new, mut event) = (old, old);
            new.advance(step);
            event.advance(ahead);
            let at = new.relative(event.event());
            let passed = need_event(at, new.place(), new.place().wrapping_sub(step));
            prop_assert_eq!(passed, ahead < step);
        }
    }
}
