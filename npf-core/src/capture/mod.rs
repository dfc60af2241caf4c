//! Captures as libpcap has them: create, set, activate, read packets, change the filter, stop, close.
//!
//! | libpcap | here |
//! |---|---|
//! | `pcap_create` | [`Capture::create`] |
//! | `pcap_set_snaplen`, `_timeout`, `_immediate_mode`, `_buffer_size`, `_promisc`, `_rfmon`, `_tstamp_type`, `_tstamp_precision` | [`set_snaplen`](Capture::set_snaplen), [`set_timeout_ms`](Capture::set_timeout_ms), ..., and [`set_engine`](Capture::set_engine) |
//! | `pcap_activate` | [`activate`](Capture::activate), which gives warnings |
//! | `pcap_next_ex`, `pcap_dispatch`, `pcap_loop`, `pcap_breakloop` | [`next_ex`](Capture::next_ex), [`dispatch`](Capture::dispatch), [`loop_`](Capture::loop_), [`break_loop`](Capture::break_loop) |
//! | `pcap_setnonblock`, `select` | [`setnonblock`](Capture::setnonblock), [`select`](Capture::select) |
//! | `pcap_stats`, `pcap_setfilter`, `pcap_setdirection` | [`stats`](Capture::stats), [`setfilter`](Capture::setfilter), [`setdirection`](Capture::setdirection) |
//! | `pcap_inject`, `pcap_sendpacket`, `pcap_sendqueue_transmit` | [`inject`](Capture::inject), [`sendpacket`](Capture::sendpacket), [`sendqueue_transmit`](Capture::sendqueue_transmit) |
//! | `pcap_setbuff`, `pcap_setmintocopy`, `pcap_setuserbuffer`, `pcap_setmode`, `pcap_live_dump`, `pcap_live_dump_ended` | [`setbuff`](Capture::setbuff), ... |
//! | `pcap_dump_open`, `pcap_dump` | [`dump_open`](Capture::dump_open), [`Dumper::dump`] |
//! | `pcap_close` | [`close`](Capture::close) |
//!
//! # Contract
//!
//! - Return conditions are those of the manual pages; an error's number is [`CaptureError::code`].
//!   Where the pages leave a choice to the platform, the design of the capture buffer decides.
//! - A state machine like the rest of the crate: whoever lets time pass is the [`Platform`].
//!   [`Playback`] is one for examples and tests.
//! - Packets are read from the kernel's buffer into a user buffer, a bufferful at a time, by the same
//!   reads and records as everybody's; the account of the [`Adapter`](crate::Adapter) calls them
//!   delivered then, whether or not the program comes to look at them.
//!
//! # Examples
//!
//! Open, filter, read, count:
//!
//! ```
//! use npf_core::capture::{Capture, Next, Playback};
//! use npf_core::filter::Program;
//! use npf_core::FilterReset;
//!
//! let second = 1_000_000_000_000; // picoseconds
//! let mut playback = Playback::new((1..=4).map(|n| (n * second, vec![n as u8; 60])));
//! let mut capture = Capture::create(&mut playback);
//! capture.set_snaplen(96)?;
//! capture.set_timeout_ms(1500)?;
//! capture.activate()?;
//!
//! // As `tcpdump -ddd 'ether[0] != 2'` prints it.
//! let not_2 = Program::parse_ddd("4\n48 0 0 0\n21 0 1 2\n6 0 0 0\n6 0 0 262144\n")?;
//! capture.setfilter(Some(not_2.into()), FilterReset::Yes)?;
//! let mut first_bytes = Vec::new();
//! loop {
//!     match capture.next_ex()? {
//!         Next::Packet(packet) => first_bytes.push((packet.sec, packet.data[0])),
//!         Next::Timeout => {} // no packet for 1.5 seconds
//!         Next::Ended => break,
//!     }
//! }
//! assert_eq!(first_bytes, [(1, 1), (3, 3), (4, 4)]);
//! let stats = capture.stats()?;
//! assert_eq!((stats.recv, stats.drop, stats.capt), (3, 0, Some(3)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A loop that ends from within, and the rest into a savefile:
//!
//! ```
//! use npf_core::capture::{Capture, CaptureError, Playback};
//!
//! let mut playback = Playback::new((1..=5).map(|n| (n, vec![n as u8; 60])));
//! let mut capture = Capture::create(&mut playback);
//! capture.set_timeout_ms(10)?;
//! capture.activate()?;
//!
//! let stop = capture.break_handle();
//! let mut seen = 0;
//! let end = capture.loop_(-1, |packet| {
//!     seen += 1;
//!     if packet.data[0] == 2 {
//!         stop.break_loop();
//!     }
//! });
//! assert_eq!((seen, end), (2, Err(CaptureError::Break)));
//! assert_eq!(CaptureError::Break.code(), -2);
//!
//! let mut file = capture.dump_open(Vec::new())?;
//! let mut failed = None;
//! capture.loop_(0, |packet| failed = file.dump(&packet).err().or(failed.take()))?;
//! assert!(failed.is_none());
//! assert_eq!(file.close()?.len(), 24 + 3 * (16 + 60));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Two captures on one adapter; one sends, the other one counts:
//!
//! ```
//! use npf_core::capture::{Capture, Next, Playback};
//! use npf_core::Mode;
//! use std::cell::RefCell;
//!
//! let playback = RefCell::new(Playback::new([(5, vec![0; 60])]));
//! let mut sender = Capture::create(&playback);
//! sender.activate()?;
//! let mut counter = Capture::create(&playback);
//! counter.activate()?;
//! counter.setmode(Mode::Statistics)?;
//!
//! assert_eq!(sender.inject(&[0xff; 100])?, 100);
//! let Next::Packet(counts) = counter.next_ex()? else { panic!("one second has passed") };
//! let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
//! assert_eq!(counts.sec, 1);
//! assert_eq!(number(&counts.data[..8]), 2); // packets
//! assert_eq!(number(&counts.data[8..]), 60 + 12 + 100 + 12); // with preamble and FCS
//! assert_eq!(playback.borrow().sent(), [[0xff; 100]]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Differences from libpcap
//!
//! - A snap length of 0 is refused; libpcap takes 262144 instead.
//! - The buffer size of the BSD designs is both slots together, so that all designs compare.
//! - Counters have 64 bits.
//! - The end of the traffic is told apart from a break ([`Next::Ended`], [`Capture::ended`]).
//! - `pcap_loop` on a capture that does not block is refused, because nothing would let time pass.
//! - A callback has no hold of the capture; what it may do to it is to break its loop.
//!
//! # Not checked
//!
//! Compiling filter expressions, lists of devices, savefiles as input: not part of this crate.

mod error;
mod live;
mod platform;
mod playback;
mod reading;
mod savefile;
mod settings;
mod stop;

pub use error::{CaptureError, Warning};
pub use live::CaptureStats;
pub use platform::{Platform, Waited};
pub use playback::Playback;
pub use reading::{Next, Packet};
pub use savefile::Dumper;
pub use settings::{Precision, Settings, TimestampType};
pub use stop::BreakHandle;

use crate::{Mode, RecordFormat, ZeroCopyReader};

/// One capture (`pcap_t`). See the [module](self).
#[derive(Debug)]
pub struct Capture<P: Platform> {
    platform: P,
    state: State,
    stop: BreakHandle,
}

#[derive(Debug)]
enum State {
    Created(Settings),
    Activated(Live),
}

/// An activated capture.
#[derive(Debug)]
struct Live {
    handle: u32,
    snaplen: u32,
    timeout_ps: u64,
    /// How the design writes its records.
    records: RecordFormat,
    nonblocking: bool,
    /// Reads give counters.
    statistics: bool,
    /// The last wait found that nothing will come any more.
    ended: bool,
    /// The user buffer, and its length for reads of packets.
    buffer: Vec<u8>,
    length: usize,
    /// Takes packets out of shared buffers instead.
    shared: Option<ZeroCopyReader>,
    /// It has looked there, found nothing and was to wait.
    looked: bool,
    /// What is not processed yet: from, to, how written, and whether it is in what `shared` saw.
    at: usize,
    end: usize,
    format: RecordFormat,
    in_shared: bool,
}

impl<P: Platform> Capture<P> {
    /// A capture that is not activated yet, with the settings of its surroundings.
    #[doc(alias = "pcap_create")]
    pub fn create(platform: P) -> Self {
        let state = State::Created(platform.settings());
        Capture { platform, state, stop: BreakHandle::default() }
    }

    /// Opens the handle: packets are captured from now on. Warns of what is not done as it was set.
    ///
    /// # Errors
    ///
    /// Activated already; monitor mode; settings that the adapter, the design or the surroundings do
    /// not grant. The capture is as it was then, and other settings can be tried.
    #[doc(alias = "pcap_activate")]
    pub fn activate(&mut self) -> Result<Vec<Warning>, CaptureError> {
        let State::Created(settings) = &self.state else { return Err(CaptureError::Activated) };
        if settings.monitor {
            return Err(CaptureError::MonitorNotSupported);
        }
        let length = settings.user_bytes()?;
        let warnings = settings.warnings();
        let handle = self.platform.open(settings.options())?;
        let shared = match settings.shares() {
            true => Some(self.platform.with(|_, adapter, _| ZeroCopyReader::new(adapter, handle))?),
            false => None,
        };
        self.state = State::Activated(Live {
            handle,
            snaplen: settings.snaplen,
            timeout_ps: settings.timeout_ps,
            records: settings.engine.record_format(),
            nonblocking: false,
            statistics: settings.mode == Mode::Statistics,
            ended: false,
            buffer: Vec::new(),
            length,
            shared,
            looked: false,
            at: 0,
            end: 0,
            format: RecordFormat::Npf,
            in_shared: false,
        });
        Ok(warnings)
    }

    /// The surroundings.
    pub fn platform(&mut self) -> &mut P {
        &mut self.platform
    }

    fn live(&self) -> Result<&Live, CaptureError> {
        match &self.state {
            State::Activated(live) => Ok(live),
            State::Created(_) => Err(CaptureError::NotActivated),
        }
    }

    fn live_mut(&mut self) -> Result<&mut Live, CaptureError> {
        self.parts().map(|(_, live, _)| live)
    }

    fn parts(&mut self) -> Result<(&mut P, &mut Live, &BreakHandle), CaptureError> {
        match &mut self.state {
            State::Activated(live) => Ok((&mut self.platform, live, &self.stop)),
            State::Created(_) => Err(CaptureError::NotActivated),
        }
    }
}
