//! Memory in which chains in flight are tracked: made, kept, given back, refused.

use crate::record::{REGION, Record, addresses, as_qemu_does, memfd, opens, region, session};
use nic_model::ring::inflight::region_len;
use nic_model::spec::feature;
use nic_model::vhost_user::port::Reply;
use nic_model::vhost_user::request::{Inflight, Request, VringFd};
use nic_model::vhost_user::session::{PROTOCOL_FEATURES, Session};
use std::os::fd::OwnedFd;

/// What a front-end asks for, or gives back: this much memory for this many vrings.
pub fn inflight(size: u64, queues: u16, entries: u16) -> Inflight {
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
