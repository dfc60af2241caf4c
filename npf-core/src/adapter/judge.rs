//! What a handle's filter and snap length say about a frame.
//!
//! Contract: needs no handle, so that it can be asked before the handle is to be had: several CPUs
//! filter at the same time and wait for the handle afterwards.

use super::tap::Source;
use crate::filter::{Ancillary, Filter};
use crate::{Frame, TapWork};

/// What the filter says about a frame.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Judged {
    /// Bytes to keep; none if it is rejected.
    pub keep: Option<u32>,
    /// Instructions that took, if they were interpreted.
    pub instructions: u32,
    /// Machine code was run.
    pub compiled: bool,
}

impl Judged {
    /// Adds to `work` what it took.
    #[inline]
    pub(crate) fn charge(&self, work: &mut TapWork) {
        work.compiled += u64::from(self.compiled);
        work.instructions += u64::from(self.instructions);
    }
}

/// Runs the filter over a frame.
// A call would pass the result through memory, in parts that are then read as one: a stall.
#[inline(always)]
pub(crate) fn judge(
    filter: Option<&Filter>,
    snaplen: u32,
    snaplen_without_filter: bool,
    source: Source,
    frame: &Frame<'_>,
) -> Judged {
    // A record cannot say more than 32 bits; no frame comes near.
    let whole = u32::try_from(frame.data.len()).unwrap_or(u32::MAX);
    let Some(filter) = filter else {
        let most = if snaplen_without_filter { snaplen } else { whole };
        return Judged { keep: Some(whole.min(most)), ..Judged::default() };
    };
    let known = Ancillary { cpu: source.cpu.into(), queue: source.queue, ..Ancillary::NONE };
    let verdict = filter.run(frame.data, frame.wire_len, &known);
    Judged {
        keep: (verdict.accept > 0).then_some(whole.min(verdict.accept).min(snaplen)),
        instructions: verdict.executed,
        compiled: filter.is_compiled(),
    }
}
