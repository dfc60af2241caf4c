//! What is written is read back equal, and the shipped scenarios are right.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn again(scenario: &Scenario) -> Scenario {
    let text = scenario.to_toml();
    let read = Scenario::parse(&text, "folder/test.toml", &[]);
    read.map_err(|error| panic!("{text}\n{:?}", miette::Report::new(error))).unwrap()
}

#[test]
fn an_empty_file_is_all_defaults() {
    let empty = read("").unwrap();
    assert_eq!(empty, Scenario { folder: "folder".into(), ..Scenario::default() });
    assert_eq!(again(&empty), empty);
}

#[test]
fn resolving_shows_every_value_and_changes_nothing_further() {
    let resolved = read("[[handle]]\n[[handle]]\nname = 'b'").unwrap().resolved();
    assert_eq!(resolved.wire.min_frame, Some(Bytes(60)));
    assert_eq!((resolved.nic.vectors, resolved.cpus.count), (Some(5), Some(5)));
    assert_eq!(resolved.cpus.rx, Some(vec![0, 1, 2, 3]));
    assert_eq!(resolved.handle[0].name, "handle-0");
    assert_eq!(resolved.handle[1].reader.cpu, Some(4));
    assert_eq!(resolved.handle[1].reader.frame, Some(resolved.costs.reader_frame));
    assert_eq!(again(&resolved), resolved);
    assert_eq!(resolved.resolved(), resolved);
    assert_eq!(read("").unwrap().resolved().handle.len(), 1);
    let capture = read("traffic = { source = 'capture', file = 'x' }").unwrap();
    assert_eq!(capture.resolved().wire.min_frame, Some(Bytes(14)));
    assert_eq!(capture.path(Path::new("x")), Path::new("folder/x"));
}

#[test]
fn the_shipped_scenarios_can_be_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let scenario = Scenario::load(&path, &[]).map_err(miette::Report::new).unwrap();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        assert!(!scenario.description.is_empty(), "{stem} says what it shows");
        assert!(names.insert(scenario.name.clone()), "{stem}: two are called {}", scenario.name);
    }
    assert!(names.len() >= 5, "{} has {names:?}", folder.display());
    assert_eq!(Scenario::parse(DEFAULT, "default.toml", &[]).unwrap().seed, 42);
}

#[test]
fn quantities_are_written_as_a_person_would() {
    for text in ["250ps", "1.5us", "10ms", "500ns", "1s", "0s", "1000001ps"] {
        assert_eq!(text.parse::<Duration>().unwrap().to_string(), text);
    }
    for text in ["0B", "64B", "2KiB", "1MB", "256kB", "512KiB", "1GiB"] {
        assert_eq!(text.parse::<Bytes>().unwrap().to_string(), text);
    }
    for text in ["10Gbit/s", "2.5Gbit/s", "line", "1.2Mpps", "0.5pps", "14880952.38pps"] {
        assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
    }
    for (text, printed) in [("0.1%", "1/1000"), ("1/1000", "1/1000"), ("0", "0"), ("100%", "1")] {
        assert_eq!(text.parse::<Ratio>().unwrap().to_string(), printed);
    }
    assert_eq!("1000000B".parse(), Ok(Bytes(1_000_000)));
    assert_eq!("1.2Mpps".parse(), Ok(PacketRate { milli: 1_200_000_000 }));
    assert_eq!(parse_seed("0x_2A"), Ok(42));
    assert!(parse_seed("+5").is_err() && parse_seed("0x+5").is_err() && parse_seed("").is_err());
}

fn ratio() -> impl Strategy<Value = Ratio> {
    (0..=u64::MAX, 1..=u64::MAX)
        .prop_map(|(a, b)| Ratio::new(a.min(b), a.max(b)).unwrap_or_default())
}

fn window(slot: u64) -> impl Strategy<Value = Window> {
    (0..1000u64, 1..1000u64).prop_map(move |(at, lasting)| Window {
        at: Duration(slot * 10_000 + at),
        lasting: Duration(lasting),
    })
}

fn windows() -> impl Strategy<Value = Vec<Window>> {
    (0..4u64).prop_flat_map(|count| (0..count).map(window).collect::<Vec<_>>())
}

prop_compose! {
    fn generator()(
        frames in 1..1_000_000u64,
        rate in prop_oneof![
            (1_000_000..9_000_000u64).prop_map(|milli| Rate::Packets(PacketRate { milli })),
            (1_000_000..4_000_000u64).prop_map(|bits| Rate::Bits(BitRate(bits))),
            Just(Rate::Line),
        ],
        size in prop_oneof![
            (64..1519u64).prop_map(|size| Size::Fixed(Bytes(size))),
            Just(Size::Imix),
            proptest::collection::vec((64..1519u64, 1..100u32), 1..5).prop_map(|list| {
                let entry = |(size, weight)| WeightedSize { size: Bytes(size), weight };
                Size::List(list.into_iter().map(entry).collect())
            }),
        ],
        flows in 2..5000u32,
        skew in prop_oneof![
            Just(Skew::Uniform),
            Just(Skew::Zipf),
            ratio().prop_map(Skew::Elephant),
        ],
        burst in 1..100u32,
        jitter in ratio(),
        mix in (0..9u32, 0..9u32, 1..9u32)
            .prop_map(|(ipv4, other, udp)| Mix { ipv4: ipv4 + 1, ipv6: 0, other, udp, tcp: 1 }),
        start in (0..u64::from(u32::MAX)).prop_map(Duration),
    ) -> Traffic {
        Traffic::Generator(Generator { frames, rate, size, flows, skew, burst, jitter, mix, start })
    }
}

fn capture() -> impl Strategy<Value = Traffic> {
    let timing = prop_oneof![
        Just(Timing::Original),
        Just(Timing::Line),
        (1..=u64::MAX).prop_map(|milli| Timing::Scaled { milli }),
    ];
    ("[a-z ./\"'\\\\]{1,12}", timing, proptest::option::of(1..1u64 << 48), 1..9u32).prop_map(
        |(file, timing, limit, repeat)| {
            Traffic::Capture(Capture { file: file.into(), timing, limit, repeat })
        },
    )
}

prop_compose! {
    fn handle()(
        engine in Just(Engine::PacketQueue),
        sizes in [20..1u64 << 30, 20..1 << 30, 20..1 << 30].prop_map(|sizes| sizes.map(Bytes)),
        read_timeout in (0..1u64 << 60).prop_map(Duration),
        snaplen in 1..u32::MAX,
        filter in proptest::option::of("[a-z]{1,5} [0-9\"'\n]{0,5}"),
        flags in any::<[bool; 4]>(),
        cpu in proptest::option::of(0..2u16),
        times in [(); 3].map(|()| proptest::option::of((0..1u64 << 39).prop_map(Duration))),
        stall in windows(),
    ) -> Handle {
        let [kernel_buffer, user_buffer, min_to_copy] = sizes;
        let [soft_limit, received_after_filter, truncate_first, snaplen_without_filter] = flags;
        let [frame, period, stop_at] = times;
        Handle {
            name: String::new(), engine, kernel_buffer, user_buffer, min_to_copy, read_timeout,
            snaplen, filter,
            packet_queue: PacketQueue {
                soft_limit, received_after_filter, truncate_first, snaplen_without_filter,
            },
            reader: Reader { cpu, frame, write: soft_limit, period, stall, stop_at },
            ..Handle::default()
        }
    }
}

/// A fault with the keys that its kind has, on one of two queues or CPUs.
fn fault() -> impl Strategy<Value = Fault> {
    use crate::fault::{Kind, Unit};
    let when = prop_oneof![
        (0..1u64 << 40).prop_map(|at| (Some(Duration(at)), None, None)),
        any::<u32>().prop_map(|frame| (None, Some(u64::from(frame)), None)),
        ratio().prop_map(|chance| (None, None, Some(chance))),
    ];
    let kind = prop::sample::select(Kind::ALL.to_vec());
    (kind, when, any::<[bool; 3]>(), 2..1_000_000u32).prop_map(|(kind, when, may, number)| {
        let facts = kind.facts();
        let (at, frame, chance) = when;
        Fault {
            at,
            frame,
            chance,
            lasting: kind.has("for", may[0]).then_some(Duration(number.into())),
            count: kind.has("count", may[1]).then_some(number),
            queue: kind.has("queue", may[2]).then_some(0),
            cpu: kind.has("cpu", true).then_some(1),
            amount: match facts.amount {
                Unit::None => None,
                // No more than a FIFO has.
                Unit::Bytes => Some(Amount::Bytes(Bytes(number.min(256 << 10).into()))),
                Unit::Times => Some(Amount::Number(number.min(1000).into())),
            },
            ..Fault::of(kind)
        }
    })
}

prop_compose! {
    fn scenario()(
        texts in ["[ -~\n\u{e4}]{0,20}", "[ -~\n]{0,20}"],
        seed in any::<u64>(),
        traffic in prop_oneof![generator(), capture()],
        wire in (ratio(), ratio(), windows(), 15..1514u64),
        combined in 1..=64u16,
        ring in (4..10u32, 4..16u32),
        coalesce in prop_oneof![Just((0, 0)), (1..1u64 << 40, 1..u32::MAX)],
        table in proptest::option::of((0..8u32, 0..64u16)),
        key in any::<[u8; 20]>(),
        costs in [0..1u64 << 39, 0..1u64 << 39],
        handle in proptest::collection::vec(handle(), 0..3),
        flags in any::<[bool; 7]>(),
        receive in any::<[bool; 7]>(),
        vlan in proptest::option::of(proptest::collection::vec(0..4096u16, 0..4)),
        fault in proptest::collection::vec(fault(), 0..4),
    ) -> Scenario {
        let [name, description] = texts;
        let (bad_fcs, runt, link_down, min_frame) = wire;
        let mut hash_key = [0; 40];
        hash_key[..20].copy_from_slice(&key);
        let mut scenario = Scenario {
            name, description, seed, traffic,
            wire: Wire { bad_fcs, runt, link_down, min_frame: Some(Bytes(min_frame)), ..Wire::default() },
            channels: Channels { combined },
            ring: Ring { rx: 1 << ring.0, tx: 1 << (ring.1.min(15)), ..Ring::default() },
            coalesce: Coalesce {
                rx_usecs: Duration(coalesce.0),
                rx_frames: coalesce.1,
                ..Coalesce::default()
            },
            handle,
            fault,
            folder: "folder".into(),
            ..Scenario::default()
        };
        scenario.rxfh.key = HashKey(hash_key);
        scenario.rxfh.enabled = flags[0];
        scenario.nic.event_idx = flags[1];
        scenario.nic.in_order = flags[3];
        scenario.nic.indirect_desc = flags[4];
        if flags[5] {
            scenario.ring.format = RingFormat::Packed;
        }
        if flags[6] {
            scenario.driver.tx_header = TxHeader::Apart;
        }
        let [mrg_rxbuf, hash_report, guest_csum, promiscuous, allmulticast, nounicast, listed] = receive;
        scenario.nic = Nic { mrg_rxbuf, hash_report, guest_csum, ..scenario.nic };
        scenario.nic.ring = if flags[2] { RingKind::Reference } else { RingKind::Batched };
        scenario.rx_filter = RxFilter { promiscuous, allmulticast, ..RxFilter::default() };
        if !promiscuous {
            let filter = &mut scenario.rx_filter;
            (filter.nounicast, filter.vlan) = (nounicast, vlan);
            if listed {
                filter.unicast = vec![Mac([2; 6])];
                filter.multicast = vec![Group([3; 6])];
            }
        }
        if let Traffic::Generator(traffic) = &scenario.traffic {
            for fault in &mut scenario.fault {
                fault.frame = fault.frame.map(|frame| frame % traffic.frames);
            }
        }
        scenario.output.events = if flags[2] { EventsOutput::Losses } else { EventsOutput::None };
        if let Some((size, queue)) = table {
            scenario.rxfh.indirection = Indirection::Table(vec![queue % combined; 1 << size]);
        }
        scenario.costs.kick = Duration(costs[0]);
        scenario.costs.reader_byte = Duration(costs[1]);
        scenario
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_scenario_written_and_read_is_the_same(scenario in scenario()) {
        prop_assert_eq!(scenario.validate(), Ok(()));
        prop_assert_eq!(&again(&scenario), &scenario);
        let resolved = scenario.resolved();
        prop_assert_eq!(&again(&resolved), &resolved);
    }

    #[test]
    fn quantities_round_trip(value in any::<u64>(), shift in 0..64u32) {
        let value = value >> shift;
        prop_assert_eq!(Duration(value).to_string().parse(), Ok(Duration(value)));
        prop_assert_eq!(Bytes(value).to_string().parse(), Ok(Bytes(value)));
        prop_assert_eq!(BitRate(value).to_string().parse(), Ok(BitRate(value)));
        let rate = PacketRate { milli: value };
        prop_assert_eq!(rate.to_string().parse(), Ok(rate));
    }

    #[test]
    fn ratios_round_trip_and_take_their_part(ratio in ratio(), value in any::<u64>()) {
        prop_assert_eq!(ratio.to_string().parse(), Ok(ratio));
        prop_assert!(ratio.of(value) <= value);
        prop_assert_eq!(Ratio::ONE.of(value), value);
    }
}
