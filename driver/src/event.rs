//! Everything that is worth telling about a driver at work, and the one definition of its fields.
//!
//! `queue` is the pair's index (receive queue i is virtqueue 2i). Frames that go well have no event of
//! their own: the indication is the event.

use crate::drop::DropRecord;

/// One thing that happened. The time is that of the [`Host::event`](crate::Host::event) call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// DRIVER_OK is set: features agreed, every receive ring full of buffers.
    DriverOk {
        /// The agreed features.
        features: u64,
        /// Queue pairs set up.
        queue_pairs: u16,
    },
    /// The driver has given up; see the error that the call returns.
    DriverFailed {
        /// Name of the error.
        error: &'static str,
    },
    /// A command was given to the control queue.
    ControlSent {
        /// Its class.
        class: u8,
        /// Its number in the class.
        command: u8,
    },
    /// The device has answered a command.
    ControlDone {
        /// Its class.
        class: u8,
        /// Its number in the class.
        command: u8,
        /// 0 is success.
        ack: u8,
    },
    /// A command of a driver that runs came to nothing: refused, not answered in time, or not sent because
    /// the control queue is dead.
    ControlFailed {
        /// Its class.
        class: u8,
        /// Its number in the class.
        command: u8,
    },
    /// The device asked the driver to announce itself, and it did.
    Announced {
        /// The announcement was given to the device; otherwise there was no room for it.
        sent: bool,
    },
    /// A receive queue's interrupt was taken and the queue scheduled.
    InterruptTaken {
        /// The receive queue.
        queue: u16,
        /// Its vector.
        vector: u16,
    },
    /// An interrupt found the queue already scheduled.
    AlreadyScheduled {
        /// The receive queue.
        queue: u16,
    },
    /// An interrupt without cause: unknown vector, device not running, nothing in the used ring.
    SpuriousInterrupt {
        /// The vector.
        vector: u16,
    },
    /// The queue's interrupts are held off.
    Masked {
        /// The receive queue.
        queue: u16,
    },
    /// The queue's interrupts are let through again, and nothing was waiting.
    Unmasked {
        /// The receive queue.
        queue: u16,
    },
    /// Work was found when unmasking, or the budget ran out: the queue stays scheduled.
    PollAgain {
        /// The receive queue.
        queue: u16,
    },
    /// Moderation keeps the interrupts of an empty queue away and polls it later.
    PollLater {
        /// The receive queue.
        queue: u16,
        /// When, in picoseconds.
        at: u64,
    },
    /// Adaptive moderation has chosen another step for the queue.
    ModerationChanged {
        /// The receive queue.
        queue: u16,
        /// Its delay.
        usecs: u32,
    },
    /// The watchdog found completions that nobody had polled for a period, and scheduled the queue.
    WatchdogRecovered {
        /// The receive queue.
        queue: u16,
    },
    /// The watchdog told the device of buffers that it had been given without a kick.
    WatchdogKicked {
        /// The receive queue.
        queue: u16,
    },
    /// The device was asked to reset a receive queue.
    QueueResetBegun {
        /// The receive queue.
        queue: u16,
    },
    /// A receive queue was reset, by itself or with the device, and is in use again, its ring full of
    /// buffers.
    QueueRestarted {
        /// The receive queue.
        queue: u16,
        /// Entries of its ring.
        entries: u16,
        /// Buffers given to the device.
        posted: u16,
    },
    /// The device did not finish the reset of a receive queue in time; the queue has stopped.
    QueueResetTimeout {
        /// The receive queue.
        queue: u16,
    },
    /// A receive queue was reset, but could not be put to use again; it has stopped.
    QueueResetFailed {
        /// The receive queue.
        queue: u16,
    },
    /// The device was asked to reset a transmit queue.
    TransmitResetBegun {
        /// The transmit queue.
        queue: u16,
    },
    /// A transmit queue was reset by itself and is in use again.
    TransmitRestarted {
        /// The transmit queue.
        queue: u16,
    },
    /// The reset of a transmit queue did not end in time, or it could not be put to use again: it stopped.
    TransmitResetFailed {
        /// The transmit queue.
        queue: u16,
    },
    /// The driver resets a broken queue, or the device.
    Recovering {
        /// The how-manieth recovery it is, from 1.
        attempt: u64,
    },
    /// One poll is over.
    Polled {
        /// The receive queue.
        queue: u16,
        /// Frames indicated.
        frames: u16,
        /// Completions dropped.
        dropped: u16,
        /// Bytes indicated, without headers.
        bytes: u64,
    },
    /// Free buffers were given to the device. Not told for the first filling, which comes before
    /// [`Event::DriverOk`].
    Refilled {
        /// The receive queue.
        queue: u16,
        /// How many.
        posted: u16,
        /// Descriptors that stay with the driver.
        free: u16,
    },
    /// The device was told of new receive buffers.
    Kicked {
        /// The receive queue.
        queue: u16,
    },
    /// A completion was dropped.
    Dropped(DropRecord),
    /// The buffer of a frame goes to the host, a spare one takes its place.
    BufferLent {
        /// The completion's position.
        tag: u64,
        /// The receive queue.
        queue: u16,
        /// The buffer.
        buffer: u16,
    },
    /// The device claims to have written more than the buffer holds; the frame was cut to the buffer.
    LengthClamped {
        /// The completion's position.
        tag: u64,
        /// The receive queue.
        queue: u16,
        /// Bytes claimed.
        len: u64,
        /// Bytes of the buffer.
        capacity: u64,
    },
    /// The virtio header speaks of an offload or of merged buffers, which were not agreed. The frame
    /// is indicated all the same.
    HeaderUnexpected {
        /// The completion's position.
        tag: u64,
        /// The receive queue.
        queue: u16,
    },
    /// The device broke the rules of a receive ring; the queue has stopped until it or the device is reset.
    QueueBroken {
        /// The receive queue.
        queue: u16,
        /// Name of the ring error.
        error: &'static str,
    },
    /// A frame was given to the device.
    FrameSent {
        /// The transmit queue.
        queue: u16,
        /// Bytes of the frame.
        len: u32,
    },
    /// The device was told of a new frame to send.
    TransmitKicked {
        /// The transmit queue.
        queue: u16,
    },
    /// The device broke the rules of a transmit ring; the queue has stopped until it or the device is reset.
    TransmitBroken {
        /// The transmit queue.
        queue: u16,
        /// Name of the ring error.
        error: &'static str,
    },
    /// The link went up or down, as the device configuration has it.
    LinkChanged {
        /// Whether it is up.
        up: bool,
    },
    /// A configuration change was announced, but the space did not hold still for reading.
    ConfigUnstable,
    /// The device has set NEEDS_RESET.
    NeedsReset,
}

/// The value of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Num(u64),
    /// A name out of a fixed set.
    Name(&'static str),
}

impl Event {
    /// The event's name, snake_case.
    #[inline(always)]
    pub fn name(&self) -> &'static str {
        match self {
            Self::DriverOk { .. } => "driver_ok",
            Self::DriverFailed { .. } => "driver_failed",
            Self::ControlSent { .. } => "control_sent",
            Self::ControlDone { .. } => "control_done",
            Self::ControlFailed { .. } => "control_failed",
            Self::Announced { .. } => "announced",
            Self::InterruptTaken { .. } => "interrupt_taken",
            Self::AlreadyScheduled { .. } => "already_scheduled",
            Self::SpuriousInterrupt { .. } => "spurious_interrupt",
            Self::Masked { .. } => "masked",
            Self::Unmasked { .. } => "unmasked",
            Self::PollAgain { .. } => "poll_again",
            Self::PollLater { .. } => "poll_later",
            Self::ModerationChanged { .. } => "moderation_changed",
            Self::WatchdogRecovered { .. } => "rx_watchdog_recovered",
            Self::WatchdogKicked { .. } => "rx_watchdog_kicked",
            Self::QueueResetBegun { .. } => "queue_reset_begun",
            Self::QueueRestarted { .. } => "queue_restarted",
            Self::QueueResetTimeout { .. } => "queue_reset_timeout",
            Self::QueueResetFailed { .. } => "queue_reset_failed",
            Self::TransmitResetBegun { .. } => "transmit_reset_begun",
            Self::TransmitRestarted { .. } => "transmit_restarted",
            Self::TransmitResetFailed { .. } => "transmit_reset_failed",
            Self::Recovering { .. } => "driver_recovering",
            Self::Polled { .. } => "polled",
            Self::Refilled { .. } => "refilled",
            Self::Kicked { .. } => "rx_kicked",
            Self::Dropped(_) => "driver_dropped",
            Self::BufferLent { .. } => "buffer_lent",
            Self::LengthClamped { .. } => "length_clamped",
            Self::HeaderUnexpected { .. } => "header_unexpected",
            Self::QueueBroken { .. } => "queue_broken",
            Self::FrameSent { .. } => "frame_sent",
            Self::TransmitKicked { .. } => "tx_kicked",
            Self::TransmitBroken { .. } => "transmit_broken",
            Self::LinkChanged { .. } => "driver_link_changed",
            Self::ConfigUnstable => "config_unstable",
            Self::NeedsReset => "driver_saw_needs_reset",
        }
    }

    /// Visits the fields in their fixed order.
    #[inline(always)]
    pub fn fields(&self, visit: &mut impl FnMut(&'static str, Value)) {
        use Value::{Name, Num};
        match *self {
            Self::DriverOk { features, queue_pairs } => {
                visit("features", Num(features));
                visit("queue_pairs", Num(queue_pairs.into()));
            }
            Self::DriverFailed { error } => visit("error", Name(error)),
            Self::Announced { sent } => visit("sent", Num(sent.into())),
            Self::ControlSent { class, command } | Self::ControlFailed { class, command } => {
                visit("class", Num(class.into()));
                visit("command", Num(command.into()));
            }
            Self::ControlDone { class, command, ack } => {
                visit("class", Num(class.into()));
                visit("command", Num(command.into()));
                visit("ack", Num(ack.into()));
            }
            Self::InterruptTaken { queue, vector } => {
                visit("queue", Num(queue.into()));
                visit("vector", Num(vector.into()));
            }
            Self::SpuriousInterrupt { vector } => visit("vector", Num(vector.into())),
            Self::AlreadyScheduled { queue }
            | Self::Masked { queue }
            | Self::Unmasked { queue }
            | Self::PollAgain { queue }
            | Self::Kicked { queue }
            | Self::WatchdogRecovered { queue }
            | Self::WatchdogKicked { queue }
            | Self::QueueResetBegun { queue }
            | Self::QueueResetTimeout { queue }
            | Self::QueueResetFailed { queue }
            | Self::TransmitResetBegun { queue }
            | Self::TransmitRestarted { queue }
            | Self::TransmitResetFailed { queue }
            | Self::TransmitKicked { queue } => visit("queue", Num(queue.into())),
            Self::QueueRestarted { queue, entries, posted } => {
                visit("queue", Num(queue.into()));
                visit("entries", Num(entries.into()));
                visit("posted", Num(posted.into()));
            }
            Self::Recovering { attempt } => visit("attempt", Num(attempt)),
            Self::PollLater { queue, at } => {
                visit("queue", Num(queue.into()));
                visit("at", Num(at));
            }
            Self::ModerationChanged { queue, usecs } => {
                visit("queue", Num(queue.into()));
                visit("usecs", Num(usecs.into()));
            }
            Self::Polled { queue, frames, dropped, bytes } => {
                visit("queue", Num(queue.into()));
                visit("frames", Num(frames.into()));
                visit("dropped", Num(dropped.into()));
                visit("bytes", Num(bytes));
            }
            Self::Refilled { queue, posted, free } => {
                visit("queue", Num(queue.into()));
                visit("posted", Num(posted.into()));
                visit("free", Num(free.into()));
            }
            Self::Dropped(record) => record_fields(&record, visit),
            Self::BufferLent { tag, queue, buffer } => {
                visit("tag", Num(tag));
                visit("queue", Num(queue.into()));
                visit("buffer", Num(buffer.into()));
            }
            Self::LengthClamped { tag, queue, len, capacity } => {
                visit("tag", Num(tag));
                visit("queue", Num(queue.into()));
                visit("len", Num(len));
                visit("capacity", Num(capacity));
            }
            Self::HeaderUnexpected { tag, queue } => {
                visit("tag", Num(tag));
                visit("queue", Num(queue.into()));
            }
            Self::QueueBroken { queue, error } | Self::TransmitBroken { queue, error } => {
                visit("queue", Num(queue.into()));
                visit("error", Name(error));
            }
            Self::FrameSent { queue, len } => {
                visit("queue", Num(queue.into()));
                visit("len", Num(len.into()));
            }
            Self::LinkChanged { up } => visit("up", Num(up.into())),
            Self::ConfigUnstable | Self::NeedsReset => {}
        }
    }
}

#[inline]
fn record_fields(record: &DropRecord, visit: &mut impl FnMut(&'static str, Value)) {
    use Value::{Name, Num};
    visit("tag", Num(record.tag));
    visit("reason", Name(record.reason.name()));
    if let Some(queue) = record.queue {
        visit("queue", Num(queue.into()));
    }
    if let Some(handle) = record.handle {
        visit("handle", Num(handle.into()));
    }
    if let Some(cpu) = record.cpu {
        visit("cpu", Num(cpu.into()));
    }
    visit("occupancy", Num(record.occupancy));
    visit("capacity", Num(record.capacity));
    visit("need", Num(record.need));
    visit("free_elsewhere", Num(record.free_elsewhere));
}
