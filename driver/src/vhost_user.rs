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
use std::os::fd::{AsRawFd, BorrowedFd};
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

/// Vector of a lane's receive queue. Vector 0 is that of configuration changes, which vhost-user does not
/// have.
const VECTORS: usize = 3;

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
        let region = GuestRegionMmap::from_range(GuestAddress(BASE), len, Some(offset))
            .map_err(|error| LinkError::System { what: "shared memory", error: io::Error::other(error) })?;
        let refused = |what: &'static str| move |error: vhost::Error| LinkError::Refused { what, error: error.to_string() };
        let user = |what: &'static str| {
            move |error: vhost::vhost_user::Error| LinkError::Refused { what, error: error.to_string() }
        };
        let mut front_end = Frontend::from_stream(stream, 2 * u64::from(pairs));
        front_end.set_owner().map_err(refused("SET_OWNER"))?;
        let offered = front_end.get_features().map_err(refused("GET_FEATURES"))?;
        let mut config = plain_config(pairs);
        if offered & Virtio::PROTOCOL_FEATURES.bits() != 0 {
            let has = front_end.get_protocol_features().map_err(refused_user(&user, "GET_PROTOCOL_FEATURES"))?;
            let wanted = Protocol::MQ | Protocol::REPLY_ACK | Protocol::CONFIG;
            front_end
                .set_protocol_features(has & wanted)
                .map_err(refused_user(&user, "SET_PROTOCOL_FEATURES"))?;
            if pairs > 1 {
                let has = match has.contains(Protocol::MQ) {
                    true => front_end.get_queue_num().map_err(refused_user(&user, "GET_QUEUE_NUM"))?,
                    false => 1,
                };
                if has < u64::from(pairs) {
                    return Err(LinkError::Pairs { wanted: pairs, has });
                }
            }
            if has.contains(Protocol::CONFIG) {
                // A back-end may offer the message and answer with nothing; then the plain one does.
                let asked = front_end.get_config(0, CONFIG_LEN as u32, VhostUserConfigFlags::empty(), &[0; CONFIG_LEN]);
                if let Ok((_, bytes)) = asked
                    && bytes.len() == CONFIG_LEN
                {
                    config.copy_from_slice(&bytes);
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
                let memory = DmaRegion::part(Arc::clone(&self.shared.region), start, len)
                    .map_err(|error: DmaError| LinkError::System {
                        what: "shared memory",
                        error: io::Error::other(error.to_string()),
                    })?;
                Ok((Lane::new(Arc::clone(&self.shared), pair)?, memory))
            })
            .collect()
    }

    /// Whether the back-end has gone.
    pub fn is_lost(&self) -> bool {
        self.shared.lost.load(Ordering::Relaxed)
    }
}

fn refused_user<'a>(
    _: &'a impl Fn(&'static str),
    what: &'static str,
) -> impl Fn(vhost::vhost_user::Error) -> LinkError + 'a {
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
