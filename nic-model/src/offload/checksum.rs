//! Completing an Internet checksum (RFC 1071) in a frame.

use super::{Malformed, Place};
use crate::checksum::{fold, sum};

/// The checksum that completes a sum: its complement.
pub(crate) fn checksum(sum: u64) -> u16 {
    !fold(sum)
}

/// The same for TCP and UDP: all ones instead of zero, which in UDP would mean "none", and is as good in TCP.
pub(crate) fn transport_checksum(sum: u64) -> u16 {
    match checksum(sum) {
        0 => 0xffff,
        sum => sum,
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
    let sum = transport_checksum(sum(&frame[start..], 0));
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
        assert_eq!(checksum(sum(&bytes, 0)), !0xddf2);
        assert_eq!(checksum(sum(&bytes[4..], 0x0001_f203)), !0xddf2);
        assert_eq!((checksum(0xffff), transport_checksum(0xffff)), (0, 0xffff));
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
