//! The engines used from several producing CPUs and a reader at once: real threads, one call each.
//!
//! ```text
//!   thread of CPU 0 --tap--.
//!   thread of CPU 1 --tap--+--> [SharedHandle] --read--> thread of the reader
//!                                     ^-- work: the worker's thread, where the design has one
//! ```
//!
//! A [`SharedHandle`] is one open handle whose calls take `&self`. What it decides, counts and tells
//! is what an [`Adapter`](crate::Adapter) with this one handle does; the time is still an argument, the effects still
//! go to a [`Host`], of which each thread brings its own. Two designs have a form of their own, in
//! which CPUs do not wait for each other:
//!
//! - packet-queue: one atomic byte budget, a list whose lock is held to move packets and never to
//!   copy them, and copies in blocks that belong to each CPU;
//! - segments: a lock per segment, between its CPU and the reader, and one counter of sequence
//!   numbers, taken under that lock after the test for room.
//!
//! Every other design is its state machine behind one lock, and so is every handle that is opened in
//! another mode than capture, with markers, or for sent frames only. The filter runs outside of all locks.
//!
//! # Contract
//!
//! - Any number of threads may tap, one per CPU number; threads that claim the same CPU wait for each
//!   other. One reads at a time: a second reader is refused as busy.
//! - Each packet has exactly one fate. Counters are exact when nobody taps or reads:
//!   `shown = filtered + delivered + counted + dumped + dropped + queued`.
//! - Packets tapped by one thread are delivered in order.
//! - A wake-up is told to the thread that caused it ([`Host::wake`], with no lock held), after the
//!   packets can be read. Who sets out to sleep asks [`SharedHandle::ready`] once more, after it has
//!   declared that it wants to be woken, as with any event.
//! - [`Host::event`] and [`Host::delivered`] are called with locks held: a host must not call the
//!   handle from there.
//! - A control waits until taps and reads under way are over, and they for it.
//!
//! ```
//! use npf_core::{Delivered, Event, Frame, HandleOptions, Host, SharedHandle};
//!
//! /// What one thread is told.
//! struct Ears(u64);
//! impl Host for Ears {
//!     fn event(&mut self, _now: u64, _event: Event) {}
//!     fn delivered(&mut self, _now: u64, _handle: u32, _packet: Delivered<'_>) {
//!         self.0 += 1;
//!     }
//!     fn wake(&mut self, _now: u64, _handle: u32) {}
//! }
//!
//! let handle = SharedHandle::open(0, HandleOptions { cpus: 2, ..HandleOptions::default() })?;
//! std::thread::scope(|scope| {
//!     for cpu in 0..2 {
//!         let handle = &handle;
//!         scope.spawn(move || {
//!             let frame = Frame { data: &[0; 60], wire_len: 60, tag: cpu.into() };
//!             handle.tap(0, cpu, cpu, &[frame; 100], &mut Ears(0));
//!         });
//!     }
//! });
//! let mut reader = Ears(0);
//! handle.read(0, &mut [0; 100_000], &mut reader)?;
//! assert_eq!((reader.0, handle.counters().delivered), (200, 200));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Not done here
//!
//! - Sending, and changing the mode or the direction of an open handle.
//! - One physical copy shared by several handles: each `SharedHandle` copies for itself.
//! - The adapter's own counters, and frames that no handle was there for: a tap after
//!   [`SharedHandle::remove`] tells the drop, and counts it nowhere.
//! - Fairness among CPUs that wait for one lock is the operating system's.

mod budget;
mod buffers;
mod control;
mod core;
mod locked;
#[cfg(test)]
mod model;
mod queue;
mod rules;
mod segments;
mod shared;
mod sync;

use self::locked::Locked;
use self::queue::Queue;
use self::segments::SharedSegments;
use self::shared::Shared;
use crate::adapter::control::check;
use crate::adapter::tap::Source;
use crate::filter::Filter;
use crate::{
    ControlError, Direction, DumpStep, EngineKind, FilterReset, Frame, HandleCounters,
    HandleOptions, Host, Mode, Occupancy, Read, ReadError, Stats, Taken, TapWork, ViewError, Work,
    ZeroCopyReader,
};

/// One open handle for several threads.
#[derive(Debug)]
pub struct SharedHandle {
    form: Form,
}

#[derive(Debug)]
enum Form {
    Queue(Box<Shared<Queue>>),
    Segments(Box<Shared<SharedSegments>>),
    Locked(Box<Locked>),
}

/// The same call for whichever form it is; those with a form of their own have it in common.
macro_rules! form {
    ($self:expr, $own:ident => $own_call:expr, $locked:ident => $locked_call:expr) => {
        match &$self.form {
            Form::Queue($own) => $own_call,
            Form::Segments($own) => $own_call,
            Form::Locked($locked) => $locked_call,
        }
    };
}

impl SharedHandle {
    /// Opens a handle that bears the number `handle` in events.
    ///
    /// # Errors
    ///
    /// As [`Adapter::open`](crate::Adapter::open).
    pub fn open(handle: u32, options: HandleOptions) -> Result<Self, ControlError> {
        check(&options)?;
        let plain = options.mode == Mode::Capture
            && options.direction != Direction::Out
            && !options.markers;
        let form = match options.engine {
            _ if !plain => Form::Locked(Box::new(Locked::new(handle, options)?)),
            EngineKind::PacketQueue(choices) => {
                let core = Queue::new(choices, shared::lanes(&options));
                Form::Queue(Box::new(Shared::new(handle, &options, core)))
            }
            EngineKind::Segments(choices) => {
                let core = SharedSegments::new(&options, choices);
                Form::Segments(Box::new(Shared::new(handle, &options, core)))
            }
            _ => Form::Locked(Box::new(Locked::new(handle, options)?)),
        };
        Ok(SharedHandle { form })
    }

    /// Shows an indication, received on `queue` and indicated on `cpu`: see [`Adapter::tap`](crate::Adapter::tap).
    pub fn tap<H: Host>(
        &self,
        now: u64,
        cpu: u16,
        queue: u16,
        frames: &[Frame<'_>],
        host: &mut H,
    ) -> TapWork {
        let source = Source::received(now, cpu, queue);
        form!(self, own => own.tap(source, frames, host), all => all.tap(source, frames, host))
    }

    /// Fills a user buffer: see [`Adapter::read`](crate::Adapter::read). Never waits for packets.
    ///
    /// # Errors
    ///
    /// As [`Adapter::read`](crate::Adapter::read); another thread that reads makes this one busy.
    pub fn read<H: Host>(&self, now: u64, out: &mut [u8], host: &mut H) -> Result<Read, ReadError> {
        form!(self, own => own.read(now, out, host), all => all.read(now, out, host))
    }

    /// A reader of shared buffers, to be polled with [`SharedHandle::poll`].
    ///
    /// # Errors
    ///
    /// A design that shares no buffers.
    pub fn zero_copy_reader(&self) -> Result<ZeroCopyReader, ViewError> {
        form!(self,
            own => Err(ViewError::NotShared { handle: own.id }),
            all => all.look(|adapter| ZeroCopyReader::new(adapter, all.id)))
    }

    /// The reader of shared buffers comes: see [`ZeroCopyReader::poll`].
    ///
    /// # Errors
    ///
    /// As there; a design that shares no buffers.
    pub fn poll<H: Host>(
        &self,
        now: u64,
        reader: &mut ZeroCopyReader,
        host: &mut H,
    ) -> Result<Taken, ViewError> {
        form!(self,
            own => Err(ViewError::NotShared { handle: own.id }),
            all => all.with(now, host, |adapter, host| reader.poll(now, adapter, host)))
    }

    /// The worker takes up to `max` requests off its queue: see [`Adapter::work`](crate::Adapter::work). Nothing is done
    /// for a design that has no worker.
    pub fn work<H: Host>(&self, now: u64, max: u32, host: &mut H) -> Work {
        form!(self,
        _own => Work::default(),
        all => all.with(now, host, |adapter, host| {
            adapter.work(now, all.id, max, host).unwrap_or_default()
        }))
    }

    /// Writes up to `max` packets to the dump file of a handle opened in dump mode: see
    /// [`Adapter::dump`](crate::Adapter::dump).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn dump<H: Host>(
        &self,
        now: u64,
        max: u32,
        host: &mut H,
    ) -> Result<DumpStep, ControlError> {
        form!(self,
            own => Err(ControlError::NotDumping { handle: own.id }),
            all => all.with(now, host, |adapter, host| adapter.dump(now, all.id, max, host)))
    }

    /// Packets that wait for the worker.
    pub fn pending(&self) -> u64 {
        form!(self, _own => 0, all => all.look(|adapter| adapter.pending(all.id)))
    }

    /// Whether a reader that comes now is served without waiting: see [`Adapter::ready`](crate::Adapter::ready).
    pub fn ready(&self) -> bool {
        form!(self, own => own.ready(), all => all.look(|adapter| adapter.ready(all.id)))
    }

    /// Whether the read event is set.
    pub fn event_set(&self) -> bool {
        form!(self, own => own.event_set(), all => all.look(|adapter| adapter.event_set(all.id)))
    }

    /// The account. While others tap or read, each of its numbers is of some moment of the call.
    pub fn counters(&self) -> HandleCounters {
        form!(self,
            own => own.counters(),
            all => all.look(|adapter| adapter.counters(all.id).copied().unwrap_or_default()))
    }

    /// The driver's statistics.
    pub fn stats(&self) -> Stats {
        form!(self,
            own => own.stats(),
            all => all.look(|adapter| adapter.stats(all.id).unwrap_or_default()))
    }

    /// How full the buffer is.
    pub fn occupancy(&self) -> Occupancy {
        form!(self, own => own.occupancy(), all => all.look(|adapter| adapter.occupancy(all.id)))
    }

    /// Packets in the buffer.
    pub fn queued(&self) -> u64 {
        form!(self, own => own.queued(), all => all.look(|adapter| adapter.queued(all.id)))
    }

    /// Sets the size of the kernel buffer: see [`Adapter::set_buffer_size`](crate::Adapter::set_buffer_size).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn set_buffer_size<H: Host>(
        &self,
        now: u64,
        bytes: u64,
        host: &mut H,
    ) -> Result<(), ControlError> {
        form!(self,
        own => own.set_buffer_size(now, bytes, host),
        all => all.control(now, host, |adapter, host| {
            adapter.set_buffer_size(now, all.id, bytes, host)
        }))
    }

    /// Sets or removes the filter: see [`Adapter::set_filter`](crate::Adapter::set_filter).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn set_filter<H: Host>(
        &self,
        now: u64,
        filter: Option<Filter>,
        reset: FilterReset,
        host: &mut H,
    ) -> Result<(), ControlError> {
        form!(self,
            own => {
                own.set_filter(now, filter, reset, host);
                Ok(())
            },
            all => all.set_filter(now, filter, reset, host))
    }

    /// Sets the most bytes kept of each later frame: see [`Adapter::set_snaplen`](crate::Adapter::set_snaplen).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn set_snaplen<H: Host>(
        &self,
        now: u64,
        bytes: u32,
        host: &mut H,
    ) -> Result<(), ControlError> {
        form!(self,
            own => own.set_snaplen(now, bytes, host),
            all => all.set_snaplen(now, bytes, host))
    }

    /// Sets how many bytes must be queued before the reader is woken: see
    /// [`Adapter::set_min_to_copy`](crate::Adapter::set_min_to_copy).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn set_min_to_copy<H: Host>(
        &self,
        now: u64,
        bytes: u64,
        host: &mut H,
    ) -> Result<(), ControlError> {
        form!(self,
        own => {
            own.set_min_to_copy(now, bytes, host);
            Ok(())
        },
        all => all.control(now, host, |adapter, host| {
            adapter.set_min_to_copy(now, all.id, bytes, host)
        }))
    }

    /// Sets whether each packet wakes the reader: see [`Adapter::set_immediate`](crate::Adapter::set_immediate).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn set_immediate<H: Host>(
        &self,
        now: u64,
        on: bool,
        host: &mut H,
    ) -> Result<(), ControlError> {
        form!(self,
        own => {
            own.set_immediate(now, on, host);
            Ok(())
        },
        all => all.control(now, host, |adapter, host| {
            adapter.set_immediate(now, all.id, on, host)
        }))
    }

    /// The adapter is removed: see [`Adapter::remove`](crate::Adapter::remove).
    pub fn remove<H: Host>(&self, now: u64, host: &mut H) {
        form!(self,
            own => own.remove(now, host),
            all => all.control(now, host, |adapter, host| adapter.remove(now, host)));
    }

    /// Closes the handle: see [`Adapter::close`](crate::Adapter::close). Gives its final account, in which nothing is queued
    /// any more.
    pub fn close<H: Host>(self, now: u64, host: &mut H) -> HandleCounters {
        form!(self, own => own.close(now, host), all => all.close(now, host))
    }
}
