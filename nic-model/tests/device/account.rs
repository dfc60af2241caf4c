//! With an honest driver: the account after every call (the rig checks it), order per queue, and every
//! drop justified by the state at that moment.

use crate::rig::{FLAGS_ONLY, Rig, buffer, config, udp};
use nic_model::{Coalesce, DeviceConfig, DropReason, Event};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Frame {
        port: u16,
        len: usize,
    },
    /// The driver takes what is used and posts as many again, up to so many; it may forget to kick.
    Refill {
        pair: u16,
        most: u16,
        kick: bool,
    },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_u16..16, 60_usize..1514).prop_map(|(port, len)| Step::Frame { port, len }),
        1 => (0_u16..4, 1_u16..9, any::<bool>())
            .prop_map(|(pair, most, kick)| Step::Refill { pair, most, kick }),
        1 => (0_u64..3000).prop_map(Step::Wait),
    ]
}

/// What the test knows of one receive queue.
#[derive(Default)]
struct Driver {
    posted: u16,
    taken: u16,
}

/// Checks the bytes of every element used since the last look.
fn take(rig: &Rig, pair: u16, driver: &mut Driver) {
    let queue = 2 * pair;
    let tags = rig.written(pair);
    while driver.taken != rig.used_index(queue) {
        let (id, len) = rig.used(queue, driver.taken % rig.size);
        let bytes = rig.bytes(buffer(queue, id as u16), len as usize);
        // The last byte of a frame is the low byte of its tag.
        let tag = tags[usize::from(driver.taken)];
        assert_eq!(bytes.last(), Some(&(tag as u8)), "order of the used ring");
        driver.taken += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn frames_are_kept_in_order_and_drops_are_justified(
        steps in proptest::collection::vec(step(), 1..200),
        event_idx in any::<bool>(),
        fifo_bytes in prop_oneof![Just(0_u64), 0_u64..8000],
        dma_frame_ps in prop_oneof![Just(0_u64), 1_u64..500],
        max_frames in 0_u32..4,
    ) {
        let config = DeviceConfig {
            fifo_bytes,
            dma_frame_ps,
            rx_coalesce: Coalesce { max_ps: 400, max_frames },
            ..config()
        };
        let features = if event_idx { config.features } else { FLAGS_ONLY };
        let mut rig = Rig::with_features(config, features);
        rig.command(&[4, 0, 4, 0]);
        let mut drivers: [Driver; 4] = Default::default();
        let mut next_tag = 1_u64;
        for step in steps {
            match step {
                Step::Frame { port, len } => {
                    let mut frame = udp(port, len, 0);
                    *frame.last_mut().unwrap() = next_tag as u8;
                    prop_assert_eq!(rig.frame(&frame), next_tag);
                    next_tag += 1;
                    let dropped = rig.host.events.iter().rev().find(|(_, event)| {
                        matches!(event, Event::Dropped(_) | Event::Offered { .. })
                    });
                    if let Some((_, Event::Dropped(record))) = dropped {
                        // Nothing has happened since the drop.
                        let before = rig.device.fifo_bytes();
                        let available = [0, 1, 2, 3].map(|pair| rig.device.available(pair));
                        let pair = usize::from(record.queue.unwrap());
                        prop_assert!(before + len as u64 > fifo_bytes, "there was room");
                        let elsewhere: u64 = available.iter().sum::<u64>() - available[pair];
                        match record.reason {
                            DropReason::NoDescriptor => {
                                prop_assert_eq!(available[pair], 0);
                                prop_assert_eq!(record.free_elsewhere, elsewhere);
                            }
                            DropReason::FifoOverflow => {
                                prop_assert!(available[pair] > 0);
                                prop_assert_eq!(record.occupancy, before);
                            }
                            other => prop_assert!(false, "{other:?}"),
                        }
                    }
                }
                Step::Refill { pair, most, kick } => {
                    let driver = &mut drivers[usize::from(pair)];
                    take(&rig, pair, driver);
                    let free = rig.size - (driver.posted - driver.taken);
                    let count = most.min(free);
                    driver.posted += count;
                    rig.post_quietly(pair, count);
                    if kick {
                        rig.kick(2 * pair);
                    }
                }
                Step::Wait(time) => rig.advance(rig.now + time),
            }
            prop_assert!(rig.device.fifo_bytes() <= fifo_bytes.max(1514));
        }
        for pair in 0..4 {
            rig.kick(2 * pair);
        }
        rig.advance(rig.now + 1_000_000);
        for pair in 0..4_u16 {
            take(&rig, pair, &mut drivers[usize::from(pair)]);
            let tags = rig.written(pair);
            prop_assert!(tags.is_sorted(), "order of arrival");
            prop_assert_eq!(&rig.started(pair), &tags, "started on what was then written");
            prop_assert_eq!(rig.device.published(pair), tags.len() as u64);
            let (held, free) = (rig.device.fifo_frames_of(pair), rig.device.available(pair));
            prop_assert!(held == 0 || free == 0, "a frame and a descriptor, and nothing happens");
        }
        prop_assert_eq!(rig.device.next_deadline(), None);
    }
}
