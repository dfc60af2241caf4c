//! The plain copy that engines are set beside: each frame to the next place of a buffer, and from
//! there to the user's buffer. No header, no account, no order among frames.
//!
//! Between threads each producer has two buffers of its own behind a lock each, one to fill and one to
//! be read, so that it shares nothing with other producers.

use super::Load;
use super::target::{Count, SharedTarget, Target};
use std::sync::{Mutex, PoisonError};

/// The copy by one thread.
pub(super) struct Plain {
    buffer: Vec<u8>,
    out: Vec<u8>,
    /// Frames in the buffer.
    stored: usize,
    len: usize,
}

impl Plain {
    pub(super) fn new(load: Load) -> Self {
        let size = load.group() * load.len;
        Plain { buffer: vec![0; size], out: vec![0; size], stored: 0, len: load.len }
    }
}

impl Target for Plain {
    fn store(&mut self, frames: &[&[u8]]) {
        let free = &mut self.buffer[self.stored * self.len..];
        for (place, frame) in free.chunks_exact_mut(self.len).zip(frames) {
            place.copy_from_slice(frame);
        }
        self.stored += frames.len();
    }

    fn read(&mut self) -> Result<u64, String> {
        copy_out(&self.buffer, &mut self.out, self.len, self.stored);
        let read = self.stored as u64;
        self.stored = 0;
        Ok(read)
    }
}

/// Frame by frame, as a reader of records must.
fn copy_out(buffer: &[u8], out: &mut [u8], len: usize, frames: usize) {
    let places = out.chunks_exact_mut(len).zip(buffer.chunks_exact(len));
    for (place, frame) in places.take(frames) {
        place.copy_from_slice(frame);
    }
    std::hint::black_box(out);
}

/// The copy by several threads.
pub(super) struct PlainShared {
    /// Of each producer.
    buffers: Vec<[Mutex<Buffer>; 2]>,
    load: Load,
}

struct Buffer {
    bytes: Vec<u8>,
    stored: usize,
}

impl PlainShared {
    pub(super) fn new(producers: u16, load: Load) -> Self {
        let buffer = || Mutex::new(Buffer { bytes: vec![0; load.group() * load.len], stored: 0 });
        let buffers = (0..producers).map(|_| [buffer(), buffer()]).collect();
        PlainShared { buffers, load }
    }
}

impl SharedTarget for PlainShared {
    type Reader = Vec<u8>;

    fn reader(&self) -> Vec<u8> {
        vec![0; self.load.group() * self.load.len]
    }

    fn store(&self, cpu: u16, frames: &[&[u8]]) {
        let len = self.load.len;
        for buffer in self.buffers[usize::from(cpu)].iter().cycle() {
            // The reader may have one of them, or it may be full.
            let Ok(mut buffer) = buffer.try_lock() else { continue };
            let Buffer { bytes, stored } = &mut *buffer;
            let free = &mut bytes[*stored * len..];
            if free.len() < frames.len() * len {
                continue;
            }
            for (place, frame) in free.chunks_exact_mut(len).zip(frames) {
                place.copy_from_slice(frame);
            }
            *stored += frames.len();
            return;
        }
    }

    fn read(&self, out: &mut Vec<u8>, count: &mut Count) -> Result<(), String> {
        for (buffers, delivered) in self.buffers.iter().zip(&mut count.delivered) {
            for buffer in buffers {
                let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
                copy_out(&buffer.bytes, out, self.load.len, buffer.stored);
                *delivered += buffer.stored as u64;
                buffer.stored = 0;
            }
        }
        Ok(())
    }
}
