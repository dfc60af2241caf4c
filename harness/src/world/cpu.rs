//! Virtual CPUs: each runs one job at a time; what the hypervisor steals before all, interrupt before poll,
//! poll before worker, worker before reader.
//!
//! A job of higher priority pauses the running one, which goes on afterwards with what was left of
//! its time. Jobs of one priority run in the order of their arrival. The CPU knows nothing of what a
//! job does: the world starts it, says how long it takes, and is told when it ended.

use super::schedule::{Action, Schedule};
use std::collections::VecDeque;

/// What a virtual CPU can be busy with, in rising order of priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A reading application.
    Reader,
    /// A capture driver's own thread, at a real-time priority.
    Worker,
    /// The driver's poll (softirq, DPC).
    Poll,
    /// An interrupt handler.
    Interrupt,
    /// The hypervisor has taken the CPU away.
    Stolen,
}

/// How many priorities there are.
pub const PRIORITIES: usize = 5;

/// A job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Interrupt handler of a vector.
    Interrupt {
        /// MSI-X vector.
        vector: u16,
    },
    /// Handler of the timer that asks for a driver poll of an RX queue.
    Timer {
        /// RX queue.
        queue: u16,
    },
    /// The hypervisor does something else.
    Stolen {
        /// Picoseconds.
        ps: u64,
    },
    /// Driver poll of an RX queue.
    Poll {
        /// RX queue.
        queue: u16,
    },
    /// The driver waits for the device to take its kick: a write that leaves the CPU is slow.
    Kick,
    /// The worker of a handle takes requests off its queue.
    Worker {
        /// Handle.
        handle: u32,
        /// It slept before.
        asleep: bool,
    },
    /// The dump thread of a handle writes a batch of packets to its file.
    Dump {
        /// Handle.
        handle: u32,
        /// It slept before.
        asleep: bool,
    },
    /// A reader wakes up and calls read.
    Read {
        /// Handle.
        handle: u32,
    },
    /// A read goes on copying, while the tap may go on storing.
    Copy {
        /// Handle.
        handle: u32,
        /// Bytes of this step.
        bytes: u64,
    },
    /// A program sends, or goes on sending.
    Send {
        /// Handle.
        handle: u32,
        /// Which of its sends.
        index: u32,
    },
    /// A program's call that has taken effect and takes its time.
    Call {
        /// Handle.
        handle: u32,
        /// Picoseconds.
        cost: u64,
    },
    /// A reader looks at what the read gave it.
    Consume {
        /// Handle.
        handle: u32,
    },
}

impl Work {
    fn priority(self) -> Priority {
        match self {
            Self::Stolen { .. } => Priority::Stolen,
            Self::Interrupt { .. } | Self::Timer { .. } => Priority::Interrupt,
            Self::Poll { .. } | Self::Kick => Priority::Poll,
            Self::Worker { .. } | Self::Dump { .. } => Priority::Worker,
            Self::Read { .. }
            | Self::Copy { .. }
            | Self::Send { .. }
            | Self::Call { .. }
            | Self::Consume { .. } => Priority::Reader,
        }
    }
}

#[derive(Clone, Copy)]
struct Running {
    work: Work,
    started: u64,
    ends: u64,
}

/// One virtual CPU. See the module's contract.
#[derive(Default)]
pub struct Cpu {
    index: u16,
    running: Option<Running>,
    /// The world is inside a job's start or end: new jobs queue up until it asks for the next.
    deciding: bool,
    paused: Vec<(Work, u64)>,
    waiting: [VecDeque<Work>; PRIORITIES],
    token: u64,
    /// Picoseconds spent at each priority.
    pub busy: [u64; PRIORITIES],
}

/// What a CPU does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Start this job: then call [`Cpu::run`] with its cost.
    Start(Work),
    /// Nothing to start: idle, or a job goes on.
    Nothing,
}

impl Cpu {
    /// An idle CPU.
    #[must_use]
    pub fn new(index: u16) -> Self {
        Self { index, ..Self::default() }
    }

    /// Hands over a job: it starts now if the CPU is free or busy with something less urgent.
    pub fn submit(&mut self, now: u64, work: Work) -> Next {
        let priority = work.priority();
        let free = match self.running {
            _ if self.deciding => false,
            None => true,
            Some(running) => running.work.priority() < priority,
        };
        if !free {
            self.waiting[priority as usize].push_back(work);
            return Next::Nothing;
        }
        self.pause(now);
        self.deciding = true;
        Next::Start(work)
    }

    /// Runs a job that was started for `cost` picoseconds.
    pub fn run(&mut self, now: u64, work: Work, cost: u64, schedule: &mut Schedule) {
        self.deciding = false;
        self.token += 1;
        self.running = Some(Running { work, started: now, ends: now + cost });
        schedule.add(now + cost, Action::JobEnds { cpu: self.index, token: self.token });
    }

    /// The job that ends now; `None` if it was paused since and ends later.
    pub fn ended(&mut self, now: u64, token: u64) -> Option<Work> {
        if token != self.token || self.deciding {
            return None;
        }
        let running = self.running.take()?;
        self.account(running, now);
        self.deciding = true;
        Some(running.work)
    }

    /// After a job ended: the next one, paused or waiting, most urgent first.
    pub fn next(&mut self, now: u64, schedule: &mut Schedule) -> Next {
        self.deciding = false;
        let paused = self.paused.last().map(|(work, _)| work.priority());
        for priority in [
            Priority::Stolen,
            Priority::Interrupt,
            Priority::Poll,
            Priority::Worker,
            Priority::Reader,
        ] {
            if paused == Some(priority)
                && let Some((work, left)) = self.paused.pop()
            {
                self.run(now, work, left, schedule);
                return Next::Nothing;
            }
            if let Some(work) = self.waiting[priority as usize].pop_front() {
                self.deciding = true;
                return Next::Start(work);
            }
        }
        Next::Nothing
    }

    /// Whether it has work that takes frames from the driver, or will have when it is given back.
    #[must_use]
    pub fn serves_the_driver(&self) -> bool {
        let is = |work: Work| work.priority() >= Priority::Poll;
        self.running.is_some_and(|running| is(running.work))
            || self.paused.iter().any(|(work, _)| is(*work))
            || self.waiting[Priority::Poll as usize..].iter().any(|line| !line.is_empty())
    }

    fn pause(&mut self, now: u64) {
        if let Some(running) = self.running.take() {
            self.account(running, now);
            self.paused.push((running.work, running.ends - now));
        }
    }

    fn account(&mut self, running: Running, now: u64) {
        self.busy[running.work.priority() as usize] += now - running.started;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Work = Work::Read { handle: 0 };
    const POLL: Work = Work::Poll { queue: 0 };
    const INTERRUPT: Work = Work::Interrupt { vector: 1 };

    fn start(cpu: &mut Cpu, now: u64, work: Work, cost: u64, schedule: &mut Schedule) {
        assert_eq!(cpu.submit(now, work), Next::Start(work));
        cpu.run(now, work, cost, schedule);
    }

    fn end(cpu: &mut Cpu, schedule: &mut Schedule) -> (u64, Option<Work>) {
        let at = schedule.next_at().unwrap();
        let Some(Action::JobEnds { token, .. }) = schedule.take() else { panic!("no job") };
        (at, cpu.ended(at, token))
    }

    #[test]
    fn an_interrupt_pauses_a_reader_which_goes_on_with_what_was_left() {
        let (mut cpu, mut schedule) = (Cpu::new(0), Schedule::default());
        start(&mut cpu, 0, READ, 100, &mut schedule);
        start(&mut cpu, 30, INTERRUPT, 10, &mut schedule);
        assert_eq!(end(&mut cpu, &mut schedule), (40, Some(INTERRUPT)));
        assert_eq!(cpu.next(40, &mut schedule), Next::Nothing);
        assert_eq!(end(&mut cpu, &mut schedule), (100, None), "the paused run's old end is stale");
        assert_eq!(end(&mut cpu, &mut schedule), (110, Some(READ)));
        assert_eq!(cpu.busy, [100, 0, 0, 10, 0]);
    }

    #[test]
    fn equal_priorities_wait_their_turn_and_polls_come_before_readers() {
        let (mut cpu, mut schedule) = (Cpu::new(0), Schedule::default());
        start(&mut cpu, 0, POLL, 10, &mut schedule);
        let other = Work::Poll { queue: 1 };
        assert_eq!(cpu.submit(1, READ), Next::Nothing);
        assert_eq!(cpu.submit(2, other), Next::Nothing);
        assert_eq!(end(&mut cpu, &mut schedule), (10, Some(POLL)));
        assert_eq!(cpu.next(10, &mut schedule), Next::Start(other));
        cpu.run(10, other, 5, &mut schedule);
        assert_eq!(end(&mut cpu, &mut schedule), (15, Some(other)));
        assert_eq!(cpu.next(15, &mut schedule), Next::Start(READ));
    }
}
