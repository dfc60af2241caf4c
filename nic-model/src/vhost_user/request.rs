//! The messages of a vhost-user front-end, taken apart.
//!
//! Contract: [`Header::parse`] and [`Request::parse`] are pure. What they accept has the size, the number of
//! file descriptors and the fields that its definition in the vhost-user specification allows; whether it
//! fits the session is the session's affair. The types of the bodies are those of the `vhost` crate.

use vhost::vhost_user::message::{
    FrontendReq, MAX_MSG_SIZE, VhostUserConfig, VhostUserHeaderFlag, VhostUserInflight,
    VhostUserLog, VhostUserMemory, VhostUserMemoryRegion, VhostUserMsgValidator,
    VhostUserSingleMemoryRegion, VhostUserVringAddr, VhostUserVringState,
};
use vm_memory::ByteValued;

use super::error::MessageError;

/// Bytes of a header: request, flags, size of the body, 4 each.
pub const HEADER_LEN: usize = 12;

/// Most regions of one SET_MEM_TABLE: what the specification allows without CONFIGURE_MEM_SLOTS.
pub const TABLE_REGIONS_MAX: usize = 8;

/// Bits 0 to 7 of SET_VRING_KICK, CALL and ERR.
const VRING_MASK: u64 = 0xff;
/// No file descriptor comes with it.
const NO_FD: u64 = 0x100;

/// The header of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What is asked.
    pub request: FrontendReq,
    /// The front-end waits for an answer also where there is none by itself.
    pub need_reply: bool,
    /// Bytes of the body, at most [`MAX_MSG_SIZE`].
    pub size: usize,
}

impl Header {
    /// Takes a header apart.
    ///
    /// # Errors
    /// It is not one of a request that a front-end of a network device may send.
    pub fn parse(bytes: &[u8; HEADER_LEN]) -> Result<Self, MessageError> {
        let word = |at: usize| {
            u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let (code, flags, size) = (word(0), word(4), word(8) as usize);
        let version = flags & VhostUserHeaderFlag::VERSION.bits();
        if version != 1 {
            return Err(MessageError::Version(version));
        }
        let request = FrontendReq::try_from(code).map_err(|_| MessageError::Unknown(code))?;
        if flags & VhostUserHeaderFlag::RESERVED_BITS.bits() != 0 {
            return Err(MessageError::Flags(flags));
        }
        if flags & VhostUserHeaderFlag::REPLY.bits() != 0 {
            return Err(MessageError::Reply(request));
        }
        if size > MAX_MSG_SIZE {
            return Err(MessageError::Size { request, size, expected: "4096 at most" });
        }
        let need_reply = flags & VhostUserHeaderFlag::NEED_REPLY.bits() != 0;
        Ok(Self { request, need_reply, size })
    }
}

/// What a front-end asks. File descriptors that belong to it lie beside it, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Which virtio features the device offers.
    GetFeatures,
    /// Those that the driver chose.
    SetFeatures(u64),
    /// The session begins.
    SetOwner,
    /// Deprecated: all vrings stop.
    ResetOwner,
    /// All memory, anew. One file descriptor per region.
    SetMemTable(Vec<Region>),
    /// One region more, with its file descriptor.
    AddMemReg(Region),
    /// One region less.
    RemMemReg(Region),
    /// How many regions there may be.
    GetMaxMemSlots,
    /// Where dirty pages are logged, with a file descriptor.
    SetLogBase {
        /// Bytes of the log.
        size: u64,
        /// Where in the file it begins.
        offset: u64,
    },
    /// Signalled when something was logged, with a file descriptor.
    SetLogFd,
    /// Entries of a vring.
    SetVringNum {
        /// Which vring.
        index: u32,
        /// As many.
        entries: u32,
    },
    /// Where the parts of a vring are.
    SetVringAddr(Addresses),
    /// Where a vring goes on.
    SetVringBase {
        /// Which vring.
        index: u32,
        /// In the encoding of its format.
        base: u32,
    },
    /// A vring stops; where it would have gone on is the answer.
    GetVringBase {
        /// Which vring.
        index: u32,
    },
    /// A vring starts; with a file descriptor unless it is to be polled.
    SetVringKick(VringFd),
    /// How the device interrupts.
    SetVringCall(VringFd),
    /// How the device reports an error.
    SetVringErr(VringFd),
    /// Which protocol features the back-end offers.
    GetProtocolFeatures,
    /// Those that the front-end chose.
    SetProtocolFeatures(u64),
    /// How many queues there are: pairs, for a network device.
    GetQueueNum,
    /// Frames may flow on a vring, or not.
    SetVringEnable {
        /// Which vring.
        index: u32,
        /// They may.
        enable: bool,
    },
    /// The guest has moved here: tell the network, with this address.
    SendRarp([u8; 6]),
    /// The MTU that the guest was told.
    NetSetMtu(u64),
    /// The connection for messages the other way, as a file descriptor.
    SetBackendReqFd,
    /// A translation comes, or goes.
    Iotlb(Iotlb),
    /// A vring's byte order.
    SetVringEndian {
        /// Which vring.
        index: u32,
        /// Big-endian.
        big: bool,
    },
    /// A part of the configuration space.
    GetConfig {
        /// First byte.
        offset: u32,
        /// How many.
        size: u32,
        /// As the front-end set them.
        flags: u32,
    },
    /// Bytes for the configuration space.
    SetConfig {
        /// First byte.
        offset: u32,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A file in which chains in flight are noted, for such vrings.
    GetInflightFd(Inflight),
    /// That file of an earlier session, with its file descriptor.
    SetInflightFd(Inflight),
    /// The device begins anew.
    ResetDevice,
    /// The driver's device status.
    SetStatus(u8),
    /// The same, asked for.
    GetStatus,
}

/// A region of guest memory in the front-end's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Where the guest sees it.
    pub guest: u64,
    /// Bytes.
    pub size: u64,
    /// Where the front-end sees it.
    pub user: u64,
    /// Where in the file it begins.
    pub offset: u64,
}

/// Where the parts of a vring are, in the front-end's addresses (or the driver's, with an IOMMU).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Which vring.
    pub index: u32,
    /// What is written to the used ring is logged, at `log`.
    pub logs: bool,
    /// Descriptor table, or packed ring.
    pub descriptors: u64,
    /// Used ring, or the device's event suppression.
    pub used: u64,
    /// Available ring, or the driver's event suppression.
    pub available: u64,
    /// Guest-physical address of the used ring.
    pub log: u64,
}

/// A vring, and whether a file descriptor comes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VringFd {
    /// Which vring.
    pub index: u32,
    /// One does.
    pub has_fd: bool,
}

/// A translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Iotlb {
    /// Where the device sees it.
    pub iova: u64,
    /// Bytes.
    pub size: u64,
    /// Where the front-end sees it.
    pub user: u64,
    /// Bit 0: the device may read; bit 1: write.
    pub perm: u8,
    /// 1 miss, 2 update, 3 invalidate, 4 access failed.
    pub kind: u8,
}

/// Bytes of an [`Iotlb`]: three times 8, two times 1, filled up to 8.
pub const IOTLB_LEN: usize = 32;

/// A file for chains in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inflight {
    /// Bytes.
    pub size: u64,
    /// Where in the file it begins.
    pub offset: u64,
    /// Vrings in it.
    pub queues: u16,
    /// Entries of each.
    pub entries: u16,
}

impl Request {
    /// Takes a message apart, with so many file descriptors beside it.
    ///
    /// # Errors
    /// It is not what the specification says.
    pub fn parse(header: &Header, body: &[u8], fds: usize) -> Result<Self, MessageError> {
        use FrontendReq as Is;
        let message = Message { request: header.request, body, fds };
        let parsed = match header.request {
            Is::GET_FEATURES => message.empty(Self::GetFeatures),
            Is::SET_FEATURES => message.number().map(Self::SetFeatures),
            Is::SET_OWNER => message.empty(Self::SetOwner),
            Is::RESET_OWNER => message.empty(Self::ResetOwner),
            Is::SET_MEM_TABLE => return message.memory_table().map(Self::SetMemTable),
            Is::ADD_MEM_REG => {
                let region = message.single_region()?;
                return message.with_fds(1, "1", Self::AddMemReg(region));
            }
            // QEMU sends the file descriptor here too; it is closed.
            Is::REM_MEM_REG => {
                let region = message.single_region()?;
                return message.with_fds(fds.min(1), "0 or 1", Self::RemMemReg(region));
            }
            Is::GET_MAX_MEM_SLOTS => message.empty(Self::GetMaxMemSlots),
            Is::SET_LOG_BASE => {
                let log: VhostUserLog = message.body("16")?;
                let base = Self::SetLogBase { size: log.mmap_size, offset: log.mmap_offset };
                return message.with_fds(1, "1", base);
            }
            Is::SET_LOG_FD => return message.with_fds(1, "1", Self::SetLogFd),
            Is::SET_VRING_NUM => message
                .state()
                .map(|state| Self::SetVringNum { index: state.index, entries: state.num }),
            Is::SET_VRING_ADDR => message.addresses().map(Self::SetVringAddr),
            Is::SET_VRING_BASE => message
                .state()
                .map(|state| Self::SetVringBase { index: state.index, base: state.num }),
            Is::GET_VRING_BASE => {
                message.state().map(|state| Self::GetVringBase { index: state.index })
            }
            Is::SET_VRING_KICK => return message.vring_fd().map(Self::SetVringKick),
            Is::SET_VRING_CALL => return message.vring_fd().map(Self::SetVringCall),
            Is::SET_VRING_ERR => return message.vring_fd().map(Self::SetVringErr),
            Is::GET_PROTOCOL_FEATURES => message.empty(Self::GetProtocolFeatures),
            Is::SET_PROTOCOL_FEATURES => message.number().map(Self::SetProtocolFeatures),
            Is::GET_QUEUE_NUM => message.empty(Self::GetQueueNum),
            Is::SET_VRING_ENABLE => {
                let state = message.state()?;
                message
                    .flag("num", state.num)
                    .map(|enable| Self::SetVringEnable { index: state.index, enable })
            }
            Is::SEND_RARP => message.number().map(|mac| {
                let [a, b, c, d, e, f, ..] = mac.to_le_bytes();
                Self::SendRarp([a, b, c, d, e, f])
            }),
            Is::NET_SET_MTU => message.number().map(Self::NetSetMtu),
            Is::SET_BACKEND_REQ_FD => return message.with_fds(1, "1", Self::SetBackendReqFd),
            Is::IOTLB_MSG => Iotlb::parse(body).ok_or_else(|| message.size("32")).map(Self::Iotlb),
            Is::SET_VRING_ENDIAN => {
                let state = message.state()?;
                message
                    .flag("num", state.num)
                    .map(|big| Self::SetVringEndian { index: state.index, big })
            }
            Is::GET_CONFIG | Is::SET_CONFIG => message.config(),
            Is::GET_INFLIGHT_FD => message.inflight().map(Self::GetInflightFd),
            Is::SET_INFLIGHT_FD => {
                let inflight = message.inflight()?;
                return message.with_fds(1, "1", Self::SetInflightFd(inflight));
            }
            Is::RESET_DEVICE => message.empty(Self::ResetDevice),
            Is::SET_STATUS => {
                let status = message.number()?;
                let status = u8::try_from(status)
                    .map_err(|_| message.field("status", status, "one byte"))?;
                Ok(Self::SetStatus(status))
            }
            Is::GET_STATUS => message.empty(Self::GetStatus),
            other => return Err(MessageError::Unknown(other.into())),
        };
        parsed.and_then(|request| message.with_fds(0, "none", request))
    }
}

impl Iotlb {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; IOTLB_LEN] = bytes.try_into().ok()?;
        let word = |at: usize| first::<u64>(&bytes[at..]);
        let (iova, size, user) = (word(0)?, word(8)?, word(16)?);
        Some(Self { iova, size, user, perm: bytes[24], kind: bytes[25] })
    }

    /// As it is sent.
    #[must_use]
    pub fn bytes(&self) -> [u8; IOTLB_LEN] {
        let mut bytes = [0; IOTLB_LEN];
        bytes[..8].copy_from_slice(&self.iova.to_ne_bytes());
        bytes[8..16].copy_from_slice(&self.size.to_ne_bytes());
        bytes[16..24].copy_from_slice(&self.user.to_ne_bytes());
        (bytes[24], bytes[25]) = (self.perm, self.kind);
        bytes
    }
}

/// A message that is being taken apart.
#[derive(Clone, Copy)]
struct Message<'a> {
    request: FrontendReq,
    body: &'a [u8],
    fds: usize,
}

impl Message<'_> {
    fn size(self, expected: &'static str) -> MessageError {
        MessageError::Size { request: self.request, size: self.body.len(), expected }
    }

    fn field(self, field: &'static str, value: u64, allowed: &'static str) -> MessageError {
        MessageError::Field { request: self.request, field, value, allowed }
    }

    fn empty(self, request: Request) -> Result<Request, MessageError> {
        // The specification has no body here; what comes all the same is not looked at.
        match self.body.len() {
            0 | 8 => Ok(request),
            _ => Err(self.size("none")),
        }
    }

    fn with_fds(
        self,
        count: usize,
        expected: &'static str,
        request: Request,
    ) -> Result<Request, MessageError> {
        match self.fds == count {
            true => Ok(request),
            false => {
                Err(MessageError::Descriptors { request: self.request, count: self.fds, expected })
            }
        }
    }

    /// The body, if it is exactly as long as the type.
    fn body<T: ByteValued + Default>(self, expected: &'static str) -> Result<T, MessageError> {
        first(self.body)
            .filter(|_| self.body.len() == size_of::<T>())
            .ok_or_else(|| self.size(expected))
    }

    fn number(self) -> Result<u64, MessageError> {
        self.body("8")
    }

    fn state(self) -> Result<VhostUserVringState, MessageError> {
        self.body("8")
    }

    fn flag(self, field: &'static str, value: u32) -> Result<bool, MessageError> {
        match value {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.field(field, other.into(), "0 or 1")),
        }
    }

    fn addresses(self) -> Result<Addresses, MessageError> {
        let addr: VhostUserVringAddr = self.body("40")?;
        if addr.flags > 1 {
            return Err(self.field("flags", addr.flags.into(), "bit 0 (VHOST_VRING_F_LOG)"));
        }
        Ok(Addresses {
            index: addr.index,
            logs: addr.flags == 1,
            descriptors: addr.descriptor,
            used: addr.used,
            available: addr.available,
            log: addr.log,
        })
    }

    fn vring_fd(self) -> Result<VringFd, MessageError> {
        let value = self.number()?;
        if value & !(VRING_MASK | NO_FD) != 0 {
            return Err(self.field("vring", value, "an index in bits 0 to 7, and bit 8"));
        }
        let has_fd = value & NO_FD == 0;
        if self.fds != usize::from(has_fd) {
            let expected = if has_fd { "1" } else { "none, as bit 8 says" };
            let (request, count) = (self.request, self.fds);
            return Err(MessageError::Descriptors { request, count, expected });
        }
        Ok(VringFd { index: (value & VRING_MASK) as u32, has_fd })
    }

    fn memory_table(self) -> Result<Vec<Region>, MessageError> {
        let table: VhostUserMemory = first(self.body).ok_or_else(|| self.size("8 at least"))?;
        let (count, padding) = (table.num_regions, table.padding1);
        if count as usize > TABLE_REGIONS_MAX || padding != 0 {
            return Err(self.field("nregions", count.into(), "0 to 8, and no padding"));
        }
        let bytes = &self.body[size_of::<VhostUserMemory>()..];
        if bytes.len() != count as usize * size_of::<VhostUserMemoryRegion>() {
            return Err(self.size("8 and 32 per region"));
        }
        let regions = bytes
            .chunks_exact(size_of::<VhostUserMemoryRegion>())
            .map(|bytes| self.region(first(bytes).unwrap_or_default()))
            .collect::<Result<Vec<_>, _>>()?;
        match self.fds == regions.len() {
            true => Ok(regions),
            false => Err(MessageError::Descriptors {
                request: self.request,
                count: self.fds,
                expected: "one per region",
            }),
        }
    }

    fn single_region(self) -> Result<Region, MessageError> {
        let single: VhostUserSingleMemoryRegion = self.body("40")?;
        self.region(*single)
    }

    fn region(self, region: VhostUserMemoryRegion) -> Result<Region, MessageError> {
        let VhostUserMemoryRegion { guest_phys_addr: guest, memory_size: size, .. } = region;
        let VhostUserMemoryRegion { user_addr: user, mmap_offset: offset, .. } = region;
        if size == 0 {
            return Err(self.field("memory size", 0, "1 byte or more"));
        }
        for (field, start) in
            [("guest address", guest), ("user address", user), ("mmap offset", offset)]
        {
            if start.checked_add(size).is_none() {
                return Err(self.field(field, start, "start and size below 2^64"));
            }
        }
        Ok(Region { guest, size, user, offset })
    }

    fn config(self) -> Result<Request, MessageError> {
        let config: VhostUserConfig =
            first(self.body).ok_or_else(|| self.size("12 and the bytes"))?;
        let (offset, size, flags) = (config.offset, config.size, config.flags);
        let bytes = &self.body[size_of::<VhostUserConfig>()..];
        if bytes.len() != size as usize {
            return Err(self.size("12 and as many bytes as its size says"));
        }
        Ok(match self.request {
            FrontendReq::GET_CONFIG => Request::GetConfig { offset, size, flags },
            _ => Request::SetConfig { offset, bytes: bytes.to_vec() },
        })
    }

    fn inflight(self) -> Result<Inflight, MessageError> {
        // The structure is 20 bytes on the wire for some front-ends and 24 with its padding for others.
        let inflight: VhostUserInflight = match self.body.len() {
            20 => {
                let mut padded = [0; size_of::<VhostUserInflight>()];
                padded[..20].copy_from_slice(self.body);
                first(&padded).unwrap_or_default()
            }
            _ => self.body("20 or 24")?,
        };
        if !inflight.is_valid() {
            return Err(self.field("num queues", inflight.num_queues.into(), "1 or more of each"));
        }
        Ok(Inflight {
            size: inflight.mmap_size,
            offset: inflight.mmap_offset,
            queues: inflight.num_queues,
            entries: inflight.queue_size,
        })
    }
}

/// The first bytes, as a `T`.
fn first<T: ByteValued + Default>(bytes: &[u8]) -> Option<T> {
    let mut value = T::default();
    value.as_mut_slice().copy_from_slice(bytes.get(..size_of::<T>())?);
    Some(value)
}
