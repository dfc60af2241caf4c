//! What becomes of the frames that a handle's filter accepts, and which frames it looks at.
//!
//! Contract: plain choices; they are checked where they are set
//! ([`Adapter::open`](crate::Adapter::open), [`Adapter::set_mode`](crate::Adapter::set_mode)).

/// What becomes of accepted frames (BIOCSMODE).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// They are stored for a reader (MODE_CAPT).
    #[default]
    Capture,
    /// They are counted, and nothing is stored; a read gives the counters and zeroes them
    /// (MODE_STAT).
    Statistics,
    /// They are stored, and from there written to a capture file in libpcap's format by whoever calls
    /// [`Adapter::dump`](crate::Adapter::dump) (MODE_DUMP of WinPcap 2.3; later drivers refuse it).
    Dump(DumpLimits),
}

impl Mode {
    /// Name in events.
    pub const fn name(&self) -> &'static str {
        match self {
            Mode::Capture => "capture",
            Mode::Statistics => "statistics",
            Mode::Dump(_) => "dump",
        }
    }
}

/// When a dump ends (BIOCSETDUMPLIMITS, where 0 means none).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DumpLimits {
    /// Largest size of the file in bytes, all headers included, at least that of the file header;
    /// only whole packets are written. `None`: no limit.
    pub max_bytes: Option<u64>,
    /// Most packets in the file; with 0 it is the header alone. `None`: no limit.
    pub max_packets: Option<u64>,
    /// The file gets one packet more than `max_packets`, as in WinPcap 2.3, whose test is "more than"
    /// (wireshark/winpcap `packetNtx/driver/Read.c`, 2002-10-24).
    pub one_too_many: bool,
}

impl DumpLimits {
    /// The packets that the file may hold.
    pub(crate) fn packets(&self) -> u64 {
        let most = self.max_packets.unwrap_or(u64::MAX);
        most.saturating_add(self.one_too_many.into())
    }

    /// The bytes that it may hold.
    pub(crate) fn bytes(&self) -> u64 {
        self.max_bytes.unwrap_or(u64::MAX)
    }
}

/// Which frames a handle looks at (FreeBSD bpf(4) BIOCSDIRECTION, `pcap_setdirection`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Direction {
    /// All (BPF_D_INOUT).
    #[default]
    InOut,
    /// Only received ones (BPF_D_IN; BIOCSSEESENT 0).
    In,
    /// Only those that are sent (BPF_D_OUT).
    Out,
}

impl Direction {
    /// Name in events.
    pub const fn name(&self) -> &'static str {
        match self {
            Direction::InOut => "inout",
            Direction::In => "in",
            Direction::Out => "out",
        }
    }
}
