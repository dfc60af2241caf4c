//! A virtio-net device for tests, written against the specification and not against the driver.
//!
//! It is stricter than a real device: it asserts the order of status bits, that nothing is kicked before
//! DRIVER_OK, that no descriptor is given twice, and that every descriptor lies in the driver's memory with
//! the right direction. It poisons a buffer when it fetches it, so that a driver which reads a buffer
//! it has given away hands on poison. It looks at a ring only when kicked or while it has said that it needs
//! no kick, so that a missing kick starves it.

mod registers;
mod rings;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use driver::QueueSetup;
use driver::spec;
use vm_memory::{GuestAddress, GuestRegionMmap};

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
    /// The second buffer of the chain, if it has one.
    pub more: Option<(u64, u32)>,
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
    /// Commands of this class are refused.
    pub refuse_class: Option<u8>,
    /// Commands seen: class, command, data.
    pub commands: Vec<(u8, u8, Vec<u8>)>,
    /// The first descriptor of each command.
    pub heads: Vec<u16>,
    /// What is written behind the next answers.
    pub results: VecDeque<Vec<u8>>,
    pub sent: Vec<Vec<u8>>,
    /// Transmit completions are held back.
    pub hold_transmit: bool,
    pub wants_kicks: bool,
    /// Somebody else writes to the used rings, so the driver may rightly give a buffer twice.
    pub meddled: bool,
    // Faults.
    pub refuse_features: bool,
    pub refuse_driver_ok: bool,
    pub refuse_queue: Option<u16>,
    pub refuse_enable: Option<u16>,
    /// The refusal is for once.
    pub enable_again: bool,
    pub refuse_config_vector: bool,
    pub max_size: u16,
    pub generation_runs: bool,
    /// What the configuration becomes while it is being read, after the first half.
    pub change_midway: Option<[u8; 24]>,
    /// Readings of the status until a reset is over.
    pub reset_readings: u32,
    resetting: u32,
    pub refuse_reset: Option<u16>,
    /// Readings of `queue_reset` until the reset of a queue is over.
    pub queue_reset_readings: u32,
    queue_reset_left: u32,
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
            refuse_class: None,
            commands: Vec::new(),
            heads: Vec::new(),
            results: VecDeque::new(),
            sent: Vec::new(),
            hold_transmit: false,
            wants_kicks: true,
            meddled: false,
            refuse_features: false,
            refuse_driver_ok: false,
            refuse_queue: None,
            refuse_enable: None,
            enable_again: false,
            refuse_config_vector: false,
            refuse_reset: None,
            queue_reset_readings: 0,
            queue_reset_left: 0,
            max_size: 32768,
            generation_runs: false,
            change_midway: None,
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
        let (first, rest) = bytes.split_at(bytes.len().min(buffer.len as usize));
        self.write(buffer.address, first);
        if let Some((address, len)) = buffer.more {
            assert!(rest.len() <= len as usize);
            self.write(address, rest);
        } else {
            assert!(rest.is_empty());
        }
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
}
