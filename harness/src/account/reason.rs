//! One list of all drop reasons, joined from the three components' enums.

use driver::DropReason as Driver;
use nic_model::DropReason as Nic;
use npf_core::DropReason as Npf;

/// Why a frame was dropped: a reason of one of the components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The NIC dropped it.
    Nic(Nic),
    /// The driver dropped it.
    Driver(Driver),
    /// The NPF core dropped it.
    Npf(Npf),
}

impl Reason {
    /// How many reasons there are.
    pub const COUNT: usize = Nic::COUNT + Driver::COUNT + Npf::COUNT;

    /// All reasons in the order of a frame's life.
    pub fn all() -> impl Iterator<Item = Self> {
        let nic = Nic::ALL.iter().copied().map(Self::Nic);
        let driver = Driver::ALL.iter().copied().map(Self::Driver);
        let npf = Npf::ALL.iter().copied().map(Self::Npf);
        nic.chain(driver).chain(npf)
    }

    /// Position in [`Reason::all`].
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Nic(reason) => reason.index(),
            Self::Driver(reason) => Nic::COUNT + reason.index(),
            Self::Npf(reason) => Nic::COUNT + Driver::COUNT + reason.index(),
        }
    }

    /// The reason's name in every output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nic(reason) => reason.name(),
            Self::Driver(reason) => reason.name(),
            Self::Npf(reason) => reason.name(),
        }
    }

    /// The rule: "dropped when ...".
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Nic(reason) => reason.describe(),
            Self::Driver(reason) => reason.describe(),
            Self::Npf(reason) => reason.describe(),
        }
    }

    /// Unit of the numbers in the reason's drop records.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Nic(reason) => reason.unit(),
            Self::Driver(reason) => reason.unit(),
            Self::Npf(reason) => reason.unit(),
        }
    }

    /// What others call it.
    #[must_use]
    pub fn peers(self) -> &'static str {
        match self {
            Self::Nic(reason) => reason.peers(),
            Self::Driver(reason) => reason.peers(),
            Self::Npf(reason) => reason.peers(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_dense_indices_and_names_of_their_own() {
        let mut names = std::collections::BTreeSet::new();
        for (index, reason) in Reason::all().enumerate() {
            assert_eq!(reason.index(), index);
            assert!(names.insert(reason.name()), "{} stands twice", reason.name());
            assert!(!reason.describe().is_empty() && !reason.unit().is_empty());
        }
        assert_eq!(names.len(), Reason::COUNT);
    }
}
