//! What a person sees of long work: a spinner on a terminal, nothing in a pipe, and one
//! line per finished step on standard error.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
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
    usage: Mutex<BTreeMap<String, Usage>>,
    shown: Mutex<Option<Shown>>,
}

/// What models did for the step that is running.
struct Shown {
    spinner: ProgressBar,
    since: Instant,
    rows: u64,
    usage: Usage,
}

impl Shown {
    /// Adds a row and tells of all so far: how many, how fast, how many draws were written
    /// together and how much of the prompts was cached.
    fn add(&mut self, step: &ModelStep<'_>) {
        self.rows += 1;
        self.usage += step.usage;
        let (usage, seconds) = (&self.usage, self.since.elapsed().as_secs_f64().max(1e-3));
        let mut message = format!(
            "{} by {}: {} rows, {:.1} rows/s, {:.0} tokens/s",
            step.function,
            step.model,
            HumanCount(self.rows),
            self.rows as f64 / seconds,
            usage.computed_tokens() as f64 / seconds,
        );
        if let Some(share) = (100 * usage.cached_tokens).checked_div(usage.prompt_tokens) {
            message += &format!(", {share} % cached");
        }
        if usage.generated_tokens > 0 {
            let written = usage.generated_tokens as u64;
            message += &format!(", {} tokens written", HumanCount(written));
        }
        if usage.draw_steps > 0 {
            let together = usage.draws_in_steps as f64 / usage.draw_steps as f64;
            message += &format!(", {together:.0} at a time");
        }
        self.spinner.set_message(message);
    }
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
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        *shown = Some(Shown {
            spinner,
            since: Instant::now(),
            rows: 0,
            usage: Usage::default(),
        });
    }

    /// What each model used since the session began.
    pub fn usage(&self) -> BTreeMap<String, Usage> {
        let usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        usage.clone()
    }
}

impl Progress for ModelWatch {
    fn advance(&self, step: &ModelStep<'_>) {
        if !self.estimating {
            tracing::debug!(model = step.model, function = step.function, "answered");
        }
        {
            let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
            *usage.entry(step.model.to_owned()).or_default() += step.usage;
        }
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shown) = shown.as_mut() {
            shown.add(step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watched_step_tells_how_fast_it_is() {
        let watch = ModelWatch::default();
        let spinner = ProgressBar::hidden();
        watch.show(spinner.clone());
        for _ in 0..2 {
            watch.advance(&ModelStep {
                model: "weak",
                function: "decide",
                usage: Usage {
                    prompt_tokens: 100,
                    cached_tokens: 75,
                    generated_tokens: 600,
                    draw_steps: 600,
                    draws_in_steps: 6000,
                    ..Usage::default()
                },
                failed: false,
            });
        }
        let message = spinner.message();
        for part in [
            "decide by weak: 2 rows, ",
            " tokens/s, 75 % cached, 1,200 tokens written, 10 at a time",
        ] {
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(watch.usage()["weak"].prompt_tokens, 200);
    }
}
