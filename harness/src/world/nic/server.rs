//! The other end: calls carried out by a device of the NIC model.
//!
//! Contract: [`serve`] does what the call says and nothing else; doorbells and interrupts are its caller's
//! ([`Effect::Interrupt`] tells of each).

use std::ops::Deref;

use nic_model::{Device, Event, Host, QueueError, QueueSetup};
use vm_memory::GuestMemory;

use super::message::{Answer, Call, Effect, Pair, Setup, State, Value};
use super::why;

/// Carries out a call.
pub fn serve<M>(device: &mut Device<M>, call: &Call) -> Answer
where
    M: Deref<Target: GuestMemory + Sized>,
{
    let mut seen = Effects(Vec::new());
    let value = carry_out(device, call, &mut seen);
    Answer { value, effects: seen.0, state: state(device) }
}

fn carry_out<M>(device: &mut Device<M>, call: &Call, seen: &mut Effects) -> Value
where
    M: Deref<Target: GuestMemory + Sized>,
{
    match call {
        Call::Look => {}
        Call::DeviceFeatures => return Value::Number(device.device_features()),
        Call::SetDriverFeatures(features) => device.set_driver_features(*features),
        Call::Status => return Value::Number(device.status().into()),
        Call::SetStatus(now, status) => device.set_status(*now, *status, seen),
        Call::ConfigGeneration => return Value::Number(device.config_generation().into()),
        Call::ReadConfig(offset, len) => {
            let mut bytes = vec![0; usize::from(*len)];
            device.read_config(*offset, &mut bytes);
            return Value::Bytes(bytes);
        }
        Call::QueueMaxSize(queue) => return Value::Number(device.queue_max_size(*queue).into()),
        Call::SetupQueue(queue, setup) => {
            return refused(device.setup_queue(*queue, &there(setup)));
        }
        Call::EnableQueue(queue) => return refused(device.enable_queue(*queue)),
        Call::ResetQueue(now, queue) => return refused(device.reset_queue(*now, *queue, seen)),
        Call::SetConfigVector(vector) => return refused(device.set_config_vector(*vector)),
        Call::SetVectorMasked(now, vector, masked) => {
            device.set_vector_masked(*now, *vector, *masked, seen);
        }
        Call::Notify(now, queue) => device.notify(*now, *queue, seen),
        Call::Receive { now, fcs_ok, tag, frame } => {
            device.receive(*now, frame, *fcs_ok, *tag, seen);
        }
        Call::Advance(now) => device.advance(*now, seen),
        Call::SetLink(now, up) => device.set_link(*now, *up, seen),
        Call::AskToAnnounce(now) => {
            device.ask_to_announce(*now, seen);
        }
        Call::Inject(now, fault) => match device.inject(*now, *fault, seen) {
            Ok(()) => {}
            Err(error) => return Value::Refused(error.to_string()),
        },
    }
    Value::None
}

fn refused(done: Result<(), QueueError>) -> Value {
    done.map_or_else(|error| Value::Refused(why(&error).into()), |()| Value::None)
}

fn there(setup: &Setup) -> QueueSetup {
    let Setup { size, descriptor_table, available_ring, used_ring, vector } = *setup;
    QueueSetup { size, descriptor_table, available_ring, used_ring, vector }
}

fn state<M>(device: &Device<M>) -> State
where
    M: Deref<Target: GuestMemory + Sized>,
{
    let pair = |pair| Pair {
        fifo_frames: device.fifo_frames_of(pair),
        published: device.published(pair),
        counters: device.queue_counters(pair).clone(),
    };
    State {
        next_deadline: device.next_deadline(),
        fifo_frames: device.fifo_frames(),
        num_queues: device.num_queues(),
        counters: device.counters().clone(),
        pairs: (0..device.config().max_queue_pairs).map(pair).collect(),
    }
}

/// What happens during a call.
struct Effects(Vec<(u64, Effect)>);

impl Host for Effects {
    fn event(&mut self, now: u64, event: Event) {
        self.0.push((now, Effect::Event(event)));
    }

    fn interrupt(&mut self, now: u64, vector: u16, cpu: u16) {
        self.0.push((now, Effect::Interrupt(vector, cpu)));
    }

    fn transmit(&mut self, now: u64, pair: u16, frame: &[u8]) {
        self.0.push((now, Effect::Transmit(pair, frame.to_vec())));
    }
}
