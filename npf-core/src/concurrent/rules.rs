//! What controls can change while CPUs tap, in one place behind one lock.
//!
//! Contract: who taps or reads shares the rules; who changes them owns them, and then nobody else is
//! in the buffer. So a control sees the buffer stand still, as it does in the state machine.

use crate::adapter::judge::{Judged, judge};
use crate::adapter::tap::Source;
use crate::filter::Filter;
use crate::{EngineKind, Frame, HandleOptions};

/// The rules of one handle.
#[derive(Debug)]
pub(super) struct Rules {
    pub filter: Option<Filter>,
    pub snaplen: u32,
    snaplen_without_filter: bool,
    pub received_after_filter: bool,
    pub capacity: u64,
    pub min_to_copy: u64,
    pub immediate: bool,
    pub epoch_seconds: u32,
    /// The adapter was removed; nothing is shown any more.
    pub detached: bool,
}

impl Rules {
    pub(super) fn new(options: &HandleOptions) -> Self {
        let engine: &EngineKind = &options.engine;
        Rules {
            filter: options.filter.clone(),
            snaplen: options.snaplen,
            snaplen_without_filter: engine.snaplen_without_filter(),
            received_after_filter: engine.received_after_filter(),
            capacity: options.kernel_buffer,
            min_to_copy: options.min_to_copy,
            immediate: options.immediate,
            epoch_seconds: options.epoch_seconds,
            detached: false,
        }
    }

    #[inline]
    pub(super) fn judge(&self, source: Source, frame: &Frame<'_>) -> Judged {
        let filter = self.filter.as_ref();
        judge(filter, self.snaplen, self.snaplen_without_filter, source, frame)
    }
}
