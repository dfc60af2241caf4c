//! A QEMU that is none: it connects to the agent's port and says what no agent would.
//!
//! It is this program itself, started by a script; [`stands_in_for_qemu`] is its life.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use qemu::protocol::frame::{self, FrameError};
use qemu::protocol::{FromGuest, Hello, Reply, ToGuest, VERSION};

use crate::common::folder;

/// What it does.
const LIFE: &str = "RXLAB_TEST_QEMU";
/// Its command line.
const LINE: &str = "RXLAB_TEST_QEMU_LINE";

/// A program that says that it is QEMU of `version`, and then lives so.
pub fn qemu(version: &str, life: &str) -> PathBuf {
    let path = folder(&format!("vm_fake_{life}")).join("qemu");
    let program = std::env::current_exe().unwrap();
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo QEMU emulator version {version}; exit; fi\n\
         {LINE}=\"$*\" {LIFE}={life} exec {} --exact fake::stands_in_for_qemu --nocapture\n",
        program.display()
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Without its variables it has nothing to do.
#[test]
fn stands_in_for_qemu() {
    let (Ok(life), Ok(line)) = (std::env::var(LIFE), std::env::var(LINE)) else { return };
    if life == "dies" {
        eprintln!("this is why");
        std::process::exit(3);
    }
    let path = line.split("id=agent,path=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let mut port = UnixStream::connect(path).unwrap();
    let say = |message: &FromGuest| frame::write(&mut &port, message).unwrap();
    let hello = |version| FromGuest::Hello(Hello { version, system: "Linux of a test".into() });
    match life.as_str() {
        "silent" => std::thread::sleep(Duration::from_secs(600)),
        "version" => say(&hello(VERSION + 1)),
        "malformed" => port.write_all(&[4, 0, 0, 0, b'n', b'o', b'p', b'e']).unwrap(),
        "too-long" => port.write_all(&[0xff; 16]).unwrap(),
        "cut" => port.write_all(&[40, 0, 0, 0, b'{']).unwrap(),
        "closed" => {}
        "panics" => {
            say(&hello(VERSION));
            say(&FromGuest::Fault("panic: a bug of the agent".into()));
        }
        "refuses" | "answers-other" | "no-more" => {
            say(&hello(VERSION));
            let _: Result<ToGuest, FrameError> = frame::read(&mut &port);
            let _: Result<ToGuest, FrameError> = frame::read(&mut &port);
            match life.as_str() {
                "refuses" => say(&FromGuest::Refused(
                    "0000:00:03.0: its IOMMU group has other devices".into(),
                )),
                "answers-other" => say(&FromGuest::Done(Reply::Nothing)),
                _ => {}
            }
        }
        other => panic!("no life {other}"),
    }
    // QEMU stays when a guest's port is closed.
    port.shutdown(std::net::Shutdown::Both).unwrap();
    std::thread::sleep(Duration::from_secs(2));
}
