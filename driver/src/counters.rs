//! Counters. All are `u64`, count from the making of the [`Driver`](crate::Driver), and survive restarts.

use crate::drop::DropReason;

/// Defines a struct of counters and its visitor, so that a counter cannot miss being visited.
macro_rules! counters {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name { $($(#[$field_doc])* pub $field: u64),+ }

        impl $name {
            /// Visits every counter as (name, value), in the order of declaration.
            pub fn visit(&self, visit: &mut impl FnMut(&'static str, u64)) {
                $(visit(stringify!($field), self.$field);)+
            }
        }
    };
}

counters! {
    /// What concerns the driver as a whole.
    DriverCounters {
        /// Bring-ups begun.
        starts,
        /// Times the driver has given up (state broken).
        failures,
        /// Control commands given to the device.
        control_sent,
        /// Control commands the device has answered with success.
        control_done,
        /// Control completions whose length was not that of an answer: a byte, and at most the result.
        control_bad_length,
        /// Resets of the device that were asked for, recoveries among them.
        device_resets,
        /// Recoveries tried after a queue or the device broke.
        recoveries,
        /// Commands of a driver that runs which were refused, not answered in time, or not sent any more.
        control_failed,
        /// Statistics of the device that made no sense.
        stats_malformed,
        /// Announcements that the device asked for and that were sent.
        announcements,
        /// Interrupts on the configuration vector while running.
        config_interrupts,
        /// Configuration changes that could not be read under one generation.
        config_unstable,
        /// Link status changes seen.
        link_changes,
        /// Times NEEDS_RESET was seen.
        needs_reset,
        /// Interrupts on a vector of no queue, or while not running.
        spurious_interrupts,
        /// Calls that named a queue the driver does not have, or came while it was not running.
        misdirected_calls,
    }
}

counters! {
    /// What concerns one receive queue, drops apart.
    ReceiveCounters {
        /// Completions taken from the used ring; indicated + the sum of all drops.
        consumed,
        /// Frames handed to the host.
        indicated,
        /// Bytes of these, without virtio headers.
        bytes,
        /// Bytes that the driver copied, virtio headers included: what the buffer policy costs.
        copied_bytes,
        /// Buffers handed to the host.
        buffers_lent,
        /// Buffers that came back.
        buffers_returned,
        /// The most that were out at once.
        buffers_out_most,
        /// Frames whose buffer could not be replaced as no spare was left: copied, or dropped.
        spares_exhausted,
        /// Polls.
        polls,
        /// Polls that used up their budget.
        polls_exhausted,
        /// Polls that found nothing.
        polls_empty,
        /// Buffers given to the device.
        posted,
        /// Times buffers were given, one index publication each.
        refills,
        /// Refills that were due and not done, because the caller had them withheld.
        refills_withheld,
        /// Kicks.
        kicks,
        /// Refills after which the device wanted no kick.
        kicks_suppressed,
        /// Interrupts that scheduled the queue.
        interrupts,
        /// Interrupts that found it scheduled.
        already_scheduled,
        /// Interrupts that found nothing to do.
        spurious_interrupts,
        /// Times interrupts were held off.
        masked,
        /// Times interrupts were let through again.
        unmasked,
        /// Times unmasking found work and gave up.
        poll_again,
        /// Times moderation kept interrupts away from an empty queue and set a timer.
        poll_later,
        /// Polls that such a timer asked for.
        timer_polls,
        /// Changes of the step of adaptive moderation.
        moderation_steps,
        /// Resets of this queue alone.
        queue_resets,
        /// Resets of it that the device did not finish in time; the queue has stopped.
        queue_reset_timeouts,
        /// Resets of it after which it could not be put to use again; the queue has stopped.
        queue_reset_failures,
        /// Frames among the indicated ones that a reset found completed and not taken.
        reset_taken,
        /// Buffers that a reset found completed behind a break of the ring. Without mergeable buffers each
        /// is a frame, dropped for driver_reset. What a packed ring with chains of several descriptors,
        /// or one used in order, holds behind a false id cannot be counted.
        reset_left,
        /// Times the watchdog scheduled the queue because an interrupt was lost.
        watchdog_recovered,
        /// Times the watchdog told the device of buffers given without a kick; among the kicks.
        watchdog_kicks,
        /// Completions whose length was cut to the buffer; indicated.
        length_clamped,
        /// Frames whose virtio header speaks of what was not agreed; indicated.
        header_unexpected,
        /// Times the used index ran ahead of what the device owns; the queue stopped.
        index_jumps,
        /// Times a packed descriptor was neither available nor used; the queue stopped.
        descriptor_flags,
        /// Completions that stood for more chains than the used index had; the queue stopped.
        batch_too_long,
    }
}

counters! {
    /// What concerns one transmit queue.
    TransmitCounters {
        /// Frames given to the device.
        sent,
        /// Bytes of these, without virtio headers.
        bytes,
        /// Frames the device has finished with.
        completed,
        /// Kicks.
        kicks,
        /// Frames after which the device wanted no kick.
        kicks_suppressed,
        /// Resets of this queue alone.
        queue_resets,
        /// Resets of it that the device did not finish in time; the queue has stopped.
        queue_reset_timeouts,
        /// Resets of it after which it could not be put to use again; the queue has stopped.
        queue_reset_failures,
        /// Frames that the device had and had not finished with when it, or the queue, was reset.
        reset_in_flight,
        /// Frames refused because every descriptor was with the device.
        queue_full,
        /// Frames refused for their length.
        bad_length,
        /// Completions that named a descriptor the ring does not have; the queue stopped.
        unknown_id,
        /// Completions that named a descriptor the device did not own; the queue stopped.
        duplicate_id,
        /// Times the used index ran ahead of what the device owns; the queue stopped.
        index_jumps,
        /// Times a packed descriptor was neither available nor used; the queue stopped.
        descriptor_flags,
        /// Completions that stood for more chains than the used index had; the queue stopped.
        batch_too_long,
    }
}

/// Counters of one receive queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueCounters {
    /// All that is not a drop.
    pub receive: ReceiveCounters,
    /// Completions dropped, by [`DropReason::index`].
    pub dropped: [u64; DropReason::COUNT],
}

impl QueueCounters {
    /// Visits every counter as (name, value), the drops last under their reasons' names.
    pub fn visit(&self, visit: &mut impl FnMut(&'static str, u64)) {
        self.receive.visit(visit);
        for reason in DropReason::ALL {
            visit(reason.name(), self.dropped[reason.index()]);
        }
    }
}
