//! Coalescing by command: which queues a command reaches, what is read back, what a change sets off.

use crate::rig::{FLAGS_ONLY, Rig, buffer, config, setup, udp};
use nic_model::spec::ring::{DESC_F_NEXT, DESC_F_WRITE};
use vm_memory::{Bytes, GuestAddress};

const TX_SET: u8 = 0;
const RX_SET: u8 = 1;

fn set_all(rig: &mut Rig, command: u8, packets: u32, usecs: u32) -> u8 {
    let data = [packets.to_le_bytes(), usecs.to_le_bytes()].concat();
    rig.command(&[&[6, command][..], &data].concat())
}

fn set(rig: &mut Rig, virtqueue: u16, packets: u32, usecs: u32) -> u8 {
    let [low, high] = virtqueue.to_le_bytes();
    let data = [packets.to_le_bytes(), usecs.to_le_bytes()].concat();
    rig.command(&[&[6, 2, low, high, 0xff, 0xff][..], &data].concat())
}

/// Packets and microseconds of a virtqueue, or the answer if it is not VIRTIO_NET_OK.
fn get(rig: &mut Rig, virtqueue: u16) -> Result<(u32, u32), u8> {
    let [low, high] = virtqueue.to_le_bytes();
    let written = rig.command_with_result(&[6, 3, low, high, 0, 0], 9);
    assert_eq!(written.len(), 9);
    let number = |at: usize| u32::from_le_bytes(written[at..at + 4].try_into().unwrap());
    if written[8] == 0 { Ok((number(0), number(4))) } else { Err(written[8]) }
}

/// The sequence of commands that 5.1.6.5.9 has as its example.
#[test]
fn the_last_command_holds_whichever_it_was() {
    let mut rig = Rig::new(config());
    assert_eq!(get(&mut rig, 0), Ok((0, 0)), "nothing at first");
    assert_eq!(set_all(&mut rig, RX_SET, 1, 10), 0);
    assert_eq!([0, 1, 2, 3].map(|q| get(&mut rig, q).unwrap().0), [1, 0, 1, 0]);
    assert_eq!(set(&mut rig, 0, 2, 20), 0);
    assert_eq!((get(&mut rig, 0), get(&mut rig, 2)), (Ok((2, 20)), Ok((1, 10))));
    assert_eq!(set(&mut rig, 1, 4, 40), 0);
    assert_eq!((get(&mut rig, 1), get(&mut rig, 3)), (Ok((4, 40)), Ok((0, 0))));
    assert_eq!(set_all(&mut rig, TX_SET, 5, 50), 0);
    assert_eq!((get(&mut rig, 1), get(&mut rig, 3)), (Ok((5, 50)), Ok((5, 50))));
    rig.set_status(0);
    rig.bring_up(config().features);
    assert_eq!([0, 1, 2].map(|q| get(&mut rig, q)), [Ok((0, 0)); 3], "a reset clears them");
}

#[test]
fn only_enabled_receive_and_transmit_queues_can_be_named() {
    let mut rig = Rig::new(config());
    let control = rig.control();
    for virtqueue in [control, control + 1, u16::MAX] {
        assert_eq!((set(&mut rig, virtqueue, 1, 1), get(&mut rig, virtqueue)), (1, Err(1)));
    }
    rig.device.reset_queue(0, 3, &mut rig.host).unwrap();
    assert_eq!((set(&mut rig, 3, 1, 1), get(&mut rig, 3)), (1, Err(1)));
    let answers = rig.device.counters();
    assert_eq!((answers.control_ok, answers.control_err), (0, 8));
}

#[test]
fn a_queue_enabled_again_has_what_was_set_for_all() {
    let mut rig = Rig::new(config());
    set(&mut rig, 2, 9, 9);
    set(&mut rig, 3, 9, 9);
    set_all(&mut rig, TX_SET, 7, 70);
    set(&mut rig, 3, 9, 9);
    for virtqueue in [2, 3] {
        rig.device.reset_queue(0, virtqueue, &mut rig.host).unwrap();
        rig.device.setup_queue(virtqueue, &setup(virtqueue, 8)).unwrap();
        rig.device.enable_queue(virtqueue).unwrap();
    }
    assert_eq!((get(&mut rig, 2), get(&mut rig, 3)), (Ok((0, 0)), Ok((7, 70))));
}

#[test]
fn a_short_buffer_for_the_values_still_has_an_answer() {
    let mut rig = Rig::new(config());
    set_all(&mut rig, RX_SET, 3, 4);
    assert_eq!(rig.command_with_result(&[6, 3, 0, 0, 0, 0], 5), [3, 0, 0, 0, 0]);
    assert_eq!(rig.command_with_result(&[6, 3, 0, 0, 0, 0], 1), [0]);
    assert_eq!(rig.command_with_result(&[6, 3, 0xff, 0, 0, 0], 9)[8], 1);
}

#[test]
fn without_the_features_there_are_no_such_commands() {
    use nic_model::spec::feature::{NOTF_COAL, VQ_NOTF_COAL};
    let features = config().features;
    let mut rig = Rig::with_features(config(), features & !NOTF_COAL);
    assert_eq!((set_all(&mut rig, RX_SET, 1, 1), set(&mut rig, 0, 1, 1)), (1, 0));
    let mut rig = Rig::with_features(config(), features & !VQ_NOTF_COAL);
    assert_eq!((set_all(&mut rig, RX_SET, 1, 1), set(&mut rig, 0, 1, 1)), (0, 1));
}

#[test]
fn either_value_zero_notifies_each_frame() {
    for (packets, usecs) in [(0, 5), (5, 0)] {
        let mut rig = Rig::with_features(config(), FLAGS_ONLY);
        rig.set_no_interrupt(rig.control(), true);
        set_all(&mut rig, RX_SET, packets, usecs);
        rig.post(0, 2);
        rig.frame(&udp(1, 60, 0));
        rig.frame(&udp(1, 60, 0));
        assert_eq!(rig.host.interrupts.len(), 2);
    }
}

/// Ten frames are received, then the limit falls to eight: the interrupt is due at once.
#[test]
fn a_limit_that_is_reached_already_sends_at_once() {
    let mut rig = Rig::with_features(crate::rig::sized(16), FLAGS_ONLY);
    rig.set_no_interrupt(rig.control(), true);
    set_all(&mut rig, RX_SET, 15, 1000);
    rig.post(0, 16);
    for _ in 0..10 {
        rig.frame(&udp(1, 60, 0));
    }
    assert!(rig.host.interrupts.is_empty());
    set_all(&mut rig, RX_SET, 8, 1000);
    assert_eq!(rig.host.interrupts, [(0, 1, 0)]);
    assert_eq!(rig.device.next_deadline(), None);
}

#[test]
fn transmit_interrupts_wait_by_count_and_time() {
    let mut rig = Rig::with_features(config(), FLAGS_ONLY);
    rig.set_no_interrupt(rig.control(), true);
    set_all(&mut rig, TX_SET, 3, 2);
    let send = |rig: &mut Rig| {
        rig.memory.write_slice(&[0; 72], GuestAddress(buffer(1, 0))).unwrap();
        rig.descriptor(1, 0, buffer(1, 0), 72, 0, 0);
        rig.make_available(1, rig.size, 0);
        rig.kick(1);
    };
    send(&mut rig);
    send(&mut rig);
    assert!(rig.host.interrupts.is_empty());
    assert_eq!(rig.device.next_deadline(), Some(2_000_000));
    send(&mut rig);
    assert_eq!(rig.host.interrupts, [(0, 2, 0)], "the third");
    send(&mut rig);
    rig.advance(5_000_000);
    assert_eq!(rig.host.interrupts, [(0, 2, 0), (2_000_000, 2, 0)], "the timer");
    let counters = rig.device.queue_counters(0);
    assert_eq!((counters.transmit_interrupts, counters.transmit_kicks), (2, 4));
}

/// The answer may lie in the same descriptor as the values, or in one of its own.
#[test]
fn values_and_answer_may_be_cut_anywhere() {
    let mut rig = Rig::new(config());
    set(&mut rig, 1, 0x0403_0201, 0x0807_0605);
    let queue = rig.control();
    let [command, values, ack] = [0, 1, 2].map(|index| buffer(queue, index));
    rig.memory.write_slice(&[6, 3, 1, 0, 0, 0], GuestAddress(command)).unwrap();
    rig.descriptor(queue, 0, command, 6, DESC_F_NEXT, 1);
    rig.descriptor(queue, 1, values, 8, DESC_F_NEXT | DESC_F_WRITE, 2);
    rig.descriptor(queue, 2, ack, 1, DESC_F_WRITE, 0);
    rig.memory.write_slice(&[0xee], GuestAddress(ack)).unwrap();
    rig.make_available(queue, 64, 0);
    rig.kick(queue);
    assert_eq!((rig.bytes(values, 8), rig.bytes(ack, 1)), (vec![1, 2, 3, 4, 5, 6, 7, 8], vec![0]));
}
