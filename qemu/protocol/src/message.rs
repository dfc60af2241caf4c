//! The protocol between host and agent: messages over a virtio-serial port.
//!
//! Contract: the guest speaks first, [`FromGuest::Hello`]; the host answers [`ToGuest::Hello`]. If the
//! versions differ, either side says so and ends. Then the host gives one [`Command`] at a time, and each is
//! answered: [`FromGuest::Done`], or [`FromGuest::Refused`] and the guest goes on. [`FromGuest::Fault`] may
//! come at any time; the guest powers off behind it. How a message becomes bytes: [`frame`](crate::frame).

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use crate::Blob;
use crate::live::{Disturb, LiveAccount, Start, Started};
use crate::lockstep::{Ended, Lockstep, Progress};

/// Of the messages below; both sides must have the same.
pub const VERSION: u32 = 1;
/// The virtio-serial port's name.
pub const PORT: &str = "org.rxlab.agent";

/// Who somebody is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`] of the speaker.
    pub version: u32,
    /// What the speaker runs on, for people to read.
    pub system: String,
}

impl Hello {
    /// Of this build.
    #[must_use]
    pub fn of(system: String) -> Self {
        Self { version: VERSION, system }
    }

    /// Whether both speak the same.
    ///
    /// # Errors
    /// They do not.
    pub fn check(&self) -> Result<(), VersionError> {
        match self.version {
            VERSION => Ok(()),
            theirs => Err(VersionError { theirs }),
        }
    }
}

/// The two sides were built from different sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the other side speaks version {theirs} of the agent's protocol, this one version {}: build both from \
     the same source",
    VERSION
)]
pub struct VersionError {
    /// What the other one said.
    pub theirs: u32,
}

/// What the host says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ToGuest {
    /// The answer to the guest's.
    Hello(Hello),
    /// Do this.
    Command(Command),
}

/// What the guest says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FromGuest {
    /// The guest is up.
    Hello(Hello),
    /// The command has been done.
    Done(Reply),
    /// The command could not be done; why.
    Refused(String),
    /// The guest cannot go on, and powers off; why.
    Fault(String),
}

/// What the guest is to do. Interfaces go by their name in the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Write into a file, which is made with its folders. [`Reply::Nothing`].
    WriteFile {
        /// Which, absolute.
        path: String,
        /// From which byte on; 0 begins it anew.
        offset: u64,
        /// What.
        data: Blob,
    },
    /// Read of a file. [`Reply::Data`].
    ReadFile {
        /// Which, absolute.
        path: String,
        /// From which byte on.
        offset: u64,
        /// How much at most, up to [`BLOB_MAX`](crate::BLOB_MAX).
        len: u32,
    },
    /// A part of a run in lockstep.
    Lockstep(Lockstep),
    /// Give an interface an address and bring it up. [`Reply::Nothing`].
    Configure {
        /// Which.
        interface: String,
        /// Its address.
        address: Ipv4Addr,
        /// Bits of its network's prefix.
        prefix: u8,
        /// Its MTU, if another than it has.
        mtu: Option<u32>,
    },
    /// Use so many queue pairs (as `ethtool -L`). [`Reply::Nothing`].
    SetChannels {
        /// Of which interface.
        interface: String,
        /// Queue pairs.
        combined: u32,
    },
    /// How many queue pairs (as `ethtool -l`). [`Reply::Channels`].
    Channels {
        /// Of which interface.
        interface: String,
    },
    /// How long its rings are (as `ethtool -g`). [`Reply::Ring`].
    Ring {
        /// Of which interface.
        interface: String,
    },
    /// What the driver counts (as `ethtool -S`), and with `net_` before the name what the system counts for
    /// any interface (as `ip -s link`). [`Reply::Statistics`].
    Statistics {
        /// Of which interface.
        interface: String,
    },
    /// What `/proc/interrupts` says. [`Reply::Interrupts`].
    Interrupts,
    /// ICMP echo requests, each waited for. [`Reply::Ping`].
    Ping {
        /// To whom.
        to: Ipv4Addr,
        /// How many.
        count: u32,
        /// Bytes of data in each.
        size: u32,
        /// How long to wait for each answer.
        wait_ms: u64,
    },
    /// Connect, and send [`data`](crate::data) over TCP. [`Reply::Stream`].
    SendStream {
        /// To whom.
        to: SocketAddrV4,
        /// How much.
        bytes: u64,
        /// Which data.
        seed: u64,
    },
    /// Connect, and read from TCP until the other side has sent all. [`Reply::Stream`].
    ReceiveStream {
        /// From whom.
        from: SocketAddrV4,
    },
    /// Send numbered datagrams, in turn from several ports. [`Reply::Nothing`].
    SendDatagrams {
        /// To whom.
        to: SocketAddrV4,
        /// How many.
        count: u64,
        /// Bytes of each, at least 8.
        size: u32,
        /// From how many ports.
        ports: u16,
        /// Pause between two.
        pause_us: u64,
    },
    /// Receive numbered datagrams until the one that ends them has come and then no other, or until none has come
    /// for a time.
    /// [`Reply::Datagrams`].
    ReceiveDatagrams {
        /// On which port.
        port: u16,
        /// For so long.
        idle_ms: u64,
    },
    /// Take the guest's NIC over VFIO, and run our driver and the NPF core on it. [`Reply::Started`].
    Start(Start),
    /// The account of what was started, now. [`Reply::Account`].
    Account,
    /// Disturb the interrupts of our driver that runs. [`Reply::Nothing`].
    Disturb(Disturb),
    /// Stop it: the device first, then all that was received is read. [`Reply::Account`].
    Stop,
    /// End everything and power off. [`Reply::Nothing`] comes first.
    PowerOff,
}

/// What a command gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reply {
    /// It was done; there is nothing to say.
    Nothing,
    /// Bytes of a file; fewer than were asked for are its last.
    Data(Blob),
    /// How far a run in lockstep is.
    Progress(Progress),
    /// What it has come to.
    Ended(Ended),
    /// Queue pairs.
    Channels {
        /// As the device has them.
        combined_max: u32,
        /// In use.
        combined: u32,
    },
    /// Descriptors of each ring.
    Ring {
        /// Receive, at most.
        rx_max: u32,
        /// Receive.
        rx: u32,
        /// Transmit, at most.
        tx_max: u32,
        /// Transmit.
        tx: u32,
    },
    /// By name.
    Statistics(BTreeMap<String, u64>),
    /// By line of the file.
    Interrupts(Vec<Interrupt>),
    /// Echo requests.
    Ping {
        /// Sent.
        sent: u32,
        /// Answered, with the same data.
        answered: u32,
    },
    /// What went over TCP.
    Stream {
        /// How much.
        bytes: u64,
        /// SHA-256 of it, hexadecimal.
        sha256: String,
    },
    /// What came over UDP.
    Datagrams(Datagrams),
    /// What runs.
    Started(Started),
    /// What has become of frames.
    Account(LiveAccount),
}

/// Interrupts of one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interrupt {
    /// Whose: the last words of its line.
    pub name: String,
    /// How many, by CPU.
    pub by_cpu: Vec<u64>,
}

/// Numbered datagrams as they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Datagrams {
    /// Different ones.
    pub different: u64,
    /// Seen more than once, each time but the first.
    pub again: u64,
    /// Without a number.
    pub foreign: u64,
    /// The one that ends them came.
    pub ended: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_told_apart() {
        let mut hello = Hello::of("here".into());
        assert_eq!(hello.check(), Ok(()));
        hello.version += 1;
        let error = hello.check().unwrap_err();
        assert!(error.to_string().contains("version 2") && error.to_string().contains("version 1"));
    }

    #[test]
    fn a_hello_of_a_later_version_is_still_one() {
        let text = r#"{"hello":{"version":7,"system":"x","more":[1]}}"#;
        let FromGuest::Hello(hello) = serde_json::from_str(text).unwrap() else { panic!("{text}") };
        assert!(hello.check().is_err());
    }
}
