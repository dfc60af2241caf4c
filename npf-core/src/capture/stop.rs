//! The flag that ends a loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends the loop of one capture, from anywhere: its callback, a signal handler, another thread.
#[derive(Debug, Clone, Default)]
pub struct BreakHandle(Arc<AtomicBool>);

impl BreakHandle {
    /// Sets the flag (`pcap_breakloop`). At most one more packet is processed.
    #[doc(alias = "pcap_breakloop")]
    pub fn break_loop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Clears the flag; whether it was set.
    pub(super) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}
