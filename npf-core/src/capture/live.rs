//! What a program does with an activated capture besides reading: filter, mode, sizes, statistics,
//! sending, closing.
//!
//! Contract: each fails with [`CaptureError::NotActivated`] before activation. Names are libpcap's and
//! WinPcap's, so that what is spelled `set_...` comes before activation and `set...` after it.

use super::{Capture, CaptureError, Dumper, Live, Platform, State, Waited};
use crate::filter::Filter;
use crate::{
    DEFAULT_READ_TIMEOUT_PS, Direction, DumpLimits, FilterReset, HandleCounters, Mode, Pacing,
    RecordFormat, Stats, Transmission, TransmitNext,
};

/// DLT_EN10MB.
const ETHERNET: u32 = 1;

/// The statistics of a capture (`struct pcap_stat`; there 32 bits wide).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CaptureStats {
    /// Packets received. Npcap since 1.76 counts those that passed the filter, all other designs count
    /// every packet shown; both count packets that were dropped later or not read yet. A new filter
    /// or buffer size begins anew.
    pub recv: u64,
    /// Packets dropped for want of room or memory.
    pub drop: u64,
    /// Packets dropped by interface or driver: 0, as in every driver that is modelled. It says nothing.
    pub ifdrop: u64,
    /// Packets put into the buffer; Windows only.
    pub capt: Option<u64>,
}

/// # Activated captures
///
/// Each fails with [`CaptureError::NotActivated`] before activation.
impl<P: Platform> Capture<P> {
    /// Statistics since activation, or since a control that begins them anew.
    ///
    /// # Errors
    ///
    /// Not activated; closed by the surroundings.
    #[doc(alias = "pcap_stats")]
    pub fn stats(&mut self) -> Result<CaptureStats, CaptureError> {
        let (platform, live, _) = self.parts()?;
        let Stats { received, accepted, dropped, .. } =
            platform.with(|_, adapter, _| adapter.stats(live.handle))?;
        let capt = (live.records == RecordFormat::Npf).then_some(accepted);
        Ok(CaptureStats { recv: received, drop: dropped, ifdrop: 0, capt })
    }

    /// Sets or removes the filter. With [`FilterReset::Yes`], as `pcap_setfilter` does, packets that
    /// the old one accepted are thrown away, in the kernel's buffer and in the user buffer. With
    /// [`FilterReset::No`], for which libpcap has no call, they stay.
    ///
    /// # Errors
    ///
    /// Not activated; closed by the surroundings.
    #[doc(alias = "pcap_setfilter")]
    pub fn setfilter(
        &mut self,
        filter: Option<Filter>,
        reset: FilterReset,
    ) -> Result<(), CaptureError> {
        let (platform, live, _) = self.parts()?;
        platform
            .with(|now, adapter, host| adapter.set_filter(now, live.handle, filter, reset, host))?;
        if reset == FilterReset::Yes {
            live.discard();
        }
        Ok(())
    }

    /// Sets which frames are captured: received ones, sent ones, or both.
    ///
    /// # Errors
    ///
    /// Not activated; closed by the surroundings.
    #[doc(alias = "pcap_setdirection")]
    pub fn setdirection(&mut self, direction: Direction) -> Result<(), CaptureError> {
        let (platform, live, _) = self.parts()?;
        Ok(platform
            .with(|now, adapter, host| adapter.set_direction(now, live.handle, direction, host))?)
    }

    /// Sets the size of the kernel's buffer, which another size than it has empties.
    ///
    /// # Errors
    ///
    /// Not activated; a size that is too large or that the design cannot change; adapter removed.
    #[doc(alias = "pcap_setbuff")]
    pub fn setbuff(&mut self, bytes: u64) -> Result<(), CaptureError> {
        let (platform, live, _) = self.parts()?;
        Ok(platform
            .with(|now, adapter, host| adapter.set_buffer_size(now, live.handle, bytes, host))?)
    }

    /// Sets the bytes that must be queued before a reader is woken. The designs of BSD ignore it.
    ///
    /// # Errors
    ///
    /// Not activated; closed by the surroundings.
    #[doc(alias = "pcap_setmintocopy")]
    pub fn setmintocopy(&mut self, bytes: u64) -> Result<(), CaptureError> {
        let (platform, live, _) = self.parts()?;
        Ok(platform
            .with(|now, adapter, host| adapter.set_min_to_copy(now, live.handle, bytes, host))?)
    }

    /// Sets the length of the buffer that one read fills; packets that are in it are thrown away.
    ///
    /// # Errors
    ///
    /// Not activated; more than 1 GiB; a design that fixes it.
    #[doc(alias = "pcap_setuserbuffer")]
    pub fn setuserbuffer(&mut self, bytes: usize) -> Result<(), CaptureError> {
        let live = self.live_mut()?;
        if live.records != RecordFormat::Npf {
            let length = live.length as u64;
            return Err(CaptureError::UserBufferIsFixed { length });
        }
        live.length = super::settings::check_user_buffer(bytes)?;
        live.discard();
        Ok(())
    }

    /// Sets what becomes of the frames that the filter accepts. In [`Mode::Statistics`] each packet is
    /// the counters of one time-out, 1 s unless it was set: 16 bytes, packets and bytes as two
    /// little-endian 64-bit numbers.
    ///
    /// # Errors
    ///
    /// Not activated; a dump limit without room for the file's header; adapter removed.
    #[doc(alias = "pcap_setmode")]
    pub fn setmode(&mut self, mode: Mode) -> Result<(), CaptureError> {
        let (platform, live, _) = self.parts()?;
        platform.set_mode(live.handle, mode)?;
        live.statistics = mode == Mode::Statistics;
        Ok(())
    }

    /// Has the packets written to a file by the capture driver itself, without a copy to the program;
    /// the surroundings say where the file is.
    ///
    /// # Errors
    ///
    /// As [`Capture::setmode`].
    #[doc(alias = "pcap_live_dump")]
    pub fn live_dump(&mut self, limits: DumpLimits) -> Result<(), CaptureError> {
        self.setmode(Mode::Dump(limits))
    }

    /// Whether that file is complete. With `wait`, time passes until it is, or until nothing will
    /// come any more.
    ///
    /// # Errors
    ///
    /// Not activated; told to break while waiting; not in dump mode.
    #[doc(alias = "pcap_live_dump_ended")]
    pub fn live_dump_ended(&mut self, wait: bool) -> Result<bool, CaptureError> {
        loop {
            let (platform, live, stop) = self.parts()?;
            let handle = live.handle;
            let ended = platform.with(|_, adapter, _| adapter.dump_ended(handle))?;
            if ended || !wait {
                return Ok(ended);
            }
            match platform.wait(handle, None) {
                Waited::Ended => {
                    return Ok(platform
                        .with(|now, adapter, host| adapter.dump(now, handle, 0, host))?
                        .ended);
                }
                Waited::Interrupted => {
                    stop.take();
                    return Err(CaptureError::Break);
                }
                Waited::Ready | Waited::TimedOut => {}
            }
        }
    }

    /// Sends a frame; gives its length.
    ///
    /// # Errors
    ///
    /// Not activated; a frame that is empty, too long or rejected by the write filter; adapter
    /// removed; surroundings that cannot send.
    #[doc(alias = "pcap_inject")]
    pub fn inject(&mut self, frame: &[u8]) -> Result<usize, CaptureError> {
        let (platform, live, _) = self.parts()?;
        platform.inject(live.handle, frame)?;
        Ok(frame.len())
    }

    /// Sends a frame.
    ///
    /// # Errors
    ///
    /// As [`Capture::inject`].
    #[doc(alias = "pcap_sendpacket")]
    pub fn sendpacket(&mut self, frame: &[u8]) -> Result<(), CaptureError> {
        self.inject(frame).map(|_| ())
    }

    /// Sends the frames of a [`SendQueue`](crate::SendQueue) in the given rhythm, which takes its time.
    /// Gives the bytes of the queue that were sent, headers included: less than all if the
    /// surroundings ended before.
    ///
    /// # Errors
    ///
    /// Not activated; bytes that are no queue, a frame that is refused or out of order; surroundings
    /// that cannot send. What came before it was sent.
    #[doc(alias = "pcap_sendqueue_transmit")]
    pub fn sendqueue_transmit(
        &mut self,
        queue: &[u8],
        pacing: Pacing,
    ) -> Result<usize, CaptureError> {
        let (platform, live, _) = self.parts()?;
        let mut transmission = Transmission::new(pacing);
        loop {
            let step = platform.transmit(live.handle, queue, &mut transmission)?;
            let until = match step.next {
                TransmitNext::Wait { until, .. } => until,
                TransmitNext::Returned { resume_at } => resume_at,
                TransmitNext::Done => break,
            };
            if platform.sleep(live.handle, until) != Waited::TimedOut {
                break;
            }
        }
        Ok(transmission.consumed())
    }

    /// The type of link-layer headers: 1, Ethernet.
    ///
    /// # Errors
    ///
    /// Not activated.
    #[doc(alias = "pcap_datalink")]
    pub fn datalink(&self) -> Result<u32, CaptureError> {
        self.live().map(|_| ETHERNET)
    }

    /// The snap length.
    ///
    /// # Errors
    ///
    /// Not activated.
    #[doc(alias = "pcap_snapshot")]
    pub fn snapshot(&self) -> Result<u32, CaptureError> {
        self.live().map(|live| live.snaplen)
    }

    /// Begins a savefile for packets of this capture.
    ///
    /// # Errors
    ///
    /// What `out` says; not activated, as an error of another kind.
    #[doc(alias = "pcap_dump_open")]
    pub fn dump_open<W: std::io::Write>(&self, out: W) -> std::io::Result<Dumper<W>> {
        let snaplen = self.snapshot().map_err(std::io::Error::other)?;
        Dumper::new(out, snaplen)
    }

    /// The adapter's number of this capture.
    ///
    /// # Errors
    ///
    /// Not activated.
    pub fn handle(&self) -> Result<u32, CaptureError> {
        self.live().map(|live| live.handle)
    }

    /// Closes the capture: packets that are queued are lost, and the account says so. Gives that
    /// account, of zeros if the capture was never activated. A capture that is dropped instead stays
    /// open, as in C.
    ///
    /// # Errors
    ///
    /// Closed by the surroundings before.
    #[doc(alias = "pcap_close")]
    pub fn close(mut self) -> Result<HandleCounters, CaptureError> {
        match self.state {
            State::Created(_) => Ok(HandleCounters::default()),
            State::Activated(live) => Ok(self.platform.close(live.handle)?),
        }
    }
}

impl Live {
    /// The time-out, which statistics mode has in any case.
    pub(super) fn timeout(&self) -> u64 {
        match self.timeout_ps {
            0 if self.statistics => DEFAULT_READ_TIMEOUT_PS,
            timeout => timeout,
        }
    }
}
