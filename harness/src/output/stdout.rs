//! What goes to stdout: data that a script may depend on, so losing it is an error.

use std::io::{self, ErrorKind, Write as _};

/// Writes `text` to stdout. A closed pipe (`| head`) is the reader's choice and no error.
///
/// # Errors
/// What the system says, with what was being written to.
pub fn print(text: &str) -> Result<(), String> {
    write(text.as_bytes())
}

/// Writes `bytes` to stdout; the same otherwise.
///
/// # Errors
/// As [`print()`].
pub fn write(bytes: &[u8]) -> Result<(), String> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}"))
        }
        _ => Ok(()),
    }
}
