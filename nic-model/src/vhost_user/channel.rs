//! Messages the other way: what the device asks of its front-end, and the answers.
//!
//! Contract: a front-end with which REPLY_ACK is agreed answers every question, in their order, after it has
//! sent the translation if there is one (vhost-user: "Back-end message types", BACKEND_IOTLB_MSG). One that
//! answers what it was not asked, or what is no answer, is asked nothing more.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vhost::vhost_user::message::{BackendReq, VhostUserHeaderFlag};
use vm_memory::Permissions;

use super::connection;
use super::error::ChannelError;
use super::iotlb::{Asked, Miss, Misses, Translations};
use super::request::{HEADER_LEN, Iotlb};

/// The connection that came with SET_BACKEND_REQ_FD.
#[derive(Debug)]
pub struct Channel {
    stream: UnixStream,
    /// Questions whose answers have not come, the eldest first.
    owed: Mutex<VecDeque<u64>>,
    answers: bool,
}

impl Channel {
    /// Of the front-end's stream. With `answers` somebody must [`listen`](Self::listen).
    ///
    /// # Errors
    /// The stream cannot be given a limit for writing.
    pub fn new(stream: UnixStream, answers: bool) -> io::Result<Self> {
        stream.set_write_timeout(Some(connection::PATIENCE))?;
        Ok(Self { stream, owed: Mutex::default(), answers })
    }

    /// Passes on answers until either side ends the connection; what is unanswered then stays so.
    ///
    /// # Errors
    /// The front-end sends something else. Nobody asks it any more.
    pub fn listen(&self, translations: &Translations) -> Result<(), ChannelError> {
        let result = self.pass_on(translations);
        self.end();
        for number in std::mem::take(&mut *self.owed()) {
            translations.answer(number, false);
        }
        result
    }

    fn pass_on(&self, translations: &Translations) -> Result<(), ChannelError> {
        const LEN: usize = HEADER_LEN + 8;
        let mut bytes = [0; LEN];
        loop {
            match (&self.stream).read_exact(&mut bytes) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(ChannelError::System(error)),
            }
            let there_is = parse(&bytes)?;
            let number = self.owed().pop_front().ok_or(ChannelError::Unasked)?;
            translations.answer(number, there_is);
        }
    }

    fn owed(&self) -> MutexGuard<'_, VecDeque<u64>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the answer is that it was done.
fn parse(bytes: &[u8; HEADER_LEN + 8]) -> Result<bool, ChannelError> {
    let word =
        |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let [code, flags, size] = [word(0), word(4), word(8)];
    let expected = (BackendReq::IOTLB_MSG.into(), 1 | VhostUserHeaderFlag::REPLY.bits(), 8);
    if (code, flags, size) != expected {
        return Err(ChannelError::NoAnswer { code, flags, size });
    }
    Ok(word(12) == 0 && word(16) == 0)
}

impl Misses for Channel {
    fn miss(&self, miss: Miss) -> Asked {
        const MISS: u8 = 1;
        let perm = match miss.access {
            Permissions::Read => 1,
            Permissions::Write => 2,
            _ => 3,
        };
        let body = Iotlb { iova: miss.iova, size: miss.size, user: 0, perm, kind: MISS }.bytes();
        let mut flags = 1;
        if self.answers {
            flags |= VhostUserHeaderFlag::NEED_REPLY.bits();
            self.owed().push_back(miss.number);
        }
        match connection::send(&self.stream, BackendReq::IOTLB_MSG.into(), flags, &body, &[]) {
            Ok(()) if self.answers => Asked::Answered,
            Ok(()) => Asked::Unanswered,
            Err(_) => {
                // A part of it may have gone: what comes next would be misunderstood.
                self.end();
                Asked::Not
            }
        }
    }

    fn end(&self) {
        // It may have been at an end already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
