//! Which virtio-net features a scenario asks for, and whether they go together.
//!
//! Contract: both sides are told of the same set. The rules are those of the device's own table, so that a
//! scenario which breaks one is refused with the rule and its section before anything is built.

use nic_model::spec::feature;
use nic_model::{FeatureRule, broken_rule};

use super::Scenario;

impl Scenario {
    /// The network features that the device offers, ring formats and event indices apart.
    pub fn net_features(&self) -> u64 {
        let mut features = feature::VERSION_1 | feature::MAC | feature::STATUS | feature::MTU;
        for (on, bit, _) in self.asked_features() {
            features |= if on { bit } else { 0 };
        }
        if self.nic.ctrl_vq {
            features |= feature::CTRL_VQ | feature::MQ | feature::RSS;
        }
        features
    }

    /// The rule between features that the scenario breaks, and the key that asks for the one too many.
    pub fn broken_feature_rule(&self) -> Option<(&'static FeatureRule, &'static str)> {
        let rule = broken_rule(self.net_features())?;
        let asked = self.asked_features();
        let key = asked.iter().find(|(on, bit, _)| *on && *bit == rule.feature);
        Some((rule, key.map_or("nic", |(.., key)| key)))
    }

    /// What keys ask for: whether they do, the feature, the key.
    fn asked_features(&self) -> [(bool, u64, &'static str); 12] {
        let (nic, filter) = (&self.nic, &self.rx_filter);
        [
            (self.rxfh.enabled, feature::RSS, "rxfh.enabled"),
            (self.channels.combined > 1, feature::MQ, "channels.combined"),
            (nic.mrg_rxbuf, feature::MRG_RXBUF, "nic.mrg_rxbuf"),
            (nic.hash_report, feature::HASH_REPORT, "nic.hash_report"),
            (nic.guest_csum, feature::GUEST_CSUM, "nic.guest_csum"),
            (filter.modes(), feature::CTRL_RX, "rx_filter.promiscuous"),
            (filter.extra(), feature::CTRL_RX_EXTRA, "rx_filter.nobroadcast"),
            (filter.vlan.is_some(), feature::CTRL_VLAN, "rx_filter.vlan"),
            (nic.notf_coal, feature::NOTF_COAL, "nic.notf_coal"),
            (nic.vq_notf_coal, feature::VQ_NOTF_COAL, "nic.vq_notf_coal"),
            (nic.device_stats, feature::DEVICE_STATS, "nic.device_stats"),
            (!nic.announce.is_empty(), feature::GUEST_ANNOUNCE, "nic.announce"),
        ]
    }
}
