//! The controls, as values, and how often each is drawn.

use npf_core::EngineKind;
use proptest::prelude::{any as anything, *};

use crate::model::Model;

/// What is done to the adapter. `at` counts the handles that were ever opened, so that closed ones
/// and ones that never were are asked for, too.
#[derive(Debug, Clone)]
pub enum Op {
    Open(Opening),
    Tap {
        cpu: u16,
        lengths: Vec<usize>,
    },
    /// The read in progress goes on if `same`; otherwise one is tried to be begun with `len`.
    Step {
        at: u32,
        len: usize,
        same: bool,
    },
    Read {
        at: u32,
        len: usize,
    },
    Work {
        at: u32,
        max: u32,
    },
    Filter {
        at: u32,
        keep: Keep,
        reset: bool,
    },
    BufferSize {
        at: u32,
        size: u64,
    },
    MinToCopy {
        at: u32,
        bytes: u64,
    },
    Immediate {
        at: u32,
        on: bool,
    },
    Snaplen {
        at: u32,
        snaplen: u32,
    },
    Close {
        at: u32,
    },
    Remove,
}

/// A filter: frames of at least `.0` bytes, and `.1` bytes of each; `None` keeps all of all.
pub type Keep = Option<(u32, u32)>;

/// How a handle is opened.
#[derive(Debug, Clone)]
pub struct Opening {
    pub engine: EngineKind,
    pub size: u64,
    pub min_to_copy: u64,
    pub immediate: bool,
    pub snaplen: u32,
    pub keep: Keep,
    pub limit: Option<u64>,
    pub cpus: u16,
}

/// Any control, when `opened` handles were ever opened.
pub fn any<M: Model>(opened: u32) -> BoxedStrategy<Op> {
    let at = move || 0..opened + 1;
    let length = prop_oneof![6 => 0usize..200, 2 => 200usize..1515, 1 => 1515usize..5000];
    let step = (at(), M::user_buffers(), prop::bool::weighted(0.7));
    prop_oneof![
        3 => opening::<M>().prop_map(Op::Open),
        30 => (M::tap_cpus(), prop::collection::vec(length, 0..9))
            .prop_map(|(cpu, lengths)| Op::Tap { cpu, lengths }),
        12 => step.prop_map(|(at, len, same)| Op::Step { at, len, same }),
        8 => (at(), M::user_buffers()).prop_map(|(at, len)| Op::Read { at, len }),
        10 => (at(), 0u32..9).prop_map(|(at, max)| Op::Work { at, max }),
        3 => (at(), keep(), any_bool()).prop_map(|(at, keep, reset)| Op::Filter { at, keep, reset }),
        2 => (at(), M::sizes()).prop_map(|(at, size)| Op::BufferSize { at, size }),
        2 => (at(), min_to_copy()).prop_map(|(at, bytes)| Op::MinToCopy { at, bytes }),
        2 => (at(), any_bool()).prop_map(|(at, on)| Op::Immediate { at, on }),
        2 => (at(), snaplen()).prop_map(|(at, snaplen)| Op::Snaplen { at, snaplen }),
        1 => at().prop_map(|at| Op::Close { at }),
        1 => prop::bool::weighted(0.3).prop_map(|now| if now { Op::Remove } else { quiet() }),
    ]
    .boxed()
}

/// A handle opened with sensible sizes, which every sequence starts with.
pub fn opening<M: Model>() -> BoxedStrategy<Opening> {
    let limit = prop_oneof![5 => Just(None), 1 => (0u64..20).prop_map(Some)];
    let cpus = prop_oneof![1 => Just(0), 30 => M::cpus()];
    (
        M::engine(),
        M::sizes(),
        min_to_copy(),
        prop::bool::weighted(0.2),
        snaplen(),
        keep(),
        limit,
        cpus,
    )
        .prop_map(|(engine, size, min_to_copy, immediate, snaplen, keep, limit, cpus)| Opening {
            engine,
            size,
            min_to_copy,
            immediate,
            snaplen,
            keep,
            limit,
            cpus,
        })
        .boxed()
}

/// An indication of nothing.
fn quiet() -> Op {
    Op::Tap { cpu: 0, lengths: Vec::new() }
}

fn any_bool() -> BoxedStrategy<bool> {
    anything::<bool>().boxed()
}

fn min_to_copy() -> BoxedStrategy<u64> {
    prop_oneof![1 => Just(0), 6 => 0u64..1000, 1 => Just(u64::MAX)].boxed()
}

fn snaplen() -> BoxedStrategy<u32> {
    prop_oneof![1 => Just(0), 4 => 1u32..300, 8 => Just(262_144), 1 => Just(u32::MAX)].boxed()
}

fn keep() -> BoxedStrategy<Keep> {
    prop_oneof![2 => Just(None), 1 => (0u32..150, 0u32..300).prop_map(Some)].boxed()
}
