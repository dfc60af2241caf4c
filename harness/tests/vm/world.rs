//! What these tests share: one guest at a time, the program's words, and whether it has left anything.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::common::process::Process;
use crate::common::{root, rxlab, told};

/// One guest at a time: a machine of two cores has no more.
pub fn alone(test: impl FnOnce()) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    test();
}

pub fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} in {value:#}"))
}

/// Of all entries of a list.
pub fn sum(value: &Value, list: &str, key: &str) -> u64 {
    value[list].as_array().unwrap().iter().map(|entry| entry[key].as_u64().unwrap()).sum()
}

/// 5000 frames of many flows that a translated guest keeps up with; however long the machine stalls, the FIFO holds
/// them.
const SCENARIO: [&str; 9] = [
    "scenarios/slow-reader.toml",
    "--set",
    "traffic.frames=5000",
    "--set",
    "traffic.rate='5kpps'",
    "--set",
    "nic.fifo='16MiB'",
    "--accel",
    "tcg",
];

/// A run of the program, and the mark that its QEMU has.
pub struct Run {
    mark: String,
    process: Process,
    id: u32,
}

impl Run {
    pub fn start(args: &[&str]) -> Self {
        Self::with(args, |_| {})
    }

    /// Started with something more.
    pub fn with(args: &[&str], change: impl FnOnce(&mut Command)) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mark = format!("rxlab-test-{}-{number}", std::process::id());
        let mut command = rxlab();
        command.args(["vm", "run"]).args(SCENARIO);
        command.args(["--qemu-args=-name", &format!("--qemu-args={mark}")]).args(args);
        change(&mut command);
        command.stdin(Stdio::null());
        let process = Process::start(&mut command);
        let id = process.0.as_ref().unwrap().id();
        Self { mark, process, id }
    }

    /// QEMU's process, if there is one.
    pub fn qemu(&self) -> Option<u32> {
        let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let marked = |id: &u32| {
            let line = std::fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
            *id != self.id && line.split('\0').any(|word| word == self.mark)
        };
        ids.into_iter().find(marked)
    }

    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// The folder of its VM.
    pub fn folder(&self) -> PathBuf {
        std::env::temp_dir().join(format!("rxlab-vm-{}-0", self.id))
    }

    /// Waits for its end: exit code, stdout, stderr. Nothing may be left of it.
    pub fn end(self) -> (i32, String, String) {
        let folder = self.folder();
        let Self { mark, process, id } = self;
        let output: Output = process.end();
        let gone = Self { mark, process: Process(None), id };
        assert_eq!(gone.qemu(), None, "QEMU is left");
        assert!(!folder.exists(), "{} is left", folder.display());
        told(&output)
    }
}

/// The result of a run that must go well, by its schema.
pub fn played(args: &[&str]) -> Value {
    let run = Run::start(&[args, &["--json"]].concat());
    let (code, stdout, stderr) = run.end();
    assert_eq!(code, 0, "{stderr}\n{stdout}");
    let result: Value = serde_json::from_str(&stdout).unwrap();
    valid(&result);
    assert_eq!((&result["end"], &result["account"]["ok"]), (&"complete".into(), &true.into()));
    println!("{}", result["machine"]);
    result
}

/// By the schema.
pub fn valid(result: &Value) {
    let mut schemas = boon::Schemas::new();
    let file = root().join("schemas/vm.schema.json");
    let schema = boon::Compiler::new().compile(file.to_str().unwrap(), &mut schemas).unwrap();
    schemas.validate(result, schema).unwrap_or_else(|error| panic!("{error:#}"));
    let mut spoilt = result.clone();
    spoilt["account"]["held"] = "none".into();
    assert!(schemas.validate(&spoilt, schema).is_err(), "the schema notices");
}
