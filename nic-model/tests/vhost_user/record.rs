//! A device that keeps a record of what a session makes it do, and a front-end that does as QEMU does.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use nic_model::QueueError;
use nic_model::spec::feature;
use nic_model::vhost_user::iotlb::Translations;
use nic_model::vhost_user::memory::Memory;
use nic_model::vhost_user::port::{Offer, Reply, Start, Vrings};
use nic_model::vhost_user::request::{Addresses, Region, Request, VringFd};
use nic_model::vhost_user::session::{PROTOCOL_FEATURES, Session, TRANSPORT_FEATURES};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

pub const PAIRS: u16 = 2;
pub const REGION: u64 = 0x10_0000;
/// Where the front-end sees its memory.
pub const USER: u64 = 0x7f00_0000_0000;

pub const FEATURES: u64 = feature::VERSION_1
    | feature::EVENT_IDX
    | feature::RING_PACKED
    | feature::ACCESS_PLATFORM
    | feature::MQ;

/// A device that keeps a record, and refuses every vring of 13 entries.
#[derive(Default)]
pub struct Record {
    pub memory: Option<Arc<Memory>>,
    pub running: BTreeMap<u16, Start>,
    pub enabled: BTreeMap<u16, bool>,
    pub kicks: BTreeMap<u16, OwnedFd>,
    pub calls: BTreeMap<u16, OwnedFd>,
    pub errs: BTreeMap<u16, OwnedFd>,
    pub channel: Option<(OwnedFd, bool, Arc<Translations>)>,
    pub features: u64,
    pub announced: Vec<[u8; 6]>,
}

impl Vrings for Record {
    fn set_memory(&mut self, memory: Option<Arc<Memory>>) {
        assert!(memory.is_some() || self.running.is_empty(), "memory goes under a vring that runs");
        self.memory = memory;
    }

    fn set_features(&mut self, features: u64) {
        assert!(self.running.is_empty(), "features change under a vring that runs");
        self.features = features;
    }

    fn start(&mut self, vring: u16, start: Start) -> Result<(), QueueError> {
        assert!(self.memory.is_some(), "a vring runs without memory");
        if start.setup.size == 13 {
            return Err(QueueError::Size { size: 13, max: 1024 });
        }
        assert!(self.running.insert(vring, start).is_none(), "vring {vring} runs already");
        Ok(())
    }

    fn stop(&mut self, vring: u16) -> u32 {
        self.running.remove(&vring).expect("a vring stops that does not run").base.wrapping_add(1)
    }

    fn enable(&mut self, vring: u16, enabled: bool) {
        self.enabled.insert(vring, enabled);
    }

    fn set_kick(&mut self, vring: u16, kick: Option<OwnedFd>) {
        keep(&mut self.kicks, vring, kick);
    }

    fn set_call(&mut self, vring: u16, call: Option<OwnedFd>) {
        keep(&mut self.calls, vring, call);
    }

    fn set_err(&mut self, vring: u16, err: Option<OwnedFd>) {
        keep(&mut self.errs, vring, err);
    }

    fn set_channel(&mut self, channel: OwnedFd, answers: bool, translations: &Arc<Translations>) {
        self.channel = Some((channel, answers, Arc::clone(translations)));
    }

    fn announce(&mut self, mac: [u8; 6]) {
        self.announced.push(mac);
    }

    fn set_mtu(&mut self, mtu: u16) -> bool {
        mtu <= 1500
    }

    fn read_config(&self, offset: u32, out: &mut [u8]) {
        out.fill(offset as u8);
    }
}

pub fn keep(of: &mut BTreeMap<u16, OwnedFd>, vring: u16, fd: Option<OwnedFd>) {
    match fd {
        Some(fd) => of.insert(vring, fd),
        None => of.remove(&vring),
    };
}

pub fn memfd(len: u64) -> OwnedFd {
    let fd = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&fd, len).unwrap();
    fd
}

pub fn session() -> Session {
    Session::new(Offer { features: FEATURES, pairs: PAIRS, entries_max: 1024, config_len: 24 })
}

pub fn region() -> Region {
    Region { guest: 0, size: REGION, user: USER, offset: 0 }
}

pub fn addresses(index: u32) -> Addresses {
    let at = USER + 0x1_0000 * u64::from(index);
    Addresses {
        index,
        logs: false,
        descriptors: at,
        available: at + 0x8000,
        used: at + 0xa000,
        log: 0,
    }
}

/// Everything up to a vring that runs, in the order of QEMU: enabled before there are features.
pub fn as_qemu_does(session: &mut Session, record: &mut Record, features: u64) {
    let mut handle = |request, fds| session.handle(request, fds, record).unwrap();
    handle(Request::SetOwner, vec![]);
    let Reply::Number(offered) = handle(Request::GetFeatures, vec![]) else { panic!() };
    assert_eq!(offered, FEATURES | TRANSPORT_FEATURES);
    handle(Request::SetProtocolFeatures(PROTOCOL_FEATURES), vec![]);
    handle(Request::SetVringEnable { index: 0, enable: true }, vec![]);
    handle(Request::SetFeatures(features | TRANSPORT_FEATURES & 1 << 30), vec![]);
    handle(Request::SetMemTable(vec![region()]), vec![memfd(REGION)]);
    handle(Request::SetVringNum { index: 0, entries: 256 }, vec![]);
    handle(Request::SetVringBase { index: 0, base: 7 }, vec![]);
    handle(Request::SetVringAddr(addresses(0)), vec![]);
    handle(Request::SetVringKick(VringFd { index: 0, has_fd: true }), vec![memfd(8)]);
}

/// Who counts descriptors must be the only one to open any.
pub static DESCRIPTORS: RwLock<()> = RwLock::new(());

pub fn opens() -> RwLockReadGuard<'static, ()> {
    DESCRIPTORS.read().unwrap_or_else(PoisonError::into_inner)
}

/// Descriptors that this process has open.
pub fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
