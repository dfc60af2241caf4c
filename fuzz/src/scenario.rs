//! Scenario files: any text is a scenario or an error that can be shown, and what is read is written so that
//! it reads back equal.

use harness::scenario::Scenario;

/// The bytes, as the text of a scenario file.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Scenario::parse(text, "fuzz.toml", &[]) {
        Ok(scenario) => {
            let written = scenario.to_toml();
            let again = Scenario::parse(&written, "fuzz.toml", &[]);
            let again = again.expect("what is written can be read");
            assert_eq!(again, scenario, "{written}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
