//! The benchmark runs and adds up; none of its times is looked at.

use super::*;
use crate::cli::bench::Figures;

fn few(json: bool) -> FilterArgs {
    FilterArgs { rounds: 2, frames: 40, passes: 1, json }
}

/// [`Contest::new`] refuses a frame about which predicate, program, machine code and libpcap disagree.
#[test]
fn predicates_keep_what_their_programs_keep() {
    let mut frames = frames::mixed(3000);
    // Cut at every length, so that each load of each program fails for some.
    for frame in 0..200 {
        for len in 0..64 {
            let Frame { data, wire_len } = &frames[frame];
            let data = data[..data.len().min(len)].to_vec();
            frames.push(Frame { data, wire_len: *wire_len });
        }
    }
    for subject in &SUBJECTS {
        let contest = Contest::new(subject, &frames).unwrap();
        assert!((20..frames.len()).contains(&contest.matching), "{}", subject.expression);
    }
}

#[test]
fn a_predicate_that_differs_is_told() {
    let wrong = Subject { predicate: |_| 0, ..SUBJECTS[0] };
    let told = Contest::new(&wrong, &frames::mixed(40)).err().unwrap();
    assert!(told.starts_with("ip: jit 262144, interpreter 262144"), "{told}");
}

#[test]
fn programs_are_from_4_to_25_instructions_and_libpcaps_own() {
    let lengths = SUBJECTS.each_ref().map(|subject| {
        let program = Program::parse_ddd(subject.program).unwrap();
        if let Ok(raw) = libpcap::compile(subject.expression, predicates::SNAPLEN)
            && libpcap::library_version().is_ok_and(|version| version.contains("version 1.10"))
        {
            let ours = program.instructions().iter().copied().map(RawInstruction::from);
            assert!(raw.into_iter().eq(ours), "{}", subject.expression);
        }
        program.len()
    });
    assert_eq!(lengths, [4, 16, 20, 25]);
}

#[test]
fn the_table_has_a_row_for_each_expression_and_figure() {
    let text = measure(&few(false)).unwrap().text();
    for subject in &SUBJECTS {
        assert_eq!(text.matches(&format!("\n{} ", subject.expression)).count(), 3, "{text}");
    }
}

#[test]
fn the_json_has_all_figures() {
    let value = measure(&few(true)).unwrap().value().unwrap();
    let filters = value["filters"].as_array().unwrap();
    assert_eq!(filters.len(), SUBJECTS.len());
    for filter in filters {
        let positive = |figure: &serde_json::Value| {
            let [min, median, max] =
                ["min", "median", "max"].map(|it| figure[it].as_f64().unwrap());
            assert!(0.0 < min && min <= median && median <= max, "{filter}");
        };
        positive(&filter["ns_per_frame"]["interpreter"]);
        positive(&filter["ns_per_frame"]["rust"]);
        positive(&filter["ns_per_frame"]["jit"]);
        positive(&filter["ratios"]["jit_to_rust"]);
        positive(&filter["compile_ns"]);
        if libpcap::library_version().is_ok() {
            positive(&filter["ns_per_frame"]["libpcap"]);
            positive(&filter["ratios"]["jit_to_libpcap"]);
        }
    }
}
