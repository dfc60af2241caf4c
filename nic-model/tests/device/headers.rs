//! The virtio header of received frames: hash report, checksum flags, its length.

use crate::rig::{Rig, buffer, config_with, rss_command, udp};
use nic_model::rss::{HashType, toeplitz};
use nic_model::spec::feature;

const OK: u8 = 0;
const ERR: u8 = 1;
const KEY: [u8; 40] = [0x6d; 40];

/// The header of the frame written last, with the frame behind it.
fn received(rig: &mut Rig, frame: &[u8]) -> Vec<u8> {
    rig.post(0, 1);
    rig.frame(frame);
    let last = rig.used_index(0).wrapping_sub(1) % rig.size;
    let (id, len) = rig.used(0, last);
    rig.bytes(buffer(0, id as u16), len as usize)
}

fn hash_config(hash_types: u32) -> Vec<u8> {
    let mut bytes = vec![4, 2];
    bytes.extend(hash_types.to_le_bytes());
    bytes.extend([0; 8]);
    bytes.push(40);
    bytes.extend(KEY);
    bytes
}

#[test]
fn the_hash_is_reported_by_the_configured_types_and_key() {
    let mut rig = Rig::new(config_with(feature::HASH_REPORT));
    let frame = udp(7, 60, 1);
    let none = received(&mut rig, &frame);
    assert_eq!(none[..20], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(none[20..], frame);
    assert_eq!(rig.command(&hash_config(HashType::UdpIpv4.bit())), OK);
    let hash = toeplitz(&KEY, &frame[26..38]);
    let told = received(&mut rig, &frame);
    assert_eq!(told[12..16], hash.to_le_bytes());
    assert_eq!(told[16..20], [3, 0, 0, 0], "VIRTIO_NET_HASH_REPORT_UDPv4");
    assert_eq!(received(&mut rig, &[0; 60])[12..20], [0; 8], "no IP, no hash");
    assert_eq!(rig.command(&hash_config(0)), OK);
    assert_eq!(received(&mut rig, &frame)[16], 0, "switched off");
}

#[test]
fn with_rss_the_hash_that_steers_is_reported() {
    let mut rig = Rig::new(config_with(feature::HASH_REPORT));
    let command = rss_command(&[0], 0, 1);
    assert_eq!(rig.command(&command), OK);
    let frame = udp(9, 60, 1);
    let hash = toeplitz(&command[command.len() - 40..], &frame[26..38]);
    let told = received(&mut rig, &frame);
    assert_eq!((&told[12..16], told[16]), (&hash.to_le_bytes()[..], 3));
    assert_eq!(rig.command(&hash_config(HashType::Ipv4.bit())), OK, "ends RSS");
    let told = received(&mut rig, &frame);
    assert_eq!(told[12..16], toeplitz(&KEY, &frame[26..34]).to_le_bytes());
    assert_eq!(told[16], 1, "VIRTIO_NET_HASH_REPORT_IPv4");
    rig.set_status(0);
    rig.bring_up(config_with(feature::HASH_REPORT).features);
    assert_eq!(received(&mut rig, &frame)[16], 0, "nothing is hashed after a reset");
}

#[test]
fn without_the_feature_the_header_is_short_and_its_command_unknown() {
    let mut rig = Rig::with_features(config_with(feature::HASH_REPORT), config_with(0).features);
    assert_eq!(rig.command(&hash_config(1)), ERR);
    assert_eq!(received(&mut rig, &udp(1, 60, 0)).len(), 72);
}

/// A UDP frame with a right checksum.
fn summed() -> Vec<u8> {
    let mut frame = udp(7, 62, 0);
    frame[16..18].copy_from_slice(&48_u16.to_be_bytes());
    frame[38..40].copy_from_slice(&28_u16.to_be_bytes());
    let words = frame[26..62].chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])));
    let sum: u32 = words.sum::<u32>() + 17 + 28;
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    frame[40..42].copy_from_slice(&sum.to_be_bytes());
    frame
}

#[test]
fn a_verified_checksum_is_told_and_a_wrong_one_passes_without_a_word() {
    let mut rig = Rig::new(config_with(feature::GUEST_CSUM));
    let good = summed();
    let mut bad = good.clone();
    bad[50] ^= 1;
    assert_eq!(received(&mut rig, &good)[..10], [2, 0, 0, 0, 0, 0, 0, 0, 0, 0], "DATA_VALID");
    let told = received(&mut rig, &bad);
    assert_eq!((&told[..10], &told[12..]), (&[0; 10][..], &bad[..]));
    assert_eq!(received(&mut rig, &[0; 60])[..10], [0; 10]);
    let counters = rig.device.queue_counters(0);
    let told = (counters.rx_csum_valid, counters.rx_csum_bad, counters.rx_csum_none);
    assert_eq!(told, (1, 1, 1));
    let mut plain = Rig::with_features(config_with(feature::GUEST_CSUM), config_with(0).features);
    assert_eq!(received(&mut plain, &good)[0], 0, "not negotiated: flags are zero (5.1.6.4.1)");
    assert_eq!(plain.device.queue_counters(0).rx_csum_valid, 0);
}
