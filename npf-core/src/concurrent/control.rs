//! Controls of a buffer that several CPUs fill.
//!
//! Contract: each as its namesake of [`Adapter`](crate::Adapter), done with the rules owned, so that
//! no tap and no read is under way. What a control throws away is told packet by packet before the
//! event of the control itself; a refused control changes nothing.

use super::core::Core;
use super::rules::Rules;
use super::shared::Shared;
use super::sync::own;
use crate::adapter::control::{check_buffer, check_snaplen};
use crate::filter::Filter;
use crate::{ControlError, DropReason, Event, FilterReset, HandleCounters, Host};

impl<C: Core> Shared<C> {
    pub(super) fn close<H: Host>(&self, now: u64, host: &mut H) -> HandleCounters {
        let rules = own(&self.rules.0);
        let lost = self.flush(now, &rules, DropReason::Closed, host);
        host.event(now, Event::Closed { handle: self.id, lost });
        self.counters()
    }

    pub(super) fn set_buffer_size<H: Host>(
        &self,
        now: u64,
        bytes: u64,
        host: &mut H,
    ) -> Result<(), ControlError> {
        check_buffer(bytes)?;
        let rules = &mut *own(&self.rules.0);
        if rules.detached {
            return Err(ControlError::DeviceRemoved);
        }
        if rules.capacity != bytes {
            self.reset(now, rules, bytes, host);
        }
        Ok(())
    }

    pub(super) fn set_filter<H: Host>(
        &self,
        now: u64,
        filter: Option<Filter>,
        reset: FilterReset,
        host: &mut H,
    ) {
        let rules = &mut *own(&self.rules.0);
        let instructions = filter.as_ref().map_or(0, |filter| filter.program().len() as u64);
        rules.filter = filter;
        if reset == FilterReset::Yes {
            self.reset(now, rules, rules.capacity, host);
        }
        host.event(now, Event::FilterSet { handle: self.id, instructions });
    }

    pub(super) fn set_snaplen<H: Host>(
        &self,
        now: u64,
        bytes: u32,
        host: &mut H,
    ) -> Result<(), ControlError> {
        check_snaplen(bytes)?;
        own(&self.rules.0).snaplen = bytes;
        host.event(now, Event::SnaplenSet { handle: self.id, bytes: bytes.into() });
        Ok(())
    }

    pub(super) fn set_min_to_copy<H: Host>(&self, now: u64, bytes: u64, host: &mut H) {
        own(&self.rules.0).min_to_copy = bytes;
        host.event(now, Event::MinToCopySet { handle: self.id, bytes });
    }

    pub(super) fn set_immediate<H: Host>(&self, now: u64, on: bool, host: &mut H) {
        own(&self.rules.0).immediate = on;
        host.event(now, Event::ImmediateSet { handle: self.id, on });
    }

    pub(super) fn remove<H: Host>(&self, now: u64, host: &mut H) {
        let rules: &mut Rules = &mut own(&self.rules.0);
        if !rules.detached {
            rules.detached = true;
            let queued = self.core.queued();
            host.event(now, Event::Detached { handle: self.id, queued });
        }
    }
}
