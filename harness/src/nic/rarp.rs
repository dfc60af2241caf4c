//! The frame that tells a network where a guest is now.
//!
//! Contract: a reverse ARP request of the guest for itself (RFC 903), broadcast, as long as the shortest frame.
//! Switches learn from its source address; nobody has to answer.

/// Bytes of the frame, without FCS (IEEE 802.3 3.2.8).
pub const LEN: usize = 60;

/// The frame for the guest with this address.
#[must_use]
pub fn request(mac: [u8; 6]) -> [u8; LEN] {
    let mut frame = [0; LEN];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&mac);
    // EtherType of RARP; Ethernet, 6 bytes an address; IPv4, 4 bytes an address; "request reverse".
    frame[12..22].copy_from_slice(&[0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3]);
    // Sender and target are the guest; their IPv4 addresses stay 0, which is what is asked for.
    frame[22..28].copy_from_slice(&mac);
    frame[32..38].copy_from_slice(&mac);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nic::feed::{Feed, Sink};
    use crate::nic::lane::{Lane, Order, Settings};
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;

    impl Sink for Sender<Vec<u8>> {
        fn send(&mut self, frame: &[u8]) -> bool {
            Sender::send(self, frame.to_vec()).is_ok()
        }
    }

    #[test]
    fn a_lane_that_is_told_sends_it() {
        let device = nic_model::DeviceConfig { max_queue_pairs: 1, ..Default::default() };
        let settings = Settings { device, poll: false, cpu: None };
        let empty = nic_model::vhost_user::memory::empty().unwrap();
        let (sink, sent) = channel::<Vec<u8>>();
        let lane = Lane::start("lane", settings, empty, || (Feed::Silent, Box::new(sink))).unwrap();
        lane.order(Order::Announce([2; 6]));
        assert_eq!(sent.recv_timeout(Duration::from_secs(10)).unwrap(), request([2; 6]));
        drop(sent);
        lane.order(Order::Announce([2; 6]));
        assert_eq!(lane.ask(Order::Tell).unwrap().not_sent, 1);
    }

    #[test]
    fn every_field_is_where_the_rfc_has_it() {
        let mac = [2, 0, 0, 0, 0, 9];
        let frame = request(mac);
        assert_eq!((&frame[..6], &frame[6..12]), (&[0xff; 6][..], &mac[..]));
        let word = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        assert_eq!([12, 14, 16, 20].map(word), [0x8035, 1, 0x0800, 3]);
        assert_eq!((frame[18], frame[19]), (6, 4));
        assert_eq!((&frame[22..28], &frame[32..38]), (&mac[..], &mac[..]));
        assert!(frame[28..32].iter().chain(&frame[38..]).all(|byte| *byte == 0));
    }
}
