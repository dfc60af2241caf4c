//! A program from outside that reads one handle, instead of the reader of the scenario: the world
//! stands still while it runs, and plays on while it waits, reads or sleeps.
//!
//! Contract: what it does costs what it costs the scenario's reader, on the same CPU, and the same
//! stalls and periods keep it from reading; a program that waits, reads and waits again therefore gives
//! the same events at the same picoseconds. Time to look at what a read gave is charged for the whole
//! bufferful when it was read. Its own buffer and time-out hold, whatever controls of the scenario say.

use super::{Embedded, Watch};
use crate::world::book::Book;
use crate::world::control::Closed;
use crate::world::cpu::Work;
use crate::world::outcome::{End, Finished};
use crate::world::reader::State;
use crate::world::schedule::Action;
use npf_core::{
    Adapter, ControlError, DUMP_PERIOD_PS, HandleCounters, Injected, Mode, Read, ReadError, Taken,
    ViewError, ZeroCopyReader,
};

/// The program and what it was given last.
pub(super) struct Program {
    handle: u32,
    back: Option<Back>,
    /// The bufferful that it looks at is not paid for yet.
    looking: bool,
    sleeping: bool,
    /// It has looked for shared buffers and found none.
    looked: bool,
    /// The thread that writes its dump file looks from time to time.
    dumps: bool,
}

/// Why the world stands still.
pub(super) enum Back {
    /// It may read.
    MayRead,
    /// A read is over.
    Read(Result<Read, ReadError>),
    /// A look at shared buffers is over.
    Taken(Result<Taken, ViewError>),
    /// It has slept, or a call has taken its time.
    Slept,
}

impl Embedded {
    /// A program reads `handle`; nothing may have been played yet.
    pub fn attach(&mut self, handle: u32) {
        let dumps = self.adapter.dump_ended(handle).is_ok();
        let (looking, sleeping, looked) = (false, false, false);
        self.program = Some(Program { handle, back: None, looking, sleeping, looked, dumps });
    }

    /// Virtual time in picoseconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// The program waits until it may read, for `timeout_ps` at most; `None` waits for ever. Whether it
    /// is served without waiting then.
    ///
    /// # Errors
    /// The run ended before.
    pub fn wait(&mut self, timeout_ps: Option<u64>, watch: &mut impl Watch) -> Result<bool, End> {
        let handle = self.look_through(watch)?;
        if timeout_ps == Some(0) {
            return Ok(self.adapter.ready(handle));
        }
        self.readers[handle as usize].read_timeout_ps = timeout_ps.unwrap_or(0);
        self.continue_reader(handle);
        if self.finished() {
            return Err(End::Complete);
        }
        self.until_back(watch)?;
        Ok(self.adapter.ready(handle))
    }

    /// The program reads into `out`.
    ///
    /// # Errors
    /// The run ended before.
    pub fn read(
        &mut self,
        out: &mut [u8],
        watch: &mut impl Watch,
    ) -> Result<Result<Read, ReadError>, End> {
        let handle = self.look_through(watch)?;
        let reader = &mut self.readers[handle as usize];
        if reader.buffer.len() != out.len() {
            reader.next_buffer = Some(out.len());
        }
        // Counters are read, also where packets are taken out of shared buffers.
        let shared = reader.shared.take();
        self.go_and_read(handle);
        let back = self.until_back(watch);
        self.readers[handle as usize].shared = shared;
        let Back::Read(read) = back? else { return Ok(Ok(Read::default())) };
        if let Ok(read) = read {
            let buffer = &self.readers[handle as usize].buffer;
            out[..read.bytes].copy_from_slice(&buffer[..read.bytes]);
        }
        Ok(read)
    }

    /// The program looks at shared buffers through `reader`. The first look gives back what the last
    /// one took; it sees no more than that there is nothing yet, and costs nothing. The next one takes.
    ///
    /// # Errors
    /// The run ended before.
    pub fn poll(
        &mut self,
        reader: &mut ZeroCopyReader,
        watch: &mut impl Watch,
    ) -> Result<Result<Taken, ViewError>, End> {
        let handle = self.look_through(watch)?;
        let Some(shared) = &self.readers[handle as usize].shared else {
            return Ok(Err(ViewError::NotShared { handle }));
        };
        if shared.process() != reader.process() {
            // The scenario has forked the program.
            *reader = reader.in_child(shared.process());
        }
        let Some(program) = &mut self.program else { return Ok(Ok(Taken::default())) };
        program.looked = !program.looked;
        if program.looked {
            let acknowledged = reader.acknowledge(&mut self.adapter);
            return Ok(acknowledged.map(|()| Taken { waits: true, ..Taken::default() }));
        }
        self.lend(handle, reader);
        self.go_and_read(handle);
        let back = self.until_back(watch);
        self.lend(handle, reader);
        let Back::Taken(taken) = back? else { return Ok(Ok(Taken::default())) };
        Ok(taken)
    }

    /// The program sleeps until `until`.
    ///
    /// # Errors
    /// The run ended before.
    pub fn sleep(&mut self, until: u64, watch: &mut impl Watch) -> Result<(), End> {
        let handle = self.look_through(watch)?;
        if until <= self.now {
            return Ok(());
        }
        if let Some(program) = &mut self.program {
            program.sleeping = true;
        }
        self.readers[handle as usize].state = State::Sleeping;
        self.schedule.add(until, Action::ReaderResumes { handle });
        self.until_back(watch).map(|_| ())
    }

    /// The program asks its handle for something; packets may be lost to that.
    pub fn ask<T>(&mut self, ask: impl FnOnce(u64, &mut Adapter, &mut Book) -> T) -> T {
        let handle = self.program_handle();
        let book = self.book.get_mut();
        book.oracle.controlling(handle, true);
        let answer = ask(self.now, &mut self.adapter, book);
        book.oracle.controlling(handle, false);
        answer
    }

    /// The program sets the mode of its handle.
    ///
    /// # Errors
    /// What the adapter refuses.
    pub fn set_mode(&mut self, mode: Mode) -> Result<(), ControlError> {
        let handle = self.program_handle();
        if let Mode::Dump(limits) = mode {
            self.book.get_mut().oracle.dump_limits(handle, limits);
        }
        self.ask(|now, adapter, book| adapter.set_mode(now, handle, mode, book))?;
        if let (Mode::Dump(_), Some(program)) = (mode, &mut self.program)
            && !std::mem::replace(&mut program.dumps, true)
        {
            self.schedule.add(self.now + DUMP_PERIOD_PS, Action::DumpPeriod { handle });
        }
        Ok(())
    }

    /// The program closes its handle.
    ///
    /// # Errors
    /// It is closed already.
    pub fn close(&mut self) -> Result<HandleCounters, ControlError> {
        let handle = self.program_handle();
        let stats = self.adapter.stats(handle).unwrap_or_default();
        let occupancy = self.adapter.occupancy(handle);
        let counters = self.ask(|now, adapter, book| adapter.close(now, handle, book))?;
        self.closed[handle as usize] = Some(Closed { counters, stats, occupancy });
        self.readers[handle as usize].stop();
        Ok(counters)
    }

    /// The program sends as `send` says, which gets the time, the CPU and the handle.
    ///
    /// # Errors
    /// The run ended before it was through.
    pub fn send<E>(
        &mut self,
        watch: &mut impl Watch,
        send: impl FnOnce(u64, u16, u32, &mut Adapter, &mut Book) -> (Injected, E),
    ) -> Result<E, End> {
        let handle = self.look_through(watch)?;
        let cpu = self.readers[handle as usize].cpu;
        let book = self.book.get_mut();
        book.oracle.tapping(cpu);
        let (injected, answer) = send(self.now, cpu, handle, &mut self.adapter, book);
        self.put_on_the_wire();
        let cost = self.cost_of_sending(injected.work);
        self.submit(cpu, Work::Call { handle, cost });
        self.until_back(watch).map(|_| answer)
    }

    /// Ends the run where it is.
    #[must_use]
    pub fn stop(self, end: End) -> Finished {
        self.finish(end)
    }

    /// The reader may read: it does, unless a program decides that.
    pub(super) fn may_read(&mut self, handle: u32) {
        if self.is_program(handle) {
            self.give_back(Back::MayRead);
        } else {
            self.submit(self.readers[handle as usize].cpu, Work::Read { handle });
        }
    }

    /// What a read gave has been looked through.
    pub(super) fn looked_through(&mut self, handle: u32) {
        match &mut self.program {
            Some(program) if program.handle == handle => program.looking = false,
            _ => self.continue_reader(handle),
        }
    }

    /// A reader that slept is awake.
    pub(super) fn resume_reader(&mut self, handle: u32) {
        self.readers[handle as usize].was_asleep = true;
        match &mut self.program {
            Some(program) if program.handle == handle && program.sleeping => {
                program.sleeping = false;
                self.give_back(Back::Slept);
            }
            _ => self.continue_reader(handle),
        }
    }

    /// A call has taken its time.
    pub(super) fn called(&mut self, handle: u32) {
        if self.is_program(handle) {
            self.give_back(Back::Slept);
        }
    }

    /// Whether a program reads the handle.
    pub(super) fn is_program(&self, handle: u32) -> bool {
        self.program.as_ref().is_some_and(|program| program.handle == handle)
    }

    /// The world stands still and the program goes on; `looking` if it got packets, for which it pays.
    pub(super) fn give_back(&mut self, back: Back) {
        let Some(program) = &mut self.program else { return };
        program.looking = match &back {
            Back::Read(Ok(read)) => read.packets > 0,
            Back::Taken(Ok(taken)) => taken.packets > 0,
            _ => false,
        };
        program.back = Some(back);
    }

    fn program_handle(&self) -> u32 {
        self.program.as_ref().map_or(0, |program| program.handle)
    }

    /// Time passes until the last bufferful is looked through. Gives the handle.
    fn look_through(&mut self, watch: &mut impl Watch) -> Result<u32, End> {
        let looking = |world: &Self| world.program.as_ref().is_some_and(|program| program.looking);
        match self.play(watch, |world| !looking(world)) {
            Some(end) => Err(end),
            None => Ok(self.program_handle()),
        }
    }

    fn go_and_read(&mut self, handle: u32) {
        let reader = &mut self.readers[handle as usize];
        reader.state = State::Busy;
        let cpu = reader.cpu;
        self.submit(cpu, Work::Read { handle });
    }

    /// Exchanges the program's reader of shared buffers with the world's.
    fn lend(&mut self, handle: u32, reader: &mut ZeroCopyReader) {
        if let Some(shared) = &mut self.readers[handle as usize].shared {
            std::mem::swap(shared, reader);
        }
    }

    fn until_back(&mut self, watch: &mut impl Watch) -> Result<Back, End> {
        let end = self.play(watch, |world| {
            world.program.as_ref().is_some_and(|program| program.back.is_some())
        });
        match (end, self.program.as_mut().and_then(|program| program.back.take())) {
            (None, Some(back)) => Ok(back),
            (end, _) => Err(end.unwrap_or(End::Complete)),
        }
    }
}
