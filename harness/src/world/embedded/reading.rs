//! The reading applications: how a reader's rhythm becomes reads, and reads become jobs.

use super::Embedded;
use super::program::Back;
use crate::event::WorldEvent;
use crate::world::cpu::Work;
use crate::world::reader::{State, Step};
use crate::world::schedule::Action;
use npf_core::{ReadStep, Taken};

impl Embedded {
    /// A read begins, or goes on after a step of copying.
    pub(super) fn continue_read(&mut self, handle: u32) {
        if self.readers[handle as usize].shared.is_some() {
            return self.take_shared(handle);
        }
        let is_program = self.is_program(handle);
        let reader = &mut self.readers[handle as usize];
        let book = self.book.get_mut();
        let read = match self.adapter.read_step(self.now, handle, &mut reader.buffer, book) {
            Ok(ReadStep::Copying { bytes }) => {
                let bytes = bytes as u64;
                reader.copied += bytes;
                let cpu = reader.cpu;
                return self.submit(cpu, Work::Copy { handle, bytes });
            }
            Ok(ReadStep::Done(read)) => read,
            Err(error) => {
                reader.was_refused(self.now);
                return match is_program {
                    true => self.give_back(Back::Read(Err(error))),
                    false => self.continue_reader(handle),
                };
            }
        };
        let (bytes, packets) = (read.bytes as u64, u64::from(read.packets));
        reader.copied = reader.copied.min(bytes);
        self.did_read(handle, bytes, packets, Back::Read(Ok(read)));
    }

    /// The reader looks at the shared buffers; nothing is copied.
    fn take_shared(&mut self, handle: u32) {
        let (now, adapter) = (self.now, &mut self.adapter);
        let reader = &mut self.readers[handle as usize];
        let Some(shared) = &mut reader.shared else { return };
        let book = self.book.get_mut();
        // It comes when a buffer is ready or when it has waited; in the second case its first look
        // finds nothing, and the next one asks for a rotation.
        let taken = match shared.poll(now, adapter, book) {
            Ok(taken) if taken.waits => shared.poll(now, adapter, book),
            taken => taken,
        };
        // A child that does not see what the kernel has handed over would look again at once, for
        // ever; here it waits for its time-out.
        let blind = |taken: &Taken| taken.records == 0 && adapter.ready(handle);
        let Some(taken) = taken.ok().filter(|taken| !blind(taken)) else {
            reader.was_refused(now);
            return match self.is_program(handle) {
                true => self.give_back(Back::Taken(taken)),
                false => self.continue_reader(handle),
            };
        };
        let bytes = taken.bytes as u64;
        reader.copied = bytes;
        self.did_read(handle, bytes, taken.packets.into(), Back::Taken(Ok(taken)));
    }

    fn did_read(&mut self, handle: u32, bytes: u64, packets: u64, back: Back) {
        let reader = &mut self.readers[handle as usize];
        reader.did_read(self.now, bytes, packets);
        if let Some(Some(writer)) = self.book.get_mut().writers.get_mut(handle as usize) {
            reader.written = writer.since_last();
        }
        if packets > 0 {
            let cpu = reader.cpu;
            self.submit(cpu, Work::Consume { handle });
        }
        if self.is_program(handle) {
            self.give_back(back);
        } else if packets == 0 {
            self.continue_reader(handle);
        }
    }

    /// The reading process forks; the scenario says which of the two goes on reading.
    pub(super) fn fork(&mut self, handle: u32) {
        let reader = &mut self.readers[handle as usize];
        let Some(shared) = &mut reader.shared else { return };
        // A handle that was closed meanwhile has nothing to share.
        let Ok(child) = self.adapter.fork(handle, shared.process()) else { return };
        if self.child_reads[handle as usize] {
            *shared = shared.in_child(child);
        }
        let event = WorldEvent::Forked { handle, child };
        self.book.get_mut().world_event(self.now, event);
    }

    /// A waiting reader is woken: by the read event or by its timeout.
    pub(super) fn wake_reader(&mut self, handle: u32) {
        let reader = &mut self.readers[handle as usize];
        reader.state = State::Busy;
        reader.was_asleep = true;
        self.may_read(handle);
    }

    /// A reader that is not on a CPU goes on with its rhythm.
    pub(super) fn continue_reader(&mut self, handle: u32) {
        let reader = &mut self.readers[handle as usize];
        if let Some(shared) = &mut reader.shared {
            // What it took last goes back before it waits. A handle that was closed has nothing to take.
            let _ = shared.acknowledge(&mut self.adapter);
        }
        let ready = self.adapter.ready(handle);
        let book = self.book.get_mut();
        match reader.next(self.now, ready) {
            Step::Read => self.may_read(handle),
            Step::Wait { token, timeout_at } => {
                book.world_event(self.now, WorldEvent::ReaderWaits { handle });
                if let Some(at) = timeout_at {
                    self.schedule.add(at, Action::ReadTimeout { handle, token });
                }
            }
            Step::Sleep { until, stall } => {
                if stall {
                    book.world_event(self.now, WorldEvent::ReaderStalls { handle, until });
                }
                self.schedule.add(until, Action::ReaderResumes { handle });
            }
            Step::Stop => book.world_event(self.now, WorldEvent::ReaderStops { handle }),
        }
    }
}
