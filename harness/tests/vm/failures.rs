//! What can be missing or go wrong: the exit code, words that say what and what to do, and nothing left.

use std::path::Path;

use crate::common::{folder, guest, run};
use crate::fake;
use crate::world::{self, Run};

/// Fails with this code, and says these things.
fn fails(args: &[&str], code: i32, words: &[&str]) -> String {
    let (got, stdout, stderr) = Run::start(args).end();
    assert_eq!(got, code, "{args:?}: {stderr}\n{stdout}");
    for part in words {
        assert!(stderr.contains(part), "{args:?}: {part}: {stderr}");
    }
    stdout
}

#[test]
fn what_the_command_line_has_wrong_is_usage() {
    world::alone(|| {
        let folder = folder("vm_wrong");
        let (file, kernel) = (folder.join("file"), folder.join("kernel"));
        std::fs::write(&file, vec![0; 4096]).unwrap();
        let mut bytes = vec![0; 4096];
        bytes[0x202..0x206].copy_from_slice(b"HdrS");
        std::fs::write(&kernel, bytes).unwrap();
        std::fs::create_dir(folder.join("kernel.d")).unwrap();
        let [file, kernel, empty, none] =
            [file, kernel, folder.join("kernel.d"), folder.join("none")]
                .map(|path| path.to_str().unwrap().to_owned());
        let rows: [(&[&str], &[&str]); 10] = [
            (&["--qemu", "no-such-qemu"], &["no-such-qemu cannot be run", "qemu-system-x86"]),
            (&["--qemu", "true"], &["does not say that it is QEMU"]),
            (&["--kernel", &file], &["its modules is not"]),
            (&["--modules", &empty], &["modules is given"]),
            (&["--kernel", &file, "--modules", &empty], &["no Linux kernel"]),
            (&["--kernel", &none, "--modules", &empty], &["No such file"]),
            (&["--kernel", &kernel, "--modules", &empty], &["kernel.d"]),
            (&["--time-limit", "soon"], &["--time-limit soon"]),
            (&["--set", "handle.0.filter_engine=jit"], &["handle.0.filter_engine", "no compiler"]),
            (&["--nic", "qemu", "--queues", "2"], &["channels.combined", "one queue pair"]),
        ];
        for (args, words) in rows {
            fails(args, 2, words);
        }
        let old = fake::qemu("5.2.0", "old");
        fails(&["--qemu", old.to_str().unwrap()], 2, &["QEMU 5.2 is too old: 7.2 or newer"]);
        std::fs::remove_dir_all(folder).unwrap();
    });
}

#[test]
fn what_the_system_lacks_is_told_and_unexpected() {
    world::alone(|| {
        let without = |variable: &'static str, value: &'static str| {
            let run = Run::with(&[], |command| {
                command.env(variable, value);
            });
            run.end()
        };
        for (variable, value, says) in [
            ("RXLAB_QEMU", "no-such-qemu", "install it (Debian: apt-get install qemu-system-x86)"),
            ("RXLAB_AGENT", "/no/such/agent", "/no/such/agent"),
        ] {
            let (code, _, stderr) = without(variable, value);
            assert!(code == 1 && stderr.contains(says), "{variable}: {code}: {stderr}");
        }
        // A module that the guest needs and its kernel has not.
        let folder = folder("vm_modules");
        std::fs::create_dir_all(folder.join("kernel")).unwrap();
        std::fs::write(folder.join("modules.builtin"), "").unwrap();
        let kernel = guest::kernel();
        let kernel = kernel.vmlinuz;
        let args = ["--kernel", kernel.to_str().unwrap(), "--modules", folder.to_str().unwrap()];
        fails(&args, 2, &["no module virtio_pci"]);
        std::fs::remove_dir_all(folder).unwrap();
    });
}

/// A guest with too little memory for its own image stops before it has a console, or while it boots.
#[test]
fn a_guest_without_memory_is_told() {
    world::alone(|| {
        for memory in ["40", "64"] {
            let words = ["QEMU has ended", "more memory (--memory)"];
            let said = fails(&["--memory", memory], 1, &words);
            assert!(said.contains("end: failed"), "{memory}: {said}");
        }
    });
}

#[test]
fn whatever_comes_in_place_of_an_agents_words_is_named() {
    world::alone(|| {
        let rows: [(&str, i32, &[&str]); 10] = [
            ("dies", 1, &["QEMU has ended (exit status: 3)", "this is why"]),
            ("version", 1, &["version 2 of the agent's protocol", "same source"]),
            ("malformed", 1, &["a malformed message"]),
            ("too-long", 1, &["at most 1048576"]),
            ("cut", 1, &["in the middle of a message"]),
            ("closed", 1, &["the port is closed"]),
            ("panics", 1, &["gave up", "panic: a bug of the agent"]),
            ("refuses", 1, &["its IOMMU group has other devices"]),
            ("answers-other", 1, &["what answers another command"]),
            ("silent", 11, &["--time-limit"]),
        ];
        for (life, code, words) in rows {
            let qemu = fake::qemu("8.0.0", life);
            let limit = if life == "silent" { "2s" } else { "60s" };
            let args = ["--qemu", qemu.to_str().unwrap(), "--time-limit", limit];
            let said = fails(&args, code, words);
            assert!(said.contains("end: "), "{life}: {said}");
            std::fs::remove_dir_all(qemu.parent().unwrap()).unwrap();
        }
    });
}

/// With `--keep` the VM's files stay, and the program says where.
#[test]
fn files_are_kept_on_request() {
    world::alone(|| {
        let qemu = fake::qemu("8.0.0", "dies");
        let scenario = "scenarios/slow-reader.toml";
        let args = ["vm", "run", scenario, "--keep", "--accel", "tcg", "--qemu"];
        let (code, _, stderr) = run(&[&args[..], &[qemu.to_str().unwrap()]].concat());
        assert_eq!(code, 1, "{stderr}");
        let says = "the VM's files stay in ";
        let place = stderr.lines().find_map(|line| line.split(says).nth(1)).unwrap();
        let log = std::fs::read_to_string(Path::new(place).join("qemu")).unwrap();
        assert!(log.contains("this is why"), "{log}");
        std::fs::remove_dir_all(place).unwrap();
        std::fs::remove_dir_all(qemu.parent().unwrap()).unwrap();
    });
}
