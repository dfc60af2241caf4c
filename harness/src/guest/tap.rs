//! The tap in real time: what a receive queue brings is shown to every handle, in batches.

use std::sync::Arc;

use driver::{Event, Host, RxFrame};
use npf_core::Frame;

use super::reader::{Ears, Served};

/// Shows every frame to every handle.
pub struct Tap<'a> {
    cpu: u16,
    queue: u16,
    handles: &'a [Arc<Served>],
    /// Buffers that were handed over with frames, to be given back after the poll.
    pub lent: Vec<u16>,
    /// Frames indicated, and their bytes.
    pub indicated: (u64, u64),
    /// Completions that the driver dropped.
    pub dropped: u64,
}

impl Host for Tap<'_> {
    fn event(&mut self, _now: u64, event: Event) {
        self.dropped += u64::from(matches!(event, Event::Dropped(_)));
    }

    fn indicate(&mut self, now: u64, _queue: u16, frames: &[RxFrame<'_>]) {
        // Most batches are short, and the list of what is shown is written before it is filled.
        match frames.len() {
            0..=4 => self.show::<4>(now, frames),
            5..=16 => self.show::<16>(now, frames),
            _ => self.show::<{ driver::BATCH }>(now, frames),
        }
    }
}

impl<'a> Tap<'a> {
    /// Of what queue `queue` brings to CPU `cpu`.
    #[must_use]
    pub fn new(cpu: u16, queue: u16, handles: &'a [Arc<Served>]) -> Self {
        Self { cpu, queue, handles, lent: Vec::new(), indicated: (0, 0), dropped: 0 }
    }

    /// Shows every handle a batch of `N` frames at most.
    #[inline]
    fn show<const N: usize>(&mut self, now: u64, frames: &[RxFrame<'_>]) {
        let mut shown = [Frame { data: &[], wire_len: 0, tag: 0 }; N];
        for (to, frame) in shown.iter_mut().zip(frames) {
            *to =
                Frame { data: frame.data, wire_len: frame.data.len() as u32, tag: frame.position };
            self.indicated.1 += frame.data.len() as u64;
            self.lent.extend(frame.buffer);
        }
        self.show_frames(now, &shown[..frames.len()]);
    }

    /// Shows every handle a batch of frames, wherever they come from.
    #[inline]
    pub fn show_frames(&mut self, now: u64, frames: &[Frame<'_>]) {
        self.indicated.0 += frames.len() as u64;
        for served in self.handles {
            served.handle.tap(now, self.cpu, self.queue, frames, &mut Ears { served });
        }
    }
}
