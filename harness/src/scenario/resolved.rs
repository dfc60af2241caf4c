//! What a scenario means where it leaves a choice open.
//!
//! Contract: each rule stands here once; [`Scenario::resolved`] writes the outcome of all of them
//! into a copy, so that printing the copy shows every value, and loading that changes nothing.

use super::{BufferPolicy, Bytes, DriverControl, Duration, Handle, Recover, Scenario, Traffic};

impl Scenario {
    /// A copy with every default filled in. What stays open has no value to show: a filter that
    /// keeps everything, a reader that never stops or pauses, a capture without limit.
    pub fn resolved(&self) -> Self {
        let mut full = self.clone();
        full.wire.min_frame = Some(self.min_frame());
        full.nic.vectors = Some(self.vectors());
        full.cpus.count = Some(self.cpu_count());
        full.cpus.rx = Some((0..self.channels.combined).map(|queue| self.rx_cpu(queue)).collect());
        full.handle = self.handles();
        full
    }

    /// Bytes of `struct virtio_net_hdr` before each frame in memory (virtio 1.x, 5.1.6).
    pub fn virtio_header(&self) -> u64 {
        if self.nic.hash_report { 20 } else { 12 }
    }

    /// Bytes that one chain of the driver's receive buffers takes, virtio header included.
    pub fn receive_chain(&self) -> u64 {
        let driver = &self.driver;
        match driver.buffer_policy {
            BufferPolicy::HeaderSplit => driver.buffer.0 + driver.header_buffer.0,
            BufferPolicy::Copy | BufferPolicy::PageFlip => driver.buffer.0,
        }
    }

    /// Shortest frame, without FCS, that is no runt.
    pub fn min_frame(&self) -> Bytes {
        self.wire.min_frame.unwrap_or(match self.traffic {
            Traffic::Generator(_) => Bytes(60),
            Traffic::Capture(_) => Bytes(14),
        })
    }

    /// Whether a queue may have to be reset by itself.
    pub fn resets_queues(&self) -> bool {
        let driver = &self.driver;
        let asked =
            |control: &DriverControl| control.queue_reset.is_some() || control.ring_rx.is_some();
        driver.recover == Recover::Queue || driver.control.iter().any(asked)
    }

    /// MSI-X vectors of the device: one for the configuration and one per channel.
    pub fn vectors(&self) -> u16 {
        self.nic.vectors.unwrap_or(self.channels.combined.saturating_add(1))
    }

    /// Virtual CPUs: one per channel and one for the reader.
    pub fn cpu_count(&self) -> u16 {
        self.cpus.count.unwrap_or(self.channels.combined.saturating_add(1))
    }

    /// The CPU that takes the interrupt of an RX queue.
    pub fn rx_cpu(&self, queue: u16) -> u16 {
        let chosen = self.cpus.rx.as_ref().and_then(|cpus| cpus.get(usize::from(queue)));
        chosen.copied().unwrap_or(queue % self.cpu_count().max(1))
    }

    /// The handles, at least one, each with its name, its reader's CPU and time per frame.
    pub fn handles(&self) -> Vec<Handle> {
        let mut handles = self.handle.clone();
        if handles.is_empty() {
            handles.push(Handle::default());
        }
        for (index, handle) in handles.iter_mut().enumerate() {
            if handle.name.is_empty() {
                handle.name = format!("handle-{index}");
            }
            handle.worker.cpu = Some(self.worker_cpu(handle));
            handle.reader.cpu = Some(self.reader_cpu(handle));
            handle.reader.frame = Some(self.reader_frame(handle));
        }
        handles
    }

    /// The CPU of a handle's reader: its own choice, or the last one.
    pub fn reader_cpu(&self, handle: &Handle) -> u16 {
        handle.reader.cpu.unwrap_or(self.cpu_count().saturating_sub(1))
    }

    /// The CPU of a handle's worker: its own choice, or the last one.
    pub fn worker_cpu(&self, handle: &Handle) -> u16 {
        handle.worker.cpu.unwrap_or(self.cpu_count().saturating_sub(1))
    }

    /// A reader's work per frame: its own choice, or the cost table's.
    pub fn reader_frame(&self, handle: &Handle) -> Duration {
        handle.reader.frame.unwrap_or(self.costs.reader_frame)
    }
}
