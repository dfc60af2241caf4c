//! The network device's configuration space (virtio 5.1.4), built anew for each read.
//!
//! Fields whose feature is not offered read as zero, except speed and duplex, which read as unknown.

use crate::config::DeviceConfig;
use crate::rss::HashType;
use crate::spec::{config, feature, rss};

/// What the space shows that is not the same for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Changing {
    pub(crate) mac: [u8; 6],
    pub(crate) link_up: bool,
    pub(crate) announce: bool,
}

/// Copies from `offset` on; what lies beyond the end reads 0.
pub(crate) fn read(device: &DeviceConfig, changing: Changing, offset: u32, out: &mut [u8]) {
    let space = build(device, changing);
    let from = (offset as usize).min(space.len());
    let len = out.len().min(space.len() - from);
    out[..len].copy_from_slice(&space[from..from + len]);
    out[len..].fill(0);
}

fn build(device: &DeviceConfig, changing: Changing) -> [u8; config::LEN] {
    let mut space = [0; config::LEN];
    let mut put = |at: usize, bytes: &[u8]| space[at..at + bytes.len()].copy_from_slice(bytes);
    let offered = |bits: u64| device.offered_features() & bits != 0;
    if offered(feature::MAC) {
        put(config::MAC, &changing.mac);
    }
    if offered(feature::STATUS) {
        let up = if changing.link_up { config::STATUS_LINK_UP } else { 0 };
        let announce = if changing.announce { config::STATUS_ANNOUNCE } else { 0 };
        put(config::STATUS, &(up | announce).to_le_bytes());
    }
    if offered(feature::MQ | feature::RSS) {
        put(config::MAX_VIRTQUEUE_PAIRS, &device.max_queue_pairs.to_le_bytes());
    }
    if offered(feature::MTU) {
        put(config::MTU, &device.mtu.to_le_bytes());
    }
    put(config::SPEED, &[0xff; 4]);
    put(config::DUPLEX, &[0xff]);
    if offered(feature::RSS) {
        put(config::RSS_MAX_INDIRECTION_TABLE_LENGTH, &rss::TABLE_LEN_MAX.to_le_bytes());
    }
    if offered(feature::RSS | feature::HASH_REPORT) {
        put(config::RSS_MAX_KEY_SIZE, &[rss::KEY_LEN_MAX]);
        put(config::SUPPORTED_HASH_TYPES, &HashType::ALL_BITS.to_le_bytes());
    }
    space
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_in_its_place() {
        let device = DeviceConfig { max_queue_pairs: 4, ..Default::default() };
        let up = Changing { mac: [1, 2, 3, 4, 5, 6], link_up: true, announce: false };
        let mut space = [0xaa; 26];
        read(&device, up, 0, &mut space);
        let expected = [
            1, 2, 3, 4, 5, 6, 1, 0, 4, 0, 0xdc, 0x05, 0xff, 0xff, 0xff, 0xff, 0xff, 40, 128, 0,
            0xff, 1, 0, 0, 0, 0,
        ];
        assert_eq!(space, expected);
        let down = Changing { link_up: false, ..up };
        let mut status = [9; 2];
        read(&device, down, 6, &mut status);
        assert_eq!(status, [0, 0]);
        read(&device, down, u32::MAX, &mut status);
        assert_eq!(status, [0, 0]);
    }
}
