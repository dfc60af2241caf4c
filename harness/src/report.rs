//! Reports: what a run says when it is over.
//!
//! [`json`] is `result.json`, versioned by its field `v` and described by `schemas/result.schema.json`.
//! [`ethtool`] tells the account in the words of Linux. [`text`] is the same for a terminal: a table, the reasons, and the closing lines, which are the
//! account and the command that repeats it.

pub mod ethtool;
pub mod json;
pub mod text;
