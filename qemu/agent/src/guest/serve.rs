//! A command, done.

use protocol::{Command, Disturb, Driver, Reply, Start};

use super::linux::Linux;
use super::live::Live;
use super::lockstep::Runs;
use super::{files, interface, interrupts, ping, scenario, tcp, udp};

/// Why a command could not be done. The guest goes on.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The system refuses.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: String,
        /// What it says.
        error: std::io::Error,
    },
    /// A value makes no sense.
    #[error("{0}")]
    Value(String),
}

impl Refusal {
    /// Of an error of the system.
    pub fn system(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |error| Self::System { what, error }
    }
}

/// What goes on between commands.
#[derive(Default)]
pub struct Work {
    frames: Option<Frames>,
    lockstep: Runs,
}

/// Who takes frames.
enum Frames {
    Live(Live),
    Linux(Linux),
}

impl Work {
    fn start(&mut self, start: Start) -> Result<Reply, Refusal> {
        if self.frames.is_some() {
            return Err(Refusal::Value("the driver runs already: stop it first".into()));
        }
        let (frames, started) = match &start.driver {
            Driver::Vfio => {
                let (live, started) = Live::start(start)?;
                (Frames::Live(live), started)
            }
            Driver::Linux { interface, sockets } => {
                let scenario = scenario::read(&start)?;
                let (linux, started) = Linux::start(scenario, interface, *sockets)?;
                (Frames::Linux(linux), started)
            }
        };
        self.frames = Some(frames);
        // For who looks at the console to see how far a run is.
        eprintln!("rxlab-agent: frames are taken");
        Ok(Reply::Started(started))
    }

    fn account(&self) -> Result<Reply, Refusal> {
        match self.frames.as_ref().ok_or_else(nothing)? {
            Frames::Live(live) => live.account(),
            Frames::Linux(linux) => linux.account(),
        }
        .map(Reply::Account)
    }

    fn disturb(&self, what: Disturb) -> Result<Reply, Refusal> {
        match self.frames.as_ref().ok_or_else(nothing)? {
            Frames::Live(live) => live.disturb(what).map(|()| Reply::Nothing),
            Frames::Linux(_) => {
                Err(Refusal::Value("the interrupts are those of Linux's driver".into()))
            }
        }
    }

    fn stop(&mut self) -> Result<Reply, Refusal> {
        match self.frames.take().ok_or_else(nothing)? {
            Frames::Live(live) => live.stop(),
            Frames::Linux(linux) => linux.stop(),
        }
        .map(Reply::Account)
    }
}

fn nothing() -> Refusal {
    Refusal::Value("nothing runs: start it first".into())
}

/// Does it.
///
/// # Errors
/// What was in the way.
pub fn serve(command: Command, work: &mut Work) -> Result<Reply, Refusal> {
    match command {
        Command::WriteFile { path, offset, data } => files::write(&path, offset, &data),
        Command::ReadFile { path, offset, len } => files::read(&path, offset, len),
        Command::Lockstep(part) => work.lockstep.serve(part),
        Command::Configure { interface, address, prefix, mtu } => {
            interface::configure(&interface, address, prefix, mtu)
        }
        Command::SetChannels { interface, combined } => {
            interface::set_channels(&interface, combined)
        }
        Command::Channels { interface } => interface::channels(&interface),
        Command::Ring { interface } => interface::ring(&interface),
        Command::Statistics { interface } => interface::statistics(&interface),
        Command::Interrupts => interrupts::read(),
        Command::Ping { to, count, size, wait_ms } => ping::ping(to, count, size, wait_ms),
        Command::SendStream { to, bytes, seed } => tcp::send(to, bytes, seed),
        Command::ReceiveStream { from } => tcp::receive(from),
        Command::SendDatagrams { to, count, size, ports, pause_us } => {
            udp::send(to, count, size, ports, pause_us)
        }
        Command::ReceiveDatagrams { port, idle_ms } => udp::receive(port, idle_ms),
        Command::Start(start) => work.start(start),
        Command::Account => work.account(),
        Command::Disturb(what) => work.disturb(what),
        Command::Stop => work.stop(),
        Command::PowerOff => Ok(Reply::Nothing),
    }
}
