//! Frames over several buffers: the ones after the first (virtio 1.x, 5.1.6.4).
//!
//! Contract: the first buffer of a frame is taken and copied, and its header says how many there are;
//! [`gather`] takes the others and copies them behind it. It takes as many as the header says, whatever is
//! wrong with them, so that the next completion begins the next frame. A poll ends between frames, as the
//! device must publish the buffers of one together.
//! Not checked here: the length of the whole, which only the caller can judge.

use crate::ring::RingError;
use crate::ring::rx::RxQueue;
use crate::staging::Staging;
use crate::take::Views;

/// What became of the rest of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Gathered {
    /// It is copied.
    Whole,
    /// The buffers do not add up: none at all, one before the last not full, or more than the longest frame.
    /// All were taken: so many.
    Wrong { taken: u16 },
    /// The ring broke after so many, or has no more. What comes next is not the start of a frame.
    Lost { taken: u16, error: RingError },
}

/// Takes the buffers after the first, of `first` bytes, of a frame over `num_buffers`.
pub(crate) fn gather(
    rx: &mut RxQueue,
    (used, buffers, memory): Views<'_>,
    staging: &mut Staging,
    (num_buffers, first): (u16, u32),
) -> Gathered {
    let mut good = num_buffers > 0;
    let mut last = first;
    for taken in 1..num_buffers {
        let completion = match rx.ring.take(used) {
            Ok(Some(completion)) => completion,
            Ok(None) => {
                let error = RingError::MissingBuffers { num_buffers, there: taken };
                return Gathered::Lost { taken, error };
            }
            Err(error) => return Gathered::Lost { taken, error },
        };
        rx.free.push(completion.id);
        let room = rx.pool.room();
        good &= last == room && completion.len <= room;
        last = completion.len;
        if good {
            match staging.extend(completion.len as usize) {
                Some(copy) => rx.pool.copy_out(memory, buffers, completion.id, copy),
                None => good = false,
            }
        }
    }
    if good { Gathered::Whole } else { Gathered::Wrong { taken: num_buffers.max(1) } }
}
