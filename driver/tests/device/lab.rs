//! A driver, its fake device and a host that writes everything down, under one roof.

use driver::*;

use crate::fake::Fake;

/// Writes down what the driver tells.
#[derive(Default)]
pub struct Notes {
    pub events: Vec<Event>,
    /// Queue, position, bytes.
    pub frames: Vec<(u16, u64, Vec<u8>)>,
    pub batches: Vec<usize>,
    /// Checksum and hash of each frame, as the header had them.
    pub said: Vec<(RxChecksum, Option<RxHash>)>,
    /// Queue and buffer that the driver has handed over.
    pub lent: Vec<(u16, u16)>,
}

impl Notes {
    pub fn drops(&self) -> Vec<(u64, DropReason)> {
        let record = |event: &Event| match event {
            Event::Dropped(record) => Some((record.tag, record.reason)),
            _ => None,
        };
        self.events.iter().filter_map(record).collect()
    }

    pub fn count(&self, name: &str) -> usize {
        self.events.iter().filter(|event| event.name() == name).count()
    }
}

impl Host for Notes {
    fn event(&mut self, _now: u64, event: Event) {
        event.fields(&mut |_, _| {});
        self.events.push(event);
    }

    fn indicate(&mut self, _now: u64, queue: u16, frames: &[RxFrame<'_>]) {
        assert!((1..=BATCH).contains(&frames.len()));
        self.batches.push(frames.len());
        for frame in frames {
            self.frames.push((queue, frame.position, frame.data.to_vec()));
            self.said.push((frame.checksum, frame.hash));
            self.lent.extend(frame.buffer.map(|buffer| (queue, buffer)));
        }
    }
}

pub struct Lab {
    pub driver: Driver,
    pub device: Fake,
    pub notes: Notes,
    pub now: u64,
}

pub fn config() -> DriverConfig {
    DriverConfig { rx_ring: 16, tx_ring: 16, control_timeout_ps: 1000, ..DriverConfig::default() }
}

impl Lab {
    /// Not started yet; the device has exactly the pairs and the memory that `config` needs.
    pub fn new(config: DriverConfig) -> Self {
        let pairs = config.queue_pairs;
        Self::wider(config, pairs)
    }

    /// The device has so many pairs.
    pub fn wider(config: DriverConfig, pairs: u16) -> Self {
        let bytes = config.memory_needed().unwrap().next_multiple_of(4096);
        let device = Fake::new(pairs, bytes as usize);
        let driver = Driver::new(config, DmaRegion::new(device.memory.clone())).unwrap();
        Self { driver, device, notes: Notes::default(), now: 0 }
    }

    /// Started, with the device's kicks as `wants_kicks` has it.
    pub fn running(config: DriverConfig) -> Self {
        let mut lab = Self::new(config);
        assert_eq!(lab.start(), Ok(Progress::Running));
        lab
    }

    pub fn start(&mut self) -> Result<Progress, DriverError> {
        self.driver.start(self.now, &mut self.device, &mut self.notes)
    }

    pub fn step(&mut self) -> Result<Progress, DriverError> {
        self.driver.step(self.now, &mut self.device, &mut self.notes)
    }

    /// Delivers the oldest message the device has sent.
    pub fn deliver(&mut self) -> Option<Interrupt> {
        let vector = self.device.messages.pop_front()?;
        Some(self.interrupt(vector))
    }

    pub fn interrupt(&mut self, vector: u16) -> Interrupt {
        self.driver.interrupt(self.now, vector, &mut self.device, &mut self.notes)
    }

    pub fn poll(&mut self, queue: u16, budget: u16) -> Polled {
        self.driver.poll(self.now, queue, budget, &mut self.device, &mut self.notes)
    }

    pub fn finish(&mut self, queue: u16) -> Finished {
        self.driver.finish_poll(self.now, queue, &mut self.device, &mut self.notes)
    }

    /// Time passes until `now`; gives the queues that the driver's timers want polled.
    pub fn advance(&mut self, now: u64) -> Vec<u16> {
        self.now = now;
        self.driver.advance(now, &mut self.device, &mut self.notes).iter().collect()
    }

    /// The host gives back its oldest so many buffers.
    pub fn give_back(&mut self, count: usize) {
        for (queue, buffer) in self.notes.lent.drain(..count) {
            self.driver.give_back(queue, buffer);
        }
    }

    pub fn transmit(&mut self, queue: u16, frame: &[u8]) -> Result<(), TransmitError> {
        self.driver.transmit(self.now, queue, frame, &mut self.device, &mut self.notes)
    }

    /// Delivers all messages and polls to the end what they schedule.
    pub fn settle(&mut self, budget: u16) {
        while let Some(interrupt) = self.deliver() {
            if let Interrupt::Poll(queue) = interrupt {
                while {
                    self.poll(queue, budget);
                    self.finish(queue).again
                } {}
            }
        }
    }

    pub fn receive(&self, queue: u16) -> &ReceiveCounters {
        &self.driver.queue_counters(queue).unwrap().receive
    }
}

/// A frame of `len` bytes that no other `seed` gives.
pub fn frame(seed: u64, len: usize) -> Vec<u8> {
    let byte = |i: usize| (seed.wrapping_mul(0x9e37_79b9) >> (8 * (i % 4))) as u8 ^ i as u8;
    (0..len).map(byte).collect()
}
