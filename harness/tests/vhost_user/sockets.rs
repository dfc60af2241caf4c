//! Sockets that cannot be: the path is missing, taken, forbidden, too long, or no socket.

use crate::common::{folder, run, rxlab};
use crate::{Process, wait_for};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;

#[test]
fn sockets_that_cannot_be_are_refused_with_what_to_do() {
    let folder = folder("sockets");
    let file = folder.join("file");
    std::fs::write(&file, "no socket").unwrap();
    let taken = folder.join("taken");
    let _listener = UnixListener::bind(&taken).unwrap();
    let nowhere = folder.join("nowhere/nic");
    let datagrams = folder.join("datagrams");
    let _other_kind = UnixDatagram::bind(&datagrams).unwrap();
    let long = folder.join("x".repeat(120));
    let good = folder.join("good");
    for (path, words) in [
        (&file, "is there and is no socket"),
        (&taken, "is in use: another daemon"),
        (&datagrams, "is in use: "),
        (&nowhere, "create that folder first"),
        (&long, "has 107 bytes at most"),
    ] {
        for option in ["--socket", "--control"] {
            let mut command = rxlab();
            if option == "--control" {
                command.args(["nic", "--socket"]).arg(&good);
            } else {
                command.arg("nic");
            }
            let output = command.arg(option).arg(path).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.code() == Some(1) && said.contains(words), "{option}: {said}");
            assert!(!good.exists(), "what was opened before is taken away");
        }
    }
    assert!(datagrams.exists() && taken.exists(), "what is somebody's stays");
    assert!(file.exists(), "what is no socket stays");
    let (code, _, said) = run(&["nic", "--socket", "x", "--source", "cable:eth0"]);
    assert!(code == 2 && said.contains("tap:NAME"), "{said}");
    let (code, _, said) = run(&["nic", "--socket", "x", "--source", "packet:no-such-interface"]);
    assert!(code == 2 && said.contains("no-such-interface"), "{said}");
    let (code, _, said) = run(&["driver", "--socket", nowhere.to_str().unwrap()]);
    assert!(code == 1 && said.contains("start the back-end first"), "{said}");
    // One that a process has left behind is taken over.
    let left = folder.join("left");
    drop(UnixListener::bind(&left).unwrap());
    let nic = Process::start(rxlab().args(["nic", "--socket"]).arg(&left));
    wait_for(|| UnixStream::connect(&left).is_ok());
    drop(nic);
}

#[test]
fn a_folder_of_somebody_elses_is_refused_with_what_to_do() {
    let folder = folder("forbidden");
    let shut = folder.join("shut");
    std::fs::create_dir(&shut).unwrap();
    let listener = UnixListener::bind(folder.join("others")).unwrap();
    let readable = std::fs::Permissions::from_mode(0o555);
    std::fs::set_permissions(&shut, readable.clone()).unwrap();
    std::fs::set_permissions(folder.join("others"), readable).unwrap();
    let root = std::fs::metadata(&shut).unwrap().uid() == 0;
    for (path, words) in
        [(shut.join("nic"), "may not write"), (folder.join("others"), "may not use")]
    {
        let mut command = rxlab();
        command.args(["nic", "--socket"]).arg(&path);
        if root {
            // Root may do everything, and nobody nothing.
            command.uid(65_534).gid(65_534);
        } else if words == "may not use" {
            continue;
        }
        let Ok(output) = command.output() else {
            eprintln!("skipped: the program lies where only root may run it");
            return;
        };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains(words), "{said}");
    }
    drop(listener);
    assert!(folder.join("others").exists(), "what is another's stays");
}
