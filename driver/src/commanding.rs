//! Control commands: those of a bring-up, one after the other, and those of a driver that runs.
//!
//! A bring-up cannot do without its commands: one that is refused or not answered in time breaks the driver.
//! A command of a driver that runs can fail without harm to the frames: it is counted, and told. A control
//! queue that does not answer in time, or breaks the rules of its ring, is *dead*: nothing is sent to it until
//! the next start, as nobody could say whether a late answer belonged to the command at hand.
//!
//! Contract: one command is with the device at a time; others wait in line.

use std::collections::VecDeque;

use crate::bring_up::Progress;
use crate::command::{Command, Purpose};
use crate::control::Answer;
use crate::error::DriverError;
use crate::event::Event;
use crate::spec;
use crate::stats::DeviceStats;
use crate::transport::Transport;
use crate::{Driver, Host, State};

/// Commands on their way.
#[derive(Debug, Default)]
pub(crate) struct Commanding {
    /// With the device, and when the driver stops waiting.
    pending: Option<(Command, u64)>,
    waiting: VecDeque<Command>,
    /// Commands of the bring-up among these, the one at hand included. They come first.
    bring_up: usize,
    /// The acknowledgement of an announcement is among these.
    pub(crate) announcing: bool,
    dead: bool,
    /// The types of statistics that the device has, once it has told.
    stats_types: Option<u64>,
    pub(crate) stats: Option<DeviceStats>,
}

impl Commanding {
    /// When the driver stops waiting for the answer at hand.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.pending.as_ref().map(|(_, deadline)| *deadline)
    }
}

impl Driver {
    /// Asks the device for its statistics (virtio 1.4, 5.1.6.5.10): first which there are, then for those of
    /// the control queue and of every pair in use. [`Driver::device_stats`] has them when the answers have
    /// come; with a device that answers within the kick, on return. `false` if that cannot be asked: not
    /// running, the feature not agreed, or the control queue dead.
    pub fn query_stats<T: Transport, H: Host>(
        &mut self,
        now: u64,
        transport: &mut T,
        host: &mut H,
    ) -> bool {
        if self.state != State::Running
            || self.features & spec::NET_F_DEVICE_STATS == 0
            || self.commanding.dead
        {
            return false;
        }
        self.commanding.stats = None;
        match self.commanding.stats_types {
            None => self.order(now, Command::stats_query(), transport, host),
            Some(types) => self.order_stats(now, types, transport, host),
        }
        true
    }

    /// The device's statistics, as it told them last since it was asked last.
    pub fn device_stats(&self) -> Option<&DeviceStats> {
        self.commanding.stats.as_ref()
    }

    /// The commands that a bring-up ends with, in their order.
    pub(crate) fn command<T: Transport, H: Host>(
        &mut self,
        now: u64,
        transport: &mut T,
        host: &mut H,
    ) -> Result<Progress, DriverError> {
        let commands = Command::at_start(&self.config, self.channels.wanted);
        // A bring-up that this is not part of does not end.
        self.channels.agreed = self.channels.wanted;
        let bring_up = commands.len();
        self.commanding =
            Commanding { waiting: commands.into(), bring_up, ..Commanding::default() };
        self.state = State::Commanding;
        let progress = self.go_on_commanding(now, transport, host);
        if let Ok(Progress::Waiting { deadline }) = progress {
            self.timers.set(deadline);
        }
        progress
    }

    /// A driver that runs gives an order to the device, now or when its turn comes.
    pub(crate) fn order<T: Transport, H: Host>(
        &mut self,
        now: u64,
        command: Command,
        transport: &mut T,
        host: &mut H,
    ) {
        if self.commanding.dead {
            self.failed(now, &command, host);
            return;
        }
        self.commanding.waiting.push_back(command);
        // A bring-up comes to it by itself.
        if self.state == State::Running {
            self.command_while_running(now, transport, host);
        }
    }

    /// The same for a command of which only the last counts: it takes the place of one in line that is about
    /// the same virtqueue.
    pub(crate) fn order_latest<T: Transport, H: Host>(
        &mut self,
        now: u64,
        command: Command,
        transport: &mut T,
        host: &mut H,
    ) {
        let about = |c: &Command| (c.class, c.command, c.data.first_chunk::<2>().copied());
        let mut waiting = self.commanding.waiting.iter_mut();
        match waiting.find(|waiting| about(waiting) == about(&command)) {
            Some(waiting) => *waiting = command,
            None => self.order(now, command, transport, host),
        }
    }

    /// Goes on with the commands of a driver that runs.
    pub(crate) fn command_while_running<T: Transport, H: Host>(
        &mut self,
        now: u64,
        transport: &mut T,
        host: &mut H,
    ) {
        while let Err(error) = self.go_on_commanding(now, transport, host) {
            if !matches!(error, DriverError::ControlRefused { .. }) {
                self.commanding.dead = true;
            }
            if let Some((command, _)) = self.commanding.pending.take() {
                self.failed(now, &command, host);
            }
            if self.commanding.dead {
                for command in std::mem::take(&mut self.commanding.waiting) {
                    self.failed(now, &command, host);
                }
                return;
            }
        }
        if let Some(deadline) = self.commanding.deadline() {
            self.timers.set(deadline);
        }
    }

    /// Takes answers and sends what comes next, until one has to be waited for or none is left, or the
    /// bring-up is over. After an error the command that it is about is still pending.
    pub(crate) fn go_on_commanding<T: Transport, H: Host>(
        &mut self,
        now: u64,
        transport: &mut T,
        host: &mut H,
    ) -> Result<Progress, DriverError> {
        loop {
            if let Some((command, deadline)) = &self.commanding.pending {
                let (deadline, class, number) = (*deadline, command.class, command.command);
                let answer = self.control.answer(&self.memory, command);
                let Some(answer) = answer.map_err(DriverError::ControlRing)? else {
                    if now < deadline {
                        return Ok(Progress::Waiting { deadline });
                    }
                    let limit_ps = self.config.control_timeout_ps;
                    return Err(DriverError::ControlTimeout { class, command: number, limit_ps });
                };
                let ack = answer.ack;
                host.event(now, Event::ControlDone { class, command: number, ack });
                self.counters.control_bad_length += u64::from(!answer.length_good);
                if ack != spec::CTRL_OK {
                    return Err(DriverError::ControlRefused { class, command: number, ack });
                }
                self.counters.control_done += 1;
                if let Some((command, _)) = self.commanding.pending.take() {
                    self.commanding.bring_up = self.commanding.bring_up.saturating_sub(1);
                    self.answered(&command, &answer);
                }
            }
            if self.state == State::Commanding && self.commanding.bring_up == 0 {
                self.state = State::Running;
                return Ok(Progress::Running);
            }
            let Some(command) = self.commanding.waiting.pop_front() else {
                return Ok(Progress::Running);
            };
            let (class, number) = (command.class, command.command);
            let kick = self.control.send(&self.memory, &command);
            self.counters.control_sent += 1;
            self.commanding.pending = Some((command, self.deadline(now)));
            host.event(now, Event::ControlSent { class, command: number });
            if let Some(queue) = self.control_index().filter(|_| kick) {
                transport.notify(queue);
            }
        }
    }

    /// A command of a driver that runs has come to nothing.
    fn failed<H: Host>(&mut self, now: u64, command: &Command, host: &mut H) {
        self.counters.control_failed += 1;
        match command.purpose {
            Purpose::Announced => self.commanding.announcing = false,
            Purpose::Channels(_) => self.channels.wanted = self.channels.agreed,
            Purpose::Set | Purpose::StatsTypes | Purpose::Stats => {}
        }
        let (class, command) = (command.class, command.command);
        host.event(now, Event::ControlFailed { class, command });
    }

    /// What a successful answer brings.
    fn answered(&mut self, command: &Command, answer: &Answer) {
        match command.purpose {
            Purpose::Set => {}
            Purpose::Channels(queue_pairs) => self.channels.agreed = queue_pairs,
            Purpose::Announced => self.commanding.announcing = false,
            Purpose::StatsTypes => {
                let types = answer.result.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
                self.commanding.stats_types = types;
                match types {
                    Some(types) => {
                        let get = self.stats_command(types);
                        self.commanding.waiting.push_front(get);
                    }
                    None => self.counters.stats_malformed += 1,
                }
            }
            Purpose::Stats => {
                let control = self.control_index().unwrap_or_default();
                let pairs = self.config.queue_pairs;
                self.commanding.stats = DeviceStats::parse(&answer.result, pairs, control);
                if self.commanding.stats.is_none() {
                    self.counters.stats_malformed += 1;
                }
            }
        }
    }

    fn order_stats<T: Transport, H: Host>(
        &mut self,
        now: u64,
        types: u64,
        transport: &mut T,
        host: &mut H,
    ) {
        let command = self.stats_command(types);
        self.order(now, command, transport, host);
    }

    fn stats_command(&self, types: u64) -> Command {
        let control = self.control_index().unwrap_or_default();
        Command::stats_get(types, self.config.queue_pairs, control)
    }
}
