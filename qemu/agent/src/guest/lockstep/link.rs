//! The ways to the host's NIC: a port for calls, the PCI device for doorbells and interrupts.

use std::fs::File;
use std::time::Duration;

use harness::world::nic::message::{Answer, Call};
use harness::world::nic::remote::Link;
use protocol::frame;
use protocol::lockstep::DEVICE_PORT;

use super::super::{Fault, init};
use super::carrier::Carrier;

/// How long the port may take to be there.
const PATIENCE: Duration = Duration::from_secs(5);

/// See the module's contract.
pub struct PortLink {
    port: File,
    carrier: Carrier,
}

impl PortLink {
    /// Over the port that the machine has for it.
    ///
    /// # Errors
    /// It has none.
    pub fn open(carrier: Carrier) -> Result<Self, Fault> {
        Ok(Self { port: init::open_port(DEVICE_PORT, PATIENCE)?, carrier })
    }
}

impl Link for PortLink {
    fn call(&mut self, call: &Call) -> Result<Answer, String> {
        let bytes = call.to_bytes().map_err(|error| format!("a call: {error}"))?;
        let there = |error| format!("the host's NIC: {error}");
        frame::write_bytes(&mut self.port, &bytes).map_err(there)?;
        let answer = frame::read_bytes(&mut self.port).map_err(there)?;
        Answer::from_bytes(&answer).map_err(|error| format!("the host's answer: {error}"))
    }

    fn ring(&mut self, virtqueue: u16) -> Result<(), String> {
        self.carrier.ring(virtqueue);
        Ok(())
    }

    fn await_message(&mut self, vector: u16) -> Result<(), String> {
        self.carrier.await_message(vector)
    }
}
