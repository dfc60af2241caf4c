//! Surroundings for examples and tests: frames at given times, tapped under a clock that jumps from one
//! to the next.
//!
//! Contract: nothing takes time but waiting. A frame is tapped, on CPU 0 and queue 0, when a wait comes
//! to its time. The worker of the design that has one works at once, and so does whoever writes dump
//! files. When the last frame has been tapped, a wait still gives what is ready and one time-out; a
//! wait after a read that gave nothing finds that the playback has ended.

use super::{Platform, Waited};
use crate::{
    Adapter, DUMP_PERIOD_PS, Delivered, Event, Frame, Host, Read, ReadError, Taken, ViewError,
    ZeroCopyReader,
};
use std::collections::VecDeque;

/// Packets that a worker or a writer of dump files handles in one call.
const BATCH: u32 = 64;

/// A list of frames that is played to one adapter.
#[derive(Debug)]
pub struct Playback {
    now: u64,
    adapter: Adapter,
    host: Notes,
    frames: VecDeque<(u64, Vec<u8>)>,
    next_tag: u64,
    /// Handles whose last read gave nothing, and nothing has happened since.
    fruitless: Vec<u32>,
}

/// The host of a playback: notes what is to be done.
#[derive(Debug, Default)]
pub struct Notes {
    /// Handles whose worker has something to do.
    works: Vec<u32>,
    dumps: Vec<DumpFile>,
    sent: Vec<Vec<u8>>,
    next_tag: u64,
    /// Packets and counts that readers got.
    got: u64,
    /// Something has happened that a reader may find.
    news: bool,
}

#[derive(Debug)]
struct DumpFile {
    handle: u32,
    bytes: Vec<u8>,
    /// When the writer looks without being woken; `None`: it is not at work.
    due: Option<u64>,
}

/// Names of frames that captures send begin here.
const SENT: u64 = 1 << 63;

impl Playback {
    /// Plays frames, each a time in picoseconds and its bytes, in the order of their times.
    pub fn new(frames: impl IntoIterator<Item = (u64, Vec<u8>)>) -> Self {
        let mut frames: Vec<(u64, Vec<u8>)> = frames.into_iter().collect();
        frames.sort_by_key(|(at, _)| *at);
        Playback {
            now: 0,
            adapter: Adapter::new(),
            host: Notes::default(),
            frames: frames.into(),
            next_tag: 0,
            fruitless: Vec::new(),
        }
    }

    /// The time, in picoseconds.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// The frames that captures have sent.
    pub fn sent(&self) -> &[Vec<u8>] {
        &self.host.sent
    }

    /// The file that a handle in dump mode has written so far; empty if it was in no such mode.
    pub fn dump_file(&self, handle: u32) -> &[u8] {
        let file = self.host.dumps.iter().find(|file| file.handle == handle);
        file.map_or(&[], |file| &file.bytes)
    }

    /// Does what is due at the next time that something is, if that is not after `until`.
    fn step(&mut self, until: u64) -> bool {
        let frame = self.frames.front().map(|(at, _)| *at);
        let dump = self.host.dumps.iter().filter_map(|file| file.due).min();
        let next = frame.into_iter().chain(dump).min().filter(|next| *next <= until);
        let Some(next) = next else { return false };
        self.now = self.now.max(next);
        if frame == Some(next)
            && let Some((_, data)) = self.frames.pop_front()
        {
            let wire_len = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let frame = Frame { data: &data, wire_len, tag: self.next_tag };
            self.next_tag += 1;
            self.adapter.tap(self.now, 0, 0, &[frame], &mut self.host);
        }
        self.serve();
        true
    }

    /// Workers and writers of dump files do what they have to.
    fn serve(&mut self) {
        let Playback { now, adapter, host, .. } = self;
        while let Some(handle) = host.works.pop() {
            while adapter.work(*now, handle, BATCH, host).is_ok_and(|work| work.left > 0) {}
        }
        while let Some(at) =
            host.dumps.iter().position(|file| file.due.is_some_and(|due| due <= *now))
        {
            let handle = host.dumps[at].handle;
            let step = adapter.dump(*now, handle, BATCH, host);
            host.dumps[at].due = match step {
                Ok(step) if step.ended => None,
                Ok(step) if step.packets == BATCH => Some(*now),
                Ok(_) => now.checked_add(DUMP_PERIOD_PS),
                Err(_) => None,
            };
        }
    }

    /// A read of the handle is over; readers had got `before` in all until then.
    fn note(&mut self, handle: u32, before: u64) {
        if self.host.got == before {
            self.fruitless.push(handle);
        }
    }

    /// Whether the last read of the handle gave nothing and another one would give nothing again.
    fn is_fruitless(&mut self, handle: u32) -> bool {
        if std::mem::take(&mut self.host.news) {
            self.fruitless.clear();
        }
        self.fruitless.contains(&handle)
    }

    /// Whether nothing will happen but that time passes.
    fn is_over(&self) -> bool {
        let dumps = &self.host.dumps;
        let waits = |file: &DumpFile| file.due.is_some() && self.adapter.queued(file.handle) > 0;
        self.frames.is_empty() && !dumps.iter().any(waits)
    }
}

impl Platform for Playback {
    type Host = Notes;

    fn with<T>(&mut self, ask: impl FnOnce(u64, &mut Adapter, &mut Notes) -> T) -> T {
        let answer = ask(self.now, &mut self.adapter, &mut self.host);
        self.serve();
        answer
    }

    fn wait(&mut self, handle: u32, timeout_ps: Option<u64>) -> Waited {
        let until = timeout_ps.map_or(u64::MAX, |timeout| self.now.saturating_add(timeout));
        loop {
            let fruitless = self.is_fruitless(handle);
            if self.adapter.ready(handle) && !fruitless {
                return Waited::Ready;
            }
            if self.is_over() && (fruitless || timeout_ps.is_none()) {
                return Waited::Ended;
            }
            if !self.step(until) {
                self.now = until;
                return Waited::TimedOut;
            }
        }
    }

    fn sleep(&mut self, _handle: u32, until: u64) -> Waited {
        while self.step(until) {}
        self.now = self.now.max(until);
        Waited::TimedOut
    }

    fn read(&mut self, handle: u32, out: &mut [u8]) -> Result<Read, ReadError> {
        let before = self.host.got;
        let read = self.adapter.read(self.now, handle, out, &mut self.host);
        self.note(handle, before);
        read
    }

    fn poll(&mut self, handle: u32, reader: &mut ZeroCopyReader) -> Result<Taken, ViewError> {
        let before = self.host.got;
        let taken = reader.poll(self.now, &mut self.adapter, &mut self.host)?;
        if !taken.waits {
            self.note(handle, before);
        }
        Ok(taken)
    }
}

impl Host for Notes {
    fn event(&mut self, now: u64, event: Event) {
        match event {
            Event::ModeSet { handle, mode: "dump" } => {
                self.dumps.retain(|file| file.handle != handle);
                let due = now.checked_add(DUMP_PERIOD_PS);
                self.dumps.push(DumpFile { handle, bytes: Vec::new(), due });
            }
            Event::ModeSet { handle, .. } => {
                if let Some(file) = self.file(handle) {
                    file.due = None;
                }
            }
            Event::Statistics { packets, .. } => self.got += packets,
            _ => {}
        }
        self.news |= !matches!(event, Event::Read { .. } | Event::Statistics { .. });
    }

    fn delivered(&mut self, _now: u64, _handle: u32, _packet: Delivered<'_>) {
        self.got += 1;
    }

    fn wake(&mut self, _now: u64, _handle: u32) {}

    fn work(&mut self, _now: u64, handle: u32) {
        self.works.push(handle);
    }

    fn wake_dump(&mut self, now: u64, handle: u32) {
        if let Some(file) = self.file(handle) {
            file.due = Some(now);
        }
    }

    fn dump(&mut self, _now: u64, handle: u32, bytes: &[u8]) {
        if let Some(file) = self.file(handle) {
            file.bytes.extend_from_slice(bytes);
        }
    }

    fn transmit(&mut self, _now: u64, _handle: u32, frame: &[u8]) -> u64 {
        self.sent.push(frame.to_vec());
        self.name()
    }

    fn fed_back(&mut self, _now: u64, _handle: u32, _frame: &[u8]) -> u64 {
        self.name()
    }
}

impl Notes {
    fn file(&mut self, handle: u32) -> Option<&mut DumpFile> {
        self.dumps.iter_mut().find(|file| file.handle == handle)
    }

    fn name(&mut self) -> u64 {
        let tag = SENT | self.next_tag;
        self.next_tag += 1;
        tag
    }
}
