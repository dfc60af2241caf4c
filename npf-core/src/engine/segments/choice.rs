//! How many segments there are, and which one takes a packet.
//!
//! Contract: as shipped, one segment per CPU, with the CPU's number clamped to what the driver's
//! arrays were made for. The clamp at 255 has a fault of its own, which is kept: it is applied to the
//! number of segments and to the number of the CPU alike, so that CPU 255 and above use a segment
//! after the last one.

use super::HEADER;
use crate::{CpuClamp, SegmentChoice, SegmentsOptions};

/// The rule of one handle.
#[derive(Debug)]
pub(crate) struct Choice {
    /// Segments that the reader scans.
    scanned: u16,
    /// There is one more, which it does not.
    orphan: bool,
    /// Largest CPU number that the driver tells apart.
    last_cpu: u16,
    choice: SegmentChoice,
    next: u16,
}

impl Choice {
    pub(crate) fn new(options: &SegmentsOptions, cpus: u16) -> Choice {
        let (most, last_cpu) = match options.clamp {
            CpuClamp::At63 => (64, 63),
            CpuClamp::At255 => (255, 255),
            CpuClamp::Off => (u16::MAX, u16::MAX),
        };
        // The adapter refuses 0 CPUs and 0 segments; here they could only divide by zero.
        let scanned = options.count.unwrap_or(cpus.min(most)).max(1);
        let per_cpu = options.count.is_none() && options.choice == SegmentChoice::Cpu;
        let orphan = per_cpu && cpus > most && last_cpu >= most;
        Choice { scanned, orphan, last_cpu, choice: options.choice, next: 0 }
    }

    /// Segments that the reader scans.
    pub(crate) fn scanned(&self) -> usize {
        self.scanned.into()
    }

    /// Segments that are written to.
    pub(crate) fn all(&self) -> usize {
        self.scanned() + usize::from(self.orphan)
    }

    /// The segment for the next packet, which is tapped on `cpu`.
    #[inline]
    pub(crate) fn pick(&mut self, cpu: u16) -> usize {
        self.of_cpu(cpu).unwrap_or_else(|| {
            let pick = self.next;
            self.next = (pick + 1) % self.scanned;
            pick.into()
        })
    }

    /// The segment of a CPU; none if they take turns.
    #[inline]
    pub(crate) fn of_cpu(&self, cpu: u16) -> Option<usize> {
        match self.choice {
            SegmentChoice::Cpu => Some(usize::from(cpu.min(self.last_cpu)).min(self.all() - 1)),
            SegmentChoice::Modulo => Some(usize::from(cpu % self.scanned)),
            SegmentChoice::RoundRobin => None,
        }
    }

    /// Size of each segment of a buffer: its share, rounded down; 0 if that holds no record header.
    #[inline]
    pub(crate) fn size(&self, capacity: u64) -> u64 {
        let size = capacity / u64::from(self.scanned);
        if size < HEADER as u64 { 0 } else { size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments scanned, segments written to, and the choices for some CPUs.
    fn rule(options: SegmentsOptions, cpus: u16, asked: &[u16]) -> (usize, usize, Vec<usize>) {
        let mut choice = Choice::new(&options, cpus);
        let picks = asked.iter().map(|cpu| choice.pick(*cpu)).collect();
        (choice.scanned(), choice.all(), picks)
    }

    fn clamp(clamp: CpuClamp) -> SegmentsOptions {
        SegmentsOptions { clamp, ..SegmentsOptions::default() }
    }

    #[test]
    fn cpus_above_63_share_the_last_segment() {
        let found = rule(clamp(CpuClamp::At63), 128, &[0, 62, 63, 64, 127]);
        assert_eq!(found, (64, 64, vec![0, 62, 63, 63, 63]));
        assert_eq!(rule(clamp(CpuClamp::At63), 16, &[15, 16]).2, [15, 15]);
    }

    #[test]
    fn cpu_255_has_a_segment_that_nobody_scans_if_there_are_more_than_255() {
        let found = rule(clamp(CpuClamp::At255), 256, &[0, 254, 255, 300]);
        assert_eq!(found, (255, 256, vec![0, 254, 255, 255]));
        let found = rule(clamp(CpuClamp::At255), 255, &[254, 255]);
        assert_eq!(found, (255, 255, vec![254, 254]));
        let found = rule(clamp(CpuClamp::Off), 300, &[255, 299]);
        assert_eq!(found, (300, 300, vec![255, 299]));
    }

    #[test]
    fn the_proposals_count_modulo_and_round_robin() {
        let four = SegmentsOptions { count: Some(4), ..clamp(CpuClamp::At255) };
        assert_eq!(rule(four, 300, &[0, 3, 4, 299]), (4, 4, vec![0, 3, 3, 3]));
        let modulo = SegmentsOptions { choice: SegmentChoice::Modulo, ..four };
        assert_eq!(rule(modulo, 300, &[0, 3, 4, 299]).2, [0, 3, 0, 3]);
        let turns = SegmentsOptions { choice: SegmentChoice::RoundRobin, ..four };
        assert_eq!(rule(turns, 300, &[9, 9, 9, 9, 9]).2, [0, 1, 2, 3, 0]);
    }
}
