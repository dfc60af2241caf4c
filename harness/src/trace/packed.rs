//! The picture of a packed virtqueue (virtio 1.x 2.8).
//!
//! Contract: a descriptor whose AVAIL and USED bits differ is the device's. The used ones that the driver has
//! not taken are the last before those, as many as the driver misses and the device does not have; exact where
//! a chain is one descriptor, as receive buffers are.

use super::Memory;
use super::picture::{DETAILED, Owner, Picture};
use super::split::kind;
use nic_model::QueueSetup;
use nic_model::spec::ring;

pub(super) fn draw(
    virtqueue: u16,
    name: String,
    setup: &QueueSetup,
    outstanding: u16,
    memory: &Memory<'_>,
) -> Picture {
    let size = usize::from(setup.size);
    let place = |index: usize| setup.descriptor_table + ring::DESCRIPTOR_LEN * index as u64;
    let flags: Vec<u16> =
        (0..size).map(|index| memory.u16(place(index) + ring::PACKED_FLAGS_AT)).collect();
    let is_devices =
        |flags: &u16| (flags & ring::DESC_F_AVAIL != 0) != (flags & ring::DESC_F_USED != 0);
    let mut owners: Vec<Owner> = flags
        .iter()
        .map(|flags| if is_devices(flags) { Owner::Device } else { Owner::Driver })
        .collect();
    let with_device = owners.iter().filter(|owner| **owner == Owner::Device).count();
    let untaken = usize::from(outstanding).saturating_sub(with_device).min(size - with_device);
    // The device's first: the one behind a descriptor that is not the device's. With none of its own, the
    // device has used all, and the driver's place cannot be told from memory.
    let first = (0..size).find(|index| {
        owners[*index] == Owner::Device && owners[(index + size - 1) % size] != Owner::Device
    });
    for back in 1..=untaken {
        owners[(first.unwrap_or(0) + size - back) % size] = Owner::Used;
    }
    let rows = vec![
        ("driver", suppression(memory, setup.available_ring)),
        ("device", suppression(memory, setup.used_ring)),
    ];
    let shown = if setup.size <= DETAILED { size } else { 0 };
    let table =
        (0..shown).map(|index| descriptor(index, place(index), flags[index], memory)).collect();
    Picture { virtqueue, name, format: "packed", owners, rows, table }
}

fn descriptor(index: usize, at: u64, flags: u16, memory: &Memory<'_>) -> String {
    let bits = [(ring::DESC_F_AVAIL, " AVAIL"), (ring::DESC_F_USED, " USED")];
    let set: String =
        bits.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
    let (address, len) = (memory.u64(at), memory.u32(at + ring::PACKED_LEN_AT));
    let (id, kind) = (memory.u16(at + 12), kind(flags));
    format!("{index:>2}: buffer {id}, {address:#010x}, {len} B{kind}{set}")
}

/// An event suppression structure in words (2.8.14).
fn suppression(memory: &Memory<'_>, at: u64) -> String {
    let (offset, flags) = (memory.u16(at), memory.u16(at + 2));
    match flags & ring::EVENT_FLAGS {
        ring::EVENT_ENABLE => "wants to be told of everything".to_owned(),
        ring::EVENT_DISABLE => "wants to be told of nothing".to_owned(),
        ring::EVENT_DESC => format!(
            "wants to be told of descriptor {}, wrap counter {}",
            offset & !ring::EVENT_WRAP,
            offset >> 15
        ),
        _ => format!("flags {flags:#06x} mean nothing"),
    }
}
