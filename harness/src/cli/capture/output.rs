//! Where captured packets go: lines on stdout, or a savefile.
//!
//! Contract: after the first error nothing more is taken, and [`Output::finish`] tells it. A pipe that
//! its reader has closed ends the output too and is no error. A savefile ends with a whole packet,
//! whatever the disk does. Markers are lines and never packets of a savefile.

use super::line;
use crate::output::file::{RecordFile, RecordSink as _};
use crate::scenario::Mode;
use npf_core::capture::{Dumper, Packet};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;

/// Takes packets.
pub(super) struct Output {
    to: To,
    name: String,
    failed: Option<io::Error>,
}

enum To {
    /// Lines; of counters if the handle gives these.
    Lines {
        out: BufWriter<io::Stdout>,
        counters: bool,
    },
    Savefile(Dumper<Box<dyn Write>>),
}

impl Output {
    /// Lines on stdout about what a handle in this mode gives.
    pub(super) fn lines(mode: Mode) -> Result<Self, String> {
        let to =
            To::Lines { out: BufWriter::new(io::stdout()), counters: mode == Mode::Statistics };
        Ok(Self { to, name: "standard output".into(), failed: None })
    }

    /// A savefile; `-` is stdout.
    pub(super) fn savefile(path: &Path, snaplen: u32) -> Result<Self, String> {
        let (name, out): (String, Box<dyn Write>) = match path.to_str() {
            Some("-") => ("standard output".into(), Box::new(BufWriter::new(io::stdout()))),
            _ => {
                let file = RecordFile::create(path).map_err(|error| error.to_string())?;
                (path.display().to_string(), Box::new(WholeRecords(file)))
            }
        };
        let failed = |error| format!("cannot write to {name}: {error}");
        let dumper = Dumper::new(out, snaplen).map_err(failed)?;
        Ok(Self { to: To::Savefile(dumper), name, failed: None })
    }

    /// Writes a packet; false if no more is taken.
    pub(super) fn take(&mut self, packet: &Packet<'_>) -> bool {
        if self.failed.is_none() {
            let marker = packet.marker().is_some();
            self.failed = match &mut self.to {
                To::Lines { out, counters: true } => out.write_all(&line::counters(packet)),
                To::Lines { out, counters: false } => out.write_all(&line::packet(packet)),
                To::Savefile(_) if marker => Ok(()),
                To::Savefile(dumper) => dumper.dump(packet),
            }
            .err();
        }
        self.failed.is_none()
    }

    /// Writes what is left; the first thing that went wrong.
    pub(super) fn finish(self) -> Result<(), String> {
        let Self { to, name, failed } = self;
        let ended = match (failed, to) {
            (Some(error), _) => Err(error),
            (None, To::Lines { mut out, .. }) => out.flush(),
            (None, To::Savefile(dumper)) => dumper.close().map(|_| ()),
        };
        match ended {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(format!("cannot write to {name}: {error}"))
            }
            _ => Ok(()),
        }
    }
}

/// A file that takes each write whole.
struct WholeRecords(RecordFile);

impl Write for WholeRecords {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_record(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(io::Error::other)
    }
}
