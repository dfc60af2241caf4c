//! Draws for the property tests: what a driver may be set to, as lines of a scenario.
//!
//! Contract: any draw is possible together with any ring of 16 descriptors or more and an MTU up to 3000
//! bytes, if `driver.buffer` holds such a frame. None of them is a fault to be shown (a blind rearm, a
//! refill without a kick): an account must add up with these too, but such a run need not end.

use proptest::prelude::*;

/// Lines for `[nic]`: what device and driver agree on beyond the ring's format.
pub fn nic_features() -> impl Strategy<Value = String> {
    any::<[bool; 4]>().prop_map(|[mergeable, report, notf_coal, csum]| {
        format!(
            "mrg_rxbuf = {mergeable}\nhash_report = {report}\nnotf_coal = {notf_coal}\nguest_csum = {csum}\n"
        )
    })
}

/// Lines for `[driver]`: its policies.
pub fn driver_policies() -> impl Strategy<Value = String> {
    let policy = prop::sample::select(vec!["copy", "page-flip", "header-split"]);
    let exhausted = prop::sample::select(vec!["copy", "drop"]);
    let buffers = (policy, exhausted, 1_u16..40, 0_u64..400, 64_u64..=200);
    let refill = prop::sample::select(vec!["each-poll", "threshold", "when-empty"]);
    let moderation =
        prop::sample::select(vec!["interrupts", "adaptive", "busy-poll", "defer-hard-irqs"]);
    let pauses = (1_u64..30, 1_u32..4, 1_u64..60);
    (buffers, refill, moderation, pauses).prop_map(|(buffers, refill, moderation, pauses)| {
        let (policy, exhausted, spares, hold, header) = buffers;
        let (busy, times, flush) = pauses;
        format!(
            "buffer_policy = '{policy}'\nspares_exhausted = '{exhausted}'\nspare_buffers = {spares}\n\
             buffer_hold = '{hold}us'\nheader_buffer = '{header}B'\nrefill = '{refill}'\n\
             moderation = '{moderation}'\nbusy_poll = '{busy}us'\ndefer_hard_irqs = {times}\n\
             gro_flush_timeout = '{flush}us'\n"
        )
    })
}
