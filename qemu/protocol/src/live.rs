//! Our driver and the NPF core in the guest, running freely: what the host starts there, and the account of it.
//!
//! Contract: an account counts every completion that the driver took in exactly one of `indicated` and `dropped` of
//! its queue. At rest each handle was shown or spared every indicated frame, and each frame shown has one fate.
//! While frames flow, handles may already count what the queues' numbers, taken before, do not have yet.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Blob;

/// What is to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// A scenario, resolved, as TOML.
    pub scenario: String,
    /// The name of its file; files in it are relative to its folder.
    pub file: String,
    /// Its filter expressions, each with a snap length and the program, 8 bytes an instruction.
    pub compiled: Vec<(String, u32, Blob)>,
    /// Who drives the NIC.
    pub driver: Driver,
    /// First address of the driver's memory as the device sees it, a multiple of a page. Not used where the
    /// device bypasses the IOMMU: addresses are physical ones then.
    pub iova: u64,
    /// These bytes of the driver's memory, first and number, both multiples of a page, the device is not let
    /// reach: to see that it cannot ([`LiveAccount::hole_changed`]).
    pub hole: Option<(u64, u64)>,
    /// Each queue sums up its frames' content, which takes time: [`QueueAccount::digest`].
    pub digest: bool,
}

impl Start {
    /// Of a scenario: our driver, at 4 GiB, without digests.
    #[must_use]
    pub fn of(scenario: String) -> Self {
        let (file, compiled, driver) = ("scenario.toml".into(), Vec::new(), Driver::Vfio);
        Self { scenario, file, compiled, driver, iova: 1 << 32, hole: None, digest: false }
    }
}

/// Who drives the NIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Driver {
    /// Ours, over VFIO.
    Vfio,
    /// Linux's, behind which a packet socket feeds the handles, beside Linux's own capture.
    Linux {
        /// The interface.
        interface: String,
        /// Which sockets take frames from it.
        sockets: Sockets,
    },
}

/// The packet sockets on an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sockets {
    /// That of the handles, and Linux's own capture.
    #[default]
    Both,
    /// That of the handles, [`CORE_SOCKET`].
    Core,
    /// Linux's own capture, [`RING_SOCKET`].
    Ring,
}

/// The socket whose frames the handles are shown.
pub const CORE_SOCKET: &str = "npf";
/// The one of Linux's own capture.
pub const RING_SOCKET: &str = "tpacket_v3";

/// What is done to an interrupt vector of our driver's device: 0 is the configuration's, 1 + i that of receive
/// queue i.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Disturb {
    /// An interrupt that the device has not sent, by VFIO's own trigger.
    Trigger(u16),
    /// Its messages are kept back, at most one of them.
    Hold(u16),
    /// They come again.
    Release(u16),
}

/// What runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Started {
    /// The device's PCI address.
    pub device: String,
    /// Features that it offers.
    pub offered: u64,
    /// Features agreed.
    pub features: u64,
    /// Whether each queue interrupts by a message of its own; else all share a line.
    pub msix: bool,
    /// Whether the device's addresses are physical ones, and nothing keeps it from any memory.
    pub bypasses_iommu: bool,
    /// First address of the driver's memory as the device sees it, and its bytes.
    pub memory: (u64, u64),
    /// What a user should know.
    pub notices: Vec<String>,
}

/// The guest's part of the account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiveAccount {
    /// By receive queue.
    pub queues: Vec<QueueAccount>,
    /// By handle.
    pub handles: Vec<HandleAccount>,
    /// Counters of the driver as a whole that are not 0, by name.
    pub driver: BTreeMap<String, u64>,
    /// With Linux's driver, the packet sockets.
    pub sockets: Vec<SocketAccount>,
    /// With Linux's driver, what the system counts for the interface, by name.
    pub interface: BTreeMap<String, u64>,
    /// Why the driver has given up, if it has.
    pub error: Option<String>,
    /// Bytes of [`Start::hole`] that are not as they were; `None` without one.
    pub hole_changed: Option<u64>,
    /// Microseconds from the start of the run to the first frame, if one has come.
    pub first_frame_us: Option<u64>,
}

/// One receive queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueAccount {
    /// Completions that the driver took.
    pub received: u64,
    /// Of these, frames shown to the handles.
    pub indicated: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of the completions, those dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Times that its event descriptor told of an interrupt.
    pub messages: u64,
    /// The driver's counters of it that are not 0, by name: polls, kicks and others.
    pub counters: BTreeMap<String, u64>,
    /// Sum, modulo 2^64, of the XXH3 (64 bits) of each frame indicated; the order does not matter to it. 0 if it
    /// was not asked for.
    pub digest: u64,
    /// Why it has stopped, if it has.
    pub error: Option<String>,
}

/// One handle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandleAccount {
    /// Its name in the scenario.
    pub name: String,
    /// Frames that it was shown.
    pub shown: u64,
    /// Frames that its direction spared it; not among those shown.
    pub skipped: u64,
    /// Rejected by its filter.
    pub filtered: u64,
    /// Reached its program: read, counted, or written to a dump file.
    pub delivered: u64,
    /// Dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// In its buffer.
    pub held: u64,
}

/// A packet socket (packet(7), `PACKET_STATISTICS`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SocketAccount {
    /// Which.
    pub name: String,
    /// Frames that the kernel had for it: taken, dropped, or still in its buffer.
    pub seen: u64,
    /// Those that had no room in its buffer.
    pub dropped: u64,
    /// Frames taken from it.
    pub taken: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl QueueAccount {
    /// Completions dropped for any reason.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// One of the driver's counters.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or_default()
    }
}

impl HandleAccount {
    /// Frames dropped for any reason.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.values().sum()
    }
}

impl LiveAccount {
    /// Frames shown to the handles, over all queues, or of the packet socket.
    #[must_use]
    pub fn indicated(&self) -> u64 {
        let queues: u64 = self.queues.iter().map(|queue| queue.indicated).sum();
        let core = self.sockets.iter().find(|socket| socket.name == CORE_SOCKET);
        queues + core.map_or(0, |socket| socket.taken)
    }

    /// Whether it adds up, of a guest at rest.
    ///
    /// # Errors
    /// What does not.
    pub fn check(&self) -> Result<(), String> {
        for (number, queue) in self.queues.iter().enumerate() {
            let QueueAccount { received, indicated, .. } = queue;
            let dropped = queue.dropped_total();
            if indicated + dropped != *received {
                return Err(format!(
                    "rxq{number}: the driver took {received} completions; {indicated} indicated and {dropped} \
                     dropped make {}",
                    indicated + dropped
                ));
            }
        }
        for SocketAccount { name, seen, dropped, taken, .. } in &self.sockets {
            if taken + dropped != *seen {
                return Err(format!(
                    "socket {name}: the kernel had {seen} frames for it; {taken} taken and {dropped} dropped make {}",
                    taken + dropped
                ));
            }
        }
        let indicated = self.indicated();
        for handle in &self.handles {
            let HandleAccount { name, shown, skipped, filtered, delivered, held, .. } = handle;
            let dropped = handle.dropped_total();
            if shown + skipped != indicated || filtered + delivered + dropped + held != *shown {
                return Err(format!(
                    "handle {name}: of {indicated} frames indicated, shown {shown} and spared {skipped}; of those \
                     shown delivered {delivered} + filtered {filtered} + dropped {dropped} + held {held}"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_add_up_is_named() {
        let account = || LiveAccount {
            queues: vec![QueueAccount {
                received: 5,
                indicated: 4,
                dropped: [("short_completion".into(), 1)].into(),
                ..QueueAccount::default()
            }],
            handles: vec![HandleAccount {
                name: "h".into(),
                shown: 3,
                skipped: 1,
                delivered: 2,
                held: 1,
                ..HandleAccount::default()
            }],
            ..LiveAccount::default()
        };
        assert_eq!(account().check(), Ok(()));
        let spoilt: [fn(&mut LiveAccount); 4] = [
            |account| account.sockets = vec![SocketAccount { seen: 1, ..SocketAccount::default() }],
            |account| account.queues[0].received = 6,
            |account| account.handles[0].shown = 4,
            |account| account.handles[0].held = 0,
        ];
        for (spoil, says) in spoilt.into_iter().zip(["socket", "rxq0", "handle h", "handle h"]) {
            let mut account = account();
            spoil(&mut account);
            assert!(account.check().unwrap_err().contains(says));
        }
    }
}
