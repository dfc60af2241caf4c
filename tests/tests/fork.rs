//! Zero-copy buffers across this system's fork(2): the same steps on the model's pages and on real
//! ones, compared byte by byte.
//!
//! The real side is a kernel and a reader of this file's own ([`kernel`], [`reader`]) that know nothing
//! of npf-core and work on mapped memory ([`tests::fork`]). The other side is npf-core with the
//! buffer mode and the rule for forked pages that the arrangement of the mappings stands for.
//!
//! Not compared: the rules that no arrangement of mappings on this system has
//! ([`ForkedPages::WriterCopies`], [`ForkedPages::YoungerCopies`]).

#![cfg(all(test, target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

#[path = "fork/kernel.rs"]
mod kernel;
#[path = "fork/pair.rs"]
mod pair;
#[path = "fork/reader.rs"]
mod reader;

use npf_core::ForkedPages;
use pair::{Pair, Step};
use proptest::prelude::*;
use tests::fork::{Arrangement, Who};

const ARRANGEMENTS: [Arrangement; 3] =
    [Arrangement::Shared, Arrangement::CopiedAtFork, Arrangement::EachWriterCopies];

/// FreeBSD problem report 163370: a process opens the capture, forks, and leaves the reading to the
/// child. With private pages the child sees what both buffers held when it last wrote to them, and
/// then nothing more; with inherited ones it sees every packet.
#[test]
fn a_child_that_reads_private_pages_goes_deaf_and_one_that_reads_inherited_pages_does_not() {
    for arrangement in ARRANGEMENTS {
        let mut pair = Pair::new(arrangement).unwrap();
        pair.apply(Step::Fork);
        for _ in 0..60 {
            pair.apply(Step::Tap { len: 1000 });
            pair.apply(Step::Poll { who: Who::Child });
            pair.apply(Step::Poll { who: Who::Child });
        }
        let (delivered, dropped) = pair.delivered_and_dropped();
        match arrangement {
            Arrangement::Shared => assert!(delivered >= 56 && dropped == 0, "{delivered}"),
            // The time-out hands the first packet over; 7 fill the other buffer.
            Arrangement::CopiedAtFork => assert_eq!((delivered, dropped), (0, 60 - 1 - 7)),
            Arrangement::EachWriterCopies => assert!(delivered <= 2 * 7 && dropped > 40),
        }
    }
}

/// The parent forks a helper and reads on. Pages copied for the child leave it in peace; copied by
/// whoever writes, its own acknowledgements reach nobody any more.
#[test]
fn a_parent_that_reads_on_goes_deaf_if_its_write_copies_the_page() {
    for arrangement in ARRANGEMENTS {
        let mut pair = Pair::new(arrangement).unwrap();
        for tap in 0..60 {
            if tap == 30 {
                pair.apply(Step::Fork);
            }
            pair.apply(Step::Tap { len: 1000 });
            pair.apply(Step::Poll { who: Who::Parent });
            pair.apply(Step::Poll { who: Who::Parent });
        }
        let (delivered, dropped) = pair.delivered_and_dropped();
        let deaf = arrangement == Arrangement::EachWriterCopies;
        assert_eq!(deaf, dropped > 0, "{arrangement:?}: {dropped}");
        assert_eq!(deaf, delivered < 56, "{arrangement:?}: {delivered}");
    }
}

fn step() -> impl Strategy<Value = Step> {
    let who = || prop_oneof![Just(Who::Parent), Just(Who::Child)];
    // The header's words, the first records, the border between the pages, anywhere.
    let offset =
        || prop_oneof![4 => 0usize..16, 2 => 16usize..200, 1 => 4090usize..4102, 1 => 0usize..8192];
    let byte = || prop_oneof![3 => 0u8..4, 1 => any::<u8>()];
    prop_oneof![
        12 => prop_oneof![0usize..100, 900usize..1500].prop_map(|len| Step::Tap { len }),
        12 => who().prop_map(|who| Step::Poll { who }),
        1 => Just(Step::Fork),
        3 => (who(), 0usize..2, offset(), byte())
            .prop_map(|(who, buffer, offset, byte)| Step::Poke { who, buffer, offset, byte }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whoever writes what and reads when: model and mappings show the same bytes to kernel, parent
    /// and child, and the readers and the kernel come to the same conclusions.
    #[test]
    fn the_model_and_this_system_agree(
        steps in prop::collection::vec(step(), 1..60),
        arrangement in prop::sample::select(&ARRANGEMENTS[..]),
    ) {
        let mut pair = Pair::new(arrangement).unwrap();
        for step in steps {
            pair.apply(step);
        }
        pair.compare_pages();
    }
}

#[test]
fn the_comparison_notices_a_rule_that_is_not_the_systems() {
    let mut pair =
        Pair::with_rule(Arrangement::EachWriterCopies, ForkedPages::CopiedAtFork).unwrap();
    pair.apply(Step::Fork);
    let noticed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pair.apply(Step::Tap { len: 60 });
        pair.compare_pages();
    }));
    assert!(noticed.is_err(), "the child sees the packet that was stored after the fork");
}
