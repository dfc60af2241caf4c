//! Where events go: always into the digest and the flight recorder, and into a file when asked.

use super::{Event, digest::Digest, ndjson};
use crate::output::file::{OutputError, RecordFile, RecordSink as _};
use crate::trace::Sides;

/// How many of the last events a failure report shows.
const FLIGHT: usize = 64;

/// Which events `events.ndjson` holds. The digest always covers all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Every event of every frame: about ten lines a frame.
    All,
    /// Only drops.
    Losses,
}

/// The event stream's reader: digest, flight recorder, file.
#[derive(Default)]
pub struct Recorder {
    digest: Digest,
    count: u64,
    flight: Vec<(u64, Event, Option<u64>)>,
    file: Option<(RecordFile, Detail)>,
    line: Vec<u8>,
    /// Somebody wants to see the events as they come.
    sides: Option<Sides>,
    /// There is a file, or somebody who wants to see.
    watched: bool,
}

impl Recorder {
    /// A recorder that also writes the events to `file`, one line each.
    #[must_use]
    pub fn to_file(file: RecordFile, detail: Detail) -> Self {
        Self { file: Some((file, detail)), watched: true, ..Self::default() }
    }

    /// The events are also told there.
    #[must_use]
    pub fn told_to(self, sides: Sides) -> Self {
        Self { sides: Some(sides), watched: true, ..self }
    }

    /// Takes one event that happened at `now`; `frame` is the frame's number if it is about one.
    #[inline(always)]
    pub fn record(&mut self, now: u64, event: Event, frame: Option<u64>) {
        self.digest.add(now, &event);
        let slot = (self.count % FLIGHT as u64) as usize;
        match self.flight.get_mut(slot) {
            Some(old) => *old = (now, event, frame),
            None => self.flight.push((now, event, frame)),
        }
        if self.watched {
            self.write(now, &event, frame);
            if let Some(sides) = &mut self.sides {
                sides.tell(now, &event, frame);
            }
        }
        self.count += 1;
    }

    /// Writes an event to the file and nowhere else: what only a trace sees is not part of the run.
    pub fn note(&mut self, now: u64, event: &Event) {
        self.write(now, event, None);
    }

    /// Events recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The digest of the stream so far.
    #[must_use]
    pub fn digest(&mut self) -> u64 {
        self.digest.value()
    }

    /// The last events, oldest first, as lines of JSON.
    #[must_use]
    pub fn last_events(&self) -> String {
        let mut lines = Vec::new();
        let first = self.count.saturating_sub(FLIGHT as u64);
        for seq in first..self.count {
            let (now, event, frame) = &self.flight[(seq % FLIGHT as u64) as usize];
            ndjson::write(&mut lines, *now, seq, event, *frame);
        }
        String::from_utf8_lossy(&lines).into_owned()
    }

    /// Flushes and closes the file. The error is the first one that writing met.
    ///
    /// # Errors
    /// The path and the cause; the file then ends after its last complete line.
    pub fn finish(&mut self) -> Result<(), OutputError> {
        match self.file.take() {
            Some((file, _)) => file.finish(),
            None => Ok(()),
        }
    }

    #[cold]
    fn write(&mut self, now: u64, event: &Event, frame: Option<u64>) {
        let Some((file, detail)) = &mut self.file else { return };
        if *detail == Detail::Losses && !event.is_loss() {
            return;
        }
        self.line.clear();
        ndjson::write(&mut self.line, now, self.count, event, frame);
        // The file remembers its first error and reports it at the end: the run goes on, because the
        // account is worth more than its log.
        let _ = file.write_record(&self.line);
    }
}
