//! x
use super::{Arrival, Source, SourceFault};
use crate::scenario::{Generator, Mix};
/// x
pub fn headers_len(_mix: &Mix) -> (u64, &'static str) {
    (48, "IPv4+UDP")
}
pub(super) struct GeneratorSource;
impl GeneratorSource {
    pub(super) fn new(_g: &Generator, _seed: u64) -> Self {
        Self
    }
}
impl Source for GeneratorSource {
    fn next(&mut self, _frame: &mut Vec<u8>) -> Result<Option<Arrival>, SourceFault> {
        Ok(None)
    }
}
