//! What a capture needs from its surroundings: an adapter, a clock, and somebody who lets time pass.
//!
//! Contract: time only passes inside [`Platform::wait`], [`Platform::sleep`] and, where the surroundings
//! charge for system calls, inside reads; so a capture sees one instant between two of these calls.
//! Surroundings that several captures share are lent as `&RefCell<P>`, those of one as `&mut P`.

use super::{CaptureError, Settings};
use crate::{
    Adapter, ControlError, HandleCounters, HandleOptions, Host, Injected, Mode, Read, ReadError,
    Taken, Transmission, Transmitted, ViewError, ZeroCopyReader,
};
use std::cell::RefCell;

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// A read is served now.
    Ready,
    /// The time-out came first.
    TimedOut,
    /// Nothing will come any more: the traffic has ended and time has given what it could.
    Ended,
    /// Somebody wants the program to stop, as a signal does.
    Interrupted,
}

/// The surroundings of a capture.
pub trait Platform {
    /// Who is told what the adapter does.
    type Host: Host;

    /// Calls `ask` with the time, in picoseconds, and the adapter with its host.
    fn with<T>(&mut self, ask: impl FnOnce(u64, &mut Adapter, &mut Self::Host) -> T) -> T;

    /// What a new capture begins with; [`Settings::default`] is what `pcap_create` gives.
    fn settings(&self) -> Settings {
        Settings::default()
    }

    /// Opens a handle.
    ///
    /// # Errors
    ///
    /// What the adapter refuses; what the surroundings do not have.
    fn open(&mut self, options: HandleOptions) -> Result<u32, CaptureError> {
        Ok(self.with(|_, adapter, _| adapter.open(options))?)
    }

    /// Closes a handle; gives its final account.
    ///
    /// # Errors
    ///
    /// No such handle.
    fn close(&mut self, handle: u32) -> Result<HandleCounters, ControlError> {
        self.with(|now, adapter, host| adapter.close(now, handle, host))
    }

    /// Sets what becomes of the frames that the filter accepts.
    ///
    /// # Errors
    ///
    /// As [`Adapter::set_mode`].
    fn set_mode(&mut self, handle: u32, mode: Mode) -> Result<(), ControlError> {
        self.with(|now, adapter, host| adapter.set_mode(now, handle, mode, host))
    }

    /// Lets time pass until a read of the handle is served ([`Adapter::ready`]), for `timeout_ps` at
    /// most; `None` waits for ever.
    fn wait(&mut self, handle: u32, timeout_ps: Option<u64>) -> Waited;

    /// Lets time pass until `until`, whatever comes. [`Waited::TimedOut`] or, if it ended earlier,
    /// how.
    fn sleep(&mut self, handle: u32, until: u64) -> Waited;

    /// Reads what there is.
    ///
    /// # Errors
    ///
    /// As [`Adapter::read`].
    fn read(&mut self, handle: u32, out: &mut [u8]) -> Result<Read, ReadError> {
        self.with(|now, adapter, host| adapter.read(now, handle, out, host))
    }

    /// Lets the reader of shared buffers look.
    ///
    /// # Errors
    ///
    /// As [`ZeroCopyReader::poll`].
    fn poll(&mut self, handle: u32, reader: &mut ZeroCopyReader) -> Result<Taken, ViewError> {
        let _ = handle;
        self.with(|now, adapter, host| reader.poll(now, adapter, host))
    }

    /// Sends a frame.
    ///
    /// # Errors
    ///
    /// As [`Adapter::inject`]; surroundings that cannot send.
    fn inject(&mut self, handle: u32, frame: &[u8]) -> Result<Injected, CaptureError> {
        Ok(self.with(|now, adapter, host| adapter.inject(now, 0, handle, frame, host))?)
    }

    /// Goes on with sending a queue.
    ///
    /// # Errors
    ///
    /// As [`Adapter::transmit`]; surroundings that cannot send.
    fn transmit(
        &mut self,
        handle: u32,
        queue: &[u8],
        transmission: &mut Transmission,
    ) -> Result<Transmitted, CaptureError> {
        Ok(self.with(|now, adapter, host| {
            adapter.transmit(now, 0, handle, queue, transmission, host)
        })?)
    }
}

impl<P: Platform> Platform for &mut P {
    type Host = P::Host;

    fn with<T>(&mut self, ask: impl FnOnce(u64, &mut Adapter, &mut Self::Host) -> T) -> T {
        (**self).with(ask)
    }

    fn settings(&self) -> Settings {
        (**self).settings()
    }

    fn open(&mut self, options: HandleOptions) -> Result<u32, CaptureError> {
        (**self).open(options)
    }

    fn close(&mut self, handle: u32) -> Result<HandleCounters, ControlError> {
        (**self).close(handle)
    }

    fn set_mode(&mut self, handle: u32, mode: Mode) -> Result<(), ControlError> {
        (**self).set_mode(handle, mode)
    }

    fn wait(&mut self, handle: u32, timeout_ps: Option<u64>) -> Waited {
        (**self).wait(handle, timeout_ps)
    }

    fn sleep(&mut self, handle: u32, until: u64) -> Waited {
        (**self).sleep(handle, until)
    }

    fn read(&mut self, handle: u32, out: &mut [u8]) -> Result<Read, ReadError> {
        (**self).read(handle, out)
    }

    fn poll(&mut self, handle: u32, reader: &mut ZeroCopyReader) -> Result<Taken, ViewError> {
        (**self).poll(handle, reader)
    }

    fn inject(&mut self, handle: u32, frame: &[u8]) -> Result<Injected, CaptureError> {
        (**self).inject(handle, frame)
    }

    fn transmit(
        &mut self,
        handle: u32,
        queue: &[u8],
        transmission: &mut Transmission,
    ) -> Result<Transmitted, CaptureError> {
        (**self).transmit(handle, queue, transmission)
    }
}

/// Borrowed only for the length of each call, never while a callback runs.
impl<P: Platform> Platform for &RefCell<P> {
    type Host = P::Host;

    fn with<T>(&mut self, ask: impl FnOnce(u64, &mut Adapter, &mut Self::Host) -> T) -> T {
        self.borrow_mut().with(ask)
    }

    fn settings(&self) -> Settings {
        self.borrow().settings()
    }

    fn open(&mut self, options: HandleOptions) -> Result<u32, CaptureError> {
        self.borrow_mut().open(options)
    }

    fn close(&mut self, handle: u32) -> Result<HandleCounters, ControlError> {
        self.borrow_mut().close(handle)
    }

    fn set_mode(&mut self, handle: u32, mode: Mode) -> Result<(), ControlError> {
        self.borrow_mut().set_mode(handle, mode)
    }

    fn wait(&mut self, handle: u32, timeout_ps: Option<u64>) -> Waited {
        self.borrow_mut().wait(handle, timeout_ps)
    }

    fn sleep(&mut self, handle: u32, until: u64) -> Waited {
        self.borrow_mut().sleep(handle, until)
    }

    fn read(&mut self, handle: u32, out: &mut [u8]) -> Result<Read, ReadError> {
        self.borrow_mut().read(handle, out)
    }

    fn poll(&mut self, handle: u32, reader: &mut ZeroCopyReader) -> Result<Taken, ViewError> {
        self.borrow_mut().poll(handle, reader)
    }

    fn inject(&mut self, handle: u32, frame: &[u8]) -> Result<Injected, CaptureError> {
        self.borrow_mut().inject(handle, frame)
    }

    fn transmit(
        &mut self,
        handle: u32,
        queue: &[u8],
        transmission: &mut Transmission,
    ) -> Result<Transmitted, CaptureError> {
        self.borrow_mut().transmit(handle, queue, transmission)
    }
}
