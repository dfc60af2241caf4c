//! Before activation and activation itself: pcap_create(3PCAP), pcap_activate(3PCAP), and the pages of
//! the settings.

use crate::support::{frames, open};
use npf_core::capture::{
    Capture, CaptureError, Platform, Playback, Precision, TimestampType, Warning,
};
use npf_core::{
    BufferMode, ControlError, EngineKind, FilterReset, Mode, Pacing, PacketQueueOptions,
    StoreHoldOptions, ZeroCopyOptions,
};

const STORE_HOLD: StoreHoldOptions =
    StoreHoldOptions { word: npf_core::WordSize::Lp64, head_drop: false };

/// pcap_set_snaplen(3PCAP) and the others: PCAP_ERROR_ACTIVATED, -4, and nothing is changed.
#[test]
fn settings_are_refused_after_activation() {
    let mut playback = frames(1);
    let mut capture = open(&mut playback);
    let refused = Err(CaptureError::Activated);
    assert_eq!(capture.set_snaplen(1), refused);
    assert_eq!(capture.set_timeout_ms(1), refused);
    assert_eq!(capture.set_immediate_mode(true), refused);
    assert_eq!(capture.set_buffer_size(1), refused);
    assert_eq!(capture.set_min_to_copy(1), refused);
    assert_eq!(capture.set_user_buffer(1), refused);
    assert_eq!(capture.set_engine(EngineKind::StoreHold(STORE_HOLD)), refused);
    assert_eq!(capture.set_promisc(true), refused);
    assert_eq!(capture.set_rfmon(true), refused);
    assert_eq!(capture.set_tstamp_type(TimestampType::Host), Err(CaptureError::Activated));
    assert_eq!(capture.set_tstamp_precision(Precision::Micro), refused);
    assert_eq!(capture.activate(), Err(CaptureError::Activated));
    assert_eq!(CaptureError::Activated.code(), -4);
    assert_eq!(capture.snapshot(), Ok(262_144));
    assert_eq!(crate::support::dispatch(&mut capture, -1), (Ok(1), vec![1]));
}

/// The pages of each call: PCAP_ERROR_NOT_ACTIVATED, -3.
#[test]
fn an_activated_capture_is_needed_for_everything_else() {
    let mut playback = frames(1);
    let mut capture = Capture::create(&mut playback);
    let refused = CaptureError::NotActivated;
    assert_eq!(refused.code(), -3);
    assert_eq!(capture.next_ex(), Err(refused));
    assert_eq!(capture.dispatch(1, |_| ()), Err(refused));
    assert_eq!(capture.loop_(1, |_| ()), Err(refused));
    assert_eq!(capture.select(None), Err(refused));
    assert_eq!(capture.setnonblock(true), Err(refused));
    assert_eq!(capture.getnonblock(), Err(refused));
    assert_eq!(capture.stats(), Err(refused));
    assert_eq!(capture.setfilter(None, FilterReset::Yes), Err(refused));
    assert_eq!(capture.setdirection(npf_core::Direction::In), Err(refused));
    assert_eq!(capture.setbuff(1000), Err(refused));
    assert_eq!(capture.setmintocopy(0), Err(refused));
    assert_eq!(capture.setuserbuffer(1000), Err(refused));
    assert_eq!(capture.setmode(Mode::Statistics), Err(refused));
    assert_eq!(capture.live_dump_ended(false), Err(refused));
    assert_eq!(capture.inject(&[0; 60]), Err(refused));
    assert_eq!(capture.sendpacket(&[0; 60]), Err(refused));
    assert_eq!(capture.sendqueue_transmit(&[], Pacing::None), Err(refused));
    assert_eq!(capture.datalink(), Err(refused));
    assert_eq!(capture.snapshot(), Err(refused));
    assert_eq!(capture.handle(), Err(refused));
    let error = capture.dump_open(Vec::new()).unwrap_err();
    assert!(error.to_string().contains("activate()"), "{error}");
    assert!(!capture.ended());
    assert_eq!(capture.close(), Ok(npf_core::HandleCounters::default()));
}

/// pcap_activate(3PCAP): a positive value on success with warnings.
#[test]
fn what_means_nothing_here_is_a_warning() {
    let mut playback = frames(0);
    let mut capture = Capture::create(&mut playback);
    capture.set_promisc(true).unwrap();
    capture.set_engine(EngineKind::StoreHold(STORE_HOLD)).unwrap();
    capture.set_min_to_copy(1).unwrap();
    let warnings = capture.activate().unwrap();
    assert_eq!(warnings, [Warning::PromiscuousNotSupported, Warning::NoMinToCopy]);
    assert_eq!(warnings.iter().map(|warning| warning.code()).collect::<Vec<_>>(), [3, 1]);
    assert!(capture.datalink().is_ok(), "it is activated all the same");
}

/// pcap_activate(3PCAP): PCAP_ERROR_RFMON_NOTSUP; the capture is not closed and can be tried again.
#[test]
fn there_is_no_monitor_mode_but_another_try() {
    let mut playback = frames(0);
    let mut capture = Capture::create(&mut playback);
    capture.set_rfmon(true).unwrap();
    assert_eq!(capture.activate(), Err(CaptureError::MonitorNotSupported));
    assert_eq!(CaptureError::MonitorNotSupported.code(), -6);
    assert_eq!(capture.datalink(), Err(CaptureError::NotActivated));
    capture.set_rfmon(false).unwrap();
    assert_eq!(capture.activate(), Ok(vec![]));
    assert_eq!(capture.datalink(), Ok(1), "DLT_EN10MB");
}

/// pcap_set_tstamp_precision(3PCAP), pcap_set_tstamp_type(3PCAP).
#[test]
fn timestamps_are_the_hosts_microseconds() {
    let mut playback = frames(0);
    let mut capture = Capture::create(&mut playback);
    let refused = capture.set_tstamp_precision(Precision::Nano).unwrap_err();
    assert_eq!((refused, refused.code()), (CaptureError::PrecisionNotSupported, -12));
    assert_eq!(capture.set_tstamp_precision(Precision::Micro), Ok(()));
    assert_eq!(capture.set_tstamp_type(TimestampType::Host), Ok(None));
    let warning = capture.set_tstamp_type(TimestampType::Adapter).unwrap().unwrap();
    assert_eq!((warning, warning.code()), (Warning::TimestampTypeNotSupported, 2));
}

#[test]
fn what_the_adapter_refuses_activation_refuses() {
    let mut playback = frames(0);
    let mut capture = Capture::create(&mut playback);
    capture.set_snaplen(0).unwrap();
    let refused = capture.activate().unwrap_err();
    assert_eq!((refused, refused.code()), (ControlError::ZeroSnaplen.into(), -1));
    capture.set_snaplen(1).unwrap();
    for (design, what) in [
        (EngineKind::PacketQueue(PacketQueueOptions::CURRENT), "packet queue"),
        (EngineKind::StoreHold(STORE_HOLD), "store-hold"),
        (EngineKind::ZeroCopy(ZeroCopyOptions::default()), "zero-copy"),
    ] {
        capture.set_engine(design).unwrap();
        for asked in [(1 << 30) + 1, u64::MAX] {
            capture.set_buffer_size(asked).unwrap();
            let limit = 1 << 30;
            let refused = ControlError::BufferTooLarge { asked, limit }.into();
            assert_eq!(capture.activate(), Err(refused), "{what}");
        }
    }
    capture.platform().with(|now, adapter, host| adapter.remove(now, host));
    capture.set_buffer_size(8192).unwrap();
    assert_eq!(capture.activate(), Err(ControlError::DeviceRemoved.into()));
}

#[test]
fn user_buffers_are_checked_before_memory_is_taken() {
    let mut playback = frames(0);
    let mut capture = Capture::create(&mut playback);
    for asked in [(1 << 30) + 1, usize::MAX] {
        capture.set_user_buffer(asked).unwrap();
        assert_eq!(capture.activate(), Err(CaptureError::UserBufferTooLarge { asked }));
    }
    capture.set_buffer_size(10_000).unwrap();
    capture.set_user_buffer(4_000).unwrap();
    capture.set_engine(EngineKind::StoreHold(STORE_HOLD)).unwrap();
    assert_eq!(capture.activate(), Err(CaptureError::UserBufferIsFixed { length: 5_000 }));
    capture.set_engine(EngineKind::ZeroCopy(ZeroCopyOptions::default())).unwrap();
    assert_eq!(capture.activate(), Err(CaptureError::UserBufferIsFixed { length: 0 }));
    let buffered = BufferMode::Buffered;
    let buffered = ZeroCopyOptions { buffer_mode: buffered, ..ZeroCopyOptions::default() };
    capture.set_engine(EngineKind::ZeroCopy(buffered)).unwrap();
    capture.set_user_buffer(5_000).unwrap();
    assert_eq!(capture.activate(), Ok(vec![]));
}

/// libpcap `pcap-npf.c` and `pcap-bpf.c`: what activation asks for when nothing was set.
#[test]
fn buffers_are_those_that_libpcap_asks_for() {
    let capacity = |engine, asked: Option<u64>| {
        let mut playback = frames(0);
        let mut capture = Capture::create(&mut playback);
        capture.set_engine(engine).unwrap();
        if let Some(asked) = asked {
            capture.set_buffer_size(asked).unwrap();
        }
        capture.activate().unwrap();
        let handle = capture.handle().unwrap();
        capture.platform().with(|_, adapter, _| adapter.occupancy(handle).capacity)
    };
    let (queue, slots) = (PacketQueueOptions::CURRENT, STORE_HOLD);
    assert_eq!(capacity(EngineKind::PacketQueue(queue), None), 1_000_000);
    assert_eq!(capacity(EngineKind::StoreHold(slots), None), 2 * 524_288);
    let shared = EngineKind::ZeroCopy(ZeroCopyOptions::default());
    assert_eq!(capacity(shared, None), 2 * 524_288 - 2 * 32, "less two headers");
    assert_eq!(capacity(shared, Some(8193)), 16_384 - 2 * 32, "whole pages");
    assert_eq!(capacity(EngineKind::PacketQueue(queue), Some(77)), 77);
}

#[test]
fn the_texts_say_what_to_do() {
    let errors = [
        CaptureError::Break,
        CaptureError::NoSuchDevice,
        CaptureError::UserBufferTooLarge { asked: 1 << 40 },
        CaptureError::UserBufferIsFixed { length: 0 },
        CaptureError::UserBufferIsFixed { length: 5000 },
        CaptureError::WouldSpin,
        CaptureError::EngineIsFixed,
        CaptureError::InUse,
        CaptureError::CannotSend,
        CaptureError::Malformed,
        ControlError::ZeroSnaplen.into(),
    ];
    for error in errors {
        assert!(error.to_string().len() > 30, "{error}");
    }
    let _: &Playback = &frames(0);
}
