//! What ends a device in the middle of its work: after so many writes to memory that others see, it is gone.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use vm_memory::bitmap::{Bitmap, BitmapSlice, NewBitmap, WithBitmapSlice};

thread_local! {
    /// Writes that are still to come.
    static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Does `work` up to its `writes`th write; whether it came to its end.
pub fn until_dead(writes: u64, work: impl FnOnce()) -> bool {
    LEFT.set(Some(writes));
    let done = catch_unwind(AssertUnwindSafe(work)).is_ok();
    LEFT.set(None);
    done
}

/// A write has been done.
pub fn burn() {
    if let Some(left) = LEFT.get() {
        LEFT.set(left.checked_sub(1));
        if left == 1 {
            // Nobody is told: this is no panic but a death.
            resume_unwind(Box::new(()));
        }
    }
}

/// Notes each write to guest memory where a dirty bitmap would.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fuse;

impl WithBitmapSlice<'_> for Fuse {
    type S = Self;
}

impl BitmapSlice for Fuse {}

impl Bitmap for Fuse {
    fn mark_dirty(&self, _offset: usize, _len: usize) {
        burn();
    }

    fn dirty_at(&self, _offset: usize) -> bool {
        false
    }

    fn slice_at(&self, _offset: usize) -> Self {
        Self
    }
}

impl NewBitmap for Fuse {
    fn with_len(_len: usize) -> Self {
        Self
    }
}
