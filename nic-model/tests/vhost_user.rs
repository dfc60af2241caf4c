//! The vhost-user session against front-ends that send anything in any order, and the server against peers
//! that break off anywhere.

#![cfg(feature = "vhost-user")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use nic_model::QueueError;
use nic_model::ring::inflight::region_len;
use nic_model::spec::feature;
use nic_model::vhost_user::error::{MessageError, SessionError};
use nic_model::vhost_user::iotlb::Translations;
use nic_model::vhost_user::memory::Memory;
use nic_model::vhost_user::port::{Offer, Reply, Start, Vrings};
use nic_model::vhost_user::request::{
    Addresses, HEADER_LEN, Header, Inflight, Iotlb, Region, Request, VringFd,
};
use nic_model::vhost_user::session::{PROTOCOL_FEATURES, Session, TRANSPORT_FEATURES};
use proptest::prelude::*;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

const PAIRS: u16 = 2;
const REGION: u64 = 0x10_0000;
/// Where the front-end sees its memory.
const USER: u64 = 0x7f00_0000_0000;

const FEATURES: u64 = feature::VERSION_1
    | feature::EVENT_IDX
    | feature::RING_PACKED
    | feature::ACCESS_PLATFORM
    | feature::MQ;

/// A device that keeps a record, and refuses every vring of 13 entries.
#[derive(Default)]
struct Record {
    memory: Option<Arc<Memory>>,
    running: BTreeMap<u16, Start>,
    enabled: BTreeMap<u16, bool>,
    kicks: BTreeMap<u16, OwnedFd>,
    calls: BTreeMap<u16, OwnedFd>,
    errs: BTreeMap<u16, OwnedFd>,
    channel: Option<OwnedFd>,
    features: u64,
    announced: Vec<[u8; 6]>,
}

impl Vrings for Record {
    fn set_memory(&mut self, memory: Option<Arc<Memory>>) {
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

    fn set_channel(&mut self, channel: OwnedFd, _: &Arc<Translations>) {
        self.channel = Some(channel);
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

fn keep(of: &mut BTreeMap<u16, OwnedFd>, vring: u16, fd: Option<OwnedFd>) {
    match fd {
        Some(fd) => of.insert(vring, fd),
        None => of.remove(&vring),
    };
}

fn memfd(len: u64) -> OwnedFd {
    let fd = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&fd, len).unwrap();
    fd
}

fn session() -> Session {
    Session::new(Offer { features: FEATURES, pairs: PAIRS, entries_max: 1024, config_len: 24 })
}

fn region() -> Region {
    Region { guest: 0, size: REGION, user: USER, offset: 0 }
}

fn addresses(index: u32) -> Addresses {
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
fn as_qemu_does(session: &mut Session, record: &mut Record, features: u64) {
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

#[test]
fn a_vring_enabled_before_the_features_runs_enabled() {
    let _opens = opens();
    let (mut session, mut record) = (session(), Record::default());
    as_qemu_does(&mut session, &mut record, feature::VERSION_1);
    let start = &record.running[&0];
    assert!(start.enabled && start.base == 7 && record.features == feature::VERSION_1);
    let setup = start.setup;
    assert_eq!((setup.size, setup.descriptor_table), (256, 0));
    assert_eq!((setup.available_ring, setup.used_ring), (0x8000, 0xa000));
    let Ok(Reply::State { index: 0, num }) =
        session.handle(Request::GetVringBase { index: 0 }, vec![], &mut record)
    else {
        panic!()
    };
    assert_eq!(num, 8);
    assert!(record.running.is_empty() && record.kicks.is_empty());
}

#[test]
fn with_an_iommu_addresses_stay_the_drivers() {
    let _opens = opens();
    let (mut session, mut record) = (session(), Record::default());
    as_qemu_does(&mut session, &mut record, feature::VERSION_1 | feature::ACCESS_PLATFORM);
    assert_eq!(record.running[&0].setup.descriptor_table, USER);
    assert!(record.memory.as_ref().unwrap().get_iommu_enabled());
    let update =
        |user, kind| Request::Iotlb(Iotlb { iova: 0x5000, size: 0x1000, user, perm: 3, kind });
    session.handle(update(USER + 0x3000, 2), vec![], &mut record).unwrap();
    let error = session.handle(update(USER + REGION, 2), vec![], &mut record).unwrap_err();
    assert!(error.to_string().contains("lies in no memory region"), "{error}");
}

#[test]
fn regions_may_come_and_go_under_vrings_that_do_not_need_them() {
    let _opens = opens();
    let (mut session, mut record) = (session(), Record::default());
    as_qemu_does(&mut session, &mut record, feature::VERSION_1);
    let more = Region { guest: REGION, size: REGION, user: USER + REGION, offset: 0 };
    session.handle(Request::AddMemReg(more), vec![memfd(REGION)], &mut record).unwrap();
    session.handle(Request::RemMemReg(more), vec![], &mut record).unwrap();
    assert_eq!(record.running.len(), 1);
    let gone = session.handle(Request::RemMemReg(region()), vec![], &mut record);
    // Without any memory nothing can be found: the vring is left to the end of the session.
    assert!(gone.is_ok() && record.memory.is_none(), "{gone:?}");
    session.end(&mut record);
    assert!(record.running.is_empty());
}

#[test]
fn each_wrong_message_is_named() {
    let _opens = opens();
    let table: Vec<(Request, Vec<OwnedFd>, &str)> = vec![
        (Request::SetFeatures(1 << 63), vec![], "were not offered"),
        (Request::SetProtocolFeatures(1 << 40), vec![], "were not offered"),
        (Request::SetVringNum { index: 4, entries: 256 }, vec![], "there are 0 to 3"),
        (Request::SetVringNum { index: 65_536, entries: 256 }, vec![], "there are 0 to 3"),
        (Request::SetVringNum { index: 0, entries: 0 }, vec![], "1 to the device's most"),
        (Request::SetVringNum { index: 0, entries: 2048 }, vec![], "1 to the device's most"),
        (Request::SetMemTable(vec![region()]), vec![memfd(REGION - 1)], "of a file of"),
        (
            Request::SetMemTable(vec![region(), Region { user: 0, ..region() }]),
            vec![memfd(REGION), memfd(REGION)],
            "overlap",
        ),
        (Request::RemMemReg(region()), vec![], "without protocol feature CONFIGURE_MEM_SLOTS"),
        (Request::SendRarp([0; 6]), vec![], "without protocol feature RARP"),
        (Request::SetLogBase { size: 1, offset: 0 }, vec![memfd(1)], "LOG_SHMFD"),
        (Request::SetConfig { offset: 0, bytes: vec![1] }, vec![], "read-only"),
        (Request::SetVringEndian { index: 0, big: true }, vec![], "CROSS_ENDIAN"),
        (
            Request::Iotlb(Iotlb { iova: 0, size: 1, user: USER, perm: 3, kind: 9 }),
            vec![],
            "with type 0x9",
        ),
    ];
    for (request, fds, words) in table {
        let error = session().handle(request, fds, &mut Record::default()).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_vring_that_runs_is_not_resized_and_a_ring_outside_of_memory_is_refused() {
    let _opens = opens();
    let (mut session, mut record) = (session(), Record::default());
    as_qemu_does(&mut session, &mut record, feature::VERSION_1);
    for request in [
        Request::SetVringNum { index: 0, entries: 512 },
        Request::SetVringBase { index: 0, base: 0 },
        Request::SetFeatures(feature::VERSION_1 | feature::EVENT_IDX),
    ] {
        let error = session.handle(request, vec![], &mut record).unwrap_err();
        assert!(matches!(error, SessionError::OutOfOrder { .. }), "{error}");
    }
    let outside = Addresses { used: USER + REGION - 4, ..addresses(0) };
    let error = session.handle(Request::SetVringAddr(outside), vec![], &mut record).unwrap_err();
    assert!(error.to_string().contains("used ring at"), "{error}");
    session.end(&mut record);
    assert!(record.running.is_empty() && record.memory.is_none());
}

#[test]
fn what_the_device_writes_is_logged_while_the_guest_moves() {
    let _opens = opens();
    use vm_memory::{Bytes, GuestAddress};
    let (mut session, mut record) = (session(), Record::default());
    as_qemu_does(&mut session, &mut record, feature::VERSION_1);
    let log = memfd(4096);
    let shown = File::from(log.as_fd().try_clone_to_owned().unwrap());
    let base = Request::SetLogBase { size: 4096, offset: 0 };
    assert!(matches!(session.handle(base, vec![log], &mut record), Ok(Reply::Number(0))));
    let write = |record: &Record, at: u64| {
        record.memory.as_ref().unwrap().write_slice(&[1, 2, 3, 4], GuestAddress(at)).unwrap();
    };
    write(&record, 0x5000);
    let features = feature::VERSION_1 | TRANSPORT_FEATURES;
    session.handle(Request::SetFeatures(features), vec![], &mut record).unwrap();
    assert_eq!(record.running.len(), 1, "a vring runs on while logging begins");
    write(&record, 0x8ffe);
    let mut bits = [0; 3];
    std::os::unix::fs::FileExt::read_exact_at(&shown, &mut bits, 0).unwrap();
    assert_eq!(bits, [0, 0b11, 0], "pages 8 and 9, and not what was written before");
}

/// What a front-end asks for, or gives back: this much memory for this many vrings.
fn inflight(size: u64, queues: u16, entries: u16) -> Inflight {
    Inflight { size, offset: 0, queues, entries }
}

/// A session in which chains in flight may be tracked.
fn tracking_session() -> (Session, Record) {
    let (mut session, mut record) = (session(), Record::default());
    let agree = Request::SetProtocolFeatures(PROTOCOL_FEATURES);
    session.handle(agree, vec![], &mut record).unwrap();
    (session, record)
}

#[test]
fn memory_for_chains_in_flight_is_made_kept_and_given_back() {
    let _opens = opens();
    let mut kept: Option<OwnedFd> = None;
    for life in 0..2 {
        let (mut session, mut record) = tracking_session();
        let asked = Request::GetInflightFd(inflight(0, 4, 256));
        let reply = session.handle(asked, vec![], &mut record).unwrap();
        let Reply::Inflight(made, file) = reply else { panic!("{reply:?}") };
        // Before there are features it has room for either format.
        assert_eq!((made.size, made.offset), (4 * region_len(true, 256), 0));
        let file = kept.take().unwrap_or(file);
        let given = file.try_clone().unwrap();
        session.handle(Request::SetInflightFd(made), vec![given], &mut record).unwrap();
        as_qemu_does(&mut session, &mut record, feature::VERSION_1);
        let tracking = record.running[&0].tracking.as_ref().expect("it is tracked");
        assert_eq!((tracking.entries, tracking.region.words()), (256, 2 + 2 * 256 + 6));
        // What one back-end has written there the next one finds.
        assert_eq!(tracking.region.load(9), life);
        tracking.region.store(9, life + 1);
        tracking.region.store(tracking.region.words(), 7);
        let late = Request::SetInflightFd(made);
        let error = session.handle(late, vec![memfd(made.size)], &mut record).unwrap_err();
        assert!(error.to_string().contains("vrings run"), "{error}");
        kept = Some(file);
    }
}

#[test]
fn memory_for_chains_in_flight_that_cannot_be_is_refused() {
    let _opens = opens();
    let room = region_len(false, 256);
    for (what, file, words) in [
        (inflight(room, 5, 256), room, "num queues 0x5"),
        (inflight(room, 1, 2048), room, "queue size 0x800"),
        (inflight(room, 2, 256), room, "which need"),
        (inflight(room, 1, 256), room - 1, "end beyond a file of"),
        (Inflight { offset: 64, ..inflight(room, 1, 256) }, 2 * room, "no page's beginning"),
        (Inflight { offset: u64::MAX, ..inflight(room, 1, 256) }, room, "end beyond a file of"),
        (inflight(u64::MAX, 1, 256), room, "end beyond a file of"),
    ] {
        let (mut session, mut record) = tracking_session();
        let set = Request::SetInflightFd(what);
        let error = session.handle(set, vec![memfd(file)], &mut record).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    // Enough for a split ring, and the ring is packed.
    let (mut session, mut record) = tracking_session();
    let set = Request::SetInflightFd(inflight(room, 1, 256));
    session.handle(set, vec![memfd(room)], &mut record).unwrap();
    let features = Request::SetFeatures(feature::VERSION_1 | feature::RING_PACKED | 1 << 30);
    session.handle(features, vec![], &mut record).unwrap();
    session.handle(Request::SetMemTable(vec![region()]), vec![memfd(REGION)], &mut record).unwrap();
    let num = Request::SetVringNum { index: 0, entries: 256 };
    session.handle(num, vec![], &mut record).unwrap();
    session.handle(Request::SetVringAddr(addresses(0)), vec![], &mut record).unwrap();
    let kick = Request::SetVringKick(VringFd { index: 0, has_fd: true });
    let error = session.handle(kick, vec![memfd(8)], &mut record).unwrap_err();
    assert!(error.to_string().contains("which need"), "{error}");
    assert!(record.running.is_empty());
}

/// Who counts descriptors must be the only one to open any.
static DESCRIPTORS: RwLock<()> = RwLock::new(());

fn opens() -> RwLockReadGuard<'static, ()> {
    DESCRIPTORS.read().unwrap_or_else(PoisonError::into_inner)
}

/// Descriptors that this process has open.
fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn any_request() -> impl Strategy<Value = Request> {
    let index = prop_oneof![8 => 0u32..4, 1 => any::<u32>()];
    let bits = prop_oneof![
        4 => Just(FEATURES | 1 << 30),
        2 => Just(feature::VERSION_1 | 1 << 30),
        1 => Just(feature::VERSION_1 | TRANSPORT_FEATURES),
        1 => any::<u64>(),
    ];
    let entries = prop_oneof![4 => Just(256u32), 1 => 0u32..2000, 1 => Just(13)];
    let regions = prop::collection::vec(
        (0u64..3, 0u64..3, 1u64..3).prop_map(|(guest, user, size)| Region {
            guest: guest * REGION,
            size: size * REGION / 2,
            user: USER + user * REGION,
            offset: 0,
        }),
        0..3,
    );
    prop_oneof![
        bits.clone().prop_map(Request::SetFeatures),
        prop_oneof![Just(PROTOCOL_FEATURES), any::<u64>()].prop_map(Request::SetProtocolFeatures),
        Just(Request::ResetOwner),
        Just(Request::ResetDevice),
        Just(Request::SetMemTable(vec![region()])),
        regions.prop_map(Request::SetMemTable),
        (0u64..3).prop_map(|at| Request::AddMemReg(Region {
            guest: at * REGION,
            user: USER + at * REGION,
            ..region()
        })),
        Just(Request::RemMemReg(region())),
        (0u64..9000, 0u64..9000).prop_map(|(size, offset)| Request::SetLogBase { size, offset }),
        (index.clone(), entries)
            .prop_map(|(index, entries)| Request::SetVringNum { index, entries }),
        index.clone().prop_map(|index| Request::SetVringAddr(addresses(index & 0xff))),
        (index.clone(), any::<u32>())
            .prop_map(|(index, base)| Request::SetVringBase { index, base }),
        index.clone().prop_map(|index| Request::GetVringBase { index }),
        (0u32..5).prop_map(|index| Request::SetVringKick(VringFd { index, has_fd: true })),
        (0u32..5).prop_map(|index| Request::SetVringCall(VringFd { index, has_fd: true })),
        (0u32..5).prop_map(|index| Request::SetVringErr(VringFd { index, has_fd: false })),
        (index, any::<bool>())
            .prop_map(|(index, enable)| Request::SetVringEnable { index, enable }),
        Just(Request::SetBackendReqFd),
        (any::<u64>(), any::<u64>(), 0u64..3, any::<u8>(), 0u8..8).prop_map(
            |(iova, size, at, perm, kind)| Request::Iotlb(Iotlb {
                iova,
                size,
                user: USER + at * REGION,
                perm,
                kind
            })
        ),
        (any::<u32>(), 0u32..300).prop_map(|(offset, size)| Request::GetConfig {
            offset,
            size,
            flags: 0
        }),
        any::<u8>().prop_map(Request::SetStatus),
        Just(Request::SetLogFd),
        any::<u64>().prop_map(Request::NetSetMtu),
        (1u16..6, 1u16..2000)
            .prop_map(|(queues, entries)| { Request::GetInflightFd(inflight(0, queues, entries)) }),
        (0u64..2 * REGION, 0u64..3, 1u16..6, 1u16..2000).prop_map(
            |(size, page, queues, entries)| {
                let offset = 2048 * page;
                Request::SetInflightFd(Inflight { offset, ..inflight(size, queues, entries) })
            }
        ),
    ]
}

/// As many descriptors as a message of this kind comes with.
fn descriptors_for(request: &Request) -> Vec<OwnedFd> {
    let count = match request {
        Request::SetMemTable(regions) => regions.len(),
        Request::AddMemReg(_)
        | Request::SetLogBase { .. }
        | Request::SetLogFd
        | Request::SetInflightFd(_)
        | Request::SetBackendReqFd => 1,
        Request::SetVringKick(fd) | Request::SetVringCall(fd) | Request::SetVringErr(fd) => {
            fd.has_fd.into()
        }
        _ => 0,
    };
    (0..count).map(|_| memfd(REGION)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes in whatever order: an error or an answer, never a vring without memory, and afterwards
    /// nothing runs and no descriptor is left open. What goes on after an error is more than a server allows.
    #[test]
    fn any_message_in_any_order(
        running in prop::option::of(prop_oneof![Just(0), Just(feature::RING_PACKED)]),
        requests in prop::collection::vec(any_request(), 1..60),
    ) {
        let _alone = DESCRIPTORS.write().unwrap_or_else(PoisonError::into_inner);
        let before = open_descriptors();
        let mut record = Record::default();
        let mut session = session();
        // By chance alone hardly any vring would come to run.
        if let Some(format) = running {
            as_qemu_does(&mut session, &mut record, feature::VERSION_1 | format);
            prop_assert!(record.running.contains_key(&0));
        }
        for request in requests {
            let fds = descriptors_for(&request);
            let told = format!("{request:?}");
            if let Err(error) = session.handle(request, fds, &mut record) {
                prop_assert!(!error.to_string().is_empty(), "{told}");
            }
        }
        session.end(&mut record);
        prop_assert!(record.running.is_empty() && record.memory.is_none());
        drop((session, record));
        prop_assert_eq!(open_descriptors(), before);
    }

    /// Bytes of any kind are a message or an error that names what is wrong.
    #[test]
    fn any_bytes_are_a_message_or_an_error(
        code in 0u32..50,
        flags in prop_oneof![Just(1u32), Just(9), any::<u32>()],
        body in prop::collection::vec(any::<u8>(), 0..400),
        fds in 0usize..10,
    ) {
        let mut header = [0; HEADER_LEN];
        for (at, word) in [code, flags, body.len() as u32].into_iter().enumerate() {
            header[4 * at..4 * at + 4].copy_from_slice(&word.to_ne_bytes());
        }
        match Header::parse(&header) {
            Ok(header) => {
                prop_assert_eq!(header.size, body.len());
                if let Err(error) = Request::parse(&header, &body, fds) {
                    prop_assert!(!error.to_string().is_empty());
                }
            }
            Err(error) => {
                let of_the_body = matches!(error, MessageError::Descriptors { .. });
                prop_assert!(!of_the_body, "{error}");
            }
        }
    }
}
