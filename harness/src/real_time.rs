//! What threads in real time share: their clock, and the CPU they stay on.
//!
//! Contract: times are ps since the clock began. Not checked: that the wall clock runs evenly.

use std::time::Instant;

/// A clock that begins when it is made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    begun: Instant,
}

impl Clock {
    /// It is 0 now.
    #[must_use]
    pub fn start() -> Self {
        Self { begun: Instant::now() }
    }

    /// What it is now.
    #[inline]
    #[must_use]
    pub fn now(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64 * 1000
    }

    /// What it was, or will be, at `moment`; 0 before it began.
    #[must_use]
    pub fn at(&self, moment: Instant) -> u64 {
        moment.saturating_duration_since(self.begun).as_nanos() as u64 * 1000
    }
}

/// The CPU of lane `number` where lanes take `cpus` in turn; none of them: wherever.
#[must_use]
pub fn in_turn(cpus: &[usize], number: u16) -> Option<usize> {
    cpus.get(usize::from(number) % cpus.len().max(1)).copied()
}

/// This thread stays on that CPU, if it is one of this machine's.
pub fn stay_on(cpu: Option<usize>) {
    let Some(cpu) = cpu else { return };
    let mut cpus = rustix::thread::CpuSet::new();
    if cpu < rustix::thread::CpuSet::MAX_CPU {
        cpus.set(cpu);
        // A machine without that CPU is served by any.
        let _ = rustix::thread::sched_setaffinity(None, &cpus);
    }
}

/// Refuses CPUs that this process may not use.
///
/// # Errors
/// The first of them, and which there are.
pub fn check_cpus(cpus: &[usize]) -> Result<(), NoSuchCpu> {
    let usable = usable_cpus();
    match cpus.iter().find(|cpu| !usable.contains(cpu)) {
        Some(cpu) => Err(NoSuchCpu { cpu: *cpu, usable }),
        None => Ok(()),
    }
}

/// A CPU was asked for that this process may not use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--cpus: there is no CPU {cpu} for this process; it may use {usable:?}")]
pub struct NoSuchCpu {
    /// Which.
    pub cpu: usize,
    /// Those that it may use.
    pub usable: Vec<usize>,
}

/// The CPUs that this process may use.
#[must_use]
pub fn usable_cpus() -> Vec<usize> {
    let Ok(allowed) = rustix::thread::sched_getaffinity(None) else { return Vec::new() };
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_take_the_cpus_in_turn() {
        assert_eq!([0, 1, 2].map(|lane| in_turn(&[5, 7], lane)), [Some(5), Some(7), Some(5)]);
        assert_eq!(in_turn(&[], 3), None);
    }

    #[test]
    fn a_cpu_that_there_is_not_is_no_harm() {
        stay_on(Some(usize::MAX));
        stay_on(None);
        assert_eq!(check_cpus(&usable_cpus()), Ok(()));
        let refused = check_cpus(&[usize::MAX]).unwrap_err();
        assert!(refused.to_string().contains("there is no CPU 18446744073709551615"), "{refused}");
    }
}
