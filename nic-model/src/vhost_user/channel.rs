//! Messages the other way: what the device asks of its front-end.

use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use vhost::vhost_user::message::BackendReq;
use vm_memory::Permissions;

use super::connection;
use super::iotlb::Misses;
use super::request::Iotlb;

/// The connection that came with SET_BACKEND_REQ_FD.
#[derive(Debug)]
pub struct Channel {
    stream: Mutex<UnixStream>,
}

impl Channel {
    /// Of the front-end's stream.
    #[must_use]
    pub fn new(stream: UnixStream) -> Self {
        Self { stream: Mutex::new(stream) }
    }
}

impl Misses for Channel {
    fn miss(&self, iova: u64, size: u64, access: Permissions) {
        const MISS: u8 = 1;
        let perm = match access {
            Permissions::Read => 1,
            Permissions::Write => 2,
            _ => 3,
        };
        let body = Iotlb { iova, size, user: 0, perm, kind: MISS }.bytes();
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        // If it cannot be asked, no answer comes, and whoever waits gives up.
        let _ = connection::send(&stream, BackendReq::IOTLB_MSG.into(), 1, &body, &[]);
    }
}
