//! The driver's transport over vhost-user: a NIC in another process, one queue pair at a time.
//!
//! A [`Link`] is the connection to a back-end, shared memory that both sides map, and an event descriptor
//! per queue and direction. Of it come [`Lane`]s, each the [`Transport`] of one queue pair, so that a driver
//! of one pair can work in each of several threads. What a PCI device has in registers and a back-end has
//! not (status, vectors, most of the configuration) is kept here.
//!
//! Contract: rings and buffers lie in the link's memory; addresses are offsets from [`BASE`], for the
//! guest's and for the front-end's alike. Features are agreed once, by the first lane; the others must
//! want the same. A back-end that goes away, or answers in more than [`PATIENCE`], is [`TransportError::Lost`],
//! and its lanes then read as a PCI device that was pulled out.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use vhost::vhost_user::message::{
    VhostUserConfigFlags, VhostUserProtocolFeatures as Protocol, VhostUserVirtioFeatures as Virtio,
};
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use vm_memory::{FileOffset, GuestAddress, GuestRegionMmap};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::dma::{DmaError, DmaRegion, REGION_ALIGN};
use crate::spec;
use crate::transport::{QueueSetup, Transport, TransportError};

/// Address of the first byte of shared memory, as the device sees it.
pub const BASE: u64 = 0x1_0000_0000;

/// How long an answer of the back-end may take.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Vectors of a lane: 1 is that of its receive queue, 0 of all that has none: configuration changes, which
/// vhost-user does not have, and the transmit queue.
const VECTORS: usize = 2;

/// Why there is no link.
#[derive(Debug)]
pub enum LinkError {
    /// Nobody listens there, or not for us.
    Connect {
        /// Where.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Shared memory or event descriptors cannot be had.
    System {
        /// What for.
        what: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// The back-end refuses or does not answer.
    Refused {
        /// What was asked.
        what: &'static str,
        /// What the library says.
        error: String,
    },
    /// The back-end has fewer queue pairs.
    Pairs {
        /// As many were wanted.
        wanted: u16,
        /// As many there are.
        has: u64,
    },
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { path, error } => write!(
                f,
                "cannot connect to {}: {error}; start the back-end first (rxlab nic --socket {0}, or testpmd \
                 with --vdev net_vhost0,iface={0})",
                path.display()
            ),
            Self::System { what, error } => write!(f, "{what}: {error}"),
            Self::Refused { what, error } => write!(f, "the back-end refuses {what}: {error}"),
            Self::Pairs { wanted, has } => {
                write!(f, "the back-end has {has} queue pairs, {wanted} are wanted: ask for fewer")
            }
        }
    }
}

impl std::error::Error for LinkError {}

/// A connection to a back-end.
pub struct Link {
    shared: Arc<Shared>,
    pairs: u16,
}

struct Shared {
    front_end: Mutex<Frontend>,
    lost: AtomicBool,
    offered: u64,
    config: [u8; CONFIG_LEN],
    /// The features agreed on, once they are.
    agreed: Mutex<Option<u64>>,
    region: Arc<GuestRegionMmap>,
    /// The library's list of regions wants it.
    file: Arc<File>,
    pairs: u16,
}

/// Bytes of the configuration space (virtio 1.x 5.1.4).
const CONFIG_LEN: usize = 24;

impl Link {
    /// Connects to the back-end at `path` for `pairs` queue pairs, and shares `file` with it, which is as
    /// long as the memory that the drivers need together.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub fn connect(path: &Path, pairs: u16, file: File) -> Result<Self, LinkError> {
        let connect = |error| LinkError::Connect { path: path.into(), error };
        let stream = UnixStream::connect(path).map_err(connect)?;
        Self::over(stream, pairs, file)
    }

    /// The same over a stream that is connected.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub fn over(stream: UnixStream, pairs: u16, file: File) -> Result<Self, LinkError> {
        let system = |what: &'static str| move |error: io::Error| LinkError::System { what, error };
        stream.set_read_timeout(Some(PATIENCE)).map_err(system("the socket"))?;
        let len = file.metadata().map_err(system("shared memory"))?.len() as usize;
        let file = Arc::new(file);
        let offset = FileOffset::from_arc(Arc::clone(&file), 0);
        let region = GuestRegionMmap::from_range(GuestAddress(BASE), len, Some(offset)).map_err(
            |error| LinkError::System { what: "shared memory", error: io::Error::other(error) },
        )?;
        let mut front_end = Frontend::from_stream(stream, 2 * u64::from(pairs));
        front_end.set_owner().map_err(refused("SET_OWNER"))?;
        let offered = front_end.get_features().map_err(refused("GET_FEATURES"))?;
        let mut config = plain_config(pairs);
        if offered & Virtio::PROTOCOL_FEATURES.bits() != 0 {
            let has =
                front_end.get_protocol_features().map_err(refused("GET_PROTOCOL_FEATURES"))?;
            let wanted = Protocol::MQ | Protocol::REPLY_ACK | Protocol::CONFIG;
            front_end
                .set_protocol_features(has & wanted)
                .map_err(refused("SET_PROTOCOL_FEATURES"))?;
            // GET_QUEUE_NUM counts pairs for a network device, and the library takes it for vrings: so it is
            // not asked. A back-end with fewer refuses what it has not.
            if pairs > 1 && !has.contains(Protocol::MQ) {
                return Err(LinkError::Pairs { wanted: pairs, has: 1 });
            }
            if has.contains(Protocol::CONFIG) {
                // A back-end may offer the message and answer with nothing; then the plain one does.
                let asked = front_end.get_config(
                    0,
                    CONFIG_LEN as u32,
                    VhostUserConfigFlags::empty(),
                    &[0; CONFIG_LEN],
                );
                if let Ok((_, bytes)) = asked
                    && bytes.len() == CONFIG_LEN
                {
                    config.copy_from_slice(&bytes);
                    let has = u64::from(u16::from_le_bytes([bytes[8], bytes[9]]));
                    if has > 0 && has < u64::from(pairs) {
                        return Err(LinkError::Pairs { wanted: pairs, has });
                    }
                }
            }
        } else if pairs > 1 {
            return Err(LinkError::Pairs { wanted: pairs, has: 1 });
        }
        let shared = Shared {
            front_end: Mutex::new(front_end),
            lost: AtomicBool::new(false),
            offered,
            config,
            agreed: Mutex::new(None),
            region: Arc::new(region),
            file,
            pairs,
        };
        Ok(Self { shared: Arc::new(shared), pairs })
    }

    /// The lanes, in order, each with an equal part of the shared memory.
    ///
    /// # Errors
    /// Event descriptors cannot be had, or the memory cannot be divided.
    pub fn lanes(&self) -> Result<Vec<(Lane, DmaRegion)>, LinkError> {
        let len = self.shared.region.size() as u64 / u64::from(self.pairs);
        let len = len - len % REGION_ALIGN;
        (0..self.pairs)
            .map(|pair| {
                let start = BASE + u64::from(pair) * len;
                let memory = DmaRegion::part(Arc::clone(&self.shared.region), start, len).map_err(
                    |error: DmaError| LinkError::System {
                        what: "shared memory",
                        error: io::Error::other(error.to_string()),
                    },
                )?;
                Ok((Lane::new(Arc::clone(&self.shared), pair)?, memory))
            })
            .collect()
    }
}

fn refused(what: &'static str) -> impl Fn(vhost::Error) -> LinkError {
    move |error| LinkError::Refused { what, error: error.to_string() }
}

/// What a device with `pairs` queue pairs says that says nothing itself: link up, an MTU of 1500.
fn plain_config(pairs: u16) -> [u8; CONFIG_LEN] {
    let mut config = [0; CONFIG_LEN];
    // A locally administered address.
    config[..6].copy_from_slice(&[0x02, 0, 0, 0, 0, 1]);
    config[6] = 1;
    config[8..10].copy_from_slice(&pairs.to_le_bytes());
    config[10..12].copy_from_slice(&1500_u16.to_le_bytes());
    config
}

/// The transport of one queue pair: virtqueue 0 receives, 1 transmits.
pub struct Lane {
    shared: Arc<Shared>,
    pair: u16,
    status: u8,
    features: u64,
    queues: [Queue; 2],
    /// By vector; nobody listens to the first.
    calls: Vec<EventFd>,
    masked: [bool; VECTORS],
}

#[derive(Default)]
struct Queue {
    kick: Option<EventFd>,
    runs: bool,
}

impl Lane {
    fn new(shared: Arc<Shared>, pair: u16) -> Result<Self, LinkError> {
        let calls = (0..VECTORS).map(|_| EventFd::new(EFD_NONBLOCK)).collect::<io::Result<_>>();
        let calls =
            calls.map_err(|error| LinkError::System { what: "event descriptors", error })?;
        Ok(Self {
            shared,
            pair,
            status: 0,
            features: 0,
            queues: Default::default(),
            calls,
            masked: [false; VECTORS],
        })
    }

    /// Readable when the device has interrupted by `vector`; see [`Lane::take_interrupt`].
    ///
    /// # Panics
    /// If there is no such vector: there are 0 and 1.
    #[must_use]
    pub fn call(&self, vector: u16) -> &EventFd {
        &self.calls[usize::from(vector)]
    }

    /// Whether the device has interrupted by `vector` since the last call, and the vector is not masked. One
    /// that is masked stays pending.
    pub fn take_interrupt(&self, vector: u16) -> bool {
        !self.masked[usize::from(vector)] && self.calls[usize::from(vector)].read().is_ok()
    }

    /// The virtqueue as the back-end counts it.
    fn index(&self, queue: u16) -> usize {
        2 * usize::from(self.pair) + usize::from(queue)
    }

    fn front_end(&self) -> MutexGuard<'_, Frontend> {
        self.shared.front_end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the back-end has gone, if it has.
    fn lost<T, E>(&self, what: &'static str, result: Result<T, E>) -> Result<T, TransportError> {
        result.map_err(|_| {
            self.shared.lost.store(true, Ordering::Relaxed);
            TransportError::Lost { why: what }
        })
    }

    fn is_lost(&self) -> bool {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Agrees on the features: the first lane for all.
    fn agree(&self) -> Result<(), TransportError> {
        let mut agreed = self.shared.agreed.lock().unwrap_or_else(PoisonError::into_inner);
        match *agreed {
            Some(features) if features == self.features => return Ok(()),
            Some(_) => {
                return Err(TransportError::QueueRefused {
                    queue: 0,
                    why: "another lane has agreed on other features",
                });
            }
            None => {}
        }
        let Shared { region, file, offered, pairs, .. } = &*self.shared;
        let mut features = self.features | offered & Virtio::PROTOCOL_FEATURES.bits();
        if *pairs > 1 {
            features |= offered & spec::NET_F_MQ;
        }
        let regions = [VhostUserMemoryRegionInfo {
            guest_phys_addr: BASE,
            memory_size: region.size() as u64,
            userspace_addr: BASE,
            mmap_offset: 0,
            mmap_handle: file.as_raw_fd(),
        }];
        let front_end = self.front_end();
        self.lost("SET_FEATURES", front_end.set_features(features))?;
        self.lost("SET_MEM_TABLE", front_end.set_mem_table(&regions))?;
        *agreed = Some(self.features);
        Ok(())
    }

    fn set_up(&mut self, queue: u16, setup: &QueueSetup) -> Result<(), TransportError> {
        self.agree()?;
        let index = self.index(queue);
        let addresses = VringConfigData {
            queue_max_size: setup.size,
            queue_size: setup.size,
            flags: 0,
            desc_table_addr: setup.descriptor_table,
            used_ring_addr: setup.used_ring,
            avail_ring_addr: setup.available_ring,
            log_addr: None,
        };
        // The wrap counter of a packed ring starts as 1.
        let base = if self.features & spec::F_RING_PACKED != 0 { 1 << 15 } else { 0 };
        let call = &self.calls[usize::from(setup.vector.unwrap_or_default())];
        let front_end = self.front_end();
        self.lost("SET_VRING_NUM", front_end.set_vring_num(index, setup.size))?;
        self.lost("SET_VRING_BASE", front_end.set_vring_base(index, base))?;
        self.lost("SET_VRING_ADDR", front_end.set_vring_addr(index, &addresses))?;
        self.lost("SET_VRING_CALL", front_end.set_vring_call(index, call))
    }

    fn start(&mut self, queue: u16) -> Result<(), TransportError> {
        let kick = self.lost("a kick descriptor", EventFd::new(EFD_NONBLOCK))?;
        let index = self.index(queue);
        let mut front_end = self.front_end();
        self.lost("SET_VRING_KICK", front_end.set_vring_kick(index, &kick))?;
        if self.shared.offered & Virtio::PROTOCOL_FEATURES.bits() != 0 {
            self.lost("SET_VRING_ENABLE", front_end.set_vring_enable(index, true))?;
        }
        drop(front_end);
        self.queues[usize::from(queue)] = Queue { kick: Some(kick), runs: true };
        Ok(())
    }

    fn stop(&mut self, queue: u16) -> Result<(), TransportError> {
        let of = &mut self.queues[usize::from(queue)];
        if !std::mem::take(&mut of.runs) {
            return Ok(());
        }
        of.kick = None;
        let index = self.index(queue);
        let front_end = self.front_end();
        self.lost("GET_VRING_BASE", front_end.get_vring_base(index)).map(|_| ())
    }
}

impl Transport for Lane {
    fn device_features(&mut self) -> u64 {
        // What goes by command does not exist without a control queue, pairs are the link's affair, and
        // there is no IOMMU here whose translations the back-end could ask for.
        self.shared.offered & !(spec::NET_F_MQ | spec::NET_F_CTRL_VQ | spec::F_ACCESS_PLATFORM)
    }

    fn set_driver_features(&mut self, features: u64) {
        self.features = features;
    }

    fn status(&mut self) -> u8 {
        if self.is_lost() { spec::STATUS_GONE } else { self.status }
    }

    fn set_status(&mut self, status: u8) {
        if status == 0 {
            for queue in 0..2 {
                // One that cannot be stopped belongs to a back-end that has gone.
                let _ = self.stop(queue);
            }
        }
        self.status = status;
    }

    fn config_generation(&mut self) -> u8 {
        0
    }

    fn read_config(&mut self, offset: u32, out: &mut [u8]) {
        for (byte, at) in out.iter_mut().zip(offset as usize..) {
            *byte = self.shared.config.get(at).copied().unwrap_or(0);
        }
    }

    fn num_queues(&mut self) -> u16 {
        2
    }

    fn queue_max_size(&mut self, queue: u16) -> u16 {
        // A back-end does not say; one that has less refuses.
        if queue < 2 { 32_768 } else { 0 }
    }

    fn setup_queue(&mut self, queue: u16, setup: &QueueSetup) -> Result<(), TransportError> {
        if queue >= 2 {
            return Err(TransportError::QueueRefused { queue, why: "a lane has two" });
        }
        if let Some(vector) = setup.vector.filter(|vector| usize::from(*vector) >= VECTORS) {
            return Err(TransportError::VectorRefused { vector, why: "a lane has two" });
        }
        self.set_up(queue, setup)
    }

    fn enable_queue(&mut self, queue: u16) -> Result<(), TransportError> {
        self.start(queue)
    }

    fn reset_queue(&mut self, queue: u16) -> Result<(), TransportError> {
        self.stop(queue)
    }

    fn queue_resetting(&mut self, _queue: u16) -> bool {
        false
    }

    fn set_config_vector(&mut self, _vector: Option<u16>) -> Result<(), TransportError> {
        Ok(())
    }

    fn set_vector_masked(&mut self, vector: u16, masked: bool) {
        if let Some(state) = self.masked.get_mut(usize::from(vector)) {
            *state = masked;
        }
    }

    fn notify(&mut self, queue: u16) {
        let kick = self.queues.get(usize::from(queue)).and_then(|of| of.kick.as_ref());
        if let Some(kick) = kick {
            // Full means that the device has enough of them to look at.
            let _ = kick.write(1);
        }
    }
}
