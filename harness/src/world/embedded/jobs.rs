//! What the virtual CPUs work on: interrupt handlers, polls, workers, reads; what each does when it
//! starts and ends, and how long it takes.

use super::Embedded;
use crate::event::WorldEvent;
use crate::world::cpu::{Next, Work};
use crate::world::driver_control;
use crate::world::port::Port;
use crate::world::schedule::Action;
use crate::world::tap::Tap;
use driver::{Interrupt, Moderation};
use npf_core::{DUMP_PERIOD_PS, TapWork};

/// Requests that a worker takes in one job, at most; between jobs a more urgent one gets the CPU.
const WORKER_BATCH: u32 = 16;

/// Packets that a dump thread writes in one job, at most.
const DUMP_BATCH: u32 = 64;

impl Embedded {
    pub(super) fn submit(&mut self, cpu: u16, work: Work) {
        let next = self.cpus[usize::from(cpu)].submit(self.now, work);
        self.start(cpu, next);
    }

    pub(super) fn start(&mut self, cpu: u16, next: Next) {
        if let Next::Start(work) = next {
            let cost = self.begin_job(cpu, work);
            self.cpus[usize::from(cpu)].run(self.now, work, cost, &mut self.schedule);
        }
    }

    /// A job starts on `cpu`: what it does first, and how long it will take.
    fn begin_job(&mut self, cpu: u16, work: Work) -> u64 {
        let costs = &self.costs;
        match work {
            Work::Interrupt { vector } => {
                self.pending[usize::from(vector)] = false;
                let event = WorldEvent::InterruptServed { vector, cpu };
                self.book.get_mut().world_event(self.now, event);
                costs.interrupt_entry.0
            }
            Work::Stolen { ps } => ps,
            Work::Timer { .. } => costs.interrupt_entry.0,
            Work::Poll { queue } => self.begin_poll(cpu, queue),
            Work::Kick => costs.kick.0,
            Work::Worker { handle, asleep } => self.begin_worker(handle, asleep),
            Work::Dump { handle, asleep } => self.begin_dump(handle, asleep),
            Work::Send { handle, index } => self.begin_send(cpu, handle, index),
            Work::Copy { bytes, .. } => bytes * costs.copy_byte.0,
            Work::Call { cost, .. } => cost,
            Work::Read { handle } => {
                let asleep = self.readers[handle as usize].was_asleep;
                costs.system_call.0 + if asleep { costs.wake_up.0 } else { 0 }
            }
            Work::Consume { handle } => {
                let reader = &self.readers[handle as usize];
                let (bytes, packets) = reader.last;
                let frame = costs.read_record.0 + reader.frame_ps;
                let (copied, writes) = reader.written;
                // The standard library's buffer is one copy, the file system's another.
                let writing = copied * 2 * costs.copy_byte.0
                    + writes * (costs.system_call.0 + costs.file_write.0);
                (bytes - reader.copied) * costs.copy_byte.0
                    + bytes * costs.reader_byte.0
                    + packets * frame
                    + writing
            }
        }
    }

    /// A job has run to its end.
    pub(super) fn end_job(&mut self, work: Work) {
        match work {
            Work::Interrupt { vector } => self.serve_interrupt(vector),
            Work::Timer { queue } => {
                self.submit(self.queue_cpu[usize::from(queue)], Work::Poll { queue });
            }
            Work::Poll { queue } => self.end_poll(queue),
            Work::Kick | Work::Stolen { .. } => {}
            Work::Worker { handle, .. } => self.end_worker(handle),
            Work::Dump { handle, .. } => self.end_dump(handle),
            Work::Send { handle, index } => {
                let cpu = self.readers[handle as usize].cpu;
                self.end_send(cpu, handle, index);
            }
            Work::Read { handle } => {
                self.readers[handle as usize].begin_read();
                self.continue_read(handle);
            }
            Work::Copy { handle, .. } => self.continue_read(handle),
            Work::Consume { handle } => self.looked_through(handle),
            Work::Call { handle, .. } => self.called(handle),
        }
    }

    fn serve_interrupt(&mut self, vector: u16) {
        let mut port = Port { now: self.now, device: &mut self.device, book: &self.book };
        // A driver that resets its device finds frames there.
        let (cpu, work) =
            (self.queue_cpu[usize::from(vector.saturating_sub(1))], TapWork::default());
        let mut tap =
            Tap { cpu, adapter: &mut self.adapter, book: &self.book, work, lent: &mut self.lent };
        let interrupt = self.driver.interrupt(self.now, vector, &mut port, &mut tap);
        if let Interrupt::Poll(queue) = interrupt {
            self.submit(self.queue_cpu[usize::from(queue)], Work::Poll { queue });
        }
    }

    /// The driver's timers: a busy poller is on its CPU anyway, all others are interrupted for a poll.
    pub(super) fn driver_timers(&mut self) {
        let mut port = Port { now: self.now, device: &mut self.device, book: &self.book };
        let (cpu, work) = (self.queue_cpu[0], TapWork::default());
        let mut tap =
            Tap { cpu, adapter: &mut self.adapter, book: &self.book, work, lent: &mut self.lent };
        let due = self.driver.advance(self.now, &mut port, &mut tap);
        let spins = matches!(self.driver.config().moderation, Moderation::BusyPoll { .. });
        for queue in due.iter() {
            let work = if spins { Work::Poll { queue } } else { Work::Timer { queue } };
            self.submit(self.queue_cpu[usize::from(queue)], work);
        }
    }

    /// Something is done to the driver, which takes no time.
    pub(super) fn driver_control(&mut self, index: u32) {
        let control = self.driver_controls[index as usize];
        if let Some(channels) = control.combined {
            self.book.get_mut().oracle.uses_channels(channels);
        }
        let mut port = Port { now: self.now, device: &mut self.device, book: &self.book };
        let (cpu, work) = (self.queue_cpu[0], TapWork::default());
        let mut tap =
            Tap { cpu, adapter: &mut self.adapter, book: &self.book, work, lent: &mut self.lent };
        let driver = &mut self.driver;
        let accepted = driver_control::carry_out(self.now, control, driver, &mut port, &mut tap);
        let event = WorldEvent::DriverControl { index, accepted };
        self.book.get_mut().world_event(self.now, event);
    }

    /// The poll takes up to a budget of frames and shows them to the tap.
    fn begin_poll(&mut self, cpu: u16, queue: u16) -> u64 {
        let oracle = &mut self.book.get_mut().oracle;
        self.lent.give_back(self.now, queue, &mut self.driver, oracle);
        let mut port = Port { now: self.now, device: &mut self.device, book: &self.book };
        let work = TapWork::default();
        let mut tap =
            Tap { cpu, adapter: &mut self.adapter, book: &self.book, work, lent: &mut self.lent };
        let polled = self.driver.poll(self.now, queue, self.budget, &mut port, &mut tap);
        let work = tap.work;
        let costs = &self.costs;
        let frames = u64::from(polled.frames + polled.dropped);
        // The virtio header of a frame is read, not copied: only what goes on counts. A buffer that is
        // handed over costs what getting another one costs.
        let copied = polled.copied.min(polled.bytes);
        costs.poll_entry.0
            + frames * costs.poll_frame.0
            + copied * costs.copy_byte.0
            + polled.lent * costs.refill_frame.0
            + u64::from(work.frames) * costs.tap_frame.0
            + work.instructions * costs.filter_instruction.0
            + work.compiled * costs.filter_compiled.0
            + work.bytes_copied * costs.copy_byte.0
            + frames * costs.refill_frame.0
    }

    /// The poll gives buffers back and either ends with the interrupt unmasked, or goes on.
    fn end_poll(&mut self, queue: u16) {
        let mut port = Port { now: self.now, device: &mut self.device, book: &self.book };
        let (cpu, work) = (self.queue_cpu[usize::from(queue)], TapWork::default());
        let mut tap =
            Tap { cpu, adapter: &mut self.adapter, book: &self.book, work, lent: &mut self.lent };
        let finished = self.driver.finish_poll(self.now, queue, &mut port, &mut tap);
        if finished.kicked {
            self.submit(cpu, Work::Kick);
        }
        if finished.again {
            self.submit(cpu, Work::Poll { queue });
        }
    }

    /// The worker takes a batch of requests; what they cost follows.
    fn begin_worker(&mut self, handle: u32, asleep: bool) -> u64 {
        let work = self.adapter.work(self.now, handle, WORKER_BATCH, self.book.get_mut());
        // A handle that was closed meanwhile has no worker any more.
        let work = work.unwrap_or_default();
        let costs = &self.costs;
        let wake_up = if asleep { costs.wake_up.0 } else { 0 };
        wake_up
            + u64::from(work.requests) * costs.worker_request.0
            + work.bytes_copied * costs.copy_byte.0
    }

    fn end_worker(&mut self, handle: u32) {
        if self.adapter.pending(handle) > 0 {
            let cpu = self.worker_cpu[handle as usize];
            self.submit(cpu, Work::Worker { handle, asleep: false });
        } else {
            self.working[handle as usize] = false;
        }
    }

    /// The dump thread writes a batch; what that costs follows: one write for all of it.
    fn begin_dump(&mut self, handle: u32, asleep: bool) -> u64 {
        let step = self.adapter.dump(self.now, handle, DUMP_BATCH, self.book.get_mut());
        // A handle that is in another mode by now has nothing to write.
        let step = step.unwrap_or_default();
        self.dump_goes_on[handle as usize] = step.left > 0 && !step.ended;
        let costs = &self.costs;
        let wake_up = if asleep { costs.wake_up.0 } else { 0 };
        let write = if step.bytes > 0 { costs.file_write.0 } else { 0 };
        wake_up + write + step.bytes * costs.copy_byte.0
    }

    fn end_dump(&mut self, handle: u32) {
        if self.dump_goes_on[handle as usize] {
            let cpu = self.worker_cpu[handle as usize];
            self.submit(cpu, Work::Dump { handle, asleep: false });
        } else {
            self.dumping[handle as usize] = false;
        }
    }

    /// Somebody wakes the dump thread of a handle.
    pub(super) fn wake_dump(&mut self, handle: u32) {
        if !std::mem::replace(&mut self.dumping[handle as usize], true) {
            let cpu = self.worker_cpu[handle as usize];
            self.submit(cpu, Work::Dump { handle, asleep: true });
        }
    }

    /// The dump thread's wait has timed out: it looks, and waits again.
    pub(super) fn dump_period(&mut self, handle: u32) {
        self.wake_dump(handle);
        if self.closed[handle as usize].is_none() {
            self.schedule.add(self.now + DUMP_PERIOD_PS, Action::DumpPeriod { handle });
        }
    }
}
