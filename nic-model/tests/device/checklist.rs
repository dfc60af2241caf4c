//! Bad input that others' devices fell over. The tests of the list have its numbers in their names; those about
//! rings alone are in `tests/ring` and `tests/packed`, and 02 to 04, 09 and most of 16 are about vhost-user.
//!
//! | number | what a device has to survive |
//! |---|---|
//! | 01 | a buffer or an indirect table that memory holds in part only, or of an odd length |
//! | 02 | file descriptors that come unasked with a message |
//! | 03 | another ring size while the ring runs |
//! | 04 | a log of dirty pages whose offset and size overflow |
//! | 05 | an index that does not fit the type it is put in |
//! | 06 | a descriptor of no length |
//! | 07 | a descriptor that changes between two looks at it |
//! | 08 | a chain shorter than the header, and a header over many descriptors |
//! | 09 | a last index in flight that is out of range |
//! | 10 | a checksum's start or offset beyond the packet |
//! | 11 | a chain that is a circle |
//! | 12 | the number of buffers written when the buffers are the driver's again; chains that leak on errors |
//! | 13 | a header whose size depends on two features |
//! | 14 | an RSS table that names a queue there is not |
//! | 15 | work that never ends, and work without bound in one call |
//! | 16 | sizes that are no power of two, too many rings, queues before features, a second connection |
//! | 17 | an index that jumps, a next out of range, tables in tables, wrong order or direction, lengths that wrap, parts that overlap |

use crate::rig::{FLAGS_ONLY, Rig, buffer, config, config_with, rss_command, setup, udp};
use nic_model::spec::feature;
use nic_model::spec::ring::{DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE};
use nic_model::{DeviceConfig, DropReason, QueueSetup, RingKind};
use vm_memory::{Bytes, GuestAddress};

/// Makes a chain of these lengths available on a queue, from the table's start; their places.
fn chain(rig: &mut Rig, queue: u16, flags: u16, lens: &[u32]) -> Vec<u64> {
    let mut places = Vec::new();
    for (index, len) in (0..).zip(lens) {
        let more = usize::from(index) + 1 < lens.len();
        let flags = flags | if more { DESC_F_NEXT } else { 0 };
        let at = buffer(queue, index);
        rig.descriptor(queue, index, at, *len, flags, index + 1);
        places.push(at);
    }
    rig.make_available(queue, rig.size, 0);
    places
}

/// CVE-2022-2132: the chain to transmit is shorter than the header.
#[test]
fn checklist_device_08_chain_shorter_than_the_header() {
    for (features, header) in [(0, 12), (feature::HASH_REPORT, 20)] {
        for len in [1, header - 1, header, header + 13] {
            let mut rig = Rig::new(config_with(features));
            chain(&mut rig, 1, 0, &[len]);
            rig.kick(1);
            assert_eq!(
                (rig.dropped(DropReason::TxMalformed), rig.host.sent.len()),
                (1, 0),
                "{len}"
            );
            assert_eq!(rig.used_index(1), 1, "completed like any other");
        }
        let mut rig = Rig::new(config_with(features));
        chain(&mut rig, 0, DESC_F_WRITE, &[header - 1]);
        rig.frame(&udp(1, 60, 0));
        assert_eq!(rig.dropped(DropReason::BufferTooSmall), 1);
    }
}

/// The same CVE's other half: the header lies in many descriptors.
#[test]
fn checklist_device_08_header_across_descriptors() {
    let mut rig = Rig::new(config());
    let pieces = [1, 1, 3, 5, 1, 1, 60];
    let places = chain(&mut rig, 0, DESC_F_WRITE, &pieces);
    let frame = udp(1, 60, 9);
    rig.frame(&frame);
    let mut bytes = Vec::new();
    for (at, len) in places.iter().zip(pieces) {
        bytes.extend(rig.bytes(*at, len as usize));
    }
    assert_eq!(bytes[..12], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    assert_eq!(bytes[12..], frame);
}

/// CVE-2021-3748, CVE-2022-26353: the count is part of what is published, and chains that are not used go
/// back.
#[test]
fn checklist_device_12_num_buffers_is_written_before_its_buffers_are_published() {
    let mut rig = Rig::new(config_with(feature::MRG_RXBUF));
    for index in 0..3 {
        rig.descriptor(0, index, buffer(0, index), 40, DESC_F_WRITE, 0);
        rig.make_available(0, rig.size, index);
    }
    rig.frame(&udp(1, 100, 0));
    assert_eq!(rig.get(buffer(0, 0) + 10), 3);
    // Too few for the next: nothing is fetched, nothing written.
    rig.memory.write_slice(&[0xee; 40], GuestAddress(buffer(0, 3))).unwrap();
    rig.descriptor(0, 3, buffer(0, 3), 40, DESC_F_WRITE, 0);
    rig.make_available(0, rig.size, 3);
    rig.frame(&udp(1, 100, 0));
    assert_eq!((rig.used_index(0), rig.device.available(0)), (3, 1));
    assert_eq!(rig.bytes(buffer(0, 3), 40), [0xee; 40]);
}

/// The chain after the first is malformed: the ring breaks, and no frame is half delivered.
#[test]
fn checklist_device_12_a_malformed_chain_behind_a_good_one() {
    let mut rig = Rig::new(config_with(feature::MRG_RXBUF));
    rig.descriptor(0, 0, buffer(0, 0), 40, DESC_F_WRITE, 0);
    rig.descriptor(0, 1, u64::MAX - 4, 40, DESC_F_WRITE, 0);
    rig.make_available(0, rig.size, 0);
    rig.make_available(0, rig.size, 1);
    rig.frame(&udp(1, 100, 0));
    assert_eq!((rig.dropped(DropReason::RingBroken), rig.used_index(0)), (1, 0));
    assert!(rig.device.broken().is_some());
}

/// CVE-2023-6693: the header is 20 bytes with HASH_REPORT, merged or not, in both directions.
#[test]
fn checklist_device_13_header_size_with_hash_report() {
    for merge in [0, feature::MRG_RXBUF] {
        let mut rig = Rig::new(config_with(feature::HASH_REPORT | merge));
        let frame = udp(3, 64, 0x77);
        let bytes = [&[0; 20][..], &frame].concat();
        rig.memory.write_slice(&bytes, GuestAddress(buffer(1, 0))).unwrap();
        chain(&mut rig, 1, 0, &[84]);
        rig.kick(1);
        assert_eq!(rig.host.sent.pop(), Some((0, frame.clone())));
        rig.post(0, 1);
        rig.frame(&frame);
        assert_eq!(rig.used(0, 0).1, 84);
        assert_eq!(rig.bytes(buffer(0, 0) + 20, 64), frame);
    }
}

/// CVE-2024-6505: no table may send a frame to a queue that is not in use.
#[test]
fn checklist_device_14_rss_table_entry_beyond_the_queues() {
    let mut rig = Rig::new(config());
    for (table, unclassified, pairs) in
        [(&[4][..], 0, 4), (&[0, 1, 0, 4], 0, 2), (&[0xffff], 0, 4), (&[0], 4, 4), (&[0], 0, 5)]
    {
        assert_eq!(rig.command(&rss_command(table, unclassified, pairs)), 1, "{table:?}");
    }
    for port in 0..20 {
        rig.frame(&udp(port, 60, 0));
    }
    assert_eq!(rig.device.queue_counters(0).steered, 20, "as before any command");
}

/// The same with the hash configuration's fields.
#[test]
fn checklist_device_14_hash_configuration_out_of_range() {
    let mut rig = Rig::new(config_with(feature::HASH_REPORT));
    let with = |types: u32, reserved: u8, key_len: u8, key: usize| {
        let mut bytes = vec![4, 2];
        bytes.extend(types.to_le_bytes());
        bytes.extend([reserved; 8]);
        bytes.push(key_len);
        bytes.extend(vec![1; key]);
        bytes
    };
    assert_eq!(rig.command(&with(0x1ff, 0, 40, 40)), 0);
    for bad in [with(0x200, 0, 40, 40), with(1, 1, 40, 40), with(1, 0, 41, 41), with(1, 0, 40, 39)]
    {
        assert_eq!(rig.command(&bad), 1, "{bad:?}");
    }
}

/// CVE-2016-5403: the longest chains there can be, as many as there can be, do not keep the device for long.
#[test]
fn checklist_device_15_long_chains_share_the_device() {
    for ring in [RingKind::Reference, RingKind::Batched] {
        let with_tables = config_with(feature::INDIRECT_DESC);
        let mut rig = Rig::new(DeviceConfig { ring, queue_size_max: 1024, ..with_tables });
        let table = 0xe0_0000;
        for entry in 0..1024_u64 {
            let flags = if entry < 1023 { DESC_F_NEXT } else { 0 };
            let byte = buffer(1, 0) + entry;
            let rest = [1, u64::from(flags), entry + 1];
            let rest = rest[0] | rest[1] << 32 | rest[2] << 48;
            let at = GuestAddress(table + 16 * entry);
            rig.memory.write_obj([byte.to_le(), rest.to_le()], at).unwrap();
        }
        for head in 0..1024 {
            rig.descriptor(1, head, table, 16 * 1024, DESC_F_INDIRECT, 0);
            rig.make_available(1, 1024, head);
        }
        rig.kick(1);
        assert_eq!((rig.used_index(1), rig.device.next_deadline()), (64, Some(0)), "{ring:?}");
        let mut calls = 1;
        while rig.device.next_deadline().is_some() {
            rig.advance(0);
            calls += 1;
        }
        assert_eq!((rig.used_index(1), rig.host.sent.len(), calls), (1024, 1024, 16));
    }
}

/// Used and available ring in the same place: what the device publishes is taken for what is offered. That ring
/// breaks, and no other.
#[test]
fn checklist_device_17_overlapping_parts() {
    for ring in [RingKind::Reference, RingKind::Batched] {
        let mut rig = Rig::with_features(DeviceConfig { ring, ..config() }, FLAGS_ONLY);
        rig.command(&rss_command(&[0], 1, 4));
        let place = setup(0, 8);
        let table = place.descriptor_table;
        let used_ring = table + 0x100;
        let overlapping = QueueSetup { used_ring, available_ring: used_ring + 4, ..place };
        rig.device.reset_queue(0, 0, &mut rig.host).unwrap();
        rig.device.setup_queue(0, &overlapping).unwrap();
        rig.device.enable_queue(0).unwrap();
        rig.descriptor(0, 3, buffer(0, 3), 2048, DESC_F_WRITE, 0);
        rig.put(used_ring + 4 + 4, 3);
        rig.put(used_ring + 4 + 2, 1);
        rig.frame(&udp(1, 60, 0));
        assert_eq!(rig.device.published(0), 1);
        // The element's id has become the available index: 0, one less than was taken.
        rig.frame(&udp(1, 60, 0));
        let error = *rig.device.broken().unwrap();
        assert_eq!((error.virtqueue, error.fault.name()), (0, "available_index"), "{ring:?}");
        rig.post(1, 1);
        rig.frame(&[0; 60]);
        assert_eq!(rig.device.published(1), 1, "the others go on");
    }
}
