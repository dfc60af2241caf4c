//! Whether the engines agree: random programs on random frames through all of them.
//!
//! Contract: the reference interpreter is asked first. The compiled program must say the same. libpcap's interpreter must say the same as ours does in
//! libpcap's dialect; where another dialect says otherwise, an instruction of the program must be one
//! that the dialect reads differently, and that is counted by its rule. The first difference ends the
//! check. All but the times is a pure function of the settings.
//!
//! Not checked: what only one engine can run: programs that the compiler leaves to the interpreter, and
//! for libpcap those that it cannot run safely.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use npf_core::filter::format::{Format, write_text};
use npf_core::filter::{Dialect, Filter, Instruction, Program, Verdict, opcode::*};

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
    /// Programs that could be compiled.
    pub compiled: u64,
    /// Time in the interpreter.
    pub interpreter_time: Duration,
    /// Time to compile.
    pub compile_time: Duration,
    /// Time in the compiled programs, on the same frames.
    pub compiled_time: Duration,
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
    /// What it says.
    pub answer: Answer,
}

/// What an engine says about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Bytes to keep.
    pub accept: u32,
    /// Instructions that ran, if the engine counts them.
    pub executed: Option<u32>,
}

/// The first frame of `case` about which `engine` says otherwise than the reference interpreter: the
/// comparison that every engine is put to, and that a broken one must not pass.
pub fn first_difference(
    case: &Case,
    engine: &'static str,
    mut ask: impl FnMut(&Sample) -> Answer,
) -> Option<Difference> {
    case.samples.iter().find_map(|sample| {
        let reference = reference(&case.program, sample);
        let answer = ask(sample);
        let same = answer.accept == reference.accept
            && answer.executed.is_none_or(|executed| executed == reference.executed);
        (!same).then(|| Difference {
            program: case.program.clone(),
            sample: sample.clone(),
            reference,
            engine,
            answer,
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
        let difference = against_compiled(&case, &mut report);
        let difference = match difference {
            None if with_libpcap => against_libpcap(&case, &mut report)?,
            difference => difference,
        };
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

/// Asks the interpreter, and the compiled program, about every frame of a case.
fn against_compiled(case: &Case, report: &mut Report) -> Option<Difference> {
    let started = Instant::now();
    for sample in &case.samples {
        let verdict = reference(&case.program, sample);
        report.kept += u64::from(verdict.accept > 0);
    }
    report.interpreter_time += started.elapsed();
    let started = Instant::now();
    let filter = Filter::compiled(case.program.clone());
    report.compile_time += started.elapsed();
    if !filter.is_compiled() {
        return None;
    }
    report.compiled += 1;
    first_difference(case, "jit", |sample| {
        let started = Instant::now();
        let verdict = filter.run(&sample.data, sample.wire_len, &sample.ancillary);
        report.compiled_time += started.elapsed();
        Answer { accept: verdict.accept, executed: None }
    })
}

/// Asks libpcap about every frame of a case, if it may be asked.
fn against_libpcap(case: &Case, report: &mut Report) -> Result<Option<Difference>, FilterError> {
    let program = &case.program;
    let Ok(plain) = Program::new(program.instructions().to_vec()) else { return Ok(None) };
    let raw: Vec<RawInstruction> =
        program.instructions().iter().copied().map(RawInstruction::from).collect();
    if !libpcap_can_run(program.instructions()) {
        return Ok(None);
    }
    for sample in &case.samples {
        let verdict = reference(program, sample);
        let started = Instant::now();
        let theirs = libpcap::offline_filter(&raw, &sample.data, sample.wire_len)?;
        report.libpcap_time += started.elapsed();
        report.libpcap += 1;
        // Its own dialect must say the same; another may differ by one of its rules.
        let of_plain = reference(&plain, sample);
        let wrong = match (of_plain.accept == theirs, verdict.accept == theirs) {
            (true, true) => None,
            (false, _) => Some((&plain, of_plain)),
            (true, false) => match explanation(program) {
                Some(rule) => {
                    *report.explained.entry(rule).or_default() += 1;
                    None
                }
                None => Some((program, verdict)),
            },
        };
        if let Some((program, reference)) = wrong {
            return Ok(Some(Difference {
                program: program.clone(),
                sample: sample.clone(),
                reference,
                engine: "libpcap",
                answer: Answer { accept: theirs, executed: None },
            }));
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
        write!(f, "{} keeps {} bytes", self.engine, self.answer.accept)?;
        match self.answer.executed {
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
        let right = |sample: &Sample| {
            let verdict = reference(&case.program, sample);
            Answer { accept: verdict.accept, executed: Some(verdict.executed) }
        };
        let silent = |sample: &Sample| Answer { executed: None, ..right(sample) };
        assert!(first_difference(&case, "same", right).is_none());
        assert!(first_difference(&case, "silent", silent).is_none());
        let longer = |sample: &Sample| Answer { accept: !right(sample).accept, executed: None };
        let slower = |sample: &Sample| Answer { executed: Some(0), ..right(sample) };
        for difference in [
            first_difference(&case, "wrong", longer).unwrap(),
            first_difference(&case, "wrong", slower).unwrap(),
        ] {
            let text = difference.to_string();
            assert!(text.contains("(000) ") && text.contains("\nwrong keeps "), "{text}");
            assert!(text.contains("again: rxlab filter"), "{text}");
        }
    }

    #[test]
    fn it_stops_when_asked() {
        let report = check(&settings(&[Dialect::Linux]), |programs| programs == 7).unwrap();
        assert_eq!((report.programs, report.stopped), (7, true));
    }
}
