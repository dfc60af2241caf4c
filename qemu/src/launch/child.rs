//! QEMU as a process that never outlives this one.
//!
//! Contract: the process is killed when the value is dropped, and by the kernel when this program ends in
//! another way. It is signalled through a descriptor of its own, so that no other process can be hit.
//!
//! # Unsafe
//! What a process does between fork and exec: one system call, which asks the kernel for that kill.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use rustix::process::{
    Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal, set_parent_process_death_signal,
};

/// See the module's contract.
pub struct Child {
    id: u32,
    process: OwnedFd,
    exit: Receiver<ExitStatus>,
    ended: Option<ExitStatus>,
}

impl Child {
    /// Starts `command`, with nothing to read and its words in `log`.
    ///
    /// # Errors
    /// The system refuses.
    pub fn start(mut command: Command, log: &File) -> io::Result<Self> {
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
        let parent = rustix::process::getpid();
        // SAFETY: between fork and exec only system calls may be made; these are two, and no memory is
        // allocated.
        unsafe {
            command.pre_exec(move || {
                set_parent_process_death_signal(Some(Signal::KILL))?;
                // It may have ended before.
                match rustix::process::getppid() {
                    Some(id) if id == parent => Ok(()),
                    _ => Err(rustix::io::Errno::SRCH.into()),
                }
            });
        }
        let (started, start) = sync_channel(1);
        let (ended, exit) = sync_channel(1);
        // The kernel takes the thread that has started a process for its parent: this one stays.
        let keeper = std::thread::Builder::new().name("qemu".into());
        keeper.spawn(move || {
            let child = command.spawn().and_then(|child| {
                let id = Pid::from_child(&child);
                Ok((child, pidfd_open(id, PidfdFlags::empty())?))
            });
            match child {
                Err(error) => drop(started.send(Err(error))),
                Ok((mut child, process)) => {
                    let _ = started.send(Ok((child.id(), process)));
                    if let Ok(status) = child.wait() {
                        // Nobody may want to know.
                        let _ = ended.send(status);
                    }
                }
            }
        })?;
        let (id, process) =
            start.recv().map_err(|_| io::Error::other("the thread that starts it has died"))??;
        Ok(Self { id, process, exit, ended: None })
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// How it ended, if it does within a time.
    pub fn wait(&mut self, time: Duration) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.exit.recv_timeout(time).ok();
        }
        self.ended
    }

    /// Kills it, and waits until it is gone.
    pub fn kill(&mut self) {
        if self.ended.is_none() {
            // It may have ended by itself.
            let _ = pidfd_send_signal(&self.process, Signal::KILL);
            let _ = self.wait(Duration::from_secs(5));
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> File {
        File::options().write(true).open("/dev/null").unwrap()
    }

    #[test]
    fn it_ends_with_its_owner() {
        let mut command = Command::new("sleep");
        command.arg("600");
        // Started in a thread that has ended: that must not end it.
        let mut child =
            std::thread::spawn(|| Child::start(command, &log()).unwrap()).join().unwrap();
        assert_eq!(child.wait(Duration::from_millis(50)), None);
        let id = child.id();
        drop(child);
        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn its_end_and_its_absence_are_told() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 7"]);
        let mut child = Child::start(command, &log()).unwrap();
        assert_eq!(child.wait(Duration::from_secs(20)).and_then(|status| status.code()), Some(7));
        assert!(Child::start(Command::new("no-such-program"), &log()).is_err());
    }
}
