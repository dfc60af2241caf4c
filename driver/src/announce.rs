//! Announcing the station to its network when the device asks for it (virtio 1.x, 5.1.6.5.4): after a
//! migration, say, so that switches learn where it is now.
//!
//! What is sent is a RARP request for the station's own address (RFC 903), as a hypervisor sends it for
//! a guest: it needs no IP address, and this driver knows of none. An ARP announcement (RFC 5227) is for
//! whoever has one. A device without an address of its own gets no frame, only the acknowledgement.

use crate::command::Command;
use crate::event::Event;
use crate::transport::Transport;
use crate::{Driver, Host};

/// EtherType of RARP.
const RARP: [u8; 2] = [0x80, 0x35];
/// Ethernet, IPv4, 6 and 4 bytes of address, "request reverse".
const RARP_FIXED: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 3];
/// The shortest frame of Ethernet, without FCS.
const FRAME_BYTES: usize = 60;

impl Driver {
    /// Sends the announcement by the first transmit queue, and acknowledges. While the acknowledgement is on
    /// its way the device's wish is the same one still.
    pub(crate) fn announce<T: Transport, H: Host>(
        &mut self,
        now: u64,
        transport: &mut T,
        host: &mut H,
    ) {
        if self.commanding.announcing {
            return;
        }
        let frame = self.device.mac.map(announcement);
        let sent =
            frame.is_some_and(|frame| self.transmit(now, 0, &frame, transport, host).is_ok());
        self.counters.announcements += u64::from(sent);
        host.event(now, Event::Announced { sent });
        // A transmit queue that breaks can bring a reset of the device, which forgets its wish.
        if self.is_live() {
            self.commanding.announcing = true;
            self.order(now, Command::announce_ack(), transport, host);
        }
    }
}

fn announcement(mac: [u8; 6]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(mac);
    frame.extend(RARP);
    frame.extend(RARP_FIXED);
    for _ in 0..2 {
        frame.extend(mac);
        frame.extend([0; 4]);
    }
    frame.resize(FRAME_BYTES, 0);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_is_a_reverse_request_for_the_own_address() {
        let frame = announcement([2, 3, 4, 5, 6, 7]);
        assert_eq!(frame.len(), 60);
        assert_eq!(frame[..14], [255, 255, 255, 255, 255, 255, 2, 3, 4, 5, 6, 7, 0x80, 0x35]);
        assert_eq!(frame[20..22], [0, 3]);
        assert_eq!(frame[22..32], [2, 3, 4, 5, 6, 7, 0, 0, 0, 0]);
        assert_eq!(frame[32..42], [2, 3, 4, 5, 6, 7, 0, 0, 0, 0]);
    }
}
