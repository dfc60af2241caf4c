//! Packet capture behind a tap: BPF filter, capture buffer, reader.
//!
//! An [`Adapter`] is shown every frame in batches ([`Adapter::tap`]) and shows it to each open
//! handle. A handle filters it ([`filter`]), stores what the filter keeps in its capture buffer, the
//! *engine*, and hands records to whoever reads ([`Adapter::read`]). The engines are the designs that
//! capture systems have shipped ([`EngineKind`]); what differed between releases of one design are
//! named switches.
//!
//! # Contract
//!
//! - A state machine: time comes in as `now` (picoseconds), effects go out as return values and
//!   through the caller's [`Host`]. No thread, clock, random number, I/O.
//! - Per frame and attached handle exactly one of [`Event::Skipped`] (which is as if it were not shown),
//!   [`Event::Filtered`], [`Event::Counted`], [`Event::Stored`], [`Event::Dropped`]; each stored packet
//!   ends as exactly one [`Host::delivered`], one [`Event::Dumped`] or one dropped record. So at any
//!   time, per handle:
//!   `shown = filtered + delivered + counted + dumped + dropped + queued` ([`HandleCounters`]).
//! - One physical copy per frame, shared by all handles that keep it; no allocation per frame once
//!   the buffers have reached their working size.
//! - Bad input (filter program, sizes, handles) is a typed error and changes nothing.
//!
//! ```
//! use npf_core::{Adapter, Delivered, Event, Frame, HandleOptions, Host};
//!
//! struct Print;
//! impl Host for Print {
//!     fn event(&mut self, now: u64, event: Event) {
//!         println!("{now} {}", event.name());
//!     }
//!     fn delivered(&mut self, _now: u64, handle: u32, packet: Delivered<'_>) {
//!         println!("handle {handle} got {} of {} bytes", packet.caplen, packet.len);
//!     }
//!     fn wake(&mut self, _now: u64, _handle: u32) {}
//! }
//!
//! let mut adapter = Adapter::new();
//! let handle = adapter.open(HandleOptions { snaplen: 14, ..HandleOptions::default() })?;
//! let frame = Frame { data: &[0; 60], wire_len: 60, tag: 1 };
//! adapter.tap(0, 0, 0, &[frame], &mut Print);
//! let mut user_buffer = [0; 4096];
//! let read = adapter.read(1, handle, &mut user_buffer, &mut Print)?;
//! assert_eq!((read.packets, read.bytes), (1, 20 + 14 + 2)); // header, frame, padding
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Not checked
//!
//! - `now` is taken as it comes; nothing here needs it to grow.
//! - A [`Frame`]'s `wire_len` is believed: the filter's LEN load and the record's length show it.
//! - Blocking, time-outs and the user buffer belong to the reader; [`DEFAULT_READ_TIMEOUT_PS`] and
//!   [`DEFAULT_USER_BUFFER`] are what libpcap uses.

mod adapter;
pub mod capture;
mod concurrent;
mod counters;
mod drop;
mod engine;
mod error;
mod event;
pub mod filter;
mod host;
mod injection;
mod marker;
mod options;
mod pool;
mod record;
mod record_bsd;
mod records;
mod savefile;
mod send_queue;
mod shared;
mod zero_copy_reader;

pub use adapter::{
    Adapter, DEFAULT_MAX_FRAME, DUMP_PERIOD_PS, MAX_WRITE_REPEAT, STATISTICS_RECORD, Transmission,
};
pub use concurrent::SharedHandle;
pub use counters::{AdapterCounters, HandleCounters, Stats};
pub use drop::{DropReason, DropRecord};
pub use engine::{Occupancy, ZBUF_HEADER};
pub use error::{ControlError, ReadError};
pub use event::{Event, Value};
pub use host::{Delivered, DumpStep, Frame, Host, Read, ReadStep, TapWork, Work};
pub use injection::{
    InjectError, Injected, Pacing, TransmitError, TransmitFault, TransmitNext, Transmitted,
};
pub use marker::{MARKER_LEN, Marker, MarkerKind};
pub use options::{
    BufferMode, CpuClamp, DEFAULT_KERNEL_BUFFER, DEFAULT_MIN_TO_COPY, DEFAULT_READ_TIMEOUT_PS,
    DEFAULT_SNAPLEN, DEFAULT_USER_BUFFER, Direction, DumpLimits, EngineKind, FilterReset,
    ForkedPages, HandleOptions, MAX_KERNEL_BUFFER, Mode, PacketQueueOptions, RingOptions,
    SegmentChoice, SegmentsOptions, StoreHoldOptions, WordSize, WorkerOptions, ZeroCopyOptions,
};
pub use record::{RECORD_ALIGNMENT, RECORD_HEADER};
pub use records::{MalformedRecord, Record, RecordFormat, Records};
pub use savefile::{DUMP_FILE_HEADER, DUMP_PACKET_HEADER};
pub use send_queue::{SEND_HEADER, SendQueue, SendQueueFault, SendQueueFull};
pub use shared::{MAX_ZBUF_PAGES, Rotated, Taken, ViewError, ZBUF_PAGE, zbuf_kernel_buffer};
pub use zero_copy_reader::ZeroCopyReader;
