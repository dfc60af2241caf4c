//! A reading application's rhythm: when it reads, what it waits for, when it stalls.
//!
//! The reader does what packet.dll does: wait until a read is served by the rule of its handle's
//! design, or for the read timeout, then read whatever there is, look at it, and come back. A scenario may add a period, stalls and
//! an end. Contract: [`Reader::next`] says what the reader does now; the world carries it out.

use crate::scenario::Window;
use npf_core::ZeroCopyReader;

/// What a reader is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waiting for the read event or the timeout of this token.
    Waiting(u64),
    /// On its CPU, or in line for it.
    Busy,
    /// Kept from reading by the scenario until its time comes.
    Sleeping,
    /// Done for good.
    Stopped,
}

/// What a reader does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It may read now.
    Read,
    /// It waits; the timeout (if any) falls due at this time, with this token.
    Wait {
        /// Which wait this is.
        token: u64,
        /// When the read timeout expires; `None` for never.
        timeout_at: Option<u64>,
    },
    /// It stalls, or keeps its period, until then.
    Sleep {
        /// Picoseconds.
        until: u64,
        /// The scenario's stall, not just the period.
        stall: bool,
    },
    /// It stops for good.
    Stop,
}

/// One reader. See the module's contract.
pub struct Reader {
    /// Virtual CPU that it runs on.
    pub cpu: u16,
    /// What it is doing.
    pub state: State,
    /// It slept, so waking it costs.
    pub was_asleep: bool,
    /// Its buffer.
    pub buffer: Vec<u8>,
    /// Time to look at one frame.
    pub frame_ps: u64,
    /// Reads done.
    pub reads: u64,
    /// Reads that gave nothing.
    pub empty_reads: u64,
    /// What the last read gave: (bytes, packets).
    pub last: (u64, u64),
    /// Bytes whose copying the read in progress has already been charged for.
    pub copied: u64,
    /// Longest wait; 0 waits for ever.
    pub read_timeout_ps: u64,
    /// The length that its buffer shall have from the next read on.
    pub next_buffer: Option<usize>,
    /// It takes packets from shared buffers, through this; `None`: it calls read.
    pub shared: Option<ZeroCopyReader>,
    /// What the last read made it write: bytes copied into its buffer, and calls of write.
    pub written: (u64, u64),
    /// Its design reads exactly one length, which no control changes.
    pub exact: bool,
    /// Reads that were refused.
    pub refused: u64,
    /// The last read was refused: trying again at once would be refused again.
    was_refused: bool,
    period_ps: u64,
    stalls: Vec<Window>,
    stop_at: Option<u64>,
    last_read: Option<u64>,
    token: u64,
}

impl Reader {
    /// A reader that has not begun. `read_timeout_ps` 0 waits for ever, as in packet.dll.
    #[must_use]
    pub fn new(
        cpu: u16,
        user_buffer: usize,
        frame_ps: u64,
        read_timeout_ps: u64,
        period_ps: u64,
        stalls: Vec<Window>,
        stop_at: Option<u64>,
    ) -> Self {
        Self {
            cpu,
            state: State::Sleeping,
            was_asleep: false,
            buffer: vec![0; user_buffer],
            frame_ps,
            reads: 0,
            empty_reads: 0,
            last: (0, 0),
            copied: 0,
            read_timeout_ps,
            next_buffer: None,
            shared: None,
            written: (0, 0),
            exact: false,
            refused: 0,
            was_refused: false,
            period_ps,
            stalls,
            stop_at,
            last_read: None,
            token: 0,
        }
    }

    /// What the reader does at `now`, when it is not on a CPU; `ready`: a read would not have to wait.
    pub fn next(&mut self, now: u64, ready: bool) -> Step {
        if self.stop_at.is_some_and(|at| at <= now) {
            self.state = State::Stopped;
            return Step::Stop;
        }
        if let Some(stall) =
            self.stalls.iter().find(|stall| (stall.at.0..stall.end_ps()).contains(&now))
        {
            self.state = State::Sleeping;
            return Step::Sleep { until: stall.end_ps(), stall: true };
        }
        let due = self.last_read.map_or(0, |last| last + self.period_ps);
        if due > now {
            self.state = State::Sleeping;
            return Step::Sleep { until: due, stall: false };
        }
        if ready && !std::mem::take(&mut self.was_refused) {
            self.state = State::Busy;
            return Step::Read;
        }
        self.token += 1;
        self.state = State::Waiting(self.token);
        let timeout_at =
            (self.read_timeout_ps > 0).then(|| now.saturating_add(self.read_timeout_ps));
        Step::Wait { token: self.token, timeout_at }
    }

    /// Its handle was closed: it does nothing any more.
    pub fn stop(&mut self) {
        self.stop_at = Some(0);
        self.state = State::Stopped;
    }

    /// A read begins: a new length of the buffer holds from now on.
    pub fn begin_read(&mut self) {
        self.copied = 0;
        if let Some(len) = self.next_buffer.take() {
            self.buffer = vec![0; len];
        }
    }

    /// A read was refused at `now`: the reader waits as if there were nothing.
    pub fn was_refused(&mut self, now: u64) {
        self.refused += 1;
        self.was_refused = true;
        self.last_read = Some(now);
        self.was_asleep = false;
    }

    /// A read was done at `now`.
    pub fn did_read(&mut self, now: u64, bytes: u64, packets: u64) {
        self.reads += 1;
        self.empty_reads += u64::from(bytes == 0);
        self.last = (bytes, packets);
        self.last_read = Some(now);
        self.was_asleep = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Duration;

    fn reader(period_ps: u64, stop_at: Option<u64>) -> Reader {
        let stalls = vec![Window { at: Duration(100), lasting: Duration(50) }];
        Reader::new(0, 1000, 0, 30, period_ps, stalls, stop_at)
    }

    #[test]
    fn waits_reads_and_stalls_by_the_scenario() {
        let mut reader = reader(0, Some(200));
        assert_eq!(reader.next(10, false), Step::Wait { token: 1, timeout_at: Some(40) });
        assert_eq!(reader.next(10, true), Step::Read);
        assert_eq!(reader.next(99, true), Step::Read);
        assert_eq!(reader.next(100, true), Step::Sleep { until: 150, stall: true });
        assert_eq!(reader.next(150, true), Step::Read);
        assert_eq!(reader.next(200, true), Step::Stop);
    }

    #[test]
    fn a_period_spaces_reads_out() {
        let mut reader = reader(40, None);
        assert_eq!(reader.next(0, true), Step::Read);
        reader.did_read(5, 0, 0);
        assert_eq!(reader.next(6, true), Step::Sleep { until: 45, stall: false });
        assert_eq!(reader.next(45, true), Step::Read);
        assert_eq!((reader.reads, reader.empty_reads), (1, 1));
    }
}
