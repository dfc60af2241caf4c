//! The part of a session that is about chains in flight.
//!
//! Contract: what is kept is used by vrings that start later. Which vring of an earlier session it was is the
//! front-end's to know: it is found by its number.

use std::os::fd::OwnedFd;

use vhost::vhost_user::message::{FrontendReq as Is, VhostUserProtocolFeatures as Protocol};

use super::{Session, field, memory, system};
use crate::vhost_user::error::SessionError;
use crate::vhost_user::inflight::{Regions, Tracking, create};
use crate::vhost_user::port::Reply;
use crate::vhost_user::request::Inflight;

impl Session {
    /// GET_INFLIGHT_FD: memory of nobody's yet.
    pub(super) fn make_inflight(&self, asked: &Inflight) -> Result<Reply, SessionError> {
        let request = Is::GET_INFLIGHT_FD;
        self.check_inflight(request, asked)?;
        // Before there are features, enough for either format.
        let created = create(asked, self.features.is_none() || self.packed());
        let (inflight, file) =
            created.map_err(|error| system(request, "memory for chains in flight", error))?;
        Ok(Reply::Inflight(inflight, file))
    }

    /// SET_INFLIGHT_FD: memory of an earlier back-end, or of nobody's yet.
    pub(super) fn keep_inflight(
        &mut self,
        inflight: Inflight,
        file: Option<OwnedFd>,
    ) -> Result<(), SessionError> {
        let request = Is::SET_INFLIGHT_FD;
        self.check_inflight(request, &inflight)?;
        if self.vrings.iter().any(|vring| vring.runs.is_some()) {
            let why = "vrings run: GET_VRING_BASE first";
            return Err(SessionError::OutOfOrder { request, why });
        }
        let Some(file) = file else { return Ok(()) };
        let regions = Regions::map(inflight, file).map_err(memory(request))?;
        regions.check(self.packed()).map_err(memory(request))?;
        self.inflight = Some(regions);
        Ok(())
    }

    /// Where chains of a vring are tracked, if they are.
    pub(super) fn tracking(
        &self,
        request: Is,
        index: u16,
    ) -> Result<Option<Tracking>, SessionError> {
        let Some(regions) = &self.inflight else { return Ok(None) };
        // The format may be another than when they came.
        regions.check(self.packed()).map_err(memory(request))?;
        Ok(regions.region(index, self.packed()))
    }

    fn check_inflight(&self, request: Is, inflight: &Inflight) -> Result<(), SessionError> {
        self.agreed(request, Protocol::INFLIGHT_SHMFD, "INFLIGHT_SHMFD")?;
        let Inflight { queues, entries, .. } = *inflight;
        if usize::from(queues) > self.vrings.len() {
            return Err(field(request, "num queues", queues.into(), "as many as there are vrings"));
        }
        if entries > self.offer.entries_max {
            return Err(field(request, "queue size", entries.into(), "1 to the device's most"));
        }
        Ok(())
    }
}
