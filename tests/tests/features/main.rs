//! The feature lattice: whatever a device offers and a driver wants, they agree on what both have and what
//! its rules allow, use nothing else, and lose no frame.
//!
//! Of the ring features every pair of sets is walked: 16 offered x 16 wanted. Each comes with several draws
//! of the features of the network device. That something is not used is seen in the bytes of the rings, in
//! the length of the header, in the commands, and in what the driver knows.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

mod pair;
mod used;

use driver::{
    Buffers, Coalesce, CoalesceSettings, DriverConfig, DriverError, Exhausted, HashSettings,
    Progress, ReceiveFilter, RssSettings, TxHeader,
};
use nic_model::spec::feature as f;
use nic_model::{DeviceConfig, RingKind, broken_rule};
use pair::Pair;

const RING: [u64; 4] = [f::RING_PACKED, f::EVENT_IDX, f::INDIRECT_DESC, f::IN_ORDER];

/// What the driver takes if it is offered, with nothing more to say.
const NET: [u64; 10] = [
    f::MTU,
    f::MAC,
    f::STATUS,
    f::CTRL_VQ,
    f::MQ,
    f::MRG_RXBUF,
    f::GUEST_CSUM,
    f::RING_RESET,
    f::GUEST_ANNOUNCE,
    f::DEVICE_STATS,
];

/// What the driver wants exactly when it is configured for it.
const SETTINGS: [u64; 5] = [f::RSS, f::HASH_REPORT, f::CTRL_RX, f::NOTF_COAL, f::CTRL_VLAN];

/// Draws for each pair of sets of ring features.
const DRAWS: u64 = 16;

/// The members of `set` that the bits of `choice` choose.
fn choose(set: &[u64], choice: u64) -> u64 {
    set.iter().enumerate().filter(|(i, _)| choice >> i & 1 == 1).map(|(_, bit)| bit).sum()
}

/// 64 random bits of a number (splitmix64).
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn device(ring: u64, draw: u64) -> DeviceConfig {
    // CTRL_VQ nearly always: half of the rest needs it.
    let control = if draw >> 40 & 7 == 0 { 0 } else { f::CTRL_VQ };
    let net = choose(&NET, draw) & !f::CTRL_VQ | choose(&SETTINGS, draw >> 20) | control;
    DeviceConfig {
        features: f::VERSION_1 | choose(&RING, ring) | net,
        max_queue_pairs: 2,
        vectors: 4,
        fifo_bytes: 64 << 10,
        ring: if draw >> 42 & 1 == 1 { RingKind::Reference } else { RingKind::Batched },
        ..DeviceConfig::default()
    }
}

fn driver(ring: u64, draw: u64, offered: u64) -> DriverConfig {
    // A setting is refused when it is not offered; that is worth a few of the draws.
    let stubborn = draw >> 41 & 7 == 0;
    let settings = choose(&SETTINGS, draw >> 20) & if stubborn { u64::MAX } else { offered };
    let multi = draw >> 45 & 1 == 1 && (stubborn || offered & (f::MQ | f::RSS) != 0);
    let on = |bit| settings & bit != 0;
    let control = if draw >> 46 & 7 == 0 { 0 } else { f::CTRL_VQ };
    let queue_pairs = if multi { 2 } else { 1 };
    let key = vec![0x6d; 40];
    DriverConfig {
        queue_pairs,
        rx_ring: 32,
        tx_ring: 32,
        buffer_size: 2048,
        rss: on(f::RSS).then(|| RssSettings {
            hash_types: 0x3f,
            key: key.clone(),
            table: vec![0, queue_pairs - 1],
            unclassified: 0,
        }),
        hash_report: on(f::HASH_REPORT).then_some(HashSettings { hash_types: 0x3f, key }),
        filter: ReceiveFilter {
            promiscuous: !on(f::CTRL_RX),
            vlans: on(f::CTRL_VLAN).then(|| vec![7]),
            ..ReceiveFilter::default()
        },
        coalesce: CoalesceSettings {
            rx: on(f::NOTF_COAL).then_some(Coalesce { max_packets: 4, max_usecs: 10 }),
            ..CoalesceSettings::default()
        },
        tx_header: if draw >> 50 & 1 == 1 { TxHeader::Apart } else { TxHeader::WithFrame },
        features: choose(&RING, ring) | choose(&NET, draw) & !f::CTRL_VQ | control,
        // Few spares, and nobody gives a buffer back: most frames find none and are copied.
        buffers: match draw >> 51 & 3 {
            0 | 1 => Buffers::Copy,
            2 => Buffers::PageFlip { spares: 4, exhausted: Exhausted::Copy },
            _ => Buffers::HeaderSplit { header: 128, spares: 4, exhausted: Exhausted::Copy },
        },
        ..DriverConfig::default()
    }
}

/// What both have, without what lacks a feature it needs.
fn agreement(offered: u64, wanted: u64) -> u64 {
    let mut agreed = (offered & wanted) | f::VERSION_1;
    while let Some(rule) = broken_rule(agreed) {
        agreed &= !rule.feature;
    }
    agreed
}

fn wanted(config: &DriverConfig) -> u64 {
    let setting = |on: bool, bit| if on { bit } else { 0 };
    config.features
        | setting(config.rss.is_some(), f::RSS)
        | setting(config.hash_report.is_some(), f::HASH_REPORT)
        | setting(!config.filter.promiscuous, f::CTRL_RX)
        | setting(config.filter.vlans.is_some(), f::CTRL_VLAN)
        | setting(config.coalesce.rx.is_some(), f::NOTF_COAL)
}

/// One pair of configurations; whether they came to terms.
fn meet(device: DeviceConfig, driver: DriverConfig) -> Option<bool> {
    let (offered, wants) = (device.offered_features(), wanted(&driver));
    let what = format!("offered {offered:#x}, wanted {wants:#x}, {driver:?}");
    let apart = driver.tx_header == TxHeader::Apart;
    let mut pair = Pair::start(device, driver)?;
    match &pair.started {
        Ok(Progress::Running) => {}
        Err(DriverError::MissingFeatures { missing, .. }) => {
            assert_ne!(*missing, 0, "{what}");
            assert_eq!(missing & agreement(offered, wants), 0, "{what}");
            assert_eq!(pair.device.status() & 4, 0, "{what}");
            return Some(false);
        }
        other => panic!("{other:?}: {what}"),
    }
    let agreed = agreement(offered, wants);
    assert_eq!(pair.driver.features(), agreed, "{what}");
    used::run(&mut pair, agreed, apart, &what);
    Some(true)
}

#[test]
fn what_is_not_agreed_is_not_used_and_the_account_adds_up() {
    let (mut agreed, mut refused) = (0u32, 0u32);
    for offered in 0..16 {
        for wanted in 0..16 {
            for draw in 0..DRAWS {
                let draw = (offered * 16 + wanted) * DRAWS + draw;
                let device = device(offered, mix(2 * draw));
                let driver = driver(wanted, mix(2 * draw + 1), device.offered_features());
                match meet(device, driver) {
                    Some(true) => agreed += 1,
                    Some(false) => refused += 1,
                    None => {}
                }
            }
        }
    }
    // Most draws are possible, and both ends are seen.
    assert!(agreed > 2000 && refused > 100, "{agreed} agreed, {refused} refused");
}
