//! The model and the real thing side by side.
//!
//! Contract: [`Pair::apply`] does a step to both and panics where what can be seen of it differs.

use crate::kernel::{BUFFER, Kernel};
use crate::reader::{Reader, Seen};
use npf_core::{
    Adapter, BufferMode, Delivered, DropReason, EngineKind, Event, ForkedPages, Frame,
    HandleOptions, Host, Taken, ZeroCopyOptions, ZeroCopyReader,
};
use std::io;
use tests::fork::{Arrangement, Family, Who};

/// What is done to both.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// A frame of so many bytes arrives.
    Tap { len: usize },
    /// The reader of a process comes; nothing if there is no such process.
    Poll { who: Who },
    /// The parent forks, unless it has done so; its reader lives on in both.
    Fork,
    /// Somebody writes a byte; nothing if there is no such process.
    Poke { who: Who, buffer: usize, offset: usize, byte: u8 },
}

/// Both.
pub struct Pair {
    family: Family,
    kernel: Kernel,
    readers: Vec<Reader>,
    adapter: Adapter,
    handle: u32,
    model_readers: Vec<ZeroCopyReader>,
    host: Nobody,
    tag: u64,
}

struct Nobody;

impl Host for Nobody {
    fn event(&mut self, _: u64, _: Event) {}
    fn delivered(&mut self, _: u64, _: u32, _: Delivered<'_>) {}
    fn wake(&mut self, _: u64, _: u32) {}
}

impl Pair {
    /// The real pages in an arrangement, the model with the mode and rule that it stands for.
    pub fn new(arrangement: Arrangement) -> io::Result<Self> {
        let rule = match arrangement {
            Arrangement::CopiedAtFork => ForkedPages::CopiedAtFork,
            Arrangement::EachWriterCopies | Arrangement::Shared => ForkedPages::EachWriterCopies,
        };
        Pair::with_rule(arrangement, rule)
    }

    /// The same with a rule of the caller's.
    pub fn with_rule(arrangement: Arrangement, forked_pages: ForkedPages) -> io::Result<Self> {
        let buffer_mode = match arrangement {
            Arrangement::Shared => BufferMode::ZeroCopyInherit,
            _ => BufferMode::ZeroCopy,
        };
        let choices = ZeroCopyOptions { buffer_mode, forked_pages, ..ZeroCopyOptions::default() };
        let mut adapter = Adapter::new();
        let options = HandleOptions {
            engine: EngineKind::ZeroCopy(choices),
            kernel_buffer: 2 * BUFFER as u64,
            ..HandleOptions::default()
        };
        let handle = adapter.open(options).map_err(io::Error::other)?;
        let reader = ZeroCopyReader::new(&mut adapter, handle).map_err(io::Error::other)?;
        Ok(Pair {
            family: Family::new(arrangement, 2 * BUFFER)?,
            kernel: Kernel::default(),
            readers: vec![Reader::default()],
            adapter,
            handle,
            model_readers: vec![reader],
            host: Nobody,
            tag: 0,
        })
    }

    pub fn apply(&mut self, step: Step) {
        match step {
            Step::Tap { len } => self.tap(len),
            Step::Poll { who } if self.is_there(who) => self.poll(who),
            Step::Fork if !self.family.has_child() => {
                self.family.fork().unwrap();
                self.readers.push(self.readers[0].clone());
                let child = self.adapter.fork(self.handle, 0).unwrap();
                self.model_readers.push(self.model_readers[0].in_child(child));
            }
            Step::Poke { who, buffer, offset, byte } if self.is_there(who) => {
                self.family.poke(who, buffer * BUFFER + offset, &[byte]).unwrap();
                let process = who as u32;
                self.adapter.user_write(self.handle, process, buffer, offset, &[byte]).unwrap();
            }
            _ => {}
        }
        self.compare_headers();
    }

    /// What the model says of the account, for whoever wants to know what a story came to.
    pub fn delivered_and_dropped(&self) -> (u64, u64) {
        let counters = self.adapter.counters(self.handle).unwrap();
        (counters.delivered, counters.dropped[DropReason::UserOwned.index()])
    }

    /// Every byte that each process sees.
    pub fn compare_pages(&mut self) {
        self.compare(BUFFER);
    }

    fn tap(&mut self, len: usize) {
        let data = vec![self.tag as u8 + 1; len];
        self.kernel.tap(&mut self.family, &data).unwrap();
        let frame = Frame { data: &data, wire_len: len as u32, tag: self.tag };
        self.adapter.tap(0, 0, 0, &[frame], &mut self.host);
        self.tag += 1;
        assert_eq!(self.kernel.dropped, self.delivered_and_dropped().1, "dropped");
    }

    fn poll(&mut self, who: Who) {
        let reader = &mut self.readers[who as usize];
        let real = reader.poll(who, &mut self.family, &mut self.kernel).unwrap();
        let reader = &mut self.model_readers[who as usize];
        let Taken { records, bytes, malformed, waits, rotated, .. } =
            reader.poll(0, &mut self.adapter, &mut self.host).unwrap();
        let model = Seen { waits, rotated, malformed, records, bytes };
        assert_eq!(real, model, "(real, model) what the {who:?} got");
    }

    /// The headers as each process sees them.
    fn compare_headers(&mut self) {
        self.compare(12);
    }

    fn compare(&mut self, len: usize) {
        for who in [Who::Parent, Who::Child] {
            if !self.is_there(who) {
                continue;
            }
            for buffer in 0..2 {
                let (mut real, mut model) = (vec![0; len], vec![0; len]);
                self.family.peek(who, buffer * BUFFER, &mut real).unwrap();
                self.adapter.user_read(self.handle, who as u32, buffer, 0, &mut model).unwrap();
                let differs = real.iter().zip(&model).position(|(real, model)| real != model);
                let arrangement = self.family.arrangement();
                assert_eq!(differs, None, "{arrangement:?}: what the {who:?} sees of {buffer}");
            }
        }
    }

    fn is_there(&self, who: Who) -> bool {
        who == Who::Parent || self.family.has_child()
    }
}
