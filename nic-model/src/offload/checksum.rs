//! The Internet checksum (RFC 1071), and completing one in a frame.

use super::{Malformed, Place};

/// A sum under way; of big-endian words, not complemented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum(u64);

impl Sum {
    /// Adds bytes that start at an even place of what is summed; an odd last one is followed by a zero.
    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        let (words, last) = bytes.as_chunks::<2>();
        // 2^47 words would be needed to overflow.
        self.0 += words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum::<u64>();
        if let [byte] = last {
            self.0 += u64::from(*byte) << 8;
        }
        self
    }

    /// Adds a number as two words.
    pub(crate) fn number(mut self, number: u32) -> Self {
        self.0 += u64::from(number >> 16) + u64::from(number & 0xffff);
        self
    }

    /// The checksum: the complement of the sum.
    pub(crate) fn checksum(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        // Folded in the line above.
        !(sum as u16)
    }

    /// The same, but all ones instead of zero, which in UDP would mean "none" and is as good elsewhere.
    pub(crate) fn checksum_of_transport(self) -> u16 {
        match self.checksum() {
            0 => 0xffff,
            sum => sum,
        }
    }
}

/// Completes the checksum of a frame: the sum of everything from `place.start` on, which includes what
/// the driver left in its field, is stored there.
///
/// # Errors
/// The field does not lie in the frame, which is not changed then.
pub(crate) fn complete(frame: &mut [u8], place: Place) -> Result<(), Malformed> {
    let start = usize::from(place.start);
    let field = start + usize::from(place.offset);
    if field + 2 > frame.len() {
        return Err(Malformed);
    }
    let sum = Sum::default().bytes(&frame[start..]).checksum_of_transport();
    frame[field..field + 2].copy_from_slice(&sum.to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 1071, section 3: the numerical example.
    #[test]
    fn the_published_example_comes_out() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().bytes(&bytes).checksum(), !0xddf2);
        assert_eq!(Sum::default().number(0x0001_f203).bytes(&bytes[4..]).checksum(), !0xddf2);
    }

    #[test]
    fn the_field_must_lie_in_the_frame() {
        for (start, offset, fits) in
            [(0, 62, true), (62, 0, true), (0, 63, false), (63, 0, false), (0xffff, 0xffff, false)]
        {
            let mut frame = [7; 64];
            let done = complete(&mut frame, Place { start, offset });
            assert_eq!(done.is_ok(), fits, "{start} {offset}");
            assert_eq!(frame == [7; 64], !fits, "nothing is written if it does not fit");
        }
    }

    proptest! {
        /// Whoever sums a frame with its checksum gets all ones (RFC 1071, 1). Word by word, with the carry
        /// at once: another way than that of the code.
        #[test]
        fn a_completed_checksum_verifies(
            mut frame in prop::collection::vec(any::<u8>(), 2..300), at in 0usize..300, skip in 0usize..40,
        ) {
            let start = (at % frame.len()) & !1;
            let offset = (skip % (frame.len() - start)) & !1;
            let place = Place { start: start as u16, offset: offset as u16 };
            let fits = start + offset + 2 <= frame.len();
            prop_assert_eq!(complete(&mut frame.clone(), place).is_ok(), fits);
            if !fits {
                return Ok(());
            }
            frame[start + offset..start + offset + 2].fill(0);
            complete(&mut frame, place).map_err(|_| TestCaseError::fail("it fits"))?;
            let mut sum: u16 = 0;
            for pair in frame[start..].chunks(2) {
                let word = u16::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u16::from(*low));
                let (added, carry) = sum.overflowing_add(word);
                sum = added + u16::from(carry);
            }
            prop_assert_eq!(sum, 0xffff);
        }
    }
}
