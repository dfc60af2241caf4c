//! The device against a driver that does anything: guest memory, ring contents, registers, in any order; and
//! the device's own faults among it.

use arbitrary::{Arbitrary, Unstructured};
use nic_model::{
    Coalesce, DeviceConfig, Fault, Lie, QueueSetup, RingKind, SUPPORTED_FEATURES, spec,
};

use crate::rig::{Rig, SIZE, buffer, place};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    pairs: u8,
    leave_out: u64,
    fifo: u16,
    dma_ps: u16,
    coalesce_ps: u16,
    coalesce_frames: u8,
    tx_coalesce: (u16, u8),
    mtu: u16,
    reference: bool,
    /// What the driver does not take of the offer; `None`: the registers are the fuzzer's from the start.
    decline: Option<u64>,
    steps: Vec<Step<'a>>,
}

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    /// An honest receive buffer, so that frames get somewhere.
    Post {
        queue: u8,
        index: u8,
    },
    PostPacked(u8),
    Describe {
        queue: u8,
        index: u8,
        address: Address,
        len: u32,
        flags: u8,
        next: u8,
    },
    Offer {
        queue: u8,
        head: u8,
    },
    Write {
        at: Address,
        bytes: &'a [u8],
    },
    AvailableIndex {
        queue: u8,
        to: u16,
    },
    Wish {
        queue: u8,
        flags: u16,
        event: u16,
    },
    Frame {
        len: u16,
        port: u8,
        head: [u8; 4],
        fcs_ok: bool,
    },
    Kick(u8),
    Advance(u32),
    Mask {
        vector: u8,
        masked: bool,
    },
    Status(u8),
    Features(u64),
    SetUp {
        queue: u8,
        size: u16,
        table: Address,
        available: Address,
        used: Address,
        vector: Option<u8>,
    },
    Enable(u8),
    ResetQueue(u8),
    Link(bool),
    ConfigVector(Option<u8>),
    ReadConfig {
        offset: u8,
        len: u8,
    },
    Fault {
        kind: u8,
        pair: u8,
        amount: u16,
        on: bool,
    },
}

/// An address in memory, near an edge, or anywhere.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Address {
    Inside(u16),
    Edge(i8),
    Any(u64),
}

impl Address {
    fn get(self) -> u64 {
        match self {
            Self::Inside(at) => u64::from(at) * 8,
            Self::Edge(off) => 0x6_0000u64.wrapping_add_signed(off.into()),
            Self::Any(at) => at,
        }
    }
}

/// The bytes, as a driver's doings.
pub fn run(bytes: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let config = DeviceConfig {
        max_queue_pairs: u16::from(input.pairs % 4) + 1,
        queue_size_max: 64,
        features: SUPPORTED_FEATURES & !input.leave_out | spec::feature::VERSION_1,
        fifo_bytes: input.fifo.into(),
        dma_frame_ps: input.dma_ps.into(),
        vectors: 4,
        rx_coalesce: Coalesce {
            max_ps: input.coalesce_ps.into(),
            max_frames: input.coalesce_frames.into(),
        },
        tx_coalesce: Coalesce {
            max_ps: input.tx_coalesce.0.into(),
            max_frames: input.tx_coalesce.1.into(),
        },
        mtu: input.mtu.max(68),
        ring: if input.reference { RingKind::Reference } else { RingKind::Batched },
        ..DeviceConfig::default()
    };
    let Some(mut rig) = Rig::new(config) else { return };
    if let Some(decline) = input.decline {
        let features = rig.device.device_features() & !decline | spec::feature::VERSION_1;
        rig.bring_up(features);
    }
    for step in &input.steps {
        take(&mut rig, step);
        rig.check();
    }
    // Whatever happened, a reset makes a device that works.
    rig.status(0);
    rig.check();
    assert_eq!((rig.device.status(), rig.device.fifo_frames()), (0, 0));
}

fn take(rig: &mut Rig, step: &Step<'_>) {
    match *step {
        Step::Post { queue, index } => {
            let (queue, index) = (u16::from(queue), u16::from(index) % SIZE);
            let write = spec::ring::DESC_F_WRITE;
            rig.describe(queue, index, (buffer(queue, index), 0x200), write, 0);
            rig.offer(queue, index);
        }
        Step::PostPacked(queue) => rig.post_packed(queue.into()),
        Step::Describe { queue, index, address, len, flags, next } => {
            let place = (address.get(), len);
            rig.describe(queue.into(), index.into(), place, flags.into(), next.into());
        }
        Step::Offer { queue, head } => rig.offer(queue.into(), head.into()),
        Step::Write { at, bytes } => rig.write(at.get(), bytes),
        Step::AvailableIndex { queue, to } => {
            rig.write(place(queue.into()).available_ring + 2, &to.to_le_bytes());
        }
        Step::Wish { queue, flags, event } => {
            let ring = place(queue.into()).available_ring;
            rig.write(ring, &flags.to_le_bytes());
            rig.write(ring + 4 + 2 * u64::from(SIZE), &event.to_le_bytes());
        }
        Step::Frame { len, port, head, fcs_ok } => rig.frame(&frame(len, port, head), fcs_ok),
        Step::Kick(queue) => rig.kick(queue.into()),
        Step::Advance(by) => rig.advance(by.into()),
        Step::Mask { vector, masked } => {
            rig.device.set_vector_masked(rig.now, vector.into(), masked, &mut rig.ears);
        }
        Step::Status(bits) => rig.status(bits),
        Step::Features(bits) => rig.device.set_driver_features(bits),
        Step::SetUp { queue, size, table, available, used, vector } => {
            let setup = QueueSetup {
                size,
                descriptor_table: table.get(),
                available_ring: available.get(),
                used_ring: used.get(),
                vector: vector.map(u16::from),
            };
            let refused = rig.device.setup_queue(queue.into(), &setup);
            refused.err().inspect(|error| assert!(!error.to_string().is_empty()));
        }
        Step::Enable(queue) => {
            let refused = rig.device.enable_queue(queue.into());
            refused.err().inspect(|error| assert!(!error.to_string().is_empty()));
        }
        Step::ResetQueue(queue) => {
            let refused = rig.device.reset_queue(rig.now, queue.into(), &mut rig.ears);
            refused.err().inspect(|error| assert!(!error.to_string().is_empty()));
        }
        Step::Link(up) => rig.device.set_link(rig.now, up, &mut rig.ears),
        Step::ConfigVector(vector) => {
            let refused = rig.device.set_config_vector(vector.map(u16::from));
            refused.err().inspect(|error| assert!(!error.to_string().is_empty()));
        }
        Step::ReadConfig { offset, len } => {
            rig.device.read_config(offset.into(), &mut vec![0; len.into()]);
        }
        Step::Fault { kind, pair, amount, on } => {
            let fault = fault(kind, pair.into(), amount, on);
            let refused = rig.device.inject(rig.now, fault, &mut rig.ears);
            refused.err().inspect(|error| assert!(!error.to_string().is_empty()));
        }
    }
}

fn fault(kind: u8, pair: u16, amount: u16, on: bool) -> Fault {
    let lie = |lie| Fault::Completion { pair: on.then_some(pair), lie };
    match kind % 14 {
        0 => Fault::FifoShrink { bytes: on.then(|| amount.into()) },
        1 => Fault::DmaSlow { times: amount.into() },
        2 => Fault::DmaStall { lasting_ps: amount.into() },
        3 => Fault::DmaReorder { on },
        4 => Fault::UsedIndexDelayed { pair, on },
        5 => Fault::QueueStuck { pair, on },
        6 => Fault::ControlQueueDead { on },
        7 => Fault::ConfigChanged,
        8 => Fault::DeviceReset,
        9 => Fault::SurpriseRemoval,
        10 => lie(Lie::Duplicated),
        11 => lie(Lie::Stale),
        12 => lie(Lie::Short { len: amount.into() }),
        _ => lie(Lie::WrongId),
    }
}

/// A UDP frame from this port, or what `head` makes of it.
fn frame(len: u16, port: u8, head: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![port; usize::from(len % 2048)];
    for (at, byte) in [0x45 ^ head[2], head[3]].into_iter().enumerate() {
        if let Some(place) = frame.get_mut(14 + at) {
            *place = byte;
        }
    }
    if let Some(kind) = frame.get_mut(12..14) {
        kind.copy_from_slice(&[8 ^ head[0], head[1]]);
    }
    if let Some(protocol) = frame.get_mut(23) {
        *protocol = 17;
    }
    frame
}
