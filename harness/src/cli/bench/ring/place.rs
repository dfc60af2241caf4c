//! Memory with a ring of 256 and a buffer for each entry, and the driver's part, written by hand.

use nic_model::QueueSetup;
use nic_model::spec::ring::{DESC_F_AVAIL, DESC_F_USED, DESC_F_WRITE};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// Entries of the ring.
pub(super) const ENTRIES: u16 = 256;

const BUFFER: u32 = 2048;
const BUFFERS_AT: u64 = 0x10_0000;
const MEMORY: usize = 0x20_0000;

/// A ring's place in its memory. All entries are available from the start of each lap on, in order.
pub(super) struct Place {
    pub(super) memory: GuestMemoryMmap,
    pub(super) setup: QueueSetup,
    packed: bool,
    laps: u16,
}

impl Place {
    pub(super) fn new(packed: bool) -> Result<Self, String> {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MEMORY)])
            .map_err(|error| error.to_string())?;
        let setup = QueueSetup {
            size: ENTRIES,
            descriptor_table: 0x1000,
            available_ring: 0x4000,
            used_ring: 0x6000,
            vector: None,
        };
        let place = Self { memory, setup, packed, laps: 0 };
        for entry in 0..ENTRIES {
            place.descriptor(entry, DESC_F_WRITE)?;
            if !packed {
                place.put(setup.available_ring + 4 + 2 * u64::from(entry), entry)?;
            }
        }
        Ok(place)
    }

    /// Makes all entries available again.
    pub(super) fn refill(&mut self) -> Result<(), String> {
        self.laps = self.laps.wrapping_add(1);
        if !self.packed {
            return self.put(self.setup.available_ring + 2, self.laps.wrapping_mul(ENTRIES));
        }
        let turn = if self.laps % 2 == 1 { DESC_F_AVAIL } else { DESC_F_USED };
        (0..ENTRIES).try_for_each(|entry| self.descriptor(entry, DESC_F_WRITE | turn))
    }

    /// Whether every buffer begins with this frame, and every entry has come back.
    pub(super) fn check(&self, frame: &[u8]) -> Result<(), String> {
        let mut bytes = vec![0; frame.len()];
        for entry in 0..ENTRIES {
            let at = BUFFERS_AT + u64::from(entry) * u64::from(BUFFER);
            self.memory.read_slice(&mut bytes, GuestAddress(at)).map_err(|e| e.to_string())?;
            if bytes != frame {
                return Err(format!("buffer {entry} has another frame"));
            }
            self.check_used(entry, frame.len())?;
        }
        Ok(())
    }

    fn check_used(&self, entry: u16, len: usize) -> Result<(), String> {
        let (len_at, back) = if self.packed {
            let at = self.setup.descriptor_table + 16 * u64::from(entry);
            let flags = self.get(at + 14)? & (DESC_F_AVAIL | DESC_F_USED);
            let used = if self.laps % 2 == 1 { DESC_F_AVAIL | DESC_F_USED } else { 0 };
            (at + 8, flags == used)
        } else {
            let index = self.get(self.setup.used_ring + 2)?;
            let at = self.setup.used_ring + 4 + 8 * u64::from(entry);
            (at + 4, index == self.laps.wrapping_mul(ENTRIES) && self.get(at)? == entry)
        };
        if !back || usize::from(self.get(len_at)?) != len {
            return Err(format!("entry {entry} has not come back with {len} bytes"));
        }
        Ok(())
    }

    fn descriptor(&self, entry: u16, flags: u16) -> Result<(), String> {
        let address = BUFFERS_AT + u64::from(entry) * u64::from(BUFFER);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&address.to_le_bytes());
        bytes[8..12].copy_from_slice(&BUFFER.to_le_bytes());
        // The flags, and where those of a packed descriptor are the id.
        let (flags_at, id_at) = if self.packed { (14, 12) } else { (12, 14) };
        bytes[id_at..id_at + 2].copy_from_slice(&entry.to_le_bytes());
        bytes[flags_at..flags_at + 2].copy_from_slice(&flags.to_le_bytes());
        let at = self.setup.descriptor_table + 16 * u64::from(entry);
        self.memory.write_slice(&bytes, GuestAddress(at)).map_err(|error| error.to_string())
    }

    fn put(&self, at: u64, value: u16) -> Result<(), String> {
        let value = value.to_le();
        self.memory.write_obj(value, GuestAddress(at)).map_err(|error| error.to_string())
    }

    fn get(&self, at: u64) -> Result<u16, String> {
        let value = self.memory.read_obj(GuestAddress(at));
        value.map(u16::from_le).map_err(|error| error.to_string())
    }
}
