//! The device as a driver and a wire see it, one module per promise.

mod account;
mod hostile;
mod interrupts;
mod negotiation;
mod receive;
mod rig;
mod steering;
mod transmit;
