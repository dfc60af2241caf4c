//! Why a connection is dropped.
//!
//! Contract: every error names the message and says what is wrong with it. A connection that made one is
//! at an end; the daemon goes on.

use std::fmt;

use crate::ring::QueueError;
use vhost::vhost_user::message::FrontendReq;

/// What is wrong with a message, by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageError {
    /// The header says another version than 1.
    Version(u32),
    /// Bits of the header's flags that have no meaning.
    Flags(u32),
    /// A reply, where a request belongs.
    Reply(FrontendReq),
    /// No such request in the specification, or none of a network device.
    Unknown(u32),
    /// The body is not as long as the message's definition says.
    Size {
        /// Which message.
        request: FrontendReq,
        /// Bytes of its body.
        size: usize,
        /// What its definition says.
        expected: &'static str,
    },
    /// More or fewer file descriptors than belong to the message.
    Descriptors {
        /// Which message.
        request: FrontendReq,
        /// How many came.
        count: usize,
        /// How many belong to it.
        expected: &'static str,
    },
    /// A field that no front-end may send.
    Field {
        /// Which message.
        request: FrontendReq,
        /// Which field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// What is allowed.
        allowed: &'static str,
    },
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => {
                write!(f, "a message of protocol version {version}: only version 1 is defined")
            }
            Self::Flags(flags) => {
                write!(f, "a message with flags {flags:#x}, of which some are undefined")
            }
            Self::Reply(request) => write!(f, "{request:?} came as a reply, nobody asked"),
            Self::Unknown(code) => write!(f, "message {code}, which is none of a network device's"),
            Self::Size { request, size, expected } => {
                write!(f, "{request:?} with a body of {size} bytes: expected {expected}")
            }
            Self::Descriptors { request, count, expected } => {
                write!(f, "{request:?} with {count} file descriptors: expected {expected}")
            }
            Self::Field { request, field, value, allowed } => {
                write!(f, "{request:?} with {field} {value:#x}: allowed {allowed}")
            }
        }
    }
}

impl std::error::Error for MessageError {}

/// Why a session ends.
#[derive(Debug)]
pub enum SessionError {
    /// A message that is wrong by itself.
    Message(MessageError),
    /// A message of a protocol feature that was not agreed on.
    NotAgreed {
        /// Which message.
        request: FrontendReq,
        /// Which protocol feature.
        feature: &'static str,
    },
    /// Features that were not offered.
    Features {
        /// Which message.
        request: FrontendReq,
        /// The bits too many.
        surplus: u64,
    },
    /// A vring that there is not.
    NoSuchVring {
        /// Which message.
        request: FrontendReq,
        /// As given.
        index: u32,
        /// How many there are.
        vrings: u16,
    },
    /// The message does not fit the state the device is in.
    OutOfOrder {
        /// Which message.
        request: FrontendReq,
        /// What is missing or in the way.
        why: &'static str,
    },
    /// A region of memory that cannot be had.
    Memory {
        /// Which message.
        request: FrontendReq,
        /// What is wrong with which region.
        why: String,
    },
    /// An address that lies in no region.
    Address {
        /// Which message.
        request: FrontendReq,
        /// Which part of the vring.
        part: &'static str,
        /// Where the front-end says it is.
        address: u64,
    },
    /// The device refuses a vring.
    Vring {
        /// Which message.
        request: FrontendReq,
        /// Which vring.
        index: u16,
        /// Why.
        error: QueueError,
    },
    /// The system refuses something.
    System {
        /// Which message.
        request: FrontendReq,
        /// What was tried.
        what: &'static str,
        /// What it says.
        error: std::io::Error,
    },
}

impl From<MessageError> for SessionError {
    fn from(error: MessageError) -> Self {
        Self::Message(error)
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(error) => error.fmt(f),
            Self::NotAgreed { request, feature } => {
                write!(f, "{request:?} without protocol feature {feature}: negotiate it first")
            }
            Self::Features { request, surplus } => {
                write!(f, "{request:?} with bits {surplus:#x}, which were not offered")
            }
            Self::NoSuchVring { request, index, vrings } => {
                write!(f, "{request:?} for vring {index}: there are 0 to {}", vrings - 1)
            }
            Self::OutOfOrder { request, why } => write!(f, "{request:?} out of order: {why}"),
            Self::Memory { request, why } => write!(f, "{request:?}: {why}"),
            Self::Address { request, part, address } => {
                write!(f, "{request:?}: the {part} at {address:#x} lies in no memory region")
            }
            Self::Vring { request, index, error } => {
                write!(f, "{request:?}: vring {index} is refused: {error}")
            }
            Self::System { request, what, error } => write!(f, "{request:?}: {what}: {error}"),
        }
    }
}

impl std::error::Error for SessionError {}

/// Why a connection ends.
#[derive(Debug)]
pub enum ConnectionError {
    /// What came is no message.
    Message(MessageError),
    /// A message that does not fit the session.
    Session(SessionError),
    /// The peer closed the connection in the middle of a message.
    Cut,
    /// More file descriptors than any message has.
    TooManyDescriptors,
    /// The system refuses.
    System(std::io::Error),
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(error) => error.fmt(f),
            Self::Session(error) => error.fmt(f),
            Self::Cut => write!(f, "the peer closed the connection in the middle of a message"),
            Self::TooManyDescriptors => {
                write!(f, "more file descriptors with a message than any has")
            }
            Self::System(error) => write!(f, "the socket fails: {error}"),
        }
    }
}

impl std::error::Error for ConnectionError {}

/// Why a front-end is asked nothing more over its channel.
#[derive(Debug)]
pub enum ChannelError {
    /// What came is no answer to IOTLB_MSG.
    NoAnswer {
        /// As what it came.
        code: u32,
        /// With these flags.
        flags: u32,
        /// Bytes of its body.
        size: u32,
    },
    /// An answer to nothing.
    Unasked,
    /// The system refuses.
    System(std::io::Error),
}

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer { code, flags, size } => write!(
                f,
                "message {code} with flags {flags:#x} and a body of {size} bytes on the back-end's channel: \
                 expected 1 (IOTLB_MSG), 0x5 (a reply) and 8"
            ),
            Self::Unasked => write!(f, "an answer on the back-end's channel to no question"),
            Self::System(error) => write!(f, "the back-end's channel fails: {error}"),
        }
    }
}

impl std::error::Error for ChannelError {}
