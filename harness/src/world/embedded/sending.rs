//! Programs that send: a write or a send queue goes through the tap and the driver to the NIC.
//!
//! Contract: sending is work of the program's CPU, which is also its reader's. A write takes effect
//! when it starts, and what it cost follows. A queue that waits for the time of its next frame gives
//! the CPU up, unless the release that it models spins; then its wait is work.

use super::Embedded;
use crate::event::WorldEvent;
use crate::scenario::{Pacing, Send};
use crate::world::cpu::Work;
use crate::world::port::Port;
use crate::world::schedule::Action;
use crate::world::tap::DriverEvents;
use npf_core::{SendQueue, TapWork, Transmission, TransmitNext};

const PS_PER_USEC: u64 = 1_000_000;
const USEC_PER_SEC: u64 = 1_000_000;
const FCS: usize = 4;
/// EtherType for experiments of one's own (IEEE 802, Local Experimental 1).
const ETHERTYPE: [u8; 2] = [0x88, 0xb5];

/// One send on its way.
#[derive(Debug)]
pub(super) struct Sending {
    send: Send,
    /// The frames, as a send queue.
    queue: SendQueue,
    transmission: Transmission,
    /// What is to be done when the job that sends has ended.
    next: Option<TransmitNext>,
}

impl Sending {
    /// A send that has not begun, of frames from the station `mac`.
    pub(super) fn new(send: Send, mac: [u8; 6]) -> Self {
        let len = send.size.0 as usize - FCS;
        let mut queue = SendQueue::new(u32::MAX);
        for number in 0..send.frames {
            let micros = u64::from(number) * (send.gap.0 / PS_PER_USEC);
            let (sec, usec) = (micros / USEC_PER_SEC, micros % USEC_PER_SEC);
            let frame = frame(len, mac, number);
            // A million frames of 1518 bytes fit into 32 bits, and `validate` allows no more.
            let _ = queue.queue(sec as u32, usec as u32, &frame);
        }
        let pacing = match send.pacing {
            Pacing::None => npf_core::Pacing::None,
            Pacing::Npcap => npf_core::Pacing::Npcap1_70,
            Pacing::Winpcap => npf_core::Pacing::WinPcap,
        };
        Self { send, queue, transmission: Transmission::new(pacing), next: None }
    }
}

impl Embedded {
    /// Sends what may be sent now; what that costs follows.
    pub(super) fn begin_send(&mut self, cpu: u16, handle: u32, index: u32) -> u64 {
        let sending = &mut self.sends[handle as usize][index as usize];
        let (now, adapter, book) = (self.now, &mut self.adapter, self.book.get_mut());
        book.oracle.tapping(cpu);
        let work = if sending.send.repeat == 1 {
            let queue = sending.queue.as_bytes();
            let sent = adapter.transmit(now, cpu, handle, queue, &mut sending.transmission, book);
            sending.next = sent.as_ref().ok().map(|sent| sent.next);
            sent.ok().map(|sent| sent.injected.work)
        } else {
            let frame = &sending.queue.as_bytes()[npf_core::SEND_HEADER..];
            let repeated = adapter.set_write_repeat(now, handle, sending.send.repeat, book);
            let sent = adapter.inject(now, cpu, handle, frame, book).ok();
            let restored = adapter.set_write_repeat(now, handle, 1, book);
            sending.next = Some(TransmitNext::Done);
            repeated.and(restored).ok().and(sent).map(|sent| sent.work)
        };
        if work.is_none() {
            book.world_event(now, WorldEvent::SendRefused { handle });
        }
        self.put_on_the_wire();
        self.cost_of_sending(work.unwrap_or_default())
            + match self.sends[handle as usize][index as usize].next {
                Some(TransmitNext::Wait { until, spins: true }) => until.saturating_sub(self.now),
                _ => 0,
            }
    }

    /// What comes after a job that sent.
    pub(super) fn end_send(&mut self, cpu: u16, handle: u32, index: u32) {
        let next = self.sends[handle as usize][index as usize].next.take();
        let at = match next {
            Some(TransmitNext::Wait { until, .. }) => until,
            Some(TransmitNext::Returned { resume_at }) => resume_at,
            Some(TransmitNext::Done) | None => return,
        };
        if at <= self.now {
            self.submit(cpu, Work::Send { handle, index });
        } else {
            self.schedule.add(at, Action::Send { handle, index });
        }
    }

    /// What was sent goes on to the driver, on the transmit queue of its handle.
    pub(super) fn put_on_the_wire(&mut self) {
        let outgoing = std::mem::take(&mut self.book.get_mut().outgoing);
        let queues = self.queue_cpu.len() as u32;
        for (handle, frame) in outgoing {
            let mut port = Port { now: self.now, device: &mut self.device, book: &self.book };
            let mut events = DriverEvents { book: &self.book };
            let queue = (handle % queues) as u16;
            if self.driver.transmit(self.now, queue, &frame, &mut port, &mut events).is_err() {
                let event = WorldEvent::SendRefused { handle };
                self.book.get_mut().world_event(self.now, event);
            }
        }
    }

    pub(super) fn cost_of_sending(&self, work: TapWork) -> u64 {
        let costs = &self.costs;
        costs.system_call.0
            + u64::from(work.frames) * (costs.tap_frame.0 + costs.poll_frame.0)
            + work.instructions * costs.filter_instruction.0
            + work.compiled * costs.filter_compiled.0
            + work.bytes_copied * costs.copy_byte.0
    }
}

/// A broadcast frame of `len` bytes that carries its number.
fn frame(len: usize, mac: [u8; 6], number: u32) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(mac);
    frame.extend(ETHERTYPE);
    frame.extend(number.to_be_bytes());
    frame.resize(len, 0);
    frame
}
