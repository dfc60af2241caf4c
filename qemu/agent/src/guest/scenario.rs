//! The scenario that the host sends.

use harness::scenario::Scenario;
use protocol::{Blob, Start};

use super::serve::Refusal;

/// As the host has it, with its filters, which were compiled there.
///
/// # Errors
/// It is none, or a filter's program is none.
pub fn read(start: &Start) -> Result<Scenario, Refusal> {
    let Start { scenario, file, compiled, .. } = start;
    let mut scenario =
        Scenario::parse(scenario, file, &[]).map_err(|error| Refusal::Value(error.to_string()))?;
    for (filter, snaplen, Blob(program)) in compiled {
        if !scenario.compiled.keep(filter.clone(), *snaplen, program) {
            return Err(Refusal::Value(format!("the program of filter {filter:?} is cut")));
        }
    }
    Ok(scenario)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_come_compiled() {
        let filter = "no expression that any compiler takes";
        let text = format!("[[handle]]\nfilter = \"{filter}\"\nsnaplen = 100\n");
        // ret #5
        let program = vec![0, 6, 0, 0, 0, 0, 0, 5];
        let mut start = Start::of(text);
        start.compiled = vec![(filter.into(), 100, Blob(program.clone()))];
        let scenario = read(&start).unwrap();
        assert_eq!(harness::guest::handles::open(&scenario).unwrap().len(), 1);
        start.compiled = vec![(filter.into(), 100, Blob(program[..7].to_vec()))];
        assert!(read(&start).unwrap_err().to_string().contains("is cut"));
        assert!(read(&Start::of("nonsense".into())).is_err());
    }
}
