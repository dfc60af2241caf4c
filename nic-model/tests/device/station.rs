//! Commands about the device as a station: its address, its announcement, its receive offloads.

use crate::rig::{Rig, config, config_with, udp};
use nic_model::Event;
use nic_model::spec::feature;

/// Generation, address and `status` of the configuration space.
fn space(rig: &Rig) -> (u8, [u8; 6], u16) {
    let mut bytes = [0; 8];
    rig.device.read_config(0, &mut bytes);
    let mac = bytes[..6].try_into().unwrap();
    (rig.device.config_generation(), mac, u16::from_le_bytes([bytes[6], bytes[7]]))
}

#[test]
fn the_address_is_set_by_command_and_shown_until_a_reset() {
    let mut rig = Rig::new(config());
    let own = config().mac;
    let (generation, mac, _) = space(&rig);
    assert_eq!(mac, own);
    assert_eq!(rig.command(&[1, 1, 2, 3, 4, 5, 6, 7]), 0);
    assert_eq!(space(&rig), (generation + 1, [2, 3, 4, 5, 6, 7], 1));
    for refused in
        [&[1, 1, 3, 3, 4, 5, 6, 7][..], &[1, 1, 2, 3, 4, 5, 6], &[1, 1, 0, 0, 0, 0, 0, 0, 0]]
    {
        assert_eq!(rig.command(refused), 1, "a group address, or not six bytes");
    }
    rig.set_status(0);
    assert_eq!((space(&rig).0, space(&rig).1), (generation + 2, own), "a change as well");
    rig.set_status(0);
    assert_eq!(space(&rig).0, generation + 2, "and this is none");
    let mut rig = Rig::with_features(config(), config().features & !feature::CTRL_MAC_ADDR);
    assert_eq!(rig.command(&[1, 1, 2, 3, 4, 5, 6, 7]), 1);
}

#[test]
fn a_reset_that_ends_an_announcement_changes_the_configuration() {
    let mut rig = Rig::new(config());
    assert!(rig.device.ask_to_announce(7, &mut rig.host));
    let (generation, _, status) = space(&rig);
    rig.set_status(0);
    assert_eq!((status, space(&rig).2, space(&rig).0), (3, 1, generation + 1));
}

#[test]
fn the_address_set_is_the_one_that_the_filter_takes() {
    let mut rig = Rig::new(config_with(feature::CTRL_RX));
    rig.command(&[0, 0, 0]);
    rig.post(0, 2);
    let to = |mac: [u8; 6]| {
        let mut frame = udp(1, 60, 0);
        frame[..6].copy_from_slice(&mac);
        frame
    };
    rig.frame(&to(config().mac));
    rig.frame(&to([2, 3, 4, 5, 6, 7]));
    assert_eq!(rig.device.published(0), 1);
    rig.command(&[1, 1, 2, 3, 4, 5, 6, 7]);
    rig.frame(&to(config().mac));
    rig.frame(&to([2, 3, 4, 5, 6, 7]));
    assert_eq!(rig.device.published(0), 2);
}

#[test]
fn the_driver_is_asked_to_announce_itself_until_it_says_it_has() {
    let mut rig = Rig::new(config());
    let (generation, _, status) = space(&rig);
    assert_eq!(status, 1);
    assert!(rig.device.ask_to_announce(7, &mut rig.host));
    assert_eq!((space(&rig).0, space(&rig).2), (generation + 1, 3));
    assert_eq!(rig.host.interrupts, [(7, 0, 0)]);
    assert!(
        rig.host.events.iter().any(|(at, event)| (*at, event.name()) == (7, "announcement_asked"))
    );
    rig.device.set_link(8, false, &mut rig.host);
    assert_eq!(space(&rig).2, 2, "the bits are independent");
    rig.now = 9;
    assert_eq!(rig.command(&[3, 0]), 0);
    assert_eq!((space(&rig).0, space(&rig).2), (generation + 3, 0));
    rig.device.ask_to_announce(9, &mut rig.host);
    rig.set_status(0);
    assert_eq!(space(&rig).2, 0, "a reset ends it");
    assert_eq!(rig.device.counters().announcements_asked, 2);
}

#[test]
fn nobody_is_asked_who_did_not_agree_to_it() {
    for missing in [feature::GUEST_ANNOUNCE, feature::STATUS] {
        let mut rig = Rig::with_features(config(), config().features & !missing);
        let before = space(&rig);
        assert!(!rig.device.ask_to_announce(0, &mut rig.host));
        assert_eq!(space(&rig), before);
        assert!(rig.host.interrupts.is_empty());
    }
    let mut rig = Rig::with_features(config(), config().features & !feature::GUEST_ANNOUNCE);
    assert_eq!(rig.command(&[3, 0]), 1);
    let mut rig = Rig::untouched(config());
    assert!(!rig.device.ask_to_announce(0, &mut rig.host), "no driver, nobody to ask");
}

#[test]
fn receive_offloads_are_switched_within_what_was_agreed() {
    let mut rig = Rig::new(config_with(feature::GUEST_CSUM));
    rig.post(0, 8);
    let set = |rig: &mut Rig, bits: u64| rig.command(&[&[5, 0][..], &bits.to_le_bytes()].concat());
    let checked = |rig: &mut Rig| {
        rig.frame(&udp(1, 60, 0));
        let of = rig.device.queue_counters(0);
        of.rx_csum_valid + of.rx_csum_none + of.rx_csum_bad
    };
    assert_eq!(checked(&mut rig), 1, "on from the start");
    assert_eq!(set(&mut rig, 0), 0);
    assert_eq!(checked(&mut rig), 1);
    assert_eq!(set(&mut rig, feature::GUEST_CSUM), 0);
    assert_eq!(checked(&mut rig), 2);
    assert_eq!(set(&mut rig, feature::GUEST_CSUM | feature::GUEST_TSO4), 1);
    assert_eq!(checked(&mut rig), 3, "a refused command changes nothing");
    let answered = rig
        .host
        .events
        .iter()
        .filter(|(_, event)| matches!(event, Event::ControlCommand { class: 5, .. }));
    assert_eq!(answered.count(), 3);
}
