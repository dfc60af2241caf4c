//! Threads that store, each as a CPU of its own, and one that reads at the same time.
//!
//! A producer waits while as much of it is stored and not read as a group has, so that no buffer
//! overflows; who waits yields. The time is that from the common start to the last frame read.

use super::target::{Count, SharedTarget};
use super::{BATCH, Load};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Frames of each producer that have been read, on cache lines of their own.
#[derive(Default)]
#[repr(align(128))]
struct Progress(AtomicU64);

/// Times so many producers and the reader.
pub(super) fn run<T: SharedTarget>(
    target: &T,
    producers: u16,
    load: Load,
) -> Result<Duration, String> {
    // In whole batches, the same for each.
    let share = load.frames / u64::from(producers) / BATCH as u64 * BATCH as u64;
    let progress: [Progress; 2] = Default::default();
    let start = Barrier::new(usize::from(producers) + 1);
    let failed = AtomicBool::new(false);
    thread::scope(|scope| {
        for (cpu, progress) in (0..producers).zip(&progress) {
            let (start, failed) = (&start, &failed);
            scope.spawn(move || {
                let batch = load.batch();
                let frames: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
                let most = load.group() as u64;
                start.wait();
                for stored in (0..share).step_by(BATCH) {
                    while stored + BATCH as u64 - progress.0.load(Ordering::Acquire) > most {
                        if failed.load(Ordering::Relaxed) {
                            return;
                        }
                        thread::yield_now();
                    }
                    target.store(cpu, &frames);
                }
            });
        }
        let mut reader = target.reader();
        let mut count = Count::default();
        start.wait();
        let started = Instant::now();
        while count.total() < share * u64::from(producers) {
            let before = count.total();
            if let Err(error) = target.read(&mut reader, &mut count) {
                failed.store(true, Ordering::Relaxed);
                return Err(error);
            }
            for (delivered, progress) in count.delivered.iter().zip(&progress) {
                progress.0.store(*delivered, Ordering::Release);
            }
            if count.total() == before {
                thread::yield_now();
            }
        }
        Ok(scale(started.elapsed(), load.frames, share * u64::from(producers)))
    })
}

/// The time that all frames would have taken, if `done` of them were run.
fn scale(time: Duration, frames: u64, done: u64) -> Duration {
    time.mul_f64(frames as f64 / done.max(1) as f64)
}
