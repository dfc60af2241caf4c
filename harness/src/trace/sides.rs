//! `--trace sides`: what the NIC does and what the driver's side does, in two columns.
//!
//! ```text
//! time        the NIC                                        the driver and what is behind it
//! 84ns        frame 0, 60 B, is there, for rx 0
//! 84ns        fetches descriptor 0 of rx 0 for frame 0
//! 130ns       wrote 72 B to descriptor 0 of rx 0: used
//! 130ns       sends vector 1 to CPU 0
//! 630ns                                                      CPU 0 serves vector 1
//! ```
//!
//! Contract: each line is an event of the run, in the order of the stream; the NIC's are its own, told by the device
//! model wherever it is, the others are the driver's, the core's and the readers'. What is told does not change
//! the run. Events that do not belong to a frame's way are left out.

use std::fmt::Write as _;
use std::io::Write;

use crate::event::{Event, WorldEvent};
use crate::scenario::Duration;

/// Tells a run in two columns.
pub struct Sides {
    out: Box<dyn Write>,
    left: u64,
    begun: bool,
    /// The first frame has come.
    traffic: bool,
}

/// Columns of the first and of the second part of a line.
const TIME: usize = 12;
const NIC: usize = 47;

impl Sides {
    /// So many lines at most, into `out`.
    #[must_use]
    pub fn new(out: Box<dyn Write>, lines: u64) -> Self {
        Self { out, left: lines, begun: false, traffic: false }
    }

    /// Tells an event; `frame` is the number of the frame that it is about.
    pub fn tell(&mut self, now: u64, event: &Event, frame: Option<u64>) {
        if self.left == 0 {
            return;
        }
        self.traffic |= matches!(event, Event::Nic(nic_model::Event::Offered { .. }));
        // Of a bring-up, which rings every doorbell once, its end is enough.
        if !self.traffic && !matches!(event, Event::Driver(driver::Event::DriverOk { .. })) {
            return;
        }
        let Some((nic, words)) = words(event, frame) else { return };
        if !std::mem::replace(&mut self.begun, true) {
            self.line("time", "the NIC", "the driver and what is behind it");
        }
        let at = Duration(now).to_string();
        if nic {
            self.line(&at, &words, "");
        } else {
            self.line(&at, "", &words);
        }
        self.left -= 1;
        if self.left == 0 {
            self.line("(no more lines; --pictures N tells more)", "", "");
        }
    }

    fn line(&mut self, time: &str, nic: &str, driver: &str) {
        let line = format!("{time:<TIME$}{nic:<NIC$}{driver}");
        // Whoever closes the pipe has seen enough; the run goes on, and its report tells the same error.
        let _ = writeln!(self.out, "{}", line.trim_end());
    }
}

/// Whether it is the NIC's, and what it says.
fn words(event: &Event, frame: Option<u64>) -> Option<(bool, String)> {
    let of = frame.map_or_else(|| "a frame".to_owned(), |frame| format!("frame {frame}"));
    Some(match event {
        Event::Nic(event) => (true, of_nic(event, &of)?),
        Event::Driver(event) => (false, of_driver(event, &of)?),
        Event::Npf(event) => (false, of_core(event, &of)?),
        Event::World(event) => (false, of_world(event, &of)?),
    })
}

fn of_nic(event: &nic_model::Event, frame: &str) -> Option<String> {
    use nic_model::Event as Is;
    Some(match *event {
        Is::Offered { len, .. } => format!("{frame}, {len} B, is there"),
        Is::Steered { queue, .. } => format!("{frame} is for rx {queue}"),
        Is::Held { fifo_bytes, .. } => format!("{frame} waits: {fifo_bytes} B in the FIFO"),
        Is::NoDescriptorHeld { queue, .. } => format!("rx {queue} has no descriptor for {frame}"),
        Is::DmaStart { queue, descriptor, buffers, .. } => {
            let mut text = format!("fetches descriptor {descriptor} of rx {queue} for {frame}");
            if buffers > 1 {
                let _ = write!(text, " and {} more", buffers - 1);
            }
            text
        }
        Is::Written { queue, descriptor, len, .. } => {
            format!("wrote {len} B to descriptor {descriptor} of rx {queue}: used")
        }
        Is::Dropped(record) => format!("drops {frame}: {}", record.reason.name()),
        Is::InterruptRaised { vector, cpu, .. } => format!("sends vector {vector} to CPU {cpu}"),
        Is::InterruptSuppressed { queue: Some(queue) } => {
            format!("rx {queue}: no interrupt is wanted")
        }
        Is::InterruptCoalesced { queue: Some(queue), deadline } => {
            format!("rx {queue}: the interrupt waits until {}", Duration(deadline))
        }
        Is::InterruptPended { vector, .. } => format!("vector {vector} is masked: it is pending"),
        Is::Kicked { queue } => format!("is told of buffers in rx {queue}"),
        Is::TransmitKicked { queue } => format!("is told of frames in tx {queue}"),
        Is::Transmitted { queue, len } => format!("sends {len} B from tx {queue}"),
        Is::LinkChanged { up } => format!("the link is {}", if up { "up" } else { "down" }),
        Is::NeedsReset { virtqueue, fault } => format!("virtqueue {virtqueue} is broken: {fault}"),
        Is::FaultActed { fault, .. } => format!("lies: {fault}"),
        _ => return None,
    })
}

fn of_driver(event: &driver::Event, frame: &str) -> Option<String> {
    use driver::Event as Is;
    Some(match *event {
        Is::DriverOk { queue_pairs, .. } => {
            format!("is up with {queue_pairs} queue pairs, every receive ring full of buffers")
        }
        Is::InterruptTaken { queue, vector } => {
            format!("vector {vector}: rx {queue} will be polled")
        }
        Is::SpuriousInterrupt { vector } => format!("vector {vector} for nothing"),
        Is::Masked { queue } => format!("rx {queue}: no interrupts, please"),
        Is::Unmasked { queue } => format!("rx {queue}: interrupts again"),
        Is::PollAgain { queue } => format!("rx {queue} is to be polled again"),
        Is::Polled { queue, frames, dropped, .. } => {
            let mut text = format!("polled rx {queue}: {frames} frames");
            if dropped > 0 {
                let _ = write!(text, ", {dropped} dropped");
            }
            text
        }
        Is::Refilled { queue, posted, free } => {
            format!("posts {posted} descriptors in rx {queue}, {free} stay free")
        }
        Is::Kicked { queue } => format!("rings the doorbell of rx {queue}"),
        Is::TransmitKicked { queue } => format!("rings the doorbell of tx {queue}"),
        Is::Dropped(record) => format!("drops {frame}: {}", record.reason.name()),
        Is::QueueBroken { queue, error } => format!("rx {queue} is broken: {error}"),
        Is::QueueRestarted { queue, posted, .. } => {
            format!("rx {queue} begins anew with {posted} buffers")
        }
        _ => return None,
    })
}

fn of_core(event: &npf_core::Event, frame: &str) -> Option<String> {
    use npf_core::Event as Is;
    Some(match *event {
        Is::Filtered { handle, .. } => format!("handle {handle}: {frame} is filtered"),
        Is::Stored { handle, caplen, occupancy, .. } => {
            format!("handle {handle}: {caplen} B of {frame} stored, {occupancy} B in the buffer")
        }
        Is::Dropped(record) => format!("drops {frame}: {}", record.reason.name()),
        _ => return None,
    })
}

fn of_world(event: &WorldEvent, frame: &str) -> Option<String> {
    Some(match *event {
        WorldEvent::InterruptServed { vector, cpu } => format!("CPU {cpu} serves vector {vector}"),
        WorldEvent::Delivered { handle, caplen, .. } => {
            format!("the reader of handle {handle} has {caplen} B of {frame}")
        }
        WorldEvent::SourceEnded { frames } => format!("that were all {frames} frames"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    #[derive(Clone, Default)]
    struct Page(Rc<RefCell<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_side_has_its_column_and_the_end_is_told() {
        let page = Page::default();
        let mut sides = Sides::new(Box::new(page.clone()), 4);
        sides.tell(0, &Event::Nic(nic_model::Event::Kicked { queue: 0 }), None);
        sides.tell(0, &Event::Nic(nic_model::Event::Offered { tag: 9, len: 60 }), Some(4));
        let written = nic_model::Event::Written { tag: 9, queue: 1, descriptor: 5, len: 72 };
        for _ in 0..2 {
            sides.tell(1000, &Event::Nic(written), Some(4));
            sides.tell(2000, &Event::Nic(nic_model::Event::ControlKicked), None);
            let served = WorldEvent::InterruptServed { vector: 2, cpu: 3 };
            sides.tell(2000, &Event::World(served), None);
        }
        let text = String::from_utf8(page.0.take()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 6, "{text}");
        assert_eq!(lines[2], "1ns         wrote 72 B to descriptor 5 of rx 1: used");
        assert_eq!(lines[3].find("CPU 3 serves vector 2"), Some(TIME + NIC));
        assert!(lines[5].contains("no more lines"), "{text}");
    }
}
