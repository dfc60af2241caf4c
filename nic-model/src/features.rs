//! Which feature needs which other one: the rules of 5.1.3.1 and of 5.1.4, as one table.
//!
//! A set that breaks a rule is refused twice: when a device is to offer it (`DeviceConfig`), and when a
//! driver sets FEATURES_OK with it.

use crate::spec::feature as f;
use std::fmt;

/// A rule: who has `feature` must have at least one of `needs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureRule {
    /// The feature that needs something.
    pub feature: u64,
    /// Its name in the specification.
    pub name: &'static str,
    /// What it needs: one of these bits at least.
    pub needs: u64,
    /// Their names.
    pub needs_names: &'static str,
    /// The section of the specification that says so.
    pub section: &'static str,
}

const CTRL_VQ: &str = "VIRTIO_NET_F_CTRL_VQ (bit 17)";
const CSUM: &str = "VIRTIO_NET_F_CSUM (bit 0)";
const GUEST_CSUM: &str = "VIRTIO_NET_F_GUEST_CSUM (bit 1)";
const HOST_TSO: &str = "VIRTIO_NET_F_HOST_TSO4 or _TSO6 (bits 11, 12)";
const GUEST_TSO: &str = "VIRTIO_NET_F_GUEST_TSO4 or _TSO6 (bits 7, 8)";

/// Every rule. Section 5.1.4 says SHOULD NOT where 5.1.3.1 says requires; both are refused, as a feature
/// that is switched by commands is of no use without the queue for them. The same goes for
/// CTRL_GUEST_OFFLOADS (5.1.6.5.8) and DEVICE_STATS (1.4, 5.1.6.5.10), which are not in the list of 5.1.3.1.
pub const FEATURE_RULES: [FeatureRule; 24] = [
    rule(f::GUEST_TSO4, "VIRTIO_NET_F_GUEST_TSO4", f::GUEST_CSUM, GUEST_CSUM, "5.1.3.1"),
    rule(f::GUEST_TSO6, "VIRTIO_NET_F_GUEST_TSO6", f::GUEST_CSUM, GUEST_CSUM, "5.1.3.1"),
    rule(
        f::GUEST_ECN,
        "VIRTIO_NET_F_GUEST_ECN",
        f::GUEST_TSO4 | f::GUEST_TSO6,
        GUEST_TSO,
        "5.1.3.1",
    ),
    rule(f::GUEST_UFO, "VIRTIO_NET_F_GUEST_UFO", f::GUEST_CSUM, GUEST_CSUM, "5.1.3.1"),
    rule(f::GUEST_USO4, "VIRTIO_NET_F_GUEST_USO4", f::GUEST_CSUM, GUEST_CSUM, "5.1.3.1"),
    rule(f::GUEST_USO6, "VIRTIO_NET_F_GUEST_USO6", f::GUEST_CSUM, GUEST_CSUM, "5.1.3.1"),
    rule(f::HOST_TSO4, "VIRTIO_NET_F_HOST_TSO4", f::CSUM, CSUM, "5.1.3.1"),
    rule(f::HOST_TSO6, "VIRTIO_NET_F_HOST_TSO6", f::CSUM, CSUM, "5.1.3.1"),
    rule(f::HOST_ECN, "VIRTIO_NET_F_HOST_ECN", f::HOST_TSO4 | f::HOST_TSO6, HOST_TSO, "5.1.3.1"),
    rule(f::HOST_UFO, "VIRTIO_NET_F_HOST_UFO", f::CSUM, CSUM, "5.1.3.1"),
    rule(f::HOST_USO, "VIRTIO_NET_F_HOST_USO", f::CSUM, CSUM, "5.1.3.1"),
    rule(f::CTRL_RX, "VIRTIO_NET_F_CTRL_RX", f::CTRL_VQ, CTRL_VQ, "5.1.3.1"),
    rule(f::CTRL_VLAN, "VIRTIO_NET_F_CTRL_VLAN", f::CTRL_VQ, CTRL_VQ, "5.1.3.1"),
    rule(f::CTRL_RX_EXTRA, "VIRTIO_NET_F_CTRL_RX_EXTRA", f::CTRL_VQ, CTRL_VQ, "5.1.4"),
    rule(f::GUEST_ANNOUNCE, "VIRTIO_NET_F_GUEST_ANNOUNCE", f::CTRL_VQ, CTRL_VQ, "5.1.3.1"),
    rule(f::MQ, "VIRTIO_NET_F_MQ", f::CTRL_VQ, CTRL_VQ, "5.1.3.1"),
    rule(f::CTRL_MAC_ADDR, "VIRTIO_NET_F_CTRL_MAC_ADDR", f::CTRL_VQ, CTRL_VQ, "5.1.3.1"),
    rule(
        f::CTRL_GUEST_OFFLOADS,
        "VIRTIO_NET_F_CTRL_GUEST_OFFLOADS",
        f::CTRL_VQ,
        CTRL_VQ,
        "5.1.6.5.8",
    ),
    rule(f::NOTF_COAL, "VIRTIO_NET_F_NOTF_COAL", f::CTRL_VQ, CTRL_VQ, "5.1.3.1"),
    rule(f::VQ_NOTF_COAL, "VIRTIO_NET_F_VQ_NOTF_COAL", f::CTRL_VQ, CTRL_VQ, "5.1.3.1"),
    rule(f::DEVICE_STATS, "VIRTIO_NET_F_DEVICE_STATS", f::CTRL_VQ, CTRL_VQ, "5.1.6.5.10 of 1.4"),
    rule(f::HASH_REPORT, "VIRTIO_NET_F_HASH_REPORT", f::CTRL_VQ, CTRL_VQ, "5.1.4"),
    rule(f::RSS, "VIRTIO_NET_F_RSS", f::CTRL_VQ, CTRL_VQ, "5.1.3.1"),
    rule(f::RSC_EXT, "VIRTIO_NET_F_RSC_EXT", f::HOST_TSO4 | f::HOST_TSO6, HOST_TSO, "5.1.3.1"),
];

/// The first rule that a set breaks.
#[must_use]
pub fn broken_rule(features: u64) -> Option<&'static FeatureRule> {
    FEATURE_RULES.iter().find(|rule| features & rule.feature != 0 && features & rule.needs == 0)
}

impl fmt::Display for FeatureRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { feature, name, needs_names, section, .. } = self;
        let bit = feature.trailing_zeros();
        write!(f, "{name} (bit {bit}) needs {needs_names} (virtio {section})")
    }
}

const fn rule(
    feature: u64,
    name: &'static str,
    needs: u64,
    needs_names: &'static str,
    section: &'static str,
) -> FeatureRule {
    FeatureRule { feature, name, needs, needs_names, section }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_bites_and_is_satisfied_by_each_of_what_it_needs() {
        for rule in &FEATURE_RULES {
            assert_eq!(broken_rule(rule.feature), Some(rule), "{rule}");
            for bit in 0..64 {
                if rule.needs & 1 << bit != 0 {
                    let broken = broken_rule(rule.feature | 1 << bit);
                    assert_ne!(broken.map(|other| other.feature), Some(rule.feature), "{rule}");
                }
            }
            let same = FEATURE_RULES.iter().filter(|other| other.feature == rule.feature);
            assert_eq!(same.count(), 1, "{rule}");
        }
        assert_eq!(broken_rule(u64::MAX), None);
        assert_eq!(broken_rule(0), None);
    }

    #[test]
    fn a_rule_says_who_needs_what_and_where_it_stands() {
        let text = FEATURE_RULES[0].to_string();
        let expected = "VIRTIO_NET_F_GUEST_TSO4 (bit 7) needs VIRTIO_NET_F_GUEST_CSUM (bit 1) \
                        (virtio 5.1.3.1)";
        assert_eq!(text, expected);
    }
}
