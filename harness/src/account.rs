//! The account: every frame offered has exactly one fate, and every drop a reason that holds.
//!
//! [`Ledger`] follows each frame in flight from the wire to its fate. [`Tally`] counts fates: one
//! per queue, one per handle, one in total. [`law`] compares the tallies with what the components
//! themselves hold, after every event. [`Oracle`] keeps its own small picture of rings and buffers
//! and asks of each drop whether it had to be.
//!
//! A frame that several handles want has one fate in the total and in its queue, the worst it met:
//! dropped if any handle dropped it; else held while any handle holds it; else delivered if any
//! handle delivered it; else filtered. So a total without drops means that nobody lost anything.
//! Each handle's own tally counts the frames that the tap showed to that handle.

mod buffers;
mod checksum;
pub mod law;
mod ledger;
mod oracle;
mod reason;
mod rx_filter;
mod tally;
#[cfg(test)]
mod tests;

pub use buffers::HandleLimit;
pub use law::Broken;
pub use ledger::{Flight, HandleBook, Held, Ledger, QueueBook};
pub use oracle::{Claim, Limits, Oracle};
pub use reason::Reason;
pub use tally::Tally;
