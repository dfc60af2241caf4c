//! The dialects of classic BPF: which rules a program is read by.
//!
//! Contract: every difference between dialects is a method here; the validator asks them once per
//! program, and what runs afterwards (`op.rs`) knows no dialect any more. The table of all of them is
//! at the top of the module `filter`.

use std::fmt;

use super::op::{Alu, Sum, Test};

/// Whose rules a program is read by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// libpcap's own interpreter (`bpf_filter.c`), which is also what its compiler writes for.
    #[default]
    Libpcap,
    /// The BSD kernels (FreeBSD `sys/net/bpf_filter.c`).
    Bsd,
    /// Npcap's driver (nmap/npcap `packetWin7/npf/npf/win_bpf_filter.c`).
    Npcap,
    /// WinPcap's driver (`packetNtx/driver/win_bpf_filter.c`).
    WinPcap,
    /// Linux socket filters (`net/core/filter.c`), with their extension loads.
    Linux,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Libpcap, Self::Bsd, Self::Npcap, Self::WinPcap, Self::Linux];

    /// The name that a command line or a scenario uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Libpcap => "libpcap",
            Self::Bsd => "bsd",
            Self::Npcap => "npcap",
            Self::WinPcap => "winpcap",
            Self::Linux => "linux",
        }
    }

    /// The dialect of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name)
    }

    /// Longest program. libpcap's own limit is so high (3,060,000 since 1.11, none before) that no
    /// kernel would take such a program: the 4096 is ours.
    pub const fn max_instructions(self) -> usize {
        match self {
            Self::Libpcap | Self::Npcap | Self::Linux => 4096,
            Self::Bsd | Self::WinPcap => 512,
        }
    }

    /// Whether a program without instructions is one, and accepts every frame whole.
    pub const fn empty_accepts_all(self) -> bool {
        matches!(self, Self::Bsd | Self::WinPcap)
    }

    /// Whether MOD and XOR exist. FreeBSD has them in its newer releases, Npcap since 1.81.
    pub(super) const fn has_mod_and_xor(self) -> bool {
        !matches!(self, Self::WinPcap)
    }

    /// Whether JA may go back, as libpcap's `protochain` does.
    pub(super) const fn jumps_back(self) -> bool {
        matches!(self, Self::Libpcap)
    }

    /// Whether a scratch word must be written on every way to where it is read, and a constant shift
    /// be below 32.
    pub(super) const fn is_strict(self) -> bool {
        matches!(self, Self::Linux)
    }

    /// How the offset of an indirect load is summed up.
    pub(super) const fn sum(self) -> Sum {
        match self {
            Self::Libpcap | Self::Bsd => Sum::Exact,
            Self::Npcap | Self::WinPcap => Sum::Wrapping,
            Self::Linux => Sum::Linux,
        }
    }

    /// JGT or JGE as this dialect compares: Npcap as signed numbers, WinPcap only with a constant.
    pub(super) const fn order(self, unsigned: Test, with_x: bool) -> Test {
        let signed = match self {
            Self::Npcap => true,
            Self::WinPcap => !with_x,
            _ => false,
        };
        match unsigned {
            Test::Greater if signed => Test::GreaterSigned,
            Test::GreaterOrEqual if signed => Test::GreaterOrEqualSigned,
            _ => unsigned,
        }
    }

    /// A shift by X as this dialect computes it: Linux takes the low five bits of X.
    pub(super) const fn shift_by_x(self, plain: Alu) -> Alu {
        match (self, plain) {
            (Self::Linux, Alu::Lsh) => Alu::LshMasked,
            (Self::Linux, Alu::Rsh) => Alu::RshMasked,
            _ => plain,
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
