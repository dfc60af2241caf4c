//! The NIC at the other end of a wire, as the world has it.
//!
//! Contract: a call is one round trip; its effects are told to the world before it returns. Doorbells and
//! interrupts do not travel with the calls but on ways of their own ([`Link::ring`], [`Link::await_message`]),
//! and each must arrive. After the first failure nothing is asked any more: registers read 0, nothing
//! happens, and [`Remote::lost`] says why.

use std::sync::Arc;

use nic_model::{Fault, Host, QueueSetup};
use vm_memory::GuestMemoryMmap;

use super::message::{Answer, Call, Effect, Pair, Setup, State, Value};
use super::model::known;

/// The ways to the other end.
pub trait Link {
    /// Makes the call, and waits for its answer.
    ///
    /// # Errors
    /// There is none, and why.
    fn call(&mut self, call: &Call) -> Result<Answer, String>;

    /// Rings the doorbell of a virtqueue.
    ///
    /// # Errors
    /// It cannot be rung, and why.
    fn ring(&mut self, virtqueue: u16) -> Result<(), String>;

    /// Waits for a message of this vector that the NIC has sent.
    ///
    /// # Errors
    /// It does not come, and why.
    fn await_message(&mut self, vector: u16) -> Result<(), String>;
}

/// See the module's contract.
pub struct Remote {
    link: Box<dyn Link>,
    state: State,
    none: Pair,
    lost: Option<String>,
    driver_features: u64,
    /// By virtqueue: where it lies, and whether it is in use.
    queues: Vec<(QueueSetup, bool)>,
    memory: Arc<GuestMemoryMmap>,
}

impl Remote {
    /// Over this link; `memory` is what its rings will lie in.
    ///
    /// # Errors
    /// Nobody answers, and why.
    pub fn new(link: Box<dyn Link>, memory: Arc<GuestMemoryMmap>) -> Result<Self, String> {
        let mut remote = Self {
            link,
            state: State::default(),
            none: Pair::default(),
            lost: None,
            driver_features: 0,
            queues: Vec::new(),
            memory,
        };
        remote.ask(&Call::Look);
        match remote.lost {
            Some(why) => Err(why),
            None => Ok(remote),
        }
    }

    /// Why it cannot be reached any more.
    #[must_use]
    pub fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    /// What it said of itself last.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What it said of a pair last.
    #[must_use]
    pub fn of(&self, pair: u16) -> &Pair {
        self.state.pairs.get(usize::from(pair)).unwrap_or(&self.none)
    }

    pub(super) fn receive(
        &mut self,
        now: u64,
        frame: &[u8],
        fcs_ok: bool,
        tag: u64,
        host: &mut impl Host,
    ) {
        self.tell(&Call::Receive { now, fcs_ok, tag, frame: frame.to_vec() }, host);
    }

    pub(super) fn advance(&mut self, now: u64, host: &mut impl Host) {
        self.tell(&Call::Advance(now), host);
    }

    pub(super) fn set_link(&mut self, now: u64, up: bool, host: &mut impl Host) {
        self.tell(&Call::SetLink(now, up), host);
    }

    pub(super) fn ask_to_announce(&mut self, now: u64, host: &mut impl Host) {
        self.tell(&Call::AskToAnnounce(now), host);
    }

    pub(super) fn inject(&mut self, now: u64, fault: Fault, host: &mut impl Host) {
        self.tell(&Call::Inject(now, fault), host);
    }

    pub(super) fn device_features(&mut self) -> u64 {
        self.number(&Call::DeviceFeatures)
    }

    pub(super) fn set_driver_features(&mut self, features: u64) {
        self.driver_features = features;
        self.ask(&Call::SetDriverFeatures(features));
    }

    pub(super) fn status(&mut self) -> u8 {
        self.number(&Call::Status) as u8
    }

    pub(super) fn set_status(&mut self, now: u64, status: u8, host: &mut impl Host) {
        if status == 0 {
            self.queues.clear();
        }
        self.tell(&Call::SetStatus(now, status), host);
    }

    pub(super) fn config_generation(&mut self) -> u8 {
        self.number(&Call::ConfigGeneration) as u8
    }

    pub(super) fn read_config(&mut self, offset: u32, out: &mut [u8]) {
        out.fill(0);
        // The whole space is shorter than that.
        let len = u16::try_from(out.len()).unwrap_or(u16::MAX);
        if let Value::Bytes(bytes) = self.ask(&Call::ReadConfig(offset, len)) {
            out.iter_mut().zip(bytes).for_each(|(out, byte)| *out = byte);
        }
    }

    pub(super) fn queue_max_size(&mut self, queue: u16) -> u16 {
        self.number(&Call::QueueMaxSize(queue)) as u16
    }

    pub(super) fn setup_queue(
        &mut self,
        queue: u16,
        setup: &QueueSetup,
    ) -> Result<(), &'static str> {
        let QueueSetup { size, descriptor_table, available_ring, used_ring, vector } = *setup;
        let there = Setup { size, descriptor_table, available_ring, used_ring, vector };
        self.accepted(&Call::SetupQueue(queue, there))?;
        let at = usize::from(queue);
        if self.queues.len() <= at {
            self.queues.resize(at + 1, (*setup, false));
        }
        self.queues[at] = (*setup, false);
        Ok(())
    }

    pub(super) fn enable_queue(&mut self, queue: u16) -> Result<(), &'static str> {
        self.accepted(&Call::EnableQueue(queue))?;
        if let Some((_, enabled)) = self.queues.get_mut(usize::from(queue)) {
            *enabled = true;
        }
        Ok(())
    }

    pub(super) fn reset_queue(
        &mut self,
        now: u64,
        queue: u16,
        host: &mut impl Host,
    ) -> Result<(), &'static str> {
        match self.tell(&Call::ResetQueue(now, queue), host) {
            Value::Refused(why) => return Err(words(&why)),
            Value::Lost(_) => return Err(LOST),
            _ => {}
        }
        if let Some((_, enabled)) = self.queues.get_mut(usize::from(queue)) {
            *enabled = false;
        }
        Ok(())
    }

    pub(super) fn set_config_vector(&mut self, vector: Option<u16>) -> Result<(), &'static str> {
        self.accepted(&Call::SetConfigVector(vector))
    }

    pub(super) fn set_vector_masked(
        &mut self,
        now: u64,
        vector: u16,
        masked: bool,
        host: &mut impl Host,
    ) {
        self.tell(&Call::SetVectorMasked(now, vector, masked), host);
    }

    pub(super) fn notify(&mut self, now: u64, queue: u16, host: &mut impl Host) {
        if self.lost.is_none()
            && let Err(why) = self.link.ring(queue)
        {
            self.lost = Some(why);
        }
        self.tell(&Call::Notify(now, queue), host);
    }

    pub(super) fn driver_features(&self) -> u64 {
        self.driver_features
    }

    pub(super) fn queue_setup(&self, virtqueue: u16) -> Option<&QueueSetup> {
        let (setup, enabled) = self.queues.get(usize::from(virtqueue))?;
        enabled.then_some(setup)
    }

    pub(super) fn memory(&self) -> &GuestMemoryMmap {
        &self.memory
    }

    fn number(&mut self, call: &Call) -> u64 {
        match self.ask(call) {
            Value::Number(number) => number,
            _ => 0,
        }
    }

    fn accepted(&mut self, call: &Call) -> Result<(), &'static str> {
        match self.ask(call) {
            Value::Refused(why) => Err(words(&why)),
            Value::Lost(_) => Err(LOST),
            _ => Ok(()),
        }
    }

    /// A call without effects.
    fn ask(&mut self, call: &Call) -> Value {
        self.tell(call, &mut Nobody)
    }

    /// A call; its effects are told.
    fn tell(&mut self, call: &Call, host: &mut impl Host) -> Value {
        if let Some(why) = &self.lost {
            return Value::Lost(why.clone());
        }
        let answer = self.link.call(call);
        let Answer { value, effects, state } = match answer {
            Ok(Answer { value: Value::Lost(why), .. }) | Err(why) => {
                // Nothing is due any more either.
                self.state.next_deadline = None;
                self.lost = Some(why.clone());
                return Value::Lost(why);
            }
            Ok(answer) => answer,
        };
        self.state = state;
        // Several messages of one vector may become one on their way.
        let mut awaited = Vec::new();
        for (at, effect) in effects {
            match effect {
                Effect::Event(event) => host.event(at, event),
                Effect::Interrupt(vector, cpu) => {
                    if !awaited.contains(&vector) {
                        awaited.push(vector);
                        if let Err(why) = self.link.await_message(vector) {
                            self.lost.get_or_insert(why);
                        }
                    }
                    host.interrupt(at, vector, cpu);
                }
                Effect::Transmit(pair, frame) => host.transmit(at, pair, &frame),
            }
        }
        value
    }
}

/// What the other end is when it is there no more.
const LOST: &str = "it cannot be reached any more";

fn words(why: &str) -> &'static str {
    known(why).unwrap_or("it refuses")
}

/// Effects that a register does not have.
struct Nobody;

impl Host for Nobody {
    fn event(&mut self, _: u64, _: nic_model::Event) {}
    fn interrupt(&mut self, _: u64, _: u16, _: u16) {}
    fn transmit(&mut self, _: u64, _: u16, _: &[u8]) {}
}
