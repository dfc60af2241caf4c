//! What a scenario does to the driver while it runs: resets, rings of another size, more or fewer channels.
//!
//! Contract: as somebody with ethtool would do it at that moment, taking no virtual time: what a reset finds
//! completed is shown to the tap at once. One that the driver refuses is told as an event and changes
//! nothing.

use super::port::Port;
use super::tap::Tap;
use crate::scenario::DriverControl;
use driver::Driver;

/// Carries a control out; `false` if the driver refused it.
pub fn carry_out(
    now: u64,
    control: DriverControl,
    driver: &mut Driver,
    port: &mut Port<'_>,
    tap: &mut Tap<'_>,
) -> bool {
    let queues = driver.config().queue_pairs;
    if control.reset {
        return driver.reset(now, port, tap).is_ok();
    }
    if let Some(channels) = control.combined {
        return driver.set_channels(now, channels, port, tap).is_ok();
    }
    let mut queue = |queue, entries| driver.reset_queue(now, queue, entries, port, tap).is_ok();
    match (control.queue_reset, control.ring_rx) {
        (Some(index), _) => queue(index, None),
        // Every queue is tried, whatever becomes of those before it.
        (None, Some(entries)) => {
            (0..queues).map(|index| queue(index, Some(entries))).filter(|done| !done).count() == 0
        }
        (None, None) => true,
    }
}
