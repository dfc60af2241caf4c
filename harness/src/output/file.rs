//! Output files that end well formed, whatever happens to the disk.
//!
//! A [`RecordFile`] is written one whole record at a time: one line, one pcapng block. When the disk
//! fills up, a size limit strikes or the device fails, the file is cut back to its last whole record,
//! and every later write is refused with the first error. [`write_whole`] replaces a file at once:
//! whoever reads it sees the old bytes or the new ones.
//!
//! Not checked: that a record is what its format wants (the writer's part), and that the bytes
//! survive a power failure (nothing is synced).
//!
//! A file size limit (`ulimit -f`) comes as the signal SIGXFSZ, which ends the process before there is
//! an error to handle; [`crate::interrupt`] turns it into the error.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Records wait in memory until there are so many bytes of them.
const FLUSH_BYTES: usize = 64 * 1024;

/// Takes whole records: what a writer of lines or blocks writes to.
pub trait RecordSink {
    /// Takes one record, whole. After an error the sink holds only whole records and takes no more.
    fn write_record(&mut self, record: &[u8]) -> Result<(), OutputError>;
}

/// A capture or an event stream in memory.
impl RecordSink for Vec<u8> {
    fn write_record(&mut self, record: &[u8]) -> Result<(), OutputError> {
        self.extend_from_slice(record);
        Ok(())
    }
}

/// A buffered file whose unit is the whole record.
///
/// Call [`RecordFile::finish`] when done: it alone can report that the last records did not fit.
/// Dropping the file writes them too, for a run that ends early, but has nobody to tell.
#[derive(Debug)]
pub struct RecordFile<F: Storage = File> {
    path: PathBuf,
    file: F,
    /// Records not yet written, one after the other.
    buffer: Vec<u8>,
    /// Where each record in `buffer` ends.
    ends: Vec<usize>,
    /// Bytes in the file; all of whole records.
    written: u64,
    failed: Option<OutputError>,
}

/// What a [`RecordFile`] needs of a file.
pub trait Storage: Write {
    /// Cuts the file to its first `len` bytes.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

impl Storage for File {
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

impl RecordFile {
    /// Creates the file, or empties it, and makes the folders it lies in.
    pub fn create(path: &Path) -> Result<Self, OutputError> {
        make_parent(path)?;
        let file = File::create(path).map_err(|e| OutputError::new(Action::Create, path, e))?;
        Ok(Self::over(path, file))
    }
}

impl<F: Storage> RecordFile<F> {
    /// Writes to an empty `file`; `path` is its name in errors.
    fn over(path: &Path, file: F) -> Self {
        Self {
            path: path.to_owned(),
            file,
            buffer: Vec::with_capacity(2 * FLUSH_BYTES),
            ends: Vec::with_capacity(1024),
            written: 0,
            failed: None,
        }
    }

    /// Writes out what waits in memory, and closes the file.
    pub fn finish(mut self) -> Result<(), OutputError> {
        self.flush()
    }

    /// Writes out what waits in memory.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let mut done = 0;
        while done < self.buffer.len() {
            match self.file.write(&self.buffer[done..]) {
                Ok(0) => return Err(self.fail(done, io::ErrorKind::WriteZero.into())),
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.fail(done, e)),
            }
        }
        self.written += done as u64;
        self.buffer.clear();
        self.ends.clear();
        Ok(())
    }

    /// Cuts the file behind the last whole record of the `done` bytes that were written of the buffer.
    #[cold]
    fn fail(&mut self, done: usize, cause: io::Error) -> OutputError {
        let whole = self.ends.iter().copied().take_while(|&end| end <= done).last().unwrap_or(0);
        self.written += whole as u64;
        let tail = if whole == done || self.file.truncate(self.written).is_ok() {
            Tail::Whole(self.written)
        } else {
            Tail::Broken(self.written)
        };
        self.buffer.clear();
        self.ends.clear();
        let error = OutputError { tail, ..OutputError::new(Action::Write, &self.path, cause) };
        self.failed.insert(error).clone()
    }
}

impl<F: Storage> RecordSink for RecordFile<F> {
    fn write_record(&mut self, record: &[u8]) -> Result<(), OutputError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.buffer.extend_from_slice(record);
        self.ends.push(self.buffer.len());
        if self.buffer.len() < FLUSH_BYTES { Ok(()) } else { self.flush() }
    }
}

impl<F: Storage> Drop for RecordFile<F> {
    fn drop(&mut self) {
        // Nobody is left to hear of an error; who wants to know calls `finish`.
        let _ = self.flush();
    }
}

/// Writes `path` in one step: into a new file beside it, which then takes its name.
///
/// What is not a plain file (`/dev/stdout`, a pipe) is written to directly, never replaced. A link
/// stays a link: the file that it leads to is replaced.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    make_parent(path)?;
    let error = |e| OutputError::new(Action::Write, path, e);
    let (target, permissions) = match fs::metadata(path) {
        Ok(old) if old.is_file() => {
            (fs::canonicalize(path).map_err(error)?, Some(old.permissions()))
        }
        Ok(_) => return File::create(path).and_then(|mut f| f.write_all(bytes)).map_err(error),
        Err(_) => (path.to_owned(), None),
    };
    let mut name = target.file_name().map_or_else(OsString::new, OsString::from);
    name.push(format!(".{}.part", std::process::id()));
    let part = target.with_file_name(name);
    let written = fs::write(&part, bytes)
        .and_then(|()| permissions.map_or(Ok(()), |p| fs::set_permissions(&part, p)))
        .and_then(|()| fs::rename(&part, &target));
    written.map_err(|e| {
        // The first error is the one to tell; a part left behind does no harm.
        let _ = fs::remove_file(&part);
        error(e)
    })
}

fn make_parent(path: &Path) -> Result<(), OutputError> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => {
            fs::create_dir_all(folder).map_err(|e| OutputError::new(Action::MakeFolder, folder, e))
        }
        _ => Ok(()),
    }
}

/// An output could not be created or written: what, where, why, what to do.
#[derive(Clone, Debug)]
pub struct OutputError {
    action: Action,
    path: PathBuf,
    // Shared, because every later write is refused with the same error.
    cause: Arc<io::Error>,
    tail: Tail,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    MakeFolder,
    Create,
    Write,
}

/// What a reader finds at the end of the file.
#[derive(Clone, Copy, Debug)]
enum Tail {
    /// The error says nothing about what the file holds.
    Unsaid,
    /// So many bytes, all of whole records.
    Whole(u64),
    /// So many bytes of whole records, then part of one.
    Broken(u64),
}

impl OutputError {
    fn new(action: Action, path: &Path, cause: io::Error) -> Self {
        Self { action, path: path.to_owned(), cause: Arc::new(cause), tail: Tail::Unsaid }
    }

    /// The file or folder concerned.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The kind of the underlying error.
    pub fn kind(&self) -> io::ErrorKind {
        self.cause.kind()
    }

    fn advice(&self) -> &'static str {
        match self.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "free some space there or name another folder"
            }
            io::ErrorKind::FileTooLarge => "raise the limit (ulimit -f) or run a shorter scenario",
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "name a folder that you may write to"
            }
            io::ErrorKind::IsADirectory => "name a file, not a folder",
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                "a part of this path is a file: name another folder"
            }
            io::ErrorKind::BrokenPipe => "whoever read it has gone",
            _ => "name another folder",
        }
    }
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = match self.action {
            Action::MakeFolder => "make the folder",
            Action::Create => "create",
            Action::Write => "write",
        };
        write!(f, "cannot {action} {}: {}; ", self.path.display(), self.cause)?;
        match self.tail {
            Tail::Unsaid => {}
            Tail::Whole(bytes) => write!(f, "it keeps {bytes} bytes of whole records; ")?,
            Tail::Broken(bytes) => {
                write!(f, "it could not be cut back to its {bytes} bytes of whole records; ")?;
            }
        }
        f.write_str(self.advice())
    }
}

// The cause is part of the text, so `source` stays empty: reports that print the chain would tell it
// twice.
impl std::error::Error for OutputError {}

#[cfg(test)]
mod tests;
