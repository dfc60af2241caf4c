//! The driver of a scenario, cut to what a device offers that is not the scenario's own.
//!
//! Contract: what changes where frames go or how often the guest is interrupted, and the device does not offer, is
//! left out and told in a notice. What the driver cannot do without (several queue pairs, mergeable buffers)
//! stays asked for; then it says itself what is missing. Times are the wall clock's: the device may take
//! [`PATIENCE_PS`] for a command at least, however quick the scenario's is.

use driver::spec;
use driver::{CoalesceSettings, DriverConfig, Moderation, ReceiveFilter};

use crate::scenario::Scenario;
use crate::world::setup::driver_config;

/// Five seconds: a command goes through QEMU and another process.
pub const PATIENCE_PS: u64 = 5_000_000_000_000;

/// The driver of `scenario` for a device that offers these features, and what a user should know.
#[must_use]
pub fn cut(scenario: &Scenario, offered: u64) -> (DriverConfig, Vec<String>) {
    let mut config = driver_config(scenario);
    let mut notices = Vec::new();
    // Nothing that goes by command works without the queue for it.
    let by_command = offered & spec::NET_F_CTRL_VQ != 0;
    let has = |feature: u64| by_command && offered & feature == feature;
    if config.rss.is_some() && !has(spec::NET_F_RSS) {
        config.rss = None;
        notices.push("the device offers the guest no RSS, and steers frames by itself".into());
    }
    if config.hash_report.is_some() && !has(spec::NET_F_HASH_REPORT) {
        config.hash_report = None;
        notices.push("the device offers the guest no hash report".into());
    }
    let filters = spec::NET_F_CTRL_RX | spec::NET_F_CTRL_RX_EXTRA | spec::NET_F_CTRL_VLAN;
    if config.filter != ReceiveFilter::default() && !has(filters) {
        config.filter = ReceiveFilter::default();
        notices.push("the device offers the guest no receive filters: it takes every frame".into());
    }
    if config.coalesce != CoalesceSettings::default()
        && !has(spec::NET_F_NOTF_COAL)
        && !has(spec::NET_F_VQ_NOTF_COAL)
    {
        config.coalesce = CoalesceSettings::default();
        notices.push("the device offers the guest no interrupt coalescing".into());
    }
    if config.moderation == Moderation::AdaptiveDevice && !has(spec::NET_F_VQ_NOTF_COAL) {
        config.moderation = Moderation::Adaptive;
        notices.push(
            "the device offers the guest no coalescing by queue: the driver moderates by itself"
                .into(),
        );
    }
    if config.features & spec::F_RING_PACKED & !offered != 0 {
        notices.push("the device offers no packed rings: they are split ones".into());
    }
    config.control_timeout_ps = config.control_timeout_ps.max(PATIENCE_PS);
    (config, notices)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(text: &str) -> Scenario {
        Scenario::parse(text, "test.toml", &[]).unwrap().resolved()
    }

    #[test]
    fn what_is_offered_is_used() {
        let scenario = scenario("[channels]\ncombined = 4\n[rxfh]\nenabled = true\n");
        let (config, notices) = cut(&scenario, u64::MAX);
        assert!(config.rss.is_some() && notices.is_empty(), "{notices:?}");
        assert_eq!(config.queue_pairs, 4);
        assert!(config.validate().is_ok());
        assert!(config.control_timeout_ps >= PATIENCE_PS);
    }

    #[test]
    fn what_is_not_offered_is_left_out_and_told() {
        let text = "[channels]\ncombined = 2\n[rxfh]\nenabled = true\n[ring]\nformat = 'packed'\n\
            [rx_filter]\npromiscuous = false\nnobroadcast = true\n[nic]\nhash_report = true\nvq_notf_coal = true\n\
            [driver]\nmoderation = 'adaptive-device'\n";
        let scenario = scenario(text);
        // What QEMU passes on of a NIC behind vhost-user.
        let offered = spec::NET_F_CTRL_VQ | spec::NET_F_MQ | spec::F_VERSION_1;
        let (config, notices) = cut(&scenario, offered);
        let said = notices.join("; ");
        for part in
            ["no RSS", "no hash report", "no receive filters", "by queue", "no packed rings"]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(config.rss.is_none() && config.hash_report.is_none());
        assert_eq!(config.moderation, Moderation::Adaptive);
        assert!(config.validate().is_ok());
        // Offered, but there is no queue to ask by.
        let (config, _) = cut(&scenario, !spec::NET_F_CTRL_VQ);
        assert!(config.rss.is_none());
    }
}
