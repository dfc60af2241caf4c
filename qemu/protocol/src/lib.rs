//! What host and guest share: the messages they exchange, how those become bytes ([`frame`]), and the [`data`]
//! of streams that both ends check.
//!
//! The guest's side of it is the program `rxlab-agent`, which is built apart, static and for the guest; the
//! host's side is the crate `qemu`.
#![forbid(unsafe_code)]

mod blob;
pub mod data;
pub mod frame;
mod live;
pub mod lockstep;
mod message;

pub use blob::{BLOB_MAX, Blob};
pub use live::{
    CORE_SOCKET, Disturb, Driver, HandleAccount, LiveAccount, QueueAccount, RING_SOCKET,
    SocketAccount, Sockets, Start, Started,
};
pub use message::*;
