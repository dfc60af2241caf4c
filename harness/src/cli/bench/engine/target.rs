//! Engines as things that store batches of frames and can be read, in both their forms.
//!
//! Every handle has a buffer that the frames stored before a read fit in, and is in immediate mode, so
//! that a read gives what there is at once whatever the design waits for otherwise. A design with a
//! worker has its work done by whoever reads.

use super::{BATCH, Load};
use npf_core::{
    Adapter, BufferMode, Delivered, EngineKind, Event, Frame, HandleOptions, Host, SharedHandle,
    Taken, ViewError, ZeroCopyReader, zbuf_kernel_buffer,
};

/// Kernel buffer of the handles, but for those that only take whole pages.
const KERNEL_BUFFER: u64 = 1_000_000;
/// Requests that a worker handles at a time.
const WORK: u32 = 1 << 16;

/// Something that stores frames and can be read, by one thread.
pub(super) trait Target {
    /// Stores a batch.
    fn store(&mut self, frames: &[&[u8]]);
    /// Reads what there is; gives the number of frames.
    fn read(&mut self) -> Result<u64, String>;
}

/// Something that several threads store in, each as a CPU, while one reads.
pub(super) trait SharedTarget: Sync {
    /// What the reading thread has to itself.
    type Reader: Send;
    fn reader(&self) -> Self::Reader;
    fn store(&self, cpu: u16, frames: &[&[u8]]);
    /// Reads what there is, and counts the frames of each CPU.
    fn read(&self, reader: &mut Self::Reader, count: &mut Count) -> Result<(), String>;
}

/// A host that counts frames delivered, per CPU, and nothing else.
#[derive(Debug, Default)]
pub(super) struct Count {
    pub delivered: [u64; 2],
}

impl Count {
    pub(super) fn total(&self) -> u64 {
        self.delivered.iter().sum()
    }
}

impl Host for Count {
    #[inline]
    fn event(&mut self, _now: u64, _event: Event) {}
    #[inline]
    fn delivered(&mut self, _now: u64, _handle: u32, packet: Delivered<'_>) {
        self.delivered[usize::from(packet.cpu & 1)] += 1;
    }
    #[inline]
    fn wake(&mut self, _now: u64, _handle: u32) {}
}

/// How the handle of a benchmark is opened.
fn handle_options(engine: EngineKind, cpus: u16) -> HandleOptions {
    let kernel_buffer = match engine {
        EngineKind::ZeroCopy(choices) if choices.buffer_mode != BufferMode::Buffered => {
            zbuf_kernel_buffer(KERNEL_BUFFER)
        }
        _ => KERNEL_BUFFER,
    };
    HandleOptions { engine, kernel_buffer, immediate: true, cpus, ..HandleOptions::default() }
}

/// A user buffer of the length that the design is read with.
fn user_buffer(options: &HandleOptions) -> Vec<u8> {
    let len = match options.engine {
        // BSD reads exactly one of its two buffers.
        EngineKind::StoreHold(_) => options.kernel_buffer as usize / 2,
        _ => npf_core::DEFAULT_USER_BUFFER,
    };
    vec![0; len]
}

/// The frames of a batch as they are indicated.
fn indication<'a>(frames: &[&'a [u8]], fill: &mut [Frame<'a>; BATCH]) {
    for (frame, data) in fill.iter_mut().zip(frames) {
        *frame = Frame { data, wire_len: data.len() as u32, tag: 0 };
    }
}

const NO_FRAME: Frame<'static> = Frame { data: &[], wire_len: 0, tag: 0 };

/// A state machine.
pub(super) struct Machine {
    adapter: Adapter,
    handle: u32,
    pages: Option<ZeroCopyReader>,
    out: Vec<u8>,
    count: Count,
}

impl Machine {
    pub(super) fn open(engine: EngineKind) -> Result<Self, String> {
        let options = handle_options(engine, 1);
        let out = user_buffer(&options);
        let mut adapter = Adapter::new();
        let handle = adapter.open(options).map_err(|error| error.to_string())?;
        let pages = ZeroCopyReader::new(&mut adapter, handle).ok();
        Ok(Machine { adapter, handle, pages, out, count: Count::default() })
    }
}

impl Target for Machine {
    fn store(&mut self, frames: &[&[u8]]) {
        let mut batch = [NO_FRAME; BATCH];
        indication(frames, &mut batch);
        self.adapter.tap(0, 0, 0, &batch, &mut self.count);
    }

    fn read(&mut self) -> Result<u64, String> {
        let Machine { adapter, handle, pages, out, count } = self;
        let before = count.total();
        adapter.work(0, *handle, WORK, count).map_err(|error| error.to_string())?;
        match pages {
            Some(reader) => poll(|| reader.poll(0, adapter, count))?,
            None => {
                adapter.read(0, *handle, out, count).map_err(|error| error.to_string())?;
            }
        }
        Ok(count.total() - before)
    }
}

/// The form for several threads.
pub(super) struct Several {
    handle: SharedHandle,
    options: HandleOptions,
}

/// What its reading thread has to itself.
pub(super) struct Reader {
    pages: Option<ZeroCopyReader>,
    out: Vec<u8>,
}

impl Several {
    pub(super) fn open(engine: EngineKind, cpus: u16) -> Result<Self, String> {
        let options = handle_options(engine, cpus);
        let handle = SharedHandle::open(0, options.clone()).map_err(|error| error.to_string())?;
        Ok(Several { handle, options })
    }
}

impl SharedTarget for Several {
    type Reader = Reader;

    fn reader(&self) -> Reader {
        Reader { pages: self.handle.zero_copy_reader().ok(), out: user_buffer(&self.options) }
    }

    fn store(&self, cpu: u16, frames: &[&[u8]]) {
        let mut batch = [NO_FRAME; BATCH];
        indication(frames, &mut batch);
        self.handle.tap(0, cpu, cpu, &batch, &mut Count::default());
    }

    fn read(&self, reader: &mut Reader, count: &mut Count) -> Result<(), String> {
        self.handle.work(0, WORK, count);
        match &mut reader.pages {
            Some(pages) => poll(|| self.handle.poll(0, pages, count)),
            None => match self.handle.read(0, &mut reader.out, count) {
                Ok(_) => Ok(()),
                Err(error) => Err(error.to_string()),
            },
        }
    }
}

/// The form for several threads, used by one.
pub(super) struct Alone {
    target: Several,
    reader: Reader,
    count: Count,
}

impl Alone {
    pub(super) fn open(engine: EngineKind) -> Result<Self, String> {
        let target = Several::open(engine, 1)?;
        Ok(Alone { reader: target.reader(), target, count: Count::default() })
    }
}

impl Target for Alone {
    fn store(&mut self, frames: &[&[u8]]) {
        self.target.store(0, frames);
    }

    fn read(&mut self) -> Result<u64, String> {
        let before = self.count.total();
        self.target.read(&mut self.reader, &mut self.count)?;
        Ok(self.count.total() - before)
    }
}

/// Polls shared buffers. Who got something comes again at once: that gives the buffer back, which the
/// next frame stored needs, and begins to wait; the call after that asks for a buffer that is not full.
fn poll(mut poll: impl FnMut() -> Result<Taken, ViewError>) -> Result<(), String> {
    let mut taken = poll();
    if taken.as_ref().is_ok_and(|taken| taken.records > 0) {
        taken = poll();
    }
    taken.map(|_| ()).map_err(|error| error.to_string())
}

/// Bytes of memory per queued frame of a handle whose buffer is full: of the state machine, and of
/// the form for several threads.
pub(super) fn per_queued_frame(engine: EngineKind, load: Load) -> Result<[u64; 2], String> {
    let batch = load.batch();
    let frames: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
    let mut machine = Machine::open(engine)?;
    let several = Several::open(engine, 1)?;
    let (handle, mut count) = (machine.handle, Count::default());
    // More than any design holds; its worker takes what fits.
    for _ in 0..2 * KERNEL_BUFFER as usize / (load.len * BATCH) + 1 {
        machine.store(&frames);
        several.store(0, &frames);
        let worked = machine.adapter.work(0, handle, WORK, &mut count);
        worked.map_err(|error| error.to_string())?;
        several.handle.work(0, WORK, &mut count);
    }
    let per = |memory: u64, queued: u64| (memory + queued / 2) / queued.max(1);
    Ok([
        per(machine.adapter.occupancy(handle).memory, machine.adapter.queued(handle)),
        per(several.handle.occupancy().memory, several.handle.queued()),
    ])
}
