//! A running VM.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::time::{Duration, Instant};

use super::child::Child;
use super::command::{self, Files};
use super::error::VmError;
use super::options::{Accel, Options, Wire};
use super::port::{Folder, Until, last_of};
use super::qmp::Qmp;
use super::stop::Stop;
use super::version::Version;
use crate::protocol::frame::{self, FrameError};
use crate::protocol::{BLOB_MAX, Blob, Command, FromGuest, Hello, Reply, ToGuest};

const PROGRAM: &str = "qemu-system-x86_64";
/// Where the state of a guest that comes arrives, in the folder of the QEMU that it comes to.
const INCOMING: &str = "incoming";
/// How long QEMU may take to end when its guest has powered off.
const LAST_PATIENCE: Duration = Duration::from_secs(10);
/// How long what it has said may take to be heard, when its port is closed.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A QEMU whose guest has said hello.
pub struct Vm {
    child: Child,
    port: UnixStream,
    /// The other one, if there is one and nobody has taken it.
    device_port: Option<UnixStream>,
    /// What was read of the port already.
    early: Vec<u8>,
    files: Files,
    /// Where they are, and what takes them away in the end.
    place: PathBuf,
    _folder: Option<Folder>,
    stop: Stop,
    /// What the host is waiting for, in words.
    doing: String,
    /// Who executes.
    pub accel: Accel,
    /// Which QEMU it is.
    pub version: Version,
    /// Each ring of the NIC has an interrupt of its own (MSI-X).
    pub msix: bool,
    /// What the guest runs.
    pub system: String,
    /// From QEMU's start to the guest's hello.
    pub boot: Duration,
    /// What a user should know.
    pub notices: Vec<String>,
}

impl Vm {
    /// Starts QEMU and waits for the guest's hello.
    ///
    /// # Errors
    /// See [`VmError`]; nothing is left running then.
    pub fn start(options: &Options) -> Result<Self, VmError> {
        let program = options.qemu.clone().unwrap_or_else(|| PROGRAM.into());
        let version = Version::of(&program)?;
        if let Some(Wire::VhostUser(socket)) = options.nic.as_ref().map(|nic| &nic.wire)
            && !socket.exists()
        {
            return Err(VmError::NoNic { path: socket.clone() });
        }
        let kvm = || OpenOptions::new().read(true).write(true).open("/dev/kvm");
        let start = |accel, patience| Self::start_with(options, &program, version, accel, patience);
        match options.accel {
            Accel::Tcg => start(Accel::Tcg, options.patience),
            Accel::Kvm => {
                kvm().map_err(VmError::NoKvm)?;
                start(Accel::Kvm, options.patience)
            }
            Accel::Auto => {
                let why = match kvm() {
                    Err(error) => format!("no KVM (/dev/kvm: {error})"),
                    Ok(_) => match start(Accel::Kvm, options.patience_kvm) {
                        Ok(vm) => return Ok(vm),
                        Err(VmError::Silent { waited, .. }) => {
                            let waited = waited.as_secs_f64();
                            format!("under KVM the guest was silent for {waited:.1} s")
                        }
                        Err(VmError::Ended { status, .. }) => {
                            format!("with KVM QEMU has ended ({status})")
                        }
                        Err(error) => return Err(error),
                    },
                };
                let mut vm = start(Accel::Tcg, options.patience)?;
                vm.notices.push(format!("{why}: QEMU translates (tcg), which is slower"));
                Ok(vm)
            }
        }
    }

    fn start_with(
        options: &Options,
        program: &Path,
        version: Version,
        accel: Accel,
        patience: Duration,
    ) -> Result<Self, VmError> {
        let started = Instant::now();
        let mut vm = Self::spawn(options, program, version, accel, patience, false)?;
        if options.nic.is_some() && !vm.msix {
            vm.notices.push(format!(
                "QEMU {version} without KVM cannot give this NIC MSI-X: one interrupt for all its rings; \
                 {} can",
                Version::MSIX_WITHOUT_KVM
            ));
        }
        vm.greet(started + patience)?;
        vm.boot = started.elapsed();
        Ok(vm)
    }

    /// Starts QEMU, with a guest that boots or with one that is still to come; its port is connected.
    fn spawn(
        options: &Options,
        program: &Path,
        version: Version,
        accel: Accel,
        patience: Duration,
        comes: bool,
    ) -> Result<Self, VmError> {
        let system = |what| move |error| VmError::System { what, error };
        let folder = match options.folder {
            Some(_) => None,
            None => Some(Folder::new().map_err(system("a folder for the VM"))?),
        };
        let place = options.folder.clone().or_else(|| Some(folder.as_ref()?.0.clone()));
        let place = place.unwrap_or_default();
        let mut files = Files::in_folder(&place, options.console.clone());
        files.incoming = comes.then(|| place.join(INCOMING));
        let listen = |path: &Path| {
            // Of a start that failed.
            let _ = std::fs::remove_file(path);
            let listener = UnixListener::bind(path)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        let listener = listen(&files.agent).map_err(system("the agent's socket"))?;
        let device = match options.device_port {
            true => Some(listen(&files.device).map_err(system("the device's socket"))?),
            false => None,
        };
        let log = File::create(&files.log).map_err(system("a file for what QEMU says"))?;
        let mut process = Process::new(program);
        process.args(command::arguments(options, version, accel, &files));
        let started = Instant::now();
        let deadline = started + patience;
        let mut child = Child::start(process, &log).map_err(system("starting QEMU"))?;
        let doing = "before its hello".to_owned();
        let mut accept = |listener: UnixListener, what| loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).map_err(system(what))?;
                    return Ok(stream);
                }
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    return Err(VmError::System { what, error });
                }
                Err(_) if Instant::now() > deadline => {
                    let (qemu, console) = (last_of(&files.log), last_of(&files.console));
                    let (waited, doing) = (started.elapsed(), doing.clone());
                    return Err(VmError::Silent { waited, doing, qemu, console });
                }
                Err(_) => {}
            }
            if let Some(stopped) = options.stop.now() {
                let (doing, console) = (doing.clone(), last_of(&files.console));
                return Err(VmError::Stopped { stopped, doing, console });
            }
            if let Some(status) = child.wait(Duration::from_millis(5)) {
                let (qemu, console) = (last_of(&files.log), last_of(&files.console));
                return Err(VmError::Ended { status, doing: doing.clone(), qemu, console });
            }
        };
        let port = accept(listener, "the agent's socket")?;
        let device_port = device.map(|device| accept(device, "the device's socket")).transpose()?;
        Ok(Self {
            child,
            port,
            device_port,
            early: Vec::new(),
            files,
            place,
            _folder: folder,
            stop: options.stop.clone(),
            doing,
            accel,
            version,
            msix: options.nic.as_ref().is_some_and(|nic| command::msix(nic, version, accel)),
            system: String::new(),
            boot: Duration::ZERO,
            notices: Vec::new(),
        })
    }

    /// Moves the guest, while it runs, into another QEMU of the same make, with another NIC behind the same
    /// kind of device. What was begun in the guest goes on there.
    ///
    /// # Errors
    /// The other QEMU cannot be started, or the guest's state does not get there; the guest is lost then.
    pub fn migrate(mut self, options: &Options, patience: Duration) -> Result<Self, VmError> {
        let program = options.qemu.clone().unwrap_or_else(|| PROGRAM.into());
        let (version, accel) = (Version::of(&program)?, self.accel);
        let mut there = Self::spawn(options, &program, version, accel, patience, true)?;
        let incoming = there.place.join(INCOMING);
        // It listens a moment after it has connected the port.
        let deadline = Instant::now() + patience;
        while !incoming.exists() && Instant::now() < deadline {
            there.check()?;
            std::thread::sleep(Duration::from_millis(5));
        }
        Qmp::connect(&self.files.control)?.migrate(&incoming, patience)?;
        // What the guest said before it left.
        let nonblocking = self.port.set_nonblocking(true);
        nonblocking.map_err(|error| VmError::System { what: "the agent's socket", error })?;
        let early = &mut self.early;
        match self.port.read_to_end(early) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                return Err(VmError::System { what: "the agent's socket", error });
            }
            _ => {}
        }
        there.early = std::mem::take(early);
        there.doing = std::mem::take(&mut self.doing);
        there.system = std::mem::take(&mut self.system);
        there.boot = self.boot;
        there.check()?;
        Ok(there)
    }

    /// The guest's hello, and ours.
    fn greet(&mut self, deadline: Instant) -> Result<(), VmError> {
        match self.hear(deadline)? {
            FromGuest::Hello(hello) => {
                hello.check()?;
                self.system = hello.system;
            }
            other => return Err(self.out_of_turn(&other)),
        }
        self.say(&ToGuest::Hello(Hello::of("host".into())))
    }

    /// QEMU's process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The folder with this VM's files, which goes with it unless it was given.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.place
    }

    /// Only this ends waits for the guest early from now on.
    pub fn heed(&mut self, stop: Stop) {
        self.stop = stop;
    }

    /// The host's end of [`DEVICE_PORT`](crate::protocol::lockstep::DEVICE_PORT), the first time it is asked for.
    pub fn take_device_port(&mut self) -> Option<UnixStream> {
        self.device_port.take()
    }

    /// Writes a file in the guest, of whatever length.
    ///
    /// # Errors
    /// As [`Vm::call`].
    pub fn write_file(
        &mut self,
        path: &str,
        bytes: &[u8],
        patience: Duration,
    ) -> Result<(), VmError> {
        let mut offset = 0;
        loop {
            let part = &bytes[offset..bytes.len().min(offset + BLOB_MAX)];
            let data = Blob(part.to_vec());
            let command = Command::WriteFile { path: path.into(), offset: offset as u64, data };
            self.call(command, patience)?;
            offset += part.len();
            if offset == bytes.len() {
                return Ok(());
            }
        }
    }

    /// Reads a file of the guest's to its end, into `out`; how many bytes there were.
    ///
    /// # Errors
    /// As [`Vm::call`], or `out` refuses.
    pub fn read_file(
        &mut self,
        path: &str,
        out: &mut impl io::Write,
        patience: Duration,
    ) -> Result<u64, VmError> {
        let mut offset = 0;
        loop {
            let len = BLOB_MAX as u32;
            let command = Command::ReadFile { path: path.into(), offset, len };
            let Blob(part) = match self.call(command, patience)? {
                Reply::Data(part) => part,
                _ => return Err(self.out_of_words()),
            };
            let written = out.write_all(&part);
            written
                .map_err(|error| VmError::System { what: "writing what the guest has", error })?;
            offset += part.len() as u64;
            if part.len() < BLOB_MAX {
                return Ok(offset);
            }
        }
    }

    /// Has the guest do something, and waits for it.
    ///
    /// # Errors
    /// The guest refuses, which leaves it as it is; or the VM is at its end.
    pub fn call(&mut self, command: Command, patience: Duration) -> Result<Reply, VmError> {
        self.begin(command)?;
        self.finish(patience)
    }

    /// Has the guest begin something. [`Vm::finish`] must follow.
    ///
    /// # Errors
    /// The VM is at its end.
    pub fn begin(&mut self, command: Command) -> Result<(), VmError> {
        self.doing = format!("at {}", in_short(&command));
        self.say(&ToGuest::Command(command))
    }

    /// Waits for the end of what was begun.
    ///
    /// # Errors
    /// As [`Vm::call`].
    pub fn finish(&mut self, patience: Duration) -> Result<Reply, VmError> {
        let heard = self.hear(Instant::now() + patience)?;
        self.check()?;
        match heard {
            FromGuest::Done(reply) => Ok(reply),
            FromGuest::Refused(why) => {
                Err(VmError::Refused { why, doing: std::mem::take(&mut self.doing) })
            }
            other => Err(self.out_of_turn(&other)),
        }
    }

    /// Whether QEMU still runs, and with the NIC that it was given.
    ///
    /// # Errors
    /// It does not.
    pub fn check(&mut self) -> Result<(), VmError> {
        if let Some(status) = self.child.wait(Duration::ZERO) {
            return Err(self.ended(status));
        }
        let said = std::fs::read_to_string(&self.files.log).unwrap_or_default();
        match said.lines().find(|line| line.contains("falling back on userspace virtio")) {
            Some(line) => Err(VmError::WithoutNic { line: line.into() }),
            None => Ok(()),
        }
    }

    /// What QEMU has said so far.
    #[must_use]
    pub fn log(&self) -> String {
        last_of(&self.files.log)
    }

    /// Has the guest power off, and waits for QEMU's end.
    ///
    /// # Errors
    /// It does not, or not by itself: then it is killed.
    pub fn power_off(mut self) -> Result<(), VmError> {
        self.call(Command::PowerOff, LAST_PATIENCE)?;
        match self.child.wait(LAST_PATIENCE) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(self.ended(status)),
            None => Err(self.silent(LAST_PATIENCE)),
        }
    }

    /// Kills QEMU, as a crash would.
    pub fn kill(mut self) {
        self.child.kill();
    }

    fn say(&mut self, message: &ToGuest) -> Result<(), VmError> {
        let limit = self.port.set_write_timeout(Some(LAST_PATIENCE));
        limit.map_err(|error| VmError::System { what: "the agent's socket", error })?;
        let Err(error) = frame::write(&mut self.port, message) else { return Ok(()) };
        // A guest that gives up says so before it closes its port.
        match self.hear(Instant::now() + LAST_WORDS) {
            Err(fault @ VmError::Fault { .. }) => Err(fault),
            _ => Err(self.broken(error, LAST_PATIENCE)),
        }
    }

    fn hear(&mut self, deadline: Instant) -> Result<FromGuest, VmError> {
        let started = Instant::now();
        let Self { port, early, stop, .. } = self;
        let heard = frame::read(&mut Until { early, stream: port, deadline, stop });
        match heard.map_err(|error| self.broken(error, started.elapsed()))? {
            FromGuest::Fault(why) => {
                // What led to it is on the console a moment later.
                let _ = self.child.wait(Duration::from_secs(2));
                let console = last_of(&self.files.console);
                Err(VmError::Fault { why, doing: self.doing.clone(), console })
            }
            other => Ok(other),
        }
    }

    /// What a port that fails means.
    fn broken(&mut self, error: FrameError, waited: Duration) -> VmError {
        if let FrameError::System(error) = &error
            && matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
        {
            let Some(stopped) = self.stop.now() else { return self.silent(waited) };
            let (doing, console) = (self.doing.clone(), last_of(&self.files.console));
            return VmError::Stopped { stopped, doing, console };
        }
        // A port that closes is QEMU's end, more often than not.
        match self.child.wait(Duration::from_millis(500)) {
            Some(status) => self.ended(status),
            None => {
                let console = last_of(&self.files.console);
                VmError::Port { error, doing: self.doing.clone(), console }
            }
        }
    }

    fn ended(&self, status: std::process::ExitStatus) -> VmError {
        let (qemu, console) = (last_of(&self.files.log), last_of(&self.files.console));
        VmError::Ended { status, doing: self.doing.clone(), qemu, console }
    }

    fn silent(&self, waited: Duration) -> VmError {
        let (qemu, console) = (last_of(&self.files.log), last_of(&self.files.console));
        VmError::Silent { waited, doing: self.doing.clone(), qemu, console }
    }

    /// What it means when the guest has answered a command with what belongs to another one.
    #[must_use]
    pub fn out_of_words(&self) -> VmError {
        VmError::OutOfTurn { said: "what answers another command", doing: self.doing.clone() }
    }

    fn out_of_turn(&self, heard: &FromGuest) -> VmError {
        let said = match heard {
            FromGuest::Hello(_) => "hello",
            FromGuest::Done(_) => "that something was done",
            FromGuest::Refused(_) => "that it refuses something",
            FromGuest::Fault(_) => "that it gives up",
        };
        VmError::OutOfTurn { said, doing: self.doing.clone() }
    }
}

/// A command for people to read; some have a file in them.
fn in_short(command: &Command) -> String {
    const LONGEST: usize = 100;
    let words = format!("{command:?}");
    match words.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} ...", &words[..end]),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::VERSION;
    use std::io::Write;

    /// A VM with a process that does something, and a port at which a guest has said something.
    fn with(process: &[&str], said: &[u8]) -> (Vm, UnixStream) {
        let folder = Folder::new().unwrap();
        let files = Files::in_folder(&folder.0, None);
        std::fs::write(&files.console, "the last line").unwrap();
        let mut command = Process::new(process[0]);
        command.args(&process[1..]);
        let child = Child::start(command, &File::create(&files.log).unwrap()).unwrap();
        let (port, mut guest) = UnixStream::pair().unwrap();
        guest.write_all(said).unwrap();
        let vm = Vm {
            child,
            port,
            device_port: None,
            early: Vec::new(),
            files,
            place: folder.0.clone(),
            _folder: Some(folder),
            stop: Stop::default(),
            doing: "before its hello".into(),
            accel: Accel::Tcg,
            version: Version::OLDEST,
            msix: false,
            system: String::new(),
            boot: Duration::ZERO,
            notices: Vec::new(),
        };
        (vm, guest)
    }

    fn bytes(message: &FromGuest) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame::write(&mut bytes, message).unwrap();
        bytes
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(200)
    }

    fn hello() -> FromGuest {
        FromGuest::Hello(Hello::of("Linux".into()))
    }

    #[test]
    fn whatever_a_guest_says_instead_of_hello_is_named() {
        let said = |bytes: &[u8]| {
            let (mut vm, guest) = with(&["sleep", "60"], bytes);
            guest.shutdown(std::net::Shutdown::Write).unwrap();
            vm.greet(soon()).unwrap_err()
        };
        let other = FromGuest::Hello(Hello { version: VERSION + 1, system: "Linux".into() });
        assert!(matches!(said(&bytes(&other)), VmError::Version(_)));
        assert!(matches!(
            said(&bytes(&FromGuest::Done(Reply::Nothing))),
            VmError::OutOfTurn { .. }
        ));
        assert!(matches!(
            said(&[0xff; 8]),
            VmError::Port { error: FrameError::TooLong { .. }, .. }
        ));
        assert!(matches!(said(&[1, 0]), VmError::Port { error: FrameError::Cut { .. }, .. }));
        assert!(matches!(said(&[]), VmError::Port { error: FrameError::Closed, .. }));
        let fault = said(&bytes(&FromGuest::Fault("no module".into()))).to_string();
        assert!(fault.contains("no module") && fault.contains("the last line"), "{fault}");
    }

    #[test]
    fn silence_and_an_end_are_told_apart() {
        let (mut vm, _guest) = with(&["sleep", "60"], &bytes(&hello()));
        vm.greet(soon()).unwrap();
        let error = vm.call(Command::Interrupts, Duration::from_millis(100)).unwrap_err();
        assert!(matches!(error, VmError::Silent { .. }), "{error}");
        assert!(error.to_string().contains("at Interrupts"), "{error}");
        let (mut vm, guest) = with(&["sh", "-c", "exit 3"], &[]);
        drop(guest);
        assert!(matches!(vm.greet(soon()).unwrap_err(), VmError::Ended { .. }));
    }

    #[test]
    fn a_qemu_that_does_without_its_nic_is_found_out() {
        let said = "unable to start vhost net: 22: falling back on userspace virtio";
        let (mut vm, mut guest) =
            with(&["sh", "-c", &format!("echo {said}; sleep 60")], &bytes(&hello()));
        vm.greet(soon()).unwrap();
        while vm.log().is_empty() {}
        guest.write_all(&bytes(&FromGuest::Done(Reply::Nothing))).unwrap();
        let error = vm.call(Command::Interrupts, Duration::from_secs(5)).unwrap_err();
        assert!(matches!(&error, VmError::WithoutNic { line } if line == said), "{error}");
    }
}
