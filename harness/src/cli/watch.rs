//! Ctrl-C and the progress bar: what watches a run from outside.

use crate::interrupt::Interrupt;
use crate::world::embedded::Watch;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Watches for Ctrl-C and shows how far the run is, on a terminal only.
pub struct Watcher {
    interrupt: Interrupt,
    bar: ProgressBar,
}

impl Watcher {
    /// A watcher of a run of `frames` frames, if the number is known.
    #[must_use]
    pub fn new(interrupt: Interrupt, frames: Option<u64>) -> Self {
        let bar = match frames {
            Some(frames) => ProgressBar::new(frames),
            None => ProgressBar::new_spinner(),
        };
        // Hidden by itself when stderr is no terminal.
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        if let Ok(style) =
            ProgressStyle::with_template("{human_pos} of {human_len} frames  {per_sec}")
        {
            bar.set_style(style);
        }
        Self { interrupt, bar }
    }
}

impl Watch for Watcher {
    fn stop(&mut self, offered: u64, _now_ps: u64) -> bool {
        self.bar.set_position(offered);
        self.interrupt.requested()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
