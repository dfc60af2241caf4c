//! The laboratory for a program of one's own: a [`Platform`] over the embedded world, so that a program
//! written with [`npf_core::capture`] reads one handle of a scenario instead of the scenario's reader.
//!
//! Contract: a capture begins with what the scenario says about its handle, at virtual time 0; what the
//! program sets differently is asked of the open handle by controls, and the design of its buffer is the
//! scenario's. Its calls cost what they cost the scenario's reader: a program that sets nothing, reads
//! by bufferfuls and never breaks gives the run that `rxlab run` gives, to the last event. When the
//! scenario is over, waits find [`Waited::Ended`]; a program that stops earlier ends the run there, and
//! what was under way is held.
//!
//! What differs from `rxlab run`: a scenario's controls of user buffer and read time-out do not reach
//! the program, whose own settings hold; and its looks at shared buffers come in pairs, as libpcap's do,
//! the first of which is free.

use super::embedded::{Embedded, Watch};
use super::engine::{engine_kind, kernel_buffer, mode};
use super::outcome::{End, Finished};
use super::setup::Parts;
use crate::scenario::Scenario;
use npf_core::capture::{CaptureError, Platform, Settings, Waited};
use npf_core::{
    Adapter, ControlError, HandleCounters, HandleOptions, Injected, Mode, Read, ReadError,
    RecordFormat, Taken, Transmission, Transmitted, ViewError, ZeroCopyReader,
};

/// See the module's contract.
pub struct Laboratory<W: Watch> {
    world: Embedded,
    watch: W,
    handle: u32,
    settings: Settings,
    /// The handle as it is.
    options: HandleOptions,
    /// A capture has it.
    open: bool,
    end: Option<End>,
}

impl<W: Watch> Laboratory<W> {
    /// A laboratory in which a program will read `handle`; `parts` are those of the scenario.
    ///
    /// # Errors
    /// [`CaptureError::NoSuchDevice`] if the scenario has no such handle.
    pub fn new(
        scenario: &Scenario,
        parts: Parts,
        handle: u32,
        watch: W,
    ) -> Result<Self, CaptureError> {
        let known = scenario.handle.get(handle as usize).ok_or(CaptureError::NoSuchDevice)?;
        let settings = settings(known);
        let mut world = Embedded::new(scenario, parts);
        world.attach(handle);
        world.begin();
        let options = settings.options();
        Ok(Self { world, watch, handle, settings, options, open: false, end: None })
    }

    /// Virtual time in picoseconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.world.now()
    }

    /// Ends the run, where it is if it is not over.
    #[must_use]
    pub fn finish(self) -> Finished {
        self.world.stop(self.end.unwrap_or(End::Complete))
    }

    /// Lets the world play for the program, unless it is over; `otherwise` is what the program sees
    /// then.
    fn play<T>(
        &mut self,
        otherwise: T,
        play: impl FnOnce(&mut Embedded, &mut W) -> Result<T, End>,
    ) -> T {
        if self.end.is_some() {
            return otherwise;
        }
        play(&mut self.world, &mut self.watch).unwrap_or_else(|end| {
            self.end = Some(end);
            otherwise
        })
    }

    /// How a wait ended, which took its time if the world is not over.
    fn waited(&self, waited: Waited) -> Waited {
        match self.end {
            None => waited,
            Some(End::Interrupted) => Waited::Interrupted,
            Some(_) => Waited::Ended,
        }
    }
}

impl<W: Watch> Platform for Laboratory<W> {
    type Host = super::book::Book;

    fn with<T>(&mut self, ask: impl FnOnce(u64, &mut Adapter, &mut Self::Host) -> T) -> T {
        self.world.ask(ask)
    }

    fn settings(&self) -> Settings {
        self.settings.clone()
    }

    fn open(&mut self, asked: HandleOptions) -> Result<u32, CaptureError> {
        let Self { handle, options: is, .. } = self;
        let handle = *handle;
        if self.open {
            return Err(CaptureError::InUse);
        }
        if asked.engine != is.engine || asked.markers != is.markers || asked.mode != is.mode {
            return Err(CaptureError::EngineIsFixed);
        }
        self.world.ask(|now, adapter, book| -> Result<(), ControlError> {
            if asked.kernel_buffer != is.kernel_buffer {
                adapter.set_buffer_size(now, handle, asked.kernel_buffer, book)?;
                is.kernel_buffer = asked.kernel_buffer;
            }
            if asked.snaplen != is.snaplen {
                adapter.set_snaplen(now, handle, asked.snaplen, book)?;
                is.snaplen = asked.snaplen;
            }
            if asked.min_to_copy != is.min_to_copy {
                adapter.set_min_to_copy(now, handle, asked.min_to_copy, book)?;
                is.min_to_copy = asked.min_to_copy;
            }
            if asked.immediate != is.immediate {
                adapter.set_immediate(now, handle, asked.immediate, book)?;
                is.immediate = asked.immediate;
            }
            Ok(())
        })?;
        self.open = true;
        Ok(handle)
    }

    fn close(&mut self, _handle: u32) -> Result<HandleCounters, ControlError> {
        self.world.close()
    }

    fn set_mode(&mut self, _handle: u32, mode: Mode) -> Result<(), ControlError> {
        self.world.set_mode(mode)
    }

    fn wait(&mut self, _handle: u32, timeout_ps: Option<u64>) -> Waited {
        let ready = self.play(false, |world, watch| world.wait(timeout_ps, watch));
        self.waited(if ready { Waited::Ready } else { Waited::TimedOut })
    }

    fn sleep(&mut self, _handle: u32, until: u64) -> Waited {
        self.play((), |world, watch| world.sleep(until, watch));
        self.waited(Waited::TimedOut)
    }

    fn read(&mut self, _handle: u32, out: &mut [u8]) -> Result<Read, ReadError> {
        self.play(Ok(Read::default()), |world, watch| world.read(out, watch))
    }

    fn poll(&mut self, _handle: u32, reader: &mut ZeroCopyReader) -> Result<Taken, ViewError> {
        // Who is told to wait learns by that that it is over.
        let over = Taken { waits: true, ..Taken::default() };
        self.play(Ok(over), |world, watch| world.poll(reader, watch))
    }

    fn inject(&mut self, _handle: u32, frame: &[u8]) -> Result<Injected, CaptureError> {
        self.play(Err(CaptureError::CannotSend), |world, watch| {
            world.send(watch, |now, cpu, handle, adapter, book| {
                let sent = adapter.inject(now, cpu, handle, frame, book);
                (sent.unwrap_or_default(), sent.map_err(CaptureError::from))
            })
        })
    }

    fn transmit(
        &mut self,
        _handle: u32,
        queue: &[u8],
        transmission: &mut Transmission,
    ) -> Result<Transmitted, CaptureError> {
        self.play(Err(CaptureError::CannotSend), |world, watch| {
            world.send(watch, |now, cpu, handle, adapter, book| {
                let sent = adapter.transmit(now, cpu, handle, queue, transmission, book);
                (
                    sent.map(|sent| sent.injected).unwrap_or_default(),
                    sent.map_err(CaptureError::from),
                )
            })
        })
    }
}

/// What a capture begins with: what the scenario says about its handle.
fn settings(handle: &crate::scenario::Handle) -> Settings {
    let engine = engine_kind(handle);
    let bytes = kernel_buffer(handle);
    let bsd = matches!(engine.record_format(), RecordFormat::Bsd(_));
    Settings {
        engine,
        snaplen: handle.snaplen,
        timeout_ps: handle.read_timeout.0,
        immediate: handle.immediate,
        kernel_buffer: Some(bytes),
        user_buffer: (!bsd).then_some(handle.user_buffer.0 as usize),
        min_to_copy: (!bsd).then_some(handle.min_to_copy.0),
        mode: mode(handle.mode, handle),
        markers: handle.markers,
        ..Settings::default()
    }
}
