//! Where a lane's frames come from, and where those go that the guest sends.
//!
//! Contract: a feed is made in the thread of its lane and stays there. It gives each lane its own share of
//! the frames: which frame belongs to which lane is decided by [`Steering`] alike in all of them.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use nic_model::rss::{RssConfig, Steering};

use crate::scenario::Rxfh;
use crate::source::Source;

/// Key, types of hash and table of `rxfh` in front of the first `lanes` lanes, or the device's own rule if it
/// is off. Lanes beyond those that `rxfh` names all the same count from the first one again, as QEMU has it
/// for queues that are not in use (hw/net/virtio-net.c).
#[must_use]
pub fn steering(rxfh: &Rxfh, lanes: u16) -> Steering {
    let mut steering = Steering::new();
    let lanes = lanes.max(1);
    // All frames are the only lane's, whatever their hash.
    if !rxfh.enabled || lanes == 1 {
        steering.set_automatic(lanes);
        return steering;
    }
    steering.set_rss(RssConfig {
        hash_types: rxfh.hash_type_bits(),
        unclassified: rxfh.unclassified_queue % lanes,
        table: rxfh.table(lanes).iter().map(|lane| lane % lanes).collect(),
        max_tx_vq: lanes,
        key: rxfh.key.0.to_vec(),
    });
    steering
}

/// Where frames go that the guest sends.
pub trait Sink: Send {
    /// A frame leaves; `false` if there is no way out for it.
    fn send(&mut self, frame: &[u8]) -> bool;
}

/// Every frame is taken, and that is all.
pub struct Nowhere;

impl Sink for Nowhere {
    fn send(&mut self, _frame: &[u8]) -> bool {
        true
    }
}

/// A lane's frames.
pub enum Feed {
    /// None ever.
    Silent,
    /// Those of a scenario's traffic, each at its time.
    Paced(Paced),
    /// The same few over and over, as fast as the ring takes them.
    Endless(Endless),
    /// Those of an interface of the system.
    Live(Box<dyn Live>),
}

/// An interface of the system.
pub trait Live {
    /// The next frame into `frame`: its length; `None`: there is none now.
    fn next(&mut self, frame: &mut [u8]) -> Option<usize>;

    /// Readable when there is one.
    fn fd(&self) -> BorrowedFd<'_>;
}

/// Least bytes of a frame, without FCS (IEEE 802.3 3.2.8).
const SHORTEST: usize = 60;
/// Most bytes of a frame from an interface.
const LIVE_FRAME_MAX: usize = 65_536;

impl Feed {
    /// Gives `take` the frames that are due at `now_ps` after the first, up to `most`; how many were looked at.
    #[inline]
    pub fn pull(
        &mut self,
        now_ps: u64,
        most: usize,
        scratch: &mut Vec<u8>,
        mut take: impl FnMut(&[u8], bool),
    ) -> usize {
        match self {
            Self::Silent => 0,
            Self::Paced(paced) => paced.pull(now_ps, most, take),
            Self::Endless(endless) => {
                for _ in 0..most {
                    take(endless.next(), true);
                }
                most
            }
            Self::Live(live) => {
                scratch.resize(LIVE_FRAME_MAX, 0);
                for count in 0..most {
                    let Some(len) = live.next(scratch) else { return count };
                    // A sender pads what is shorter; an interface of the system has none to do it.
                    let padded = len.max(SHORTEST);
                    scratch[len..padded].fill(0);
                    take(&scratch[..padded], true);
                }
                most
            }
        }
    }

    /// Whether it gives frames as fast as they are taken, and so must be asked only for what has room.
    #[inline]
    #[must_use]
    pub fn is_endless(&self) -> bool {
        matches!(self, Self::Endless(_))
    }

    /// When the next frame is due, in ps after the first; `None`: nobody knows, or there is none.
    #[must_use]
    pub fn next_ps(&self) -> Option<u64> {
        match self {
            Self::Paced(Paced { next: Some(next), .. }) => Some(next.at_ps),
            _ => None,
        }
    }

    /// Readable when there is a frame.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Live(live) => Some(live.fd()),
            _ => None,
        }
    }

    /// How far it has come.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match self {
            Self::Silent => Standing { is_over: true, ..Standing::default() },
            Self::Paced(paced) => Standing {
                position: paced.number,
                is_over: paced.next.is_none(),
                fault: paced.fault.clone(),
            },
            Self::Endless(_) | Self::Live(_) => Standing::default(),
        }
    }

    /// Number of the next frame of the traffic, which is the same for all lanes; 0 where they share none.
    #[must_use]
    pub fn position(&self) -> u64 {
        match self {
            Self::Paced(paced) => paced.number,
            _ => 0,
        }
    }

    /// Frame `number` of the traffic, which has not been looked at yet, does not come any more, nor what is
    /// behind it.
    pub fn end_at(&mut self, number: u64) {
        match self {
            Self::Paced(paced) => paced.end = number,
            _ => *self = Self::Silent,
        }
    }

    /// Frames are steered so from frame `from` on, which has not been looked at yet.
    pub fn steer(&mut self, steering: &Arc<Steering>, from: u64) {
        if let Self::Paced(paced) = self {
            paced.to_come.push_back((from, Arc::clone(steering)));
        }
    }
}

/// How far a feed has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Frames of the traffic that it has looked at, whose ever they are; 0 where lanes share no traffic.
    pub position: u64,
    /// No frame will come any more.
    pub is_over: bool,
    /// Why it ended early.
    pub fault: Option<String>,
}

/// The traffic of a scenario. Every lane plays all of it, and gives what is steered to it when it is due.
pub struct Paced {
    source: Box<dyn Source>,
    lane: u16,
    steering: Arc<Steering>,
    /// How frames are steered from those numbers on.
    to_come: VecDeque<(u64, Arc<Steering>)>,
    frame: Vec<u8>,
    /// Of `next`.
    number: u64,
    next: Option<Next>,
    /// Number of the frame that is not played any more.
    end: u64,
    fault: Option<String>,
}

#[derive(Clone, Copy)]
struct Next {
    at_ps: u64,
    fcs_ok: bool,
}

impl Paced {
    /// The share of lane `lane`.
    #[must_use]
    pub fn new(source: Box<dyn Source>, lane: u16, steering: Arc<Steering>) -> Self {
        let (frame, next) = (Vec::new(), None);
        let to_come = VecDeque::new();
        let mut paced = Self {
            source,
            lane,
            steering,
            to_come,
            frame,
            number: 0,
            next,
            end: u64::MAX,
            fault: None,
        };
        paced.fetch();
        paced.number = 0;
        paced
    }

    /// Looks at `most` frames that are due, and gives those of this lane; how many it looked at.
    fn pull(&mut self, now_ps: u64, most: usize, mut take: impl FnMut(&[u8], bool)) -> usize {
        for count in 0..most {
            if self.number >= self.end {
                self.next = None;
            }
            let Some(next) = self.next.filter(|next| next.at_ps <= now_ps) else { return count };
            while let Some((_, steering)) =
                self.to_come.pop_front_if(|(from, _)| self.number >= *from)
            {
                self.steering = steering;
            }
            if self.steering.steer(&self.frame).0 == self.lane {
                take(&self.frame, next.fcs_ok);
            }
            self.fetch();
        }
        most
    }

    fn fetch(&mut self) {
        self.number += 1;
        let next = self.source.next(&mut self.frame).unwrap_or_else(|fault| {
            // What it gave before stands.
            self.fault = Some(fault.to_string());
            None
        });
        self.next = next.map(|next| Next { at_ps: next.earliest_ps, fcs_ok: next.fcs_ok });
    }
}

/// Frames that come again and again.
pub struct Endless {
    bytes: Vec<u8>,
    /// Where each begins and ends.
    spans: Vec<(u32, u32)>,
    next: usize,
}

impl Endless {
    /// What `count` frames of a lane's traffic hold for it, or many more if that is nothing yet.
    #[must_use]
    pub fn new(mut paced: Paced, count: usize) -> Option<Self> {
        let (mut bytes, mut spans) = (Vec::new(), Vec::new());
        for _ in 0..64 * count {
            if spans.len() == count || paced.next.is_none() {
                break;
            }
            paced.pull(u64::MAX, 1, |frame, _| {
                let start = bytes.len() as u32;
                bytes.extend_from_slice(frame);
                spans.push((start, bytes.len() as u32));
            });
        }
        (!spans.is_empty()).then_some(Self { bytes, spans, next: 0 })
    }

    #[inline]
    fn next(&mut self) -> &[u8] {
        let (start, end) = self.spans[self.next];
        self.next += 1;
        if self.next == self.spans.len() {
            self.next = 0;
        }
        &self.bytes[start as usize..end as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Indirection;

    /// Ethernet, IPv4, UDP from this port.
    fn udp(port: u16) -> Vec<u8> {
        let mut frame = vec![0; 60];
        frame[12..15].copy_from_slice(&[8, 0, 0x45]);
        frame[23] = 17;
        frame[34..36].copy_from_slice(&port.to_be_bytes());
        frame
    }

    fn lanes_of(rxfh: &Rxfh, lanes: u16) -> Vec<u16> {
        let steering = steering(rxfh, lanes);
        (0..200).map(|port| steering.steer(&udp(port)).0).collect()
    }

    #[test]
    fn frames_go_where_rxfh_says_or_by_the_devices_own_rule() {
        let plain = Rxfh::default();
        let off = Rxfh { enabled: false, ..plain.clone() };
        let to_three = Rxfh { indirection: Indirection::Table(vec![3]), ..plain.clone() };
        for lanes in 1..5 {
            for rxfh in [&plain, &off] {
                let mut hit = lanes_of(rxfh, lanes);
                hit.sort_unstable();
                hit.dedup();
                assert_eq!(hit, (0..lanes).collect::<Vec<_>>());
            }
            // A lane that is not in use counts from the first one again.
            assert_eq!(lanes_of(&to_three, lanes), vec![3 % lanes; 200]);
        }
        assert_ne!(lanes_of(&plain, 3), lanes_of(&off, 3), "the rules are two");
        assert_eq!(steering(&Rxfh { unclassified_queue: 2, ..plain }, 4).steer(&[0; 60]).0, 2);
    }
}
