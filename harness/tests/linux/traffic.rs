//! This kernel's end of streams and datagrams.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::thread::JoinHandle;
use std::time::Duration;

use qemu::protocol::data::{Bytes, Digest, LAST};
use qemu::protocol::{Command, Reply};

use super::world::{GUEST, Guest, HOST, World};
use crate::common::process::{PATIENCE, wait_for};

const PIECE: usize = 1 << 16;

/// The data of a seed goes from the guest to this kernel; both must have seen the same.
pub fn stream_from(guest: &mut Guest, bytes: u64, seed: u64) {
    let (listener, to) = listen();
    let receiver = std::thread::spawn(move || {
        let mut stream = accept(&listener);
        let mut digest = Digest::default();
        let mut piece = vec![0; PIECE];
        loop {
            match stream.read(&mut piece).unwrap() {
                0 => return digest.end(),
                len => digest.add(&piece[..len]),
            }
        }
    });
    let sent = guest.call(Command::SendStream { to, bytes, seed });
    let (bytes, sha256) = digest_of(bytes, seed);
    assert_eq!(receiver.join().unwrap(), (bytes, sha256.clone()), "what came here");
    assert_eq!(sent, Reply::Stream { bytes, sha256 }, "what the guest sent");
}

/// The data of a seed goes from this kernel to the guest.
pub fn stream_to(guest: &mut Guest, bytes: u64, seed: u64) {
    let (sender, from) = send(bytes, seed);
    guest.vm.begin(Command::ReceiveStream { from }).unwrap();
    received(guest, sender, bytes, seed);
}

/// Likewise, and in the middle of it something else happens to the guest.
pub fn stream_to_meanwhile(
    mut guest: Guest,
    bytes: u64,
    seed: u64,
    what: impl FnOnce(Guest) -> Guest,
) -> Guest {
    let (sender, from) = send(bytes, seed);
    guest.vm.begin(Command::ReceiveStream { from }).unwrap();
    let mut guest = what(guest);
    received(&mut guest, sender, bytes, seed);
    guest
}

fn send(bytes: u64, seed: u64) -> (JoinHandle<()>, SocketAddrV4) {
    let (listener, from) = listen();
    let sender = std::thread::spawn(move || {
        let mut stream = accept(&listener);
        pieces(bytes, seed, |piece| stream.write_all(piece).unwrap());
    });
    (sender, from)
}

fn received(guest: &mut Guest, sender: JoinHandle<()>, bytes: u64, seed: u64) {
    let got = guest.finish();
    sender.join().unwrap();
    let (bytes, sha256) = digest_of(bytes, seed);
    assert_eq!(got, Reply::Stream { bytes, sha256 }, "what the guest got");
}

fn listen() -> (TcpListener, SocketAddrV4) {
    let listener = TcpListener::bind((HOST, 0)).unwrap();
    let SocketAddr::V4(address) = listener.local_addr().unwrap() else { panic!() };
    (listener, address)
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn digest_of(bytes: u64, seed: u64) -> (u64, String) {
    let mut digest = Digest::default();
    pieces(bytes, seed, |piece| digest.add(piece));
    digest.end()
}

fn pieces(bytes: u64, seed: u64, mut each: impl FnMut(&[u8])) {
    let mut data = Bytes::new(seed);
    let mut piece = vec![0; PIECE];
    let mut left = bytes as usize;
    while left > 0 {
        let len = left.min(PIECE);
        data.fill(&mut piece[..len]);
        each(&piece[..len]);
        left -= len;
    }
}

/// The port that numbered datagrams go to.
pub const PORT: u16 = 4000;

/// Numbered datagrams from the guest, from many ports: how many came here, and how many came again.
pub fn datagrams_from(guest: &mut Guest, count: u64) -> (u64, u64) {
    let socket = UdpSocket::bind((HOST, PORT)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let to = SocketAddrV4::new(HOST, PORT);
    let command = Command::SendDatagrams { to, count, size: 100, ports: 64, pause_us: 500 };
    guest.vm.begin(command).unwrap();
    let (mut seen, mut again) = (BTreeSet::new(), 0);
    let mut bytes = [0; 200];
    while (seen.len() as u64) < count {
        let Ok(len) = socket.recv(&mut bytes) else { break };
        let number = bytes[..len].first_chunk().map(|number| u64::from_be_bytes(*number)).unwrap();
        again += u64::from(!seen.insert(number));
    }
    assert_eq!(guest.finish(), Reply::Nothing);
    (seen.len() as u64, again)
}

/// Numbered datagrams to the guest, from several ports, so that they are several flows.
pub struct Sender {
    sockets: Vec<UdpSocket>,
    next: u64,
}

impl Sender {
    pub fn new(ports: usize) -> Self {
        Self { sockets: (0..ports).map(|_| UdpSocket::bind((HOST, 0)).unwrap()).collect(), next: 0 }
    }

    /// The next ones, with a pause between two.
    pub fn send(&mut self, count: u64, pause: Duration) {
        for _ in 0..count {
            self.number(self.next);
            self.next += 1;
            std::thread::sleep(pause);
        }
    }

    /// The next ones, and in the middle of them something else.
    pub fn meanwhile<T>(
        mut self,
        count: u64,
        pause: Duration,
        what: impl FnOnce() -> T,
    ) -> (T, Self) {
        let sending = std::thread::spawn(move || {
            self.send(count, pause);
            self
        });
        std::thread::sleep(pause * (count / 3) as u32);
        let done = what();
        (done, sending.join().unwrap())
    }

    /// How many so far.
    pub fn sent(&self) -> u64 {
        self.next
    }

    /// The one that ends them; more than once, should one be lost.
    pub fn end(&self) {
        for _ in 0..3 {
            self.number(LAST);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until what is sent reaches the guest: both have found each other's address.
    pub fn when_heard(&mut self, world: &World) {
        let delivered = || world.stats()["total"]["delivered"].as_u64().unwrap();
        let before = delivered();
        wait_for(|| {
            // Of a number that no other has.
            self.socket(0).send_to(&[], (GUEST, PORT + 1)).is_err() || delivered() > before + 2
        });
    }

    fn number(&self, number: u64) {
        let mut bytes = [0; 100];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        // An interface that has no carrier takes it and drops it; one that is full says so.
        let _ = self.socket(number).send_to(&bytes, (GUEST, PORT));
    }

    fn socket(&self, number: u64) -> &UdpSocket {
        &self.sockets[(number % self.sockets.len() as u64) as usize]
    }
}
