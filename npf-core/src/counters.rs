//! Counters: the account of each handle, the adapter's totals, and the driver's own statistics.
//!
//! Contract: [`HandleCounters`] only grow, and at any time
//! `shown = filtered + delivered + counted + dumped + sum(dropped) + queued`. [`Stats`] are what the driver would tell,
//! with its rules, so that resets zero three of them and no law holds for them.

use crate::DropReason;

/// What has become of the packets shown to one handle since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HandleCounters {
    /// Packets the tap showed to this handle.
    pub shown: u64,
    /// Packets its filter rejected.
    pub filtered: u64,
    /// Packets put into its buffer; each is later delivered, dumped or dropped.
    pub stored: u64,
    /// Packets read out of its buffer.
    pub delivered: u64,
    /// Packets counted in statistics mode and not kept.
    pub counted: u64,
    /// Packets written to a dump file.
    pub dumped: u64,
    /// Packets dropped, by [`DropReason::index`].
    pub dropped: [u64; DropReason::COUNT],
    /// Delivered packets that the read truncated to the user buffer.
    pub truncated: u64,
    /// Reads that were not refused.
    pub reads: u64,
    /// Bytes those reads wrote.
    pub read_bytes: u64,
    /// Times the read event went from clear to set.
    pub wakes: u64,
    /// Times the buffer was emptied by a control.
    pub resets: u64,
    /// Filter instructions executed.
    pub instructions: u64,
    /// Frames that the direction filter kept from it, its own among them; no part of `shown`.
    pub skipped: u64,
    /// Frames that it sent.
    pub sent: u64,
    /// Bytes of its dump files, headers included.
    pub dump_bytes: u64,
    /// Markers put among its packets; they are no frames, and count nowhere else.
    pub markers: u64,
}

impl HandleCounters {
    /// Packets dropped for any reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Adds the counters of another part of the same account.
    pub(crate) fn add(&mut self, other: &HandleCounters) {
        self.shown += other.shown;
        self.filtered += other.filtered;
        self.stored += other.stored;
        self.delivered += other.delivered;
        self.counted += other.counted;
        self.dumped += other.dumped;
        for (dropped, more) in self.dropped.iter_mut().zip(other.dropped) {
            *dropped += more;
        }
        self.truncated += other.truncated;
        self.reads += other.reads;
        self.read_bytes += other.read_bytes;
        self.wakes += other.wakes;
        self.resets += other.resets;
        self.instructions += other.instructions;
        self.skipped += other.skipped;
        self.sent += other.sent;
        self.dump_bytes += other.dump_bytes;
        self.markers += other.markers;
    }

    /// Shows every counter by name, drops as the reason's name, in a fixed order.
    pub fn visit(&self, visit: &mut impl FnMut(&'static str, u64)) {
        visit("shown", self.shown);
        visit("filtered", self.filtered);
        visit("stored", self.stored);
        visit("delivered", self.delivered);
        visit("counted", self.counted);
        visit("dumped", self.dumped);
        for reason in DropReason::ALL {
            visit(reason.name(), self.dropped[reason.index()]);
        }
        visit("truncated", self.truncated);
        visit("reads", self.reads);
        visit("read_bytes", self.read_bytes);
        visit("wakes", self.wakes);
        visit("resets", self.resets);
        visit("instructions", self.instructions);
        visit("skipped", self.skipped);
        visit("sent", self.sent);
        visit("dump_bytes", self.dump_bytes);
        visit("markers", self.markers);
    }
}

/// The adapter's totals since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AdapterCounters {
    /// Indications.
    pub indications: u64,
    /// Frames in them.
    pub frames: u64,
    /// Frames that no handle was there to see.
    pub no_handle: u64,
    /// Frames that handles sent through it.
    pub sent: u64,
    /// Bytes of frames that taps copied: into shared copies, or into the buffers of designs that have
    /// none.
    pub bytes_copied: u64,
    /// Bytes of frames that workers copied into their buffers.
    pub worker_copied: u64,
    /// Bytes of frames that reads copied into user buffers. A dump copies none.
    pub read_copied: u64,
}

impl AdapterCounters {
    /// Shows every counter by name, in a fixed order.
    pub fn visit(&self, visit: &mut impl FnMut(&'static str, u64)) {
        visit("indications", self.indications);
        visit("frames", self.frames);
        visit(DropReason::NoHandle.name(), self.no_handle);
        visit("sent", self.sent);
        visit("bytes_copied", self.bytes_copied);
        visit("worker_copied", self.worker_copied);
        visit("read_copied", self.read_copied);
    }
}

/// The driver's statistics of one handle (Npcap `bpf_stat`, there 32 bits wide).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// bs_recv. Packets that passed the filter, or that were shown to it: see
    /// [`received_after_filter`](crate::PacketQueueOptions::received_after_filter). Zeroed by a reset.
    pub received: u64,
    /// bs_capt: packets put into the buffer. Zeroed by a reset.
    pub accepted: u64,
    /// bs_drop: packets that found the buffer full, zeroed by a reset, plus `resource_dropped`.
    pub dropped: u64,
    /// The part of `dropped` that is lack of memory; survives resets.
    pub resource_dropped: u64,
}
