//! What a person sees of long work: a spinner on a terminal, nothing in a pipe, and one
//! line per finished step on standard error.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use usermirror_udfs::llm::progress::{Progress, Step as ModelStep};

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

    /// The spinner, for others to write beside it.
    pub fn spinner(&self) -> ProgressBar {
        self.spinner.clone()
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

/// Counts what models do for the step that is running, and shows it beside its spinner.
#[derive(Default)]
pub struct ModelWatch {
    rows: AtomicU64,
    tokens: AtomicU64,
    shown: Mutex<Option<(ProgressBar, Instant)>>,
}

impl ModelWatch {
    /// Starts to count from nothing and to show beside `spinner`.
    pub fn show(&self, spinner: ProgressBar) {
        self.rows.store(0, Ordering::Relaxed);
        self.tokens.store(0, Ordering::Relaxed);
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        *shown = Some((spinner, Instant::now()));
    }
}

impl Progress for ModelWatch {
    fn advance(&self, step: &ModelStep<'_>) {
        let rows = 1 + self.rows.fetch_add(1, Ordering::Relaxed);
        let new = step.usage.generated_tokens as u64;
        let tokens = new + self.tokens.fetch_add(new, Ordering::Relaxed);
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((spinner, since)) = shown.as_ref() {
            let rate = tokens as f64 / since.elapsed().as_secs_f64().max(1e-3);
            spinner.set_message(format!(
                "{} by {}: {} rows, {} tokens, {} tokens/s",
                step.function,
                step.model,
                HumanCount(rows),
                HumanCount(tokens),
                HumanCount(rate as u64)
            ));
        }
    }
}
