//! What a time was measured with and on, in one line.

use std::env::consts::ARCH;

/// The compiler that built this program, and the processor that runs it.
pub(super) fn line() -> String {
    format!("{}, {}", env!("RXLAB_RUSTC"), processor())
}

/// The processor as Linux names it; elsewhere only its architecture.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{} ({ARCH}), {cores} CPUs", name.unwrap_or("unknown processor"))
}
