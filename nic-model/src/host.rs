//! What the device's surroundings provide.

use crate::event::Event;

/// Effects of the device. Calls come in the order things happen; `now` is the time at which they do, in
/// ps: never decreasing, and at most the `now` of the call into the device.
pub trait Host {
    /// Something happened.
    fn event(&mut self, now: u64, event: Event);

    /// An MSI-X message leaves the device for `cpu`.
    fn interrupt(&mut self, now: u64, vector: u16, cpu: u16);

    /// A frame leaves from transmit queue `queue` (a pair's index) towards the wire.
    fn transmit(&mut self, now: u64, queue: u16, frame: &[u8]);
}
