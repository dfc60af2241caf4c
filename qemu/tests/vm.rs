//! QEMU and a guest without a NIC: it boots, does what it is told, and ends; and everything that can be
//! missing or go wrong on the way has its error.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use qemu::cache::Cache;
use qemu::image::kernel::Kernel;
use qemu::image::{Image, LINUX_DRIVER, agent};
use qemu::launch::{Accel, Nic, Options, Vm, VmError};
use qemu::protocol::{Command, Reply};

const PATIENCE: Duration = Duration::from_secs(60);

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from)
}

fn kernel() -> Kernel {
    let (given, modules) = (variable("RXLAB_KERNEL"), variable("RXLAB_MODULES"));
    Kernel::find(&Cache::of_user(), given.as_deref(), modules.as_deref()).unwrap()
}

fn image(agent: &Path) -> Image {
    Image::build(&Cache::of_user(), &kernel(), &LINUX_DRIVER, agent).unwrap()
}

fn options() -> Options {
    let image = image(&agent::find(None).unwrap());
    Options { qemu: variable("RXLAB_QEMU"), accel: Accel::Tcg, ..Options::of(image) }
}

/// What these tests write goes here: cargo's folder is shared by all crates.
fn place(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("qemu_vm");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// A program that says that it is some QEMU, and then does something else.
fn stand_in(name: &str, version: &str, does: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let path = place(name);
    let says =
        format!("if [ \"$1\" = --version ]; then echo QEMU emulator version {version}; exit; fi");
    std::fs::write(&path, format!("#!/bin/sh\n{says}\n{does}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    Some(path)
}

fn refused(options: &Options) -> VmError {
    match Vm::start(options) {
        Ok(vm) => panic!("a VM runs: {}", vm.system),
        Err(error) => error,
    }
}

#[test]
fn a_guest_boots_does_what_it_is_told_and_ends() {
    let started = Instant::now();
    let more = vec!["-name".into(), "a-name".into()];
    let mut vm = Vm::start(&Options { accel: Accel::Auto, more, ..options() }).unwrap();
    let line = std::fs::read_to_string(format!("/proc/{}/cmdline", vm.id())).unwrap();
    assert!(line.contains("a-name"), "{line}");
    // KVM is not everywhere, and does not work everywhere where it is; then a user is told.
    assert!(vm.accel == Accel::Kvm || vm.notices[0].contains("KVM"), "{:?}", vm.notices);
    println!("{} on QEMU {}: hello after {:?}", vm.system, vm.version, vm.boot);
    assert!(vm.system.starts_with("Linux "), "{}", vm.system);
    let Reply::Interrupts(lines) = vm.call(Command::Interrupts, PATIENCE).unwrap() else {
        panic!()
    };
    assert!(lines.iter().any(|line| line.name.starts_with("virtio")), "{lines:?}");
    // What it cannot do it refuses, and goes on.
    let nowhere = Command::Channels { interface: "eth9".into() };
    let error = vm.call(nowhere, PATIENCE).unwrap_err();
    let VmError::Refused { why, .. } = &error else { panic!("{error}") };
    assert!(why.contains("eth9") && why.contains("No such device"), "{why}");
    let (id, folder) = (vm.id(), vm.folder().to_owned());
    vm.power_off().unwrap();
    assert!(!Path::new(&format!("/proc/{id}")).exists() && !folder.exists());
    println!("all of it took {:?}", started.elapsed());
}

#[test]
fn a_qemu_that_is_missing_old_dead_or_silent_is_named() {
    let image = Image { kernel: "kernel".into(), initramfs: "initramfs".into() };
    let with = |qemu| Options { qemu, accel: Accel::Tcg, ..Options::of(image.clone()) };
    let error = refused(&with(Some("no-such-qemu".into())));
    assert!(matches!(error, VmError::NoQemu { .. }), "{error}");
    let error = refused(&with(stand_in("old", "5.2.0", "")));
    assert!(error.to_string().contains("QEMU 5.2 is too old: 7.2"), "{error}");
    let error = refused(&with(stand_in("dies", "8.0.0", "echo because >&2; exit 3")));
    let VmError::Ended { status, qemu, .. } = &error else { panic!("{error}") };
    assert!(status.code() == Some(3) && qemu.contains("because"), "{error}");
    let mut options = with(stand_in("silent", "8.0.0", "exec sleep 600"));
    options.patience = Duration::from_millis(300);
    let error = refused(&options);
    assert!(matches!(error, VmError::Silent { .. }), "{error}");
    // One that is tried under KVM first, if there is any, is given up there too.
    options.accel = Accel::Auto;
    options.patience_kvm = Duration::from_millis(300);
    assert!(matches!(refused(&options), VmError::Silent { .. }));
    let mut options = with(stand_in("nic", "8.0.0", ""));
    options.nic = Some(Nic::at("/no/such/nic".into()));
    let error = refused(&options);
    assert!(error.to_string().contains("/no/such/nic: start the NIC first"), "{error}");
}

/// A kernel whose first process cannot be run stops for good, and its console says why.
#[test]
fn a_guest_that_stops_is_told_with_its_consoles_last_lines() {
    let file = place("no-program");
    std::fs::write(&file, "not a program").unwrap();
    let mut options = options();
    options.image = image(&file);
    let kept = file.with_file_name("console");
    options.console = Some(kept.clone());
    let error = refused(&options);
    let VmError::Ended { console, .. } = &error else { panic!("{error}") };
    assert!(console.contains("Kernel panic"), "{error}");
    assert!(std::fs::read_to_string(kept).unwrap().contains("Kernel panic"));
}

#[test]
fn the_image_of_the_same_inputs_is_the_same_and_small() {
    let (kernel, agent) = (kernel(), agent::find(None).unwrap());
    let folder = place("images");
    let images = ["one", "other"].map(|name| {
        let cache = Cache::at(folder.join(name));
        let _ = std::fs::remove_dir_all(cache.path(""));
        let built = Image::build(&cache, &kernel, &LINUX_DRIVER, &agent).unwrap();
        let name = built.initramfs.file_name().unwrap().to_owned();
        (name, std::fs::read(built.initramfs).unwrap())
    });
    assert_eq!(images[0], images[1]);
    let len = images[0].1.len();
    assert!(len < 8 << 20, "{len} bytes");
    let missing = Image::build(&Cache::at(folder), &kernel, &["no_such_module"], &agent);
    assert!(missing.unwrap_err().to_string().contains("no_such_module"));
}
