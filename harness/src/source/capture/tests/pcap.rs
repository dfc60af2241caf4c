//! The classic format: every magic, both orders, FCS.

use super::*;

#[test]
fn every_magic_in_both_orders() {
    for order in ORDERS {
        for (magic, unit) in [(0xa1b2_c3d4, 1_000_000), (0xa1b2_3c4d, 1_000)] {
            let file = [
                order.pcap(magic, 1),
                order.record(1_600_000_000, 999_999, 3, &[1, 2, 3]),
                order.record(1_600_000_001, 5, 2, &[4, 5]),
                order.record(1_600_000_001, 5, 0, &[]),
            ];
            let later = SECOND - 999_994 * unit;
            let wanted = vec![(0, vec![1, 2, 3]), (later, vec![4, 5]), (later, vec![])];
            assert_eq!(frames(&file.concat()), wanted);
        }
    }
}

#[test]
fn the_modified_format_has_longer_heads() {
    for order in ORDERS {
        let record = |seconds, data: &[u8]| {
            let mut record = order.record(seconds, 0, data.len() as u32, data);
            record.splice(16..16, [7; 8]);
            record
        };
        let file = [order.pcap(0xa1b2_cd34, 1), record(1, b"first"), record(3, b"second")].concat();
        let wanted = vec![(0, b"first".to_vec()), (2 * SECOND, b"second".to_vec())];
        assert_eq!(frames(&file), wanted);
    }
}

#[test]
fn an_fcs_that_the_file_has_is_taken_away() {
    let with_fcs = 1 | 1 << 26 | 2 << 28; // FCS length known: 2 words of 16 bits
    let file = [
        LITTLE.pcap(0xa1b2_c3d4, with_fcs),
        LITTLE.record(0, 0, 9, b"frame.fcs"),
        LITTLE.record(0, 0, 9, b"frame.f"),
        LITTLE.record(0, 0, 9, b"fra"),
        LITTLE.record(0, 0, 2, b"fc"),
    ];
    let (played, fault, notices) = play(&file.concat(), &capture());
    let data: Vec<Vec<u8>> = played.into_iter().map(|(_, data)| data).collect();
    assert_eq!(data, [b"frame".to_vec(), b"frame".to_vec(), b"fra".to_vec(), vec![]]);
    assert!(fault.is_none());
    assert_eq!(notices.iter().map(|n| (n.name, n.count)).collect::<Vec<_>>(), [("capture_cut", 1)]);
}

#[test]
fn an_empty_capture_has_no_frames() {
    let twice = Capture { repeat: u32::MAX, ..capture() };
    assert!(play(&LITTLE.pcap(0xa1b2_c3d4, 1), &twice).0.is_empty());
}
