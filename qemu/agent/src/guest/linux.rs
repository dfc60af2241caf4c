//! Linux's own driver: a packet socket that feeds the handles, beside Linux's own capture.
//!
//! Contract: both sockets are open before [`Linux::start`] answers, so that both see every frame; one that had no
//! room in a socket's buffer is counted by the kernel, by socket. The interface says nothing by itself: it has no
//! address, and asks nobody for one.

use std::os::fd::OwnedFd;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use harness::guest::account::HandleAccount;
use harness::guest::handles;
use harness::guest::reader::Served;
use harness::guest::tap::Tap;
use harness::real_time::Clock;
use harness::scenario::Scenario;
use npf_core::Frame;
use protocol::{CORE_SOCKET, LiveAccount, RING_SOCKET, SocketAccount, Sockets, Started};
use rustix::event::{PollFd, PollFlags, poll};

use super::interface;
use super::live::account::handle;
use super::packet::{BATCH, Packets, Ring};
use super::serve::Refusal;

/// Bytes of the packet socket's buffer, as the kernel charges frames to it.
const BUFFER: u32 = 16 << 20;
/// What comes before a frame's payload: Ethernet's header and two tags.
const HEADERS: usize = 14 + 8;
/// How long a thread sleeps at most before it looks whether it has to end.
const NAP: Duration = Duration::from_millis(20);

/// See the module's contract.
pub struct Linux {
    state: Arc<State>,
    thread: JoinHandle<()>,
}

/// How long what the kernel has counted may take to come.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the threads work on, and whoever asks them looks at.
struct State {
    interface: String,
    sockets: Sockets,
    handles: Vec<Arc<Served>>,
    clock: Clock,
    /// For the handles.
    own: Socket,
    /// Linux's capture.
    ring: Socket,
    ends: AtomicBool,
}

/// What was counted at a socket.
#[derive(Default)]
struct Socket {
    taken: AtomicU64,
    bytes: AtomicU64,
    /// When the first frame was taken, in ps; 0: not yet.
    first: AtomicU64,
    /// Seen and dropped by the kernel, which forgets them when it is asked.
    kernel: Mutex<(u64, u64)>,
    error: Mutex<Option<String>>,
}

impl Linux {
    /// Sets the interface up, and takes what it receives.
    ///
    /// # Errors
    /// A handle is refused, or the system refuses.
    pub fn start(
        scenario: Scenario,
        interface: &str,
        sockets: Sockets,
    ) -> Result<(Self, Started), Refusal> {
        let queues = u32::from(scenario.channels.combined);
        // Up before there are sockets, which would be told that it is down; nothing comes before the host says go.
        interface::quiet(interface, queues)?;
        interface::up(interface)?;
        let longest = scenario.wire.mtu as usize + HEADERS;
        let packets = || Packets::open(interface, longest, BUFFER);
        let packets = (sockets != Sockets::Ring).then(packets).transpose();
        let packets =
            packets.map_err(Refusal::system(format!("a packet socket on {interface}")))?;
        let ring = (sockets != Sockets::Core).then(|| Ring::open(interface)).transpose();
        let ring = ring.map_err(Refusal::system(format!("a TPACKET_V3 ring on {interface}")))?;
        let handles = handles::open(&scenario);
        let handles = handles.map_err(|error| Refusal::Value(error.to_string()))?;
        let state = Arc::new(State {
            interface: interface.into(),
            sockets,
            handles,
            clock: Clock::start(),
            own: Socket::default(),
            ring: Socket::default(),
            ends: AtomicBool::new(false),
        });
        let worked = Arc::clone(&state);
        let thread = std::thread::Builder::new().name("linux".into());
        let thread = thread.spawn(move || run(&worked, &scenario, packets, ring));
        let thread = thread.map_err(Refusal::system("a thread"))?;
        let started = Started { device: interface.into(), ..Started::default() };
        Ok((Self { state, thread }, started))
    }

    /// What has become of frames so far.
    ///
    /// # Errors
    /// The system does not say what it has counted.
    pub fn account(&self) -> Result<LiveAccount, Refusal> {
        self.state.account()
    }

    /// Takes what is there, has it read, and ends.
    ///
    /// # Errors
    /// As [`Linux::account`].
    pub fn stop(self) -> Result<LiveAccount, Refusal> {
        self.state.ends.store(true, Ordering::Release);
        if let Err(panic) = self.thread.join() {
            resume_unwind(panic);
        }
        self.state.account()
    }
}

impl State {
    /// Sockets come first, so that handles may count more than they do, and never less.
    fn account(&self) -> Result<LiveAccount, Refusal> {
        let core = (self.sockets != Sockets::Ring).then(|| self.own.account(CORE_SOCKET));
        let ring = (self.sockets != Sockets::Core).then(|| self.ring.account(RING_SOCKET));
        let sockets = core.into_iter().chain(ring).collect();
        let error = [&self.own, &self.ring].iter().find_map(|socket| lock(&socket.error).clone());
        let first = match self.sockets {
            Sockets::Ring => &self.ring.first,
            Sockets::Both | Sockets::Core => &self.own.first,
        };
        let first = first.load(Ordering::Acquire);
        let account = |served: &Arc<Served>| handle(&HandleAccount::of(served));
        Ok(LiveAccount {
            sockets,
            interface: interface::system_counts(&self.interface)?,
            handles: self.handles.iter().map(account).collect(),
            error,
            first_frame_us: (first > 0).then_some(first / 1_000_000),
            ..LiveAccount::default()
        })
    }
}

impl Socket {
    /// So much was taken.
    fn took(&self, frames: u64, bytes: u64, clock: Clock) {
        if self.taken.load(Ordering::Relaxed) == 0 {
            self.first.store(clock.now().max(1), Ordering::Release);
        }
        self.taken.fetch_add(frames, Ordering::Release);
        self.bytes.fetch_add(bytes, Ordering::Release);
    }

    /// What the kernel has counted since it was asked last.
    fn kernel(&self, (seen, dropped): (u64, u64)) {
        let mut all = lock(&self.kernel);
        all.0 += seen;
        all.1 += dropped;
    }

    /// Whether all that the kernel has counted was taken.
    fn has_all(&self) -> bool {
        let (seen, dropped) = *lock(&self.kernel);
        self.taken.load(Ordering::Relaxed) + dropped == seen
    }

    fn account(&self, name: &str) -> SocketAccount {
        let taken = self.taken.load(Ordering::Acquire);
        let bytes = self.bytes.load(Ordering::Acquire);
        let (seen, dropped) = *lock(&self.kernel);
        SocketAccount { name: name.into(), seen, dropped, taken, bytes }
    }

    fn ended(&self, end: std::io::Result<()>) {
        if let Err(error) = end {
            *lock(&self.error) = Some(format!("a packet socket: {error}"));
        }
    }
}

fn run(state: &State, scenario: &Scenario, packets: Option<Packets>, ring: Option<Ring>) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        handles::serve(scope, scenario, &state.handles, state.clock, &over);
        let ring = move || ring.map_or(Ok(()), |ring| capture(state, ring));
        let capture = scope.spawn(move || state.ring.ended(ring()));
        state.own.ended(packets.map_or(Ok(()), |packets| feed(state, packets)));
        // Its panic is this thread's too, when the scope ends.
        let _ = capture.join();
        over.store(true, Ordering::Release);
        state.handles.iter().for_each(|served| served.wake());
    });
}

/// From the packet socket to the handles.
fn feed(state: &State, mut packets: Packets) -> std::io::Result<()> {
    let mut tap = Tap::new(0, 0, &state.handles);
    loop {
        let over = state.ends.load(Ordering::Acquire);
        let got = packets.take()?;
        if got == 0 {
            state.own.kernel(packets.statistics()?);
            if over {
                return Ok(());
            }
            wait(packets.descriptor());
            continue;
        }
        let mut frames = [Frame { data: &[], wire_len: 0, tag: 0 }; BATCH];
        let mut bytes = 0;
        for (number, frame) in frames.iter_mut().enumerate().take(got) {
            let (data, wire_len) = packets.frame(number);
            *frame = Frame { data, wire_len, tag: 0 };
            bytes += u64::from(wire_len);
        }
        let now = state.clock.now();
        state.own.took(got as u64, bytes, state.clock);
        tap.show_frames(now, &frames[..got]);
    }
}

/// What a program on Linux's own capture does: it looks at every frame.
fn capture(state: &State, mut ring: Ring) -> std::io::Result<()> {
    let mut over_since = None;
    loop {
        let over = state.ends.load(Ordering::Acquire);
        if let Some((frames, bytes)) = ring.take()? {
            state.ring.took(frames, bytes, state.clock);
            continue;
        }
        state.ring.kernel(ring.statistics()?);
        if over {
            // A block that is not full comes a little later, and the kernel counts what is in it already.
            let since = *over_since.get_or_insert_with(Instant::now);
            if state.ring.has_all() || since.elapsed() > PATIENCE {
                return Ok(());
            }
        }
        wait(ring.descriptor());
    }
}

fn wait(descriptor: &OwnedFd) {
    let nap = rustix::time::Timespec::try_from(NAP).ok();
    // Woken early is no harm.
    let _ = poll(&mut [PollFd::new(descriptor, PollFlags::IN)], nap.as_ref());
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
