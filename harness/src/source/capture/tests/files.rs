//! Files that others wrote, read as tshark reads them. Skipped where they are not at hand.

use super::*;

/// File; frames, bytes, start of the last frame and frames out of order, as tshark 4 gives them.
const FILES: [(&str, usize, usize, u64, u64); 11] = [
    ("afs.pcap", 601, 512_276, 129_429_532_000_000, 0),
    ("bigtcp-ipv4.pcap", 1, 80_066, 0, 0),
    ("dns_fwdptr.pcap", 1, 63_207, 0, 0),
    ("gateway_or_not.pcap", 14, 1_380, 832_457_000_000, 0),
    ("geneve.pcap", 10, 2_124, 189_320_000_000, 0),
    ("ipv6_jumbogram_1.pcap", 1, 65_590, 0, 0),
    ("mptcp-v0.pcap", 264, 35_146, 9_065_041_000_000, 1),
    ("of13_ericsson.pcapng", 174, 113_746, 1_226_673_073_876_000_000, 0),
    ("pim-packet-assortment.pcap", 245, 271_876, 1_260_934_170_000_000, 0),
    ("vrrp.pcap", 15, 1_254, 25_712_324_000_000, 0),
    ("vxlan.pcap", 10, 1_368, 3_048_296_000_000, 0),
];

#[test]
fn files_of_others_are_read_as_tshark_reads_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/pcaps");
    for (name, count, length, last, backwards) in FILES {
        let Ok(bytes) = std::fs::read(folder.join(name)) else {
            eprintln!("skipped: {name} is not here");
            continue;
        };
        let (frames, fault, notices) = play(&bytes, &capture());
        assert!(fault.is_none(), "{name}: {}", fault.unwrap());
        let total: usize = frames.iter().map(|(_, data)| data.len()).sum();
        assert_eq!((frames.len(), total), (count, length), "{name}");
        assert_eq!(frames.last().map(|(start, _)| *start), Some(last), "{name}");
        let counted = notices.iter().find(|notice| notice.name == "capture_backwards");
        assert_eq!(counted.map_or(0, |notice| notice.count), backwards, "{name}");
    }
}
