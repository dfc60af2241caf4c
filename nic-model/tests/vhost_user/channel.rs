//! Translations that are asked for over the back-end's channel, of front-ends that answer, err, are late, or
//! say nothing.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nic_model::spec::feature;
use nic_model::vhost_user::channel::Channel;
use nic_model::vhost_user::error::ChannelError;
use nic_model::vhost_user::iotlb::{PATIENCE, Translations};
use nic_model::vhost_user::memory::Memory;
use nic_model::vhost_user::port::Reply;
use nic_model::vhost_user::request::{Iotlb, Request};
use nic_model::vhost_user::session::{PROTOCOL_FEATURES, Session};
use vm_memory::{Bytes, GuestAddress};

use crate::record::{Record, USER, as_qemu_does, opens, session};

const READ: u8 = 1;
const BOTH: u8 = 3;
const PAGE: u64 = 0x1000;
/// Where the guest's driver sees what lies at the beginning of its memory.
const IOVA: u64 = 0xffff_0000;

/// A session whose addresses go through an IOMMU, and the front-end's end of its channel.
struct World {
    session: Session,
    record: Record,
    asked: UnixStream,
    memory: Arc<Memory>,
    translations: Arc<Translations>,
    listens: Option<JoinHandle<Result<(), ChannelError>>>,
    _opens: RwLockReadGuard<'static, ()>,
}

impl World {
    fn new(answers: bool) -> Self {
        let opens = opens();
        let (mut session, mut record) = (session(), Record::default());
        as_qemu_does(&mut session, &mut record, feature::VERSION_1 | feature::ACCESS_PLATFORM);
        let protocol = PROTOCOL_FEATURES & !if answers { 0 } else { REPLY_ACK };
        let mut handle = |request, fds| session.handle(request, fds, &mut record).unwrap();
        handle(Request::SetProtocolFeatures(protocol), vec![]);
        let (ours, asked) = UnixStream::pair().unwrap();
        handle(Request::SetBackendReqFd, vec![OwnedFd::from(ours)]);
        let (channel, acknowledges, translations) = record.channel.take().unwrap();
        let kept = Arc::clone(&translations);
        assert_eq!(acknowledges, answers);
        let channel = Arc::new(Channel::new(UnixStream::from(channel), answers).unwrap());
        translations.ask(Some(Arc::<Channel>::clone(&channel)));
        let listens = std::thread::spawn(move || channel.listen(&translations));
        asked.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let memory = Arc::clone(record.memory.as_ref().unwrap());
        Self {
            session,
            record,
            asked,
            memory,
            translations: kept,
            listens: Some(listens),
            _opens: opens,
        }
    }

    /// A lane that reads a byte there: whether it could, and after how long.
    fn reads(&self, iova: u64) -> JoinHandle<(Result<u8, String>, Duration)> {
        let memory = Arc::clone(&self.memory);
        std::thread::spawn(move || {
            let begun = Instant::now();
            let read = memory.read_obj(GuestAddress(iova)).map_err(|error| error.to_string());
            (read, begun.elapsed())
        })
    }

    /// The next question: first byte, and whether it is to be answered.
    fn question(&mut self) -> (u64, bool) {
        let mut bytes = [0; 12 + 32];
        self.asked.read_exact(&mut bytes).unwrap();
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!((word(0), word(4) & !8, word(8)), (1, 1, 32), "IOTLB_MSG");
        assert_eq!(bytes[12 + 25], 1, "a miss");
        (u64::from_ne_bytes(bytes[12..20].try_into().unwrap()), word(4) & 8 != 0)
    }

    fn answer(&mut self, code: u64) {
        let header = [1_u32, 5, 8].map(u32::to_ne_bytes).concat();
        self.asked.write_all(&[&header[..], &code.to_ne_bytes()].concat()).unwrap();
    }

    /// The page of an address has a translation from now on.
    fn update(&mut self, iova: u64, perm: u8) {
        let iova = iova & !(PAGE - 1);
        let update = Iotlb { iova, size: PAGE, user: USER + (iova - IOVA), perm, kind: 2 };
        let reply = self.session.handle(Request::Iotlb(update), vec![], &mut self.record);
        assert!(matches!(reply, Ok(Reply::None)));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.session.end(&mut self.record);
        if let Some(listens) = self.listens.take() {
            let _ = listens.join();
        }
    }
}

const REPLY_ACK: u64 = 1 << 3;

#[test]
fn an_answer_and_an_update_end_the_wait() {
    let mut world = World::new(true);
    let lane = world.reads(IOVA + 5);
    assert_eq!(world.question(), (IOVA + 5, true));
    // As QEMU does, and then in the other order.
    world.update(IOVA, BOTH);
    world.answer(0);
    assert_eq!(lane.join().unwrap().0, Ok(0));
    let lane = world.reads(IOVA + PAGE);
    assert_eq!(world.question(), (IOVA + PAGE, true));
    world.answer(0);
    std::thread::sleep(Duration::from_millis(20));
    world.update(IOVA + PAGE, BOTH);
    assert_eq!(lane.join().unwrap().0, Ok(0));
}

#[test]
fn an_error_ends_it_at_once() {
    let mut world = World::new(true);
    let lane = world.reads(IOVA);
    world.question();
    world.answer(1);
    let (read, took) = lane.join().unwrap();
    assert!(read.unwrap_err().contains("does not map"));
    assert!(took < PATIENCE / 10, "{took:?}");
}

#[test]
fn a_front_end_that_stalls_is_waited_for() {
    let mut world = World::new(true);
    let lane = world.reads(IOVA);
    world.question();
    std::thread::sleep(Duration::from_millis(1500));
    world.update(IOVA, BOTH);
    world.answer(0);
    assert_eq!(lane.join().unwrap().0, Ok(0));
}

#[test]
fn what_is_only_readable_is_not_written_and_not_asked_for_again_and_again() {
    let mut world = World::new(true);
    let memory = Arc::clone(&world.memory);
    let lane = std::thread::spawn(move || memory.write_obj(1_u8, GuestAddress(IOVA)));
    // The first translation may be somebody else's, who only reads; whether it is, its answer tells.
    let mut questions = 0;
    while !lane.is_finished() && questions < 3 {
        world.question();
        world.update(IOVA, READ);
        world.answer(0);
        questions += 1;
        std::thread::sleep(Duration::from_millis(200));
    }
    let error = lane.join().unwrap().unwrap_err();
    assert!(error.to_string().contains("does not allow"), "{error}");
    assert!(questions <= 2, "{questions} questions");
}

/// Newer versions of QEMU serve nobody while they wait for GET_VRING_BASE.
#[test]
fn a_lane_whose_vring_stops_gives_up_and_its_answer_is_nobodys() {
    let mut world = World::new(true);
    let lane = world.reads(IOVA);
    world.question();
    let stopping = lane.thread().id();
    let begun = Instant::now();
    let (read, _) = world.translations.without(stopping, || lane.join().unwrap());
    assert!(read.unwrap_err().contains("the vring stops"));
    assert!(begun.elapsed() < PATIENCE / 10, "{:?}", begun.elapsed());
    // The answer that is still owed, an error, is not the next one's.
    let lane = world.reads(IOVA + PAGE);
    world.question();
    world.answer(1);
    world.update(IOVA + PAGE, BOTH);
    world.answer(0);
    assert_eq!(lane.join().unwrap().0, Ok(0));
}

#[test]
fn only_the_lane_that_stops_gives_up() {
    let mut world = World::new(true);
    let (stops, stays) = (world.reads(IOVA), world.reads(IOVA + PAGE));
    let of = [world.question().0, world.question().0];
    let (read, _) = world.translations.without(stops.thread().id(), || stops.join().unwrap());
    assert!(read.is_err());
    for iova in of {
        world.update(iova, BOTH);
        world.answer(0);
    }
    assert_eq!(stays.join().unwrap().0, Ok(0));
}

#[test]
fn the_end_of_the_session_ends_every_wait() {
    let mut world = World::new(true);
    let lanes = [world.reads(IOVA), world.reads(IOVA + PAGE)];
    world.question();
    world.question();
    let begun = Instant::now();
    world.session.end(&mut world.record);
    for lane in lanes {
        assert!(lane.join().unwrap().0.is_err());
    }
    assert!(begun.elapsed() < PATIENCE / 10);
    assert!(world.listens.take().unwrap().join().unwrap().is_ok());
}

#[test]
fn a_front_end_that_answers_what_it_was_not_asked_is_asked_nothing_more() {
    for bytes in [[1_u32, 5, 8, 0, 0], [1, 1, 8, 0, 0], [2, 5, 8, 0, 0], [1, 5, 4096, 0, 0]] {
        let mut world = World::new(true);
        if bytes[1..3] != [5, 8] || bytes[0] != 1 {
            drop(world.reads(IOVA));
            world.question();
        }
        world.asked.write_all(&bytes.map(u32::to_ne_bytes).concat()).unwrap();
        let error = world.listens.take().unwrap().join().unwrap().unwrap_err();
        println!("{error}");
        let (read, took) = world.reads(IOVA + PAGE).join().unwrap();
        assert!(read.is_err() && took < PATIENCE / 10, "{took:?}");
    }
}

#[test]
fn without_acknowledgements_nobody_asks_for_one() {
    let mut world = World::new(false);
    let lane = world.reads(IOVA);
    assert_eq!(world.question(), (IOVA, false));
    world.update(IOVA, BOTH);
    assert_eq!(lane.join().unwrap().0, Ok(0));
}
