//! Errors and warnings of a capture, with libpcap's codes (libpcap `pcap/pcap.h`).
//!
//! Contract: as in the rest of the crate: what is refused changes nothing, and the text says what to do
//! instead. The codes are those that the manual page of each call names.

use crate::{ControlError, InjectError, MAX_KERNEL_BUFFER, ReadError, TransmitError, ViewError};
use std::fmt;

/// Why a call on a capture failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaptureError {
    /// [`break_loop`](super::Capture::break_loop) ended the call before a packet was processed
    /// (PCAP_ERROR_BREAK).
    Break,
    /// The call needs an activated capture (PCAP_ERROR_NOT_ACTIVATED).
    NotActivated,
    /// The call is for captures that are not activated yet (PCAP_ERROR_ACTIVATED).
    Activated,
    /// The surroundings have no such source of packets (PCAP_ERROR_NO_SUCH_DEVICE).
    NoSuchDevice,
    /// There is no monitor mode here (PCAP_ERROR_RFMON_NOTSUP).
    MonitorNotSupported,
    /// Records carry microseconds (PCAP_ERROR_TSTAMP_PRECISION_NOTSUP).
    PrecisionNotSupported,
    /// A user buffer larger than any that is granted.
    UserBufferTooLarge {
        /// Bytes asked for.
        asked: usize,
    },
    /// The design reads into one length of user buffer only.
    UserBufferIsFixed {
        /// That length; 0 if it reads into none.
        length: u64,
    },
    /// `loop_` would spin for ever: nothing lets time pass while the capture does not block.
    WouldSpin,
    /// The surroundings have chosen the design of the buffer, and whether there are markers.
    EngineIsFixed,
    /// The surroundings have one capture at a time, and it is open.
    InUse,
    /// The surroundings cannot send, or not any more.
    CannotSend,
    /// The user buffer holds something that is no record: somebody else writes to it.
    Malformed,
    /// A control was refused.
    Control(ControlError),
    /// A read was refused.
    Read(ReadError),
    /// A look at shared buffers was refused.
    View(ViewError),
    /// A frame was refused.
    Inject(InjectError),
    /// A send queue stopped.
    Transmit(TransmitError),
}

impl CaptureError {
    /// libpcap's code; PCAP_ERROR, -1, for all that have none of their own.
    pub const fn code(&self) -> i32 {
        match self {
            CaptureError::Break => -2,
            CaptureError::NotActivated => -3,
            CaptureError::Activated => -4,
            CaptureError::NoSuchDevice => -5,
            CaptureError::MonitorNotSupported => -6,
            CaptureError::PrecisionNotSupported => -12,
            _ => -1,
        }
    }
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            CaptureError::Break => "the loop was told to break; call again to go on",
            CaptureError::NotActivated => "the capture is not activated; call activate() first",
            CaptureError::Activated => {
                "the capture is activated already; set this before activate()"
            }
            CaptureError::NoSuchDevice => {
                "there is no such source of packets; choose one that the surroundings have"
            }
            CaptureError::MonitorNotSupported => {
                "there is no monitor mode here; leave set_rfmon() out"
            }
            CaptureError::PrecisionNotSupported => {
                "records carry microseconds; leave the precision at that"
            }
            CaptureError::UserBufferTooLarge { asked } => {
                return write!(
                    f,
                    "a user buffer of {asked} bytes is more than is granted; ask for at most \
                     {MAX_KERNEL_BUFFER}"
                );
            }
            CaptureError::UserBufferIsFixed { length: 0 } => {
                "this design shares its buffers and has no user buffer; set the buffer size"
            }
            CaptureError::UserBufferIsFixed { length } => {
                return write!(
                    f,
                    "this design reads into exactly {length} bytes, half of its buffer; set the \
                     buffer size instead"
                );
            }
            CaptureError::WouldSpin => {
                "a loop that does not block would spin for ever; use dispatch() and select()"
            }
            CaptureError::EngineIsFixed => {
                "the surroundings have chosen design and markers; leave set_engine() and set_markers() out"
            }
            CaptureError::InUse => {
                "the surroundings have one capture, which is open; open no other one"
            }
            CaptureError::CannotSend => "nothing can be sent here, or not any more; capture only",
            CaptureError::Malformed => {
                "the user buffer holds no record where one should be; its rest was thrown away"
            }
            CaptureError::Control(error) => return error.fmt(f),
            CaptureError::Read(error) => return error.fmt(f),
            CaptureError::View(error) => return error.fmt(f),
            CaptureError::Inject(error) => return error.fmt(f),
            CaptureError::Transmit(error) => return error.fmt(f),
        };
        f.write_str(text)
    }
}

impl std::error::Error for CaptureError {}

macro_rules! wraps {
    ($($variant:ident: $error:ty),*) => {$(
        impl From<$error> for CaptureError {
            fn from(error: $error) -> Self {
                CaptureError::$variant(error)
            }
        }
    )*};
}
wraps!(Control: ControlError, Read: ReadError, View: ViewError, Inject: InjectError, Transmit: TransmitError);

/// What an activated capture does not do as it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warning {
    /// Promiscuous mode was asked for and means nothing here: the tap shows every frame that the
    /// driver indicates (PCAP_WARNING_PROMISC_NOTSUP).
    PromiscuousNotSupported,
    /// Another type of timestamp than the host's was asked for (PCAP_WARNING_TSTAMP_TYPE_NOTSUP).
    TimestampTypeNotSupported,
    /// The design has no min-to-copy: it wakes by its rotation rules (PCAP_WARNING).
    NoMinToCopy,
}

impl Warning {
    /// libpcap's code.
    pub const fn code(self) -> i32 {
        match self {
            Warning::NoMinToCopy => 1,
            Warning::TimestampTypeNotSupported => 2,
            Warning::PromiscuousNotSupported => 3,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Warning::PromiscuousNotSupported => {
                "promiscuous mode changes nothing here: every frame is shown anyway"
            }
            Warning::TimestampTypeNotSupported => {
                "this type of timestamp is not to be had; the host's is taken"
            }
            Warning::NoMinToCopy => "this design has no min-to-copy; it was ignored",
        })
    }
}
