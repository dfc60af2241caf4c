//! The reference: what is common to all designs, around one [`Model`] per handle.
//!
//! Contract: a step foretells everything that the adapter may be seen to do in that step.

use std::marker::PhantomData;

use npf_core::{
    ControlError, Delivered, DropReason, Event, MAX_KERNEL_BUFFER, Read, ReadError, ReadStep,
    TapWork, Work,
};
use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;

use crate::handle::{Handle, unseen};
use crate::model::{Done, Model, Packet, Worked};
use crate::ops::{self, Op, Opening};

/// The state machine of a design.
#[derive(Debug)]
pub struct Reference<M>(PhantomData<M>);

impl<M: Model> ReferenceStateMachine for Reference<M> {
    type State = World<M>;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<World<M>> {
        Just(World::default()).boxed()
    }

    fn transitions(state: &World<M>) -> BoxedStrategy<Op> {
        if state.opened == 0 {
            return ops::opening::<M>().prop_map(Op::Open).boxed();
        }
        ops::any::<M>(state.opened)
    }

    fn apply(mut state: World<M>, op: &Op) -> World<M> {
        state.apply(op);
        state
    }
}

/// An adapter as the reference sees it.
#[derive(Debug, Clone)]
pub struct World<M> {
    pub handles: Vec<Handle<M>>,
    pub opened: u32,
    removed: bool,
    /// Grows by a second and a microsecond with each step, so that a record's time tells the step.
    pub now: u64,
    next_tag: u64,
    /// What the last step must have been seen to do.
    pub told: Told,
    pub answer: Answer,
}

/// What the adapter tells its host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    pub events: Vec<Event>,
    pub delivered: Vec<Delivery>,
    pub wakes: Vec<u32>,
    pub works: Vec<u32>,
}

/// One packet handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub handle: u32,
    pub packet: Packet,
    pub data: Vec<u8>,
}

/// What a control answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Nothing,
    Tap(TapWork),
    Open(Result<u32, ControlError>),
    Control(Result<(), ControlError>),
    Work(Result<Work, ControlError>),
    Read(Result<Read, ReadError>),
    Step(Result<ReadStep, ReadError>),
}

impl<M> Default for World<M> {
    fn default() -> Self {
        World {
            handles: Vec::new(),
            opened: 0,
            removed: false,
            now: 0,
            next_tag: 0,
            told: Told::default(),
            answer: Answer::Nothing,
        }
    }
}

impl<M: Model> World<M> {
    fn apply(&mut self, op: &Op) {
        self.now += 1_000_001_000_000;
        self.told = Told::default();
        self.answer = match op {
            Op::Open(opening) => Answer::Open(self.open(opening)),
            Op::Tap { cpu, lengths } => Answer::Tap(self.tap(*cpu, lengths)),
            Op::Step { at, len, same } => {
                let begun = self.find(*at).and_then(|open| open.reading.as_ref());
                let len = begun.filter(|_| *same).map_or(*len, |reading| reading.len);
                Answer::Step(self.step(*at, len))
            }
            Op::Read { at, len } => Answer::Read(self.read(*at, *len)),
            Op::Work { at, max } => Answer::Work(self.work(*at, *max)),
            Op::Close { at } => Answer::Control(self.close(*at)),
            Op::Remove => {
                self.remove();
                Answer::Nothing
            }
            control => Answer::Control(self.control(control)),
        };
    }

    pub fn find(&self, id: u32) -> Option<&Handle<M>> {
        self.handles.iter().find(|open| open.id == id)
    }

    fn get(&mut self, handle: u32) -> Result<(&mut Handle<M>, &mut Told), ControlError> {
        let found = self.handles.iter_mut().find(|open| open.id == handle);
        Ok((found.ok_or(ControlError::NoSuchHandle { handle })?, &mut self.told))
    }

    fn open(&mut self, opening: &Opening) -> Result<u32, ControlError> {
        let Opening { size, snaplen, cpus, .. } = *opening;
        check_size(size)?;
        if snaplen == 0 {
            return Err(ControlError::ZeroSnaplen);
        }
        if cpus == 0 {
            return Err(ControlError::NoCpu);
        }
        if self.removed {
            return Err(ControlError::DeviceRemoved);
        }
        let id = self.opened;
        self.opened += 1;
        self.handles.push(Handle::new(id, opening));
        Ok(id)
    }

    fn tap(&mut self, cpu: u16, lengths: &[usize]) -> TapWork {
        let mut work = TapWork { frames: lengths.len() as u32, ..TapWork::default() };
        for len in lengths {
            let tag = self.next_tag;
            self.next_tag += 1;
            let queue = queue_of(cpu);
            let frame = Packet { tag, now: self.now, cpu, queue, caplen: *len, len: *len };
            if self.removed || self.handles.is_empty() {
                self.told.events.push(Event::Dropped(unseen(&frame)));
                continue;
            }
            let told = &mut self.told;
            let kept: Vec<_> =
                self.handles.iter_mut().map(|open| open.choose(&frame, &mut work, told)).collect();
            if M::SHARES {
                work.bytes_copied += kept.iter().flatten().max().map_or(0, |most| *most as u64);
            }
            for (open, caplen) in self.handles.iter_mut().zip(kept) {
                if let Some(caplen) = caplen {
                    open.keep(&Packet { caplen, ..frame.clone() }, &mut work, told);
                }
            }
        }
        work
    }

    fn step(&mut self, handle: u32, len: usize) -> Result<ReadStep, ReadError> {
        let (open, told) = self.get(handle).map_err(|_| ReadError::NoSuchHandle { handle })?;
        open.step(len, told)
    }

    fn read(&mut self, handle: u32, len: usize) -> Result<Read, ReadError> {
        let (open, told) = self.get(handle).map_err(|_| ReadError::NoSuchHandle { handle })?;
        if open.reading.is_some() {
            return Err(ReadError::Busy { handle });
        }
        loop {
            if let ReadStep::Done(read) = open.step(len, told)? {
                return Ok(read);
            }
        }
    }

    fn work(&mut self, handle: u32, max: u32) -> Result<Work, ControlError> {
        let (open, told) = self.get(handle)?;
        let Worked { done, bytes_copied, wake } = open.model.work(max);
        let requests = done.len() as u32;
        for what in done {
            match what {
                Done::Moved { packet, charge, used } => {
                    open.stats.accepted += 1;
                    let tag = packet.tag;
                    told.events.push(Event::Moved { tag, handle, charge, occupancy: used });
                }
                Done::Gone(gone) => open.gone(&gone, DropReason::Flushed, told),
            }
        }
        if wake {
            open.wake(told);
        }
        Ok(Work { requests, bytes_copied, left: open.model.pending() })
    }

    fn close(&mut self, handle: u32) -> Result<(), ControlError> {
        let (open, told) = self.get(handle)?;
        let lost = open.flush(DropReason::Closed, told);
        told.events.push(Event::Closed { handle, lost });
        self.handles.retain(|open| open.id != handle);
        Ok(())
    }

    fn remove(&mut self) {
        self.removed = true;
        for open in self.handles.iter_mut().filter(|open| !open.detached) {
            open.detached = true;
            let (handle, queued) = (open.id, open.model.queued());
            self.told.events.push(Event::Detached { handle, queued });
        }
    }

    fn control(&mut self, control: &Op) -> Result<(), ControlError> {
        match *control {
            Op::Filter { at: handle, keep, reset } => {
                let (open, told) = self.get(handle)?;
                open.keep = keep;
                if reset {
                    open.reset(open.model.capacity(), told);
                }
                let instructions = if keep.is_some() { 4 } else { 0 };
                told.events.push(Event::FilterSet { handle, instructions });
            }
            Op::BufferSize { at, size } => {
                let (open, told) = self.get(at)?;
                check_size(size)?;
                if open.detached {
                    return Err(ControlError::DeviceRemoved);
                }
                open.model.can_resize(size)?;
                if open.model.capacity() != size {
                    open.reset(size, told);
                }
            }
            Op::MinToCopy { at: handle, bytes } => {
                let (open, told) = self.get(handle)?;
                open.model.set_min_to_copy(bytes);
                told.events.push(Event::MinToCopySet { handle, bytes });
            }
            Op::Immediate { at: handle, on } => {
                let (open, told) = self.get(handle)?;
                open.model.set_immediate(on);
                open.settle_event();
                told.events.push(Event::ImmediateSet { handle, on });
            }
            Op::Snaplen { at: handle, snaplen } => {
                let (open, told) = self.get(handle)?;
                if snaplen == 0 {
                    return Err(ControlError::ZeroSnaplen);
                }
                open.snaplen = snaplen;
                told.events.push(Event::SnaplenSet { handle, bytes: snaplen.into() });
            }
            _ => unreachable!("{control:?}"),
        }
        Ok(())
    }
}

/// The queue that frames come from which are tapped on this CPU.
pub fn queue_of(cpu: u16) -> u16 {
    cpu / 2
}

/// The bytes of a frame: its tag over and over.
pub fn frame_bytes(tag: u64, len: usize) -> Vec<u8> {
    (tag + 1).to_le_bytes().into_iter().cycle().take(len).collect()
}

fn check_size(asked: u64) -> Result<(), ControlError> {
    let limit = MAX_KERNEL_BUFFER;
    if asked > limit { Err(ControlError::BufferTooLarge { asked, limit }) } else { Ok(()) }
}

impl Delivery {
    /// What the host is told.
    pub fn new(handle: u32, told: &Delivered<'_>) -> Self {
        let Delivered { tag, queue, cpu, timestamp: now, caplen, len, data } = *told;
        let (caplen, len) = (caplen as usize, len as usize);
        Delivery { handle, packet: Packet { tag, now, cpu, queue, caplen, len }, data: data.into() }
    }
}
