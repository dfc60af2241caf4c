//! Device statistics as the device answers them (virtio 1.4, 5.1.6.5.10): bytes in, counters out.
//!
//! Contract: [`DeviceStats::parse`] believes no entry: one that is shorter than its type, of an unknown type, of a
//! virtqueue that is not in use or not of that kind, or that was there before, makes the whole answer
//! worthless. A cut at the end is not worthless: what was whole before it counts.

use crate::spec;

/// What the device counted, by virtqueue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceStats {
    /// Every number that the device told, in the order of its answer.
    pub numbers: Vec<Stat>,
}

/// One number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The virtqueue it belongs to.
    pub virtqueue: u16,
    /// Its name in the specification.
    pub name: &'static str,
    /// The number.
    pub value: u64,
}

/// Bytes of the header of an entry.
const HEADER_BYTES: usize = 8;

/// The types that this driver asks for and understands, and the names of their numbers.
const TYPES: [(u8, &[&str]); 8] = [
    (spec::STATS_CVQ, &["command_num", "ok_num"]),
    (
        spec::STATS_RX_BASIC,
        &[
            "rx_notifications",
            "rx_packets",
            "rx_bytes",
            "rx_interrupts",
            "rx_drops",
            "rx_drop_overruns",
        ],
    ),
    (spec::STATS_RX_CSUM, &["rx_csum_valid", "rx_needs_csum", "rx_csum_none", "rx_csum_bad"]),
    (spec::STATS_RX_SPEED, &["rx_packets_allowance_exceeded", "rx_bytes_allowance_exceeded"]),
    (
        spec::STATS_TX_BASIC,
        &[
            "tx_notifications",
            "tx_packets",
            "tx_bytes",
            "tx_interrupts",
            "tx_drops",
            "tx_drop_malformed",
        ],
    ),
    (spec::STATS_TX_CSUM, &["tx_csum_none", "tx_needs_csum"]),
    (
        spec::STATS_TX_GSO,
        &[
            "tx_gso_packets",
            "tx_gso_bytes",
            "tx_gso_segments",
            "tx_gso_segments_bytes",
            "tx_gso_packets_noseg",
            "tx_gso_bytes_noseg",
        ],
    ),
    (spec::STATS_TX_SPEED, &["tx_packets_allowance_exceeded", "tx_bytes_allowance_exceeded"]),
];

/// The known types among `types` that a virtqueue has: `receive`, `transmit` or the control queue.
pub(crate) fn types_of(types: u64, queue: Queue) -> u64 {
    let known = TYPES.iter().filter(|(kind, _)| Queue::of(*kind) == queue);
    known.fold(0, |known, (kind, _)| known | 1 << kind) & types
}

/// Bytes that the answer for these types takes.
pub(crate) fn answer_bytes(types: u64) -> usize {
    let asked = TYPES.iter().filter(|(kind, _)| types >> kind & 1 == 1);
    asked.map(|(_, names)| HEADER_BYTES + 8 * names.len()).sum()
}

/// What a virtqueue is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    Receive,
    Transmit,
    Control,
}

impl Queue {
    fn of(kind: u8) -> Self {
        match kind {
            0..16 => Self::Receive,
            16..32 => Self::Transmit,
            _ => Self::Control,
        }
    }
}

impl DeviceStats {
    /// One number of a virtqueue, if the device told it.
    pub fn get(&self, virtqueue: u16, name: &str) -> Option<u64> {
        let mut of = self.numbers.iter();
        of.find(|stat| stat.virtqueue == virtqueue && stat.name == name).map(|stat| stat.value)
    }

    /// Understands an answer about so many queue pairs and the virtqueue `control`; `None` if it is none.
    pub(crate) fn parse(mut bytes: &[u8], queue_pairs: u16, control: u16) -> Option<Self> {
        let mut numbers: Vec<Stat> = Vec::new();
        let kind_of = |virtqueue: u16| match virtqueue {
            queue if queue == control => Some(Queue::Control),
            queue if queue / 2 >= queue_pairs => None,
            queue if queue % 2 == 0 => Some(Queue::Receive),
            _ => Some(Queue::Transmit),
        };
        while let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() {
            let [kind, _, v0, v1, _, _, s0, s1] = *header;
            let virtqueue = u16::from_le_bytes([v0, v1]);
            let (_, names) = TYPES.iter().find(|(known, _)| *known == kind)?;
            let len = usize::from(u16::from_le_bytes([s0, s1])).checked_sub(HEADER_BYTES)?;
            let misplaced = kind_of(virtqueue) != Some(Queue::of(kind));
            // The first name of a type is no other type's of a queue of its kind.
            let is_first = |stat: &Stat| stat.virtqueue == virtqueue && stat.name == names[0];
            if misplaced || len < 8 * names.len() || numbers.iter().any(is_first) {
                return None;
            }
            let Some((entry, behind)) = rest.split_at_checked(len) else { break };
            for (name, value) in names.iter().zip(entry.as_chunks::<8>().0) {
                numbers.push(Stat { virtqueue, name, value: u64::from_le_bytes(*value) });
            }
            bytes = behind;
        }
        Some(Self { numbers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Of a device with more pairs than the three in use.
    const CONTROL: u16 = 0x105;

    fn parse(bytes: &[u8]) -> Option<DeviceStats> {
        DeviceStats::parse(bytes, 3, CONTROL)
    }

    /// An entry that claims `size` bytes.
    fn entry(kind: u8, virtqueue: u16, size: u16) -> Vec<u8> {
        let ([v0, v1], [s0, s1]) = (virtqueue.to_le_bytes(), size.to_le_bytes());
        let mut bytes = vec![kind, 0, v0, v1, 0, 0, s0, s1];
        bytes.extend((1..=6u64).flat_map(u64::to_le_bytes));
        bytes.truncate(usize::from(size).max(8));
        bytes
    }

    #[test]
    fn entries_are_named_as_the_specification_names_them() {
        let answer = [entry(32, CONTROL, 24), entry(0, 4, 56)].concat();
        let stats = parse(&answer).unwrap();
        assert_eq!(stats.numbers.len(), 8);
        assert_eq!(stats.get(CONTROL, "ok_num"), Some(2));
        assert_eq!(stats.get(4, "rx_drop_overruns"), Some(6));
        assert_eq!(stats.get(4, "ok_num"), None);
        let longer = parse(&entry(32, CONTROL, 40)).unwrap();
        assert_eq!(longer.numbers.len(), 2, "what a later version adds is skipped");
    }

    #[test]
    fn nonsense_is_worthless_and_a_cut_is_not() {
        let control = |kind, size| entry(kind, CONTROL, size);
        for bad in [control(2, 24), control(32, 23), control(32, 7), control(32, 0)] {
            assert_eq!(parse(&bad), None, "{bad:?}");
        }
        let cut = [control(32, 24), entry(0, 4, 56)[..30].to_vec()].concat();
        assert_eq!(parse(&cut).unwrap().numbers.len(), 2);
        assert_eq!(parse(&[]).unwrap(), DeviceStats::default());
    }

    #[test]
    fn an_entry_belongs_to_a_queue_of_its_kind_that_is_in_use_and_comes_once() {
        for (kind, virtqueue) in [(0, 5), (16, 4), (0, CONTROL), (32, 4), (0, 6), (16, 7), (32, 6)]
        {
            assert_eq!(parse(&entry(kind, virtqueue, 56)), None, "{kind} {virtqueue}");
        }
        for kind in [0, 1, 3] {
            assert!(parse(&entry(kind, 4, 56)).is_some());
            let twice = [entry(kind, 4, 56), entry(kind, 2, 56), entry(kind, 4, 56)].concat();
            assert_eq!(parse(&twice), None, "two answers to one question");
        }
        assert!(parse(&[entry(0, 4, 56), entry(1, 4, 56)].concat()).is_some());
    }

    #[test]
    fn types_belong_to_their_queues() {
        assert_eq!(types_of(u64::MAX, Queue::Control), 1 << 32);
        assert_eq!(types_of(u64::MAX, Queue::Receive), 0b1011);
        assert_eq!(types_of(1 << 18 | 1 << 20 | 1, Queue::Transmit), 1 << 18);
        assert_eq!(answer_bytes(1 << 32 | 1), 24 + 56);
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let most = bytes.len() / 8;
            prop_assert!(parse(&bytes).is_none_or(|stats| stats.numbers.len() <= most));
        }
    }
}
