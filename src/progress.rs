//! What a person sees of long work: a spinner on a terminal, nothing in a pipe, and one
//! line per finished step on standard error.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

static QUIET: AtomicBool = AtomicBool::new(false);

/// Silences every step line and spinner (`--quiet`).
pub fn set_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// One step of a job, from its start to its line.
pub struct Step {
    name: String,
    started: Instant,
    spinner: ProgressBar,
}

impl Step {
    /// Starts to show `name`.
    pub fn start(name: &str) -> Self {
        let spinner = if QUIET.load(Ordering::Relaxed) {
            ProgressBar::hidden()
        } else {
            // Draws on standard error, and only when that is a terminal.
            ProgressBar::new_spinner()
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} [{elapsed}]") {
            spinner.set_style(style);
        }
        spinner.set_message(name.to_owned());
        spinner.enable_steady_tick(Duration::from_millis(120));
        Self {
            name: name.to_owned(),
            started: Instant::now(),
            spinner,
        }
    }

    /// Replaces the text beside the spinner.
    pub fn say(&self, text: String) {
        self.spinner.set_message(text);
    }

    /// Ends the step with the number of rows it made.
    pub fn finish(self, rows: u64) {
        self.end(&format!("{} rows", HumanCount(rows)));
    }

    /// Ends the step with a remark.
    pub fn end(self, remark: &str) {
        self.spinner.finish_and_clear();
        if !QUIET.load(Ordering::Relaxed) {
            let seconds = self.started.elapsed().as_secs_f64();
            eprintln!("{:<38} {remark:>18} {seconds:>9.2} s", self.name);
        }
    }
}
