//! Every error of a scenario: its line, the text it points at, and what it says.

use super::*;

/// Text of a file, line of the error, the text it points at, a part of what it says or allows.
type Case = (&'static str, usize, &'static str, &'static str);

fn check(cases: &[Case]) {
    for &(text, line, at, says) in cases {
        let wrong = wrong(text, &[]);
        assert_eq!(wrong.line(), line, "{text:?}: {wrong} at {}", wrong.place());
        assert_eq!(wrong.text(), at, "{text:?}: {wrong}");
        let said = format!("{wrong}; {}", wrong.allowed().unwrap_or(""));
        assert!(said.contains(says), "{text:?} says {said:?}");
    }
}

#[test]
fn what_is_no_toml_or_no_key() {
    check(&[
        ("[ring\nrx = 1", 1, "", "unclosed table, expected `]`"),
        ("[ring]\nrx = 64\nrx = 64", 3, "rx", "duplicate"),
        ("[ring]\nrxx = 64", 2, "rxx", "did you mean `rx`?; allowed here: rx, tx"),
        ("[rings]\nrx = 64", 1, "rings", "did you mean `ring`?"),
        ("[zebra]\nrx = 64", 1, "zebra", "unknown key `zebra`; allowed here: name, description"),
        ("[coalesce]\nrx-usecs = '1us'", 2, "rx-usecs", "did you mean `rx_usecs`?"),
        ("[[handle]]\n[handle.reader]\nstal = []", 3, "stal", "did you mean `stall`?"),
    ]);
}

#[test]
fn wrong_types_and_units() {
    check(&[
        ("[ring]\nrx = '64'", 2, "'64'", "expected a whole number from 0 to 65535, found the text"),
        ("[ring]\nrx = 70000", 2, "70000", "expected a whole number from 0 to 65535"),
        ("[ring]\nrx = -1", 2, "-1", "found the number -1"),
        ("[ring]\nrx = 1.5", 2, "1.5", "found the decimal 1.5"),
        ("ring = 64", 1, "64", "expected a table"),
        ("seed = -1", 1, "-1", "never negative"),
        ("seed = '0xg'", 1, "'0xg'", "not a seed"),
        ("seed = 99999999999999999999999", 1, "99999999999999999999999", "a seed"),
        ("[nic]\nevent_idx = 1", 2, "1", "expected true or false, found the number 1"),
        ("[nic]\nfifo = 262144", 2, "262144", "a size with its unit, like \"64B\""),
        ("[nic]\nfifo = '256K'", 2, "'256K'", "`K` is not a unit of size: use one of B, kB, KiB"),
        ("[run]\ndrain = '5 min'", 2, "'5 min'", "use one of ps, ns, us, ms, s"),
        ("[run]\ndrain = '0.5ps'", 2, "'0.5ps'", "finer than 1ps"),
        ("[wire]\nrate = '10Gbps'", 2, "'10Gbps'", "bit/s, kbit/s, Mbit/s, Gbit/s, Tbit/s"),
        ("[wire]\nbad_fcs = 0.1", 2, "0.1", "a ratio, like \"1/1000\", \"0.1%\""),
        ("[wire]\nbad_fcs = '3/2'", 2, "'3/2'", "more than 1 (100%)"),
        ("[wire]\nbad_fcs = '1/0'", 2, "'1/0'", "not a ratio"),
        ("[output]\ncapture = 'some'", 2, "'some'", "allowed here: delivered, all, none"),
        ("[driver]\nmasking = true", 2, "true", "allowed here: ring, msix"),
        ("[nic]\nmac = '01:00:00:00:00:01'", 2, "'01:00:00:00:00:01'", "the first even"),
        ("[rxfh]\nkey = '6d:5a'", 2, "'6d:5a'", "has 2 bytes, it must have 40"),
        ("[rxfh]\nkey = 'xy'", 2, "'xy'", "hexadecimal"),
        ("[rxfh]\nhash_types = ['tcp4', 'sctp4']", 2, "'sctp4'", "allowed here: ipv4, tcp4"),
        ("[rxfh]\nindirection = 'weight'", 2, "'weight'", "\"equal\" or a list"),
        ("[rxfh]\nindirection = [0, 'x']", 2, "'x'", "found the text \"x\""),
        ("[[handle]]\nengine = 'bpf'", 2, "'bpf'", "allowed here: segments, worker, packet-queue"),
        (
            "[[handle]]\nreader = { stall = [{ at = '1ms' }] }",
            2,
            "{ at = '1ms' }",
            "`for` is missing",
        ),
    ]);
}

#[test]
fn traffic_is_told_apart_by_its_source() {
    check(&[
        ("[traffic]\nframes = 3", 1, "[traffic]", "the key `source` is missing"),
        ("[traffic]\nsource = 'tap'", 2, "'tap'", "allowed here: generator, capture"),
        ("[traffic]\nsource = 'generator'\nfile = 'x'", 3, "file", "unknown key `file`"),
        (
            "[traffic]\nsource = 'capture'\nfile = 'x'\nrate = 'line'",
            4,
            "rate",
            "allowed here: file",
        ),
        ("[traffic]\nsource = 'capture'", 1, "[traffic]", "the key `file` is missing"),
        ("[traffic]\nsource = 'capture'\nfile = ''", 3, "''", "a pcap or pcapng file"),
        ("[traffic]\nsource = 'capture'\nfile = 'x'\nlimit = 0", 4, "0", "too small"),
        ("[traffic]\nsource = 'capture'\nfile = 'x'\nrepeat = 0", 4, "0", "too small"),
        ("[traffic]\nsource = 'capture'\nfile = 'x'\ntiming = 'x0'", 4, "'x0'", "\"x10\" (faster)"),
        ("[traffic]\nsource = 'capture'\nfile = 'x'\ntiming = 'fast'", 4, "'fast'", "\"original\""),
    ]);
}

#[test]
fn the_generator_can_make_what_is_asked() {
    for (lines, at, says) in [
        ("frames = 0", "0", "too small"),
        ("frames = 1_000_000_000_000_000", "1_000_000_000_000_000", "too large"),
        ("flows = 0", "0", "too small"),
        ("flows = 2_000_000", "2_000_000", "1 to 1048576"),
        ("burst = 0", "0", "too small"),
        ("rate = 'fast'", "'fast'", "\"line\""),
        ("rate = '0pps'", "'0pps'", "zero"),
        ("rate = '0bit/s'", "'0bit/s'", "zero"),
        ("rate = '15Mpps'", "'15Mpps'", "at most 14880952.38pps at this wire.rate"),
        ("rate = '9Gbit/s'", "'9Gbit/s'", "more than the wire carries"),
        ("rate = '0.001pps'", "'0.001pps'", "fewer frames or a higher rate"),
        ("size = '60B'", "'60B'", "sizes count the FCS: 64B or more"),
        ("size = '1519B'", "'1519B'", "at most 1518B"),
        ("size = 64", "64", "\"imix\""),
        ("size = 'mix'", "'mix'", "not a size"),
        ("size = []", "[]", "1 to 1000 sizes"),
        ("size = [{ size = '64B', weight = 0 }]", "0", "too small"),
        ("size = [{ size = '63B', weight = 1 }]", "'63B'", "shorter than Ethernet"),
        ("mix = { ipv6 = 1 }", "{ ipv6 = 1 }", "84B or more, or leave TCP over IPv6 out"),
        ("mix = { ipv4 = 0 }", "0", "one of ipv4, ipv6 and other"),
        ("mix = { udp = 0, tcp = 0 }", "0", "one of udp and tcp"),
        ("mix = { udp = 1_000_001 }", "1_000_001", "too large"),
        ("skew = 'mouse'", "'mouse'", "\"elephant:80%\""),
        ("skew = 'elephant:101%'", "'elephant:101%'", "more than 1"),
        ("flows = 1\nskew = 'elephant:80%'", "'elephant:80%'", "2 flows or more"),
        ("jitter = '2'", "'2'", "more than 1"),
        ("start = '101 s'\nburst = -1", "-1", "found the number -1"),
        ("start = '9000000s'", "'9000000s'", "too large"),
    ] {
        let text = format!("[traffic]\nsource = 'generator'\n{lines}");
        let wrong = wrong(&text, &[]);
        let said = format!("{wrong}; {}", wrong.allowed().unwrap_or(""));
        assert!(said.contains(says), "{text:?} says {said:?}");
        assert_eq!(wrong.text(), at, "{text:?}: {said}");
    }
}

#[test]
fn the_network_is_possible() {
    check(&[
        ("[wire]\nrate = '100bit/s'", 2, "'100bit/s'", "1kbit/s to 1Tbit/s"),
        ("[wire]\nmtu = 67", 2, "67", "allowed: 68 to 65535"),
        ("[wire]\nmtu = 65536", 2, "65536", "too large"),
        ("[wire]\nmin_frame = '13B'", 2, "'13B'", "14B to "),
        ("[wire]\nrunt = '1%'\nmin_frame = '14B'", 2, "'1%'", "15B or more"),
        (
            "[wire]\nlink_down = [{ at = '5ms', for = '1ms' }, { at = '1ms', for = '5ms' }]",
            2,
            "'5ms'",
            "start it at 6ms or later",
        ),
        ("[wire]\nlink_down = [{ at = '5ms', for = '0s' }]", 2, "'0s'", "too small"),
        ("[channels]\ncombined = 0", 2, "0", "allowed: 1 to 64"),
        ("[channels]\ncombined = 65", 2, "65", "too large"),
        ("[ring]\nrx = 100", 2, "100", "a power of two from 16 to 32768"),
        ("[ring]\ntx = 8", 2, "8", "a power of two from 16 to 32768"),
        ("[coalesce]\nrx_usecs = '10us'", 2, "'10us'", "nothing is coalesced while rx_frames is 0"),
        ("[coalesce]\nrx_frames = 8", 2, "8", "nothing is coalesced while rx_usecs is 0"),
        ("[coalesce]\ntx_usecs = '1us'\ntx_frames = 2", 3, "2", "nic.notf_coal = true"),
        (
            "[nic]\nnotf_coal = true\n[coalesce]\nrx_usecs = '1500ns'\nrx_frames = 2",
            4,
            "'1500ns'",
            "whole microseconds",
        ),
        (
            "[[coalesce.queue]]\nqueue = 1\nrx_usecs = '1us'\nrx_frames = 2",
            2,
            "1",
            "nic.vq_notf_coal = true",
        ),
        (
            "[nic]\nvq_notf_coal = true\n[[coalesce.queue]]\nqueue = 4\nrx_usecs = '1us'\nrx_frames = 2",
            4,
            "4",
            "too large",
        ),
        ("[rxfh]\nunclassified_queue = 4", 2, "4", "queues are 0 to 3 (channels.combined = 4)"),
        ("[rxfh]\nindirection = [0, 1, 2]", 2, "[0, 1, 2]", "3 entries"),
        ("[rxfh]\nindirection = []", 2, "[]", "0 entries"),
        ("[rxfh]\nindirection = [0, 7]", 2, "7", "there is no queue 7"),
        ("[rxfh]\nhash_types = []", 2, "[]", "rxfh.enabled = false"),
        ("[rxfh]\nhash_types = ['ipv4', 'ipv4']", 2, "'ipv4'", "named twice"),
        ("[nic]\nvectors = 4", 2, "4", "5 to 2048"),
        ("[nic]\nfifo = '1000B'", 2, "'1000B'", "0B (no FIFO), or 1514B"),
        ("[nic]\nfifo = '2GiB'", 2, "'2GiB'", "too large"),
        ("[dma]\nframe = '2s'", 2, "'2s'", "0s to 1s"),
        ("[dma]\nbyte = '2us'", 2, "'2us'", "too large"),
        ("[driver]\nbudget = 0", 2, "0", "too small"),
        ("[driver]\nrefill_threshold = 257", 2, "257", "allowed: 1 to 256"),
        ("[driver]\nbuffer = '1500B'", 2, "'1500B'", "1534B or more: 12 virtio header"),
        ("[wire]\nmtu = 9000", 2, "9000", "a buffer of 2KiB cannot hold every frame of MTU 9000"),
        ("[driver]\nbuffer = '2MiB'", 2, "'2MiB'", "too large"),
        (
            "[ring]\nrx = 32768\n[channels]\ncombined = 64",
            2,
            "32768",
            "channels.combined x ring.rx x driver.buffer: 1GiB at most",
        ),
        ("[driver]\ncontrol_timeout = '1ns'", 2, "'1ns'", "too small"),
        ("[driver]\nbusy_poll = '1ns'", 2, "'1ns'", "too small"),
        ("[driver]\ndefer_hard_irqs = 0", 2, "0", "too small"),
        ("[driver]\ngro_flush_timeout = '2s'", 2, "'2s'", "too large"),
        ("[driver]\nwatchdog = '1ns'", 2, "'1ns'", "too small"),
        ("[driver]\nrefill = 'never'", 2, "'never'", "each-poll"),
        ("[driver]\nmoderation = 'fast'", 2, "'fast'", "busy-poll"),
        (
            "[driver]\nmoderation = 'adaptive-device'",
            2,
            "'adaptive-device'",
            "nic.vq_notf_coal = true",
        ),
        ("[[driver.control]]\nat = '1ms'\ncombined = 5", 3, "5", "allowed: 1 to 4"),
    ]);
}

#[test]
fn the_host_is_possible() {
    check(&[
        ("[cpus]\ncount = 0", 2, "0", "allowed: 1 to 1024"),
        ("[cpus]\nrx = [0, 1]", 2, "[0, 1]", "2 CPUs for 4 queues"),
        ("[cpus]\nrx = [0, 1, 2, 9]", 2, "9", "CPUs are 0 to 4 (cpus.count = 5)"),
        ("[costs]\nkick = '2s'", 2, "'2s'", "too large"),
        ("[[handle]]\nkernel_buffer = '2GiB'", 2, "'2GiB'", "0B to 1GiB"),
        ("[[handle]]\nuser_buffer = '19B'", 2, "'19B'", "20B to 1GiB"),
        ("[[handle]]\nsnaplen = 0", 2, "0", "too small"),
        ("[[handle]]\nfilter = ' '", 2, "' '", "leave it out to keep all"),
        ("[[handle]]\nfilter = '@'", 2, "'@'", "an empty filter"),
        ("[[handle]]\nreader.cpu = 5", 2, "5", "there is no CPU 5"),
        ("[[handle]]\nreader.frame = '2s'", 2, "'2s'", "too large"),
        (
            "[[handle]]\nname = 'a'\n[[handle]]\nname = 'a'",
            4,
            "'a'",
            "a second handle called \"a\"",
        ),
        (
            "[[handle]]\n[[handle]]\n[handle.reader]\nstall = [\n{ at = '0s', for = '2ms' },\n{ at = '1ms', for = '2ms' }]",
            6,
            "'1ms'",
            "starts at 1ms inside the window before it",
        ),
        ("[run]\ndrain = '9000000s'", 2, "'9000000s'", "too large"),
    ]);
    let many = "[[handle]]\n".repeat(65);
    assert!(wrong(&many, &[]).to_string().contains("65 handles"));
}

#[test]
fn the_place_is_counted_in_lines_and_characters() {
    let wrong = wrong("# \u{e4}\u{f6}\nname = '\u{fc}'  \n[ring]\n\u{20}rx = 100", &[]);
    assert_eq!((wrong.line(), wrong.column()), (4, 7));
    assert_eq!(wrong.place(), "folder/test.toml:4:7");
}

#[test]
fn a_terminal_sees_the_line_and_the_place_in_it() {
    let wrong = ScenarioError::Wrong(wrong("[ring]\nrx = 100\n", &[]));
    let mut shown = String::new();
    miette::NarratableReportHandler::new().render_report(&mut shown, &wrong).unwrap();
    for part in ["rx = 100", "test.toml", "a power of two from 16 to 32768", "not possible"] {
        assert!(shown.contains(part), "{shown}");
    }
}

#[test]
fn a_missing_file_says_so() {
    let missing = Scenario::load(Path::new("no/such.toml"), &[]).unwrap_err();
    assert!(missing.to_string().contains("no/such.toml"));
    assert!(matches!(missing, ScenarioError::Unreadable { .. }));
}

#[test]
fn any_text_gives_a_scenario_or_an_error() {
    use proptest::prelude::*;
    let line = "\\[?\\[?(ring|handle|traffic|rx|size|rate|seed|reader)\\]?\\]?( = (1|'1ms'|\\[1\\]|\\{\\}|true|1.5))?";
    let text = proptest::collection::vec(line, 0..6).prop_map(|lines| lines.join("\n"));
    proptest!(|(text in text)| {
        if let Err(ScenarioError::Wrong(wrong)) = read(&text) {
            prop_assert!(!wrong.to_string().is_empty());
        }
    });
}

#[test]
fn faults_that_cannot_be() {
    check(&[
        ("[[fault]]\nkind = 'link_flip'", 2, "'link_flip'", "did you mean `link_flap`?"),
        ("[[fault]]\nkind = 'dma_reorder'\nfor = '1us'", 2, "'dma_reorder'", "nothing says when"),
        (
            "[[fault]]\nkind = 'bad_fcs'\nat = '1us'\nframe = 3",
            3,
            "'1us'",
            "bad_fcs at two different occasions; one of at = \"1ms\", frame = 1000 and chance",
        ),
        ("[[fault]]\nkind = 'bad_fcs'\nat = '1us'\nfor = '1us'", 4, "'1us'", "has no key `for`"),
        (
            "[[fault]]\nkind = 'queue_stuck'\nat = '1us'",
            2,
            "'queue_stuck'",
            "needs the key `queue`; keys of queue_stuck: for (may be left out), queue",
        ),
        (
            "[[fault]]\nkind = 'queue_stuck'\nat = '1us'\nqueue = 4",
            4,
            "4",
            "there is no queue 4; queues are 0 to 3",
        ),
        (
            "[[fault]]\nkind = 'cpu_stolen'\nat = '1us'\nfor = '1us'\ncpu = 9",
            5,
            "9",
            "there is no CPU 9",
        ),
        (
            "[[fault]]\nkind = 'dma_slow'\nat = '1us'\nfor = '1us'\namount = '4KiB'",
            5,
            "'4KiB'",
            "how many times as long",
        ),
        ("[[fault]]\nkind = 'dma_slow'\nat = '1us'\nfor = '1us'\namount = 1", 5, "1", "too small"),
        (
            "[[fault]]\nkind = 'fifo_shrink'\nat = '1us'\nfor = '1us'\namount = 10",
            5,
            "10",
            "a number without unit",
        ),
        (
            "[[fault]]\nkind = 'fifo_shrink'\nat = '1us'\nfor = '1us'\namount = '256001B'\n\
             [nic]\nfifo = '256kB'",
            5,
            "'256001B'",
            "a FIFO of 256kB does not shrink to 256001B; 256kB (nic.fifo) at most",
        ),
        (
            "[traffic]\nsource = 'generator'\nframes = 10\n[[fault]]\nkind = 'runt'\nframe = 10",
            6,
            "10",
            "there is no frame 10; 0 to 9 (traffic.frames = 10)",
        ),
        ("[[fault]]\nkind = 'bad_fcs'\nframe = 1\ncount = 0", 4, "0", "too small"),
        (
            "[wire]\nmin_frame = '14B'\n[[fault]]\nkind = 'runt'\nframe = 1",
            4,
            "'runt'",
            "no frame is short enough",
        ),
    ]);
}
