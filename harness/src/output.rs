//! What a run leaves behind: files that end well formed, and the formats written into them.

pub mod file;
pub mod pcapng;
pub mod stdout;
