//! The control queue: one command at a time, answered or given up after a time limit.
//!
//! Contract: [`ControlQueue::send`] when nothing is pending, then [`ControlQueue::answer`] until it has
//! one. A command is three descriptors (header, data, answer): virtio leaves the framing open (2.7.4.2),
//! but some devices insist on this one. The answer byte is preset to 0xff, so that a device which
//! completes without writing is seen.

use crate::config::{DriverConfig, RssSettings};
use crate::dma::DmaRegion;
use crate::layout::ControlLayout;
use crate::ring::{Descriptor, Ring, RingError};
use crate::spec;

/// Bytes of class and command number.
pub(crate) const HEADER_BYTES: usize = 2;

/// What the answer byte holds until the device writes it.
const UNANSWERED: u8 = 0xff;

/// The chain's head; as only one command is pending, it is always the same.
const HEAD: u16 = 0;

/// A command, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) class: u8,
    pub(crate) command: u8,
    pub(crate) data: Vec<u8>,
}

impl Command {
    /// Use this many queue pairs, with automatic steering (5.1.6.5.6).
    pub(crate) fn pairs_set(queue_pairs: u16) -> Self {
        let data = queue_pairs.to_le_bytes().to_vec();
        Self { class: spec::CTRL_MQ, command: spec::CTRL_MQ_VQ_PAIRS_SET, data }
    }

    /// Steer by hash (5.1.6.5.7.1). Sets the number of queue pairs as well, by `max_tx_vq`.
    pub(crate) fn rss_config(rss: &RssSettings, queue_pairs: u16) -> Self {
        // Validated: 1..=32768 entries, a power of two; 1..=255 bytes of key.
        let mask = (rss.table.len() - 1) as u16;
        let mut data = Vec::with_capacity(rss_bytes(rss));
        data.extend(rss.hash_types.to_le_bytes());
        data.extend(mask.to_le_bytes());
        data.extend(rss.unclassified.to_le_bytes());
        for queue in &rss.table {
            data.extend(queue.to_le_bytes());
        }
        data.extend(queue_pairs.to_le_bytes());
        data.push(rss.key.len() as u8);
        data.extend(&rss.key);
        Self { class: spec::CTRL_MQ, command: spec::CTRL_MQ_RSS_CONFIG, data }
    }
}

/// Bytes of the longest command that `config` can lead to.
pub(crate) fn largest_command(config: &DriverConfig) -> usize {
    config.rss.as_ref().map_or(0, rss_bytes).max(size_of::<u16>())
}

fn rss_bytes(rss: &RssSettings) -> usize {
    4 + 2 + 2 + 2 * rss.table.len() + 2 + 1 + rss.key.len()
}

#[derive(Debug)]
pub(crate) struct ControlQueue {
    pub(crate) ring: Ring,
    layout: ControlLayout,
}

/// What the device has said to a command.
pub(crate) struct Answer {
    pub(crate) ack: u8,
    /// The length was that of the answer, as it should be.
    pub(crate) length_good: bool,
}

impl ControlQueue {
    pub(crate) fn new(layout: ControlLayout) -> Self {
        Self { ring: Ring::new(layout.ring), layout }
    }

    /// Forgets the device. It must be in reset.
    pub(crate) fn reset(&mut self, memory: &DmaRegion, event_index: bool) {
        self.ring.reset(memory, event_index);
        self.ring.suppress(memory);
    }

    /// Gives `command` to the device. Returns whether it wants a kick.
    pub(crate) fn send(&mut self, memory: &DmaRegion, command: &Command) -> bool {
        memory.view(self.layout.header).copy_in(0, &[command.class, command.command]);
        memory.view(self.layout.data).copy_in(0, &command.data);
        memory.view(self.layout.ack).copy_in(0, &[UNANSWERED]);
        let parts = [
            (self.layout.header, HEADER_BYTES, spec::DESC_F_NEXT),
            (self.layout.data, command.data.len(), spec::DESC_F_NEXT),
            (self.layout.ack, 1, spec::DESC_F_WRITE),
        ];
        for (id, (window, len, flags)) in (HEAD..).zip(parts) {
            let next = if flags & spec::DESC_F_NEXT == 0 { 0 } else { id + 1 };
            let address = memory.address_of(window);
            let descriptor = Descriptor { address, len: len as u32, flags, next };
            self.ring.describe(memory, id, &descriptor);
        }
        self.ring.publish(memory, &[HEAD]);
        self.ring.kick_wanted(memory)
    }

    /// The device's answer, if it has come.
    pub(crate) fn answer(&mut self, memory: &DmaRegion) -> Result<Option<Answer>, RingError> {
        if self.ring.waiting(memory)? == 0 {
            return Ok(None);
        }
        let used = self.ring.take(&self.ring.used_view(memory))?;
        self.ring.suppress(memory);
        let mut ack = [UNANSWERED];
        memory.view(self.layout.ack).copy_out(0, &mut ack);
        Ok(Some(Answer { ack: ack[0], length_good: used.len == 1 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rss_bytes_are_laid_out_as_specified() {
        let rss = RssSettings {
            hash_types: 0x0102,
            key: vec![0xaa, 0xbb],
            table: vec![0, 1, 2, 3],
            unclassified: 2,
        };
        let command = Command::rss_config(&rss, 4);
        let expected = [2, 1, 0, 0, 3, 0, 2, 0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 2, 0xaa, 0xbb];
        assert_eq!(command.data, expected);
        let config = DriverConfig { queue_pairs: 4, rss: Some(rss), ..DriverConfig::default() };
        assert_eq!(largest_command(&config), expected.len());
    }

    #[test]
    fn pairs_are_a_little_endian_number() {
        assert_eq!(Command::pairs_set(0x0140).data, [0x40, 1]);
        assert_eq!(largest_command(&DriverConfig::default()), 2);
    }
}
