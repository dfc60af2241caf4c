//! Whether two worlds gave the same: the first difference between the files of two runs.
//!
//! Contract: events are compared first, for they say where two runs part; then the results, without the time that
//! they took; then every other file, byte for byte.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde_json::Value;

/// Where two runs part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// In what.
    pub place: String,
    /// What one has there.
    pub one: String,
    /// What the other has.
    pub other: String,
}

/// Runs that have written their files into these folders.
///
/// # Errors
/// A file cannot be read.
pub fn compare(one: &Path, other: &Path) -> io::Result<Option<Difference>> {
    let (mine, theirs) = (files_in(one)?, files_in(other)?);
    if mine != theirs {
        let place = "the files that were written".into();
        let tell = |names: &[String]| names.join(", ");
        return Ok(Some(Difference { place, one: tell(&mine), other: tell(&theirs) }));
    }
    for name in [EVENTS, RESULT].into_iter().filter(|name| mine.iter().any(|its| its == name)) {
        let found = match name {
            EVENTS => first_line(&one.join(name), &other.join(name))?,
            _ => first_value(&one.join(name), &other.join(name))?,
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    for name in mine.iter().filter(|name| ![EVENTS, RESULT].contains(&name.as_str())) {
        if let Some(found) = first_byte(name, &one.join(name), &other.join(name))? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

const EVENTS: &str = "events.ndjson";
const RESULT: &str = "result.json";
/// For people: it names the time that it took.
const REPORT: &str = "report.txt";

fn files_in(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.metadata()?.is_file()
            && let Ok(name) = entry.file_name().into_string()
            && name != REPORT
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The first line that differs.
fn first_line(one: &Path, other: &Path) -> io::Result<Option<Difference>> {
    let (mut one, mut other) =
        (BufReader::new(File::open(one)?), BufReader::new(File::open(other)?));
    let (mut mine, mut theirs) = (String::new(), String::new());
    for number in 1_u64.. {
        mine.clear();
        theirs.clear();
        let read = (one.read_line(&mut mine)?, other.read_line(&mut theirs)?);
        if mine != theirs {
            let tell = |line: &str| match line.trim_end() {
                "" => "no event any more".to_owned(),
                line => line.to_owned(),
            };
            let place = format!("event {number}");
            return Ok(Some(Difference { place, one: tell(&mine), other: tell(&theirs) }));
        }
        if read == (0, 0) {
            break;
        }
    }
    Ok(None)
}

/// The first value that differs, by its path.
fn first_value(one: &Path, other: &Path) -> io::Result<Option<Difference>> {
    let read = |path: &Path| -> io::Result<Value> {
        let mut value: Value = serde_json::from_slice(&std::fs::read(path)?)?;
        if let Some(object) = value.as_object_mut() {
            object.remove("wall_s");
        }
        Ok(value)
    };
    Ok(differs("", &read(one)?, &read(other)?))
}

fn differs(at: &str, one: &Value, other: &Value) -> Option<Difference> {
    match (one, other) {
        (Value::Object(mine), Value::Object(theirs)) => {
            let keys = mine.keys().chain(theirs.keys().filter(|key| !mine.contains_key(*key)));
            let of = |object: &serde_json::Map<String, Value>, key: &String| {
                object.get(key).cloned().unwrap_or_default()
            };
            keys.into_iter()
                .find_map(|key| differs(&format!("{at}/{key}"), &of(mine, key), &of(theirs, key)))
        }
        (Value::Array(mine), Value::Array(theirs)) if mine.len() == theirs.len() => {
            let mut pairs = mine.iter().zip(theirs).enumerate();
            pairs.find_map(|(index, (one, other))| differs(&format!("{at}/{index}"), one, other))
        }
        _ if one == other => None,
        _ => Some(Difference {
            place: format!("{RESULT} at {at}"),
            one: one.to_string(),
            other: other.to_string(),
        }),
    }
}

/// The first byte that differs.
fn first_byte(name: &str, one: &Path, other: &Path) -> io::Result<Option<Difference>> {
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    File::open(one)?.read_to_end(&mut mine)?;
    File::open(other)?.read_to_end(&mut theirs)?;
    if mine == theirs {
        return Ok(None);
    }
    let at = mine.iter().zip(&theirs).take_while(|(one, other)| one == other).count();
    let tell = |bytes: &[u8]| match bytes.get(at) {
        Some(byte) => format!("{byte:#04x}, {} bytes in all", bytes.len()),
        None => format!("ends there, {} bytes in all", bytes.len()),
    };
    let place = format!("{name} at byte {at}");
    Ok(Some(Difference { place, one: tell(&mine), other: tell(&theirs) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two folders with these files.
    fn found(name: &str, one: &[(&str, &str)], other: &[(&str, &str)]) -> Option<Difference> {
        let folder =
            std::env::temp_dir().join(format!("rxlab-verify-{name}-{}", std::process::id()));
        for (side, files) in [("one", one), ("other", other)] {
            std::fs::create_dir_all(folder.join(side)).unwrap();
            for (name, text) in files {
                std::fs::write(folder.join(side).join(name), text).unwrap();
            }
        }
        let found = compare(&folder.join("one"), &folder.join("other")).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        found
    }

    #[test]
    fn the_first_difference_is_named() {
        let events = (EVENTS, "a\nb\n");
        assert_eq!(found("same", &[events, (REPORT, "1 s")], &[events, (REPORT, "2 s")]), None);
        let wall = |wall: &str| format!("{{\"wall_s\":{wall},\"queues\":[{{\"dropped\":1}}]}}");
        assert_eq!(found("wall", &[(RESULT, &wall("1"))], &[(RESULT, &wall("2"))]), None);
        for (name, one, other, place, has) in [
            ("line", events, (EVENTS, "a\nc\n"), "event 2", "c"),
            ("short", events, (EVENTS, "a\n"), "event 2", "no event any more"),
            ("names", events, ("dump.pcap", ""), "the files that were written", "dump.pcap"),
            (
                "value",
                (RESULT, "{\"queues\":[{\"dropped\":1}]}"),
                (RESULT, "{\"queues\":[{\"dropped\":2}]}"),
                "result.json at /queues/0/dropped",
                "2",
            ),
            (
                "byte",
                ("x.pcap", "abc"),
                ("x.pcap", "abd"),
                "x.pcap at byte 2",
                "0x64, 3 bytes in all",
            ),
        ] {
            let found = found(name, &[one], &[other]).unwrap();
            assert_eq!((found.place.as_str(), found.other.as_str()), (place, has));
        }
    }
}
