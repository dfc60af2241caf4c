//! One connection's state machine: what is agreed, where memory is, which vrings run.
//!
//! Contract: [`Session::handle`] takes one message with its file descriptors and says what to answer; what
//! it means for the device goes out through [`Vrings`]. After an error the session is over: its owner calls
//! [`Session::end`], which stops every vring, and drops it. File descriptors are owned by what they are
//! for, or closed.
//!
//! A vring **runs** between a SET_VRING_KICK, once all else about it is known, and GET_VRING_BASE. While
//! it runs it may be **enabled** or not. QEMU enables vrings before it sets features, and not again later.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use vhost::vhost_user::message::{
    FrontendReq as Is, VhostUserProtocolFeatures as Protocol, VhostUserVirtioFeatures as Virtio,
};
use vm_memory::{FileOffset, Permissions};

use super::error::{MessageError, SessionError};
use super::inflight::Regions;
use super::iotlb::Translations;
use super::log::Log;
use super::memory::{SLOTS_MAX, Table};
use super::port::{Offer, Reply, Start, Vrings};
use super::request::{Addresses, Iotlb, Region, Request, VringFd};
use crate::ring::QueueSetup;
use crate::spec::{feature, ring};

mod tracking;

/// Protocol features that a session offers.
pub const PROTOCOL_FEATURES: u64 = Protocol::MQ.bits()
    | Protocol::LOG_SHMFD.bits()
    | Protocol::RARP.bits()
    | Protocol::REPLY_ACK.bits()
    | Protocol::MTU.bits()
    | Protocol::BACKEND_REQ.bits()
    | Protocol::CONFIG.bits()
    | Protocol::INFLIGHT_SHMFD.bits()
    | Protocol::RESET_DEVICE.bits()
    | Protocol::CONFIGURE_MEM_SLOTS.bits()
    | Protocol::STATUS.bits();

/// Feature bits of the protocol itself, beside the device's.
pub const TRANSPORT_FEATURES: u64 = Virtio::PROTOCOL_FEATURES.bits() | Virtio::LOG_ALL.bits();

/// See the module's contract.
#[derive(Debug)]
pub struct Session {
    offer: Offer,
    features: Option<u64>,
    protocol: u64,
    table: Table,
    translations: Arc<Translations>,
    log: Option<Arc<Log>>,
    inflight: Option<Regions>,
    vrings: Vec<Vring>,
    status: u8,
}

#[derive(Debug, Default)]
struct Vring {
    entries: u16,
    addresses: Option<Addresses>,
    base: u32,
    kicked: bool,
    enabled: bool,
    runs: Option<QueueSetup>,
}

impl Session {
    /// Of a front-end that has just connected.
    #[must_use]
    pub fn new(offer: Offer) -> Self {
        Self {
            features: None,
            protocol: 0,
            table: Table::default(),
            translations: Arc::default(),
            log: None,
            inflight: None,
            vrings: (0..2 * offer.pairs).map(|_| Vring::default()).collect(),
            status: 0,
            offer,
        }
    }

    /// Whether the front-end may ask for an acknowledgement of any message.
    #[must_use]
    pub fn acknowledges(&self) -> bool {
        self.has(Protocol::REPLY_ACK)
    }

    /// Takes one message.
    ///
    /// # Errors
    /// The message does not fit; the session is over.
    pub fn handle(
        &mut self,
        request: Request,
        fds: Vec<OwnedFd>,
        vrings: &mut impl Vrings,
    ) -> Result<Reply, SessionError> {
        let mut fds = fds.into_iter();
        match request {
            Request::GetFeatures => {
                return Ok(Reply::Number(self.offer.features | TRANSPORT_FEATURES));
            }
            Request::GetProtocolFeatures => return Ok(Reply::Number(PROTOCOL_FEATURES)),
            Request::GetQueueNum => {
                self.agreed(Is::GET_QUEUE_NUM, Protocol::MQ, "MQ")?;
                return Ok(Reply::Number(self.offer.pairs.into()));
            }
            Request::GetMaxMemSlots => {
                self.agreed(
                    Is::GET_MAX_MEM_SLOTS,
                    Protocol::CONFIGURE_MEM_SLOTS,
                    "CONFIGURE_MEM_SLOTS",
                )?;
                return Ok(Reply::Number(SLOTS_MAX as u64));
            }
            Request::GetVringBase { index } => return self.get_vring_base(index, vrings),
            Request::GetStatus => {
                self.agreed(Is::GET_STATUS, Protocol::STATUS, "STATUS")?;
                return Ok(Reply::Number(self.status.into()));
            }
            Request::GetConfig { offset, size, flags } => {
                return self.get_config(offset, size, flags, vrings);
            }
            Request::SetLogBase { size, offset } => {
                self.set_log_base(size, offset, fds.next(), vrings)?;
                // This one is answered always (vhost-user: SET_LOG_BASE).
                return Ok(Reply::Number(0));
            }
            Request::SetOwner => {}
            Request::SetFeatures(features) => self.set_features(features, vrings)?,
            Request::SetProtocolFeatures(features) => self.set_protocol_features(features)?,
            Request::ResetOwner => self.stop_all(vrings),
            Request::ResetDevice => {
                self.agreed(Is::RESET_DEVICE, Protocol::RESET_DEVICE, "RESET_DEVICE")?;
                self.reset(vrings);
                self.vrings.iter_mut().for_each(|vring| vring.base = 0);
            }
            Request::SetStatus(status) => {
                self.agreed(Is::SET_STATUS, Protocol::STATUS, "STATUS")?;
                self.status = status;
                if status == 0 {
                    self.reset(vrings);
                }
            }
            Request::SetMemTable(regions) => {
                self.table.replace(&regions, fds.collect()).map_err(memory(Is::SET_MEM_TABLE))?;
                self.memory_changed(Is::SET_MEM_TABLE, vrings)?;
            }
            Request::AddMemReg(region) => self.add_region(region, fds.next(), vrings)?,
            Request::RemMemReg(region) => {
                self.agreed(Is::REM_MEM_REG, Protocol::CONFIGURE_MEM_SLOTS, "CONFIGURE_MEM_SLOTS")?;
                if self.table.remove(&region).map_err(memory(Is::REM_MEM_REG))? {
                    self.memory_changed(Is::REM_MEM_REG, vrings)?;
                }
            }
            // A front-end looks at the log when it wants to know; the descriptor is closed.
            Request::SetLogFd => {}
            Request::SetVringNum { index, entries } => self.set_vring_num(index, entries)?,
            Request::SetVringAddr(addresses) => {
                self.vring(Is::SET_VRING_ADDR, addresses.index)?.addresses = Some(addresses);
                self.refresh(Is::SET_VRING_ADDR, addresses.index as u16, vrings)?;
            }
            Request::SetVringBase { index, base } => {
                self.stopped(Is::SET_VRING_BASE, index)?.base = base;
            }
            Request::SetVringKick(VringFd { index, .. }) => {
                self.vring(Is::SET_VRING_KICK, index)?.kicked = true;
                vrings.set_kick(index as u16, fds.next());
                self.refresh(Is::SET_VRING_KICK, index as u16, vrings)?;
            }
            Request::SetVringCall(VringFd { index, .. }) => {
                self.vring(Is::SET_VRING_CALL, index)?;
                vrings.set_call(index as u16, fds.next());
            }
            Request::SetVringErr(VringFd { index, .. }) => {
                self.vring(Is::SET_VRING_ERR, index)?;
                vrings.set_err(index as u16, fds.next());
            }
            Request::SetVringEnable { index, enable } => {
                self.vring(Is::SET_VRING_ENABLE, index)?.enabled = enable;
                vrings.enable(index as u16, enable);
            }
            Request::SendRarp(mac) => {
                self.agreed(Is::SEND_RARP, Protocol::RARP, "RARP")?;
                vrings.announce(mac);
            }
            Request::NetSetMtu(mtu) => self.set_mtu(mtu, vrings)?,
            Request::SetBackendReqFd => {
                self.agreed(Is::SET_BACKEND_REQ_FD, Protocol::BACKEND_REQ, "BACKEND_REQ")?;
                if let Some(channel) = fds.next() {
                    let answers = self.acknowledges();
                    vrings.set_channel(channel, answers, &self.translations);
                }
            }
            Request::Iotlb(iotlb) => self.translation(iotlb)?,
            Request::SetVringEndian { .. } => {
                return Err(not_agreed(Is::SET_VRING_ENDIAN, "CROSS_ENDIAN"));
            }
            Request::SetConfig { offset, .. } => {
                // Everything there is, is the device's to say (virtio 5.1.4).
                return Err(field(
                    Is::SET_CONFIG,
                    "offset",
                    offset.into(),
                    "none: it is read-only",
                ));
            }
            Request::GetInflightFd(inflight) => return self.make_inflight(&inflight),
            Request::SetInflightFd(inflight) => self.keep_inflight(inflight, fds.next())?,
        }
        Ok(Reply::None)
    }

    /// The front-end is gone, or has to go: every vring stops, and the guest's memory is let go.
    pub fn end(&mut self, vrings: &mut impl Vrings) {
        self.translations.forget();
        self.stop_all(vrings);
        for vring in 0..self.vrings.len() as u16 {
            vrings.set_kick(vring, None);
            vrings.set_call(vring, None);
            vrings.set_err(vring, None);
        }
        vrings.set_memory(None);
    }

    fn has(&self, feature: Protocol) -> bool {
        self.protocol & feature.bits() != 0
    }

    fn agreed(
        &self,
        request: Is,
        feature: Protocol,
        name: &'static str,
    ) -> Result<(), SessionError> {
        if self.has(feature) { Ok(()) } else { Err(not_agreed(request, name)) }
    }

    fn vring(&mut self, request: Is, index: u32) -> Result<&mut Vring, SessionError> {
        let vrings = self.vrings.len() as u16;
        // Compared before it is cut: 65536 is not vring 0.
        self.vrings.get_mut(index as usize).ok_or(SessionError::NoSuchVring {
            request,
            index,
            vrings,
        })
    }

    fn stopped(&mut self, request: Is, index: u32) -> Result<&mut Vring, SessionError> {
        let vring = self.vring(request, index)?;
        match vring.runs {
            None => Ok(vring),
            Some(_) => {
                let why = "the vring runs: GET_VRING_BASE first";
                Err(SessionError::OutOfOrder { request, why })
            }
        }
    }

    fn set_features(
        &mut self,
        features: u64,
        vrings: &mut impl Vrings,
    ) -> Result<(), SessionError> {
        let surplus = features & !(self.offer.features | TRANSPORT_FEATURES);
        if surplus != 0 {
            return Err(SessionError::Features { request: Is::SET_FEATURES, surplus });
        }
        let logging = Virtio::LOG_ALL.bits();
        let changed = features ^ self.features.unwrap_or_default();
        if changed & !logging != 0 && self.vrings.iter().any(|vring| vring.runs.is_some()) {
            let why = "vrings run: only VHOST_F_LOG_ALL may change then";
            return Err(SessionError::OutOfOrder { request: Is::SET_FEATURES, why });
        }
        let first = self.features.replace(features).is_none();
        if first || changed & !logging != 0 {
            vrings.set_features(features & !TRANSPORT_FEATURES);
        }
        if changed & (logging | feature::ACCESS_PLATFORM) != 0 {
            self.log_changed(Is::SET_FEATURES, vrings)?;
        }
        self.refresh_all(Is::SET_FEATURES, vrings)
    }

    fn set_protocol_features(&mut self, features: u64) -> Result<(), SessionError> {
        let request = Is::SET_PROTOCOL_FEATURES;
        match features & !PROTOCOL_FEATURES {
            0 => self.protocol = features,
            surplus => return Err(SessionError::Features { request, surplus }),
        }
        Ok(())
    }

    fn add_region(
        &mut self,
        region: Region,
        file: Option<OwnedFd>,
        vrings: &mut impl Vrings,
    ) -> Result<(), SessionError> {
        let request = Is::ADD_MEM_REG;
        self.agreed(request, Protocol::CONFIGURE_MEM_SLOTS, "CONFIGURE_MEM_SLOTS")?;
        let Some(file) = file else { return Ok(()) };
        match self.table.add(region, file).map_err(memory(request))? {
            true => self.memory_changed(request, vrings),
            false => Ok(()),
        }
    }

    fn set_log_base(
        &mut self,
        size: u64,
        offset: u64,
        file: Option<OwnedFd>,
        vrings: &mut impl Vrings,
    ) -> Result<(), SessionError> {
        let request = Is::SET_LOG_BASE;
        self.agreed(request, Protocol::LOG_SHMFD, "LOG_SHMFD")?;
        let Some(file) = file else { return Ok(()) };
        let file = std::fs::File::from(file);
        let len =
            file.metadata().map_err(|error| system(request, "the log's length", error))?.len();
        let fits = offset.checked_add(size).is_some_and(|end| end <= len) && size > 0;
        let Some(size) = usize::try_from(size).ok().filter(|_| fits) else {
            return Err(field(request, "mmap size", size, "what its file has behind mmap offset"));
        };
        let log = Log::map(FileOffset::new(file, offset), size).map_err(memory(request))?;
        self.log = Some(Arc::new(log));
        self.log_changed(request, vrings)
    }

    fn log_changed(&mut self, request: Is, vrings: &mut impl Vrings) -> Result<(), SessionError> {
        let on = self.features.unwrap_or_default() & Virtio::LOG_ALL.bits() != 0;
        let log = self.log.clone().filter(|_| on);
        self.table.set_log(log).map_err(memory(request))?;
        self.memory_changed(request, vrings)
    }

    /// Vrings may lie elsewhere now, or nowhere: those have stopped before their memory goes, and go on when they
    /// are found again.
    fn memory_changed(
        &mut self,
        request: Is,
        vrings: &mut impl Vrings,
    ) -> Result<(), SessionError> {
        for index in 0..self.vrings.len() {
            let vring = &self.vrings[index];
            let stays = self.setup(request, vring).is_ok_and(|setup| setup == vring.runs);
            if vring.runs.is_some() && !stays {
                self.vrings[index].base = vrings.stop(index as u16);
                self.vrings[index].runs = None;
            }
        }
        vrings.set_memory(self.table.memory(&self.translations, self.translates()));
        self.refresh_all(request, vrings)
    }

    fn packed(&self) -> bool {
        self.features.unwrap_or_default() & feature::RING_PACKED != 0
    }

    fn translates(&self) -> bool {
        self.features.unwrap_or_default() & feature::ACCESS_PLATFORM != 0
    }

    fn refresh_all(&mut self, request: Is, vrings: &mut impl Vrings) -> Result<(), SessionError> {
        (0..self.vrings.len() as u16).try_for_each(|index| self.refresh(request, index, vrings))
    }

    /// Starts a vring if all about it is known, and moves it if it runs and lies elsewhere now.
    fn refresh(
        &mut self,
        request: Is,
        index: u16,
        vrings: &mut impl Vrings,
    ) -> Result<(), SessionError> {
        let vring = &self.vrings[usize::from(index)];
        let Some(setup) = self.setup(request, vring)? else { return Ok(()) };
        let before = vring.runs;
        if before == Some(setup) {
            return Ok(());
        }
        let enabled = vring.enabled || !self.has_protocol_features();
        let tracking = self.tracking(request, index)?;
        let vring = &mut self.vrings[usize::from(index)];
        if before.is_some() {
            vring.base = vrings.stop(index);
            vring.runs = None;
        }
        vrings
            .start(index, Start { setup, base: vring.base, enabled, tracking })
            .map_err(|error| SessionError::Vring { request, index, error })?;
        vring.runs = Some(setup);
        Ok(())
    }

    /// Without them every vring is enabled from its start.
    fn has_protocol_features(&self) -> bool {
        self.features.unwrap_or_default() & Virtio::PROTOCOL_FEATURES.bits() != 0
    }

    /// Where the parts of a vring are, if all is known that it needs to run.
    fn setup(&self, request: Is, vring: &Vring) -> Result<Option<QueueSetup>, SessionError> {
        let Vring { entries, addresses: Some(addresses), kicked: true, .. } = vring else {
            return Ok(None);
        };
        let Some(features) = self.features.filter(|_| *entries > 0 && !self.table.is_empty())
        else {
            return Ok(None);
        };
        let lens = match features & feature::RING_PACKED != 0 {
            true => [ring::descriptor_table_len(*entries), ring::EVENT_LEN, ring::EVENT_LEN],
            false => [
                ring::descriptor_table_len(*entries),
                ring::available_ring_len(*entries),
                ring::used_ring_len(*entries),
            ],
        };
        let at = |part: &'static str, user: u64, len: u64| match self.translates() {
            // The device asks for the translation when it gets there.
            true => Ok(user),
            false => self.table.guest_address(user, len).ok_or(SessionError::Address {
                request,
                part,
                address: user,
            }),
        };
        Ok(Some(QueueSetup {
            size: *entries,
            descriptor_table: at("descriptor table", addresses.descriptors, lens[0])?,
            available_ring: at("available ring", addresses.available, lens[1])?,
            used_ring: at("used ring", addresses.used, lens[2])?,
            vector: None,
        }))
    }

    fn set_vring_num(&mut self, index: u32, entries: u32) -> Result<(), SessionError> {
        let request = Is::SET_VRING_NUM;
        let max = self.offer.entries_max;
        let vring = self.stopped(request, index)?;
        match u16::try_from(entries) {
            Ok(entries) if (1..=max).contains(&entries) => vring.entries = entries,
            _ => return Err(field(request, "num", entries.into(), "1 to the device's most")),
        }
        Ok(())
    }

    fn get_vring_base(
        &mut self,
        index: u32,
        vrings: &mut impl Vrings,
    ) -> Result<Reply, SessionError> {
        let vring = self.vring(Is::GET_VRING_BASE, index)?;
        vring.kicked = false;
        if vring.runs.take().is_some() {
            vring.base = vrings.stop(index as u16);
            vrings.set_kick(index as u16, None);
        }
        let num = vring.base;
        self.forget_translations();
        Ok(Reply::State { index, num })
    }

    fn get_config(
        &self,
        offset: u32,
        size: u32,
        flags: u32,
        vrings: &impl Vrings,
    ) -> Result<Reply, SessionError> {
        self.agreed(Is::GET_CONFIG, Protocol::CONFIG, "CONFIG")?;
        let there = offset.checked_add(size).is_some_and(|end| end <= self.offer.config_len);
        let mut bytes = vec![0; if there { size as usize } else { 0 }];
        vrings.read_config(offset, &mut bytes);
        Ok(Reply::Config { offset, flags, bytes })
    }

    fn set_mtu(&mut self, mtu: u64, vrings: &mut impl Vrings) -> Result<(), SessionError> {
        self.agreed(Is::NET_SET_MTU, Protocol::MTU, "MTU")?;
        // The least of IPv4 (RFC 791), as virtio 5.1.4.1 has it.
        let good = u16::try_from(mtu).ok().filter(|mtu| *mtu >= 68);
        match good.is_some_and(|mtu| vrings.set_mtu(mtu)) {
            true => Ok(()),
            false => Err(field(Is::NET_SET_MTU, "mtu", mtu, "68 to the device's")),
        }
    }

    fn translation(&mut self, iotlb: Iotlb) -> Result<(), SessionError> {
        const UPDATE: u8 = 2;
        const INVALIDATE: u8 = 3;
        /// Several follow, or have followed; each is taken as it comes.
        const BATCH: [u8; 2] = [5, 6];
        let request = Is::IOTLB_MSG;
        match iotlb.kind {
            UPDATE => {
                let access = match iotlb.perm {
                    1 => Permissions::Read,
                    2 => Permissions::Write,
                    3 => Permissions::ReadWrite,
                    other => return Err(field(request, "perm", other.into(), "1 to 3")),
                };
                let guest = self.table.guest_address(iotlb.user, iotlb.size).ok_or(
                    SessionError::Address {
                        request,
                        part: "translation's target",
                        address: iotlb.user,
                    },
                )?;
                self.translations.update(iotlb.iova, guest, iotlb.size, access);
            }
            INVALIDATE => self.translations.invalidate(iotlb.iova, iotlb.size),
            kind if BATCH.contains(&kind) => {}
            kind => return Err(field(request, "type", kind.into(), "2, 3, 5 or 6")),
        }
        Ok(())
    }

    fn stop_all(&mut self, vrings: &mut impl Vrings) {
        for (index, vring) in self.vrings.iter_mut().enumerate() {
            if vring.runs.take().is_some() {
                vring.base = vrings.stop(index as u16);
            }
            vring.kicked = false;
        }
        self.forget_translations();
    }

    /// QEMU tells of what is unmapped only while a device runs: what was mapped may be nothing, or another page, when
    /// it starts again. While the last vring stops it still looks at what it knows.
    fn forget_translations(&self) {
        if self.vrings.iter().all(|vring| vring.runs.is_none()) {
            self.translations.invalidate_all();
        }
    }

    /// As the device status 0 resets a device. Where vrings would have gone on is kept: QEMU up to 8.1 resets
    /// the status of a device that it stops, and asks for that afterwards.
    fn reset(&mut self, vrings: &mut impl Vrings) {
        self.stop_all(vrings);
        for (index, vring) in self.vrings.iter_mut().enumerate() {
            *vring = Vring { base: vring.base, ..Vring::default() };
            vrings.enable(index as u16, false);
        }
        self.features = None;
        self.status = 0;
        // What was in flight belongs to a driver that has begun anew.
        self.inflight = None;
    }
}

fn not_agreed(request: Is, feature: &'static str) -> SessionError {
    SessionError::NotAgreed { request, feature }
}

fn field(request: Is, field: &'static str, value: u64, allowed: &'static str) -> SessionError {
    MessageError::Field { request, field, value, allowed }.into()
}

fn memory(request: Is) -> impl Fn(String) -> SessionError {
    move |why| SessionError::Memory { request, why }
}

fn system(request: Is, what: &'static str, error: std::io::Error) -> SessionError {
    SessionError::System { request, what, error }
}
