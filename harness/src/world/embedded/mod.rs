//! The embedded world: one process, one thread, virtual time.
//!
//! The loop takes whatever is due next: what the device does by itself (DMA, coalescing timers),
//! what was scheduled (ends of jobs, timeouts, the link), the driver's timers, or the next frame from the
//! wire, in this order when they are due at the same picosecond. After each step the effects it had are carried
//! on (interrupts to CPUs, wake-ups to readers) and the law is checked.
//!
//! When a job's effect happens: an interrupt handler masks and schedules the poll when it ends; a
//! poll takes its frames and shows them to the tap when it starts, and gives the buffers back when it
//! ends, kick included, whose cost follows; a read takes effect when the system call ends. So a batch
//! enters the capture buffer as one, as an NDIS indication does, and its descriptors return only after
//! the work.

mod faults;
mod jobs;
mod program;
mod progress;
mod reading;
mod sending;
mod stats;

use super::book::Book;
use super::control::{self, Closed, Control};
use super::cpu::{Cpu, Work};
use super::holdings::Holding;
use super::lent::Lent;
use super::nic::Device;
use super::outcome::{Components, Counters, End, Finished};
use super::reader::{Reader, State};
use super::schedule::{Action, Schedule};
use super::setup::Parts;
use crate::account::{Tally, law};
use crate::event::WorldEvent;
use crate::fault::Plan;
use crate::scenario::{Costs, DriverControl, Handle, Process, Scenario};
use crate::source::{Source, SourceFault};
use crate::trace::Tracer;
use driver::Driver;
use nic_model::wire::Wire;
use npf_core::{Adapter, DUMP_PERIOD_PS};
use program::Program;
use sending::Sending;
use std::cell::RefCell;

/// How many steps pass between two looks at the stop request and the progress report.
const STEPS_PER_LOOK: u64 = 1024;

/// Who watches a run from outside.
pub trait Watch {
    /// Asked now and then: whether to stop, given what was offered so far and the virtual time.
    fn stop(&mut self, offered: u64, now_ps: u64) -> bool;
}

/// Nobody watches.
pub struct Unwatched;

impl Watch for Unwatched {
    fn stop(&mut self, _offered: u64, _now_ps: u64) -> bool {
        false
    }
}

/// The world with everything in it.
pub struct Embedded {
    now: u64,
    device: Device,
    driver: Driver,
    adapter: Adapter,
    book: RefCell<Book>,
    cpus: Vec<Cpu>,
    readers: Vec<Reader>,
    schedule: Schedule,
    source: Box<dyn Source>,
    wire: Wire,
    arrival: Option<Arrival>,
    frame: Vec<u8>,
    source_fault: Option<SourceFault>,
    ended_at: Option<u64>,
    at_source_end: Option<(u64, u64)>,
    costs: Costs,
    budget: u16,
    drain_ps: u64,
    min_frame: u64,
    queue_cpu: Vec<u16>,
    /// Per vector: its handler is queued on a CPU and has not started; more messages merge.
    pending: Vec<bool>,
    handle_names: Vec<String>,
    controls: Vec<Vec<Control>>,
    driver_controls: Vec<DriverControl>,
    lent: Lent,
    /// What is left of handles that were closed.
    closed: Vec<Option<Closed>>,
    /// What each handle's program sends.
    sends: Vec<Vec<Sending>>,
    /// Per handle: after a fork the child reads.
    child_reads: Vec<bool>,
    /// The CPU of each handle's worker.
    worker_cpu: Vec<u16>,
    /// Per handle: its worker is on its CPU, or in line for it.
    working: Vec<bool>,
    /// The same for its dump thread.
    dumping: Vec<bool>,
    /// Per handle: the batch that the dump thread writes is not the last.
    dump_goes_on: Vec<bool>,
    /// Reads a handle instead of the scenario's reader.
    program: Option<Program>,
    faults: Plan,
    /// Frames that the source has given, and frames that were offered: what faults count.
    fetched: u64,
    wire_frames: u64,
    /// The bit of the frame at hand that a fault is to change.
    flip: Option<u32>,
    /// No window of `wire.link_down` is open.
    cable_up: bool,
    /// Bytes of the longest frame without VLAN tags.
    longest_frame: usize,
    /// What the device says of each queue, by name; empty unless it was asked.
    device_stats: Vec<Counters>,
    steps: u64,
    thorough: bool,
    tracer: Option<Tracer>,
}

/// The frame that arrives next; its bytes are in `Embedded::frame`.
#[derive(Clone, Copy)]
struct Arrival {
    at: u64,
    fcs_ok: bool,
}

impl Embedded {
    /// Puts the parts together; nothing has happened yet, the driver is up.
    #[must_use]
    pub fn new(scenario: &Scenario, parts: Parts) -> Self {
        let queues = usize::from(scenario.channels.combined);
        let mut schedule = Schedule::default();
        for window in &scenario.wire.link_down {
            schedule.add(window.at.0, Action::Link { up: false });
            schedule.add(window.end_ps(), Action::Link { up: true });
        }
        for at in &scenario.nic.announce {
            schedule.add(at.0, Action::Announce);
        }
        for (handle, controls) in (0u32..).zip(&parts.controls) {
            for (index, control) in (0u32..).zip(controls) {
                schedule.add(control.asked.at.0, Action::Control { handle, index });
            }
        }
        for (index, control) in (0u32..).zip(&scenario.driver.control) {
            schedule.add(control.at.0, Action::DriverControl { index });
        }
        for (handle, options) in (0u32..).zip(&scenario.handle) {
            if let Some(at) = options.zero_copy.fork_at {
                schedule.add(at.0, Action::Fork { handle });
            }
        }
        for (handle, options) in (0u32..).zip(&scenario.handle) {
            if options.ever_dumps() {
                schedule.add(DUMP_PERIOD_PS, Action::DumpPeriod { handle });
            }
        }
        if let Some(at) = scenario.run.detach_at {
            schedule.add(at.0, Action::Detach);
        }
        for (handle, options) in (0u32..).zip(&scenario.handle) {
            for (index, send) in (0u32..).zip(&options.send) {
                schedule.add(send.at.0, Action::Send { handle, index });
            }
        }
        let faults = Plan::new(scenario);
        for (index, planned) in faults.planned.iter().enumerate() {
            if let Some(at) = planned.fault.at {
                schedule.add(at.0, Action::FaultBegins { index });
            }
        }
        let sends = |handle: &Handle| {
            let mac = scenario.nic.mac.0;
            handle.send.iter().map(|&send| Sending::new(send, mac)).collect()
        };
        let child_reads =
            scenario.handle.iter().map(|handle| handle.zero_copy.reads == Process::Child);
        Self {
            now: 0,
            device: parts.device,
            driver: parts.driver,
            adapter: parts.adapter,
            book: RefCell::new(parts.book),
            cpus: parts.cpus,
            readers: parts.readers,
            schedule,
            source: parts.source,
            wire: Wire::new(scenario.wire.rate.0),
            arrival: None,
            frame: Vec::with_capacity(2048),
            source_fault: None,
            ended_at: None,
            at_source_end: None,
            costs: scenario.costs,
            budget: scenario.driver.budget,
            drain_ps: scenario.run.drain.0,
            min_frame: scenario.min_frame().0,
            queue_cpu: parts.queue_cpu,
            pending: vec![false; queues + 1],
            handle_names: parts.handle_names,
            controls: parts.controls,
            driver_controls: scenario.driver.control.clone(),
            lent: Lent::new(scenario.channels.combined, scenario.driver.buffer_hold.0),
            closed: vec![None; scenario.handle.len()],
            sends: scenario.handle.iter().map(sends).collect(),
            child_reads: child_reads.collect(),
            worker_cpu: scenario.handle.iter().map(|handle| scenario.worker_cpu(handle)).collect(),
            working: vec![false; scenario.handle.len()],
            dumping: vec![false; scenario.handle.len()],
            dump_goes_on: vec![false; scenario.handle.len()],
            program: None,
            faults,
            fetched: 0,
            wire_frames: 0,
            flip: None,
            cable_up: true,
            longest_frame: scenario.wire.mtu as usize + 14,
            device_stats: Vec::new(),
            steps: 0,
            thorough: false,
            tracer: None,
        }
    }

    /// Checks the whole account after every event, not only what the event touched.
    pub fn check_everything(&mut self) {
        self.thorough = true;
    }

    /// Draws the virtqueues after every step that changes one.
    pub fn trace(&mut self, tracer: Tracer) {
        self.tracer = Some(tracer);
    }

    /// Plays the scenario to its end.
    pub fn run(mut self, watch: &mut impl Watch) -> Finished {
        self.begin();
        let end = self.play(watch, |_| false);
        self.finish(end.unwrap_or(End::Complete))
    }

    /// Plays so many steps at most, after [`Embedded::begin`]; the end, if that was reached.
    pub fn play_steps(&mut self, steps: u64) -> Option<End> {
        let until = self.steps.saturating_add(steps);
        self.play(&mut Unwatched, |world| world.steps >= until)
    }

    /// Steps played.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The account so far: fates, and frames that are still held.
    #[must_use]
    pub fn account(&self) -> (Tally, u64) {
        let ledger = &self.book.borrow().ledger;
        (ledger.total.clone(), ledger.in_flight())
    }

    /// The first frame is on its way, and every reader of the scenario begins.
    pub fn begin(&mut self) {
        self.fetch_arrival();
        for handle in 0..self.readers.len() as u32 {
            if !self.is_program(handle) {
                self.continue_reader(handle);
            }
        }
    }

    /// Plays until `done`, which is asked after each step, or to the end, and says which.
    fn play(&mut self, watch: &mut impl Watch, done: impl Fn(&Self) -> bool) -> Option<End> {
        loop {
            if let Some(why) = self.device.lost() {
                return Some(End::Lost(why.to_owned()));
            }
            if let Err(broken) = self.check() {
                return Some(End::Broken(broken));
            }
            if done(self) {
                return None;
            }
            if self.finished() {
                return Some(if self.comes_to_the_driver() { End::Complete } else { self.stuck() });
            }
            if self.steps.is_multiple_of(STEPS_PER_LOOK) {
                let offered = self.book.get_mut().ledger.total.offered;
                if watch.stop(offered, self.now) {
                    return Some(End::Interrupted);
                }
            }
            self.steps += 1;
            if !self.step() {
                return Some(self.stuck());
            }
            self.carry_effects();
            if self.tracer.is_some() {
                self.draw();
            }
        }
    }

    #[cold]
    fn draw(&mut self) {
        let Some(tracer) = &mut self.tracer else { return };
        let recorder = &mut self.book.get_mut().recorder;
        let now = self.now;
        tracer.look(now, &self.device, &self.driver, |event| recorder.note(now, &event));
    }

    /// Does what is due next; false if nothing ever is.
    fn step(&mut self) -> bool {
        let device = self.device.next_deadline().unwrap_or(u64::MAX);
        let scheduled = self.schedule.next_at().unwrap_or(u64::MAX);
        let arrival = self.arrival.map_or(u64::MAX, |arrival| arrival.at);
        let timer = self.driver_timer(device, arrival);
        let next = device.min(scheduled).min(timer).min(arrival);
        if next == u64::MAX {
            return false;
        }
        self.now = next;
        if device == next {
            self.device.advance(next, self.book.get_mut());
        } else if scheduled == next {
            if let Some(action) = self.schedule.take() {
                self.act(action);
            }
        } else if timer == next {
            self.driver_timers();
        } else {
            self.receive();
        }
        true
    }

    /// When the driver's timers are due. While nothing is on its way to the driver they could only find
    /// nothing, for ever; so they do not keep a run alive.
    #[inline]
    fn driver_timer(&mut self, device: u64, arrival: u64) -> u64 {
        let Some(at) = self.driver.next_deadline() else { return u64::MAX };
        let book = self.book.get_mut();
        if book.faults.awaits_an_answer() {
            return at.max(self.now);
        }
        let held = book.ledger.held;
        let idle = device == u64::MAX && arrival == u64::MAX && held.fifo + held.ring == 0;
        if idle { u64::MAX } else { at.max(self.now) }
    }

    /// The next frame has arrived: it is offered to the device.
    fn receive(&mut self) {
        let Some(arrival) = self.arrival.take() else { return };
        if !self.faults.is_empty() {
            self.faults_with_frame();
        }
        let book = self.book.get_mut();
        let tag = book.offer(self.now, &self.frame, arrival.fcs_ok);
        if let Some(bit) = self.flip.take() {
            book.flipped(self.now, tag, bit);
            self.frame[bit as usize / 8] ^= 1 << (bit % 8);
        }
        self.device.receive(self.now, &self.frame, arrival.fcs_ok, tag, book);
        self.fetch_arrival();
    }

    /// Asks the source for the next frame and the wire for when it will have arrived.
    fn fetch_arrival(&mut self) {
        match self.source.next(&mut self.frame) {
            Ok(Some(mut next)) => {
                if !self.faults.damaging.is_empty() {
                    self.damage_on_the_wire(&mut next);
                }
                let len = self.frame.len();
                // A runt is what comes of a sender that does not pad.
                let at = match (len as u64) < self.min_frame {
                    true => self.wire.arrive_unpadded(next.earliest_ps, len),
                    false => self.wire.arrive(next.earliest_ps, len),
                };
                self.arrival = Some(Arrival { at, fcs_ok: next.fcs_ok });
                return;
            }
            Ok(None) => {}
            Err(fault) => self.source_fault = Some(fault),
        }
        self.ended_at = Some(self.now);
        let book = self.book.get_mut();
        let frames = book.ledger.total.offered;
        book.world_event(self.now, WorldEvent::SourceEnded { frames });
        self.at_source_end = Some((book.recorder.count(), book.ledger.in_flight()));
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::JobEnds { cpu, token } => {
                if let Some(work) = self.cpus[usize::from(cpu)].ended(self.now, token) {
                    self.end_job(work);
                    let next = self.cpus[usize::from(cpu)].next(self.now, &mut self.schedule);
                    self.start(cpu, next);
                }
            }
            Action::ReadTimeout { handle, token } => {
                if self.readers[handle as usize].state == State::Waiting(token) {
                    let event = WorldEvent::ReadTimeout { handle };
                    self.book.get_mut().world_event(self.now, event);
                    self.wake_reader(handle);
                }
            }
            Action::ReaderResumes { handle } => self.resume_reader(handle),
            Action::Control { handle, index } => self.control(handle, index),
            Action::DriverControl { index } => self.driver_control(index),
            Action::Fork { handle } => self.fork(handle),
            Action::Send { handle, index } => {
                let cpu = self.readers[handle as usize].cpu;
                self.submit(cpu, Work::Send { handle, index });
            }
            Action::DumpPeriod { handle } => self.dump_period(handle),
            Action::Announce => {
                self.device.ask_to_announce(self.now, self.book.get_mut());
            }
            Action::Detach => self.adapter.remove(self.now, self.book.get_mut()),
            Action::Link { up } => {
                self.cable_up = up;
                self.set_link();
            }
            Action::FaultBegins { index } => self.begin_fault(index),
            Action::FaultEnds { index } => self.end_fault(index),
            Action::Message { vector, cpu } => self.deliver(vector, cpu),
        }
    }

    /// The program that holds `handle` changes something.
    fn control(&mut self, handle: u32, index: u32) {
        let at = handle as usize;
        let control = &self.controls[at][index as usize];
        let is_program = self.is_program(handle);
        let (adapter, reader) = (&mut self.adapter, &mut self.readers[at]);
        let own = (reader.next_buffer, reader.read_timeout_ps);
        let book = self.book.get_mut();
        let closed = control::carry_out(self.now, handle, control, adapter, reader, book);
        if is_program {
            (reader.next_buffer, reader.read_timeout_ps) = own;
        }
        if let Some(closed) = closed {
            self.closed[at] = Some(closed);
            self.readers[at].stop();
        }
    }

    /// Hands interrupts to their CPUs and wake-ups to their readers.
    #[inline]
    fn carry_effects(&mut self) {
        // In the order in which they left the device: a message may cause others, which come behind it.
        let mut next = 0;
        while let Some(&(vector, cpu)) = self.book.get_mut().interrupts.get(next) {
            next += 1;
            self.message(vector, cpu);
        }
        if next > 0 {
            self.book.get_mut().interrupts.clear();
        }
        while let Some(handle) = self.book.get_mut().wakes.pop() {
            if matches!(self.readers[handle as usize].state, State::Waiting(_)) {
                self.wake_reader(handle);
            }
        }
        while let Some(handle) = self.book.get_mut().wakes_dump.pop() {
            self.wake_dump(handle);
        }
        while let Some(handle) = self.book.get_mut().works.pop() {
            if !std::mem::replace(&mut self.working[handle as usize], true) {
                let cpu = self.worker_cpu[handle as usize];
                self.submit(cpu, Work::Worker { handle, asleep: true });
            }
        }
    }

    #[inline]
    fn check(&mut self) -> Result<(), crate::account::Broken> {
        let book = self.book.get_mut();
        if let Some(broken) = book.broken() {
            return Err(broken.clone());
        }
        let held = Holding {
            device: &self.device,
            driver: &self.driver,
            adapter: &self.adapter,
            closed: &self.closed,
        };
        if self.thorough {
            law::check_all(&book.ledger, &held)?;
        }
        law::check_touched(&mut book.ledger, &held)
    }

    /// The source has ended and nothing is held, or only for good, or the drain time is over.
    #[inline]
    fn finished(&mut self) -> bool {
        let Some(ended_at) = self.ended_at else { return false };
        let book = self.book.get_mut();
        let open = book.faulty && book.faults.awaits_the_driver();
        let held = book.ledger.in_flight();
        held == 0 && !open || self.now.saturating_sub(ended_at) > self.drain_ps
    }

    fn finish(mut self, end: End) -> Finished {
        let holdings = self.holdings();
        let end = match (end, law::check_all(&self.book.borrow().ledger, &holdings)) {
            // What a call that was not answered has done, nobody here knows.
            (End::Lost(why), _) => End::Lost(why),
            (End::Broken(broken), _) | (_, Err(broken)) => End::Broken(broken),
            (end, Ok(())) => end,
        };
        let end = match end {
            End::Complete => {
                self.book.get_mut().end_of_faults(self.now).map_or(End::Complete, End::Broken)
            }
            end => end,
        };
        let end = match end {
            End::Complete => self.ask_for_stats().map_or_else(End::Broken, |()| End::Complete),
            end => end,
        };
        let end = match (end, self.source_fault) {
            (End::Complete, Some(fault)) => End::SourceFault(fault),
            (end, _) => end,
        };
        let components = Components {
            device: &self.device,
            driver: &self.driver,
            adapter: &self.adapter,
            closed: &self.closed,
            readers: &self.readers,
            handle_names: self.handle_names,
            cpus: &self.cpus,
        };
        let mut book = self.book.into_inner();
        let mut outcome = components.outcome(&mut book, end, self.now);
        outcome.notices =
            self.source.notices().iter().map(|n| format!("{} {}", n.count, n.text)).collect();
        outcome.at_source_end = self.at_source_end;
        for (queue, told) in outcome.queues.iter_mut().zip(self.device_stats) {
            queue.told = told;
        }
        Finished { outcome, book }
    }

    #[inline]
    fn holdings(&self) -> Holding<'_> {
        Holding {
            device: &self.device,
            driver: &self.driver,
            adapter: &self.adapter,
            closed: &self.closed,
        }
    }
}
