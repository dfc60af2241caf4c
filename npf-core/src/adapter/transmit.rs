//! Send queues: many frames with one call, as fast as possible or in the rhythm of their times.
//!
//! Contract: a [`Transmission`] is what the user-level loop and the driver together do with one queue
//! (nmap/npcap `Write.c`, `packetWin7/Dll/Packet32.cpp`): the driver paces against the first frame of
//! each call, and returns early when the next frame is more than a second away from it; the loop waits
//! and calls again with the rest. Frames before one that is refused are sent. Each frame is sent once,
//! whatever the handle's write repeat. The queue is any bytes: nothing in it is believed.
//!
//! Not checked: that every step gets the same queue; another one is read from where the last ended.

use super::Adapter;
use crate::record::{PS_PER_SEC, PS_PER_USEC};
use crate::send_queue::{self, Queued, SEND_HEADER};
use crate::{
    Host, InjectError, Injected, Pacing, TransmitError, TransmitFault, TransmitNext, Transmitted,
};

/// Npcap 1.70: a frame that is at most so much earlier than one before it is sent at once, in
/// microseconds.
const DISORDER_MAX: i64 = 1000;
/// Npcap 1.70: the call returns if the next frame is later than the first one by more, in microseconds.
const AHEAD_MAX: i64 = 1_000_000;
/// Npcap 1.70: a shorter gap is waited for by spinning, in picoseconds.
const SLEEP_MIN_PS: u64 = 50 * PS_PER_USEC;

/// How far the sending of one queue has come.
#[derive(Debug, Clone, Copy)]
pub struct Transmission {
    pacing: Pacing,
    /// Bytes of the queue that are done.
    consumed: usize,
    /// When the first call began, and with a frame of which time.
    first: Option<Anchor>,
    /// The same of the call in progress.
    call: Option<Anchor>,
    /// The latest time so far of a frame in this call, in microseconds after the first one.
    latest: i64,
}

#[derive(Debug, Clone, Copy)]
struct Anchor {
    now: u64,
    sec: u32,
    micros: i64,
}

impl Anchor {
    /// When a frame of that time is due; `None` beyond the end of the clock.
    fn due(&self, micros: i64) -> Option<u64> {
        let after = u64::try_from(micros - self.micros).unwrap_or(0);
        self.now.checked_add(after.checked_mul(PS_PER_USEC)?)
    }
}

/// What is to be done about the next frame.
enum Turn {
    Send,
    Stop(TransmitNext),
}

impl Transmission {
    /// Nothing is sent yet.
    pub fn new(pacing: Pacing) -> Self {
        Transmission { pacing, consumed: 0, first: None, call: None, latest: 0 }
    }

    /// Bytes of the queue that have been sent, headers included; what `pcap_sendqueue_transmit` gives.
    pub fn consumed(&self) -> usize {
        self.consumed
    }

    /// Whether the frame is sent now.
    fn turn(&mut self, now: u64, next: &Queued<'_>) -> Result<Turn, TransmitFault> {
        if self.pacing == Pacing::None {
            return Ok(Turn::Send);
        }
        let Queued { sec, micros, .. } = *next;
        let anchor = Anchor { now, sec, micros };
        let call = *self.call.get_or_insert_with(|| {
            self.latest = 0;
            anchor
        });
        let first = *self.first.get_or_insert(anchor);
        let after = micros - call.micros;
        let ahead = if self.pacing == Pacing::Npcap1_70 {
            if after < self.latest {
                let early = self.latest - after;
                let in_order = early <= DISORDER_MAX;
                return if in_order {
                    Ok(Turn::Send)
                } else {
                    Err(TransmitFault::OutOfOrder { early })
                };
            }
            self.latest = after;
            after > AHEAD_MAX
        } else {
            // Only the seconds are compared.
            i64::from(sec) - i64::from(call.sec) > 1
        };
        if ahead {
            let resume_at = first.due(micros).ok_or(TransmitFault::TooLate)?;
            self.call = None;
            return Ok(Turn::Stop(TransmitNext::Returned { resume_at }));
        }
        let until = call.due(micros).ok_or(TransmitFault::TooLate)?;
        if until <= now {
            return Ok(Turn::Send);
        }
        let spins = self.pacing == Pacing::WinPcap || until - now < SLEEP_MIN_PS;
        Ok(Turn::Stop(TransmitNext::Wait { until, spins }))
    }
}

impl Adapter {
    /// Goes on with sending a queue, of a [`SendQueue`](crate::SendQueue) or of anybody's making, as
    /// far as its times allow now.
    ///
    /// # Errors
    ///
    /// What stopped it and where; frames before that are sent and stay so. [`Transmitted`] is lost
    /// then, [`Transmission::consumed`] tells how far it came. Called again, it meets the same frame.
    pub fn transmit<H: Host>(
        &mut self,
        now: u64,
        cpu: u16,
        handle: u32,
        queue: &[u8],
        transmission: &mut Transmission,
        host: &mut H,
    ) -> Result<Transmitted, TransmitError> {
        let mut injected = Injected::default();
        let fault = loop {
            match self.next_queued(now, cpu, handle, queue, transmission, &mut injected, host) {
                Ok(None) => {}
                Ok(Some(next)) => return Ok(Transmitted { next, injected }),
                Err(fault) => break fault,
            }
        };
        Err(TransmitError { at: transmission.consumed, fault })
    }

    /// One frame; what comes next, if that is not another one at once.
    #[allow(clippy::too_many_arguments)] // one step of a loop with all its state
    fn next_queued<H: Host>(
        &mut self,
        now: u64,
        cpu: u16,
        handle: u32,
        queue: &[u8],
        transmission: &mut Transmission,
        injected: &mut Injected,
        host: &mut H,
    ) -> Result<Option<TransmitNext>, TransmitFault> {
        let at = self.writer(handle)?;
        let rest = queue.get(transmission.consumed..).unwrap_or_default();
        let Some(next) = send_queue::parse(rest)? else { return Ok(Some(TransmitNext::Done)) };
        // Who waits has been checked by then, as in the source.
        let len = next.frame.len();
        if len == 0 {
            return Err(InjectError::Empty.into());
        }
        if len > self.max_frame as usize {
            return Err(InjectError::TooLong { len, limit: self.max_frame }.into());
        }
        match transmission.turn(now, &next)? {
            Turn::Stop(next) => return Ok(Some(next)),
            Turn::Send => {}
        }
        injected.work.instructions += self.may_write(at, next.frame)?;
        self.send(now, cpu, at, next.frame, injected, host);
        transmission.consumed += SEND_HEADER + len;
        Ok(None)
    }
}

const _: () = assert!(AHEAD_MAX as u64 * PS_PER_USEC == PS_PER_SEC);
