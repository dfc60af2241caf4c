//! The driver's side: a poll of 64 frames and the refill after it, on a ring that the device's side fills.
//!
//! The device behind it is registers that hold what is written to them, and one batched ring; filling it
//! is not timed.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use driver::{
    DmaRegion, Driver, DriverConfig, Event, Host, Progress, QueueSetup, RxFrame, Transport,
    TransportError,
};
use nic_model::RingKind;
use nic_model::ring::{RingFeatures, Virtqueue};
use nic_model::spec::feature;
use vm_memory::{GuestAddress, GuestMemoryMmap, GuestRegionMmap};

use super::Side;
use super::device::{BATCH, Server};
use super::place::ENTRIES;

pub(super) struct DriverSide {
    name: &'static str,
    driver: Driver,
    registers: Registers,
    memory: GuestMemoryMmap,
    server: Server,
    seen: Seen,
}

/// Registers that do nothing.
#[derive(Default)]
struct Registers {
    features: u64,
    status: u8,
    /// Where the receive queue is.
    receive: Option<QueueSetup>,
}

/// What the driver handed on.
#[derive(Default)]
struct Seen {
    frames: u64,
    last: Vec<u8>,
}

impl DriverSide {
    pub(super) fn new(packed: bool) -> Result<Self, String> {
        let ring = if packed { feature::RING_PACKED } else { 0 };
        let features = feature::VERSION_1 | feature::EVENT_IDX | ring;
        let config = DriverConfig { features, required: ring, ..DriverConfig::default() };
        let size = config.memory_needed().map_err(|error| error.to_string())?;
        let region = GuestRegionMmap::from_range(GuestAddress(0), size as usize, None)
            .map_err(|error| error.to_string())?;
        let region = Arc::new(region);
        let memory = GuestMemoryMmap::from_arc_regions(vec![Arc::clone(&region)])
            .map_err(|error| error.to_string())?;
        let mut driver =
            Driver::new(config, DmaRegion::new(region)).map_err(|error| error.to_string())?;
        let mut registers = Registers { features, ..Registers::default() };
        let mut seen = Seen::default();
        let up = driver.start(0, &mut registers, &mut seen).map_err(|error| error.to_string())?;
        let place = registers.receive.filter(|_| up == Progress::Running);
        let place = place.ok_or("the driver does not come up")?;
        let setup = nic_model::QueueSetup {
            size: place.size,
            descriptor_table: place.descriptor_table,
            available_ring: place.available_ring,
            used_ring: place.used_ring,
            vector: None,
        };
        let ring = Virtqueue::new(RingKind::Batched, &setup, RingFeatures::of(features))
            .ok_or("the ring is refused")?;
        let name = match packed {
            false => "driver: split, poll 64 and refill",
            true => "driver: packed, poll 64 and refill",
        };
        Ok(Self { name, driver, registers, memory, server: Server::new(ring, BATCH), seen })
    }
}

impl Side for DriverSide {
    fn name(&self) -> &'static str {
        self.name
    }

    fn lap(&mut self, frame: &[u8]) -> Result<Duration, String> {
        let Self { driver, registers, memory, server, seen, .. } = self;
        let filled = server.serve(memory, frame).map_err(|error| error.to_string())?;
        seen.frames = 0;
        let budget = BATCH as u16;
        let started = Instant::now();
        for _ in 0..ENTRIES / budget {
            driver.poll(0, 0, budget, registers, seen);
            driver.finish_poll(0, 0, registers, seen);
        }
        let time = started.elapsed();
        match (filled, seen.frames) {
            (ENTRIES, 256) => Ok(time),
            other => Err(format!("{}: {other:?} of {ENTRIES} frames", self.name)),
        }
    }

    fn check(&self, frame: &[u8]) -> Result<(), String> {
        let data = &frame[super::HEADER_LEN..];
        if self.seen.last == data { Ok(()) } else { Err("another frame was indicated".to_owned()) }
    }
}

impl Host for Seen {
    #[inline]
    fn event(&mut self, _: u64, event: Event) {
        black_box(event);
    }

    #[inline]
    fn indicate(&mut self, _: u64, _: u16, frames: &[RxFrame<'_>]) {
        self.frames += frames.len() as u64;
        if let Some(last) = black_box(frames).last() {
            self.last.clear();
            self.last.extend_from_slice(last.data);
        }
    }
}

impl Transport for Registers {
    fn device_features(&mut self) -> u64 {
        self.features
    }

    fn set_driver_features(&mut self, _: u64) {}

    fn status(&mut self) -> u8 {
        self.status
    }

    fn set_status(&mut self, status: u8) {
        self.status = status;
    }

    fn config_generation(&mut self) -> u8 {
        0
    }

    fn read_config(&mut self, _: u32, out: &mut [u8]) {
        out.fill(0);
    }

    fn num_queues(&mut self) -> u16 {
        2
    }

    fn queue_max_size(&mut self, _: u16) -> u16 {
        ENTRIES
    }

    fn setup_queue(&mut self, queue: u16, setup: &QueueSetup) -> Result<(), TransportError> {
        if queue == 0 {
            self.receive = Some(*setup);
        }
        Ok(())
    }

    fn enable_queue(&mut self, _: u16) -> Result<(), TransportError> {
        Ok(())
    }

    fn reset_queue(&mut self, queue: u16) -> Result<(), TransportError> {
        Err(TransportError::QueueRefused { queue, why: "nothing here is ever reset" })
    }

    fn queue_resetting(&mut self, _: u16) -> bool {
        false
    }

    fn set_config_vector(&mut self, _: Option<u16>) -> Result<(), TransportError> {
        Ok(())
    }

    fn set_vector_masked(&mut self, _: u16, _: bool) {}

    fn notify(&mut self, _: u16) {}
}
