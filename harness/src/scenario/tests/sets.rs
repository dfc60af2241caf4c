//! `--set key=value`.

use super::*;

fn set(text: &str, sets: &[&str]) -> Scenario {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    Scenario::parse(text, "test.toml", &sets).map_err(miette::Report::new).unwrap()
}

#[test]
fn values_are_toml_or_bare_text() {
    let text = "[traffic]\nsource = 'generator'\nrate = '1Mpps'";
    let scenario = set(
        text,
        &[
            "ring.rx=512",
            "traffic.rate=2Mpps",
            "seed=0x2a",
            "rxfh.indirection=[0, 1]",
            "nic.event_idx = false",
            "name=a name with spaces",
            "description='quoted = text'",
            "wire.link_down=[{ at = '1ms', for = '2ms' }]",
        ],
    );
    assert_eq!(scenario.ring, Ring { rx: 512, ..Ring::default() });
    let Traffic::Generator(generator) = &scenario.traffic else { panic!("a generator") };
    assert_eq!(generator.rate, Rate::Packets(PacketRate { milli: 2_000_000_000 }));
    assert_eq!(scenario.seed, 42);
    assert_eq!(scenario.rxfh.indirection, Indirection::Table(vec![0, 1]));
    assert!(!scenario.nic.event_idx);
    assert_eq!(scenario.name, "a name with spaces");
    assert_eq!(scenario.description, "quoted = text");
    assert_eq!(scenario.wire.link_down[0].end_ps(), 3_000_000_000);
}

#[test]
fn handles_are_reached_by_number_and_made_when_missing() {
    let text = "[[handle]]\nname = 'a'\n[[handle]]\nname = 'b'";
    let scenario = set(text, &["handle.1.filter=udp port 53", "handle.2.reader.stop_at=1ms"]);
    assert_eq!(scenario.handle[1].filter.as_deref(), Some("udp port 53"));
    assert_eq!(scenario.handle[2].reader.stop_at, Some(Duration(1_000_000_000)));
    assert_eq!(set("", &["handle.0.snaplen=96"]).handle[0].snaplen, 96);
    let clamp = |text: &str| set("", &[text]).handle[0].segments.clamp;
    assert_eq!(clamp("handle.0.segments.clamp=255"), CpuClamp::At255);
    assert_eq!(clamp("handle.0.segments.clamp=off"), CpuClamp::Off);
}

#[test]
fn the_last_set_wins_and_the_same_text_in_the_file_is_the_same() {
    let by_set = set("[ring]\nrx = 64", &["ring.rx=128", "ring.rx=1024"]);
    assert_eq!(by_set, set("[ring]\nrx = 1024", &[]));
}

#[test]
fn a_whole_table_is_replaced() {
    let text = "[traffic]\nsource = 'generator'\nframes = 5";
    let scenario = set(text, &["traffic={ source = 'capture', file = 'x.pcap' }"]);
    let Traffic::Capture(capture) = &scenario.traffic else { panic!("a capture") };
    assert_eq!(capture.file, Path::new("x.pcap"));
}

#[test]
fn errors_point_into_the_set() {
    for (sets, at, says) in [
        (&["ring.rx=100"][..], "100", "a power of two"),
        (&["ring.rx=many"], "many", "expected a whole number"),
        (&["seed=1", "ring.rxx=64"], "rxx", "did you mean `rx`?"),
        (&["run.drain=5"], "5", "with its unit"),
        (&["ring.rx"], "ring.rx", "no `=`"),
        (&["ring..rx=5"], "ring..rx", "empty part"),
        (&["=5"], "", "empty part"),
        (&["handle.1.snaplen=96"], "1", "0 to 0 (one more) can be set"),
        (&["handle.0.snaplen=96", "handle.2.snaplen=96"], "2", "0 to 1 (one more)"),
        (&["handle.0.snaplen=96", "handle.x.snaplen=96"], "x", "not an element"),
        (&["seed.low=1"], "seed", "expected a seed"),
        (&["ring.rx=64", "ring.rx.x=1"], "x", "there is no `x` in the number 64"),
        (&["rxfh.indirection=[0, 1"], "", "array"),
        (&["cpus.rx=[0,1,2,77]"], "77", "there is no CPU 77"),
    ] {
        let wrong = wrong("", sets);
        let said = format!("{wrong}; {}", wrong.allowed().unwrap_or(""));
        assert!(said.contains(says), "{sets:?} says {said:?}");
        assert_eq!(wrong.text(), at, "{sets:?}: {said}");
        assert_eq!(wrong.place(), format!("--set {}", sets[sets.len() - 1]));
    }
}

#[test]
fn a_combination_points_at_the_side_that_is_written() {
    let by_set = wrong("[nic]\nvectors = 5", &["channels.combined=8"]);
    assert_eq!(by_set.text(), "5"); // `nic.vectors` is written, and is the one to mend
    let by_set = wrong("", &["channels.combined=8", "cpus.rx=[0]"]);
    assert_eq!(by_set.text(), "[0]");
}
