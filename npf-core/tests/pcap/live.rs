//! pcap_setfilter(3PCAP), pcap_stats(3PCAP), pcap_close(3PCAP), and what WinPcap sets on a live capture.

use crate::support::{MS, S, US, at_least, dispatch, frames, frames_at, number, open};
use npf_core::capture::{
    Capture, CaptureError, CaptureStats, Next, Platform, Playback, Settings, Waited,
};
use npf_core::{
    Adapter, ControlError, DropReason, EngineKind, FilterReset, HandleCounters, Mode,
    PacketQueueOptions, Read, ReadError, StoreHoldOptions,
};
use std::cell::RefCell;

fn filtered(engine: EngineKind) -> CaptureStats {
    let mut playback = frames(10);
    let mut capture = Capture::create(&mut playback);
    capture.set_engine(engine).unwrap();
    capture.set_timeout_ms(1).unwrap();
    capture.activate().unwrap();
    capture.setfilter(Some(at_least(4).into()), FilterReset::Yes).unwrap();
    assert_eq!(dispatch(&mut capture, -1), (Ok(7), vec![4, 5, 6, 7, 8, 9, 10]));
    capture.stats().unwrap()
}

/// pcap_stats(3PCAP): ps_recv might count packets whether they passed any filter or not, or only packets
/// that pass the filter.
#[test]
fn received_is_counted_before_or_after_the_filter_by_design() {
    let stats = |recv, capt| CaptureStats { recv, drop: 0, ifdrop: 0, capt };
    let queue = EngineKind::PacketQueue;
    assert_eq!(filtered(queue(PacketQueueOptions::CURRENT)), stats(7, Some(7)));
    assert_eq!(filtered(queue(PacketQueueOptions::NPCAP_1_75)), stats(10, Some(7)));
    let bsd = EngineKind::StoreHold(StoreHoldOptions::default());
    assert_eq!(filtered(bsd), stats(10, None), "BSD has no ps_capt");
}

/// pcap_stats(3PCAP): both count packets that were not read yet; ps_drop those for which there was no
/// room.
#[test]
fn statistics_count_what_is_queued_and_what_was_dropped() {
    let mut playback = frames(5);
    let mut capture = Capture::create(&mut playback);
    capture.set_buffer_size(240).unwrap();
    capture.activate().unwrap();
    assert_eq!(capture.stats(), Ok(CaptureStats { capt: Some(0), ..CaptureStats::default() }));
    assert_eq!(capture.select(Some(S)), Ok(Waited::Ready), "a drop wakes");
    capture.platform().sleep(0, S);
    assert_eq!(capture.stats(), Ok(CaptureStats { recv: 5, drop: 2, ifdrop: 0, capt: Some(3) }));
}

/// libpcap `pcap-npf.c`, `pcap-bpf.c`: packets that the old filter accepted are thrown away, those in the
/// kernel's buffer and those in the user buffer.
#[test]
fn a_new_filter_throws_away_what_the_old_one_accepted() {
    let mut playback = frames_at([US, 2 * US, 2 * S, 5 * S, 6 * S]);
    let mut capture = open(&mut playback);
    assert_eq!(dispatch(&mut capture, 1), (Ok(1), vec![1]), "one is left in the user buffer");
    capture.platform().sleep(0, 3 * S);
    capture.setfilter(Some(at_least(5).into()), FilterReset::Yes).unwrap();
    assert_eq!(capture.stats().unwrap().recv, 0, "statistics begin anew");
    let mut numbers = vec![];
    capture.loop_(-1, |packet| numbers.push(number(packet))).unwrap();
    assert_eq!(numbers, [5]);
    let counters = capture.close().unwrap();
    assert_eq!(counters.dropped[DropReason::Flushed.index()], 1);
    assert_eq!((counters.shown, counters.filtered, counters.delivered), (5, 1, 3));
}

/// BIOCSETFNR of bpf(4): the filter changes and nothing is lost.
#[test]
fn a_new_filter_can_leave_everything() {
    let mut playback = frames_at([US, 2 * US, 2 * S, 5 * S, 6 * S]);
    let mut capture = open(&mut playback);
    assert_eq!(dispatch(&mut capture, 1), (Ok(1), vec![1]));
    capture.platform().sleep(0, 3 * S);
    capture.setfilter(Some(at_least(5).into()), FilterReset::No).unwrap();
    let mut numbers = vec![];
    capture.loop_(-1, |packet| numbers.push(number(packet))).unwrap();
    assert_eq!(numbers, [2, 3, 5]);
    assert_eq!(capture.stats().unwrap().recv, 4);
    capture.setfilter(None, FilterReset::Yes).unwrap();
    assert_eq!(capture.next_ex(), Ok(Next::Timeout), "nothing is left of the traffic");
}

#[test]
fn closing_loses_what_is_queued_and_the_account_says_so() {
    let mut playback = frames(4);
    let mut capture = open(&mut playback);
    capture.platform().sleep(0, 3 * US);
    let counters = capture.close().unwrap();
    assert_eq!(counters.dropped[DropReason::Closed.index()], 3);
    assert_eq!((counters.shown, counters.stored, counters.delivered), (3, 3, 0));
    assert_eq!(playback.with(|_, adapter, _| adapter.handles().count()), 0);
}

/// Two captures on one adapter see the same frames, each by its own settings.
#[test]
fn two_captures_share_an_adapter() {
    let playback = RefCell::new(frames_at([US, 2 * US, 3 * US, 30 * MS]));
    let open = |snaplen: u32, ms: u32| {
        let mut capture = Capture::create(&playback);
        capture.set_snaplen(snaplen).unwrap();
        capture.set_timeout_ms(ms).unwrap();
        capture.activate().unwrap();
        capture
    };
    let (mut short, mut long) = (open(20, 10), open(100, 20));
    long.setfilter(Some(at_least(2).into()), FilterReset::Yes).unwrap();
    let mut seen = vec![];
    short.loop_(3, |packet| seen.push((packet.caplen, packet.len, number(packet)))).unwrap();
    assert_eq!(seen, [(20, 60, 1), (20, 60, 2), (20, 60, 3)]);
    seen.clear();
    long.loop_(2, |packet| seen.push((packet.caplen, packet.len, number(packet)))).unwrap();
    assert_eq!(seen, [(60, 60, 2), (60, 60, 3)]);
    assert_eq!(playback.borrow().now(), 30 * MS, "10 ms for one, and then 20 for the other");
    assert_eq!(short.close().unwrap().shown, 4);
    seen.clear();
    long.loop_(-1, |packet| seen.push((packet.caplen, packet.len, number(packet)))).unwrap();
    assert_eq!(seen, [(60, 60, 4)]);
}

/// A callback may use another capture of the same surroundings.
#[test]
fn a_callback_may_use_another_capture() {
    let playback = RefCell::new(frames(3));
    let mut first = Capture::create(&playback);
    first.set_timeout_ms(1).unwrap();
    first.activate().unwrap();
    let mut second = Capture::create(&playback);
    second.activate().unwrap();
    let mut received = 0;
    first.dispatch(-1, |_| received += second.stats().unwrap().recv).unwrap();
    assert_eq!(received, 3 * 3);
}

#[test]
fn a_buffer_of_another_size_is_an_empty_one() {
    let mut playback = frames_at([US, 2 * US, 10 * US, 11 * US]);
    let mut capture = open(&mut playback);
    capture.platform().sleep(0, 5 * US);
    capture.setbuff(80).unwrap();
    assert_eq!(dispatch(&mut capture, -1), (Ok(1), vec![3]), "room for one, once");
    let counters = account(&mut capture);
    assert_eq!(counters.dropped[DropReason::Flushed.index()], 2);
    assert_eq!(counters.dropped[DropReason::BufferFull.index()], 1);
    let limit = 1 << 30;
    let refused = ControlError::BufferTooLarge { asked: limit + 1, limit };
    assert_eq!(capture.setbuff(limit + 1), Err(refused.into()));
}

#[test]
fn a_user_buffer_of_another_length_drops_what_was_in_it() {
    let mut playback = frames(5);
    let mut capture = open(&mut playback);
    assert_eq!(capture.setuserbuffer(160), Ok(()));
    assert_eq!(dispatch(&mut capture, 1), (Ok(1), vec![1]));
    assert_eq!(capture.setuserbuffer(240), Ok(()));
    assert_eq!(dispatch(&mut capture, -1), (Ok(3), vec![3, 4, 5]));
    let asked = (1 << 30) + 1;
    assert_eq!(capture.setuserbuffer(asked), Err(CaptureError::UserBufferTooLarge { asked }));
    assert_eq!(capture.setuserbuffer(0), Ok(()));
    capture.platform().with(|now, adapter, host| {
        let frame = npf_core::Frame { data: &[9; 60], wire_len: 60, tag: 9 };
        adapter.tap(now, 0, 0, &[frame], host);
    });
    let refused = dispatch(&mut capture, -1).0.unwrap_err();
    assert_eq!(refused.code(), -1);
    assert!(refused.to_string().contains("a user buffer of 0 bytes"), "{refused}");

    let mut playback = frames(0);
    let mut capture = Capture::create(&mut playback);
    capture.set_engine(EngineKind::StoreHold(StoreHoldOptions::default())).unwrap();
    capture.activate().unwrap();
    let refused = CaptureError::UserBufferIsFixed { length: 524_288 };
    assert_eq!(capture.setuserbuffer(1000), Err(refused));
}

/// WinPcap's pcap_setmode: two counters per second; packets that were captured before stay to be read.
#[test]
fn statistics_mode_counts_and_capture_mode_goes_on() {
    let mut playback = frames_at([US, S, S + 1, 2 * S, 4 * S, 4 * S + 1]);
    let mut capture = Capture::create(&mut playback);
    capture.activate().unwrap();
    capture.platform().sleep(0, 2 * US);
    capture.setmode(Mode::Statistics).unwrap();
    let counts = |next: Next<'_>| {
        let Next::Packet(packet) = next else { panic!("{next:?}") };
        let number = |at| u64::from_le_bytes(packet.data[at..at + 8].try_into().unwrap());
        assert_eq!((packet.caplen, packet.len), (16, 16));
        (number(0), number(8))
    };
    assert_eq!(counts(capture.next_ex().unwrap()), (2, 2 * 72), "1 s without a time-out set");
    assert_eq!(counts(capture.next_ex().unwrap()), (1, 72));
    capture.setmode(Mode::Capture).unwrap();
    capture.setmintocopy(0).unwrap();
    assert_eq!(dispatch(&mut capture, -1), (Ok(2), vec![1, 5]), "one of them from before");
    assert_eq!(dispatch(&mut capture, -1), (Ok(1), vec![6]));
    assert_eq!(account(&mut capture).counted, 3);
}

#[test]
fn a_capture_can_begin_in_statistics_mode() {
    let mut playback = frames(3);
    let mut settings = playback.settings();
    settings.mode = Mode::Statistics;
    let mut capture = Capture::create(Preset { playback: &mut playback, settings });
    capture.activate().unwrap();
    let Ok(Next::Packet(packet)) = capture.next_ex() else { panic!() };
    assert_eq!((packet.sec, packet.data[0]), (1, 3));
    let Ok(Next::Packet(packet)) = capture.next_ex() else { panic!() };
    assert_eq!((packet.sec, packet.data[0]), (2, 0));
    assert_eq!(capture.next_ex(), Ok(Next::Ended));
}

/// A platform whose captures begin with other settings.
struct Preset<'a> {
    playback: &'a mut Playback,
    settings: Settings,
}

impl Platform for Preset<'_> {
    type Host = <Playback as Platform>::Host;

    fn with<T>(&mut self, ask: impl FnOnce(u64, &mut Adapter, &mut Self::Host) -> T) -> T {
        self.playback.with(ask)
    }

    fn settings(&self) -> Settings {
        self.settings.clone()
    }

    fn wait(&mut self, handle: u32, timeout_ps: Option<u64>) -> Waited {
        self.playback.wait(handle, timeout_ps)
    }

    fn sleep(&mut self, handle: u32, until: u64) -> Waited {
        self.playback.sleep(handle, until)
    }

    fn read(&mut self, handle: u32, out: &mut [u8]) -> Result<Read, ReadError> {
        self.playback.read(handle, out)
    }
}

/// Losses and changes of the filter are told among the packets, where that was asked for.
#[test]
fn markers_come_as_packets_of_length_0() {
    let mut playback = frames_at([US, 2 * US, 3 * US, 30 * MS, 31 * MS]);
    let mut capture = Capture::create(&mut playback);
    capture.set_timeout_ms(10).unwrap();
    capture.set_buffer_size(150).unwrap();
    capture.set_markers(true).unwrap();
    capture.activate().unwrap();
    let mut seen = vec![];
    capture
        .loop_(-1, |packet| {
            assert_eq!(packet.len == 0, packet.marker().is_some());
            seen.push(
                packet.marker().map_or(u64::from(number(packet)), |marker| 100 + marker.count),
            );
        })
        .unwrap();
    assert_eq!(seen, [1, 2, 101, 4, 5]);
}

fn account(capture: &mut Capture<&mut Playback>) -> HandleCounters {
    let handle = capture.handle().unwrap();
    capture.platform().with(|_, adapter, _| *adapter.counters(handle).unwrap())
}
