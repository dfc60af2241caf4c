//! The device's configuration space (virtio 1.x section 5.1.4): read whole, and checked.
//!
//! Contract: [`read`] returns what one generation of the space held; fields whose feature is not agreed
//! do not exist. [`DeviceConfig::check`] compares it with what the driver is to do.

use crate::config::DriverConfig;
use crate::error::DriverError;
use crate::spec;
use crate::transport::Transport;

/// How often reading is tried. A change takes the device far less time than a reading takes us.
const ATTEMPTS: u32 = 16;

/// The MTU of Ethernet (IEEE 802.3).
const ETHERNET_MTU: u16 = 1500;

/// What the device says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeviceConfig {
    pub(crate) mac: Option<[u8; 6]>,
    pub(crate) mtu: Option<u16>,
    pub(crate) link_up: bool,
    /// The device asks the driver to announce itself.
    pub(crate) announce: bool,
    /// Pairs the device has; 1 unless MQ or RSS is agreed.
    pub(crate) max_queue_pairs: u16,
    rss_max_key: u8,
    rss_max_table: u16,
    rss_hash_types: u32,
}

/// Reads the space, again and again until its generation was the same before and after.
///
/// # Errors
/// It never was.
pub(crate) fn read<T: Transport>(
    transport: &mut T,
    features: u64,
) -> Result<DeviceConfig, DriverError> {
    for _ in 0..ATTEMPTS {
        let mut bytes = [0; spec::CONFIG_BYTES];
        let generation = transport.config_generation();
        transport.read_config(0, &mut bytes);
        if transport.config_generation() == generation {
            return Ok(parse(&bytes, features));
        }
    }
    Err(DriverError::ConfigUnstable { attempts: ATTEMPTS })
}

fn parse(bytes: &[u8; spec::CONFIG_BYTES], features: u64) -> DeviceConfig {
    let has = |feature: u64| features & feature != 0;
    let [
        m0,
        m1,
        m2,
        m3,
        m4,
        m5,
        s0,
        s1,
        p0,
        p1,
        u0,
        u1,
        _,
        _,
        _,
        _,
        _,
        key,
        t0,
        t1,
        h0,
        h1,
        h2,
        h3,
    ] = *bytes;
    let multi = has(spec::NET_F_MQ | spec::NET_F_RSS);
    DeviceConfig {
        mac: has(spec::NET_F_MAC).then_some([m0, m1, m2, m3, m4, m5]),
        // A device that cannot tell is assumed to be up (5.1.5).
        link_up: !has(spec::NET_F_STATUS)
            || u16::from_le_bytes([s0, s1]) & spec::NET_S_LINK_UP != 0,
        announce: has(spec::NET_F_STATUS)
            && has(spec::NET_F_GUEST_ANNOUNCE)
            && u16::from_le_bytes([s0, s1]) & spec::NET_S_ANNOUNCE != 0,
        max_queue_pairs: if multi { u16::from_le_bytes([p0, p1]) } else { 1 },
        mtu: has(spec::NET_F_MTU).then_some(u16::from_le_bytes([u0, u1])),
        rss_max_key: key,
        rss_max_table: u16::from_le_bytes([t0, t1]),
        rss_hash_types: u32::from_le_bytes([h0, h1, h2, h3]),
    }
}

impl DeviceConfig {
    /// Whether the device can do what `config` wants with the agreed features.
    ///
    /// # Errors
    /// The first thing that it cannot.
    pub(crate) fn check(&self, config: &DriverConfig, features: u64) -> Result<(), DriverError> {
        // 0x8000 is legal, but leaves no 16-bit index for the control queue that comes after the pairs.
        if !(1..0x8000).contains(&self.max_queue_pairs) {
            let value = self.max_queue_pairs.into();
            return Err(DriverError::BadConfigSpace { field: "max_virtqueue_pairs", value });
        }
        at_most("queue_pairs", config.queue_pairs.into(), self.max_queue_pairs.into())?;
        if let Some(mtu) = self.mtu {
            check_mtu(mtu, config, config.rx_ring, features)?;
        }
        if let Some(rss) = config.rss.as_ref().filter(|_| features & spec::NET_F_RSS != 0) {
            at_most("length of the RSS table", rss.table.len() as u64, self.rss_max_table.into())?;
            self.check_hash(rss.hash_types, &rss.key)?;
        }
        match &config.hash_report {
            Some(hash) => self.check_hash(hash.hash_types, &hash.key),
            None => Ok(()),
        }
    }

    /// Whether a receive ring of `entries` holds the longest frame that the device announces.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn check_ring(
        &self,
        config: &DriverConfig,
        entries: u16,
        features: u64,
    ) -> Result<(), DriverError> {
        self.mtu.map_or(Ok(()), |mtu| check_mtu(mtu, config, entries, features))
    }

    /// Receive buffers that the longest frame takes, tags included. A device that tells no MTU is taken to
    /// have that of Ethernet, as no segmentation is ever agreed.
    pub(crate) fn least_buffers(&self, config: &DriverConfig, features: u64) -> u16 {
        if features & spec::NET_F_MRG_RXBUF == 0 {
            return 1;
        }
        let mtu = usize::from(self.mtu.unwrap_or(ETHERNET_MTU));
        let tags = 2 * spec::VLAN_TAG_BYTES;
        let longest = spec::header_bytes(features) + spec::ETHERNET_HEADER_BYTES + tags + mtu;
        // At most 65577 bytes in buffers of 12 at least.
        longest.div_ceil(config.room()) as u16
    }

    fn check_hash(&self, hash_types: u32, key: &[u8]) -> Result<(), DriverError> {
        at_most("length of the RSS key", key.len() as u64, self.rss_max_key.into())?;
        if hash_types & !self.rss_hash_types != 0 {
            return Err(DriverError::DeviceLimit {
                what: "the set of RSS hash types",
                wanted: hash_types.into(),
                limit: self.rss_hash_types.into(),
            });
        }
        Ok(())
    }
}

fn check_mtu(
    mtu: u16,
    config: &DriverConfig,
    entries: u16,
    features: u64,
) -> Result<(), DriverError> {
    if mtu < 68 {
        return Err(DriverError::BadConfigSpace { field: "mtu", value: mtu.into() });
    }
    let header = spec::header_bytes(features);
    let need = header + spec::ETHERNET_HEADER_BYTES + usize::from(mtu);
    // A frame may take several buffers, but never more than the ring has.
    let merged = features & spec::NET_F_MRG_RXBUF != 0;
    let buffers = if merged { config.rx_slots(entries, features) } else { 1 };
    if need > usize::from(buffers) * config.room() {
        let (need, buffer_size) = (need as u64, config.buffer_size);
        return Err(DriverError::BufferTooSmall { mtu, need, buffer_size });
    }
    Ok(())
}

fn at_most(what: &'static str, wanted: u64, limit: u64) -> Result<(), DriverError> {
    if wanted <= limit {
        return Ok(());
    }
    Err(DriverError::DeviceLimit { what, wanted, limit })
}
