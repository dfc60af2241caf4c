//! Checks of `[traffic]`, alone and against the wire that carries it.

use super::super::units::{Bytes, Duration, Ratio};
use super::super::{Capture, Generator, Mix, PacketRate, Rate, Scenario, Size, Skew, Traffic};
use super::{Impossible, LONGEST_RUN, within, wrong};
use crate::source::{ON_WIRE_EXTRA, headers_len};

/// Generated frames carry a sequence number of 48 bits.
const FRAMES_MAX: u64 = 1 << 48;
/// Weights beyond this say nothing more, and products of them would overflow.
const WEIGHT_MAX: u32 = 1_000_000;
/// FCS, which the sizes of a scenario count and the frames of the program do not hold.
const FCS: u64 = 4;
/// What Ethernet adds to an IP packet: header and FCS.
const ETHERNET: u64 = 14 + FCS;

pub(super) fn check(scenario: &Scenario) -> Result<(), Impossible> {
    match &scenario.traffic {
        Traffic::Generator(generator) => {
            shape(generator)?;
            sizes(generator, u64::from(scenario.wire.mtu))?;
            rate(generator, scenario.wire.rate.0)
        }
        Traffic::Capture(capture) => recorded(capture),
    }
}

fn shape(generator: &Generator) -> Result<(), Impossible> {
    within("traffic.frames", generator.frames, 1, FRAMES_MAX)?;
    within("traffic.flows", generator.flows, 1, 1 << 20)?;
    within("traffic.burst", generator.burst, 1, u32::MAX)?;
    within("traffic.start", generator.start, Duration(0), LONGEST_RUN)?;
    if let Skew::Elephant(part) = generator.skew
        && generator.flows == 1
        && part != Ratio::ONE
    {
        let what = "one flow cannot leave a part of the frames to the others";
        return wrong(
            &["traffic.skew", "traffic.flows"],
            what,
            "use 2 flows or more, or \"uniform\"",
        );
    }
    let Mix { ipv4, ipv6, other, udp, tcp } = generator.mix;
    let named = [("ipv4", ipv4), ("ipv6", ipv6), ("other", other), ("udp", udp), ("tcp", tcp)];
    for (name, weight) in named {
        within(&format!("traffic.mix.{name}"), weight, 0, WEIGHT_MAX)?;
    }
    if [ipv4, ipv6, other].iter().all(|&weight| weight == 0) {
        let keys = ["traffic.mix.ipv4", "traffic.mix.ipv6", "traffic.mix.other", "traffic.mix"];
        return wrong(&keys, "all weights are 0", "one of ipv4, ipv6 and other must be 1 or more");
    }
    if [ipv4, ipv6].iter().any(|&weight| weight > 0) && udp == 0 && tcp == 0 {
        let keys = ["traffic.mix.udp", "traffic.mix.tcp", "traffic.mix"];
        return wrong(&keys, "IP flows need a transport", "one of udp and tcp must be 1 or more");
    }
    Ok(())
}

fn sizes(generator: &Generator, mtu: u64) -> Result<(), Impossible> {
    let sizes = generator.size.weighted();
    if sizes.is_empty() || sizes.len() > 1000 {
        let what = format!("a list of {} sizes", sizes.len());
        return wrong(&["traffic.size"], what, "name 1 to 1000 sizes");
    }
    let largest = mtu + ETHERNET;
    let (needed, which) = headers_len(&generator.mix);
    let needed = needed + FCS;
    for (index, entry) in sizes.iter().enumerate() {
        let listed = matches!(generator.size, Size::List(_));
        let key = if listed { format!("traffic.size.{index}.size") } else { "traffic.size".into() };
        if listed {
            within(&format!("traffic.size.{index}.weight"), entry.weight, 1, WEIGHT_MAX)?;
        }
        if entry.size.0 > largest {
            let what = format!("{} does not fit an MTU of {mtu}", entry.size);
            let allowed = format!("at most {largest}B: MTU, 14 bytes of header, 4 of FCS");
            return wrong(&[&key, "wire.mtu"], what, allowed);
        }
        if entry.size.0 < 64 {
            let what = format!("{} is shorter than Ethernet allows", entry.size);
            let allowed = "sizes count the FCS: 64B or more; `wire.runt` makes runts";
            return wrong(&[&key], what, allowed);
        }
        if entry.size.0 < needed {
            let what = format!("{} cannot hold {which} and a sequence number", entry.size);
            let allowed = format!("{needed}B or more, or leave {which} out of traffic.mix");
            return wrong(&[&key, "traffic.mix"], what, allowed);
        }
    }
    Ok(())
}

/// The rate is not zero, the wire carries it, and the last frame comes before time ends.
fn rate(generator: &Generator, wire_rate: u64) -> Result<(), Impossible> {
    const KEY: &str = "traffic.rate";
    super::network::wire_rate(wire_rate)?;
    let sizes = generator.size.weighted();
    let weights: u128 = sizes.iter().map(|entry| u128::from(entry.weight)).sum();
    let bits = |extra: u64| -> u128 {
        sizes.iter().map(|e| u128::from(e.weight) * u128::from((e.size.0 + extra) * 8)).sum()
    };
    let (frame_bits, wire_bits) = (bits(0), bits(ON_WIRE_EXTRA - FCS));
    // What the wire carries, in frames per 1000 s and in bits of frames per second.
    let most_milli = u128::from(wire_rate) * 1000 * weights / wire_bits;
    let most_bits = u128::from(wire_rate) * frame_bits / wire_bits;
    let seconds = match generator.rate {
        Rate::Packets(PacketRate { milli: 0 }) => return zero_rate(KEY),
        Rate::Bits(bits) if bits.0 == 0 => return zero_rate(KEY),
        Rate::Packets(asked) if u128::from(asked.milli) > most_milli => {
            let most = PacketRate { milli: u64::try_from(most_milli).unwrap_or(u64::MAX) };
            return too_fast(&asked.to_string(), &most.to_string());
        }
        Rate::Bits(asked) if u128::from(asked.0) > most_bits => {
            let most = super::super::BitRate(u64::try_from(most_bits).unwrap_or(u64::MAX));
            return too_fast(&asked.to_string(), &most.to_string());
        }
        Rate::Packets(asked) => u128::from(generator.frames) * 1000 / u128::from(asked.milli),
        Rate::Bits(asked) => u128::from(generator.frames) * largest(&sizes) / u128::from(asked.0),
        Rate::Line => u128::from(generator.frames) * largest(&sizes) / u128::from(wire_rate),
    };
    if seconds > u128::from(LONGEST_RUN.0 / super::SECOND) {
        let what = format!("the last frame would come after {} days", seconds / 86_400);
        return wrong(
            &["traffic.frames", KEY],
            what,
            "fewer frames or a higher rate: 100 days at most",
        );
    }
    Ok(())
}

/// Bits of the largest frame with all that the wire adds.
fn largest(sizes: &[super::super::WeightedSize]) -> u128 {
    let largest = sizes.iter().map(|entry| entry.size).max().unwrap_or(Bytes(0));
    u128::from(largest.0 + ON_WIRE_EXTRA) * 8
}

fn zero_rate(key: &str) -> Result<(), Impossible> {
    wrong(&[key], "at a rate of zero no frame ever comes", "more than 0, or \"line\"")
}

fn too_fast(asked: &str, most: &str) -> Result<(), Impossible> {
    let what = format!("{asked} of these sizes is more than the wire carries");
    let allowed = format!("at most {most} at this wire.rate, or \"line\"");
    wrong(&["traffic.rate", "wire.rate"], what, allowed)
}

fn recorded(capture: &Capture) -> Result<(), Impossible> {
    if capture.file.as_os_str().is_empty() {
        return wrong(&["traffic.file"], "no file name", "a pcap or pcapng file");
    }
    if let Some(limit) = capture.limit {
        within("traffic.limit", limit, 1, FRAMES_MAX)?;
    }
    within("traffic.repeat", capture.repeat, 1, u32::MAX)
}
