//! Everything that happens in a run, in one stream: what the components report and what the world adds.
//!
//! Each component defines its events once (`name` and `fields`); this module only joins them. The
//! digest, `events.ndjson` and the flight recorder are three readers of the same stream, so they can
//! not tell different stories. Contract: the order of events is the order in which they happened;
//! equal streams have equal digests. The digest is a fingerprint (XXH3, 64 bit), not a signature.

mod digest;
mod ndjson;
mod recorder;

pub use recorder::{Detail, Recorder};

/// What the world itself does: the parts of a run that belong to no component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorldEvent {
    /// The interrupt handler of `vector` starts on `cpu`.
    InterruptServed {
        /// MSI-X vector.
        vector: u16,
        /// Virtual CPU.
        cpu: u16,
    },
    /// A frame reached its reader: `caplen` of its bytes were copied to the user buffer.
    Delivered {
        /// The ledger's name of the frame.
        tag: u64,
        /// Handle whose reader got it.
        handle: u32,
        /// RX queue that it came through.
        queue: u16,
        /// Bytes delivered.
        caplen: u32,
        /// Picoseconds between its last bit on the wire and the read.
        latency: u64,
    },
    /// A reader found nothing that may be read yet and sleeps.
    ReaderWaits {
        /// Handle.
        handle: u32,
    },
    /// A reader's read timeout expired before the handle woke it.
    ReadTimeout {
        /// Handle.
        handle: u32,
    },
    /// The scenario keeps a reader from reading until `until`.
    ReaderStalls {
        /// Handle.
        handle: u32,
        /// Picoseconds.
        until: u64,
    },
    /// The process that reads a handle forked.
    Forked {
        /// Handle.
        handle: u32,
        /// Number of the child among the handle's processes.
        child: u32,
    },
    /// What a program wanted to send was refused.
    SendRefused {
        /// Handle.
        handle: u32,
    },
    /// A control of the scenario was refused.
    ControlRefused {
        /// Handle.
        handle: u32,
    },
    /// Something was done to the driver.
    DriverControl {
        /// Which of the scenario's controls of the driver.
        index: u32,
        /// The driver did it.
        accepted: bool,
    },
    /// The scenario ends a reader for good.
    ReaderStops {
        /// Handle.
        handle: u32,
    },
    /// A fault acts.
    FaultInjected {
        /// Its kind.
        fault: &'static str,
    },
    /// A virtqueue has changed; only in a traced run, and not in its digest.
    Ring {
        /// Index of the virtqueue.
        virtqueue: u16,
        /// Descriptors of the driver.
        driver: u16,
        /// Descriptors of the device.
        device: u16,
        /// Descriptors that the device has used and the driver has not taken.
        used: u16,
    },
    /// The source has no more frames.
    SourceEnded {
        /// Frames that it gave.
        frames: u64,
    },
}

impl WorldEvent {
    /// The event's name in every output.
    #[inline(always)]
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::InterruptServed { .. } => "interrupt_served",
            Self::Delivered { .. } => "delivered",
            Self::ReaderWaits { .. } => "reader_waits",
            Self::ReadTimeout { .. } => "read_timeout",
            Self::ReaderStalls { .. } => "reader_stalls",
            Self::Forked { .. } => "forked",
            Self::SendRefused { .. } => "send_refused",
            Self::ControlRefused { .. } => "control_refused",
            Self::DriverControl { .. } => "driver_control",
            Self::ReaderStops { .. } => "reader_stops",
            Self::FaultInjected { .. } => "fault",
            Self::Ring { .. } => "ring",
            Self::SourceEnded { .. } => "source_ended",
        }
    }

    /// The event's fields, in the order in which every output shows them.
    #[inline]
    pub fn fields(&self, visit: &mut impl FnMut(&'static str, Value)) {
        let mut num = |name, value: u64| visit(name, Value::Num(value));
        match *self {
            Self::InterruptServed { vector, cpu } => {
                num("vector", vector.into());
                num("cpu", cpu.into());
            }
            Self::Delivered { tag, handle, queue, caplen, latency } => {
                num("tag", tag);
                num("handle", handle.into());
                num("queue", queue.into());
                num("caplen", caplen.into());
                num("latency", latency);
            }
            Self::ReaderWaits { handle }
            | Self::ReadTimeout { handle }
            | Self::SendRefused { handle }
            | Self::ControlRefused { handle }
            | Self::ReaderStops { handle } => num("handle", handle.into()),
            Self::DriverControl { index, accepted } => {
                num("index", index.into());
                num("accepted", accepted.into());
            }
            Self::Forked { handle, child } => {
                num("handle", handle.into());
                num("child", child.into());
            }
            Self::ReaderStalls { handle, until } => {
                num("handle", handle.into());
                num("until", until);
            }
            Self::Ring { virtqueue, driver, device, used } => {
                num("virtqueue", virtqueue.into());
                num("driver", driver.into());
                num("device", device.into());
                num("used", used.into());
            }
            Self::SourceEnded { frames } => num("frames", frames),
            Self::FaultInjected { fault } => visit("fault", Value::Name(fault)),
        }
    }
}

/// A field's value: a number or a name from one of the enums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A count, a size, a time, an identifier.
    Num(u64),
    /// A drop reason, a hash type: a word that the outputs print.
    Name(&'static str),
}

/// One event of any origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Reported by the NIC model.
    Nic(nic_model::Event),
    /// Reported by the driver.
    Driver(driver::Event),
    /// Reported by the NPF core.
    Npf(npf_core::Event),
    /// Added by the world.
    World(WorldEvent),
}

impl Event {
    /// Which part of the laboratory reports it.
    #[must_use]
    pub fn component(&self) -> &'static str {
        match self {
            Self::Nic(_) => "nic",
            Self::Driver(_) => "driver",
            Self::Npf(_) => "npf",
            Self::World(_) => "world",
        }
    }

    /// The event's name, unique within its component.
    #[inline(always)]
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Nic(event) => event.name(),
            Self::Driver(event) => event.name(),
            Self::Npf(event) => event.name(),
            Self::World(event) => event.name(),
        }
    }

    /// Whether it tells of a loss.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        matches!(
            self,
            Self::Nic(nic_model::Event::Dropped(_))
                | Self::Driver(driver::Event::Dropped(_))
                | Self::Npf(npf_core::Event::Dropped(_))
        )
    }

    /// The event's fields in their fixed order.
    #[inline(always)]
    pub fn fields(&self, visit: &mut impl FnMut(&'static str, Value)) {
        match self {
            Self::Nic(event) => event.fields(&mut |name, value| {
                visit(
                    name,
                    match value {
                        nic_model::Value::Num(n) => Value::Num(n),
                        nic_model::Value::Name(n) => Value::Name(n),
                    },
                );
            }),
            Self::Driver(event) => event.fields(&mut |name, value| {
                visit(
                    name,
                    match value {
                        driver::Value::Num(n) => Value::Num(n),
                        driver::Value::Name(n) => Value::Name(n),
                    },
                );
            }),
            Self::Npf(event) => event.fields(&mut |name, value| {
                visit(
                    name,
                    match value {
                        npf_core::Value::Num(n) => Value::Num(n),
                        npf_core::Value::Name(n) => Value::Name(n),
                    },
                );
            }),
            Self::World(event) => event.fields(visit),
        }
    }
}
