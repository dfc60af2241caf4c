//! Any message in any order, and any bytes.

use crate::inflight::inflight;
use crate::record::{
    DESCRIPTORS, FEATURES, REGION, Record, USER, addresses, as_qemu_does, memfd, open_descriptors,
    region, session,
};
use nic_model::spec::feature;
use nic_model::vhost_user::error::MessageError;
use nic_model::vhost_user::request::{
    HEADER_LEN, Header, Inflight, Iotlb, Region, Request, VringFd,
};
use nic_model::vhost_user::session::{PROTOCOL_FEATURES, TRANSPORT_FEATURES};
use proptest::prelude::*;
use std::os::fd::OwnedFd;
use std::sync::PoisonError;

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
