//! Whether the engines agree: random programs on random frames through all of them.
//!
//! Contract: the reference interpreter is asked first. Every other engine of ours must say the same, to
//! the number of executed instructions. libpcap's interpreter must say the same as ours does in
//! libpcap's dialect; where another dialect says otherwise, an instruction of the program must be one
//! that the dialect reads differently, and that is counted by its rule. The first difference ends the
//! check. All but the times is a pure function of the settings.
//!
//! Not checked: the interpreter alone, where libpcap is not installed and no other engine is there.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use npf_core::filter::format::{Format, write_text};
use npf_core::filter::{Dialect, Instruction, Program, Verdict, opcode::*};

use super::random::{self, Case, Sample};
use crate::libpcap::{self, FilterError, RawInstruction};

/// What to check.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many programs.
    pub programs: u64,
    /// The first program's seed; each next one's is one more.
    pub seed: u64,
    /// The dialects, in turn.
    pub dialects: Vec<Dialect>,
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Programs that ran.
    pub programs: u64,
    /// Frames that they ran on.
    pub frames: u64,
    /// Frames of which at least a byte was kept.
    pub kept: u64,
    /// Frames that libpcap was asked about.
    pub libpcap: u64,
    /// Where a dialect says otherwise than libpcap, by the rule that explains it.
    pub explained: BTreeMap<&'static str, u64>,
    /// The first difference that nothing explains.
    pub difference: Option<Box<Difference>>,
    /// Whether it was asked to stop before the end.
    pub stopped: bool,
    /// Time in the interpreter.
    pub interpreter_time: Duration,
    /// Time in libpcap's, its validator included.
    pub libpcap_time: Duration,
}

/// Two answers where there should be one.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The program.
    pub program: Program,
    /// The frame.
    pub sample: Sample,
    /// What the interpreter says.
    pub reference: Verdict,
    /// Who else was asked.
    pub engine: &'static str,
    /// What it says: bytes to keep.
    pub accept: u32,
    /// And how many instructions it ran, if it tells.
    pub executed: Option<u32>,
}

/// The first frame of `case` about which `engine` says otherwise than the reference interpreter: the
/// comparison that every engine is put to, and that a broken one must not pass.
pub fn first_difference(
    case: &Case,
    engine: &'static str,
    mut verdict: impl FnMut(&Sample) -> Verdict,
) -> Option<Difference> {
    case.samples.iter().find_map(|sample| {
        let reference = reference(&case.program, sample);
        let other = verdict(sample);
        (reference != other).then(|| Difference {
            program: case.program.clone(),
            sample: sample.clone(),
            reference,
            engine,
            accept: other.accept,
            executed: Some(other.executed),
        })
    })
}

fn reference(program: &Program, sample: &Sample) -> Verdict {
    program.run_with(&sample.data, sample.wire_len, &sample.ancillary)
}

/// Checks until all programs have run, a difference was found or `stop` says so; `stop` is asked after
/// each program, with their number.
///
/// # Errors
/// libpcap is there but refuses to run a program that our validator accepts.
pub fn check(
    settings: &Settings,
    mut stop: impl FnMut(u64) -> bool,
) -> Result<Report, FilterError> {
    let mut report = Report::default();
    let with_libpcap = libpcap::library_version().is_ok();
    for (number, dialect) in (0..settings.programs).zip(settings.dialects.iter().cycle()) {
        let case = random::case(settings.seed.wrapping_add(number), *dialect);
        report.programs += 1;
        report.frames += case.samples.len() as u64;
        let difference = if with_libpcap { against_libpcap(&case, &mut report)? } else { None };
        if difference.is_some() {
            report.difference = difference.map(Box::new);
            break;
        }
        if stop(report.programs) {
            report.stopped = true;
            break;
        }
    }
    Ok(report)
}

/// Asks the interpreter and libpcap about every frame of a case.
fn against_libpcap(case: &Case, report: &mut Report) -> Result<Option<Difference>, FilterError> {
    let program = &case.program;
    // Where libpcap's dialect has another meaning, both its readings must agree with each other.
    let Ok(plain) = Program::new(program.instructions().to_vec()) else { return Ok(None) };
    let raw: Vec<RawInstruction> =
        program.instructions().iter().copied().map(RawInstruction::from).collect();
    let ask_libpcap = libpcap_can_run(program.instructions());
    for sample in &case.samples {
        let started = Instant::now();
        let verdict = reference(program, sample);
        report.interpreter_time += started.elapsed();
        report.kept += u64::from(verdict.accept > 0);
        if !ask_libpcap {
            continue;
        }
        let started = Instant::now();
        let theirs = libpcap::offline_filter(&raw, &sample.data, sample.wire_len)?;
        report.libpcap_time += started.elapsed();
        report.libpcap += 1;
        let ours = reference(&plain, sample).accept;
        let rule = explanation(program);
        let explained = ours == theirs && rule.is_some();
        if verdict.accept == theirs {
            continue;
        }
        match rule {
            Some(rule) if explained => *report.explained.entry(rule).or_default() += 1,
            _ => {
                return Ok(Some(Difference {
                    program: program.clone(),
                    sample: sample.clone(),
                    reference: verdict,
                    engine: "libpcap",
                    accept: theirs,
                    executed: None,
                }));
            }
        }
    }
    Ok(None)
}

/// Whether libpcap may be asked: a jump back may have no end in it, and before 1.11 a constant shift
/// by 32 or more means whatever its compiler made of it.
fn libpcap_can_run(program: &[Instruction]) -> bool {
    !program.iter().any(|i| match i.code {
        JA => i.k.cast_signed() < 0,
        LSH_K | RSH_K => i.k >= 32,
        _ => false,
    })
}

/// The rule by which the program's dialect may say otherwise than libpcap's; that of the first such
/// instruction.
fn explanation(program: &Program) -> Option<&'static str> {
    program.instructions().iter().find_map(|i| {
        let negative = i.k.cast_signed() < 0;
        match (program.dialect(), i.code) {
            (Dialect::Npcap, JGT_K | JGE_K | JGT_X | JGE_X) => Some("comparison of signed numbers"),
            (Dialect::WinPcap, JGT_K | JGE_K) => Some("comparison of signed numbers"),
            (Dialect::Npcap | Dialect::Linux, LD_W_ABS | LD_H_ABS | LD_B_ABS) if negative => {
                Some("load of an extension")
            }
            (Dialect::Linux, LDX_MSH) if negative => Some("load of an extension"),
            (
                Dialect::Npcap | Dialect::WinPcap | Dialect::Linux,
                LD_W_IND | LD_H_IND | LD_B_IND,
            ) => Some("sum of X and k modulo 2^32"),
            (Dialect::Linux, LSH_X | RSH_X) => Some("shift by X modulo 32"),
            _ => None,
        }
    })
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listing = write_text(Format::Listing, self.program.instructions());
        let bytes =
            |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let program: Vec<u8> =
            self.program.instructions().iter().flat_map(super::bytes_of).collect();
        writeln!(f, "{}", listing.unwrap_or_default())?;
        writeln!(f, "{:?}", self.sample.ancillary)?;
        let Verdict { accept, executed } = self.reference;
        writeln!(f, "the interpreter keeps {accept} bytes after {executed} instructions")?;
        write!(f, "{} keeps {} bytes", self.engine, self.accept)?;
        match self.executed {
            Some(executed) => writeln!(f, " after {executed} instructions")?,
            None => writeln!(f)?,
        }
        writeln!(
            f,
            "again: rxlab filter --dialect {} --program {} --wire-length {} --frame {}",
            self.program.dialect(),
            bytes(&program),
            self.sample.wire_len,
            bytes(&self.sample.data),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(dialects: &[Dialect]) -> Settings {
        Settings { programs: 3000, seed: 1, dialects: dialects.to_vec() }
    }

    #[test]
    fn the_interpreter_and_libpcap_agree_or_the_dialect_says_why() {
        if libpcap::library_version().is_err() {
            println!("skipped: libpcap is not installed (cargo xtask test installs it)");
            return;
        }
        let report = check(&settings(&Dialect::ALL), |_| false).unwrap();
        assert!(report.difference.is_none(), "{}", report.difference.unwrap());
        assert_eq!((report.programs, report.frames), (3000, 9000));
        // All that can differ does; and enough is kept and asked for the agreement to mean something.
        assert_eq!(report.explained.len(), 4, "{:?}", report.explained);
        assert!(report.kept > 2000 && report.kept < 8000, "{report:?}");
        assert!(report.libpcap > 6000, "{report:?}");
        let plain = check(&settings(&[Dialect::Libpcap, Dialect::Bsd]), |_| false).unwrap();
        assert!(plain.difference.is_none() && plain.explained.is_empty(), "{plain:?}");
    }

    #[test]
    fn a_wrong_engine_is_noticed() {
        let case = random::case(1, Dialect::Libpcap);
        let right = |sample: &Sample| reference(&case.program, sample);
        assert!(first_difference(&case, "same", right).is_none());
        let one_more = |sample: &Sample| {
            let verdict = right(sample);
            Verdict { executed: verdict.executed + 1, ..verdict }
        };
        let difference = first_difference(&case, "one more", one_more).unwrap();
        assert_eq!(difference.executed, Some(difference.reference.executed + 1));
        let text = difference.to_string();
        assert!(text.contains("(000) ") && text.contains("again: rxlab filter"), "{text}");
    }

    #[test]
    fn it_stops_when_asked() {
        let report = check(&settings(&[Dialect::Linux]), |programs| programs == 7).unwrap();
        assert_eq!((report.programs, report.stopped), (7, true));
    }
}
