//! What a scenario's controls do while it runs: each as the program that holds the handle would ask
//! for it, at its time, taking none.
//!
//! Contract: controls are prepared before the run, so that what is wrong with a filter is found then.
//! One that the core refuses is told as an event and changes nothing; a control on a handle that was
//! closed before is one of those.

use super::book::Book;
use super::engine;
use super::reader::Reader;
use crate::event::WorldEvent;
use crate::scenario;
use npf_core::filter::Filter;
use npf_core::{Adapter, ControlError, FilterReset, HandleCounters, Occupancy, Stats};

/// A control of one handle, ready to be carried out.
#[derive(Clone, Debug)]
pub struct Control {
    /// What the scenario says.
    pub asked: scenario::Control,
    /// Its filter: `None` if it has none, `Some(None)` to remove the filter.
    pub filter: Option<Option<Filter>>,
    /// Its mode, with limits.
    pub mode: Option<npf_core::Mode>,
}

/// What is left of a handle that was closed.
#[derive(Clone, Debug)]
pub struct Closed {
    /// Its final account.
    pub counters: HandleCounters,
    /// What the driver's statistics said last.
    pub stats: Stats,
    /// How full it was before.
    pub occupancy: Occupancy,
}

/// Carries a control out; gives what is left if it closes the handle.
pub fn carry_out(
    now: u64,
    handle: u32,
    control: &Control,
    adapter: &mut Adapter,
    reader: &mut Reader,
    book: &mut Book,
) -> Option<Closed> {
    let Control { asked, filter, .. } = control;
    if let Some(bytes) = asked.user_buffer
        && !reader.exact
    {
        reader.next_buffer = Some(bytes.0 as usize);
    }
    if let Some(timeout) = asked.read_timeout {
        reader.read_timeout_ps = timeout.0;
    }
    let mut ask = Ask { now, handle, adapter, book };
    if let Some(bytes) = asked.min_to_copy {
        ask.of(|a, book| a.set_min_to_copy(now, handle, bytes.0, book));
    }
    if let Some(on) = asked.immediate {
        ask.of(|a, book| a.set_immediate(now, handle, on, book));
    }
    if let Some(snaplen) = asked.snaplen {
        ask.of(|a, book| a.set_snaplen(now, handle, snaplen, book));
    }
    if let Some(direction) = asked.direction {
        ask.of(|a, book| a.set_direction(now, handle, engine::direction(direction), book));
    }
    if let Some(on) = asked.skip_own {
        ask.of(|a, book| a.set_skip_own(now, handle, on, book));
    }
    if let Some(mode) = control.mode {
        ask.of(|a, book| a.set_mode(now, handle, mode, book));
    }
    if let Some(bytes) = asked.kernel_buffer {
        ask.of(|a, book| a.set_buffer_size(now, handle, bytes.0, book));
    }
    if let Some(filter) = filter {
        let reset = if asked.keep { FilterReset::No } else { FilterReset::Yes };
        ask.of(|a, book| a.set_filter(now, handle, filter.clone(), reset, book));
    }
    if !asked.close {
        return None;
    }
    let stats = ask.adapter.stats(handle).unwrap_or_default();
    let occupancy = ask.adapter.occupancy(handle);
    let counters = ask.of(|a, book| a.close(now, handle, book))?;
    Some(Closed { counters, stats, occupancy })
}

/// Asks the adapter for one thing.
struct Ask<'a> {
    now: u64,
    handle: u32,
    adapter: &'a mut Adapter,
    book: &'a mut Book,
}

impl Ask<'_> {
    /// The oracle knows, while a control is at work, that packets may be lost to it.
    fn of<T>(
        &mut self,
        ask: impl FnOnce(&mut Adapter, &mut Book) -> Result<T, ControlError>,
    ) -> Option<T> {
        self.book.oracle.controlling(self.handle, true);
        let answer = ask(self.adapter, self.book);
        self.book.oracle.controlling(self.handle, false);
        if answer.is_err() {
            let event = WorldEvent::ControlRefused { handle: self.handle };
            self.book.world_event(self.now, event);
        }
        answer.ok()
    }
}
