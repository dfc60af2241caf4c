//! What a session does with messages, each by each.

use crate::record::{REGION, Record, USER, addresses, as_qemu_does, memfd, opens, region, session};
use nic_model::spec::feature;
use nic_model::vhost_user::error::SessionError;
use nic_model::vhost_user::port::{Reply, Start};
use nic_model::vhost_user::request::{Addresses, Iotlb, Region, Request};
use nic_model::vhost_user::session::{Session, TRANSPORT_FEATURES};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

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

/// Nobody tells what is unmapped while a device does not run: a guest that comes back with other pages at the same
/// addresses would not see what the device writes.
#[test]
fn what_was_mapped_is_forgotten_when_a_vring_stops() {
    let _opens = opens();
    let features = feature::VERSION_1 | feature::ACCESS_PLATFORM;
    for stop in [Request::GetVringBase { index: 0 }, Request::SetStatus(0), Request::ResetDevice] {
        let (mut session, mut record) = (session(), Record::default());
        as_qemu_does(&mut session, &mut record, features);
        let user = USER + 0x3000;
        let update = Iotlb { iova: 0x5000, size: 0x1000, user, perm: 3, kind: 2 };
        session.handle(Request::Iotlb(update), vec![], &mut record).unwrap();
        let memory = Arc::clone(record.memory.as_ref().unwrap());
        let there = || memory.read_obj::<u8>(GuestAddress(0x5000)).is_ok();
        assert!(there());
        session.handle(stop, vec![], &mut record).unwrap();
        assert!(!there());
    }
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
    // Without any memory nothing can be found, and nothing runs until it is.
    assert!(gone.is_ok() && record.memory.is_none() && record.running.is_empty(), "{gone:?}");
    let elsewhere = Region { guest: 4 * REGION, ..region() };
    session.handle(Request::AddMemReg(elsewhere), vec![memfd(REGION)], &mut record).unwrap();
    let Start { setup, base, .. } = &record.running[&0];
    assert_eq!((setup.descriptor_table, *base), (4 * REGION, 8), "it goes on where it stopped");
    // It may not go on where there is nothing of it, and has stopped before its memory goes.
    let other = Region { user: USER + REGION, ..region() };
    let error = session.handle(Request::SetMemTable(vec![other]), vec![memfd(REGION)], &mut record);
    assert!(error.is_err() && record.running.is_empty(), "{error:?}");
    session.end(&mut record);
}

/// QEMU 7.2 stops a device so before it takes it elsewhere.
#[test]
fn a_device_whose_status_is_reset_still_knows_where_its_vrings_stopped() {
    let _opens = opens();
    for (request, base) in [(Request::SetStatus(0), 8), (Request::ResetDevice, 0)] {
        let (mut session, mut record) = (session(), Record::default());
        as_qemu_does(&mut session, &mut record, feature::VERSION_1);
        assert_eq!(record.running[&0].base, 7);
        session.handle(request, vec![], &mut record).unwrap();
        assert!(record.running.is_empty());
        let reply = session.handle(Request::GetVringBase { index: 0 }, vec![], &mut record);
        assert!(matches!(reply, Ok(Reply::State { index: 0, num }) if num == base), "{reply:?}");
    }
}

/// QEMU 7.2 sends each region of a device with several queue pairs once for every pair.
#[test]
fn a_region_that_is_sent_for_every_queue_pair_is_one() {
    let _opens = opens();
    let (mut session, mut record) = (session(), Record::default());
    as_qemu_does(&mut session, &mut record, feature::VERSION_1);
    let more = Region { guest: REGION, size: REGION, user: USER + REGION, offset: 0 };
    let file = memfd(REGION);
    let again = || vec![file.try_clone().unwrap()];
    session.handle(Request::AddMemReg(more), again(), &mut record).unwrap();
    let before = record.memory.clone().unwrap();
    session.handle(Request::AddMemReg(more), again(), &mut record).unwrap();
    assert!(Arc::ptr_eq(&before, record.memory.as_ref().unwrap()), "nothing has changed");
    // It is there until it has been taken away as often.
    let mut regions = |session: &mut Session| {
        session.handle(Request::RemMemReg(more), vec![], &mut record).unwrap();
        record.memory.as_ref().unwrap().get_backend().num_regions()
    };
    assert_eq!((regions(&mut session), regions(&mut session)), (2, 1));
    // Another file there is another region.
    session.handle(Request::AddMemReg(more), again(), &mut record).unwrap();
    let other = session.handle(Request::AddMemReg(more), vec![memfd(REGION)], &mut record);
    assert!(other.unwrap_err().to_string().contains("overlap"));
    session.end(&mut record);
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
