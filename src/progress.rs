//! What a person sees of long work: a spinner on a terminal, nothing in a pipe, and one
//! line per finished step on standard error.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use usermirror_udfs::llm::backend::Usage;
use usermirror_udfs::llm::progress::{Progress, Step as ModelStep};

use crate::lake::delta::Stamp;

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

    /// Shows from now on how many of `units` are done.
    pub fn expect(&self, units: u64) {
        let style = "{spinner} {bar:24} {pos}/{len} [{elapsed}, {eta} left] {msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            self.spinner.set_style(style);
        }
        self.spinner.set_length(units);
    }

    /// Notes that `units` more are done.
    pub fn advance(&self, units: u64) {
        self.spinner.inc(units);
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
        let seconds = self.started.elapsed().as_secs_f64();
        tracing::info!(step = self.name, seconds, "{remark}");
        say(&format!("{:<38} {remark:>18} {seconds:>9.2} s", self.name));
    }
}

/// Tells a person what is about to happen to `step`.
pub fn tell(step: &str, what: &str) {
    tracing::info!(step, "{what}");
    say(&format!("{step}: {what}"));
}

/// Notes a commit, for logs and metrics.
pub fn committed(run: &str, stamp: &Stamp) {
    tracing::info!(
        run,
        step = stamp.step,
        units = stamp.units,
        rows = stamp.rows,
        errors = stamp.errors,
        prompt_tokens = stamp.prompt_tokens,
        cached_tokens = stamp.cached_tokens,
        generated_tokens = stamp.generated_tokens,
        seconds = stamp.seconds,
        "committed"
    );
    let counters = [
        ("usermirror_units_total", stamp.units),
        ("usermirror_rows_total", stamp.rows),
        ("usermirror_row_errors_total", stamp.errors),
        ("usermirror_prompt_tokens_total", stamp.prompt_tokens),
        ("usermirror_cached_tokens_total", stamp.cached_tokens),
        ("usermirror_generated_tokens_total", stamp.generated_tokens),
    ];
    for (name, count) in counters {
        metrics::counter!(name, "step" => stamp.step.clone()).increment(count);
    }
    metrics::counter!("usermirror_commits_total", "step" => stamp.step.clone()).increment(1);
}

/// A line for a person, unless logs go to a machine or nobody wants any.
fn say(line: &str) {
    if !QUIET.load(Ordering::Relaxed) {
        eprintln!("{line}");
    }
}

/// Counts what models do, and shows it beside the spinner of the step that is running.
#[derive(Default)]
pub struct ModelWatch {
    /// Whether models are only asked for an estimate, which is nobody's progress.
    estimating: bool,
    rows: AtomicU64,
    usage: Mutex<BTreeMap<String, Usage>>,
    shown: Mutex<Option<(ProgressBar, Instant)>>,
}

impl ModelWatch {
    /// Counts what an estimate asks.
    pub fn estimating() -> Self {
        Self {
            estimating: true,
            ..Self::default()
        }
    }

    /// Shows beside `spinner` from now on.
    pub fn show(&self, spinner: ProgressBar) {
        self.rows.store(0, Ordering::Relaxed);
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        *shown = Some((spinner, Instant::now()));
    }

    /// What each model used since the session began.
    pub fn usage(&self) -> BTreeMap<String, Usage> {
        let usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        usage.clone()
    }
}

impl Progress for ModelWatch {
    fn advance(&self, step: &ModelStep<'_>) {
        let rows = 1 + self.rows.fetch_add(1, Ordering::Relaxed);
        if !self.estimating {
            tracing::debug!(model = step.model, function = step.function, "answered");
        }
        let tokens = {
            let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
            let total = usage.entry(step.model.to_owned()).or_default();
            total.prompt_tokens += step.usage.prompt_tokens;
            total.cached_tokens += step.usage.cached_tokens;
            total.generated_tokens += step.usage.generated_tokens;
            total.generated_tokens as u64
        };
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((spinner, since)) = shown.as_ref() {
            let rate = rows as f64 / since.elapsed().as_secs_f64().max(1e-3);
            spinner.set_message(format!(
                "{} by {}: {} rows, {rate:.1} rows/s, {} tokens written",
                step.function,
                step.model,
                HumanCount(rows),
                HumanCount(tokens),
            ));
        }
    }
}
