//! The line: when a frame has arrived, given its length and the line rate.
//!
//! A frame occupies preamble (8 bytes), its bytes, FCS (4) and the gap (12) after it; it has arrived when
//! the last bit of its FCS has. Frames queue behind each other. Time is kept as an exact fraction
//! (whole picoseconds and a remainder in `1/rate` parts of one), so that a million frames at a rate that
//! does not divide a picosecond end where exact arithmetic says; what is returned is rounded up.
//! Not modelled: pause, half duplex, encoding.

use crate::spec::ethernet::{FCS_LEN, FRAME_LEN_MIN, GAP_LEN, PREAMBLE_LEN};

const PS_PER_S: u128 = 1_000_000_000_000;

/// One direction of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    rate_bps: u64,
    /// When the line is free again: `free_ps + free_rest / rate_bps` picoseconds.
    free_ps: u64,
    free_rest: u64,
}

impl Wire {
    /// A line of `rate_bps` bits per second; 0 is a line that takes no time at all.
    #[must_use]
    pub const fn new(rate_bps: u64) -> Self {
        Self { rate_bps, free_ps: 0, free_rest: 0 }
    }

    /// When the last bit of a frame of `frame_len` bytes (without FCS) has arrived, if its sender had it
    /// ready at `earliest_ps`. A frame shorter than 60 bytes is padded to 60, as a sender must.
    /// Times beyond `u64` stay at `u64::MAX`.
    pub fn arrive(&mut self, earliest_ps: u64, frame_len: usize) -> u64 {
        self.arrive_unpadded(earliest_ps, frame_len.max(FRAME_LEN_MIN))
    }

    /// As [`Wire::arrive`], for a sender that does not pad: the way a runt comes about.
    pub fn arrive_unpadded(&mut self, earliest_ps: u64, frame_len: usize) -> u64 {
        if self.rate_bps == 0 {
            return earliest_ps;
        }
        if earliest_ps > self.free_ps || (earliest_ps == self.free_ps && self.free_rest == 0) {
            self.free_ps = earliest_ps;
            self.free_rest = 0;
        }
        self.occupy(u128::from(PREAMBLE_LEN + FCS_LEN) + frame_len as u128);
        let arrived = self.free_ps.saturating_add(u64::from(self.free_rest > 0));
        self.occupy(u128::from(GAP_LEN));
        arrived
    }

    fn occupy(&mut self, bytes: u128) {
        let rate = u128::from(self.rate_bps);
        let parts = bytes * 8 * PS_PER_S + u128::from(self.free_rest);
        let whole = u64::try_from(parts / rate).unwrap_or(u64::MAX);
        self.free_ps = self.free_ps.saturating_add(whole);
        // The remainder of a division by a u64 is one.
        self.free_rest = (parts % rate) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ten_gigabit_line_carries_a_minimum_frame_every_67_2_ns() {
        let mut wire = Wire::new(10_000_000_000);
        // Preamble, 60 bytes, FCS: 72 bytes of 0.8 ns.
        assert_eq!(wire.arrive(0, 60), 57_600);
        assert_eq!(wire.arrive(0, 60), 57_600 + 67_200);
        // Padded to the same, and not: 20 bytes less.
        assert_eq!(wire.arrive(0, 40), 57_600 + 2 * 67_200);
        assert_eq!(wire.arrive_unpadded(0, 40), 57_600 + 3 * 67_200 - 16_000);
        // After a pause the line starts anew.
        assert_eq!(wire.arrive(1_000_000_000, 60), 1_000_057_600);
    }

    #[test]
    fn a_line_without_rate_takes_no_time() {
        assert_eq!(Wire::new(0).arrive(5, 1500), 5);
    }

    #[test]
    fn the_end_of_time_is_reached_but_not_passed() {
        let mut wire = Wire::new(1);
        assert_eq!(wire.arrive(u64::MAX - 1, 60), u64::MAX);
        assert_eq!(wire.arrive(0, 60), u64::MAX);
    }

    proptest! {
        /// However many frames, back to back or with pauses: each arrives when exact arithmetic says, here in
        /// whole numbers of 1/rate ps.
        #[test]
        fn no_drift(
            rate in 1_000_000_u64..400_000_000_000,
            frames in proptest::collection::vec((60_usize..9000, 0_u64..3_000_000), 1..200),
        ) {
            let mut wire = Wire::new(rate);
            let rate = u128::from(rate);
            let mut earliest = 0;
            let mut free = 0;
            for (len, pause) in frames {
                earliest += pause;
                let start = free.max(u128::from(earliest) * rate);
                let arrived = start + (8 + len as u128 + 4) * 8 * PS_PER_S;
                free = arrived + 12 * 8 * PS_PER_S;
                prop_assert_eq!(u128::from(wire.arrive(earliest, len)), arrived.div_ceil(rate));
            }
        }
    }
}
