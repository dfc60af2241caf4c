//! The reading side of shared buffers, as libpcap does it (libpcap `pcap-bpf.c`).
//!
//! ```text
//!   poll: acknowledge what the last poll took -> look -> nothing? wait
//!   poll, after the wake-up or the time-out:     look -> rotate call -> look
//! ```
//!
//! Contract: a reader works in one process and knows only what that process sees. It takes the two
//! buffers in strict alternation, beginning with the first, and acknowledges a buffer at the next poll,
//! so that its packets stay readable in between. It follows what stands in its view no further than
//! the buffer reaches.

use crate::engine::{KERNEL_GEN, KERNEL_LEN, USER_GEN, word};
use crate::{Adapter, Host, Taken, ViewError, ZBUF_HEADER};

/// One reader of one handle, in one process.
#[derive(Debug, Clone)]
pub struct ZeroCopyReader {
    handle: u32,
    process: u32,
    /// The buffer that is to come next.
    next: usize,
    /// The buffer taken by the last poll.
    taken: Option<usize>,
    waiting: bool,
    /// What it sees of the records, for a buffer's length.
    seen: Vec<u8>,
    /// How much of that the last look filled.
    len: usize,
}

impl ZeroCopyReader {
    /// The reader of a handle in the process that opened it.
    ///
    /// # Errors
    ///
    /// No such handle; one that shares no buffers.
    pub fn new(adapter: &mut Adapter, handle: u32) -> Result<Self, ViewError> {
        let seen = vec![0; adapter.zbuf_size(handle)? - ZBUF_HEADER];
        Ok(ZeroCopyReader {
            handle,
            process: 0,
            next: 0,
            taken: None,
            waiting: false,
            seen,
            len: 0,
        })
    }

    /// What this reader has become in a child that was forked just now: the same state, another
    /// process.
    pub fn in_child(&self, child: u32) -> Self {
        ZeroCopyReader { process: child, ..self.clone() }
    }

    /// The process that it works in.
    pub fn process(&self) -> u32 {
        self.process
    }

    /// The records that the last poll which took something saw; they are this process's until the
    /// next poll.
    pub fn seen(&self) -> &[u8] {
        &self.seen[..self.len]
    }

    /// The reader comes: takes what the next buffer holds, if it is the user's in this process's view.
    /// [`Taken::waits`]: it is not; call again at the wake-up or the time-out, or at once if
    /// [`Adapter::ready`]. The call after a wait asks for a rotation if there is nothing yet, and then
    /// takes what there is, also nothing.
    ///
    /// # Errors
    ///
    /// Handle closed meanwhile; no such process; adapter removed and nothing to take after a wait.
    pub fn poll<H: Host>(
        &mut self,
        now: u64,
        adapter: &mut Adapter,
        host: &mut H,
    ) -> Result<Taken, ViewError> {
        adapter.reader_comes(self.handle)?;
        self.acknowledge(adapter)?;
        if let Some(taken) = self.look(now, adapter, host)? {
            self.waiting = false;
            return Ok(taken);
        }
        if !self.waiting {
            self.waiting = true;
            return Ok(Taken { waits: true, ..Taken::default() });
        }
        self.waiting = false;
        adapter.rotate(self.handle)?;
        let taken = match self.look(now, adapter, host)? {
            Some(taken) => taken,
            None => {
                adapter.reader_timed_out(now, self.handle, host)?;
                Taken::default()
            }
        };
        Ok(Taken { rotated: true, ..taken })
    }

    /// Gives the buffer taken last back, as [`ZeroCopyReader::poll`] does first: the user's generation
    /// becomes what the kernel's is here.
    ///
    /// # Errors
    ///
    /// Handle closed meanwhile; no such process.
    pub fn acknowledge(&mut self, adapter: &mut Adapter) -> Result<(), ViewError> {
        if let Some(buffer) = self.taken.take() {
            let mut generation = [0; 4];
            adapter.user_read(self.handle, self.process, buffer, KERNEL_GEN, &mut generation)?;
            adapter.user_write(self.handle, self.process, buffer, USER_GEN, &generation)?;
        }
        Ok(())
    }

    /// Takes the next buffer if it is the user's.
    fn look<H: Host>(
        &mut self,
        now: u64,
        adapter: &mut Adapter,
        host: &mut H,
    ) -> Result<Option<Taken>, ViewError> {
        let Self { handle, process, next: buffer, .. } = *self;
        let mut header = [0; ZBUF_HEADER];
        adapter.user_read(handle, process, buffer, 0, &mut header)?;
        let generation = word(&header, KERNEL_GEN);
        if generation == word(&header, USER_GEN) {
            return Ok(None);
        }
        let claimed = word(&header, KERNEL_LEN) as usize;
        let len = claimed.min(self.seen.len());
        let seen = &mut self.seen[..len];
        adapter.user_read(handle, process, buffer, ZBUF_HEADER, seen)?;
        let mut taken = adapter.reader_saw(now, handle, buffer, generation, seen, host)?;
        taken.malformed |= claimed > len;
        self.len = len;
        self.taken = Some(buffer);
        self.next = 1 - buffer;
        Ok(Some(taken))
    }
}
