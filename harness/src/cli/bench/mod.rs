//! `rxlab bench`: what rxlab itself costs, each part beside something that the same machine does too.
//!
//! Times are medians of rounds in which all variants take turns, because machines drift; a single time
//! means nothing, and no test asserts one. Each benchmark prints a table, or with `--json` its figures, the
//! machine and the compiler among them.

mod engine;
mod filter;
mod machine;
mod path;
mod ring;
mod sim;
mod spread;
mod vhost_user;
mod vm;

use super::print;
use crate::exit::Exit;
use serde_json::Value;
use spread::Spread;

pub(super) use engine::{EngineArgs, engine};
pub(super) use filter::{FilterArgs, filter};
pub(super) use path::{PathArgs, path};
pub(super) use ring::{RingArgs, ring};
pub(super) use sim::{SimArgs, sim};
pub(super) use vhost_user::{VhostUserArgs, vhost_user};
pub(super) use vm::{VmArgs, vm};

/// What a benchmark has measured.
trait Figures {
    /// Its name in the JSON.
    const BENCH: &'static str;

    /// The table, without the line about the machine.
    fn text(&self) -> String;

    /// An object.
    fn value(&self) -> Result<Value, String>;
}

/// Prints figures, as a table or as JSON, and says how the command ended.
fn show<F: Figures>(json: bool, measured: Result<F, String>) -> Exit {
    print(measured.and_then(|figures| match json {
        true => json_of(&figures),
        false => Ok(machine::line() + "\n" + &figures.text()),
    }))
}

fn json_of<F: Figures>(figures: &F) -> Result<String, String> {
    let mut value = figures.value()?;
    value["bench"] = F::BENCH.into();
    value["machine"] = machine::line().into();
    Ok(format!("{value:#}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One;

    impl Figures for One {
        const BENCH: &'static str = "one";

        fn text(&self) -> String {
            "1\n".into()
        }

        fn value(&self) -> Result<Value, String> {
            Ok(serde_json::json!({ "figure": 1 }))
        }
    }

    #[test]
    fn figures_say_what_they_are_and_where_they_come_from() {
        let value: Value = serde_json::from_str(&json_of(&One).unwrap()).unwrap();
        assert_eq!((&value["bench"], &value["figure"]), (&"one".into(), &1.into()));
        assert!(value["machine"].as_str().unwrap().starts_with("rustc "));
    }

    #[test]
    fn a_spread_is_its_middle_and_its_ends() {
        let spread = Spread::of(&[3.0, 1.0, 7.0, 2.0, 9.0]).unwrap();
        assert_eq!((spread.median, spread.min, spread.max), (3.0, 1.0, 9.0));
        assert_eq!(spread.with_least(), "3.00 (1.00)");
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of_ratios(&[4.0, 9.0], &[2.0, 3.0]).unwrap().max, 3.0);
    }
}
