//! A command, done.

use protocol::{Command, Reply};

use super::{files, interface, interrupts, ping, tcp, udp};

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
pub struct Work {}

/// Does it.
///
/// # Errors
/// What was in the way.
pub fn serve(command: Command, _work: &mut Work) -> Result<Reply, Refusal> {
    match command {
        Command::WriteFile { path, offset, data } => files::write(&path, offset, &data),
        Command::ReadFile { path, offset, len } => files::read(&path, offset, len),
        Command::Lockstep(_) => Err(Refusal::Value("this agent plays nothing in lockstep".into())),
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
        Command::PowerOff => Ok(Reply::Nothing),
    }
}
