//! A message as bytes: its length, four bytes, least significant first, then so many bytes of JSON.
//!
//! Contract: reading never takes more than [`LENGTH_MAX`] bytes for a message, and what is no message is an
//! error that says why. After an error other than [`FrameError::Malformed`] nobody knows where the next
//! message begins: the connection is at its end.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest message, in bytes of JSON.
pub const LENGTH_MAX: usize = 1 << 20;

/// What is wrong with a message.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side has closed the connection between two messages.
    #[error("the port is closed")]
    Closed,
    /// It did in the middle of one.
    #[error("the port was closed in the middle of a message, after {had} of {wanted} bytes")]
    Cut {
        /// Bytes that came.
        had: usize,
        /// Bytes of the part that was read.
        wanted: usize,
    },
    /// Too long to be one.
    #[error("a message of {length} bytes: at most {} are allowed", LENGTH_MAX)]
    TooLong {
        /// What it says.
        length: usize,
    },
    /// Not what belongs there.
    #[error("a malformed message: {why}: {start:?}")]
    Malformed {
        /// What the parser says.
        why: String,
        /// How the message begins.
        start: String,
    },
    /// The system fails.
    #[error("the port fails: {0}")]
    System(io::Error),
}

/// Writes a message, all of it.
///
/// # Errors
/// It is too long, or the system refuses.
pub fn write<T: Serialize>(to: &mut impl Write, message: &T) -> Result<(), FrameError> {
    let malformed = |error: serde_json::Error| FrameError::Malformed {
        why: error.to_string(),
        start: String::new(),
    };
    write_bytes(to, &serde_json::to_vec(message).map_err(malformed)?)
}

/// The same with a body that is bytes of whatever form.
///
/// # Errors
/// As [`write()`].
pub fn write_bytes(to: &mut impl Write, body: &[u8]) -> Result<(), FrameError> {
    if body.len() > LENGTH_MAX {
        return Err(FrameError::TooLong { length: body.len() });
    }
    // In one write: a port may be closed between two.
    let mut bytes = (body.len() as u32).to_le_bytes().to_vec();
    bytes.extend(body);
    to.write_all(&bytes).and_then(|()| to.flush()).map_err(FrameError::System)
}

/// Reads a message, waiting for all of it.
///
/// # Errors
/// See [`FrameError`].
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> Result<T, FrameError> {
    let body = read_bytes(from)?;
    serde_json::from_slice(&body).map_err(|error| FrameError::Malformed {
        why: error.to_string(),
        start: String::from_utf8_lossy(&body).chars().take(80).collect(),
    })
}

/// The same with a body that is bytes of whatever form.
///
/// # Errors
/// As [`read`], but for what the bytes mean.
pub fn read_bytes(from: &mut impl Read) -> Result<Vec<u8>, FrameError> {
    let mut length = [0; 4];
    fill(from, &mut length, true)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > LENGTH_MAX {
        return Err(FrameError::TooLong { length });
    }
    let mut body = vec![0; length];
    fill(from, &mut body, false)?;
    Ok(body)
}

fn fill(from: &mut impl Read, to: &mut [u8], first: bool) -> Result<(), FrameError> {
    let mut had = 0;
    while had < to.len() {
        match from.read(&mut to[had..]) {
            Ok(0) if first && had == 0 => return Err(FrameError::Closed),
            Ok(0) => return Err(FrameError::Cut { had, wanted: to.len() }),
            Ok(read) => had += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(FrameError::System(error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Command, Datagrams, FromGuest, Reply, ToGuest};
    use super::*;
    use proptest::prelude::*;

    fn bytes<T: Serialize>(message: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, message).unwrap();
        bytes
    }

    #[test]
    fn messages_come_back_one_by_one() {
        let command = ToGuest::Command(Command::Interrupts);
        let reply =
            FromGuest::Done(Reply::Datagrams(Datagrams { different: 7, ..Default::default() }));
        let all = [bytes(&command), bytes(&reply)].concat();
        let mut from = all.as_slice();
        assert_eq!(read::<ToGuest>(&mut from).unwrap(), command);
        assert_eq!(read::<FromGuest>(&mut from).unwrap(), reply);
        assert!(matches!(read::<ToGuest>(&mut from), Err(FrameError::Closed)));
    }

    #[test]
    fn what_is_no_message_is_named() {
        let of = |length: u32, body: &[u8]| {
            let bytes = [&length.to_le_bytes()[..], body].concat();
            read::<ToGuest>(&mut bytes.as_slice()).unwrap_err().to_string()
        };
        assert!(of(u32::MAX, b"").contains("at most 1048576"));
        assert!(of(9, b"{}").contains("after 2 of 9 bytes"));
        assert!(of(2, b"{}").contains("malformed"));
        assert!(of(0, b"").contains("malformed"));
        let unknown = br#"{"command":{"dance":{}}}"#;
        assert!(of(unknown.len() as u32, unknown).contains("dance"));
        let surplus = br#"{"command":{"channels":{"interface":"a","more":1}}}"#;
        assert!(of(surplus.len() as u32, surplus).contains("more"));
        assert!(read::<ToGuest>(&mut &[1, 0][..]).unwrap_err().to_string().contains("2 of 4"));
    }

    #[test]
    fn what_would_be_too_long_is_not_sent() {
        let long = FromGuest::Fault("x".repeat(LENGTH_MAX));
        let mut bytes = Vec::new();
        assert!(matches!(write(&mut bytes, &long), Err(FrameError::TooLong { .. })));
        assert!(bytes.is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut from = bytes.as_slice();
            while read::<FromGuest>(&mut from).is_ok() {}
        }

        #[test]
        fn any_text_arrives_as_it_was_sent(text in ".*") {
            let fault = FromGuest::Fault(text);
            prop_assert_eq!(read::<FromGuest>(&mut bytes(&fault).as_slice()).unwrap(), fault);
        }
    }
}
