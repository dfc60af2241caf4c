//! Constants of the virtio specification (1.3; the sections are the same in 1.2 and 1.4), and nothing else.
//!
//! Names follow the specification, shortened where the module name says the rest.

/// Feature bits (5.1.3 for the network device, 6 for the reserved ones).
pub mod feature {
    /// VIRTIO_NET_F_MTU: the device reports its MTU. 5.1.3
    pub const MTU: u64 = 1 << 3;
    /// VIRTIO_NET_F_MAC: the device has a MAC address. 5.1.3
    pub const MAC: u64 = 1 << 5;
    /// VIRTIO_NET_F_STATUS: the configuration space has a link status. 5.1.3
    pub const STATUS: u64 = 1 << 16;
    /// VIRTIO_NET_F_CTRL_VQ: there is a control queue. 5.1.3
    pub const CTRL_VQ: u64 = 1 << 17;
    /// VIRTIO_NET_F_MQ: several queue pairs with automatic steering; needs CTRL_VQ. 5.1.3
    pub const MQ: u64 = 1 << 22;
    /// VIRTIO_F_EVENT_IDX: used_event and avail_event suppress notifications. 6
    pub const EVENT_IDX: u64 = 1 << 29;
    /// VIRTIO_F_VERSION_1: not a legacy device. 6
    pub const VERSION_1: u64 = 1 << 32;
    /// VIRTIO_NET_F_RSS: receive-side scaling; needs CTRL_VQ. 5.1.3
    pub const RSS: u64 = 1 << 60;
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
}

/// Split virtqueues (2.7).
pub mod ring {
    /// VIRTQ_DESC_F_NEXT: the chain goes on at `next`. 2.7.5
    pub const DESC_F_NEXT: u16 = 1;
    /// VIRTQ_DESC_F_WRITE: the device writes this buffer. 2.7.5
    pub const DESC_F_WRITE: u16 = 2;
    /// VIRTQ_DESC_F_INDIRECT: the buffer holds a descriptor table. 2.7.5
    pub const DESC_F_INDIRECT: u16 = 4;
    /// VIRTQ_AVAIL_F_NO_INTERRUPT: the driver wants no interrupt. 2.7.6
    pub const AVAIL_F_NO_INTERRUPT: u16 = 1;
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
    /// Offset of `flags`.
    pub const FLAGS: usize = 0;
    /// Offset of `gso_type`.
    pub const GSO_TYPE: usize = 1;
    /// Offset of `num_buffers`, le16.
    pub const NUM_BUFFERS: usize = 10;
}

/// Control commands (5.1.6.5).
pub mod control {
    /// VIRTIO_NET_OK.
    pub const OK: u8 = 0;
    /// VIRTIO_NET_ERR.
    pub const ERR: u8 = 1;
    /// Class VIRTIO_NET_CTRL_MQ. 5.1.6.5.6
    pub const CLASS_MQ: u8 = 4;
    /// VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET: le16 number of pairs, automatic steering.
    pub const MQ_VQ_PAIRS_SET: u8 = 0;
    /// VIRTIO_NET_CTRL_MQ_RSS_CONFIG: `struct virtio_net_rss_config`.
    pub const MQ_RSS_CONFIG: u8 = 1;
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
    /// Preamble and start delimiter.
    pub const PREAMBLE_LEN: u64 = 8;
    /// Gap between frames.
    pub const GAP_LEN: u64 = 12;
}
