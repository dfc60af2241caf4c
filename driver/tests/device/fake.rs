//! A virtio-net device for tests, written against the specification and not against the driver.
//!
//! It is stricter than a real device: it asserts the order of status bits, that nothing is kicked before
//! DRIVER_OK, that no descriptor is given twice, and that every descriptor lies in the driver's memory with
//! the right direction. It poisons a buffer when it fetches it, so that a driver which reads a buffer
//! it has given away hands on poison. It looks at a ring only when kicked or while it has said that it needs
//! no kick, so that a missing kick starves it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use driver::spec;
use driver::{QueueSetup, Transport, TransportError};
use vm_memory::{Bytes, GuestAddress, GuestMemoryRegion, GuestRegionMmap, MemoryRegionAddress};

/// Where the shared memory starts.
pub const BASE: u64 = 0x10_0000;
/// What fetched buffers are filled with.
pub const POISON: u8 = 0xdb;

/// How the device answers control commands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Ack(u8),
    /// Completes without writing the answer.
    Silence,
    /// Does not complete, but keeps the command; see [`Fake::answer_late`].
    Never,
    /// Completes a descriptor it was not given.
    WrongId,
}

/// A chain of one descriptor that the device owns.
#[derive(Clone, Copy)]
pub struct Owned {
    pub id: u16,
    pub address: u64,
    pub len: u32,
}

#[derive(Default)]
pub struct Queue {
    pub setup: Option<QueueSetup>,
    pub enabled: bool,
    pub owned: VecDeque<Owned>,
    next_available: u16,
    pub used_index: u16,
    signalled: u16,
    pub kicks: u64,
    commands: VecDeque<u16>,
}

pub struct Fake {
    pub memory: Arc<GuestRegionMmap>,
    pub offered: u64,
    pub accepted: u64,
    pub status: u8,
    pub config: [u8; 24],
    pub generation: u8,
    pub config_vector: Option<u16>,
    pub queues: Vec<Queue>,
    masked: Vec<bool>,
    pending: Vec<bool>,
    /// Messages sent and not yet delivered to the driver.
    pub messages: VecDeque<u16>,
    /// Completions that the driver wanted an interrupt for, on queues without vector.
    pub mute: u64,
    pub control: Answer,
    /// Commands seen: class, command, data.
    pub commands: Vec<(u8, u8, Vec<u8>)>,
    pub sent: Vec<Vec<u8>>,
    /// Transmit completions are held back.
    pub hold_transmit: bool,
    pub wants_kicks: bool,
    // Faults.
    pub refuse_features: bool,
    pub refuse_driver_ok: bool,
    pub refuse_queue: Option<u16>,
    pub refuse_enable: Option<u16>,
    pub refuse_config_vector: bool,
    pub max_size: u16,
    pub generation_runs: bool,
    /// Readings of the status until a reset is over.
    pub reset_readings: u32,
    resetting: u32,
    /// Frames to receive on pair 0 in the middle of the next kick / unmasking.
    pub at_kick: Vec<Vec<u8>>,
    pub at_unmask: Vec<Vec<u8>>,
}

impl Fake {
    /// `pairs` queue pairs and a control queue; all features the driver knows.
    pub fn new(pairs: u16, bytes: usize) -> Self {
        let memory = GuestRegionMmap::from_range(GuestAddress(BASE), bytes, None).unwrap();
        let mut config = [0; 24];
        config[..6].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
        config[6] = 1;
        config[8..10].copy_from_slice(&pairs.to_le_bytes());
        config[10..12].copy_from_slice(&1500u16.to_le_bytes());
        config[17] = 40;
        config[18..20].copy_from_slice(&128u16.to_le_bytes());
        config[20..24].copy_from_slice(&0x1ffu32.to_le_bytes());
        let vectors = usize::from(pairs) + 1;
        Self {
            memory: Arc::new(memory),
            offered: spec::SUPPORTED_FEATURES,
            accepted: 0,
            status: 0,
            config,
            generation: 0,
            config_vector: None,
            queues: (0..2 * pairs + 1).map(|_| Queue::default()).collect(),
            masked: vec![true; vectors],
            pending: vec![false; vectors],
            messages: VecDeque::new(),
            mute: 0,
            control: Answer::Ack(0),
            commands: Vec::new(),
            sent: Vec::new(),
            hold_transmit: false,
            wants_kicks: true,
            refuse_features: false,
            refuse_driver_ok: false,
            refuse_queue: None,
            refuse_enable: None,
            refuse_config_vector: false,
            max_size: 32768,
            generation_runs: false,
            reset_readings: 0,
            resetting: 0,
            at_kick: Vec::new(),
            at_unmask: Vec::new(),
        }
    }

    // --- wire side

    /// Writes a frame into the next receive buffer of `pair` and publishes it. `false` without a buffer.
    pub fn receive(&mut self, pair: u16, frame: &[u8]) -> bool {
        let Some(buffer) = self.take_buffer(pair) else {
            return false;
        };
        let len = self.fill(&buffer, frame);
        self.complete(2 * pair, buffer.id.into(), len);
        true
    }

    /// The next receive buffer, without completing it.
    pub fn take_buffer(&mut self, pair: u16) -> Option<Owned> {
        let queue = 2 * usize::from(pair);
        if !self.wants_kicks {
            self.fetch(queue);
        }
        self.queues[queue].owned.pop_front()
    }

    /// Writes header and frame; returns the honest length.
    pub fn fill(&self, buffer: &Owned, frame: &[u8]) -> u32 {
        let mut bytes = vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
        bytes.extend(frame);
        assert!(bytes.len() <= buffer.len as usize);
        self.write(buffer.address, &bytes);
        bytes.len() as u32
    }

    /// Publishes one used element, whatever it says, and interrupts if the driver wants it.
    pub fn complete(&mut self, queue: u16, id: u32, len: u32) {
        self.put_used(queue, id, len);
        self.interrupt_for(queue);
    }

    /// Publishes one used element without a look at the driver's wish.
    pub fn put_used(&mut self, queue: u16, id: u32, len: u32) {
        let setup = self.setup_of(queue);
        let queue = &mut self.queues[usize::from(queue)];
        let slot = u64::from(queue.used_index % setup.size);
        queue.used_index = queue.used_index.wrapping_add(1);
        let index = queue.used_index;
        self.write(setup.used_ring + 4 + 8 * slot, &id.to_le_bytes());
        self.write(setup.used_ring + 8 + 8 * slot, &len.to_le_bytes());
        self.publish_index(&setup, index);
    }

    /// Moves the used index of a queue without writing elements.
    pub fn jump(&mut self, queue: u16, by: u16) {
        let setup = self.setup_of(queue);
        let queue = &mut self.queues[usize::from(queue)];
        queue.used_index = queue.used_index.wrapping_add(by);
        let index = queue.used_index;
        self.publish_index(&setup, index);
    }

    /// Decides on an interrupt as 2.7.7.2 says, then sends or pends it.
    pub fn interrupt_for(&mut self, queue: u16) {
        let setup = self.setup_of(queue);
        fence(Ordering::SeqCst);
        let event = self.read_u16(setup.available_ring + 4 + 2 * u64::from(setup.size));
        let flags = self.read_u16(setup.available_ring);
        let event_index = self.accepted & spec::F_EVENT_IDX != 0;
        let queue = &mut self.queues[usize::from(queue)];
        let (old, new) = (queue.signalled, queue.used_index);
        queue.signalled = new;
        let wanted = if event_index {
            assert_eq!(flags, 0, "flags must be 0 with EVENT_IDX");
            new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
        } else {
            flags & 1 == 0
        };
        match setup.vector {
            Some(vector) if wanted => self.send(vector),
            Some(_) => {}
            None => self.mute += u64::from(wanted),
        }
    }

    pub fn set_link(&mut self, up: bool) {
        self.config[6] = up.into();
        self.generation = self.generation.wrapping_add(1);
        self.config_changed();
    }

    pub fn config_changed(&mut self) {
        if let Some(vector) = self.config_vector {
            self.send(vector);
        }
    }

    /// Completes a command that [`Answer::Never`] kept.
    pub fn answer_late(&mut self, ack: u8) {
        self.control = Answer::Ack(ack);
        self.run_control(self.queues.len() - 1);
    }

    /// Completes transmit buffers held back.
    pub fn finish_transmit(&mut self, pair: u16) {
        let queue = 2 * pair + 1;
        while let Some(buffer) = self.queues[usize::from(queue)].owned.pop_front() {
            self.complete(queue, buffer.id.into(), 0);
        }
    }

    // --- rings

    fn fetch(&mut self, index: usize) {
        let Some(setup) = self.queues[index].setup.filter(|_| self.queues[index].enabled) else {
            return;
        };
        let control = index == self.queues.len() - 1;
        let available = self.load_index(setup.available_ring + 2);
        while self.queues[index].next_available != available {
            let next = self.queues[index].next_available;
            let ahead = available.wrapping_sub(next);
            assert!(ahead <= setup.size, "avail.idx jumped by {ahead}");
            let slot = u64::from(next % setup.size);
            let id = self.read_u16(setup.available_ring + 4 + 2 * slot);
            self.queues[index].next_available = next.wrapping_add(1);
            if control {
                self.queues[index].commands.push_back(id);
            } else {
                let owned = self.descriptor(&setup, id, index.is_multiple_of(2));
                assert!(self.queues[index].owned.iter().all(|o| o.id != id), "{id} given twice");
                self.queues[index].owned.push_back(owned);
            }
        }
        // Say what wakes us, then look once more, as the specification wants it.
        let wish = if self.wants_kicks { available } else { available.wrapping_sub(0x4000) };
        self.write(setup.used_ring + 4 + 8 * u64::from(setup.size), &wish.to_le_bytes());
        let flags = u16::from(!self.wants_kicks && self.accepted & spec::F_EVENT_IDX == 0);
        self.write(setup.used_ring, &flags.to_le_bytes());
    }

    fn descriptor(&self, setup: &QueueSetup, id: u16, receive: bool) -> Owned {
        let (address, len, flags, _) = self.raw_descriptor(setup, id);
        assert_eq!(flags, if receive { spec::DESC_F_WRITE } else { 0 });
        if receive {
            self.write(address, &vec![POISON; len as usize]);
        }
        Owned { id, address, len }
    }

    fn raw_descriptor(&self, setup: &QueueSetup, id: u16) -> (u64, u32, u16, u16) {
        assert!(id < setup.size, "descriptor {id} of {}", setup.size);
        let mut bytes = [0; 16];
        self.read(setup.descriptor_table + 16 * u64::from(id), &mut bytes);
        let address = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        let len = u32::from_le_bytes(bytes[8..12].try_into().unwrap());
        let flags = u16::from_le_bytes([bytes[12], bytes[13]]);
        (address, len, flags, u16::from_le_bytes([bytes[14], bytes[15]]))
    }

    fn run_transmit(&mut self, index: usize) {
        for owned in self.queues[index].owned.clone() {
            let mut bytes = vec![0; owned.len as usize];
            self.read(owned.address, &mut bytes);
            assert_eq!(bytes[..12], [0; 12], "the transmit header asks for nothing");
            self.sent.push(bytes[12..].to_vec());
            if !self.hold_transmit {
                self.queues[index].owned.pop_front();
                self.complete(index as u16, owned.id.into(), 0);
            }
        }
    }

    fn run_control(&mut self, index: usize) {
        while let Some(head) = self.queues[index].commands.pop_front() {
            let setup = self.setup_of(index as u16);
            let mut readable = Vec::new();
            let mut id = head;
            let ack = loop {
                let (address, len, flags, next) = self.raw_descriptor(&setup, id);
                if flags & spec::DESC_F_WRITE != 0 {
                    assert_eq!((len, flags & spec::DESC_F_NEXT), (1, 0));
                    break address;
                }
                let mut bytes = vec![0; len as usize];
                self.read(address, &mut bytes);
                readable.extend(bytes);
                assert_ne!(flags & spec::DESC_F_NEXT, 0);
                id = next;
            };
            self.commands.push((readable[0], readable[1], readable[2..].to_vec()));
            match self.control {
                Answer::Ack(value) => {
                    self.write(ack, &[value]);
                    self.complete(index as u16, head.into(), 1);
                }
                Answer::Silence => self.complete(index as u16, head.into(), 0),
                Answer::WrongId => self.complete(index as u16, 7, 1),
                Answer::Never => return self.queues[index].commands.push_front(head),
            }
        }
    }

    fn send(&mut self, vector: u16) {
        let at = usize::from(vector);
        if self.masked[at] {
            self.pending[at] = true;
        } else {
            self.messages.push_back(vector);
        }
    }

    // --- memory; a slip outside the region fails the test

    pub fn setup_of(&self, queue: u16) -> QueueSetup {
        self.queues[usize::from(queue)].setup.unwrap()
    }

    fn place(address: u64) -> MemoryRegionAddress {
        MemoryRegionAddress(address.checked_sub(BASE).unwrap())
    }

    pub fn write(&self, address: u64, bytes: &[u8]) {
        self.memory.write_slice(bytes, Self::place(address)).unwrap();
    }

    pub fn read(&self, address: u64, bytes: &mut [u8]) {
        self.memory.read_slice(bytes, Self::place(address)).unwrap();
    }

    fn read_u16(&self, address: u64) -> u16 {
        let mut bytes = [0; 2];
        self.read(address, &mut bytes);
        u16::from_le_bytes(bytes)
    }

    fn load_index(&self, address: u64) -> u16 {
        u16::from_le(self.memory.load(Self::place(address), Ordering::Acquire).unwrap())
    }

    fn publish_index(&self, setup: &QueueSetup, index: u16) {
        let place = Self::place(setup.used_ring + 2);
        self.memory.store(index.to_le(), place, Ordering::Release).unwrap();
    }
}

impl Transport for Fake {
    fn device_features(&mut self) -> u64 {
        self.offered
    }

    fn set_driver_features(&mut self, features: u64) {
        assert_eq!(self.status, spec::STATUS_ACKNOWLEDGE | spec::STATUS_DRIVER);
        assert_eq!(features & !self.offered, 0, "accepted what is not offered");
        self.accepted = features;
    }

    fn status(&mut self) -> u8 {
        if self.resetting > 0 {
            self.resetting -= 1;
            if self.resetting == 0 {
                self.status = 0;
            }
        }
        self.status
    }

    fn set_status(&mut self, status: u8) {
        if status == 0 {
            for queue in &mut self.queues {
                *queue = Queue::default();
            }
            self.config_vector = None;
            self.masked.fill(true);
            self.pending.fill(false);
            self.accepted = 0;
            self.resetting = self.reset_readings;
            if self.resetting == 0 {
                self.status = 0;
            }
            return;
        }
        assert_eq!(status & self.status, self.status, "status bits are only ever added");
        let added = status & !self.status;
        self.status = status;
        if added & spec::STATUS_FEATURES_OK != 0 && self.refuse_features {
            self.status &= !spec::STATUS_FEATURES_OK;
        }
        if added & spec::STATUS_DRIVER_OK != 0 {
            assert_ne!(status & spec::STATUS_FEATURES_OK, 0);
            if self.refuse_driver_ok {
                self.status &= !spec::STATUS_DRIVER_OK;
            }
        }
    }

    fn config_generation(&mut self) -> u8 {
        if self.generation_runs {
            self.generation = self.generation.wrapping_add(1);
        }
        self.generation
    }

    fn read_config(&mut self, offset: u32, out: &mut [u8]) {
        let config = self.config.iter().skip(offset as usize).chain(std::iter::repeat(&0));
        for (byte, value) in out.iter_mut().zip(config) {
            *byte = *value;
        }
    }

    fn num_queues(&mut self) -> u16 {
        self.queues.len() as u16
    }

    fn queue_max_size(&mut self, queue: u16) -> u16 {
        assert!(usize::from(queue) < self.queues.len());
        self.max_size
    }

    fn setup_queue(&mut self, queue: u16, setup: &QueueSetup) -> Result<(), TransportError> {
        assert_ne!(self.status & spec::STATUS_FEATURES_OK, 0);
        assert_eq!(self.status & spec::STATUS_DRIVER_OK, 0);
        if self.refuse_queue == Some(queue) {
            return Err(TransportError::QueueRefused { queue, why: "test" });
        }
        if let Some(vector) = setup.vector.filter(|v| usize::from(*v) >= self.masked.len()) {
            return Err(TransportError::VectorRefused { vector, why: "beyond the table" });
        }
        assert!(setup.size.is_power_of_two() && setup.size <= self.max_size);
        let size = u64::from(setup.size);
        let parts = [
            (setup.descriptor_table, 16, 16 * size),
            (setup.available_ring, 2, 6 + 2 * size),
            (setup.used_ring, 4, 6 + 8 * size),
        ];
        for (address, align, len) in parts {
            assert_eq!(address % align, 0);
            assert!(address >= BASE && address + len <= BASE + self.memory.len());
        }
        self.queues[usize::from(queue)].setup = Some(*setup);
        Ok(())
    }

    fn enable_queue(&mut self, queue: u16) -> Result<(), TransportError> {
        if self.refuse_enable == Some(queue) {
            return Err(TransportError::QueueRefused { queue, why: "test" });
        }
        assert!(self.queues[usize::from(queue)].setup.is_some());
        self.queues[usize::from(queue)].enabled = true;
        Ok(())
    }

    fn set_config_vector(&mut self, vector: Option<u16>) -> Result<(), TransportError> {
        if self.refuse_config_vector {
            return Err(TransportError::VectorRefused { vector: 0, why: "test" });
        }
        self.config_vector = vector;
        Ok(())
    }

    fn set_vector_masked(&mut self, vector: u16, masked: bool) {
        let at = usize::from(vector);
        if !masked && self.masked[at] {
            for frame in std::mem::take(&mut self.at_unmask) {
                assert!(self.receive(0, &frame));
            }
        }
        self.masked[at] = masked;
        if !masked && std::mem::take(&mut self.pending[at]) {
            self.messages.push_back(vector);
        }
    }

    fn notify(&mut self, queue: u16) {
        assert_ne!(self.status & spec::STATUS_DRIVER_OK, 0, "kick before DRIVER_OK");
        let index = usize::from(queue);
        self.queues[index].kicks += 1;
        self.fetch(index);
        if index == self.queues.len() - 1 {
            self.run_control(index);
        } else if index % 2 == 1 {
            self.run_transmit(index);
        } else {
            for frame in std::mem::take(&mut self.at_kick) {
                assert!(self.receive(0, &frame));
            }
        }
    }
}
