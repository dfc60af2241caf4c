//! Tests of [`super`]: the bytes read back by a small reader of our own, and by Wireshark's tools.

use super::*;
use std::collections::BTreeMap;
use std::process::Command;

/// A block as read back: type, fixed part and packet bytes, options by code.
struct Block {
    kind: u32,
    body: Vec<u8>,
    options: BTreeMap<u16, Vec<u8>>,
}

fn u16_at(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_of(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap())
}

/// Reads a capture by the letter of the format, and fails at the first thing that does not fit.
fn read(mut bytes: &[u8]) -> Vec<Block> {
    let mut blocks = Vec::new();
    while !bytes.is_empty() {
        let (kind, len) = (u32_at(bytes, 0), u32_at(bytes, 4) as usize);
        assert_eq!(len % 4, 0);
        assert_eq!(u32_at(bytes, len - 4) as usize, len, "the two lengths of a block differ");
        let body = &bytes[8..len - 4];
        let fixed = match kind {
            0x0a0d_0d0a => 16,
            1 => 8,
            5 => 12,
            6 => 20 + (u32_at(body, 12) as usize).next_multiple_of(4),
            _ => panic!("block type {kind}"),
        };
        let mut options = BTreeMap::new();
        let mut rest = &body[fixed..];
        loop {
            let (code, len) = (u16_at(rest, 0), u16_at(rest, 2));
            let padded = 4 + len.next_multiple_of(4);
            assert!(rest[4 + len..padded].iter().all(|&b| b == 0));
            let value = rest[4..4 + len].to_vec();
            rest = &rest[padded..];
            if code == 0 {
                assert_eq!(len, 0);
                break;
            }
            assert!(options.insert(u16::try_from(code).unwrap(), value).is_none());
        }
        assert!(rest.is_empty(), "bytes behind the end of the options");
        blocks.push(Block { kind, body: body[..fixed].to_vec(), options });
        bytes = &bytes[len..];
    }
    blocks
}

const INTERFACES: [Interface<'_>; 2] = [
    Interface {
        queue: 0,
        description: "queue 0 on cpu 0",
        speed_bps: 10_000_000_000,
        snaplen: 262_144,
        filter: Some("udp port 53"),
    },
    Interface { queue: 3, description: "", speed_bps: 0, snaplen: 64, filter: None },
];

/// A broadcast frame of an experimental Ethernet type.
const FRAME: &[u8; 62] = b"\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x01\x88\xb5\
    the payload of a frame, no multiple of four long";

const PACKET: Packet<'_> = Packet {
    interface: 1,
    timestamp_ns: (7 << 32) + 5,
    data: FRAME,
    wire_len: 1514,
    packet_id: 4711,
    queue: 3,
    drop_count: Some(2),
    comment: "dropped: buffer_full",
};

const STATISTICS: Statistics = Statistics {
    interface: 1,
    timestamp_ns: 5_000_000_001,
    start_ns: 1,
    end_ns: 5_000_000_000,
    received: 10,
    dropped_by_interface: 1,
    accepted_by_filter: 8,
    dropped_by_os: 2,
    delivered: 6,
};

fn sample() -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &INTERFACES).unwrap();
    writer.packet(&PACKET).unwrap();
    let plain = Packet { interface: 0, queue: 0, drop_count: None, comment: "", ..PACKET };
    let plain = Packet { timestamp_ns: 1_500_000_000_000_000_007, packet_id: 4712, ..plain };
    writer.packet(&plain).unwrap();
    writer.statistics(&STATISTICS).unwrap();
    writer.into_sink()
}

#[test]
fn every_field_is_read_back() {
    let blocks = read(&sample());
    let kinds: Vec<u32> = blocks.iter().map(|b| b.kind).collect();
    assert_eq!(kinds, [0x0a0d_0d0a, 1, 1, 6, 6, 5]);

    assert_eq!(blocks[0].body, b"\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff");
    assert_eq!(blocks[0].options, BTreeMap::from([(4, b"rxlab".to_vec())]));

    assert_eq!(blocks[1].body, [1, 0, 0, 0, 0, 0, 4, 0]);
    assert_eq!(
        blocks[1].options,
        BTreeMap::from([
            (2, b"rxq0".to_vec()),
            (3, b"queue 0 on cpu 0".to_vec()),
            (8, 10_000_000_000_u64.to_le_bytes().to_vec()),
            (9, vec![9]),
            (11, b"\0udp port 53".to_vec()),
        ])
    );
    assert_eq!(blocks[2].options, BTreeMap::from([(2, b"rxq3".to_vec()), (9, vec![9])]));

    let packet = &blocks[3];
    let fixed: Vec<u32> = (0..5).map(|i| u32_at(&packet.body, 4 * i)).collect();
    assert_eq!(fixed, [1, 7, 5, 62, 1514]);
    assert_eq!(&packet.body[20..82], FRAME);
    assert_eq!(packet.options[&1], b"dropped: buffer_full");
    assert_eq!(u64_of(&packet.options[&4]), 2);
    assert_eq!(u64_of(&packet.options[&5]), 4711);
    assert_eq!(u32_at(&packet.options[&6], 0), 3);
    assert_eq!(blocks[4].options.keys().copied().collect::<Vec<_>>(), [5, 6]);

    let statistics = &blocks[5];
    let time = |b: &[u8]| u64::from(u32_at(b, 0)) << 32 | u64::from(u32_at(b, 4));
    assert_eq!(u32_at(&statistics.body, 0), 1);
    assert_eq!(time(&statistics.body[4..]), 5_000_000_001);
    assert_eq!(time(&statistics.options[&2]), 1);
    assert_eq!(time(&statistics.options[&3]), 5_000_000_000);
    let counts: Vec<u64> = (4..=8).map(|code| u64_of(&statistics.options[&code])).collect();
    assert_eq!(counts, [10, 1, 8, 2, 6]);
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_no_trace() {
    let mut writer = Writer::new(Vec::new(), &INTERFACES).unwrap();
    let before = writer.sink.clone();
    let text = "x".repeat(65_536);
    let long = [0; 65];
    let bad = [
        Packet { interface: 2, ..PACKET },
        Packet { comment: &text, ..PACKET },
        Packet { data: &long, ..PACKET },  // beyond the snaplen
        Packet { wire_len: 60, ..PACKET }, // more kept than there was
    ];
    for packet in bad {
        let error = writer.packet(&packet).unwrap_err();
        assert!(error.to_string().starts_with("pcapng: "), "{error}");
    }
    assert!(writer.statistics(&Statistics { interface: 2, ..STATISTICS }).is_err());
    assert_eq!(writer.sink, before);

    writer.packet(&Packet { comment: &text[1..], ..PACKET }).unwrap();
    assert_eq!(read(&writer.into_sink()).last().unwrap().options[&1].len(), 65_535);
    let interface = Interface { filter: Some(&text[1..]), ..INTERFACES[0] };
    assert!(matches!(
        Writer::new(Vec::new(), &[interface]),
        Err(PcapngError::TextTooLong { what: "filter", len: 65_536 })
    ));
}

#[test]
fn a_packet_reuses_the_block_it_is_built_in() {
    let mut writer = Writer::new(Vec::new(), &INTERFACES).unwrap();
    let at = writer.block.as_ptr();
    for _ in 0..100 {
        writer.packet(&PACKET).unwrap();
    }
    assert_eq!(writer.block.as_ptr(), at);
}

/// Runs one of Wireshark's tools on the sample; `None`, and a notice, when it is not installed.
fn wireshark(tool: &str, arguments: &[&str]) -> Option<String> {
    let path =
        std::env::temp_dir().join(format!("rxlab-pcapng-{}-{tool}.pcapng", std::process::id()));
    std::fs::write(&path, sample()).unwrap();
    let output = Command::new(tool).args(arguments).arg(&path).output();
    std::fs::remove_file(&path).unwrap();
    let Ok(output) = output else {
        println!("skipped: {tool} is not installed (apt-get install tshark)");
        return None;
    };
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn tshark_reads_the_same() {
    let fields = [
        "frame.interface_name",
        "frame.interface_description",
        "frame.interface_queue",
        "frame.packet_id",
        "frame.drop_count",
        "frame.comment",
        "frame.time_epoch",
        "frame.cap_len",
        "frame.len",
    ];
    let mut arguments = vec!["-n", "-T", "fields", "-E", "separator=|"];
    for field in fields {
        arguments.extend(["-e", field]);
    }
    arguments.push("-r");
    let Some(text) = wireshark("tshark", &arguments) else { return };
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(rows.len(), 2, "{text}");
    assert_eq!(rows[0], "rxq3||3|4711|2|dropped: buffer_full|30.064771077|62|1514");
    assert_eq!(rows[1], "rxq0|queue 0 on cpu 0|0|4712|||1500000000.000000007|62|1514");
}

#[test]
fn capinfos_counts_interfaces_packets_and_statistics() {
    let Some(text) = wireshark("capinfos", &["-M"]) else { return };
    for line in
        ["Number of packets:   2", "Name = rxq0", "Name = rxq3", "Number of stat entries = 1"]
    {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}
