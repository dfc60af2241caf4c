//! Bytes and descriptors on a socket, and peers that break off at any of them.

use crate::record::{
    DESCRIPTORS, FEATURES, REGION, Record, USER, memfd, open_descriptors, session,
};
use nic_model::spec::feature;
use nic_model::vhost_user::connection::{Connection, Received};
use nic_model::vhost_user::error::ConnectionError;
use nic_model::vhost_user::session::PROTOCOL_FEATURES;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::PoisonError;

/// A message: request, words of its body, bytes of the files that come with it.
type Message = (u32, Vec<u64>, Vec<u64>);

/// A session up to two vrings that run, chains in flight tracked, and its end.
fn messages() -> Vec<Message> {
    let state = |index: u64, number: u64| vec![index | number << 32];
    let mut all = vec![
        (3, vec![], vec![]),
        (1, vec![], vec![]),
        (15, vec![], vec![]),
        (16, vec![PROTOCOL_FEATURES], vec![]),
        (18, state(0, 1), vec![]),
        (2, vec![FEATURES & !feature::ACCESS_PLATFORM | 1 << 30], vec![]),
        (5, vec![1, 0, REGION, USER, 0], vec![REGION]),
        // 20 bytes would do; the padding of a C structure is welcome.
        (31, vec![0, 0, 2 | 64 << 16], vec![]),
        (32, vec![2 * 4096, 0, 2 | 64 << 16], vec![2 * 4096]),
        (21, vec![], vec![8]),
        (6, vec![64, 0], vec![64]),
    ];
    for index in 0..2 {
        let at = USER + 0x1_0000 * index;
        all.push((8, state(index, 64), vec![]));
        all.push((10, state(index, 1 << 15), vec![]));
        all.push((9, vec![index, at, at + 0xa000, at + 0x8000, 0], vec![]));
        all.push((12, vec![index], vec![8]));
        all.push((13, vec![index], vec![8]));
        all.push((14, vec![index], vec![8]));
    }
    all.push((11, state(0, 0), vec![]));
    all
}

/// Sends the first `len` bytes of a message, all of its files with the first of them.
fn send(stream: &UnixStream, (code, words, files): &Message, len: usize) {
    let header = [*code, 1, 8 * words.len() as u32].map(u32::to_ne_bytes).concat();
    let body = words.iter().flat_map(|word| word.to_ne_bytes());
    let bytes: Vec<u8> = header.into_iter().chain(body).take(len).collect();
    let files: Vec<OwnedFd> = files.iter().map(|len| memfd(*len)).collect();
    let borrowed: Vec<_> = files.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !borrowed.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(&borrowed)));
    }
    if !bytes.is_empty() {
        sendmsg(stream, &[IoSlice::new(&bytes)], &mut control, SendFlags::empty()).unwrap();
    }
}

/// Takes what is there; why there is no more.
fn serve(stream: UnixStream) -> Result<(), ConnectionError> {
    let (mut session, mut record) = (session(), Record::default());
    let mut connection = Connection::new(stream).unwrap();
    let end = loop {
        match connection.receive() {
            Ok(Received::Message(_, request, fds)) => {
                if let Err(error) = session.handle(request, fds, &mut record) {
                    break Err(ConnectionError::Session(error));
                }
            }
            Ok(Received::NotYet) => panic!("the peer has gone, and is waited for"),
            Ok(Received::Closed) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    session.end(&mut record);
    assert!(record.running.is_empty() && record.memory.is_none());
    end
}

#[test]
fn a_peer_that_breaks_off_at_any_byte_leaves_nothing_behind() {
    let _alone = DESCRIPTORS.write().unwrap_or_else(PoisonError::into_inner);
    let before = open_descriptors();
    let all = messages();
    for cut in 0..all.len() {
        let len = 12 + 8 * all[cut].1.len();
        for bytes in [0, 1, 11, 12, 13, len - 1].into_iter().filter(|bytes| *bytes < len) {
            let (ours, theirs) = UnixStream::pair().unwrap();
            all[..cut].iter().for_each(|message| send(&theirs, message, usize::MAX));
            send(&theirs, &all[cut], bytes);
            drop(theirs);
            let end = serve(ours);
            match bytes {
                0 => assert!(end.is_ok(), "{cut}: {end:?}"),
                _ => assert!(matches!(end, Err(ConnectionError::Cut)), "{cut} {bytes}: {end:?}"),
            }
            assert_eq!(open_descriptors(), before, "{cut} {bytes}");
        }
    }
}

#[test]
fn descriptors_too_many_are_closed() {
    let _alone = DESCRIPTORS.write().unwrap_or_else(PoisonError::into_inner);
    let before = open_descriptors();
    for message in messages() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (code, words, files) = message;
        let more = [files.as_slice(), &[8, 8]].concat();
        send(&theirs, &(code, words, more), usize::MAX);
        drop(theirs);
        assert!(matches!(serve(ours), Err(ConnectionError::Message(_))), "{code}");
        assert_eq!(open_descriptors(), before, "{code}");
    }
    // Bytes that come one by one are a message all the same.
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    for byte in [1_u32, 1, 0].map(u32::to_ne_bytes).concat() {
        theirs.write_all(&[byte]).unwrap();
    }
    drop(theirs);
    assert!(serve(ours).is_ok());
}
