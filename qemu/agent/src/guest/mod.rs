//! The guest's life: set up, hello, commands, power off.

mod files;
mod init;
mod interface;
mod interrupts;
mod ioctl;
mod linux;
mod live;
mod lockstep;
mod packet;
mod ping;
mod scenario;
mod serve;
mod tcp;
mod udp;
mod vfio;

use std::any::Any;
use std::fs::File;

use protocol::frame::{self, FrameError};
use protocol::{FromGuest, Hello, ToGuest, VersionError};
use rustix::system::{RebootCommand, reboot};
use serve::Work;

/// Why the guest cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It cannot be set up.
    #[error("{what}: {error}")]
    Init {
        /// What was tried.
        what: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// The port to the host is not there.
    #[error("there is no virtio-serial port named {0}")]
    NoPort(&'static str),
    /// What the host said is no message.
    #[error("from the host: {0}")]
    Frame(#[from] FrameError),
    /// The host speaks another version.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The host does not keep to the protocol.
    #[error("the host said {0} where it must not")]
    OutOfTurn(&'static str),
    /// A panic.
    #[error("panic: {0}")]
    Panic(String),
}

/// Does all of it. Returns only if the machine cannot be powered off, and then the kernel stops it.
pub fn main() {
    let port = init::set_up();
    match port {
        Ok(port) => live(&port),
        Err(fault) => eprintln!("rxlab-agent: {fault}"),
    }
    rustix::fs::sync();
    if let Err(error) = reboot(RebootCommand::PowerOff) {
        eprintln!("rxlab-agent: cannot power off: {error}");
    }
}

fn live(port: &File) {
    // A thread, so that its panic ends in a value and not the guest.
    let life = std::thread::scope(|scope| scope.spawn(|| converse(port)).join());
    let fault = match life {
        Ok(Ok(())) => return,
        Ok(Err(fault)) => fault,
        Err(payload) => Fault::Panic(words(payload.as_ref())),
    };
    eprintln!("rxlab-agent: {fault}");
    if let Err(error) = frame::write(&mut &*port, &FromGuest::Fault(fault.to_string())) {
        eprintln!("rxlab-agent: and cannot tell the host: {error}");
    }
    // What was written lies in a ring until the host has taken it.
    let _ = rustix::event::poll(
        &mut [rustix::event::PollFd::new(port, rustix::event::PollFlags::OUT)],
        Some(&rustix::time::Timespec { tv_sec: 1, tv_nsec: 0 }),
    );
}

fn converse(mut port: &File) -> Result<(), Fault> {
    let system = rustix::system::uname();
    let system =
        format!("{} {}", system.sysname().to_string_lossy(), system.release().to_string_lossy());
    frame::write(&mut port, &FromGuest::Hello(Hello::of(system)))?;
    match frame::read(&mut port)? {
        ToGuest::Hello(hello) => hello.check()?,
        ToGuest::Command(_) => return Err(Fault::OutOfTurn("a command before its hello")),
    }
    let mut work = Work::default();
    loop {
        let command = match frame::read(&mut port) {
            Ok(ToGuest::Command(command)) => command,
            Ok(ToGuest::Hello(_)) => return Err(Fault::OutOfTurn("hello again")),
            // Nobody needs this guest any more.
            Err(FrameError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let last = command == protocol::Command::PowerOff;
        let answer = match serve::serve(command, &mut work) {
            Ok(reply) => FromGuest::Done(reply),
            Err(why) => FromGuest::Refused(why.to_string()),
        };
        frame::write(&mut port, &answer)?;
        if last {
            return Ok(());
        }
    }
}

fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no words".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{Command, Reply, VERSION};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    /// The guest's end of a conversation in which the host says these.
    fn with(said: &[&[u8]]) -> (Result<(), Fault>, Vec<FromGuest>) {
        let (mut host, guest) = UnixStream::pair().unwrap();
        let guest = File::from(OwnedFd::from(guest));
        use std::io::Write;
        said.iter().for_each(|bytes| host.write_all(bytes).unwrap());
        host.shutdown(std::net::Shutdown::Write).unwrap();
        let end = converse(&guest);
        drop(guest);
        let mut heard = Vec::new();
        while let Ok(message) = frame::read(&mut host) {
            heard.push(message);
        }
        (end, heard)
    }

    fn bytes(message: &ToGuest) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame::write(&mut bytes, message).unwrap();
        bytes
    }

    #[test]
    fn commands_are_answered_in_turn_until_power_off() {
        let hello = bytes(&ToGuest::Hello(Hello::of("test".into())));
        let bad = bytes(&ToGuest::Command(Command::Ring { interface: "no-such-one".into() }));
        let off = bytes(&ToGuest::Command(Command::PowerOff));
        let (end, heard) = with(&[&hello, &bad, &off, &off]);
        end.unwrap();
        let [FromGuest::Hello(hello), FromGuest::Refused(why), FromGuest::Done(Reply::Nothing)] =
            &heard[..]
        else {
            panic!("{heard:?}")
        };
        assert!(hello.version == VERSION && why.contains("no-such-one"), "{why}");
        let hello = bytes(&ToGuest::Hello(Hello::of("test".into())));
        with(&[&hello]).0.unwrap();
    }

    #[test]
    fn a_host_that_does_not_keep_to_the_protocol_is_a_fault() {
        let other = Hello { version: VERSION + 1, system: "test".into() };
        let off = bytes(&ToGuest::Command(Command::PowerOff));
        let hello = bytes(&ToGuest::Hello(Hello::of("test".into())));
        let fault = |said: &[&[u8]]| with(said).0.unwrap_err().to_string();
        assert!(fault(&[&bytes(&ToGuest::Hello(other))]).contains("version 2"));
        assert!(fault(&[&off]).contains("a command before its hello"));
        assert!(fault(&[&hello, &hello]).contains("hello again"));
        assert!(fault(&[&hello, &[0xff; 8]]).contains("at most 1048576"));
        assert!(fault(&[&hello, &[2, 0, 0, 0, b'{', b'}']]).contains("malformed"));
        assert!(fault(&[&hello, &off[..9]]).contains("in the middle of a message"));
    }

    #[test]
    fn a_panic_has_words() {
        for panics in [(|| panic!("one")) as fn(), || panic!("o{}", "ne")] {
            assert_eq!(words(std::panic::catch_unwind(panics).unwrap_err().as_ref()), "one");
        }
    }
}
