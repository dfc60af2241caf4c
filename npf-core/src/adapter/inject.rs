//! Injection: a handle writes a frame, which the handles see on its way out, and which is sent as often
//! as asked for.
//!
//! Contract, per copy: the host names it ([`Host::transmit`]), every handle is shown it as a sent frame
//! of queue 0, the host is told that all have ([`Host::tapped`]) and puts it on the wire (nmap/npcap
//! `Write.c`: "receive the packets before sending them"). With feedback it is then shown once more, as
//! a received one and under a name of its own (BIOCFEEDBACK, FreeBSD sys/net/bpf.c).
//!
//! Not checked: what is in a frame.

use super::Adapter;
use super::tap::Source;
use crate::filter::Program;
use crate::{ControlError, Event, Frame, Host, InjectError, Injected};

/// Largest frame that an Ethernet adapter of MTU 1500 sends, without FCS.
pub const DEFAULT_MAX_FRAME: u32 = 1514;
/// Most copies of a written frame. The sources have no limit but 32 bits; a call here must end.
pub const MAX_WRITE_REPEAT: u32 = 1_000_000;

/// Destination, source, type.
const ETHERNET_HEADER: u32 = 14;

impl Adapter {
    /// Sends a frame as often as [`Adapter::set_write_repeat`] says.
    ///
    /// # Errors
    ///
    /// No such handle; adapter removed; an empty frame, or one longer than the adapter sends; a frame
    /// that the write filter rejects. With a repeat of 0 none of the last three is noticed, as nothing
    /// is sent (nmap/npcap `Write.c`). Nothing is sent and nobody has seen anything.
    pub fn inject<H: Host>(
        &mut self,
        now: u64,
        cpu: u16,
        handle: u32,
        frame: &[u8],
        host: &mut H,
    ) -> Result<Injected, InjectError> {
        let at = self.writer(handle)?;
        let copies = self.handles[at].write_repeat;
        let mut injected = Injected::default();
        if copies > 0 {
            injected.work.instructions = self.may_write(at, frame)?;
        }
        while injected.copies < copies {
            self.send(now, cpu, at, frame, &mut injected, host);
        }
        Ok(injected)
    }

    /// Sets how often each written frame is sent (BIOCSWRITEREP); 1 when the handle is opened. With 0
    /// a write succeeds and sends nothing. Flushes nothing.
    ///
    /// # Errors
    ///
    /// No such handle; more than [`MAX_WRITE_REPEAT`].
    pub fn set_write_repeat<H: Host>(
        &mut self,
        now: u64,
        handle: u32,
        times: u32,
        host: &mut H,
    ) -> Result<(), ControlError> {
        let (open, _) = self.get_mut(handle)?;
        if times > MAX_WRITE_REPEAT {
            return Err(ControlError::TooManyRepeats { asked: times, limit: MAX_WRITE_REPEAT });
        }
        open.write_repeat = times;
        host.event(now, Event::WriteRepeatSet { handle, times });
        Ok(())
    }

    /// Sets or removes the filter on what the handle writes (BIOCSETWF of FreeBSD): a frame that it
    /// rejects is refused. Flushes nothing.
    ///
    /// # Errors
    ///
    /// No such handle.
    pub fn set_write_filter<H: Host>(
        &mut self,
        now: u64,
        handle: u32,
        filter: Option<Program>,
        host: &mut H,
    ) -> Result<(), ControlError> {
        let (open, _) = self.get_mut(handle)?;
        let instructions = filter.as_ref().map_or(0, |program| program.len() as u64);
        open.write_filter = filter;
        host.event(now, Event::WriteFilterSet { handle, instructions });
        Ok(())
    }

    /// Sets whether frames that the handle sends come back as received ones (BIOCFEEDBACK of FreeBSD).
    /// Flushes nothing.
    ///
    /// # Errors
    ///
    /// No such handle.
    pub fn set_feedback<H: Host>(
        &mut self,
        now: u64,
        handle: u32,
        on: bool,
        host: &mut H,
    ) -> Result<(), ControlError> {
        let (open, _) = self.get_mut(handle)?;
        open.feedback = on;
        host.event(now, Event::FeedbackSet { handle, on });
        Ok(())
    }

    /// Sets the longest frame that the adapter sends, in bytes without FCS; [`DEFAULT_MAX_FRAME`]
    /// when it is made.
    ///
    /// # Errors
    ///
    /// Less than an Ethernet header.
    pub fn set_max_frame(&mut self, bytes: u32) -> Result<(), ControlError> {
        if bytes < ETHERNET_HEADER {
            let (asked, least) = (bytes, ETHERNET_HEADER);
            return Err(ControlError::MaxFrameTooSmall { asked, least });
        }
        self.max_frame = bytes;
        Ok(())
    }

    /// Where the handle is that wants to write.
    pub(super) fn writer(&self, handle: u32) -> Result<usize, InjectError> {
        let at = self.find(handle).ok_or(InjectError::NoSuchHandle { handle })?;
        if self.handles[at].detached { Err(InjectError::DeviceRemoved) } else { Ok(at) }
    }

    /// Whether the handle at `at` may send the frame; the filter instructions that took.
    pub(super) fn may_write(&mut self, at: usize, frame: &[u8]) -> Result<u64, InjectError> {
        let (len, limit) = (frame.len(), self.max_frame);
        if len == 0 {
            return Err(InjectError::Empty);
        }
        if len > limit as usize {
            return Err(InjectError::TooLong { len, limit });
        }
        let open = &mut self.handles[at];
        let Some(program) = &open.write_filter else { return Ok(0) };
        // `limit` has 32 bits.
        let verdict = program.run(frame, len as u32);
        let instructions = verdict.executed.into();
        open.account.counters.instructions += instructions;
        if verdict.accept == 0 { Err(InjectError::Filtered) } else { Ok(instructions) }
    }

    /// Sends one copy of a frame that may be written.
    pub(super) fn send<H: Host>(
        &mut self,
        now: u64,
        cpu: u16,
        at: usize,
        frame: &[u8],
        injected: &mut Injected,
        host: &mut H,
    ) {
        let (handle, len) = (self.handles[at].id, frame.len() as u32);
        let copied = injected.work.bytes_copied;
        let sent = Source { now, cpu, queue: 0, sender: Some(handle) };
        let tag = host.transmit(now, handle, frame);
        self.show(sent, &Frame { data: frame, wire_len: len, tag }, None, &mut injected.work, host);
        self.handles[at].account.counters.sent += 1;
        self.counters.sent += 1;
        injected.copies += 1;
        host.event(now, Event::Sent { tag, handle, len });
        host.tapped(now, tag);
        if self.handles[at].feedback {
            let received = Source { sender: None, ..sent };
            let tag = host.fed_back(now, handle, frame);
            self.show(
                received,
                &Frame { data: frame, wire_len: len, tag },
                None,
                &mut injected.work,
                host,
            );
            host.tapped(now, tag);
        }
        self.counters.bytes_copied += injected.work.bytes_copied - copied;
    }
}
