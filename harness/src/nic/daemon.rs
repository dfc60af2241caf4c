//! The daemon: one event loop for the front-end's socket, the control socket and signals.
//!
//! Contract: nothing that comes over either socket ends it; SIGINT, SIGTERM and the command `stop` do, and
//! then every vring has stopped and the account is at rest. SIGUSR1 prints the account and goes on.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use event_manager::{EventManager, EventOps, EventSet, Events, MutEventSubscriber, SubscriberOps};
use nic_model::vhost_user::port::Offer;
use nic_model::vhost_user::server::Server;

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

use super::control;
use super::desk::Desk;
use super::port::Port;
use super::tally::Tally;

/// Where the daemon listens.
#[derive(Clone, Debug)]
pub struct Sockets {
    /// For the front-end.
    pub vhost_user: PathBuf,
    /// For commands.
    pub control: Option<PathBuf>,
}

/// Serves until it is told to stop; what each lane has counted then, at rest. `account` is given the numbers at
/// SIGUSR1.
///
/// # Errors
/// A socket cannot be opened, or the event loop fails.
pub fn run(
    sockets: &Sockets,
    offer: Offer,
    port: Port,
    account: impl Fn(&[Tally]) + Send + Sync + 'static,
) -> Result<Vec<Tally>, DaemonError> {
    let listener = listen(&sockets.vhost_user)?;
    let control = sockets.control.as_deref().map(listen).transpose().inspect_err(|_| {
        // Nobody is served there.
        let _ = std::fs::remove_file(&sockets.vhost_user);
    })?;
    let system = |what: &'static str| move |error: io::Error| DaemonError::System { what, error };
    if let Some(control) = &control {
        control.set_nonblocking(true).map_err(system("the control socket"))?;
    }
    let mut signals = Vec::new();
    for signal in [SIGINT, SIGTERM, SIGUSR1] {
        let (there, here) = UnixStream::pair().map_err(system("signals"))?;
        here.set_nonblocking(true).map_err(system("signals"))?;
        signal_hook::low_level::pipe::register(signal, there).map_err(system("signals"))?;
        signals.push((signal, here));
    }
    // A client's command, and it is over as with a signal.
    let (stop, here) = UnixStream::pair().map_err(system("the command stop"))?;
    here.set_nonblocking(true).map_err(system("the command stop"))?;
    signals.push((SIGTERM, here));
    let server = Server::new(listener, offer, port).map_err(system("the socket"))?;
    let daemon = Daemon {
        server,
        control,
        signals,
        clients: Arc::default(),
        stop: Arc::new(stop),
        account: Arc::new(account),
        ends: false,
    };
    let failed = |error: event_manager::Error| DaemonError::Loop(error.to_string());
    let mut manager = EventManager::<Daemon>::new().map_err(failed)?;
    let daemon = manager.add_subscriber(daemon);
    let tallies = loop {
        manager.run().map_err(failed)?;
        let daemon = manager.subscriber_mut(daemon).map_err(failed)?;
        if daemon.ends {
            daemon.server.hang_up();
            break daemon.server.port.desk().tallies();
        }
    };
    for path in [Some(&sockets.vhost_user), sockets.control.as_ref()].into_iter().flatten() {
        // Somebody may have taken it away already.
        let _ = std::fs::remove_file(path);
    }
    Ok(tallies)
}

/// Why a daemon cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Another process listens there.
    #[error("{path} is in use: another daemon listens there; stop it or give another path")]
    InUse {
        /// Where.
        path: PathBuf,
    },
    /// A socket is there, and nobody can tell whether it is in use.
    #[error(
        "{path} is in use: you may not use that socket, or it is of another kind ({error}); give another path"
    )]
    Others {
        /// Where.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Something that is no socket is there.
    #[error("{path} is there and is no socket: give another path")]
    NoSocket {
        /// Where.
        path: PathBuf,
    },
    /// The path cannot be listened at.
    #[error("cannot listen at {path}: {error}; {}", advice(path, error))]
    Listen {
        /// Where.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The system refuses.
    #[error("{what}: {error}")]
    System {
        /// What for.
        what: &'static str,
        /// What it says.
        error: io::Error,
    },
    /// The event loop fails.
    #[error("the event loop fails: {0}")]
    Loop(String),
}

/// A socket at `path`; one that a dead process has left behind is taken over.
fn listen(path: &Path) -> Result<UnixListener, DaemonError> {
    use std::os::unix::fs::FileTypeExt;
    let path = path.to_path_buf();
    if let Ok(there) = std::fs::symlink_metadata(&path) {
        if !there.file_type().is_socket() {
            return Err(DaemonError::NoSocket { path });
        }
        match UnixStream::connect(&path) {
            Ok(_) => return Err(DaemonError::InUse { path }),
            // Nobody listens there any more; what binding says below is what counts.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                let _ = std::fs::remove_file(&path);
            }
            Err(error) => return Err(DaemonError::Others { path, error }),
        }
    }
    UnixListener::bind(&path).map_err(|error| DaemonError::Listen { path, error })
}

/// What to do about a path that cannot be listened at.
fn advice(path: &Path, error: &io::Error) -> String {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).display();
    match error.kind() {
        io::ErrorKind::NotFound => format!("there is no {folder}: create that folder first"),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            format!("you may not write in {folder}: give a path in a folder of yours")
        }
        io::ErrorKind::NotADirectory => format!("{folder} is no folder: give another path"),
        io::ErrorKind::InvalidInput => {
            "the path of a socket has 107 bytes at most: give a shorter one".into()
        }
        _ => "give another path".into(),
    }
}

/// Whom the numbers are told.
type Account = Arc<dyn Fn(&[Tally]) + Send + Sync>;

struct Daemon {
    server: Server<Port>,
    control: Option<UnixListener>,
    signals: Vec<(i32, UnixStream)>,
    /// Clients of the control socket that are served now, each by a thread of its own.
    clients: Arc<AtomicUsize>,
    /// Written to, it is over.
    stop: Arc<UnixStream>,
    account: Account,
    /// It is to end.
    ends: bool,
}

/// Clients of the control socket at once.
const CLIENTS_MAX: usize = 16;

impl Daemon {
    fn signal(&mut self, at: usize) {
        let (signal, stream) = &mut self.signals[at];
        let mut bytes = [0; 64];
        while stream.read(&mut bytes).is_ok_and(|read| read > 0) {}
        match *signal {
            SIGUSR1 => {
                let account = Arc::clone(&self.account);
                self.apart("account", move |desk| account(&desk.tallies()));
            }
            _ => self.ends = true,
        }
    }

    fn accept(&mut self) {
        let Some(Ok((stream, _))) = self.control.as_ref().map(UnixListener::accept) else { return };
        // A client too many is hung up on.
        if self.clients.load(Ordering::Acquire) >= CLIENTS_MAX {
            return;
        }
        let (clients, stop) = (Arc::clone(&self.clients), Arc::clone(&self.stop));
        clients.fetch_add(1, Ordering::AcqRel);
        let started = self.apart("control", move |desk| {
            control::serve(&stream, desk, || {
                // A daemon that does not hear this has ended.
                let _ = (&*stop).write_all(&[0]);
            });
            clients.fetch_sub(1, Ordering::AcqRel);
        });
        if !started {
            self.clients.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Does what waits for lanes in a thread of its own: this one must go on with what they may wait for.
    fn apart(&self, name: &str, work: impl FnOnce(&Desk) + Send + 'static) -> bool {
        let desk = Arc::clone(self.server.port.desk());
        std::thread::Builder::new().name(name.into()).spawn(move || work(&desk)).is_ok()
    }
}

impl MutEventSubscriber for Daemon {
    fn init(&mut self, ops: &mut EventOps<'_>) {
        self.server.init(ops);
        let streams = self.signals.iter().map(|(_, stream)| stream.as_raw_fd());
        for fd in streams.chain(self.control.as_ref().map(AsRawFd::as_raw_fd)) {
            if ops.add(Events::new_raw(fd, EventSet::IN)).is_err() {
                self.ends = true;
            }
        }
    }

    fn process(&mut self, events: Events, ops: &mut EventOps<'_>) {
        let fd = events.fd();
        if let Some(at) = self.signals.iter().position(|(_, stream)| stream.as_raw_fd() == fd) {
            self.signal(at);
        } else if self.control.as_ref().is_some_and(|control| control.as_raw_fd() == fd) {
            self.accept();
        } else {
            self.server.process(events, ops);
        }
    }
}
