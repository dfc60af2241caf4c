//! The fake device's side of the rings: fetching and checking descriptors, sending, obeying commands, and
//! all access to memory.

use std::sync::atomic::Ordering;

use driver::{QueueSetup, spec};
use vm_memory::{Bytes, MemoryRegionAddress};

use super::{Answer, BASE, Fake, Owned, POISON};

impl Fake {
    pub(super) fn fetch(&mut self, index: usize) {
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
                let fresh = self.queues[index].owned.iter().all(|o| o.id != id);
                assert!(fresh || self.meddled, "{id} given twice");
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
        let (address, len, flags, next) = self.raw_descriptor(setup, id);
        let mut more = None;
        if receive {
            self.write(address, &vec![POISON; len as usize]);
            if flags & spec::DESC_F_NEXT != 0 {
                let (address, len, flags, _) = self.raw_descriptor(setup, next);
                assert_eq!(flags, spec::DESC_F_WRITE, "two buffers at most");
                self.write(address, &vec![POISON; len as usize]);
                more = Some((address, len));
            }
        }
        let expected = if receive { spec::DESC_F_WRITE } else { 0 };
        assert_eq!(flags & !spec::DESC_F_NEXT, expected);
        assert!(receive || flags == 0);
        Owned { id, address, len, more }
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

    pub(super) fn run_transmit(&mut self, index: usize) {
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

    pub(super) fn run_control(&mut self, index: usize) {
        while let Some(head) = self.queues[index].commands.pop_front() {
            let setup = self.setup_of(index as u16);
            let mut readable = Vec::new();
            let mut id = head;
            self.heads.push(head);
            let table = self.raw_descriptor(&setup, head);
            // A table of its own is read like the ring's.
            let setup = match table.2 & spec::DESC_F_INDIRECT {
                0 => setup,
                _ => {
                    id = 0;
                    QueueSetup { descriptor_table: table.0, size: (table.1 / 16) as u16, ..setup }
                }
            };
            let (ack, room) = loop {
                let (address, len, flags, next) = self.raw_descriptor(&setup, id);
                if flags & spec::DESC_F_WRITE != 0 {
                    assert!(len >= 1 && flags & spec::DESC_F_NEXT == 0);
                    break (address, len as usize);
                }
                assert_ne!(len, 0, "a buffer without bytes");
                let mut bytes = vec![0; len as usize];
                self.read(address, &mut bytes);
                readable.extend(bytes);
                assert_ne!(flags & spec::DESC_F_NEXT, 0);
                id = next;
            };
            self.commands.push((readable[0], readable[1], readable[2..].to_vec()));
            match self.control {
                Answer::Ack(value) => {
                    let refused = self.refuse_class == Some(readable[0]);
                    let mut answer = vec![if refused { 1 } else { value }];
                    answer.extend(self.results.pop_front().unwrap_or_default());
                    answer.truncate(room);
                    self.write(ack, &answer);
                    self.complete(index as u16, head.into(), answer.len() as u32);
                }
                Answer::Silence => self.complete(index as u16, head.into(), 0),
                Answer::WrongId => self.complete(index as u16, 7, 1),
                Answer::Never => return self.queues[index].commands.push_front(head),
            }
        }
    }

    pub(super) fn send(&mut self, vector: u16) {
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

    pub(super) fn place(address: u64) -> MemoryRegionAddress {
        MemoryRegionAddress(address.checked_sub(BASE).unwrap())
    }

    pub fn write(&self, address: u64, bytes: &[u8]) {
        self.memory.write_slice(bytes, Self::place(address)).unwrap();
    }

    pub fn read(&self, address: u64, bytes: &mut [u8]) {
        self.memory.read_slice(bytes, Self::place(address)).unwrap();
    }

    pub(super) fn read_u16(&self, address: u64) -> u16 {
        let mut bytes = [0; 2];
        self.read(address, &mut bytes);
        u16::from_le_bytes(bytes)
    }

    fn load_index(&self, address: u64) -> u16 {
        u16::from_le(self.memory.load(Self::place(address), Ordering::Acquire).unwrap())
    }

    pub(super) fn publish_index(&self, setup: &QueueSetup, index: u16) {
        let place = Self::place(setup.used_ring + 2);
        self.memory.store(index.to_le(), place, Ordering::Release).unwrap();
    }
}
