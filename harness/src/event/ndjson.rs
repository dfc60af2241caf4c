//! One event as one line of JSON.
//!
//! `{"t":1200,"seq":7,"component":"nic","event":"written","frame":3,"queue":1,...}`: time in
//! picoseconds, a sequence number without gaps over the whole stream, then the event's own fields.
//! Field names and values come from enums and integers only, so nothing needs escaping.

use super::{Event, Value};
use std::io::Write as _;

/// Appends the line for `event` to `line`; `frame` is the frame's number where the event has one.
pub fn write(line: &mut Vec<u8>, now: u64, seq: u64, event: &Event, frame: Option<u64>) {
    // Writing to a Vec cannot fail.
    let _ = write!(
        line,
        r#"{{"t":{now},"seq":{seq},"component":"{}","event":"{}""#,
        event.component(),
        event.name()
    );
    event.fields(&mut |name, value| {
        let _ = match (name, value) {
            // Tags are the ledger's names for frames in flight; readers want the frame's number.
            ("tag", _) => match frame {
                Some(frame) => write!(line, r#","frame":{frame}"#),
                None => Ok(()),
            },
            (name, Value::Num(n)) => write!(line, r#","{name}":{n}"#),
            (name, Value::Name(n)) => write!(line, r#","{name}":"{n}""#),
        };
    });
    line.extend_from_slice(b"}\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::WorldEvent;

    #[test]
    fn a_line_is_json_with_the_frame_number_in_place_of_the_tag() {
        let mut line = Vec::new();
        let event = WorldEvent::Delivered { tag: 9, handle: 1, queue: 2, caplen: 60, latency: 5 };
        write(&mut line, 17, 3, &Event::World(event), Some(4711));
        let json: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(json["t"], 17);
        assert_eq!(json["seq"], 3);
        assert_eq!(json["event"], "delivered");
        assert_eq!(json["frame"], 4711);
        assert!(json.get("tag").is_none());
        assert!(line.ends_with(b"}\n"));
    }
}
