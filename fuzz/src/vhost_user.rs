//! The vhost-user session against a front-end that sends anything: bytes of any kind, and well-formed messages
//! in any order, with memory that is too short, overlaps or goes.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use nic_model::QueueError;
use nic_model::spec::{feature, ring};
use nic_model::vhost_user::iotlb::Translations;
use nic_model::vhost_user::memory::Memory;
use nic_model::vhost_user::port::{Offer, Reply, Start, Vrings};
use nic_model::vhost_user::request::{HEADER_LEN, Header, Request};
use nic_model::vhost_user::session::{PROTOCOL_FEATURES, Session};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use vm_memory::{Bytes, GuestAddress};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    /// A vring runs before the first step, in this format.
    running: Option<bool>,
    steps: Vec<Step<'a>>,
}

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    /// A message of these bytes, with so many descriptors.
    Raw {
        code: u8,
        flags: u8,
        body: &'a [u8],
        fds: u8,
    },
    /// One with a body of 8 bytes: most of them.
    Number {
        code: u8,
        number: u64,
        fds: u8,
    },
    /// One of a vring: index and a number.
    State {
        code: u8,
        index: u8,
        number: u16,
    },
    /// A vring where there is memory.
    Addresses {
        index: u8,
        at: [u8; 3],
    },
    Regions(Vec<Place>),
    Slot {
        add: bool,
        place: Place,
    },
    Log {
        size: u16,
        page: u8,
    },
    Inflight {
        set: bool,
        size: u16,
        page: u8,
        queues: u8,
        entries: u16,
    },
    Iotlb {
        iova: u8,
        size: u16,
        user: u8,
        perm: u8,
        kind: u8,
    },
    Features(u8),
}

/// A region, in pages.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Place {
    guest: u8,
    size: u8,
    user: u8,
    offset: u8,
}

const PAGE: u64 = 4096;
/// Where the front-end sees its memory.
const USER: u64 = 0x7f00_0000_0000;
/// Bytes of every file that comes with a message.
const FILE: u64 = 32 * PAGE;
const FEATURES: u64 = feature::VERSION_1
    | feature::EVENT_IDX
    | feature::RING_PACKED
    | feature::ACCESS_PLATFORM
    | feature::MQ;
/// VHOST_USER_F_PROTOCOL_FEATURES and VHOST_F_LOG_ALL.
const TRANSPORT: [u64; 2] = [1 << 30, 1 << 26];

/// The bytes, as messages of a front-end.
pub fn run(bytes: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let mut house = House {
        session: Session::new(Offer {
            features: FEATURES,
            pairs: 2,
            entries_max: 1024,
            config_len: 24,
        }),
        record: Record::default(),
    };
    if let Some(packed) = input.running {
        house.run_a_vring(packed);
    }
    for step in &input.steps {
        // A server hangs up at the first message that is refused.
        if !house.take(step) {
            break;
        }
    }
    let House { mut session, mut record } = house;
    session.end(&mut record);
    assert!(record.running.is_empty() && record.memory.is_none(), "nothing runs at the end");
    assert!(record.kicks.is_empty() && record.calls.is_empty(), "no descriptor is kept");
}

struct House {
    session: Session,
    record: Record,
}

impl House {
    fn run_a_vring(&mut self, packed: bool) {
        let format = if packed { feature::RING_PACKED } else { 0 };
        let memory = Place { guest: 0, size: 16, user: 0, offset: 0 };
        let sent = [
            self.number(16, PROTOCOL_FEATURES, 0),
            self.number(2, feature::VERSION_1 | format | TRANSPORT[0], 0),
            self.take(&Step::Regions(vec![memory])),
            self.take(&Step::State { code: 8, index: 0, number: 64 }),
            self.take(&Step::Addresses { index: 0, at: [0, 1, 2] }),
            self.number(12, 0, 1),
        ];
        assert!(sent.iter().all(|sent| *sent) && self.record.running.len() == 1, "{sent:?}");
    }

    /// One message; whether it was taken.
    fn take(&mut self, step: &Step<'_>) -> bool {
        match *step {
            Step::Raw { code, flags, body, fds } => self.send(code, flags.into(), body, fds),
            Step::Number { code, number, fds } => self.number(code, number, fds),
            Step::State { code, index, number } => {
                let body = [u32::from(index), u32::from(number)].map(u32::to_ne_bytes).concat();
                self.send(code, 1, &body, 0)
            }
            Step::Addresses { index, at } => {
                let [table, used, available] = at.map(|page| USER + PAGE * u64::from(page));
                let mut body = [u32::from(index % 8), 0].map(u32::to_ne_bytes).concat();
                body.extend([table, used, available, 0].map(u64::to_ne_bytes).concat());
                self.send(9, 1, &body, 0)
            }
            Step::Regions(ref places) => {
                let places = &places[..places.len().min(9)];
                let mut body = [places.len() as u32, 0].map(u32::to_ne_bytes).concat();
                places.iter().for_each(|place| body.extend(place.bytes()));
                self.send(5, 1, &body, places.len() as u8)
            }
            Step::Slot { add, place } => {
                let body = [[0; 8].to_vec(), place.bytes()].concat();
                self.send(if add { 37 } else { 38 }, 1, &body, add.into())
            }
            Step::Log { size, page } => {
                let body = [u64::from(size), PAGE * u64::from(page)].map(u64::to_ne_bytes).concat();
                self.send(6, 1, &body, 1)
            }
            Step::Inflight { set, size, page, queues, entries } => {
                let places = [8 * u64::from(size), 2048 * u64::from(page)];
                let mut body = places.map(u64::to_ne_bytes).concat();
                body.extend([u16::from(queues % 8), entries].map(u16::to_ne_bytes).concat());
                self.send(if set { 32 } else { 31 }, 1, &body, set.into())
            }
            Step::Iotlb { iova, size, user, perm, kind } => {
                let (iova, user) = (PAGE * u64::from(iova), USER + PAGE * u64::from(user));
                let mut body = [iova, u64::from(size), user].map(u64::to_ne_bytes).concat();
                body.extend([perm, kind, 0, 0, 0, 0, 0, 0]);
                self.send(22, 1, &body, 0)
            }
            Step::Features(which) => {
                let chosen = [feature::EVENT_IDX, feature::RING_PACKED, feature::ACCESS_PLATFORM];
                let all = chosen.into_iter().chain(TRANSPORT).enumerate();
                let bits = all.filter(|(at, _)| which & 1 << at != 0).map(|(_, bit)| bit);
                self.number(2, bits.fold(feature::VERSION_1, |all, bit| all | bit), 0)
            }
        }
    }

    fn number(&mut self, code: u8, number: u64, fds: u8) -> bool {
        self.send(code, 1, &number.to_ne_bytes(), fds)
    }

    fn send(&mut self, code: u8, flags: u32, body: &[u8], fds: u8) -> bool {
        let mut header = [0; HEADER_LEN];
        let words = [code.into(), flags, body.len() as u32];
        for (to, word) in header.chunks_mut(4).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        let Ok(header) = Header::parse(&header) else { return false };
        assert_eq!(header.size, body.len());
        let fds: Vec<OwnedFd> = (0..fds % 10).map(|_| file()).collect();
        let request = match Request::parse(&header, body, fds.len()) {
            Ok(request) => request,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return false;
            }
        };
        let reply = self.session.handle(request, fds, &mut self.record);
        match &reply {
            Ok(Reply::Config { bytes, .. }) => assert!(bytes.len() <= 24),
            Ok(Reply::Inflight(inflight, _)) => assert!(inflight.size > 0),
            Ok(_) => {}
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        self.record.check();
        reply.is_ok()
    }
}

impl Place {
    fn bytes(self) -> Vec<u8> {
        let Self { guest, size, user, offset } = self;
        let [guest, size, user, offset] = [guest, size, user, offset].map(|n| PAGE * u64::from(n));
        [guest, size, USER + user, offset].map(u64::to_ne_bytes).concat()
    }
}

fn file() -> OwnedFd {
    let file = memfd_create("fuzz", MemfdFlags::CLOEXEC).expect("descriptors leak");
    ftruncate(&file, FILE).expect("a file of 32 pages");
    file
}

/// A device that keeps a record and believes nothing.
#[derive(Default)]
struct Record {
    memory: Option<Arc<Memory>>,
    running: BTreeMap<u16, Start>,
    kicks: BTreeMap<u16, OwnedFd>,
    calls: BTreeMap<u16, OwnedFd>,
    features: u64,
}

impl Record {
    /// What runs lies in memory, and what is tracked has room.
    fn check(&self) {
        for start in self.running.values() {
            let setup = &start.setup;
            let memory = self.memory.as_ref().expect("memory goes under a vring that runs");
            if self.features & feature::ACCESS_PLATFORM == 0 {
                let last = setup.descriptor_table + ring::descriptor_table_len(setup.size) - 1;
                for at in [setup.descriptor_table, last, setup.available_ring, setup.used_ring] {
                    memory.read_obj::<u8>(GuestAddress(at)).expect("a vring lies in memory");
                }
            }
            if let Some(tracking) = &start.tracking {
                let last = tracking.region.words() - 1;
                tracking.region.store(last, 1);
                assert_eq!(tracking.region.load(last), 1);
                assert_eq!(tracking.region.load(last + 1), 0);
            }
        }
    }
}

impl Vrings for Record {
    fn set_memory(&mut self, memory: Option<Arc<Memory>>) {
        self.memory = memory;
        self.check();
    }

    fn set_features(&mut self, features: u64) {
        assert!(self.running.is_empty(), "features change under a vring that runs");
        assert_eq!(features & !FEATURES, 0, "features that were not offered");
        self.features = features;
    }

    fn start(&mut self, vring: u16, start: Start) -> Result<(), QueueError> {
        assert!(self.memory.is_some() && vring < 4, "vring {vring} runs without memory");
        if start.setup.size == 13 {
            return Err(QueueError::Size { size: 13, max: 1024 });
        }
        assert!(self.running.insert(vring, start).is_none(), "vring {vring} runs already");
        Ok(())
    }

    fn stop(&mut self, vring: u16) -> u32 {
        self.running.remove(&vring).expect("a vring stops that does not run").base
    }

    fn enable(&mut self, vring: u16, _enabled: bool) {
        assert!(vring < 4);
    }

    fn set_kick(&mut self, vring: u16, kick: Option<OwnedFd>) {
        keep(&mut self.kicks, vring, kick);
    }

    fn set_call(&mut self, vring: u16, call: Option<OwnedFd>) {
        keep(&mut self.calls, vring, call);
    }

    fn set_err(&mut self, _vring: u16, _err: Option<OwnedFd>) {}

    fn set_channel(&mut self, _channel: OwnedFd, _: bool, _: &Arc<Translations>) {}

    fn announce(&mut self, _mac: [u8; 6]) {}

    fn set_mtu(&mut self, mtu: u16) -> bool {
        assert!(mtu >= 68);
        mtu <= 1500
    }

    fn read_config(&self, offset: u32, out: &mut [u8]) {
        assert!(offset as usize + out.len() <= 24 || out.is_empty());
        out.fill(1);
    }
}

fn keep(of: &mut BTreeMap<u16, OwnedFd>, vring: u16, fd: Option<OwnedFd>) {
    assert!(vring < 4);
    match fd {
        Some(fd) => of.insert(vring, fd),
        None => of.remove(&vring),
    };
}
