//! Reading packets: one by one, by bufferful, in a loop.
//!
//! Contract: one read of the kernel's buffer fills the user buffer, and no other is made before its
//! packets are processed. The break flag is looked at before each packet and before each read: if the
//! call at hand has processed no packet it clears the flag and fails with [`CaptureError::Break`],
//! otherwise it gives its count and leaves the flag for the next call (`pcap_breakloop`).

use super::{BreakHandle, Capture, CaptureError, Live, Platform, Waited};
use crate::{Marker, Record, RecordFormat, Records, STATISTICS_RECORD, Taken};

/// One packet: the header's fields and its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Seconds of its timestamp.
    pub sec: u64,
    /// Microseconds of its timestamp.
    pub usec: u32,
    /// Bytes of the frame that were captured.
    pub caplen: u32,
    /// Bytes of the frame on the wire.
    pub len: u32,
    /// Those `caplen` bytes.
    pub data: &'a [u8],
}

impl<'a> Packet<'a> {
    fn new(record: &Record<'a>) -> Self {
        let Record { sec, usec, len, data } = *record;
        // Records say lengths in 32 bits, and microseconds are fewer.
        Packet { sec, usec: usec as u32, caplen: data.len() as u32, len, data }
    }

    /// The marker that it is instead of a packet, if the capture was told to have them.
    pub fn marker(&self) -> Option<Marker> {
        Marker::parse(self.len, self.data)
    }
}

/// What [`Capture::next_ex`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next<'a> {
    /// A packet.
    Packet(Packet<'a>),
    /// None, until the time-out; or none at the moment, if the capture does not block.
    Timeout,
    /// No packet will come any more, as at the end of a savefile.
    Ended,
}

impl Next<'_> {
    /// What `pcap_next_ex` returns.
    pub const fn code(&self) -> i32 {
        match self {
            Next::Packet(_) => 1,
            Next::Timeout => 0,
            Next::Ended => -2,
        }
    }
}

/// # Reading
///
/// Each fails with [`CaptureError::NotActivated`] before activation.
impl<P: Platform> Capture<P> {
    /// Gives the next packet, waiting for it as long as the time-out allows.
    ///
    /// # Errors
    ///
    /// Not activated; told to break; a read refused, as when the adapter is removed.
    #[doc(alias = "pcap_next_ex")]
    pub fn next_ex(&mut self) -> Result<Next<'_>, CaptureError> {
        let (platform, live, stop) = self.parts()?;
        if live.is_empty() {
            if stop.take() {
                return Err(CaptureError::Break);
            }
            live.refill(platform, stop)?;
        }
        if stop.take() {
            return Err(CaptureError::Break);
        }
        let nothing = if live.ended { Next::Ended } else { Next::Timeout };
        Ok(live.take()?.map_or(nothing, Next::Packet))
    }

    /// Gives up to `count` packets of one bufferful to `each`, or all of it if `count` is 0 or less; how
    /// many these were. 0 if none came until the time-out; [`Capture::ended`] tells whether one ever
    /// will.
    ///
    /// # Errors
    ///
    /// Not activated; told to break before the first packet; a read refused.
    #[doc(alias = "pcap_dispatch")]
    pub fn dispatch(
        &mut self,
        count: i32,
        mut each: impl FnMut(Packet<'_>),
    ) -> Result<u32, CaptureError> {
        let most = u32::try_from(count).ok().filter(|count| *count > 0).unwrap_or(u32::MAX);
        let (platform, live, stop) = self.parts()?;
        if live.is_empty() {
            if stop.take() {
                return Err(CaptureError::Break);
            }
            live.refill(platform, stop)?;
        }
        let mut processed = 0;
        while processed < most {
            if stop.is_set() {
                if processed > 0 {
                    break;
                }
                stop.take();
                return Err(CaptureError::Break);
            }
            let Some(packet) = live.take()? else { break };
            each(packet);
            processed += 1;
        }
        Ok(processed)
    }

    /// Gives packets to `each` until there were `count`, without end if `count` is 0 or less. Time-outs
    /// do not end it; the end of the traffic does.
    ///
    /// # Errors
    ///
    /// Not activated; told to break, whether or not packets were processed before (libpcap `pcap.c`:
    /// the flag is met by the read after them); the capture does not block; a read refused.
    #[doc(alias = "pcap_loop")]
    pub fn loop_(
        &mut self,
        count: i32,
        mut each: impl FnMut(Packet<'_>),
    ) -> Result<(), CaptureError> {
        if self.live()?.nonblocking {
            return Err(CaptureError::WouldSpin);
        }
        let mut left = count;
        loop {
            let processed = self.dispatch(left, &mut each)?;
            if processed == 0 && self.ended() {
                return Ok(());
            }
            if count > 0 {
                // `dispatch` gives no more than was asked for.
                left -= processed as i32;
                if left <= 0 {
                    return Ok(());
                }
            }
        }
    }

    /// Lets time pass until there is something to process, for `timeout_ps` at most: what select(2) on
    /// the capture's descriptor is to a program of libpcap, but that packets which are in the user
    /// buffer already count too.
    ///
    /// # Errors
    ///
    /// Not activated.
    #[doc(alias = "pcap_get_selectable_fd")]
    pub fn select(&mut self, timeout_ps: Option<u64>) -> Result<Waited, CaptureError> {
        let (platform, live, _) = self.parts()?;
        if !live.is_empty() {
            return Ok(Waited::Ready);
        }
        Ok(platform.wait(live.handle, timeout_ps))
    }

    /// Sets whether reading calls return at once when there is no packet.
    ///
    /// # Errors
    ///
    /// Not activated.
    #[doc(alias = "pcap_setnonblock")]
    pub fn setnonblock(&mut self, on: bool) -> Result<(), CaptureError> {
        self.live_mut()?.nonblocking = on;
        Ok(())
    }

    /// Whether they do.
    ///
    /// # Errors
    ///
    /// Not activated.
    #[doc(alias = "pcap_getnonblock")]
    pub fn getnonblock(&self) -> Result<bool, CaptureError> {
        Ok(self.live()?.nonblocking)
    }

    /// Whether the last wait found that no packet will come any more.
    pub fn ended(&self) -> bool {
        self.live().is_ok_and(|live| live.ended)
    }

    /// Tells the reading call in progress, or else the next one, to end.
    #[doc(alias = "pcap_breakloop")]
    pub fn break_loop(&self) {
        self.stop.break_loop();
    }

    /// The same for whoever has no hold of the capture.
    pub fn break_handle(&self) -> BreakHandle {
        self.stop.clone()
    }
}

impl Live {
    /// Whether every packet of the user buffer was processed.
    fn is_empty(&self) -> bool {
        self.at >= self.end
    }

    /// Throws away what is in the user buffer.
    pub(super) fn discard(&mut self) {
        self.at = self.end;
    }

    /// Waits, unless that is not wanted, and reads once, which may give nothing.
    fn refill<P: Platform>(
        &mut self,
        platform: &mut P,
        stop: &BreakHandle,
    ) -> Result<(), CaptureError> {
        self.begin();
        let handle = self.handle;
        if self.shared.is_none() || self.statistics {
            if self.wait(platform, stop)? {
                let read = platform.read(handle, &mut self.buffer)?;
                self.show(read.bytes, false);
            }
            return Ok(());
        }
        // The first look gives the last buffer back; there is nothing to wait for if the next one is
        // there. The second look, after the wait, asks for a rotation.
        let mut taken = Taken { waits: true, ..Taken::default() };
        if !self.looked {
            taken = self.look(platform)?;
        }
        self.looked = taken.waits;
        if self.looked {
            if !self.wait(platform, stop)? {
                return Ok(());
            }
            self.looked = false;
            taken = self.look(platform)?;
        }
        // What is no record is met when the program comes to it.
        let seen = self.shared.as_ref().map_or(0, |reader| reader.seen().len());
        self.show(if taken.malformed { seen } else { taken.bytes }, true);
        Ok(())
    }

    fn look<P: Platform>(&mut self, platform: &mut P) -> Result<Taken, CaptureError> {
        match &mut self.shared {
            Some(reader) => Ok(platform.poll(self.handle, reader)?),
            None => Ok(Taken::default()),
        }
    }

    /// Waits if the capture blocks; whether it makes sense to read then.
    fn wait<P: Platform>(
        &mut self,
        platform: &mut P,
        stop: &BreakHandle,
    ) -> Result<bool, CaptureError> {
        if self.nonblocking {
            return Ok(true);
        }
        let timeout = (self.timeout() > 0).then(|| self.timeout());
        match platform.wait(self.handle, timeout) {
            Waited::Ready | Waited::TimedOut => Ok(true),
            Waited::Ended => {
                self.ended = true;
                Ok(false)
            }
            Waited::Interrupted => {
                stop.take();
                Err(CaptureError::Break)
            }
        }
    }

    /// Nothing is read yet, and the user buffer has the length that the mode wants.
    fn begin(&mut self) {
        (self.at, self.end, self.ended) = (0, 0, false);
        let length = match self.shared {
            Some(_) if self.statistics => STATISTICS_RECORD,
            _ => self.length,
        };
        self.buffer.resize(length, 0);
    }

    /// So many bytes of records were read.
    fn show(&mut self, bytes: usize, shared: bool) {
        self.at = 0;
        self.end = bytes;
        self.in_shared = shared;
        self.format = if self.statistics { RecordFormat::Npf } else { self.records };
    }

    /// Steps over the next record.
    fn take(&mut self) -> Result<Option<Packet<'_>>, CaptureError> {
        let bytes = match &self.shared {
            Some(reader) if self.in_shared => reader.seen(),
            _ => &self.buffer,
        };
        let mut records = Records::new(self.format, &bytes[self.at..self.end]);
        let record = records.next();
        self.at += records.position();
        match record {
            Some(Ok(record)) => Ok(Some(Packet::new(&record))),
            Some(Err(_)) => Err(CaptureError::Malformed),
            None => Ok(None),
        }
    }
}
