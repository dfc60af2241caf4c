//! The picture of a split virtqueue (virtio 1.x 2.7).
//!
//! Contract: of the available ring, the entries from the used index on are the device's, as it uses chains in
//! the order in which they became available; of the used ring, the last ones are not taken, as many as the
//! driver misses and the device does not have.

use super::Memory;
use super::picture::{DETAILED, Owner, Picture};
use nic_model::QueueSetup;
use nic_model::spec::ring;

pub(super) fn draw(
    virtqueue: u16,
    name: String,
    setup: &QueueSetup,
    outstanding: u16,
    memory: &Memory<'_>,
) -> Picture {
    let (available, used, size) = (setup.available_ring, setup.used_ring, setup.size);
    let (offered, returned) = (memory.u16(available + 2), memory.u16(used + 2));
    let slot = |index: u16| u64::from(index % size);
    let with_device = offered.wrapping_sub(returned).min(size);
    let untaken = outstanding.saturating_sub(with_device).min(size);

    let head_of = |index| memory.u16(available + 4 + 2 * slot(index));
    let heads: Vec<u16> = (0..with_device).map(|at| head_of(returned.wrapping_add(at))).collect();
    let element = |index| {
        let at = used + 4 + 8 * slot(index);
        (memory.u32(at), memory.u32(at + 4))
    };
    let first = returned.wrapping_sub(untaken);
    let elements: Vec<(u32, u32)> =
        (0..untaken).map(|at| element(first.wrapping_add(at))).collect();

    let mut owners = vec![Owner::Driver; size.into()];
    for head in &heads {
        own(&mut owners, *head, Owner::Device, setup, memory);
    }
    for (id, _) in &elements {
        if let Ok(head) = u16::try_from(*id) {
            own(&mut owners, head, Owner::Used, setup, memory);
        }
    }
    let end = 2 * u64::from(size);
    let rows = vec![
        (
            "available",
            format!(
                "idx {offered}, flags {}, used_event {}; the device's: {}",
                memory.u16(available),
                memory.u16(available + 4 + end),
                list(heads.iter().map(u16::to_string)),
            ),
        ),
        (
            "used",
            format!(
                "idx {returned}, flags {}, avail_event {}; not taken: {}",
                memory.u16(used),
                memory.u16(used + 4 + 4 * end),
                list(elements.iter().map(|(id, len)| format!("{id}:{len} B"))),
            ),
        ),
    ];
    let shown = if size <= DETAILED { size } else { 0 };
    let table = (0..shown).map(|index| descriptor(index, setup, memory)).collect();
    Picture { virtqueue, name, format: "split", owners, rows, table }
}

/// Marks a chain, which is no longer than the ring.
fn own(owners: &mut [Owner], head: u16, owner: Owner, setup: &QueueSetup, memory: &Memory<'_>) {
    let mut index = head;
    for _ in 0..setup.size {
        let Some(place) = owners.get_mut(usize::from(index)) else { return };
        *place = owner;
        let at = setup.descriptor_table + ring::DESCRIPTOR_LEN * u64::from(index);
        if memory.u16(at + 12) & ring::DESC_F_NEXT == 0 {
            return;
        }
        index = memory.u16(at + 14);
    }
}

fn descriptor(index: u16, setup: &QueueSetup, memory: &Memory<'_>) -> String {
    let at = setup.descriptor_table + ring::DESCRIPTOR_LEN * u64::from(index);
    let (address, len, flags) = (memory.u64(at), memory.u32(at + 8), memory.u16(at + 12));
    let next = if flags & ring::DESC_F_NEXT != 0 {
        format!(", then {}", memory.u16(at + 14))
    } else {
        String::new()
    };
    format!("{index:>2}: {address:#010x}, {len} B{}{next}", kind(flags))
}

/// What the flags say that both formats have.
pub(super) fn kind(flags: u16) -> &'static str {
    match (flags & ring::DESC_F_INDIRECT != 0, flags & ring::DESC_F_WRITE != 0) {
        (true, _) => ", a table of descriptors",
        (false, true) => ", the device writes",
        (false, false) => ", the device reads",
    }
}

/// The first ones, and how many more there are.
pub(super) fn list(items: impl ExactSizeIterator<Item = String>) -> String {
    const SHOWN: usize = 12;
    let more = items.len().saturating_sub(SHOWN);
    let shown: Vec<String> = items.take(SHOWN).collect();
    match (shown.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (false, 0) => shown.join(" "),
        (false, more) => format!("{} and {more} more", shown.join(" ")),
    }
}
