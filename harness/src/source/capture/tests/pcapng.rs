//! pcapng: sections, interfaces, and every block that holds a packet.

use super::*;

#[test]
fn sections_of_both_orders_and_all_packet_blocks() {
    let mut file = Vec::new();
    for order in ORDERS {
        let obsolete = {
            let head = [&order.u16(0)[..], &order.u16(77), &order.words(&[0, 2_000_000, 5, 5])];
            order.block(2, &[&head.concat(), &b"obsol"[..]].concat())
        };
        file.extend([
            order.section(),
            order.block(0x0bad, b"unknown"),
            order.interface(1, 0, &[]),
            order.enhanced(0, 1_000_000, 8, b"enhanced"),
            order.block(5, &[0; 24]), // interface statistics
            obsolete,
            order.block(3, &[&order.u32(6)[..], b"simple"].concat()),
        ]);
    }
    let once = [(0, &b"enhanced"[..]), (SECOND, b"obsol"), (SECOND, b"simple")];
    // The second section repeats the times: its first frame is older than the last.
    let again = [(SECOND, &b"enhanced"[..]), (SECOND, b"obsol"), (SECOND, b"simple")];
    let wanted = once.into_iter().chain(again).map(|(time, data)| (time, data.to_vec()));
    let (played, fault, notices) = play(&file.concat(), &capture());
    assert!(fault.is_none(), "{}", fault.unwrap());
    assert_eq!(played, wanted.collect::<Vec<_>>());
    assert_eq!(
        notices.iter().map(|n| (n.name, n.count)).collect::<Vec<_>>(),
        [("capture_backwards", 1)]
    );
}

#[test]
fn each_interface_has_its_own_clock() {
    for order in ORDERS {
        let seconds = |offset: i64| {
            let bytes = if order.big { offset.to_be_bytes() } else { offset.to_le_bytes() };
            order.option(14, &bytes)
        };
        let file = [
            order.section(),
            order.interface(1, 0, &[]), // microseconds
            order.interface(1, 0, &[order.option(9, &[9])]),
            order.interface(1, 0, &[order.option(9, &[0x80 | 20]), seconds(100)]),
            order.interface(1, 0, &[order.option(2, b"eth0"), order.option(9, &[0]), seconds(-50)]),
            order.interface(1, 0, &[order.option(9, &[12]), order.option(0, &[]), seconds(5)]),
            order.interface(1, 0, &[order.option(9, &[15])]),
            order.enhanced(0, 100_000_000, 1, b"0"), // 100 s
            order.enhanced(1, 100_000_000_001, 1, b"1"), // 100 s and 1 ns
            order.enhanced(2, 3 << 19, 1, b"2"),     // 100 s and 3/2 s
            order.enhanced(3, 152, 1, b"3"),         // 152 s - 50 s
            order.enhanced(4, 103_000_000_000_007, 1, b"4"), // 103 s and 7 ps
            order.enhanced(5, 104_000_000_000_000_999, 1, b"5"), // 104 s, and less than a ps
        ];
        let starts: Vec<u64> = frames(&file.concat()).into_iter().map(|(start, _)| start).collect();
        let wanted = [0, 1000, 3 * SECOND / 2, 2 * SECOND, 3 * SECOND + 7, 4 * SECOND];
        assert_eq!(starts, wanted);
    }
}

#[test]
fn a_simple_packet_is_cut_by_the_snap_length() {
    let simple =
        |original, data: &[u8]| LITTLE.block(3, &[&LITTLE.u32(original)[..], data].concat());
    let file =
        [LITTLE.section(), LITTLE.interface(1, 4, &[]), simple(9, b"long"), simple(3, b"abc")];
    let (played, _, notices) = play(&file.concat(), &capture());
    assert_eq!(played, [(0, b"long".to_vec()), (0, b"abc".to_vec())]);
    assert_eq!(notices[0].count, 1);
}

#[test]
fn an_fcs_length_is_that_of_the_interface() {
    let file = [
        LITTLE.section(),
        LITTLE.interface(1, 0, &[LITTLE.option(13, &[32])]),
        LITTLE.interface(1, 0, &[]),
        LITTLE.enhanced(0, 0, 9, b"frame.fcs"),
        LITTLE.enhanced(1, 0, 9, b"frame.fcs"),
    ];
    assert_eq!(frames(&file.concat()), [(0, b"frame".to_vec()), (0, b"frame.fcs".to_vec())]);
}

#[test]
fn another_link_type_is_only_wrong_once_it_has_a_packet() {
    let head = [LITTLE.section(), LITTLE.interface(113, 0, &[]), LITTLE.interface(1, 0, &[])];
    let ethernet = LITTLE.enhanced(1, 0, 2, b"ok");
    let cooked = LITTLE.enhanced(0, 0, 2, b"no");
    let (played, fault, _) = play(&[&head.concat()[..], &ethernet, &cooked].concat(), &capture());
    assert_eq!(played.len(), 1);
    assert!(fault.unwrap().to_string().contains("LINUX_SLL (Linux cooked) (link type 113)"));
}
