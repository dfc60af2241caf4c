//! What `ip` and `ethtool` do to an interface. Numbers and layouts: `include/uapi/linux/ethtool.h` of Linux.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use protocol::Reply;

use super::ioctl::Requests;
use super::serve::Refusal;

/// `ETHTOOL_GRINGPARAM`: then 8 words.
const GET_RING: u32 = 0x10;
/// `ETHTOOL_GSTRINGS`: then set, count, and 32 bytes for each.
const GET_STRINGS: u32 = 0x1b;
/// `ETHTOOL_GSTATS`: then count, and 8 bytes for each.
const GET_STATISTICS: u32 = 0x1d;
/// `ETHTOOL_SGRO`: then 0 or 1.
const SET_GRO: u32 = 0x2c;
/// `ETHTOOL_GSSET_INFO`: then reserved, 8 bytes of mask, and a count for each set of the mask.
const GET_SETS: u32 = 0x37;
/// `ETHTOOL_GCHANNELS`: then 8 words.
const GET_CHANNELS: u32 = 0x3c;
/// `ETHTOOL_SCHANNELS`: likewise.
const SET_CHANNELS: u32 = 0x3d;
/// `ETH_SS_STATS`: the set of the statistics' names.
const STATISTICS: u32 = 1;
/// `ETH_GSTRING_LEN`, in words.
const NAME_WORDS: usize = 8;

/// Address, MTU, up.
///
/// # Errors
/// The system refuses.
pub fn configure(
    interface: &str,
    address: Ipv4Addr,
    prefix: u8,
    mtu: Option<u32>,
) -> Result<Reply, Refusal> {
    let ask = about(interface)?;
    let host_bits = 32_u32.checked_sub(prefix.into());
    let Some(host_bits) = host_bits.filter(|_| prefix > 0) else {
        return Err(Refusal::Value(format!("a prefix of {prefix} bits: 1 to 32")));
    };
    let mask = Ipv4Addr::from(u32::MAX << host_bits);
    if let Some(mtu) = mtu {
        let mtu = i32::try_from(mtu).map_err(|_| Refusal::Value(format!("an MTU of {mtu}")))?;
        ask.set_mtu(mtu).map_err(refused(interface, "MTU"))?;
    }
    ask.set_address(address, mask).map_err(refused(interface, "address"))?;
    ask.bring_up().map_err(refused(interface, "up"))?;
    Ok(Reply::Nothing)
}

/// As `ethtool -L`.
///
/// # Errors
/// The driver refuses.
pub fn set_channels(interface: &str, combined: u32) -> Result<Reply, Refusal> {
    let ask = about(interface)?;
    let mut words = [0; 9];
    words[0] = GET_CHANNELS;
    ask.ethtool(&mut words).map_err(refused(interface, "channels"))?;
    words[0] = SET_CHANNELS;
    words[8] = combined;
    ask.ethtool(&mut words).map_err(refused(interface, &format!("{combined} channels")))?;
    Ok(Reply::Nothing)
}

/// As `ethtool -l`.
///
/// # Errors
/// The driver refuses.
pub fn channels(interface: &str) -> Result<Reply, Refusal> {
    let mut words = [0; 9];
    words[0] = GET_CHANNELS;
    about(interface)?.ethtool(&mut words).map_err(refused(interface, "channels"))?;
    Ok(Reply::Channels { combined_max: words[4], combined: words[8] })
}

/// As `ethtool -g`.
///
/// # Errors
/// The driver refuses.
pub fn ring(interface: &str) -> Result<Reply, Refusal> {
    let mut words = [0; 9];
    words[0] = GET_RING;
    about(interface)?.ethtool(&mut words).map_err(refused(interface, "rings"))?;
    Ok(Reply::Ring { rx_max: words[1], rx: words[5], tx_max: words[4], tx: words[8] })
}

/// As `ethtool -S`, and as `net_` some of what the system counts for any interface.
///
/// # Errors
/// The driver refuses.
pub fn statistics(interface: &str) -> Result<Reply, Refusal> {
    let ask = about(interface)?;
    let mut info = [0; 5];
    (info[0], info[2]) = (GET_SETS, 1 << STATISTICS);
    ask.ethtool(&mut info).map_err(refused(interface, "statistics' number"))?;
    // The count; drivers give it as long as the interface is there, and nobody else here changes it.
    let count = info[4] as usize;
    let mut names = vec![0; 3 + count * NAME_WORDS];
    (names[0], names[1], names[2]) = (GET_STRINGS, STATISTICS, info[4]);
    ask.ethtool(&mut names).map_err(refused(interface, "statistics' names"))?;
    let mut values = vec![0; 2 + count * 2];
    (values[0], values[1]) = (GET_STATISTICS, info[4]);
    ask.ethtool(&mut values).map_err(refused(interface, "statistics"))?;
    let pairs = names[3..].chunks_exact(NAME_WORDS).zip(values[2..].chunks_exact(2));
    let mut all: BTreeMap<String, u64> = pairs
        .map(|(name, value)| (text(name), u64::from(value[0]) | u64::from(value[1]) << 32))
        .collect();
    let system = system_counts(interface)?.into_iter();
    all.extend(system.map(|(name, value)| (format!("net_{name}"), value)));
    Ok(Reply::Statistics(all))
}

/// Some of what the system counts for any interface (as `ip -s link`).
///
/// # Errors
/// There is no such interface.
pub fn system_counts(interface: &str) -> Result<BTreeMap<String, u64>, Refusal> {
    let mut all = BTreeMap::new();
    for name in ["rx_packets", "tx_packets", "rx_dropped", "rx_errors"] {
        let path = format!("/sys/class/net/{interface}/statistics/{name}");
        let value = std::fs::read_to_string(&path).map_err(refused(interface, name))?;
        let value = value.trim().parse();
        let value = value.map_err(|_| Refusal::Value(format!("{path} holds no number")))?;
        all.insert(name.into(), value);
    }
    Ok(all)
}

/// So many queue pairs, and frames as they come: none is merged with another, and the interface asks nobody for
/// an address of the link (no ARP).
///
/// # Errors
/// There is no such interface, or its driver refuses.
pub fn quiet(interface: &str, queues: u32) -> Result<(), Refusal> {
    if queues > 1 {
        set_channels(interface, queues)?;
    }
    let ask = about(interface)?;
    ask.ethtool(&mut [SET_GRO, 0]).map_err(refused(interface, "frames not merged"))?;
    ask.set_flags(libc::IFF_NOARP).map_err(refused(interface, "no ARP"))
}

/// Brings it up.
///
/// # Errors
/// There is no such interface, or its driver refuses.
pub fn up(interface: &str) -> Result<(), Refusal> {
    about(interface)?.bring_up().map_err(refused(interface, "up"))
}

/// Text that ends with a 0.
fn text(words: &[u32]) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn about(interface: &str) -> Result<Requests, Refusal> {
    Requests::about(interface).map_err(refused(interface, "a socket to ask by"))
}

fn refused(interface: &str, what: &str) -> impl FnOnce(std::io::Error) -> Refusal + use<> {
    Refusal::system(format!("{interface}: {what}"))
}
