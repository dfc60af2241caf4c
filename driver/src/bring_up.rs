//! From reset to running, in the order of virtio 1.x section 3.1.1, and the steps after it.
//!
//! reset - ACKNOWLEDGE - DRIVER - features - FEATURES_OK, read back - configuration - queues, buffers -
//! DRIVER_OK - kicks - the commands that turn on multi-queue or RSS and set coalescing.
//!
//! Contract: every refusal ends in [`Driver::give_up`]: FAILED is set, the state is broken, and the error
//! says what to do. Only two steps may have to wait, the reset and each command; both have a time limit
//! and are gone on with by [`Driver::step`], and by [`Driver::advance`] at [`Driver::next_deadline`].

use crate::device_config::{self, DeviceConfig};
use crate::error::DriverError;
use crate::event::Event;
use crate::policy::Moderation;
use crate::reset::LOOK_PS;
use crate::spec;
use crate::transport::Transport;
use crate::{Driver, Host, State};

/// How far the driver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Everything is set up.
    Running,
    /// The device has to answer. Call [`Driver::step`] when it may have, and at `deadline`.
    Waiting {
        /// When the driver will give up, in picoseconds of the caller's clock.
        deadline: u64,
    },
}

impl Driver {
    /// Brings the device up from whatever state it is in. Also the way back from every error: rings,
    /// positions and the link status start anew, counters go on. What the device had completed is
    /// indicated or dropped first, see `reset.rs`.
    ///
    /// # Errors
    /// Whatever the device or the transport refuses; the driver is broken then.
    pub fn start<T: Transport, H: Host>(
        &mut self,
        now: u64,
        transport: &mut T,
        host: &mut H,
    ) -> Result<Progress, DriverError> {
        self.counters.starts += 1;
        self.timers.stop();
        self.features = 0;
        self.device = DeviceConfig::default();
        transport.set_status(0);
        self.state = State::Resetting { deadline: self.deadline(now) };
        self.step(now, transport, host)
    }

    /// Goes on with what had to wait, and looks whether the device has asked for a reset.
    ///
    /// # Errors
    /// The time limit has passed, the device has refused, or the driver was broken before.
    pub fn step<T: Transport, H: Host>(
        &mut self,
        now: u64,
        transport: &mut T,
        host: &mut H,
    ) -> Result<Progress, DriverError> {
        match self.state {
            State::Stopped => return Err(DriverError::NotStarted),
            State::Broken(ref error) => return Err(error.clone()),
            State::Resetting { deadline } => {
                let done = self.after_reset(now, deadline, transport, host);
                return done.map_err(|error| self.give_up(now, error, transport, host));
            }
            State::Commanding | State::Running => {}
        }
        if let Some(progress) = self.examine(now, transport, host)? {
            return Ok(progress);
        }
        if self.state == State::Commanding {
            let progress = self.go_on_commanding(now, transport, host);
            let progress = progress.map_err(|error| self.give_up(now, error, transport, host))?;
            if let Progress::Waiting { deadline } = progress {
                self.timers.set(deadline);
                return Ok(progress);
            }
        }
        self.command_while_running(now, transport, host);
        Ok(Progress::Running)
    }

    /// Sets FAILED and keeps `error` as the reason of the broken state.
    pub(crate) fn give_up<T: Transport, H: Host>(
        &mut self,
        now: u64,
        error: DriverError,
        transport: &mut T,
        host: &mut H,
    ) -> DriverError {
        // A device that is gone hears nothing; one that asked for a reset is not the driver's failure.
        if !matches!(error, DriverError::DeviceGone | DriverError::NeedsReset) {
            let status = transport.status();
            transport.set_status(status | spec::STATUS_FAILED);
        }
        self.counters.failures += 1;
        self.timers.stop();
        self.state = State::Broken(error.clone());
        host.event(now, Event::DriverFailed { error: error.name() });
        error
    }

    /// Whether the device is still there and content.
    pub(crate) fn healthy<T: Transport, H: Host>(
        &mut self,
        now: u64,
        transport: &mut T,
        host: &mut H,
    ) -> Result<(), DriverError> {
        let status = transport.status();
        if status == spec::STATUS_GONE {
            return Err(DriverError::DeviceGone);
        }
        if status & spec::STATUS_NEEDS_RESET != 0 {
            self.counters.needs_reset += 1;
            host.event(now, Event::NeedsReset);
            return Err(DriverError::NeedsReset);
        }
        Ok(())
    }

    fn after_reset<T: Transport, H: Host>(
        &mut self,
        now: u64,
        deadline: u64,
        transport: &mut T,
        host: &mut H,
    ) -> Result<Progress, DriverError> {
        let status = transport.status();
        if status == spec::STATUS_GONE {
            return Err(DriverError::DeviceGone);
        }
        if status != 0 {
            if now < deadline {
                self.timers.set(now.saturating_add(LOOK_PS).min(deadline));
                return Ok(Progress::Waiting { deadline });
            }
            let limit_ps = self.config.control_timeout_ps;
            return Err(DriverError::ResetTimeout { status, limit_ps });
        }
        self.harvest_all(now, host);
        self.negotiate(now, transport, host)?;
        self.device = device_config::read(transport, self.features)?;
        self.device.check(&self.config, self.features)?;
        self.set_up_queues(transport)?;
        self.go(now, transport, host)?;
        self.command(now, transport, host)
    }

    fn negotiate<T: Transport, H: Host>(
        &mut self,
        now: u64,
        transport: &mut T,
        host: &mut H,
    ) -> Result<(), DriverError> {
        transport.set_status(spec::STATUS_ACKNOWLEDGE);
        transport.set_status(spec::STATUS_ACKNOWLEDGE | spec::STATUS_DRIVER);
        let offered = transport.device_features();
        let mut accepted = offered & self.config.wanted();
        if accepted & spec::NET_F_CTRL_VQ == 0 {
            // 2.2.1: no feature without the one it depends on, even if the device offers it so.
            accepted &= !spec::NEED_CTRL_VQ;
        }
        let missing = self.required() & !accepted;
        if missing != 0 {
            return Err(DriverError::MissingFeatures { missing, offered });
        }
        transport.set_driver_features(accepted);
        let status = spec::STATUS_ACKNOWLEDGE | spec::STATUS_DRIVER | spec::STATUS_FEATURES_OK;
        transport.set_status(status);
        self.healthy(now, transport, host)?;
        if transport.status() & spec::STATUS_FEATURES_OK == 0 {
            return Err(DriverError::FeaturesRefused { features: accepted });
        }
        self.features = accepted;
        Ok(())
    }

    /// What must be agreed: by configuration, and by what the configuration cannot do without.
    fn required(&self) -> u64 {
        let mut required = self.config.required | spec::F_VERSION_1 | self.config.follow();
        if self.config.rss.is_none() && self.config.queue_pairs > 1 {
            required |= spec::NET_F_MQ;
        }
        required
    }

    fn go<T: Transport, H: Host>(
        &mut self,
        now: u64,
        transport: &mut T,
        host: &mut H,
    ) -> Result<(), DriverError> {
        for vector in 0..=self.config.queue_pairs {
            transport.set_vector_masked(vector, false);
        }
        let status = spec::STATUS_ACKNOWLEDGE
            | spec::STATUS_DRIVER
            | spec::STATUS_FEATURES_OK
            | spec::STATUS_DRIVER_OK;
        transport.set_status(status);
        self.healthy(now, transport, host)?;
        let answer = transport.status();
        if answer & spec::STATUS_DRIVER_OK == 0 {
            return Err(DriverError::DriverOkRefused { status: answer });
        }
        let (features, queue_pairs) = (self.features, self.config.queue_pairs);
        host.event(now, Event::DriverOk { features, queue_pairs });
        // The buffers are there since before DRIVER_OK, but a kick is allowed only after it (3.1.1).
        let again = self.counters.starts > 1;
        for (pair, rx) in (0..).zip(&mut self.rx) {
            if again {
                let (entries, posted) = (rx.ring.size(), rx.ring.outstanding());
                host.event(now, Event::QueueRestarted { queue: pair, entries, posted });
            }
            rx.kick(now, pair, &self.memory, transport, host);
        }
        self.timers.start(now, self.config.watchdog_ps);
        if matches!(self.config.moderation, Moderation::BusyPoll { .. }) {
            for queue in 0..self.config.queue_pairs {
                self.start_polling(now, queue, transport, host);
            }
        }
        Ok(())
    }

    pub(crate) fn deadline(&self, now: u64) -> u64 {
        now.saturating_add(self.config.control_timeout_ps)
    }
}
