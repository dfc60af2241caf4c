//! Receive modes, MAC tables and VLANs by command, and the reason `rx_filtered`.

use crate::rig::{Rig, config_with, udp};
use nic_model::spec::feature;
use nic_model::{DropReason, Event};

const OK: u8 = 0;
const ERR: u8 = 1;
const ALL: u64 = feature::CTRL_RX | feature::CTRL_RX_EXTRA | feature::CTRL_VLAN;

/// A frame to this destination.
fn to(destination: [u8; 6]) -> Vec<u8> {
    let mut frame = udp(1, 60, 0);
    frame[..6].copy_from_slice(&destination);
    frame
}

fn taken(rig: &mut Rig, frame: &[u8]) -> bool {
    let before = rig.dropped(DropReason::RxFiltered);
    rig.frame(frame);
    rig.dropped(DropReason::RxFiltered) == before
}

#[test]
fn promiscuous_until_told_otherwise_and_again_after_a_reset() {
    let mut rig = Rig::new(config_with(ALL));
    let stranger = to([2, 9, 9, 9, 9, 9]);
    assert!(taken(&mut rig, &stranger));
    assert_eq!(rig.command(&[0, 0, 0]), OK);
    assert!(!taken(&mut rig, &stranger));
    let own = rig.device.config().mac;
    assert!(taken(&mut rig, &to(own)));
    rig.set_status(0);
    rig.bring_up(config_with(ALL).offered_features());
    assert!(taken(&mut rig, &stranger));
}

#[test]
fn a_filtered_frame_is_dropped_before_steering() {
    let mut rig = Rig::new(config_with(ALL));
    assert_eq!(rig.command(&[0, 0, 0]), OK);
    let from = rig.host.events.len();
    rig.frame(&to([2, 9, 9, 9, 9, 9]));
    assert_eq!(rig.names(from), ["offered", "dropped"]);
    let Some((_, Event::Dropped(record))) = rig.host.events.last() else { panic!("a drop") };
    assert_eq!((record.reason, record.queue), (DropReason::RxFiltered, None));
    assert_eq!(rig.device.queue_counters(0).steered, 0);
}

#[test]
fn tables_modes_and_vlans_are_set_by_command() {
    let mut rig = Rig::new(config_with(ALL));
    let (group, station) = ([1, 0, 0x5e, 1, 2, 3], [2, 9, 9, 9, 9, 9]);
    assert_eq!(rig.command(&[0, 0, 0]), OK);
    assert!(!taken(&mut rig, &to(group)));
    let mut tables = vec![1, 0, 1, 0, 0, 0];
    tables.extend(station);
    tables.extend([1, 0, 0, 0]);
    tables.extend(group);
    assert_eq!(rig.command(&tables), OK);
    assert!(taken(&mut rig, &to(group)) && taken(&mut rig, &to(station)));
    assert_eq!(rig.command(&[0, 3, 1]), OK, "no multicast");
    assert!(!taken(&mut rig, &to(group)));
    let mut tagged = to(station);
    tagged.splice(12..12, [0x81, 0, 0, 100]);
    assert!(!taken(&mut rig, &tagged), "no VLAN is listed yet");
    assert_eq!(rig.command(&[2, 0, 100, 0]), OK);
    assert!(taken(&mut rig, &tagged));
    assert_eq!(rig.command(&[2, 1, 100, 0]), OK);
    assert!(!taken(&mut rig, &tagged));
}

#[test]
fn the_longest_tables_are_taken_and_longer_ones_refused() {
    let mut rig = Rig::new(config_with(ALL));
    assert_eq!(rig.command(&[0, 0, 0]), OK);
    let tables = |entries: u32| {
        let mut bytes = vec![1, 0];
        bytes.extend(entries.to_le_bytes());
        bytes.extend([2, 0, 0, 0, 0, 7].repeat(entries as usize));
        bytes.extend([0; 4]);
        bytes
    };
    assert_eq!(rig.command(&tables(1025)), ERR);
    assert!(!taken(&mut rig, &to([2, 9, 9, 9, 9, 9])), "refused, nothing changed");
    assert_eq!(rig.command(&tables(1024)), OK);
    assert!(taken(&mut rig, &to([2, 9, 9, 9, 9, 9])), "too many to match: all unicast");
}

#[test]
fn without_the_features_nothing_is_filtered_and_the_commands_are_refused() {
    let rest = config_with(ALL).offered_features() & !ALL;
    let mut rig = Rig::with_features(config_with(ALL), rest);
    for command in [&[0, 0, 0][..], &[0, 3, 1], &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[2, 0, 1, 0]] {
        assert_eq!(rig.command(command), ERR, "{command:?}");
    }
    let mut tagged = to([2, 9, 9, 9, 9, 9]);
    tagged.splice(12..12, [0x81, 0, 0, 100]);
    assert!(taken(&mut rig, &tagged));
}
