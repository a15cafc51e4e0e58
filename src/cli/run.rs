//! `usermirror run`

use clap::Args;
use datafusion::scalar::ScalarValue;

use super::Global;
use super::options::set;
use crate::datasets::Dataset;
use crate::error::{Error, Result};
use crate::report;
use crate::run::{self, Plan, Step};

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  usermirror run --datasets movielens --scenarios 512
  usermirror run --datasets movielens --until scenarios --mode paper
  usermirror run --from decisions     # go on from imported scenarios
  usermirror run --datasets movielens --strong models/qwen-32b --style full --set choices_max=8

Other parameters for --set: usermirror sql -c \"SELECT name, value, description FROM
information_schema.df_settings WHERE name LIKE 'usermirror.%'\"")]
pub struct Arguments {
    /// Datasets to build from, already ingested
    #[arg(
        long,
        value_name = "A,B",
        value_delimiter = ',',
        default_value = "movielens"
    )]
    datasets: Vec<Dataset>,
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
    /// The strong model's folder
    #[arg(long, value_name = "DIR", default_value = "models/strong")]
    strong: String,
    /// The weak model's folder
    #[arg(long, value_name = "DIR", default_value = "models/weak")]
    weak: String,
    /// Where models run: cpu, cuda:N, or auto, which says what it chose
    #[arg(long, default_value = "auto")]
    device: String,
    /// The first step to do; tables of the steps before it are taken as they are
    #[arg(long, value_enum, default_value_t = Step::Scenarios)]
    from: Step,
    /// The last step to do
    #[arg(long, value_enum, default_value_t = Step::Distill)]
    until: Step,
    /// Selection strategy, a file of sql/select
    #[arg(long, value_name = "NAME", default_value = "uncertainty")]
    select: String,
}

impl Arguments {
    pub(super) async fn execute(self, global: &Global) -> Result<u8> {
        let session = global.session().await?;
        let numbers = [
            ("scenarios", self.scenarios),
            ("draws", self.draws),
            ("pairs", self.pairs),
        ];
        for (name, value) in numbers {
            if let Some(value) = value {
                set(&session.parameters, name, &value.to_string())?;
            }
        }
        let words = [
            ("mode", &self.mode),
            ("style", &self.style),
            ("split_by", &self.split_by),
        ];
        for (name, value) in words {
            if let Some(value) = value {
                set(&session.parameters, name, value)?;
            }
        }
        check_lengths(&session.parameters)?;
        let plan = Plan {
            datasets: self.datasets,
            from: self.from,
            until: self.until,
            select: self.select,
        };
        check_steps(&plan)?;
        if plan.does(Step::Decisions) {
            session
                .open_model("strong", &self.strong, &self.device)
                .await?;
        }
        if plan.does(Step::Decisions) || plan.does(Step::Scores) {
            session.open_model("weak", &self.weak, &self.device).await?;
        }
        let found = run::run(&session, &plan).await?;
        if plan.until == Step::Distill {
            // Distillation wrote its tables from a session of its own.
            report::print(&session.sister().await?).await?;
        }
        if found.errors == 0 {
            return Ok(0);
        }
        eprintln!(
            "{} of {} rows have errors: usermirror sql -c 'SELECT error, count(*) FROM scores \
             GROUP BY error'",
            found.errors, found.rows
        );
        let share = found.errors as f64 / found.rows as f64;
        let allowed = match session.parameters.get("error_share") {
            Some(ScalarValue::Float64(Some(share))) => share,
            _ => 0.0,
        };
        Ok(if share > allowed { 3 } else { 0 })
    }
}

/// Refuses a plan without a step, or without a dataset to build from.
fn check_steps(plan: &Plan) -> Result<()> {
    if plan.from > plan.until {
        return Err(Error::Usage(
            "--from is a later step than --until: nothing would be done".to_owned(),
        ));
    }
    if plan.does(Step::Scenarios) && plan.datasets.is_empty() {
        return Err(Error::Usage(
            "name at least one dataset with --datasets".to_owned(),
        ));
    }
    Ok(())
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
