//! The driver against a device that does anything: registers, used rings, interrupts, in any order.

use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use driver::{
    Buffers, DmaRegion, Driver, DriverConfig, Event, Exhausted, Host, Masking, Moderation,
    QueueSetup, Rearm, Recover, Refill, RssSettings, RxFrame, Transport, TransportError, spec,
};
use vm_memory::{Bytes, GuestAddress, GuestMemoryRegion, GuestRegionMmap, MemoryRegionAddress};

/// Entries of each ring.
const RING: u16 = 16;
const BASE: u64 = 0x10_0000;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    pairs: u8,
    rss: bool,
    msix: bool,
    refill_threshold: u8,
    policies: Policies,
    not_wanted: u64,
    not_offered: u64,
    config: [u8; 24],
    /// The device sets the configuration's plain fields as it should.
    plain: bool,
    steps: Vec<Step<'a>>,
}

#[derive(Arbitrary, Debug)]
struct Policies {
    buffers: u8,
    spares: u8,
    small: bool,
    drop: bool,
    refill: u8,
    blind: bool,
    moderation: u8,
    watchdog: u16,
    recover: u8,
}

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    // What the system does with the driver.
    Start,
    Advance(u32),
    Go,
    Interrupt(u8),
    Poll {
        queue: u8,
        budget: u8,
    },
    FinishPoll(u8),
    Transmit {
        queue: u8,
        len: u16,
    },
    /// The driver's timers.
    Timers,
    Reset,
    ResetQueue {
        queue: u8,
        entries: Option<u8>,
    },
    Statistics,
    /// A buffer that was handed over comes back, or one that was not.
    GiveBack {
        which: u8,
        made_up: Option<u8>,
    },
    Withhold {
        queue: u8,
        withheld: bool,
    },
    // What the device does.
    /// Completes the next buffer as it should, or not quite.
    Complete {
        queue: u8,
        id: u8,
        len: i8,
        header: Option<[u8; 12]>,
        frame: u16,
    },
    /// The same in a packed ring; the fields are what is wrong.
    CompletePacked {
        queue: u8,
        id: u8,
        len: i8,
        flags: u8,
        header: Option<[u8; 12]>,
        frame: u16,
    },
    /// Publishes a used element that was made up.
    Used {
        queue: u8,
        id: u32,
        len: u32,
    },
    Jump {
        queue: u8,
        by: u16,
    },
    Write {
        at: u16,
        bytes: &'a [u8],
    },
    Status {
        toggle: u8,
    },
    Config {
        at: u8,
        to: u8,
        told: bool,
    },
    /// Answers a control command.
    Answer(u8),
    Refuse {
        queues: bool,
        vectors: bool,
        resets_end: bool,
    },
    Gone(bool),
}

/// The device: registers as they were written, but for what a step has changed.
struct Device {
    memory: Arc<GuestRegionMmap>,
    offered: u64,
    status: u8,
    toggle: u8,
    generation: u8,
    config: [u8; 24],
    queues: Vec<Queue>,
    refuse_queues: bool,
    refuse_vectors: bool,
    resetting: bool,
    gone: bool,
}

#[derive(Clone, Default)]
struct Queue {
    setup: Option<QueueSetup>,
    next_available: u16,
    used_index: u16,
    /// Descriptors of a packed ring used so far.
    used: u16,
}

/// Counts what the driver tells.
#[derive(Default)]
struct Ears {
    indicated: u64,
    dropped: u64,
    /// Buffers that the driver has handed over, with their queues.
    lent: Vec<(u16, u16)>,
}

impl Host for Ears {
    fn event(&mut self, _now: u64, event: Event) {
        event.fields(&mut |_, _| {});
        self.dropped += u64::from(matches!(event, Event::Dropped(_)));
    }

    fn indicate(&mut self, _now: u64, queue: u16, frames: &[RxFrame<'_>]) {
        assert!((1..=driver::BATCH).contains(&frames.len()));
        self.indicated += frames.len() as u64;
        for frame in frames {
            assert!(frame.data.len() >= 14, "a frame of {} bytes", frame.data.len());
            if let Some(buffer) = frame.buffer {
                assert!(
                    !self.lent.contains(&(queue, buffer)),
                    "buffer {buffer} is handed over twice"
                );
                self.lent.push((queue, buffer));
            }
        }
    }
}

/// The bytes, as a device's doings and a system's calls.
pub fn run(bytes: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let pairs = u16::from(input.pairs % 2) + 1;
    let rss = input.rss.then(|| RssSettings {
        hash_types: 0x1ff,
        key: vec![7; 40],
        table: vec![0, pairs - 1],
        unclassified: 0,
    });
    let config = DriverConfig {
        queue_pairs: pairs,
        rx_ring: RING,
        tx_ring: RING,
        buffers: input.policies.buffers(),
        buffer_size: if input.policies.small { 64 } else { 1536 },
        refill: input.policies.refill(),
        rearm: if input.policies.blind { Rearm::Blind } else { Rearm::LookAgain },
        moderation: input.policies.moderation(),
        watchdog_ps: input.policies.watchdog.into(),
        recover: input.policies.recover(),
        required: if input.policies.small { spec::NET_F_MRG_RXBUF } else { 0 },
        refill_threshold: u16::from(input.refill_threshold) % RING + 1,
        mask: if input.msix { Masking::Msix } else { Masking::Ring },
        rss,
        control_timeout_ps: 1_000_000,
        features: spec::SUPPORTED_FEATURES & !input.not_wanted,
        ..DriverConfig::default()
    };
    let Ok(bytes) = config.memory_needed() else { return };
    let memory = GuestRegionMmap::from_range(GuestAddress(BASE), bytes as usize, None);
    let memory = Arc::new(memory.expect("memory for the driver"));
    let Ok(mut driver) = Driver::new(config, DmaRegion::new(Arc::clone(&memory))) else { return };
    let mut device = Device::new(&input, memory, pairs);
    let (mut ears, mut now) = (Ears::default(), 0);
    for step in &input.steps {
        take(&mut driver, &mut device, &mut ears, &mut now, step);
        check(&driver, &ears, pairs);
    }
}

fn check(driver: &Driver, ears: &Ears, pairs: u16) {
    let (mut indicated, mut dropped) = (0, 0);
    for queue in 0..pairs {
        let counters = driver.queue_counters(queue).expect("a queue of the configuration");
        let lost: u64 = counters.dropped.iter().sum();
        assert!(driver.posted(queue) <= RING.into());
        let lent = ears.lent.iter().filter(|(of, _)| *of == queue).count();
        assert_eq!(driver.lent(queue), lent as u64);
        indicated += counters.receive.indicated;
        dropped += lost;
    }
    assert_eq!((indicated, dropped), (ears.indicated, ears.dropped));
}

fn take(driver: &mut Driver, device: &mut Device, ears: &mut Ears, now: &mut u64, step: &Step<'_>) {
    match *step {
        Step::Start => {
            let refused = driver.start(*now, device, ears);
            refused.err().inspect(|error| assert!(!error.to_string().is_empty()));
        }
        Step::Advance(by) => *now += u64::from(by),
        Step::Go => {
            let refused = driver.step(*now, device, ears);
            refused.err().inspect(|error| assert!(!error.to_string().is_empty()));
        }
        Step::Interrupt(vector) => {
            driver.interrupt(*now, vector.into(), device, ears);
        }
        Step::Poll { queue, budget } => {
            let polled = driver.poll(*now, queue.into(), budget.into(), device, ears);
            assert!(polled.frames + polled.dropped <= budget.into(), "{polled:?}");
        }
        Step::FinishPoll(queue) => {
            driver.finish_poll(*now, queue.into(), device, ears);
        }
        Step::Transmit { queue, len } => {
            let frame = vec![0; usize::from(len % 2048)];
            let refused = driver.transmit(*now, queue.into(), &frame, device, ears);
            refused.err().inspect(|error| assert!(!error.to_string().is_empty()));
        }
        Step::Timers => {
            let due = driver.advance(*now, device, ears);
            assert!(due.iter().all(|queue| queue < 64));
        }
        Step::Reset => {
            let refused = driver.reset(*now, device, ears);
            refused.err().inspect(|error| assert!(!error.to_string().is_empty()));
        }
        Step::ResetQueue { queue, entries } => {
            let entries = entries.map(u16::from);
            let refused = driver.reset_queue(*now, queue.into(), entries, device, ears);
            refused.err().inspect(|error| assert!(!error.to_string().is_empty()));
        }
        Step::Statistics => {
            driver.query_stats(*now, device, ears);
        }
        Step::GiveBack { which, made_up } => match made_up {
            Some(buffer) => {
                ears.lent.retain(|lent| *lent != (0, buffer.into()));
                driver.give_back(0, buffer.into());
            }
            None if ears.lent.is_empty() => {}
            None => {
                let at = usize::from(which) % ears.lent.len();
                let (queue, buffer) = ears.lent.swap_remove(at);
                driver.give_back(queue, buffer);
            }
        },
        Step::Withhold { queue, withheld } => driver.withhold_refill(queue.into(), withheld),
        Step::CompletePacked { queue, id, len, flags, header, frame } => {
            device.complete_packed(queue, (id, len, flags), header, frame);
        }
        Step::Complete { queue, id, len, header, frame } => {
            device.complete(queue, id, len, header, frame);
        }
        Step::Used { queue, id, len } => device.put_used(queue.into(), id, len),
        Step::Jump { queue, by } => device.jump(queue.into(), by),
        Step::Write { at, bytes } => device.write(BASE + u64::from(at) * 8, bytes),
        Step::Status { toggle } => device.toggle ^= toggle,
        Step::Config { at, to, told } => {
            device.config[usize::from(at % 24)] = to;
            device.generation = device.generation.wrapping_add(u8::from(told));
        }
        Step::Answer(answer) => device.answer(answer),
        Step::Refuse { queues, vectors, resets_end } => {
            (device.refuse_queues, device.refuse_vectors) = (queues, vectors);
            device.resetting = !resets_end;
        }
        Step::Gone(gone) => device.gone = gone,
    }
}

impl Policies {
    fn buffers(&self) -> Buffers {
        let spares = u16::from(self.spares) % 24 + 1;
        let exhausted = if self.drop { Exhausted::Drop } else { Exhausted::Copy };
        match self.buffers % 3 {
            0 => Buffers::Copy,
            1 => Buffers::PageFlip { spares, exhausted },
            _ => Buffers::HeaderSplit { header: 64 + u16::from(self.spares), spares, exhausted },
        }
    }

    fn refill(&self) -> Refill {
        match self.refill % 4 {
            0 => Refill::EachPoll,
            1 => Refill::Threshold,
            2 => Refill::WhenEmpty,
            _ => Refill::WithoutKick,
        }
    }

    fn moderation(&self) -> Moderation {
        match self.moderation % 4 {
            0 => Moderation::Interrupts,
            1 => Moderation::Adaptive,
            2 => Moderation::BusyPoll { period_ps: 1000 },
            _ => Moderation::Deferred { hard_irqs: 2, flush_timeout_ps: 1000 },
        }
    }

    fn recover(&self) -> Recover {
        match self.recover % 3 {
            0 => Recover::None,
            1 => Recover::Queue,
            _ => Recover::Device,
        }
    }
}

impl Device {
    fn new(input: &Input<'_>, memory: Arc<GuestRegionMmap>, pairs: u16) -> Self {
        let mut config = input.config;
        if input.plain {
            config[6..8].copy_from_slice(&[1, 0]);
            config[8..10].copy_from_slice(&pairs.to_le_bytes());
            config[10..12].copy_from_slice(&1500u16.to_le_bytes());
            config[17] = 40;
            config[18..20].copy_from_slice(&128u16.to_le_bytes());
            config[20..].copy_from_slice(&0x1ffu32.to_le_bytes());
        }
        Self {
            memory,
            offered: spec::SUPPORTED_FEATURES & !input.not_offered,
            status: 0,
            toggle: 0,
            generation: 0,
            config,
            queues: vec![Queue::default(); usize::from(2 * pairs + 1)],
            refuse_queues: false,
            refuse_vectors: false,
            resetting: false,
            gone: false,
        }
    }

    /// Takes the next buffer of a split ring and completes it, with what is wrong added to it.
    fn complete(&mut self, queue: u8, id: u8, len: i8, header: Option<[u8; 12]>, frame: u16) {
        let index = usize::from(queue) % self.queues.len();
        let Some(setup) = self.queues[index].setup else { return };
        let next = self.queues[index].next_available;
        if self.u16_at(setup.available_ring + 2) == next {
            return;
        }
        self.queues[index].next_available = next.wrapping_add(1);
        let head = self.u16_at(setup.available_ring + 4 + 2 * u64::from(next % RING));
        let mut address = [0; 8];
        self.read(setup.descriptor_table + 16 * u64::from(head % RING), &mut address);
        let frame = frame % 1600;
        self.write(
            u64::from_le_bytes(address),
            &header.unwrap_or([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]),
        );
        let len = (u32::from(frame) + 12).wrapping_add_signed(len.into());
        self.put_used(index, u32::from(head) ^ u32::from(id), len);
    }

    /// Uses the next chain of one descriptor of a packed ring, with what is wrong added to it.
    fn complete_packed(
        &mut self,
        queue: u8,
        (id, len, flags): (u8, i8, u8),
        header: Option<[u8; 12]>,
        frame: u16,
    ) {
        let index = usize::from(queue) % self.queues.len();
        let Some(setup) = self.queues[index].setup else { return };
        let used = self.queues[index].used;
        let place = setup.descriptor_table + 16 * u64::from(used % RING);
        let wraps = (used / RING).is_multiple_of(2);
        let mut bytes = [0; 16];
        self.read(place, &mut bytes);
        let (has, wanted) =
            (u16::from_le_bytes([bytes[14], bytes[15]]), if wraps { 0x80 } else { 0x8000 });
        if has & 0x8080 != wanted {
            return;
        }
        self.queues[index].used = used.wrapping_add(1);
        let [a, b, c, d, e, f, g, h, ..] = bytes;
        let plain = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
        self.write(u64::from_le_bytes([a, b, c, d, e, f, g, h]), &header.unwrap_or(plain));
        let len = (u32::from(frame % 1600) + 12).wrapping_add_signed(len.into());
        self.write(place + 8, &len.to_le_bytes());
        let id = u16::from_le_bytes([bytes[12], bytes[13]]) ^ u16::from(id);
        self.write(place + 12, &id.to_le_bytes());
        let turn: u16 = if wraps { 0x8080 } else { 0 };
        self.write(place + 14, &(turn | 2 ^ u16::from(flags)).to_le_bytes());
    }

    fn put_used(&mut self, queue: usize, id: u32, len: u32) {
        let queue = queue % self.queues.len();
        let Some(setup) = self.queues[queue].setup else { return };
        let at = setup.used_ring + 4 + 8 * u64::from(self.queues[queue].used_index % RING);
        self.write(at, &id.to_le_bytes());
        self.write(at + 4, &len.to_le_bytes());
        self.jump(queue, 1);
    }

    fn jump(&mut self, queue: usize, by: u16) {
        let queue = queue % self.queues.len();
        let Some(setup) = self.queues[queue].setup else { return };
        let index = self.queues[queue].used_index.wrapping_add(by);
        self.queues[queue].used_index = index;
        self.write(setup.used_ring + 2, &index.to_le_bytes());
    }

    /// Answers the control command that was given last.
    fn answer(&mut self, answer: u8) {
        let index = self.queues.len() - 1;
        let Some(setup) = self.queues[index].setup else { return };
        for descriptor in 0..u64::from(setup.size.min(RING)) {
            let mut bytes = [0; 16];
            self.read(setup.descriptor_table + 16 * descriptor, &mut bytes);
            if bytes[12] & 2 != 0 {
                let [a, b, c, d, e, f, g, h, ..] = bytes;
                self.write(u64::from_le_bytes([a, b, c, d, e, f, g, h]), &[answer]);
            }
        }
        self.complete(index as u8, 0, -11, None, 0);
    }

    /// A write outside the driver's memory would be the device's own affair.
    fn write(&self, address: u64, bytes: &[u8]) {
        if let Some(at) = address.checked_sub(BASE).filter(|at| *at < self.memory.len()) {
            let _ = self.memory.write(bytes, MemoryRegionAddress(at));
        }
    }

    fn read(&self, address: u64, bytes: &mut [u8]) {
        if let Some(at) = address.checked_sub(BASE).filter(|at| *at < self.memory.len()) {
            let _ = self.memory.read(bytes, MemoryRegionAddress(at));
        }
    }

    fn u16_at(&self, address: u64) -> u16 {
        let mut bytes = [0; 2];
        self.read(address, &mut bytes);
        u16::from_le_bytes(bytes)
    }
}

impl Transport for Device {
    fn device_features(&mut self) -> u64 {
        self.offered
    }

    fn set_driver_features(&mut self, features: u64) {
        assert_eq!(features & !self.offered, 0, "accepted what is not offered");
    }

    fn status(&mut self) -> u8 {
        if self.gone { spec::STATUS_GONE } else { self.status ^ self.toggle }
    }

    fn set_status(&mut self, status: u8) {
        if status == 0 {
            self.queues.fill(Queue::default());
        }
        self.status = status;
    }

    fn config_generation(&mut self) -> u8 {
        self.generation
    }

    fn read_config(&mut self, offset: u32, out: &mut [u8]) {
        for (byte, at) in out.iter_mut().zip(offset as usize..) {
            *byte = if self.gone { 0xff } else { self.config.get(at).copied().unwrap_or(0) };
        }
    }

    fn num_queues(&mut self) -> u16 {
        self.queues.len() as u16
    }

    fn queue_max_size(&mut self, _queue: u16) -> u16 {
        256
    }

    fn setup_queue(&mut self, queue: u16, setup: &QueueSetup) -> Result<(), TransportError> {
        if self.refuse_queues {
            return Err(TransportError::QueueRefused { queue, why: "the fuzzer's wish" });
        }
        let queues = self.queues.len();
        self.queues[usize::from(queue) % queues].setup = Some(*setup);
        Ok(())
    }

    fn enable_queue(&mut self, _queue: u16) -> Result<(), TransportError> {
        Ok(())
    }

    fn reset_queue(&mut self, queue: u16) -> Result<(), TransportError> {
        if self.refuse_queues {
            return Err(TransportError::QueueRefused { queue, why: "the fuzzer's wish" });
        }
        let queues = self.queues.len();
        self.queues[usize::from(queue) % queues] = Queue::default();
        Ok(())
    }

    fn queue_resetting(&mut self, _queue: u16) -> bool {
        self.resetting
    }

    fn set_config_vector(&mut self, _vector: Option<u16>) -> Result<(), TransportError> {
        if self.refuse_vectors {
            return Err(TransportError::VectorRefused { vector: 0, why: "the fuzzer's wish" });
        }
        Ok(())
    }

    fn set_vector_masked(&mut self, _vector: u16, _masked: bool) {}

    fn notify(&mut self, _queue: u16) {}
}
