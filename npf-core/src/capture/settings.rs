//! What is set on a capture before it is activated.
//!
//! Contract: every default is what `pcap_create` and the activation of the design's platform give
//! (libpcap `pcap.c`, `pcap-npf.c`, `pcap-bpf.c`); nothing is checked before [`Capture::activate`].

use super::{Capture, CaptureError, Platform, State, Warning};
use crate::{
    BufferMode, DEFAULT_KERNEL_BUFFER, DEFAULT_MIN_TO_COPY, DEFAULT_SNAPLEN, DEFAULT_USER_BUFFER,
    EngineKind, HandleOptions, MAX_KERNEL_BUFFER, Mode, PacketQueueOptions, RecordFormat,
    zbuf_kernel_buffer,
};

/// What libpcap asks for per buffer of a BSD kernel (`pcap-bpf.c`).
const BSD_SLOT: u64 = 524_288;
const PS_PER_MS: u64 = 1_000_000_000;

/// Settings of a capture that is not activated yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Capture buffer design.
    pub engine: EngineKind,
    /// Most bytes kept of a frame; 262144.
    pub snaplen: u32,
    /// Packet buffer time-out in picoseconds; 0, the default, waits for ever.
    pub timeout_ps: u64,
    /// Each packet is handed over as it arrives.
    pub immediate: bool,
    /// Kernel buffer in bytes. `None`: 1 000 000 for the designs of Windows, two buffers of 524288 for
    /// those of BSD.
    pub kernel_buffer: Option<u64>,
    /// User buffer in bytes; `None`: 256 000. The designs of BSD fix it.
    pub user_buffer: Option<usize>,
    /// Bytes that must be queued before a reader is woken; `None`: 16 000. The designs of BSD have no
    /// such thing.
    pub min_to_copy: Option<u64>,
    /// Promiscuous mode was asked for.
    pub promiscuous: bool,
    /// Monitor mode was asked for.
    pub monitor: bool,
    /// What becomes of accepted frames from the beginning; [`Capture::setmode`] changes it.
    pub mode: Mode,
    /// Losses and filter changes are told among the packets: [`Packet::marker`](super::Packet::marker).
    pub markers: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            engine: EngineKind::PacketQueue(PacketQueueOptions::CURRENT),
            snaplen: DEFAULT_SNAPLEN,
            timeout_ps: 0,
            immediate: false,
            kernel_buffer: None,
            user_buffer: None,
            min_to_copy: None,
            promiscuous: false,
            monitor: false,
            mode: Mode::Capture,
            markers: false,
        }
    }
}

impl Settings {
    /// The handle that these settings ask for.
    pub fn options(&self) -> HandleOptions {
        HandleOptions {
            engine: self.engine,
            kernel_buffer: self.kernel_bytes(),
            min_to_copy: self.min_to_copy.unwrap_or(DEFAULT_MIN_TO_COPY),
            immediate: self.immediate,
            snaplen: self.snaplen,
            mode: self.mode,
            markers: self.markers,
            ..HandleOptions::default()
        }
    }

    /// What is not done as it was asked for.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        let cases = [
            (self.promiscuous, Warning::PromiscuousNotSupported),
            (self.min_to_copy.is_some() && self.is_bsd(), Warning::NoMinToCopy),
        ];
        cases.into_iter().filter(|(is, _)| *is).map(|(_, warning)| warning).collect()
    }

    /// The length of the user buffer.
    pub(super) fn user_bytes(&self) -> Result<usize, CaptureError> {
        if self.shares() {
            return match self.user_buffer {
                Some(_) => Err(CaptureError::UserBufferIsFixed { length: 0 }),
                None => Ok(0),
            };
        }
        match (self.engine.read_length(self.kernel_bytes()), self.user_buffer) {
            (Some(length), Some(asked)) if length != asked as u64 => {
                Err(CaptureError::UserBufferIsFixed { length })
            }
            // At most half of the largest kernel buffer.
            (Some(length), _) if length <= MAX_KERNEL_BUFFER => Ok(length as usize),
            // The kernel buffer is too large, and that is refused with it.
            (Some(_), _) => Ok(0),
            (None, asked) => check_user_buffer(asked.unwrap_or(DEFAULT_USER_BUFFER)),
        }
    }

    /// Whether packets are taken out of buffers shared with the kernel.
    pub(super) fn shares(&self) -> bool {
        matches!(self.engine, EngineKind::ZeroCopy(options) if options.buffer_mode != BufferMode::Buffered)
    }

    /// Whether the design is one of BSD.
    fn is_bsd(&self) -> bool {
        matches!(self.engine.record_format(), RecordFormat::Bsd(_))
    }

    fn kernel_bytes(&self) -> u64 {
        match self.kernel_buffer {
            Some(asked) if self.shares() && asked <= MAX_KERNEL_BUFFER => zbuf_kernel_buffer(asked),
            Some(asked) => asked,
            None if self.is_bsd() => 2 * BSD_SLOT,
            None => DEFAULT_KERNEL_BUFFER,
        }
    }
}

/// Refuses a user buffer that no system would allocate.
pub(super) fn check_user_buffer(asked: usize) -> Result<usize, CaptureError> {
    let granted = asked as u64 <= MAX_KERNEL_BUFFER;
    if granted { Ok(asked) } else { Err(CaptureError::UserBufferTooLarge { asked }) }
}

/// Precision of timestamps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precision {
    /// PCAP_TSTAMP_PRECISION_MICRO.
    #[default]
    Micro,
    /// PCAP_TSTAMP_PRECISION_NANO.
    Nano,
}

/// Who makes timestamps, and how (pcap-tstamp(7)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TimestampType {
    /// The host, as it likes (PCAP_TSTAMP_HOST).
    #[default]
    Host,
    /// The host, cheaply (PCAP_TSTAMP_HOST_LOWPREC).
    HostLowPrecision,
    /// The host, exactly (PCAP_TSTAMP_HOST_HIPREC).
    HostHighPrecision,
    /// The adapter, by the host's clock (PCAP_TSTAMP_ADAPTER).
    Adapter,
    /// The adapter, by its own clock (PCAP_TSTAMP_ADAPTER_UNSYNCED).
    AdapterUnsynced,
    /// The host, exactly, by a clock that is never set (PCAP_TSTAMP_HOST_HIPREC_UNSYNCED).
    HostHighPrecisionUnsynced,
}

/// # Settings, before activation
///
/// Each fails with [`CaptureError::Activated`] afterwards, and changes nothing then.
impl<P: Platform> Capture<P> {
    /// Sets the most bytes kept of each frame.
    ///
    /// # Errors
    ///
    /// Activated. A length of 0 is refused by [`Capture::activate`], where libpcap takes 262144.
    #[doc(alias = "pcap_set_snaplen")]
    pub fn set_snaplen(&mut self, bytes: u32) -> Result<(), CaptureError> {
        self.set(|settings| settings.snaplen = bytes)
    }

    /// Sets the packet buffer time-out, in milliseconds: how long packets may wait for company in the
    /// kernel's buffer. It begins when a reader comes; with 0 only a full enough buffer ends the wait.
    ///
    /// # Errors
    ///
    /// Activated.
    #[doc(alias = "pcap_set_timeout")]
    pub fn set_timeout_ms(&mut self, ms: u32) -> Result<(), CaptureError> {
        self.set(|settings| settings.timeout_ps = u64::from(ms) * PS_PER_MS)
    }

    /// Sets whether packets are handed over as they arrive.
    ///
    /// # Errors
    ///
    /// Activated.
    #[doc(alias = "pcap_set_immediate_mode")]
    pub fn set_immediate_mode(&mut self, on: bool) -> Result<(), CaptureError> {
        self.set(|settings| settings.immediate = on)
    }

    /// Sets the size of the kernel's buffer, in bytes. That of the BSD designs is both slots together,
    /// where libpcap sets one; the shared ones are rounded up to whole pages.
    ///
    /// # Errors
    ///
    /// Activated.
    #[doc(alias = "pcap_set_buffer_size")]
    pub fn set_buffer_size(&mut self, bytes: u64) -> Result<(), CaptureError> {
        self.set(|settings| settings.kernel_buffer = Some(bytes))
    }

    /// Sets the bytes that must be queued before a reader is woken. WinPcap has this for activated
    /// captures only: [`Capture::setmintocopy`].
    ///
    /// # Errors
    ///
    /// Activated.
    pub fn set_min_to_copy(&mut self, bytes: u64) -> Result<(), CaptureError> {
        self.set(|settings| settings.min_to_copy = Some(bytes))
    }

    /// Sets the length of the buffer that one read fills. WinPcap has this for activated captures
    /// only: [`Capture::setuserbuffer`].
    ///
    /// # Errors
    ///
    /// Activated.
    pub fn set_user_buffer(&mut self, bytes: usize) -> Result<(), CaptureError> {
        self.set(|settings| settings.user_buffer = Some(bytes))
    }

    /// Sets the design of the capture buffer, which with libpcap is a choice of the system.
    ///
    /// # Errors
    ///
    /// Activated.
    pub fn set_engine(&mut self, engine: EngineKind) -> Result<(), CaptureError> {
        self.set(|settings| settings.engine = engine)
    }

    /// Sets whether losses and filter changes are told among the packets, which no capture system
    /// does: [`Packet::marker`](super::Packet::marker).
    ///
    /// # Errors
    ///
    /// Activated.
    pub fn set_markers(&mut self, on: bool) -> Result<(), CaptureError> {
        self.set(|settings| settings.markers = on)
    }

    /// Sets promiscuous mode, of which activation will say that it means nothing here.
    ///
    /// # Errors
    ///
    /// Activated.
    #[doc(alias = "pcap_set_promisc")]
    pub fn set_promisc(&mut self, on: bool) -> Result<(), CaptureError> {
        self.set(|settings| settings.promiscuous = on)
    }

    /// Sets monitor mode, with which activation will fail.
    ///
    /// # Errors
    ///
    /// Activated.
    #[doc(alias = "pcap_set_rfmon")]
    pub fn set_rfmon(&mut self, on: bool) -> Result<(), CaptureError> {
        self.set(|settings| settings.monitor = on)
    }

    /// Sets who makes timestamps; of any but the host it warns that it is not to be had.
    ///
    /// # Errors
    ///
    /// Activated.
    #[doc(alias = "pcap_set_tstamp_type")]
    pub fn set_tstamp_type(
        &mut self,
        asked: TimestampType,
    ) -> Result<Option<Warning>, CaptureError> {
        self.set(|_| ())?;
        let host = asked == TimestampType::Host;
        Ok((!host).then_some(Warning::TimestampTypeNotSupported))
    }

    /// Sets the precision of timestamps.
    ///
    /// # Errors
    ///
    /// Activated; any but microseconds.
    #[doc(alias = "pcap_set_tstamp_precision")]
    pub fn set_tstamp_precision(&mut self, asked: Precision) -> Result<(), CaptureError> {
        self.set(|_| ())?;
        match asked {
            Precision::Micro => Ok(()),
            Precision::Nano => Err(CaptureError::PrecisionNotSupported),
        }
    }

    fn set(&mut self, change: impl FnOnce(&mut Settings)) -> Result<(), CaptureError> {
        match &mut self.state {
            State::Created(settings) => {
                change(settings);
                Ok(())
            }
            State::Activated(_) => Err(CaptureError::Activated),
        }
    }
}
