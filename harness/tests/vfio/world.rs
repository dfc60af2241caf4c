//! What these tests are played in: our NIC in this process, or datagrams for QEMU's own; and a guest.

use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use harness::nic::build::Origin;
use harness::nic::desk::Desk;
use harness::nic::port::Begin;
use harness::nic::served;
use harness::nic::tally::Tally;
use harness::scenario::Scenario;
use harness::source;
use qemu::image::VFIO_DRIVER;
use qemu::launch::{Nic, Options, Vm};
use qemu::protocol::{Command, Disturb, LiveAccount, QueueAccount, Reply, Start, Started};
use xxhash_rust::xxh3::xxh3_64;

use crate::common::guest;

/// For anything that takes a moment.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// One VM at a time: there may be two CPUs only.
pub fn one_at_a_time(test: impl FnOnce()) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock();
    test();
}

/// Until it is so.
pub fn wait_for(mut so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < PATIENCE, "it takes too long");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A folder for sockets, whose paths must be short.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rxlab-vfio-{name}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// All frames of a scenario's traffic, in order.
pub fn frames(scenario: &Scenario) -> Vec<Vec<u8>> {
    let mut source = source::open(scenario).unwrap();
    let mut all = Vec::new();
    let mut frame = Vec::new();
    while source.next(&mut frame).unwrap().is_some() {
        all.push(frame.clone());
    }
    all
}

/// As a guest sums them up.
pub fn digests(frames: &[Vec<u8>]) -> u64 {
    frames.iter().map(|frame| xxh3_64(frame)).fold(0, u64::wrapping_add)
}

/// Our NIC, whose traffic begins when it is told to.
pub struct OurNic {
    nic: served::Nic,
    folder: Folder,
}

impl OurNic {
    pub fn new(scenario: &Scenario) -> Self {
        let folder = Folder::new("nic");
        let listener = UnixListener::bind(folder.0.join("nic")).unwrap();
        let (from, begin) = (Origin::Traffic, Begin::Command);
        let nic = served::Nic::listen(scenario, from, false, Vec::new(), listener, begin).unwrap();
        Self { nic, folder }
    }

    pub fn desk(&self) -> &Desk {
        self.nic.desk()
    }

    /// What the guest has for a NIC.
    pub fn card(&self) -> Nic {
        Nic::at(self.folder.0.join("nic"))
    }

    pub fn total(&self) -> Count {
        let tallies = self.nic.desk().tallies();
        let over = tallies.iter().all(|tally| tally.feed.is_over);
        Count { tally: Tally::sum(&tallies), over }
    }

    pub fn lanes(&self) -> Vec<Count> {
        let count = |tally: Tally| Count { over: tally.feed.is_over, tally };
        self.nic.desk().tallies().into_iter().map(count).collect()
    }
}

/// What the NIC, or a lane of it, has counted; it adds up.
pub struct Count {
    tally: Tally,
    over: bool,
}

impl Count {
    pub fn feed_is_over(&self) -> bool {
        self.over
    }

    pub fn offered(&self) -> u64 {
        self.tally.device.offered
    }

    pub fn written(&self) -> u64 {
        assert!(self.tally.adds_up(), "{}", self.line());
        self.tally.device.written
    }

    pub fn dropped(&self) -> u64 {
        self.tally.device.dropped_total() + self.tally.held
    }

    pub fn broken(&self) -> Option<String> {
        self.tally.broken.map(|error| error.to_string())
    }

    pub fn line(&self) -> String {
        self.tally.line("NIC")
    }
}

/// The other end of the wire of QEMU's own NIC.
pub struct Datagrams {
    socket: UnixDatagram,
    folder: Folder,
}

impl Datagrams {
    pub fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let socket = UnixDatagram::bind(folder.0.join("here")).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { socket, folder }
    }

    pub fn here(&self) -> PathBuf {
        self.folder.0.join("here")
    }

    pub fn guest(&self) -> PathBuf {
        self.folder.0.join("guest")
    }

    /// Each frame a datagram, with a pause between two.
    pub fn send(&self, frames: &[Vec<u8>], pause: Duration) {
        for frame in frames {
            self.socket.send_to(frame, self.guest()).unwrap();
            std::thread::sleep(pause);
        }
    }
}

/// A guest with the modules for VFIO.
pub struct Guest {
    pub vm: Vm,
}

impl Guest {
    pub fn boot(nic: Nic) -> Self {
        let cpus = if nic.queues > 1 { 2 } else { 1 };
        let options = Options { cpus, nic: Some(nic), iommu: true, ..guest::options(&VFIO_DRIVER) };
        let bytes = std::fs::metadata(&options.image.initramfs).unwrap().len();
        let vm = Vm::start(&options).unwrap_or_else(|error| panic!("{error}"));
        println!(
            "{} on QEMU {}: hello after {:?}, image of {bytes} bytes",
            vm.system, vm.version, vm.boot
        );
        Self { vm }
    }

    pub fn start(&mut self, start: Start) -> Started {
        match self.call(Command::Start(start)) {
            Reply::Started(started) => started,
            other => panic!("{other:?}"),
        }
    }

    pub fn account(&mut self) -> Account {
        Account(self.account_by(Command::Account))
    }

    pub fn disturb(&mut self, what: Disturb) {
        assert_eq!(self.call(Command::Disturb(what)), Reply::Nothing);
    }

    pub fn stop(&mut self) -> LiveAccount {
        self.account_by(Command::Stop)
    }

    fn account_by(&mut self, command: Command) -> LiveAccount {
        match self.call(command) {
            Reply::Account(account) => account,
            other => panic!("{other:?}"),
        }
    }

    fn call(&mut self, command: Command) -> Reply {
        self.vm.call(command, PATIENCE).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// The guest's, under way.
pub struct Account(LiveAccount);

impl Account {
    /// Completions taken, over all queues.
    pub fn received(&self) -> u64 {
        assert_eq!(self.0.error, None);
        self.0.queues.iter().map(|queue| queue.received).sum()
    }

    /// Of one queue.
    pub fn queue(mut self, number: usize) -> QueueAccount {
        self.0.queues.swap_remove(number)
    }
}
