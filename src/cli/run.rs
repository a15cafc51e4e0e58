//! `usermirror run`

use std::path::PathBuf;

use clap::Args;
use datafusion::scalar::ScalarValue;

use super::Global;
use super::options::{open_model, session};
use crate::error::{Error, Result};
use crate::report;
use crate::run::budget::Budget;
use crate::run::{self, ENCODER, Options, Plan, RowErrors, Step, Work};
use crate::session::Session;
use crate::settings::Settings;
use crate::stop::Stop;

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  usermirror run --datasets movielens --scenarios 512
  usermirror run --datasets movielens --until scenarios --mode paper
  usermirror run job.toml --dry-run            # what it would do, and cost
  usermirror run job.toml --budget usd=20,hours=8
  usermirror run --from decisions              # go on from imported scenarios
  usermirror run --datasets movielens --strong models/qwen-32b --style full --set choices_max=8

A run can be killed at any time: the same command goes on from the last commit. SIGTERM or
Ctrl-C finishes what is in hand, commits and leaves. A finished run does nothing.

Other parameters for --set: usermirror config show. What a job file holds: docs/jobs.md.")]
pub struct Arguments {
    /// The job file, as --job
    job: Option<PathBuf>,
    /// Datasets to build from, already ingested [default: movielens]
    #[arg(long, value_name = "A,B")]
    datasets: Option<String>,
    /// Scenarios sampled from each dataset [default: 1024]
    #[arg(long, value_name = "N")]
    scenarios: Option<u64>,
    /// Decisions per model and scenario [default: 10]
    #[arg(long, value_name = "N")]
    draws: Option<u64>,
    /// Preference pairs to select [default: 10000]
    #[arg(long, value_name = "N")]
    pairs: Option<u64>,
    /// time_safe: learn nothing from after a scenario; paper: as published [default: time_safe]
    #[arg(long, value_parser = ["time_safe", "paper"])]
    mode: Option<String>,
    /// Instruction to the models [default: brief]
    #[arg(long, value_parser = ["brief", "full"])]
    style: Option<String>,
    /// What keeps evaluation apart from training [default: user]
    #[arg(long, value_parser = ["user", "time"])]
    split_by: Option<String>,
    /// The strong model's folder [default: models/strong]
    #[arg(long, value_name = "DIR")]
    strong: Option<String>,
    /// The weak model's folder [default: models/weak]
    #[arg(long, value_name = "DIR")]
    weak: Option<String>,
    /// An encoder's folder: items are compared by its vectors of their texts, not by words
    #[arg(long, value_name = "DIR")]
    encoder: Option<String>,
    /// Where models run: cpu, cuda:N, cuda (on every GPU), or auto (on GPUs if there are any)
    /// [default: auto]
    #[arg(long)]
    device: Option<String>,
    /// The first step to do; tables of the steps before it are taken as they are
    #[arg(long, value_enum)]
    from: Option<Step>,
    /// The last step to do
    #[arg(long, value_enum)]
    until: Option<Step>,
    /// Selection strategy, a file of sql/select [default: uncertainty]
    #[arg(long, value_name = "NAME")]
    select: Option<String>,
    /// The most to spend: tokens=N, hours=N, usd=N, with commas between
    #[arg(long, value_name = "BOUNDS")]
    budget: Option<Budget>,
    /// Do again what left an error
    #[arg(long)]
    retry: bool,
    /// Tell what each step would do and cost, and do nothing
    #[arg(long)]
    dry_run: bool,
}

impl Arguments {
    pub(super) async fn execute(self, global: &Global, stop: Stop) -> Result<u8> {
        let settings = self.settings(global)?;
        let session = session(&settings).await?.stopped_by(stop);
        check_lengths(&session.parameters)?;
        let plan = self.plan(&settings)?;
        let options = Options {
            interval: settings.interval()?,
            budget: self.budget.clone().map_or_else(|| settings.budget(), Ok)?,
            prices: settings.prices()?,
            retry: self.retry,
            ..Options::default()
        };
        let mut models = run::models(&session, &plan)?;
        if plan.does(Step::Scenarios) && settings.models().iter().any(|name| name == ENCODER) {
            models.insert(ENCODER.to_owned());
        }
        for model in models {
            open_model(&session, &settings, &model).await?;
        }
        if self.dry_run {
            run::preview(&session, &plan, &options).await?;
            return Ok(0);
        }
        let found = run::run(&session, &plan, &options).await?;
        if plan.does(Step::Distill) {
            report::print(&session).await?;
        }
        Ok(judge(&session, found, "scores"))
    }

    fn settings(&self, global: &Global) -> Result<Settings> {
        let number = |value: Option<u64>| value.map(|value| value.to_string());
        let flags = [
            ("datasets", self.datasets.clone()),
            ("select", self.select.clone()),
            ("device", self.device.clone()),
            ("models.strong.location", self.strong.clone()),
            ("models.weak.location", self.weak.clone()),
            ("models.encoder.location", self.encoder.clone()),
            ("parameters.scenarios", number(self.scenarios)),
            ("parameters.draws", number(self.draws)),
            ("parameters.pairs", number(self.pairs)),
            ("parameters.mode", self.mode.clone()),
            ("parameters.style", self.style.clone()),
            ("parameters.split_by", self.split_by.clone()),
        ];
        let flags = flags.into_iter();
        let flags = flags.filter_map(|(name, value)| Some((name.to_owned(), value?)));
        global.settings(self.job.as_deref(), flags.collect())
    }

    fn plan(&self, settings: &Settings) -> Result<Plan> {
        let mut work = vec![];
        for step in settings.list("steps") {
            work.push(step.parse::<Work>()?);
        }
        let datasets = settings
            .list("datasets")
            .into_iter()
            .map(|name| name.parse());
        let plan = Plan {
            datasets: datasets.collect::<Result<_>>()?,
            work: cut(work, self.from, self.until)?,
            select: settings.get("select").unwrap_or_default().to_owned(),
        };
        if plan.does(Step::Scenarios) && plan.datasets.is_empty() {
            return Err(Error::Usage(
                "name at least one dataset with --datasets".to_owned(),
            ));
        }
        Ok(plan)
    }
}

/// The part of `work` from step `from` to step `until`.
fn cut(mut work: Vec<Work>, from: Option<Step>, until: Option<Step>) -> Result<Vec<Work>> {
    let place = |work: &[Work], step: Step| {
        let place = work.iter().position(|work| *work == Work::Step(step));
        place.ok_or_else(|| Error::Usage(format!("the job has no step {}", step.name())))
    };
    if from.zip(until).is_some_and(|(from, until)| from > until) {
        return Err(Error::Usage(
            "--from is a later step than --until: nothing would be done".to_owned(),
        ));
    }
    if let Some(until) = until {
        let last = place(&work, until)?;
        work.truncate(last + 1);
    }
    if let Some(from) = from {
        let first = place(&work, from)?;
        work.drain(..first);
    }
    Ok(work)
}

/// The exit code of a run that was done, by how many of its rows have errors.
pub(super) fn judge(session: &Session, found: RowErrors, table: &str) -> u8 {
    if found.errors == 0 {
        return 0;
    }
    eprintln!(
        "{} of {} rows have errors: usermirror sql -c 'SELECT error, count(*) FROM {table} \
         GROUP BY error'; --retry does them again",
        found.errors, found.rows
    );
    let share = found.errors as f64 / found.rows as f64;
    let allowed = match session.parameters.get("error_share") {
        Some(ScalarValue::Float64(Some(share))) => share,
        _ => 0.0,
    };
    if share > allowed { 3 } else { 0 }
}

/// Refuses lengths that no exposure can have: options are labelled A to Z.
fn check_lengths(parameters: &crate::parameters::Parameters) -> Result<()> {
    let number = |name: &str| match parameters.get(name) {
        Some(ScalarValue::Int64(Some(value))) => value,
        _ => 0,
    };
    for (low, high) in [
        ("choices_min", "choices_max"),
        ("eval_choices", "eval_choices"),
    ] {
        if number(low) < 2 || number(high) > 26 || number(low) > number(high) {
            return Err(Error::Usage(format!(
                "{low}={} and {high}={}: an exposure has 2 to 26 options, one a letter from A to Z",
                number(low),
                number(high)
            )));
        }
    }
    if number("history_min") < 1 || number("history_min") > number("history_max") {
        return Err(Error::Usage(format!(
            "history_min={} and history_max={}: a history has at least 1 event",
            number("history_min"),
            number("history_max")
        )));
    }
    Ok(())
}
