//! Frames from a capture file: pcap and pcapng.
//!
//! Contract: the file is read as it is played, in bounded memory; a fault in it ends the source
//! after the frames before it. Records shorter than their frame was are offered as captured, and
//! counted; a time before that of an earlier record becomes that record's, and is counted.
//!
//! The formats are read here and not by a crate. Of the two in use, `pcap-parser` 0.17.0 takes no
//! binary `if_tsresol` (`build_ts_resolution` refuses every value with the high bit), reads
//! `if_tsoffset` as little-endian in big-endian files, and leaves the obsolete packet block alone;
//! `pcap-file` 2.0.0 ignores `if_tsresol`, and the release candidates of 3.0 that mend it need
//! Rust 1.93, refuse a file for a reserved field or a block beyond their buffer, and extend
//! lifetimes with `transmute`. Neither says where in the file a fault is. What is needed of the
//! formats is five kinds of block.

mod input;
mod linktype;
mod pcap;
mod pcapng;
mod records;

pub use records::Records;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::{Arrival, Notice, Source, SourceError, SourceFault};
use crate::scenario::{Capture, Timing};
use input::Input;

/// Latest start of a frame: 200 days, of the 213 that `u64` picoseconds hold.
const LATEST_PS: i128 = 200 * 86_400 * 1_000_000_000_000;

/// What a record says besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    /// Since 1970 in picoseconds; `None` in the one kind of record that has no time.
    time_ps: Option<i128>,
    /// Length of the frame when it was on the wire, FCS not counted.
    original: u32,
}

/// A file of either format, at its next record.
enum Format {
    Pcap(pcap::Pcap),
    PcapNg(pcapng::PcapNg),
}

impl Format {
    /// Reads the head of a file.
    fn open<R: Read>(input: &mut Input<R>) -> Result<Self, SourceFault> {
        let magic = input.head()?;
        if let Some(pcap) = pcap::Pcap::open(magic, input)? {
            return Ok(Self::Pcap(pcap));
        }
        match pcapng::PcapNg::open(magic, input)? {
            Some(pcapng) => Ok(Self::PcapNg(pcapng)),
            None => Err(input.fault(
                format!("this is no capture: it starts with {magic:02x?}"),
                "give a pcap or pcapng file; a compressed one must be unpacked first",
            )),
        }
    }

    /// Reads the next record's bytes into `frame`; `None` at the end of the file.
    fn next<R: Read>(
        &mut self,
        input: &mut Input<R>,
        frame: &mut Vec<u8>,
    ) -> Result<Option<Record>, SourceFault> {
        match self {
            Self::Pcap(pcap) => pcap.next(input, frame),
            Self::PcapNg(pcapng) => pcapng.next(input, frame),
        }
    }
}

/// Plays `[traffic] source = "capture"`.
pub(super) struct CaptureSource<R = BufReader<File>> {
    input: Input<R>,
    format: Format,
    /// The first record, read when the file was opened.
    first: Option<(Record, Vec<u8>)>,
    timing: Timing,
    /// Frames that may still be given.
    left: u64,
    /// Passes that follow this one.
    passes: u32,
    clock: Clock,
    cut: u64,
}

/// From recorded times to times of the run.
#[derive(Default)]
struct Clock {
    /// Time of the first record of this pass.
    first_ps: Option<i128>,
    /// Time of the run at which this pass starts.
    base_ps: u64,
    last_ps: u64,
    backwards: u64,
}

impl CaptureSource {
    /// Opens the file at `path` and reads up to its first record, so that what is wrong at once is
    /// said at once.
    pub(super) fn open(capture: &Capture, path: &Path) -> Result<Self, SourceError> {
        Ok(Self::new(capture, open_file(path)?)?)
    }
}

fn open_file(path: &Path) -> Result<Input<BufReader<File>>, SourceError> {
    let unreadable = |error| SourceError::Unreadable { path: path.to_owned(), error };
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(unreadable(std::io::ErrorKind::IsADirectory.into()));
    }
    Ok(Input::new(BufReader::new(file), path))
}

impl<R: Read + Seek> CaptureSource<R> {
    fn new(capture: &Capture, mut input: Input<R>) -> Result<Self, SourceFault> {
        let mut format = Format::open(&mut input)?;
        let mut frame = Vec::new();
        let first = format.next(&mut input, &mut frame)?.map(|record| (record, frame));
        Ok(Self {
            input,
            format,
            // An empty file stays empty however often it is played.
            passes: if first.is_some() { capture.repeat.saturating_sub(1) } else { 0 },
            first,
            timing: capture.timing,
            left: capture.limit.unwrap_or(u64::MAX),
            clock: Clock::default(),
            cut: 0,
        })
    }

    /// The next record of this pass or the next.
    fn read(&mut self, frame: &mut Vec<u8>) -> Result<Option<Record>, SourceFault> {
        if let Some((record, bytes)) = self.first.take() {
            *frame = bytes;
            return Ok(Some(record));
        }
        loop {
            if let Some(record) = self.format.next(&mut self.input, frame)? {
                return Ok(Some(record));
            }
            if self.passes == 0 {
                return Ok(None);
            }
            self.passes -= 1;
            self.input.rewind(|reader| reader.seek(SeekFrom::Start(0)).map(drop))?;
            self.format = Format::open(&mut self.input)?;
            self.clock.next_pass();
        }
    }
}

impl<R: Read + Seek> Source for CaptureSource<R> {
    fn next(&mut self, frame: &mut Vec<u8>) -> Result<Option<Arrival>, SourceFault> {
        frame.clear();
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let arrival = match self.read(frame) {
            Ok(Some(record)) => {
                self.cut += u64::from((frame.len() as u64) < u64::from(record.original));
                self.clock.start(record.time_ps, self.timing).ok_or_else(|| {
                    self.input.fault(
                        "a frame starts more than 200 days after the first".to_owned(),
                        "mend the time with editcap, or use timing = \"line\"",
                    )
                })
            }
            Ok(None) => {
                self.left = 0;
                return Ok(None);
            }
            Err(fault) => Err(fault),
        };
        if arrival.is_err() {
            self.left = 0;
            frame.clear();
        }
        Ok(Some(Arrival { earliest_ps: arrival?, fcs_ok: true }))
    }

    fn notices(&self) -> Vec<Notice> {
        let cut = "records hold less than their whole frame: they are offered as captured, cut";
        let backwards = "records are older than one before them: they are offered right after it";
        let notices = [
            ("capture_cut", self.cut, cut),
            ("capture_backwards", self.clock.backwards, backwards),
        ];
        let said = notices.into_iter().filter(|(_, count, _)| *count > 0);
        said.map(|(name, count, text)| Notice { name, count, text }).collect()
    }
}

impl Clock {
    /// When a record of this time starts; `None` if that is too late for any run.
    fn start(&mut self, time_ps: Option<i128>, timing: Timing) -> Option<u64> {
        let first_ps = match time_ps {
            Some(time_ps) => *self.first_ps.get_or_insert(time_ps),
            None => 0,
        };
        let distance = match (time_ps, timing) {
            (_, Timing::Line) => return Some(0),
            (None, _) => return Some(self.last_ps),
            (Some(time_ps), Timing::Original) => time_ps - first_ps,
            (Some(time_ps), Timing::Scaled { milli }) => {
                (time_ps - first_ps).checked_mul(1000)? / i128::from(milli)
            }
        };
        let start = i128::from(self.base_ps) + distance;
        if start < i128::from(self.last_ps) {
            self.backwards += 1;
            return Some(self.last_ps);
        }
        self.last_ps = u64::try_from(start).ok().filter(|_| start <= LATEST_PS)?;
        Some(self.last_ps)
    }

    fn next_pass(&mut self) {
        self.first_ps = None;
        self.base_ps = self.last_ps;
    }
}
