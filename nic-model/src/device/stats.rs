//! Device statistics (virtio 1.4, 5.1.6.5.10): the counters of the account, in the structures that the
//! specification gives them. Nothing is counted here.
//!
//! A type that needs a feature is there if that is negotiated, and is then among the supported ones; so
//! whatever a driver is told of it can have. Receive segmentation is never offered, and nothing is ever
//! dropped for its rate, so that the speed statistics are zero.

use super::{Device, Role};
use crate::ctrl::Asked;
use crate::drop::DropReason;
use crate::spec::{feature, stats};
use std::ops::Deref;
use vm_memory::GuestMemory;

impl<M> Device<M>
where
    M: Deref<Target: GuestMemory + Sized>,
{
    /// Every type that some virtqueue has.
    pub(super) fn stats_supported(&self) -> u64 {
        self.stats_of_receive() | self.stats_of_transmit() | 1 << stats::CVQ
    }

    /// Writes what is asked into the reply; `false` if a queue does not exist or lacks a type.
    pub(super) fn stats_reply(&mut self, asked: &[Asked]) -> bool {
        for Asked { virtqueue, types } in asked {
            let Some(role) = self.role(*virtqueue) else { return false };
            let valid = match role {
                Role::Receive(_) => self.stats_of_receive(),
                Role::Transmit(_) => self.stats_of_transmit(),
                Role::Control => 1 << stats::CVQ,
            };
            if types & !valid != 0 {
                return false;
            }
            for kind in (0..=stats::CVQ).filter(|kind| types & 1 << kind != 0) {
                self.stats_one(role, *virtqueue, kind);
            }
        }
        true
    }

    fn stats_of_receive(&self) -> u64 {
        let checked = self.registers.negotiated(feature::GUEST_CSUM);
        1 << stats::RX_BASIC | 1 << stats::RX_SPEED | u64::from(checked) << stats::RX_CSUM
    }

    fn stats_of_transmit(&self) -> u64 {
        let summed = self.registers.negotiated(feature::CSUM);
        let segmented = feature::HOST_TSO4 | feature::HOST_TSO6 | feature::HOST_USO;
        let segmented = self.registers.negotiated(segmented);
        1 << stats::TX_BASIC
            | 1 << stats::TX_SPEED
            | u64::from(summed) << stats::TX_CSUM
            | u64::from(segmented) << stats::TX_GSO
    }

    /// Appends one entry: header, then the counters in the order of the specification.
    fn stats_one(&mut self, role: Role, virtqueue: u16, kind: u8) {
        let device = &self.counters;
        let numbers: &[u64] = match role {
            Role::Control => {
                // With the command at hand, which will have been a success.
                &[device.control_ok + device.control_err + 1, device.control_ok + 1]
            }
            Role::Receive(pair) => {
                let of = &self.queue_counters[usize::from(pair)];
                match kind {
                    stats::RX_BASIC => &[
                        of.kicks,
                        of.written,
                        of.written_bytes,
                        of.interrupts,
                        of.dropped_total(),
                        of.dropped[DropReason::NoDescriptor.index()],
                    ],
                    stats::RX_CSUM => &[of.rx_csum_valid, 0, of.rx_csum_none, of.rx_csum_bad],
                    _ => &[0, 0],
                }
            }
            Role::Transmit(pair) => {
                let of = &self.queue_counters[usize::from(pair)];
                let malformed = of.dropped[DropReason::TxMalformed.index()];
                let offloads = &of.offloads;
                match kind {
                    stats::TX_BASIC => &[
                        of.transmit_kicks,
                        of.transmitted,
                        of.transmitted_bytes,
                        of.transmit_interrupts,
                        malformed + of.transmit_link_down,
                        malformed,
                    ],
                    stats::TX_CSUM => &[offloads.csum_none, offloads.needs_csum],
                    stats::TX_GSO => &[
                        offloads.gso_packets,
                        offloads.gso_bytes,
                        offloads.gso_segments,
                        offloads.gso_segments_bytes,
                        offloads.gso_packets_noseg,
                        offloads.gso_bytes_noseg,
                    ],
                    _ => &[0, 0],
                }
            }
        };
        let size = (stats::HEADER_LEN + 8 * numbers.len()) as u16;
        let [v0, v1] = virtqueue.to_le_bytes();
        let [s0, s1] = size.to_le_bytes();
        let reply = &mut self.scratch.reply;
        reply.extend([kind, 0, v0, v1, 0, 0, s0, s1]);
        reply.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }
}
