//! Damaged files: what was before the fault is kept, and the fault says what and where.

use proptest::prelude::*;

use super::*;

/// A good pcap file of three records, and where each starts.
fn pcap() -> (Vec<u8>, [usize; 3]) {
    let head = LITTLE.pcap(0xa1b2_c3d4, 1);
    let records = [1, 2, 3].map(|n| LITTLE.record(n, 0, 10, b"0123456789"));
    ([head, records.concat()].concat(), [24, 50, 76])
}

fn pcapng() -> Vec<u8> {
    let packets = [1, 2, 3].map(|n| LITTLE.enhanced(0, n, 10, b"0123456789"));
    [LITTLE.section(), LITTLE.interface(1, 0, &[]), packets.concat()].concat()
}

/// Frames before the fault, its offset, and what it says.
fn fault(bytes: &[u8]) -> (usize, u64, String) {
    let (frames, fault, _) = play(bytes, &capture());
    let fault = fault.unwrap();
    assert!(fault.to_string().starts_with("x.pcap: "), "{fault}");
    assert_eq!(fault.records, frames.len() as u64, "{fault}");
    (frames.len(), fault.offset, fault.to_string())
}

#[test]
fn what_is_no_capture() {
    for (bytes, says) in [
        (&b""[..], "4 bytes expected, 0 there"),
        (b"\x1f\x8b\x08\x00........", "a compressed one must be unpacked first"),
        (b"\x00\x01", "the file ends inside the file's first four bytes"),
        (b"\xd4\xc3\xb2\xa1\x02\x00", "the file ends inside the head of the file"),
        (b"\x0a\x0d\x0d\x0a\x1c\x00\x00\x00", "the file ends inside a section head"),
        (b"\x0a\x0d\x0d\x0a\x1c\x00\x00\x00................", "no byte-order magic"),
    ] {
        let (frames, offset, said) = fault(bytes);
        assert_eq!((frames, offset), (0, 0));
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn a_classic_file_that_is_wrong() {
    let (good, [first, second, third]) = pcap();
    let change = |at: usize, value: u32| {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    for (bytes, frames, offset, says) in [
        (change(4, 0x0004_0003), 0, 0, "version 3 of the pcap format"),
        (change(20, 101), 0, 0, "not Ethernet but RAW (bare IP) (link type 101)"),
        (change(20, 9999), 0, 0, "unknown (link type 9999)"),
        (change(first + 8, 300_000), 0, first, "a record claims 300000 bytes, more than any"),
        (change(second + 8, 200_000), 1, second, "200000 bytes expected, 36 there"),
        (good[..third + 7].to_vec(), 2, third, "ends inside its head: 16 bytes expected, 7 there"),
        (good[..third + 20].to_vec(), 2, third, "inside a record: 10 bytes expected, 4 there"),
    ] {
        let (kept, at, said) = fault(&bytes);
        assert!(said.contains(says), "{said}");
        assert_eq!((kept, at as usize), (frames, offset), "{said}");
    }
}

#[test]
fn a_pcapng_file_that_is_wrong() {
    let head = [LITTLE.section(), LITTLE.interface(1, 0, &[])].concat();
    let good = LITTLE.enhanced(0, 0, 4, b"good");
    let with = |block: Vec<u8>| [&head[..], &good, &block].concat();
    let patched = |at: usize, value: u32| {
        let mut block = good.clone();
        block[at..at + 4].copy_from_slice(&value.to_le_bytes());
        with(block)
    };
    let last = good.len() - 4;
    let mut version = LITTLE.section();
    version[12] = 2;
    for (bytes, says) in [
        (with(LITTLE.enhanced(3, 0, 1, b"x")), "interface 3, of which there are 1"),
        (patched(4, 8), "a block cannot be 8 bytes long"),
        (patched(4, 13), "a block cannot be 13 bytes long"),
        (patched(20, 3000), "a packet of 3000 bytes in a block with room for "),
        (patched(20, 3 << 20), "a packet of 3145728 bytes"),
        (patched(last, 36), "at its start and 36 at its end"),
        (patched(4, 0x7000_0000), "the file ends inside a packet block"),
        (with(LITTLE.block(6, &[0; 16])), "a packet block is too short"),
        (with(LITTLE.block(3, &[])), "a packet block is too short"),
        (with(LITTLE.block(1, &[1, 0])), "an interface description is too short"),
        (with(LITTLE.interface(1, 0, &[LITTLE.option(9, &[99])])), "an if_tsresol of 10^-99"),
        (with(LITTLE.block(0x0a0d_0d0a, &[0; 20])), "no byte-order magic"),
        (with(version), "version 2 of the pcapng format"),
        (with(vec![6, 0, 0]), "the file ends inside its head"),
        (with(good[..30].to_vec()), "the file ends inside a packet"),
        (with(LITTLE.block(0x0bad, &[0; 40])[..20].to_vec()), "the file ends inside a block"),
    ] {
        let (kept, at, said) = fault(&bytes);
        assert!(said.contains(says), "wanted {says:?}: {said}");
        assert_eq!((kept, at as usize), (1, head.len() + good.len()), "{said}");
    }
    let simple = [LITTLE.section(), LITTLE.block(3, &[1, 0, 0, 0, 9])].concat();
    assert!(fault(&simple).2.contains("interface 0, of which there are 0"));
}

#[test]
fn a_missing_file_and_a_folder_say_so() {
    for path in ["no/such/file.pcap", "."] {
        let error = CaptureSource::open(&capture(), Path::new(path)).map(drop).unwrap_err();
        assert!(error.to_string().contains("traffic.file starts at"), "{error}");
    }
}

proptest! {
    #[test]
    fn a_file_cut_anywhere_keeps_what_was_whole(cut in 0..200usize, ng: bool) {
        let good = if ng { pcapng() } else { pcap().0 };
        let whole = frames(&good);
        let (kept, _, _) = play(&good[..cut.min(good.len())], &capture());
        prop_assert_eq!(&whole[..kept.len()], &kept[..]);
    }

    #[test]
    fn no_bytes_make_it_panic_or_hang(
        ng: bool,
        changes in proptest::collection::vec((0..300usize, any::<u8>()), 0..8),
    ) {
        let mut bytes = if ng { pcapng() } else { pcap().0 };
        for (at, byte) in changes {
            let length = bytes.len();
            bytes[at % length] = byte;
        }
        let (frames, _, _) = play(&bytes, &capture());
        prop_assert!(frames.len() <= bytes.len());
        prop_assert!(frames.is_sorted_by_key(|(start, _)| *start));
    }
}
