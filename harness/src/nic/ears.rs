//! Where a lane's effects go: interrupts to the front-end's event descriptors, frames that the guest sends
//! to the feed's other side.

use std::os::fd::OwnedFd;

use nic_model::{Event, Host};

use super::feed::Sink;

/// Vector of a lane's receive queue; that of its transmit queue is one more.
pub const RX_VECTOR: u16 = 0;

/// See the module's contract.
pub struct Ears {
    /// By vector.
    pub calls: [Option<OwnedFd>; 2],
    /// Where frames go that the guest sends.
    pub sink: Box<dyn Sink>,
    /// Frames of the guest's that found no way out.
    pub not_sent: u64,
    /// Frames of the guest's that were discarded.
    pub discarded: u64,
    /// While the transmit queue is not enabled, what it sends is discarded (vhost-user: "Ring states").
    pub discards: bool,
}

impl Host for Ears {
    #[inline(always)]
    fn event(&mut self, _now: u64, _event: Event) {
        // The device counts for itself; a trace in real time would disturb what it traces.
    }

    fn interrupt(&mut self, _now: u64, vector: u16, _cpu: u16) {
        if let Some(Some(call)) = self.calls.get(usize::from(vector)) {
            // Full means that the front-end has 2^64 - 2 of them to look at already.
            let _ = rustix::io::write(call, &1_u64.to_ne_bytes());
        }
    }

    fn transmit(&mut self, _now: u64, _queue: u16, frame: &[u8]) {
        if self.discards {
            self.discarded += 1;
            return;
        }
        self.not_sent += u64::from(!self.sink.send(frame));
    }
}
