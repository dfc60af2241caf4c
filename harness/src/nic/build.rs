//! From a scenario and the command line to a daemon's lanes.

use std::path::Path;
use std::sync::Arc;

use nic_model::rss::Steering;
use nic_model::spec::feature;
use nic_model::vhost_user::memory;
use nic_model::vhost_user::port::Offer;
use nic_model::{Device, DeviceConfig, SUPPORTED_FEATURES};

use super::feed::{Endless, Feed, Nowhere, Paced, Sink, steering};
use super::lane::{Lane, LaneError, Settings};
use super::port::Port;
use crate::interface::Interface;
use crate::real_time::in_turn;
use crate::scenario::Scenario;
use crate::source;
use crate::world::setup::device_config;

/// Features of a device that go by a control queue, which a front-end keeps to itself.
const BY_COMMAND: u64 = feature::CTRL_VQ
    | feature::CTRL_RX
    | feature::CTRL_RX_EXTRA
    | feature::CTRL_VLAN
    | feature::CTRL_MAC_ADDR
    | feature::CTRL_GUEST_OFFLOADS
    | feature::GUEST_ANNOUNCE
    | feature::MQ
    | feature::RSS
    | feature::HASH_REPORT
    | feature::DEVICE_STATS
    | feature::NOTF_COAL
    | feature::VQ_NOTF_COAL;

/// A front-end may ask for so many entries of a vring at least: QEMU's most.
const ENTRIES_MAX: u16 = 1024;

/// Frames of an endless feed, per lane.
const ENDLESS: usize = 1024;

/// Where frames come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The scenario's traffic, each frame at its time.
    Traffic,
    /// Its first frames over and over, as fast as the driver gives buffers.
    Endless,
    /// A TAP interface.
    Tap(String),
    /// A packet socket on an interface.
    Packet(String),
    /// Nowhere.
    Silent,
}

/// How a daemon works.
#[derive(Clone, Debug)]
pub struct Choices {
    /// Where frames come from.
    pub from: Origin,
    /// Only the features that the scenario asks for are offered, not all.
    pub features_of_scenario: bool,
    /// Lanes never sleep; with [`Origin::Endless`] they never do.
    pub poll: bool,
    /// CPUs of the lanes, in turn; none: wherever.
    pub cpus: Vec<usize>,
}

/// Why a daemon cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A lane cannot be started.
    #[error(transparent)]
    Lane(#[from] LaneError),
    /// No memory.
    #[error("no memory for a device without a front-end: {0}")]
    Memory(String),
    /// The traffic cannot be opened.
    #[error(transparent)]
    Source(#[from] source::SourceError),
    /// The interface cannot be opened.
    #[error("{kind} interface {name}: {error}")]
    Interface {
        /// TAP or packet.
        kind: &'static str,
        /// Which.
        name: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// A lane's share of the traffic is empty.
    #[error(
        "the first {} frames of the traffic hold none for queue {lane}: more flows, or fewer queues",
        ENDLESS
    )]
    NothingFor {
        /// Which.
        lane: u16,
    },
}

/// The lanes of `scenario`, and what is offered to a front-end.
///
/// # Errors
/// The first part that refuses.
pub fn build(scenario: &Scenario, choices: &Choices) -> Result<(Offer, Port), BuildError> {
    let pairs = scenario.channels.combined;
    let whole = device_config(scenario);
    let features = match choices.features_of_scenario {
        true => whole.features,
        false => SUPPORTED_FEATURES,
    };
    let features = features & !BY_COMMAND;
    let entries_max = whole.queue_size_max.max(ENTRIES_MAX);
    // No kick tells of buffers that no frame has waited for, and an endless feed waits for buffers.
    let poll = choices.poll || choices.from == Origin::Endless;
    let lane = DeviceConfig {
        queue_size_max: entries_max,
        max_queue_pairs: 1,
        features: features & !feature::ACCESS_PLATFORM,
        vectors: 2,
        polled: poll,
        // A transfer takes the time that it takes here.
        dma_frame_ps: 0,
        dma_byte_ps: 0,
        ..whole.clone()
    };
    let steering = Arc::new(steering(&scenario.rxfh, pairs));
    let lanes = (0..pairs)
        .map(|index| {
            let cpu = in_turn(&choices.cpus, index);
            let settings = Settings { device: lane.clone(), poll, cpu };
            let empty = memory::empty().map_err(BuildError::Memory)?;
            let feed = feed(scenario, &choices.from, index, Arc::clone(&steering))?;
            let name = format!("lane {index}");
            Ok(Lane::start(&name, settings, empty, feed)?)
        })
        .collect::<Result<Vec<_>, BuildError>>()?;
    let shown = Device::new(whole.clone(), memory::empty().map_err(BuildError::Memory)?);
    let shown = shown.map_err(LaneError::Device)?;
    let config = Box::new(move |offset, out: &mut [u8]| shown.read_config(offset, out));
    let offer = offer(features, pairs, entries_max);
    Ok((offer, Port::new(lanes, scenario.rxfh.clone(), whole.mtu, config)))
}

/// What a NIC of so many pairs offers a front-end, whatever its scenario says.
#[must_use]
pub fn whole_offer(pairs: u16) -> Offer {
    offer(SUPPORTED_FEATURES & !BY_COMMAND, pairs, ENTRIES_MAX)
}

fn offer(features: u64, pairs: u16, entries_max: u16) -> Offer {
    let mq = if pairs > 1 { feature::MQ } else { 0 };
    Offer {
        features: features | mq | feature::ACCESS_PLATFORM,
        pairs,
        entries_max,
        config_len: nic_model::spec::config::LEN as u32,
    }
}

type MakeFeed = Box<dyn FnOnce() -> (Feed, Box<dyn Sink>) + Send>;

/// What makes the feed of a lane, in its thread. What can be refused is tried here first.
fn feed(
    scenario: &Scenario,
    from: &Origin,
    lane: u16,
    steering: Arc<Steering>,
) -> Result<MakeFeed, BuildError> {
    let several = scenario.channels.combined > 1;
    let live = |kind: &'static str, name: &str, opened: std::io::Result<Interface>| {
        let interface =
            opened.map_err(|error| BuildError::Interface { kind, name: name.into(), error })?;
        let (feed, sink) = (interface.clone(), interface);
        let made: MakeFeed =
            Box::new(move || (Feed::Live(Box::new(feed)), Box::new(sink) as Box<dyn Sink>));
        Ok(made)
    };
    match from {
        Origin::Tap(name) => live("TAP", name, Interface::tap(name, several)),
        Origin::Packet(name) => live("packet", name, Interface::packet(name, several)),
        Origin::Silent => Ok(Box::new(|| (Feed::Silent, Box::new(Nowhere)))),
        Origin::Traffic => {
            source::open(scenario)?;
            let scenario = scenario.clone();
            Ok(Box::new(move || {
                // It could be opened a moment ago; a file that has gone since gives no frames.
                let feed = source::open(&scenario)
                    .map_or(Feed::Silent, |source| Feed::Paced(Paced::new(source, lane, steering)));
                (feed, Box::new(Nowhere) as Box<dyn Sink>)
            }))
        }
        Origin::Endless => {
            let paced = Paced::new(source::open(scenario)?, lane, steering);
            let endless = Endless::new(paced, ENDLESS).ok_or(BuildError::NothingFor { lane })?;
            Ok(Box::new(move || (Feed::Endless(endless), Box::new(Nowhere) as Box<dyn Sink>)))
        }
    }
}

/// What `--source` says.
///
/// # Errors
/// What would have been right.
pub fn parse_source(text: &str) -> Result<(Origin, Option<&Path>), String> {
    let (kind, what) = text.split_once(':').unwrap_or((text, ""));
    let named = !what.is_empty();
    Ok(match kind {
        "generator" if !named => (Origin::Traffic, None),
        "endless" if !named => (Origin::Endless, None),
        "none" if !named => (Origin::Silent, None),
        "pcap" if named => (Origin::Traffic, Some(Path::new(what))),
        "tap" if named => (Origin::Tap(what.into()), None),
        "packet" if named => (Origin::Packet(what.into()), None),
        _ => {
            return Err(format!(
                "{text}: one of generator, endless, none, pcap:FILE, tap:NAME, packet:IFNAME"
            ));
        }
    })
}
