//! The host's end of the agent's port, and the folder with a VM's files.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::stop::Stop;

/// Lines of the console that an error shows.
const LAST_LINES: usize = 20;

/// A stream that is read until a moment; what was read of it before comes first.
pub struct Until<'a> {
    /// Bytes that were read before.
    pub early: &'a mut Vec<u8>,
    /// The rest.
    pub stream: &'a UnixStream,
    /// The moment.
    pub deadline: Instant,
    /// What comes before it.
    pub stop: &'a Stop,
}

/// How often it is looked whether somebody wants the end.
const LOOK: Duration = Duration::from_millis(50);

impl Read for Until<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if !self.early.is_empty() {
            let len = to.len().min(self.early.len());
            to[..len].copy_from_slice(&self.early[..len]);
            self.early.drain(..len);
            return Ok(len);
        }
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stop.now().is_some() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left.min(LOOK)))?;
            match (&mut &*self.stream).read(to) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }
}

/// The end of a file, for people to read.
pub fn last_of(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> =
        text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    last.iter().map(|line| format!("    {line}\n")).collect()
}

/// A folder of one VM, with a short name: a socket's path has 107 bytes at most.
pub struct Folder(pub PathBuf);

impl Folder {
    /// A new one, empty.
    ///
    /// # Errors
    /// The system refuses.
    pub fn new() -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let name = format!("rxlab-vm-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                // Of a dead process of the same number.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nobody is left to tell.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_came_early_comes_first_and_then_until_the_moment() {
        let (stream, mut other) = UnixStream::pair().unwrap();
        other.write_all(b"cd").unwrap();
        let mut early = b"ab".to_vec();
        let deadline = Instant::now() + Duration::from_millis(50);
        let stop = Stop::default();
        let mut until = Until { early: &mut early, stream: &stream, deadline, stop: &stop };
        let mut bytes = [0; 4];
        until.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"abcd");
        let error = until.read(&mut bytes).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // Long before the moment, if somebody wants the end.
        let started = Instant::now();
        stop.asked.store(true, Ordering::Relaxed);
        let deadline = started + Duration::from_secs(20);
        let mut until = Until { early: &mut early, stream: &stream, deadline, stop: &stop };
        assert_eq!(until.read(&mut bytes).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn folders_are_apart_and_go_with_their_owners() {
        let (one, other) = (Folder::new().unwrap(), Folder::new().unwrap());
        assert_ne!(one.0, other.0);
        std::fs::write(one.0.join("file"), (0..30).map(|n| format!("{n}\n\n")).collect::<String>())
            .unwrap();
        let last = last_of(&one.0.join("file"));
        assert!(last.starts_with("    10\n") && last.ends_with("    29\n"), "{last}");
        let path = one.0.clone();
        drop(one);
        assert!(!path.exists() && other.0.exists());
    }
}
