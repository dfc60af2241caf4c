//! The wire, the NIC and its driver, in the words of ethtool: channels, ring, coalesce.
//!
//! Contract: pure data with the defaults of a plain 10 Gbit/s server port. What values are allowed
//! is said at the check in `validate`, and in its message.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::buffer_policy::{BufferPolicy, Exhausted};
use super::driver_control::{DriverControl, Recover};
use super::rxfh::{parse_hex, write_hex};
use super::units::{BitRate, Bytes, Duration, Ratio, text_form};

/// `[wire]`: the cable and what it does to frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wire {
    /// Line rate.
    pub rate: BitRate,
    /// Largest IP packet, 68 to 65535 bytes.
    pub mtu: u32,
    /// Shortest frame (without FCS) that is no runt. Left out: 60 B for the generator, as on a real
    /// wire; 14 B for a capture, because captures hold frames from before the sender's MAC pads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_frame: Option<Bytes>,
    /// Chance that a frame arrives with a wrong FCS.
    pub bad_fcs: Ratio,
    /// Chance that a frame is cut below `min_frame`.
    pub runt: Ratio,
    /// Chance that a frame is stretched beyond what the MTU allows.
    pub giant: Ratio,
    /// When the link is down.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub link_down: Vec<Window>,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            rate: BitRate(10_000_000_000),
            mtu: 1500,
            min_frame: None,
            bad_fcs: Ratio::ZERO,
            runt: Ratio::ZERO,
            giant: Ratio::ZERO,
            link_down: Vec::new(),
        }
    }
}

/// A stretch of virtual time: `{ at = "10ms", for = "5ms" }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// When it starts.
    pub at: Duration,
    /// How long it lasts; `for` in the file, which is no name in Rust.
    #[serde(rename = "for")]
    pub lasting: Duration,
}

impl Window {
    /// The first instant after it, in picoseconds; saturates at the end of time.
    pub fn end_ps(&self) -> u64 {
        self.at.0.saturating_add(self.lasting.0)
    }
}

/// `[channels]`: RX/TX queue pairs (`ethtool -l`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Channels {
    /// Queue pairs, 1 to 64.
    pub combined: u16,
}

impl Default for Channels {
    fn default() -> Self {
        Self { combined: 4 }
    }
}

/// `[ring]`: descriptors per queue (`ethtool -g`), powers of two from 16 to 32768.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ring {
    /// Of each RX queue.
    pub rx: u16,
    /// Of each TX queue.
    pub tx: u16,
    /// How the virtqueues lie in memory.
    pub format: RingFormat,
}

impl Default for Ring {
    fn default() -> Self {
        Self { rx: 256, tx: 256, format: RingFormat::Split }
    }
}

/// How the virtqueues lie in memory. Device and driver agree on it, both being told the same here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RingFormat {
    /// A descriptor table, an available ring and a used ring (virtio 2.7).
    Split,
    /// One ring of descriptors that both sides write in turn: VIRTIO_F_RING_PACKED (virtio 2.8).
    Packed,
}

/// `[nic]`: the device model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nic {
    /// Hardware address.
    pub mac: Mac,
    /// MSI-X vectors; left out: one per channel and one for the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vectors: Option<u16>,
    /// The device's packet buffer; 0 B = none, a frame without descriptor is lost at once.
    pub fifo: Bytes,
    /// VIRTIO_F_EVENT_IDX: notifications at an index instead of on/off flags.
    pub event_idx: bool,
    /// VIRTIO_F_IN_ORDER: the device uses chains in order, and may return the last of several for all.
    pub in_order: bool,
    /// VIRTIO_F_INDIRECT_DESC: a chain of several buffers takes one descriptor, and a table of its own.
    pub indirect_desc: bool,
    /// How the device does split virtqueues: a matter of speed, not of results.
    pub ring: RingKind,
    /// VIRTIO_NET_F_MRG_RXBUF: a frame may take several receive buffers, so that those may be small.
    pub mrg_rxbuf: bool,
    /// VIRTIO_NET_F_HASH_REPORT: each frame comes with its hash, of the types and key of `[rxfh]`. The virtio
    /// header is 20 bytes then.
    pub hash_report: bool,
    /// VIRTIO_NET_F_GUEST_CSUM: the device verifies checksums; `ethtool -K rx on`.
    pub guest_csum: bool,
    /// VIRTIO_NET_F_CTRL_VQ: there is a control queue. Several channels, RSS, the hash report and receive
    /// filters need it.
    pub ctrl_vq: bool,
    /// VIRTIO_NET_F_NOTF_COAL: the driver sets `[coalesce]` by command, for all queues of a direction.
    pub notf_coal: bool,
    /// VIRTIO_NET_F_VQ_NOTF_COAL: and for single queues, `[[coalesce.queue]]`.
    pub vq_notf_coal: bool,
    /// VIRTIO_NET_F_DEVICE_STATS (virtio 1.4): at the end the driver asks for the device's statistics, and
    /// the run is broken if they are not those of the account.
    pub device_stats: bool,
    /// When the device asks the driver to announce itself (VIRTIO_NET_F_GUEST_ANNOUNCE, agreed if there is
    /// such a time): the driver sends a RARP frame and acknowledges.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub announce: Vec<Duration>,
}

impl Default for Nic {
    fn default() -> Self {
        Self {
            mac: Mac([0x02, 0, 0, 0, 0, 0x01]),
            vectors: None,
            fifo: Bytes(256 << 10),
            event_idx: true,
            in_order: false,
            indirect_desc: false,
            ring: RingKind::Batched,
            mrg_rxbuf: false,
            hash_report: false,
            guest_csum: false,
            ctrl_vq: true,
            notf_coal: false,
            vq_notf_coal: false,
            device_stats: false,
            announce: Vec::new(),
        }
    }
}

/// `nic.ring`: the device's implementation of split virtqueues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RingKind {
    /// The `virtio-queue` crate, a chain at a time.
    Reference,
    /// Up to 64 chains in a pass.
    Batched,
}

/// An Ethernet address; written `"02:00:00:00:00:01"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes: Option<[u8; 6]> = parse_hex(text).ok().and_then(|bytes| bytes.try_into().ok());
        match bytes {
            Some(mac) if mac[0] & 1 == 0 && mac != [0; 6] => Ok(Self(mac)),
            _ => Err(format!(
                "`{text}` is not the address of one station: write six bytes, the first even, like \
                 \"02:00:00:00:00:01\""
            )),
        }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

text_form!(Mac, "an Ethernet address, like \"02:00:00:00:00:01\"");

/// `[dma]`: time on the device's one, serial DMA engine. The defaults are those of some 10 GB/s, as
/// a PCIe link of that kind gives; an input, not a claim about any device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dma {
    /// Fixed part per frame.
    pub frame: Duration,
    /// Per byte.
    pub byte: Duration,
}

impl Default for Dma {
    fn default() -> Self {
        Self { frame: Duration(40_000), byte: Duration(100) }
    }
}

/// `[driver]`: the guest's network driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Driver {
    /// Frames one poll takes at most.
    pub budget: u16,
    /// Bytes of one receive buffer, the virtio header included. With `nic.mrg_rxbuf` it need not hold a whole
    /// frame.
    pub buffer: Bytes,
    /// What becomes of a buffer that holds a frame.
    pub buffer_policy: BufferPolicy,
    /// With `page-flip` and `header-split`: spare buffers per queue, 1 to 32767.
    pub spare_buffers: u16,
    /// With them: how long the network stack keeps a buffer.
    pub buffer_hold: Duration,
    /// With them: what happens to a frame when no spare is left.
    pub spares_exhausted: Exhausted,
    /// With `header-split`: bytes of a header buffer, 64 to 1024, virtio header included.
    pub header_buffer: Bytes,
    /// When buffers are posted again.
    pub refill: Refill,
    /// Buffers are posted again when at least so many are free; 1 = after every poll.
    pub refill_threshold: u16,
    /// How a poll that is over lets interrupts through.
    pub rearm: Rearm,
    /// What the driver does with a queue that a poll has emptied.
    pub moderation: Moderation,
    /// With `busy-poll`: the pause between two polls.
    pub busy_poll: Duration,
    /// With `defer-hard-irqs`: timers without a frame before interrupts are let through; Linux's
    /// `napi_defer_hard_irqs`.
    pub defer_hard_irqs: u32,
    /// With `defer-hard-irqs`: time of each timer; Linux's `gro_flush_timeout`.
    pub gro_flush_timeout: Duration,
    /// Period of the watchdog for lost interrupts; left out: there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<Duration>,
    /// How a poll keeps its interrupt away.
    pub masking: Masking,
    /// How a frame to send and its virtio header are described.
    pub tx_header: TxHeader,
    /// How long a control command may take.
    pub control_timeout: Duration,
    /// What happens when a queue breaks, or the device asks for a reset.
    pub recover: Recover,
    /// How often at most.
    pub recover_limit: u64,
    /// What is done to it while the run goes on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub control: Vec<DriverControl>,
}

impl Default for Driver {
    fn default() -> Self {
        Self {
            budget: 64,
            buffer: Bytes(2048),
            buffer_policy: BufferPolicy::Copy,
            spare_buffers: 256,
            buffer_hold: Duration(50_000_000),
            spares_exhausted: Exhausted::Copy,
            header_buffer: Bytes(128),
            refill: Refill::Threshold,
            refill_threshold: 16,
            rearm: Rearm::LookAgain,
            moderation: Moderation::Interrupts,
            busy_poll: Duration(1_000_000),
            defer_hard_irqs: 2,
            gro_flush_timeout: Duration(20_000_000),
            watchdog: None,
            masking: Masking::Ring,
            tx_header: TxHeader::WithFrame,
            control_timeout: Duration(1_000_000_000_000),
            recover: Recover::None,
            recover_limit: 8,
            control: Vec::new(),
        }
    }
}

/// When a driver posts buffers again, at the end of a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refill {
    /// Whenever one is free.
    EachPoll,
    /// When `refill_threshold` of them are free.
    Threshold,
    /// When the ring is empty.
    WhenEmpty,
    /// As `threshold`, without ever telling the device: a fault, to be shown.
    WithoutKick,
}

/// How a poll that is over lets interrupts through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rearm {
    /// And looks once more at the ring, lest a completion in between be silent.
    LookAgain,
    /// Without: a fault, to be shown.
    Blind,
}

/// What a driver does with a queue that a poll has emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moderation {
    /// Lets interrupts through.
    Interrupts,
    /// Waits longer the higher the rate, then polls again; `ethtool -C adaptive-rx on`.
    Adaptive,
    /// Lets interrupts through, and has the NIC delay them the longer the higher the rate; needs
    /// `nic.vq_notf_coal`.
    AdaptiveDevice,
    /// Polls for ever, without interrupts.
    BusyPoll,
    /// Polls again by a timer, and lets interrupts through when some found nothing.
    DeferHardIrqs,
}

/// How a poll keeps its interrupt away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Masking {
    /// By the used-ring flag or event index in memory: cheap, and only a hint to the device.
    Ring,
    /// By the mask bit of the MSI-X vector: a register write, and certain.
    Msix,
}

/// How a frame to send and its virtio header are described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TxHeader {
    /// As one buffer.
    WithFrame,
    /// As two: two descriptors, or one with `nic.indirect_desc`.
    Apart,
}
