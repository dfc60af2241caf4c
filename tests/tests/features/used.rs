//! A short run of a pair that has come to terms, and what of it shows which features were used.

use crate::pair::Pair;
use nic_model::spec::feature as f;
use nic_model::{DeviceConfig, Event};

/// Frames received, in bursts, and frames sent.
const FRAMES: u64 = 90;
const BURST: u64 = 15;
const SENT: u64 = 40;

/// A frame to the device, UDP with this source port.
fn frame(tag: u64) -> Vec<u8> {
    let len = 64 + (tag as usize * 37) % 1400;
    let mut frame = vec![tag as u8; len];
    frame[..6].copy_from_slice(&DeviceConfig::default().mac);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
    frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
    frame[16..18].copy_from_slice(&(len as u16 - 14).to_be_bytes());
    frame[20..24].copy_from_slice(&[0, 0, 64, 17]);
    frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    frame[34..36].copy_from_slice(&(tag as u16).to_be_bytes());
    frame
}

pub fn run(pair: &mut Pair, agreed: u64, apart: bool, what: &str) {
    for tag in 1..=FRAMES {
        pair.receive(tag, &frame(tag));
        if tag % BURST == 0 {
            pair.settle();
        }
    }
    for tag in 0..SENT {
        pair.transmit(0, &frame(tag));
    }
    pair.settle();
    account(pair, what);
    header_and_buffers(pair, agreed, what);
    commands(pair, agreed, what);
    rings(pair, agreed, apart, what);
    knowledge(pair, agreed, what);
}

/// Every frame offered is handed on as it came, in order within its queue.
fn account(pair: &Pair, what: &str) {
    let total = pair.device.counters();
    assert_eq!((total.offered, total.written), (FRAMES, FRAMES), "{what}");
    let mut tags: Vec<u64> = Vec::new();
    for received in &pair.log.received {
        let of_queue: Vec<u64> = received.iter().map(|frame| u64::from(frame[14 + 30])).collect();
        assert!(of_queue.is_sorted(), "{what}");
        for bytes in received {
            assert_eq!(*bytes, frame(u64::from(bytes[44])), "{what}");
        }
        tags.extend(of_queue);
    }
    tags.sort_unstable();
    assert_eq!(tags, (1..=FRAMES).collect::<Vec<_>>(), "{what}");
    for queue in 0..pair.driver.config().queue_pairs {
        let counters = &pair.driver.queue_counters(queue).unwrap().receive;
        assert_eq!((counters.header_unexpected, counters.length_clamped), (0, 0), "{what}");
        assert_eq!(pair.driver.queue_error(queue), None, "{what}");
    }
    assert_eq!(pair.log.sent, (0..SENT).map(frame).collect::<Vec<_>>(), "{what}");
}

fn header_and_buffers(pair: &Pair, agreed: u64, what: &str) {
    let header = if agreed & f::HASH_REPORT != 0 { 20 } else { 12 };
    for event in &pair.log.device {
        match event {
            Event::Written { tag, len, .. } => {
                assert_eq!(*len as usize, header + frame(*tag).len(), "{what}");
            }
            Event::DmaStart { buffers, .. } => {
                assert!(agreed & f::MRG_RXBUF != 0 || *buffers == 1, "{what}");
            }
            _ => {}
        }
    }
}

/// Commands of what was not agreed are never sent.
fn commands(pair: &Pair, agreed: u64, what: &str) {
    for event in &pair.log.device {
        let Event::ControlCommand { class, command, ack, .. } = event else { continue };
        let allowed = match (class, command) {
            (0, 0 | 1) => f::CTRL_RX,
            (0, _) => f::CTRL_RX_EXTRA,
            (1, 0) => f::CTRL_RX,
            (2, _) => f::CTRL_VLAN,
            (3, _) => f::GUEST_ANNOUNCE,
            (4, 0) => f::MQ,
            (4, 1) => f::RSS,
            (4, 2) => f::HASH_REPORT,
            (6, 0 | 1) => f::NOTF_COAL,
            (6, _) => f::VQ_NOTF_COAL,
            _ => 0,
        };
        assert_ne!(agreed & allowed, 0, "command {class}.{command}: {what}");
        assert_eq!(*ack, 0, "command {class}.{command}: {what}");
    }
    let control = pair.setups.iter().any(|(queue, _)| {
        let pairs = if agreed & (f::MQ | f::RSS) != 0 { 2 } else { 1 };
        *queue == 2 * pairs
    });
    assert_eq!(control, agreed & f::CTRL_VQ != 0, "{what}");
}

/// What the bytes of the rings show.
fn rings(pair: &Pair, agreed: u64, apart: bool, what: &str) {
    let has = |bit| agreed & bit != 0;
    let mut indirect = false;
    for (queue, setup) in &pair.setups {
        let (size, table) = (u64::from(setup.size), setup.descriptor_table);
        // Flags are the last field of a packed descriptor, the last but one of a split one.
        let flags_at = if has(f::RING_PACKED) { 14 } else { 12 };
        for place in 0..size {
            let flags = pair.get(table + 16 * place + flags_at);
            indirect |= flags & 4 != 0;
            assert!(has(f::INDIRECT_DESC) || flags & 4 == 0, "queue {queue}: {what}");
            assert!(has(f::RING_PACKED) || flags & 0x8080 == 0, "queue {queue}: {what}");
        }
        let (driver, device) = (setup.available_ring, setup.used_ring);
        if has(f::RING_PACKED) {
            // Four bytes are in use of either area, and a single place is named only with EVENT_IDX.
            for (area, len) in [(driver, 6 + 2 * size), (device, 6 + 8 * size)] {
                assert!(has(f::EVENT_IDX) || pair.get(area + 2) != 2, "queue {queue}: {what}");
                let rest = (4..len - 1).step_by(2).all(|at| pair.get(area + at) == 0);
                assert!(rest, "queue {queue}: {what}");
            }
        } else if has(f::EVENT_IDX) {
            assert_eq!((pair.get(driver), pair.get(device)), (0, 0), "queue {queue}: {what}");
        } else {
            let events = [driver + 4 + 2 * size, device + 4 + 8 * size].map(|at| pair.get(at));
            assert_eq!(events, [0, 0], "queue {queue}: {what}");
        }
    }
    if has(f::RING_PACKED) {
        // Used descriptors have written over the flags. But those that were skipped, because their chain had
        // two, still say "available": both bits differ. In order the device skips for another reason too.
        let (_, setup) = pair.setups.iter().find(|(queue, _)| *queue == 1).unwrap();
        let bits = |place: u64| pair.get(setup.descriptor_table + 16 * place + 14) & 0x8080;
        let skipped = (0..u64::from(setup.size)).any(|place| !matches!(bits(place), 0 | 0x8080));
        assert!(has(f::IN_ORDER) || skipped == (apart && !has(f::INDIRECT_DESC)), "{what}");
    } else if apart && has(f::INDIRECT_DESC) {
        assert!(indirect, "chains of two have not used a table: {what}");
    }
    let packed = pair.get(pair.setups[0].1.descriptor_table + 14) & 0x8080 != 0;
    assert_eq!(packed, has(f::RING_PACKED), "{what}");
}

/// What the driver knows of the device, and whether it hears of the link.
fn knowledge(pair: &mut Pair, agreed: u64, what: &str) {
    let has = |bit| agreed & bit != 0;
    assert_eq!(pair.driver.mac().is_some(), has(f::MAC), "{what}");
    assert_eq!(pair.driver.mtu().is_some(), has(f::MTU), "{what}");
    pair.set_link(false);
    assert_eq!(pair.driver.link_up(), !has(f::STATUS), "{what}");
}
