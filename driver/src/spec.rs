//! The constants of virtio 1.x that this driver uses, each with its section. Nothing else lives here.
//!
//! Section numbers are those of virtio 1.3 (OASIS); 1.2 and 1.4 number the same things alike.

/// Device status: the guest has noticed the device (2.1).
pub const STATUS_ACKNOWLEDGE: u8 = 1;
/// Device status: the guest knows how to drive it (2.1).
pub const STATUS_DRIVER: u8 = 2;
/// Device status: the driver is set up, the device may work (2.1).
pub const STATUS_DRIVER_OK: u8 = 4;
/// Device status: the feature set is agreed (2.1).
pub const STATUS_FEATURES_OK: u8 = 8;
/// Device status: the device has met an error it cannot leave without a reset (2.1, 2.1.2).
pub const STATUS_NEEDS_RESET: u8 = 64;
/// Device status: the driver has given up (2.1).
pub const STATUS_FAILED: u8 = 128;
/// What every register of a removed PCI device reads as. No legal status has all bits set.
pub const STATUS_GONE: u8 = 0xff;

/// Feature: the driver takes checksums that were verified, or are still to be completed (5.1.3).
pub const NET_F_GUEST_CSUM: u64 = 1 << 1;
/// Feature: the device tells its largest MTU (5.1.3).
pub const NET_F_MTU: u64 = 1 << 3;
/// Feature: the device has a MAC address (5.1.3).
pub const NET_F_MAC: u64 = 1 << 5;
/// Feature: a received frame may come in several buffers (5.1.3).
pub const NET_F_MRG_RXBUF: u64 = 1 << 15;
/// Feature: the device tells its link status (5.1.3).
pub const NET_F_STATUS: u64 = 1 << 16;
/// Feature: there is a control queue (5.1.3).
pub const NET_F_CTRL_VQ: u64 = 1 << 17;
/// Feature: receive modes and MAC tables by command; needs `NET_F_CTRL_VQ` (5.1.3.1).
pub const NET_F_CTRL_RX: u64 = 1 << 18;
/// Feature: VLAN filtering by command; needs `NET_F_CTRL_VQ` (5.1.3.1).
pub const NET_F_CTRL_VLAN: u64 = 1 << 19;
/// Feature: more receive modes; should not be without `NET_F_CTRL_VQ` (5.1.4.2).
pub const NET_F_CTRL_RX_EXTRA: u64 = 1 << 20;
/// Feature: several queue pairs with automatic steering; needs `NET_F_CTRL_VQ` (5.1.3.1).
pub const NET_F_MQ: u64 = 1 << 22;
/// Feature: the header tells the frame's hash; should not be without `NET_F_CTRL_VQ` (5.1.4.2).
pub const NET_F_HASH_REPORT: u64 = 1 << 57;
/// Feature: the device may ask the driver to announce itself; needs `NET_F_CTRL_VQ` (5.1.3.1).
pub const NET_F_GUEST_ANNOUNCE: u64 = 1 << 21;
/// Feature: statistics of the device by command; needs `NET_F_CTRL_VQ` (1.4, 5.1.3).
pub const NET_F_DEVICE_STATS: u64 = 1 << 50;
/// Feature: interrupt coalescing by command, per virtqueue; needs `NET_F_CTRL_VQ` (5.1.3.1).
pub const NET_F_VQ_NOTF_COAL: u64 = 1 << 52;
/// Feature: interrupt coalescing by command; needs `NET_F_CTRL_VQ` (5.1.3.1).
pub const NET_F_NOTF_COAL: u64 = 1 << 53;
/// Feature: receive-side scaling; needs `NET_F_CTRL_VQ` (5.1.3.1).
pub const NET_F_RSS: u64 = 1 << 60;
/// Feature: chains may lie in a table of their own (2.7.5.3, 2.8.7; 6).
pub const F_INDIRECT_DESC: u64 = 1 << 28;
/// Feature: `used_event` and `avail_event` instead of flags (2.7.7, 2.7.10; 6).
pub const F_EVENT_IDX: u64 = 1 << 29;
/// Feature: virtio 1.x, not legacy (6).
pub const F_VERSION_1: u64 = 1 << 32;
/// Feature: a virtqueue can be reset by itself (2.6.1; 6).
pub const F_RING_RESET: u64 = 1 << 40;
/// Feature: addresses go through the platform's translation, so they are I/O virtual ones (6).
pub const F_ACCESS_PLATFORM: u64 = 1 << 33;

/// Feature: packed rings instead of split ones (2.8; 6).
pub const F_RING_PACKED: u64 = 1 << 34;
/// Feature: the device uses chains in the order given (2.7.9, 2.8.8; 6).
pub const F_IN_ORDER: u64 = 1 << 35;

/// All features this driver can work with; asking for any other is a configuration error.
pub const SUPPORTED_FEATURES: u64 = NET_F_MTU
    | NET_F_MAC
    | NET_F_STATUS
    | NET_F_CTRL_VQ
    | NET_F_MQ
    | NET_F_RSS
    | NET_F_GUEST_CSUM
    | NET_F_MRG_RXBUF
    | NET_F_CTRL_RX
    | NET_F_CTRL_VLAN
    | NET_F_CTRL_RX_EXTRA
    | NET_F_HASH_REPORT
    | F_INDIRECT_DESC
    | F_EVENT_IDX
    | F_VERSION_1
    | F_ACCESS_PLATFORM
    | F_RING_PACKED
    | F_IN_ORDER
    | F_RING_RESET
    | NET_F_GUEST_ANNOUNCE
    | NET_F_DEVICE_STATS
    | NET_F_VQ_NOTF_COAL
    | NET_F_NOTF_COAL;

/// The features to ask for unless something else is wanted: [`SUPPORTED_FEATURES`] without those that
/// change how rings are laid out or read, or received frames.
pub const DEFAULT_FEATURES: u64 = SUPPORTED_FEATURES
    & !(F_INDIRECT_DESC
        | F_RING_PACKED
        | F_IN_ORDER
        | NET_F_MRG_RXBUF
        | NET_F_GUEST_CSUM
        | NET_F_HASH_REPORT
        | NET_F_CTRL_RX
        | NET_F_CTRL_RX_EXTRA
        | NET_F_CTRL_VLAN
        | NET_F_NOTF_COAL
        | NET_F_VQ_NOTF_COAL);

/// The features that are of no use without the control queue, so that this driver takes none of them without
/// it (5.1.3.1, 5.1.4.2).
pub const NEED_CTRL_VQ: u64 = NET_F_MQ
    | NET_F_RSS
    | NET_F_CTRL_RX
    | NET_F_CTRL_VLAN
    | NET_F_CTRL_RX_EXTRA
    | NET_F_HASH_REPORT
    | NET_F_GUEST_ANNOUNCE
    | NET_F_DEVICE_STATS
    | NET_F_VQ_NOTF_COAL
    | NET_F_NOTF_COAL;

/// Bytes of the device configuration this driver reads: up to and with `supported_hash_types` (5.1.4).
pub const CONFIG_BYTES: usize = 24;
/// Bit of the configuration's `status` field: the link is up (5.1.4).
pub const NET_S_LINK_UP: u16 = 1;
/// Bit of the same field: the driver is to announce itself (5.1.4).
pub const NET_S_ANNOUNCE: u16 = 2;
/// Bits of `hash_types` with a meaning: IPv4 .. UDPex (5.1.6.4.3.1).
pub const HASH_TYPES: u32 = 0x1ff;

/// Bytes of `virtio_net_hdr` before each frame, `num_buffers` included, no hash report (5.1.6).
pub const HEADER_BYTES: usize = 12;
/// Bytes of `virtio_net_hdr` with these features agreed: 12, or 20 with a hash report (5.1.6).
pub const fn header_bytes(features: u64) -> usize {
    if features & NET_F_HASH_REPORT == 0 { HEADER_BYTES } else { HEADER_BYTES + 8 }
}
/// Header flag: the checksum has to be completed (5.1.6).
pub const HDR_F_NEEDS_CSUM: u8 = 1;
/// Header flag: the checksum was verified (5.1.6).
pub const HDR_F_DATA_VALID: u8 = 2;
/// Header flag: coalesced segments are counted; only with a feature this driver never takes (5.1.6).
pub const HDR_F_RSC_INFO: u8 = 4;
/// Highest VIRTIO_NET_HASH_REPORT_* there is (5.1.6.4.4).
pub const HASH_REPORT_MAX: u16 = 9;
/// Bytes of an Ethernet header without a tag; less than that is no frame.
pub const ETHERNET_HEADER_BYTES: usize = 14;
/// Bytes of one 802.1Q tag.
pub const VLAN_TAG_BYTES: usize = 4;
/// Least receive buffer when neither merging nor segmentation offload is agreed (5.1.6.3.1).
pub const MIN_RX_BUFFER_BYTES: u32 = 1526;

/// Bytes of the longest frame that may come in several buffers, its header included (5.1.6.3).
pub const MAX_MERGED_BYTES: usize = 65589 + HEADER_BYTES + 8;

/// Bytes of a cache line; what the device writes shares none with what the driver writes.
pub const CACHE_LINE: usize = 64;
/// Most entries of a split ring (2.7).
pub const MAX_RING: u16 = 32768;
/// Bytes of one descriptor: address le64, length le32, flags le16, next le16 (2.7.5).
pub const DESCRIPTOR_BYTES: usize = 16;
/// Descriptor flag: `next` names the following descriptor of the chain (2.7.5).
pub const DESC_F_NEXT: u16 = 1;
/// Descriptor flag: the device writes this buffer (2.7.5); in a used packed one: it has written (2.8.3).
pub const DESC_F_WRITE: u16 = 2;
/// Descriptor flag: the buffer holds a table of descriptors (2.7.5.3, 2.8.7).
pub const DESC_F_INDIRECT: u16 = 4;
/// Packed descriptor flag: the driver's wrap counter when it made it available (2.8.1).
pub const DESC_F_AVAIL: u16 = 1 << 7;
/// Packed descriptor flag: the device's wrap counter when it used it, the inverse of the driver's
/// before that (2.8.1).
pub const DESC_F_USED: u16 = 1 << 15;
/// Both of these bits: whose turn it is (2.8.1).
pub const DESC_F_BOTH: u16 = DESC_F_AVAIL | DESC_F_USED;
/// Offset of the length in a packed descriptor (2.8.13).
pub const PACKED_LENGTH: usize = 8;
/// Offset of the buffer id in a packed descriptor (2.8.13).
pub const PACKED_ID: usize = 12;
/// Offset of the flags in a packed descriptor (2.8.13).
pub const PACKED_FLAGS: usize = 14;
/// Event suppression: notify at every change (2.8.14).
pub const EVENT_ENABLE: u16 = 0;
/// Event suppression: do not notify (2.8.14).
pub const EVENT_DISABLE: u16 = 1;
/// Event suppression: notify at one descriptor, named by offset and wrap counter; only with EVENT_IDX
/// (2.8.14).
pub const EVENT_DESC: u16 = 2;
/// Event suppression: the bits of the flags that have a meaning (2.8.14).
pub const EVENT_FLAGS: u16 = 3;
/// Event suppression: the wrap counter in the first field; the other bits are the offset (2.8.14).
pub const EVENT_WRAP: u16 = 1 << 15;
/// Offset of `flags` in the available and in the used ring (2.7.6, 2.7.8).
pub const RING_FLAGS: usize = 0;
/// Offset of `idx` in the available and in the used ring (2.7.6, 2.7.8).
pub const RING_INDEX: usize = 2;
/// Offset of the first entry in the available and in the used ring (2.7.6, 2.7.8).
pub const RING_ENTRIES: usize = 4;
/// Bytes of one entry of the available ring (2.7.6).
pub const AVAIL_ENTRY_BYTES: usize = 2;
/// Bytes of one element of the used ring: id le32, length le32 (2.7.8).
pub const USED_ELEMENT_BYTES: usize = 8;
/// Available ring flag: the driver wants no interrupt; only without EVENT_IDX (2.7.7).
pub const AVAIL_F_NO_INTERRUPT: u16 = 1;
/// Used ring flag: the device wants no kick; only without EVENT_IDX (2.7.10).
pub const USED_F_NO_NOTIFY: u16 = 1;

/// Control class: receive modes, one byte each (5.1.6.5.1).
pub const CTRL_RX: u8 = 0;
/// Command of `CTRL_RX`: promiscuous.
pub const CTRL_RX_PROMISC: u8 = 0;
/// Command of `CTRL_RX`: all multicast.
pub const CTRL_RX_ALLMULTI: u8 = 1;
/// Command of `CTRL_RX`: all unicast.
pub const CTRL_RX_ALLUNI: u8 = 2;
/// Command of `CTRL_RX`: no multicast.
pub const CTRL_RX_NOMULTI: u8 = 3;
/// Command of `CTRL_RX`: no unicast.
pub const CTRL_RX_NOUNI: u8 = 4;
/// Command of `CTRL_RX`: no broadcast.
pub const CTRL_RX_NOBCAST: u8 = 5;
/// Control class: MAC addresses (5.1.6.5.2).
pub const CTRL_MAC: u8 = 1;
/// Command of `CTRL_MAC`: the unicast and the multicast table, each a le32 count and the addresses.
pub const CTRL_MAC_TABLE_SET: u8 = 0;
/// Control class: VLANs (5.1.6.5.3).
pub const CTRL_VLAN: u8 = 2;
/// Command of `CTRL_VLAN`: take this VLAN, le16.
pub const CTRL_VLAN_ADD: u8 = 0;
/// Control class: multi-queue and RSS (5.1.6.5.6).
pub const CTRL_MQ: u8 = 4;
/// Command of `CTRL_MQ`: how many queue pairs to use, le16 (5.1.6.5.6).
pub const CTRL_MQ_VQ_PAIRS_SET: u8 = 0;
/// Command of `CTRL_MQ`: `virtio_net_rss_config` (5.1.6.5.7.1).
pub const CTRL_MQ_RSS_CONFIG: u8 = 1;
/// Command of `CTRL_MQ`: `virtio_net_hash_config` (5.1.6.5.6.4).
pub const CTRL_MQ_HASH_CONFIG: u8 = 2;
/// Control class: announcements (5.1.6.5.4).
pub const CTRL_ANNOUNCE: u8 = 3;
/// Command of `CTRL_ANNOUNCE`: done; no data (5.1.6.5.4).
pub const CTRL_ANNOUNCE_ACK: u8 = 0;
/// Control class: interrupt coalescing (5.1.6.5.9).
pub const CTRL_NOTF_COAL: u8 = 6;
/// Command of `CTRL_NOTF_COAL`: packets le32, microseconds le32, for all transmit queues (5.1.6.5.9).
pub const CTRL_NOTF_COAL_TX_SET: u8 = 0;
/// Command of `CTRL_NOTF_COAL`: the same for all receive queues (5.1.6.5.9).
pub const CTRL_NOTF_COAL_RX_SET: u8 = 1;
/// Command of `CTRL_NOTF_COAL`: virtqueue le16, two reserved bytes, and the same for it (5.1.6.5.9).
pub const CTRL_NOTF_COAL_VQ_SET: u8 = 2;
/// Control class: statistics of the device (1.4, 5.1.6.5.10).
pub const CTRL_STATS: u8 = 8;
/// Command of `CTRL_STATS`: which types there are, le64 in the result (1.4, 5.1.6.5.10).
pub const CTRL_STATS_QUERY: u8 = 0;
/// Command of `CTRL_STATS`: those of the virtqueues and types named (1.4, 5.1.6.5.10).
pub const CTRL_STATS_GET: u8 = 1;
/// Type of statistics, a bit number: control queue (1.4, 5.1.6.5.10).
pub const STATS_CVQ: u8 = 32;
/// Type of statistics: receive queue (1.4, 5.1.6.5.10).
pub const STATS_RX_BASIC: u8 = 0;
/// Type of statistics: checksums of a receive queue (1.4, 5.1.6.5.10).
pub const STATS_RX_CSUM: u8 = 1;
/// Type of statistics: rate of a receive queue (1.4, 5.1.6.5.10).
pub const STATS_RX_SPEED: u8 = 3;
/// Type of statistics: transmit queue (1.4, 5.1.6.5.10).
pub const STATS_TX_BASIC: u8 = 16;
/// Type of statistics: checksums of a transmit queue (1.4, 5.1.6.5.10).
pub const STATS_TX_CSUM: u8 = 17;
/// Type of statistics: segmentation of a transmit queue (1.4, 5.1.6.5.10).
pub const STATS_TX_GSO: u8 = 18;
/// Type of statistics: rate of a transmit queue (1.4, 5.1.6.5.10).
pub const STATS_TX_SPEED: u8 = 19;
/// Acknowledgement: done (5.1.6.5).
pub const CTRL_OK: u8 = 0;
