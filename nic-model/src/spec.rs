//! Constants of the virtio specification (1.3; the sections are the same in 1.2 and 1.4), and nothing else.
//!
//! Names follow the specification, shortened where the module name says the rest.

/// Feature bits (5.1.3 for the network device, 6 for the reserved ones).
pub mod feature {
    /// VIRTIO_NET_F_CSUM: the device completes checksums of frames to transmit. 5.1.3
    pub const CSUM: u64 = 1 << 0;
    /// VIRTIO_NET_F_GUEST_CSUM: the driver understands DATA_VALID and NEEDS_CSUM. 5.1.3
    pub const GUEST_CSUM: u64 = 1 << 1;
    /// VIRTIO_NET_F_CTRL_GUEST_OFFLOADS: receive offloads are switched by command. 5.1.3
    pub const CTRL_GUEST_OFFLOADS: u64 = 1 << 2;
    /// VIRTIO_NET_F_MTU: the device reports its MTU. 5.1.3
    pub const MTU: u64 = 1 << 3;
    /// VIRTIO_NET_F_MAC: the device has a MAC address. 5.1.3
    pub const MAC: u64 = 1 << 5;
    /// VIRTIO_NET_F_GUEST_TSO4: the driver takes coalesced TCP over IPv4. 5.1.3
    pub const GUEST_TSO4: u64 = 1 << 7;
    /// VIRTIO_NET_F_GUEST_TSO6: the driver takes coalesced TCP over IPv6. 5.1.3
    pub const GUEST_TSO6: u64 = 1 << 8;
    /// VIRTIO_NET_F_GUEST_ECN: and such with ECN. 5.1.3
    pub const GUEST_ECN: u64 = 1 << 9;
    /// VIRTIO_NET_F_GUEST_UFO: the driver takes reassembled UDP fragments. 5.1.3
    pub const GUEST_UFO: u64 = 1 << 10;
    /// VIRTIO_NET_F_HOST_TSO4: the device segments TCP over IPv4. 5.1.3
    pub const HOST_TSO4: u64 = 1 << 11;
    /// VIRTIO_NET_F_HOST_TSO6: the device segments TCP over IPv6. 5.1.3
    pub const HOST_TSO6: u64 = 1 << 12;
    /// VIRTIO_NET_F_HOST_ECN: and such with ECN. 5.1.3
    pub const HOST_ECN: u64 = 1 << 13;
    /// VIRTIO_NET_F_HOST_UFO: the device fragments UDP. 5.1.3
    pub const HOST_UFO: u64 = 1 << 14;
    /// VIRTIO_NET_F_MRG_RXBUF: a received frame may take several buffers. 5.1.3
    pub const MRG_RXBUF: u64 = 1 << 15;
    /// VIRTIO_NET_F_STATUS: the configuration space has a link status. 5.1.3
    pub const STATUS: u64 = 1 << 16;
    /// VIRTIO_NET_F_CTRL_VQ: there is a control queue. 5.1.3
    pub const CTRL_VQ: u64 = 1 << 17;
    /// VIRTIO_NET_F_CTRL_RX: receive modes and the MAC filter table. 5.1.3
    pub const CTRL_RX: u64 = 1 << 18;
    /// VIRTIO_NET_F_CTRL_VLAN: the VLAN filter table. 5.1.3
    pub const CTRL_VLAN: u64 = 1 << 19;
    /// VIRTIO_NET_F_CTRL_RX_EXTRA: more receive modes. 5.1.3
    pub const CTRL_RX_EXTRA: u64 = 1 << 20;
    /// VIRTIO_NET_F_GUEST_ANNOUNCE: the driver announces itself when asked. 5.1.3
    pub const GUEST_ANNOUNCE: u64 = 1 << 21;
    /// VIRTIO_NET_F_MQ: several queue pairs with automatic steering; needs CTRL_VQ. 5.1.3
    pub const MQ: u64 = 1 << 22;
    /// VIRTIO_NET_F_CTRL_MAC_ADDR: the MAC address is set by command. 5.1.3
    pub const CTRL_MAC_ADDR: u64 = 1 << 23;
    /// VIRTIO_F_INDIRECT_DESC: chains may lie in a table of their own. 6
    pub const INDIRECT_DESC: u64 = 1 << 28;
    /// VIRTIO_F_EVENT_IDX: used_event and avail_event suppress notifications. 6
    pub const EVENT_IDX: u64 = 1 << 29;
    /// VIRTIO_F_VERSION_1: not a legacy device. 6
    pub const VERSION_1: u64 = 1 << 32;
    /// VIRTIO_F_ACCESS_PLATFORM: addresses are those of an IOMMU before the device (6).
    pub const ACCESS_PLATFORM: u64 = 1 << 33;
    /// VIRTIO_F_RING_PACKED: packed virtqueues instead of split ones. 6
    pub const RING_PACKED: u64 = 1 << 34;
    /// VIRTIO_F_IN_ORDER: chains are used in the order in which they were made available. 6
    pub const IN_ORDER: u64 = 1 << 35;
    /// VIRTIO_F_RING_RESET: the driver can reset a virtqueue by itself. 6, 2.6.1
    pub const RING_RESET: u64 = 1 << 40;
    /// VIRTIO_NET_F_DEVICE_STATS: statistics by command. 1.4, 5.1.3
    pub const DEVICE_STATS: u64 = 1 << 50;
    /// VIRTIO_NET_F_VQ_NOTF_COAL: notification coalescing per queue. 5.1.3
    pub const VQ_NOTF_COAL: u64 = 1 << 52;
    /// VIRTIO_NET_F_NOTF_COAL: notification coalescing. 5.1.3
    pub const NOTF_COAL: u64 = 1 << 53;
    /// VIRTIO_NET_F_GUEST_USO4: the driver takes coalesced UDP over IPv4. 5.1.3
    pub const GUEST_USO4: u64 = 1 << 54;
    /// VIRTIO_NET_F_GUEST_USO6: the driver takes coalesced UDP over IPv6. 5.1.3
    pub const GUEST_USO6: u64 = 1 << 55;
    /// VIRTIO_NET_F_HOST_USO: the device segments UDP. 5.1.3
    pub const HOST_USO: u64 = 1 << 56;
    /// VIRTIO_NET_F_HASH_REPORT: the header carries the frame's hash. 5.1.3
    pub const HASH_REPORT: u64 = 1 << 57;
    /// VIRTIO_NET_F_RSS: receive-side scaling; needs CTRL_VQ. 5.1.3
    pub const RSS: u64 = 1 << 60;
    /// VIRTIO_NET_F_RSC_EXT: coalesced segments are counted. 5.1.3
    pub const RSC_EXT: u64 = 1 << 61;
}

/// Device status bits (2.1).
pub mod status {
    /// The driver has noticed the device.
    pub const ACKNOWLEDGE: u8 = 1;
    /// The driver knows how to drive it.
    pub const DRIVER: u8 = 2;
    /// The driver is ready.
    pub const DRIVER_OK: u8 = 4;
    /// Feature negotiation is complete.
    pub const FEATURES_OK: u8 = 8;
    /// The device met an error it cannot recover from; set by the device only.
    pub const DEVICE_NEEDS_RESET: u8 = 64;
    /// The driver has given up.
    pub const FAILED: u8 = 128;
}

/// Layout of the network device's configuration space, as byte offsets (5.1.4).
pub mod config {
    /// mac: 6 bytes.
    pub const MAC: usize = 0;
    /// status: le16, see [`STATUS_LINK_UP`].
    pub const STATUS: usize = 6;
    /// max_virtqueue_pairs: le16.
    pub const MAX_VIRTQUEUE_PAIRS: usize = 8;
    /// mtu: le16.
    pub const MTU: usize = 10;
    /// speed: le32 in Mbit/s, all ones when unknown.
    pub const SPEED: usize = 12;
    /// duplex: one byte, 0xff when unknown.
    pub const DUPLEX: usize = 16;
    /// rss_max_key_size: one byte.
    pub const RSS_MAX_KEY_SIZE: usize = 17;
    /// rss_max_indirection_table_length: le16.
    pub const RSS_MAX_INDIRECTION_TABLE_LENGTH: usize = 18;
    /// supported_hash_types: le32.
    pub const SUPPORTED_HASH_TYPES: usize = 20;
    /// Length of all of it.
    pub const LEN: usize = 24;
    /// VIRTIO_NET_S_LINK_UP in `status`.
    pub const STATUS_LINK_UP: u16 = 1;
    /// VIRTIO_NET_S_ANNOUNCE in `status`: the driver is to announce itself.
    pub const STATUS_ANNOUNCE: u16 = 2;
}

/// Split virtqueues (2.7).
pub mod ring {
    /// VIRTQ_DESC_F_NEXT: the chain goes on at `next`. 2.7.5
    pub const DESC_F_NEXT: u16 = 1;
    /// VIRTQ_DESC_F_WRITE: the device writes this buffer. 2.7.5
    pub const DESC_F_WRITE: u16 = 2;
    /// VIRTQ_DESC_F_INDIRECT: the buffer holds a descriptor table. 2.7.5
    pub const DESC_F_INDIRECT: u16 = 4;
    /// VIRTQ_DESC_F_AVAIL: the driver's wrap counter, packed only. 2.8.1
    pub const DESC_F_AVAIL: u16 = 1 << 7;
    /// VIRTQ_DESC_F_USED: the device's wrap counter once it is used, packed only. 2.8.1
    pub const DESC_F_USED: u16 = 1 << 15;
    /// Offset of the length in a packed descriptor. 2.8.13
    pub const PACKED_LEN_AT: u64 = 8;
    /// Offset of the buffer id in a packed descriptor. 2.8.13
    pub const PACKED_ID_AT: u64 = 12;
    /// Offset of the flags in a packed descriptor. 2.8.13
    pub const PACKED_FLAGS_AT: u64 = 14;
    /// RING_EVENT_FLAGS_ENABLE: notify of everything. 2.8.10
    pub const EVENT_ENABLE: u16 = 0;
    /// RING_EVENT_FLAGS_DISABLE: notify of nothing. 2.8.10
    pub const EVENT_DISABLE: u16 = 1;
    /// RING_EVENT_FLAGS_DESC: notify of one descriptor; only with EVENT_IDX. 2.8.10
    pub const EVENT_DESC: u16 = 2;
    /// The bits of the flags with a meaning. 2.8.14
    pub const EVENT_FLAGS: u16 = 3;
    /// The wrap counter beside the offset of the descriptor. 2.8.14
    pub const EVENT_WRAP: u16 = 1 << 15;
    /// Bytes of an event suppression structure, and its alignment. 2.8.14
    pub const EVENT_LEN: u64 = 4;
    /// VIRTQ_AVAIL_F_NO_INTERRUPT: the driver wants no interrupt. 2.7.6
    pub const AVAIL_F_NO_INTERRUPT: u16 = 1;
    /// VIRTQ_USED_F_NO_NOTIFY: the device wants no kick. 2.7.8
    pub const USED_F_NO_NOTIFY: u16 = 1;
    /// Largest queue size. 2.7
    pub const SIZE_MAX: u16 = 32768;
    /// Bytes of one descriptor, and alignment of the table. 2.7
    pub const DESCRIPTOR_LEN: u64 = 16;
    /// Alignment of the available ring. 2.7
    pub const AVAILABLE_ALIGN: u64 = 2;
    /// Alignment of the used ring. 2.7
    pub const USED_ALIGN: u64 = 4;

    /// Bytes of a descriptor table of `size` entries.
    #[must_use]
    pub const fn descriptor_table_len(size: u16) -> u64 {
        DESCRIPTOR_LEN * size as u64
    }

    /// Bytes of an available ring of `size` entries, `used_event` included.
    #[must_use]
    pub const fn available_ring_len(size: u16) -> u64 {
        6 + 2 * size as u64
    }

    /// Bytes of a used ring of `size` entries, `avail_event` included.
    #[must_use]
    pub const fn used_ring_len(size: u16) -> u64 {
        6 + 8 * size as u64
    }
}

/// `struct virtio_net_hdr` (5.1.6).
pub mod header {
    /// Bytes of it without VIRTIO_NET_F_HASH_REPORT.
    pub const LEN: usize = 12;
    /// Bytes of it with VIRTIO_NET_F_HASH_REPORT.
    pub const LEN_WITH_HASH: usize = 20;
    /// Offset of `flags`.
    pub const FLAGS: usize = 0;
    /// Offset of `gso_type`.
    pub const GSO_TYPE: usize = 1;
    /// Offset of `gso_size`, le16.
    pub const GSO_SIZE: usize = 4;
    /// Offset of `csum_start`, le16.
    pub const CSUM_START: usize = 6;
    /// Offset of `csum_offset`, le16.
    pub const CSUM_OFFSET: usize = 8;
    /// Offset of `num_buffers`, le16.
    pub const NUM_BUFFERS: usize = 10;
    /// Offset of `hash_value`, le32; with VIRTIO_NET_F_HASH_REPORT only.
    pub const HASH_VALUE: usize = 12;
    /// Offset of `hash_report`, le16; 0 is VIRTIO_NET_HASH_REPORT_NONE.
    pub const HASH_REPORT: usize = 16;
    /// VIRTIO_NET_HDR_F_NEEDS_CSUM in `flags`: the checksum is to be completed.
    pub const F_NEEDS_CSUM: u8 = 1;
    /// VIRTIO_NET_HDR_F_DATA_VALID in `flags`: the checksum was verified.
    pub const F_DATA_VALID: u8 = 2;
    /// VIRTIO_NET_HDR_GSO_NONE in `gso_type`.
    pub const GSO_NONE: u8 = 0;
    /// VIRTIO_NET_HDR_GSO_TCPV4: segment TCP over IPv4.
    pub const GSO_TCPV4: u8 = 1;
    /// VIRTIO_NET_HDR_GSO_TCPV6: segment TCP over IPv6.
    pub const GSO_TCPV6: u8 = 4;
    /// VIRTIO_NET_HDR_GSO_UDP_L4: segment UDP.
    pub const GSO_UDP_L4: u8 = 5;
    /// VIRTIO_NET_HDR_GSO_ECN, a bit beside the type: TCP with ECN.
    pub const GSO_ECN: u8 = 0x80;
}

/// Control commands (5.1.6.5).
pub mod control {
    /// VIRTIO_NET_OK.
    pub const OK: u8 = 0;
    /// VIRTIO_NET_ERR.
    pub const ERR: u8 = 1;
    /// Class VIRTIO_NET_CTRL_RX. 5.1.6.5.1
    pub const CLASS_RX: u8 = 0;
    /// VIRTIO_NET_CTRL_RX_PROMISC: one byte, on or off; so are the others of the class.
    pub const RX_PROMISC: u8 = 0;
    /// VIRTIO_NET_CTRL_RX_ALLMULTI.
    pub const RX_ALLMULTI: u8 = 1;
    /// VIRTIO_NET_CTRL_RX_ALLUNI.
    pub const RX_ALLUNI: u8 = 2;
    /// VIRTIO_NET_CTRL_RX_NOMULTI.
    pub const RX_NOMULTI: u8 = 3;
    /// VIRTIO_NET_CTRL_RX_NOUNI.
    pub const RX_NOUNI: u8 = 4;
    /// VIRTIO_NET_CTRL_RX_NOBCAST.
    pub const RX_NOBCAST: u8 = 5;
    /// Class VIRTIO_NET_CTRL_MAC. 5.1.6.5.2
    pub const CLASS_MAC: u8 = 1;
    /// VIRTIO_NET_CTRL_MAC_TABLE_SET: two tables of le32 entries and as many addresses.
    pub const MAC_TABLE_SET: u8 = 0;
    /// VIRTIO_NET_CTRL_MAC_ADDR_SET: six bytes.
    pub const MAC_ADDR_SET: u8 = 1;
    /// Class VIRTIO_NET_CTRL_VLAN. 5.1.6.5.3
    pub const CLASS_VLAN: u8 = 2;
    /// VIRTIO_NET_CTRL_VLAN_ADD: le16 VLAN id.
    pub const VLAN_ADD: u8 = 0;
    /// VIRTIO_NET_CTRL_VLAN_DEL: le16 VLAN id.
    pub const VLAN_DEL: u8 = 1;
    /// Class VIRTIO_NET_CTRL_MQ. 5.1.6.5.6
    pub const CLASS_MQ: u8 = 4;
    /// VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET: le16 number of pairs, automatic steering.
    pub const MQ_VQ_PAIRS_SET: u8 = 0;
    /// VIRTIO_NET_CTRL_MQ_RSS_CONFIG: `struct virtio_net_rss_config`.
    pub const MQ_RSS_CONFIG: u8 = 1;
    /// VIRTIO_NET_CTRL_MQ_HASH_CONFIG: `struct virtio_net_hash_config`. 5.1.6.5.6.4
    pub const MQ_HASH_CONFIG: u8 = 2;
    /// Class VIRTIO_NET_CTRL_ANNOUNCE. 5.1.6.5.4
    pub const CLASS_ANNOUNCE: u8 = 3;
    /// VIRTIO_NET_CTRL_ANNOUNCE_ACK: no data.
    pub const ANNOUNCE_ACK: u8 = 0;
    /// Class VIRTIO_NET_CTRL_GUEST_OFFLOADS. 5.1.6.5.8
    pub const CLASS_GUEST_OFFLOADS: u8 = 5;
    /// VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET: le64, a bit for each offload that is to be on.
    pub const GUEST_OFFLOADS_SET: u8 = 0;
    /// Class VIRTIO_NET_CTRL_STATS. 1.4, 5.1.6.5.10
    pub const CLASS_STATS: u8 = 8;
    /// VIRTIO_NET_CTRL_STATS_QUERY: which types there are, le64.
    pub const STATS_QUERY: u8 = 0;
    /// VIRTIO_NET_CTRL_STATS_GET: `struct virtio_net_ctrl_queue_stats`.
    pub const STATS_GET: u8 = 1;
    /// Class VIRTIO_NET_CTRL_NOTF_COAL. 5.1.6.5.9
    pub const CLASS_NOTF_COAL: u8 = 6;
    /// VIRTIO_NET_CTRL_NOTF_COAL_TX_SET: `struct virtio_net_ctrl_coal` for all transmit queues.
    pub const NOTF_COAL_TX_SET: u8 = 0;
    /// VIRTIO_NET_CTRL_NOTF_COAL_RX_SET: the same for all receive queues.
    pub const NOTF_COAL_RX_SET: u8 = 1;
    /// VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET: `struct virtio_net_ctrl_coal_vq`, for one queue.
    pub const NOTF_COAL_VQ_SET: u8 = 2;
    /// VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET: what holds for one queue.
    pub const NOTF_COAL_VQ_GET: u8 = 3;
}

/// Types of device statistics, as bit numbers and as `type` of a reply (1.4, 5.1.6.5.10).
pub mod stats {
    /// Bytes of `struct virtio_net_stats_reply_hdr`.
    pub const HEADER_LEN: usize = 8;
    /// VIRTIO_NET_STATS_TYPE_RX_BASIC: of every receive queue.
    pub const RX_BASIC: u8 = 0;
    /// VIRTIO_NET_STATS_TYPE_RX_CSUM: with VIRTIO_NET_F_GUEST_CSUM.
    pub const RX_CSUM: u8 = 1;
    /// VIRTIO_NET_STATS_TYPE_RX_SPEED: of every receive queue.
    pub const RX_SPEED: u8 = 3;
    /// VIRTIO_NET_STATS_TYPE_TX_BASIC: of every transmit queue.
    pub const TX_BASIC: u8 = 16;
    /// VIRTIO_NET_STATS_TYPE_TX_CSUM: with VIRTIO_NET_F_CSUM.
    pub const TX_CSUM: u8 = 17;
    /// VIRTIO_NET_STATS_TYPE_TX_GSO: with VIRTIO_NET_F_HOST_TSO4, _TSO6 or _USO.
    pub const TX_GSO: u8 = 18;
    /// VIRTIO_NET_STATS_TYPE_TX_SPEED: of every transmit queue.
    pub const TX_SPEED: u8 = 19;
    /// VIRTIO_NET_STATS_TYPE_CVQ: of the control queue.
    pub const CVQ: u8 = 32;
}

/// Sizes of RSS (5.1.4, 5.1.6.5.7).
pub mod rss {
    /// Longest key: enough for the longest input, 36 bytes, and a window of 32 bits. The least a device may offer.
    pub const KEY_LEN_MAX: u8 = 40;
    /// Longest indirection table. The least a device may offer.
    pub const TABLE_LEN_MAX: u16 = 128;
}

/// Numbers of Ethernet (IEEE 802.3, 802.1Q).
pub mod ethernet {
    /// Addresses and type.
    pub const HEADER_LEN: usize = 14;
    /// One 802.1Q or 802.1ad tag.
    pub const TAG_LEN: usize = 4;
    /// Tags a frame may carry beyond the MTU.
    pub const TAGS_MAX: usize = 2;
    /// Type of an 802.1Q tag.
    pub const TYPE_8021Q: u16 = 0x8100;
    /// Type of an 802.1ad tag.
    pub const TYPE_8021AD: u16 = 0x88a8;
    /// Type of IPv4.
    pub const TYPE_IPV4: u16 = 0x0800;
    /// Type of IPv6.
    pub const TYPE_IPV6: u16 = 0x86dd;
    /// Shortest frame without FCS.
    pub const FRAME_LEN_MIN: usize = 60;
    /// Frame check sequence.
    pub const FCS_LEN: u64 = 4;
    /// Longest frame that is to be segmented: header, two tags, IPv6 header and 65535 bytes (5.1.6.3).
    pub const SEGMENTED_LEN_MAX: usize = HEADER_LEN + TAGS_MAX * TAG_LEN + 40 + 65535;
    /// Preamble and start delimiter.
    pub const PREAMBLE_LEN: u64 = 8;
    /// Gap between frames.
    pub const GAP_LEN: u64 = 12;
}
