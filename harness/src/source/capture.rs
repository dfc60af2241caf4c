//! x
use super::{Arrival, Source, SourceError, SourceFault};
use crate::scenario::Capture;
use std::path::Path;
pub(super) struct CaptureSource;
impl CaptureSource {
    pub(super) fn open(_c: &Capture, _p: &Path) -> Result<Self, SourceError> {
        Ok(Self)
    }
}
impl Source for CaptureSource {
    fn next(&mut self, _frame: &mut Vec<u8>) -> Result<Option<Arrival>, SourceFault> {
        Ok(None)
    }
}
