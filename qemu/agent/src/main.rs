//! `rxlab-agent`: process 1 of the guest. Sets the guest up, does what the host says, and powers off.
//!
//! Contract: whatever goes wrong, a panic too, is told to the host as a fault before the guest powers off,
//! once the port to the host is open; before that it is told on the console.

#[cfg(target_os = "linux")]
mod guest;

#[cfg(target_os = "linux")]
fn main() {
    if rustix::process::getpid().as_raw_nonzero().get() != 1 {
        eprintln!(
            "rxlab-agent is process 1 of a guest that rxlab starts; it does nothing elsewhere"
        );
        std::process::exit(2);
    }
    guest::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("rxlab-agent runs in a Linux guest");
    std::process::exit(2);
}
