//! Any sequence of calls, in every design: each returns what its page allows, none hangs, every packet
//! has exactly one fate, and none is seen twice or changed.

use crate::designs::designs;
use crate::support::{US, at_least};
use npf_core::capture::{Capture, CaptureError, Next, Platform, Playback, Waited};
use npf_core::{ControlError, Direction, DumpLimits, EngineKind, FilterReset, Mode};
use proptest::prelude::*;
use std::cell::RefCell;

#[derive(Debug, Clone, Copy)]
enum Call {
    Next,
    Dispatch(i32),
    DispatchAndBreak(u32),
    Break,
    Select(u64),
    Sleep(u64),
    Filter(Option<u8>, bool),
    NonBlocking(bool),
    BufferSize(u64),
    UserBuffer(usize),
    MinToCopy(u64),
    Mode(u8),
    Direction(u8),
    Inject(usize),
    Remove,
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        6 => Just(Call::Next),
        6 => (-1..20i32).prop_map(Call::Dispatch),
        2 => (1..5u32).prop_map(Call::DispatchAndBreak),
        1 => Just(Call::Break),
        2 => (0..5_000u64).prop_map(|us| Call::Select(us * US)),
        4 => (0..5_000u64).prop_map(|us| Call::Sleep(us * US)),
        2 => (any::<Option<u8>>(), any::<bool>()).prop_map(|(least, keep)| Call::Filter(least, keep)),
        1 => any::<bool>().prop_map(Call::NonBlocking),
        1 => (0..20_000u64).prop_map(Call::BufferSize),
        1 => (0..2_000usize).prop_map(Call::UserBuffer),
        1 => (0..2_000u64).prop_map(Call::MinToCopy),
        2 => (0..4u8).prop_map(Call::Mode),
        1 => (0..3u8).prop_map(Call::Direction),
        2 => (0..1_600usize).prop_map(Call::Inject),
        1 => Just(Call::Remove),
    ]
}

/// Frames of rising numbers and any length; the number is in the first bytes.
fn frames() -> impl Strategy<Value = Vec<(u64, Vec<u8>)>> {
    prop::collection::vec((0..500u64, 4..300usize), 0..150).prop_map(|frames| {
        let mut at = 0;
        let numbered = frames.into_iter().zip(0u32..).map(|((gap, len), number)| {
            at += gap * US;
            let mut data = number.to_le_bytes().to_vec();
            data.resize(len, number as u8);
            (at, data)
        });
        numbered.collect()
    })
}

type Shared<'a> = Capture<&'a RefCell<Playback>>;

/// What a packet must be: a frame of the playback, later than the last one; or one that was injected; or
/// counters.
struct Seen<'a> {
    frames: &'a [(u64, Vec<u8>)],
    next: u32,
    packets: u64,
}

impl Seen<'_> {
    fn check(&mut self, data: &[u8], len: u32) {
        self.packets += 1;
        let injected = data.iter().all(|byte| *byte == 0xee);
        if injected || len == 16 {
            return;
        }
        // A short user buffer or snap length may cut the number off.
        let Some(number) = data.first_chunk::<4>() else { return };
        let number = u32::from_le_bytes(*number);
        let (_, frame) = &self.frames[number as usize];
        assert!(number >= self.next, "frame {number} again");
        self.next = number + 1;
        assert_eq!((&frame[..data.len()], frame.len()), (data, len as usize));
    }
}

/// Carries a call out; refusals must be of the kind that the call may meet.
fn carry_out(call: Call, capture: &mut Shared<'_>, seen: &mut Seen<'_>) {
    let refused = |result: Result<(), CaptureError>| {
        if let Err(error) = result {
            assert_eq!(error.code(), -1, "{call:?}: {error}");
        }
    };
    match call {
        Call::Next => match capture.next_ex() {
            Ok(Next::Packet(packet)) => seen.check(packet.data, packet.len),
            Ok(other) => assert!([0, -2].contains(&other.code())),
            Err(error) => assert!([-1, -2].contains(&error.code()), "{error}"),
        },
        Call::Dispatch(count) => {
            let before = seen.packets;
            match capture.dispatch(count, |packet| seen.check(packet.data, packet.len)) {
                Ok(got) => {
                    assert_eq!(u64::from(got), seen.packets - before);
                    assert!(count <= 0 || got <= count as u32);
                }
                Err(error) => {
                    assert_eq!(seen.packets, before, "an error comes before the first packet");
                    assert!([-1, -2].contains(&error.code()), "{error}");
                }
            }
        }
        Call::DispatchAndBreak(after) => {
            let stop = capture.break_handle();
            let mut got = 0;
            let result = capture.dispatch(-1, |packet| {
                seen.check(packet.data, packet.len);
                got += 1;
                if got == after {
                    stop.break_loop();
                }
            });
            if got == after {
                assert_eq!(result, Ok(after));
                let broken = capture.dispatch(-1, |_| panic!("the flag stays"));
                assert_eq!(broken, Err(CaptureError::Break));
            }
        }
        Call::Break => {
            capture.break_loop();
            assert_eq!(capture.next_ex(), Err(CaptureError::Break));
        }
        Call::Select(timeout) => {
            assert_ne!(capture.select(Some(timeout)), Ok(Waited::Interrupted));
        }
        Call::Sleep(time) => {
            let until = capture.platform().borrow().now() + time;
            let handle = capture.handle().unwrap();
            assert_eq!(capture.platform().sleep(handle, until), Waited::TimedOut);
        }
        Call::Filter(least, keep) => {
            let filter = least.map(|least| at_least(least).into());
            let reset = if keep { FilterReset::No } else { FilterReset::Yes };
            capture.setfilter(filter, reset).unwrap();
        }
        Call::NonBlocking(on) => capture.setnonblock(on).unwrap(),
        Call::BufferSize(bytes) => refused(capture.setbuff(bytes)),
        Call::UserBuffer(bytes) => refused(capture.setuserbuffer(bytes)),
        Call::MinToCopy(bytes) => capture.setmintocopy(bytes).unwrap(),
        Call::Mode(0 | 1) => refused(capture.setmode(Mode::Capture)),
        Call::Mode(2) => refused(capture.setmode(Mode::Statistics)),
        Call::Mode(_) => {
            let limits = DumpLimits { max_packets: Some(20), ..DumpLimits::default() };
            refused(capture.live_dump(limits));
        }
        Call::Direction(n) => {
            let all = [Direction::InOut, Direction::In, Direction::Out];
            capture.setdirection(all[usize::from(n)]).unwrap();
        }
        Call::Inject(len) => refused(capture.sendpacket(&vec![0xee; len])),
        Call::Remove => capture.platform().with(|now, adapter, host| adapter.remove(now, host)),
    }
}

fn check_account(capture: &mut Shared<'_>) {
    let handle = capture.handle().unwrap();
    let (counters, queued) = capture
        .platform()
        .with(|_, adapter, _| (*adapter.counters(handle).unwrap(), adapter.queued(handle)));
    let fates = counters.filtered
        + counters.delivered
        + counters.counted
        + counters.dumped
        + counters.dropped_total();
    assert_eq!(counters.shown, fates + queued);
}

fn play(engine: EngineKind, frames: &[(u64, Vec<u8>)], timeout_ms: u32, calls: &[(bool, Call)]) {
    let playback = RefCell::new(Playback::new(frames.iter().cloned()));
    let open = || {
        let mut capture = Capture::create(&playback);
        capture.set_engine(engine).unwrap();
        capture.set_timeout_ms(timeout_ms).unwrap();
        capture.set_buffer_size(8_192).unwrap();
        capture.activate().unwrap();
        capture
    };
    let mut captures = [open(), open()];
    let mut seen = [0, 1].map(|_| Seen { frames, next: 0, packets: 0 });
    for (which, call) in calls {
        let which = usize::from(*which);
        carry_out(*call, &mut captures[which], &mut seen[which]);
        check_account(&mut captures[which]);
    }
    for mut capture in captures {
        let handle = capture.handle().unwrap();
        capture.setnonblock(false).unwrap();
        let ended = capture.loop_(-1, |_| ());
        assert!(ended.is_ok() || ended.is_err_and(|error| error.code() < 0));
        let counters = capture.close().unwrap();
        assert_eq!(
            counters.shown,
            counters.filtered
                + counters.delivered
                + counters.counted
                + counters.dumped
                + counters.dropped_total()
        );
        let gone = ControlError::NoSuchHandle { handle };
        assert_eq!(playback.borrow_mut().close(handle), Err(gone));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn any_sequence_of_calls_keeps_the_account(
        frames in frames(),
        timeout_ms in 0..4u32,
        calls in prop::collection::vec((any::<bool>(), call()), 0..60),
    ) {
        for engine in designs() {
            play(engine, &frames, timeout_ms, &calls);
        }
    }
}
