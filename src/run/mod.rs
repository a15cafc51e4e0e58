//! The pipeline: scenarios → decisions → scores → distill, and steps of the user's own,
//! each made of SQL files whose results are tables of the lake.
//!
//! | file | what it does |
//! | --- | --- |
//! | `declared` | what a step's SQL says of itself |
//! | `identity` | hashes of what a result depends on |
//! | `whole` | steps that make their table in one go |
//! | `keyed`, `units`, `chunk`, `pace` | steps that add what is missing, commit by commit |
//! | [`budget`], [`estimate`] | what a run may spend, and what it will |
//! | [`evaluate`], `baselines` | how well models choose, and what is easy |
//! | `scenarios`, `steps` | the pipeline's own steps |

mod baselines;
pub mod budget;
mod chunk;
mod declared;
pub mod estimate;
pub mod evaluate;
mod identity;
mod keyed;
mod pace;
mod plan;
mod scenarios;
mod steps;
pub(crate) mod units;
mod whole;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use datafusion::common::TableReference;
use datafusion::prelude::col;

use crate::error::{Error, Result};
use crate::lake::lease::Holder;
use crate::progress;
use crate::scripts::Script;
use crate::session::Session;
use budget::{Budget, Price};
use declared::Declared;
pub use pace::Interval;
pub use plan::{Plan, Step, Work};
pub use scenarios::ENCODER;
use units::Units;

/// How a run goes about its plan.
#[derive(Debug, Clone)]
pub struct Options {
    /// The most work between two commits.
    pub interval: Interval,
    /// The most that may be spent.
    pub budget: Budget,
    /// Prices of models, by name.
    pub prices: BTreeMap<String, Price>,
    /// Do units again that left an error.
    pub retry: bool,
    /// When the run began.
    pub started: Instant,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interval: Interval::default(),
            budget: Budget::default(),
            prices: BTreeMap::new(),
            retry: false,
            started: Instant::now(),
        }
    }
}

/// How many rows of the model steps there are, and how many of them carry an `error`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowErrors {
    /// All rows.
    pub rows: usize,
    /// Those with an error.
    pub errors: usize,
}

impl RowErrors {
    /// Counts the rows of `tables`.
    async fn of(session: &Session, tables: &[&str]) -> Result<Self> {
        let mut found = Self::default();
        for table in tables {
            let rows = session.ctx.table(*table).await?;
            let failed = rows.clone().filter(col("error").is_not_null())?;
            found.rows += rows.count().await?;
            found.errors += failed.count().await?;
        }
        Ok(found)
    }
}

/// Does the work of `plan` under the root's lease and returns how many rows have an
/// `error`.
///
/// # Errors
/// Fails at the first step that does; what was committed stays. [`Error::Busy`] when
/// another run writes, [`Error::Budget`] and [`Error::Interrupted`] when stopped.
pub async fn run(session: &Session, plan: &Plan, options: &Options) -> Result<RowErrors> {
    let holder = Holder::this(&session.run, "run");
    let work = async || {
        check_given(session, plan).await?;
        session.parameters.set("select", &plan.select)?;
        for work in &plan.work {
            match work {
                Work::Step(Step::Scenarios) => scenarios::build(session, &plan.datasets).await?,
                work => {
                    for step in steps::of(session, plan, work)? {
                        perform(session, &step, options).await?;
                    }
                }
            }
        }
        row_errors(session, plan).await
    };
    session.lake.writing(holder, work).await
}

async fn perform(session: &Session, step: &Declared, options: &Options) -> Result<()> {
    if step.key.is_empty() {
        whole::make(session, step).await
    } else {
        keyed::fill(session, step, options).await
    }
}

/// The models that the steps of `plan` ask.
///
/// # Errors
/// Fails when a step's file is missing or does not say what it makes.
pub fn models(session: &Session, plan: &Plan) -> Result<BTreeSet<String>> {
    let mut models = BTreeSet::new();
    for work in &plan.work {
        let steps = steps::of(session, plan, work)?;
        models.extend(steps.into_iter().flat_map(|step| step.models));
    }
    Ok(models)
}

/// Tells what a run of `plan` would do, step by step, and does none of it.
///
/// # Errors
/// Fails when the tables cannot be read.
pub async fn preview(session: &Session, plan: &Plan, options: &Options) -> Result<()> {
    for work in &plan.work {
        if *work == Work::Step(Step::Scenarios) {
            let state = scenarios::state(session, &plan.datasets).await?;
            progress::tell("scenarios", state);
            continue;
        }
        for step in steps::of(session, plan, work)? {
            progress::tell(&step.name, &foresee(session, &step, options).await?);
        }
    }
    Ok(())
}

/// What a run would do for `step`, in words.
async fn foresee(session: &Session, step: &Declared, options: &Options) -> Result<String> {
    for input in &step.inputs {
        if !session.lake.contains(&TableReference::from(input)).await? {
            return Ok(format!("known once {input} is made"));
        }
    }
    if step.key.is_empty() {
        let current = whole::is_current(session, step).await?;
        let state = if current { "up to date" } else { "to be made" };
        return Ok(format!(
            "{state}, unless a step before it changes its inputs"
        ));
    }
    let units = Units::find(session, step, options.retry).await?;
    let mut state = format!("{} done", units.done);
    if !units.stale.is_empty() {
        state.push_str(&format!(", {} out of date", units.stale.len()));
    }
    if step.models.is_empty() {
        return Ok(format!("{state}, {} to do", units.missing.len()));
    }
    let estimate = estimate::Estimate::of(session, step, &units.missing, options).await?;
    Ok(format!("{state}, {}", estimate.describe()))
}

/// Checks the tables that the steps before the plan's first would have made.
async fn check_given(session: &Session, plan: &Plan) -> Result<()> {
    let Some(Work::Step(from)) = plan.work.first() else {
        return Ok(());
    };
    let tables = [
        (Step::Scenarios, "scenarios"),
        (Step::Decisions, "decisions"),
        (Step::Scores, "scores"),
    ];
    for (step, table) in tables.into_iter().filter(|(step, _)| step < from) {
        if !session.lake.contains(&TableReference::bare(table)).await? {
            return Err(Error::Usage(format!(
                "{} has no table {table} to go on from; make it by usermirror run --until {}, or \
                 bring it by usermirror import",
                session.lake.location(),
                step.name()
            )));
        }
        let script = session
            .scripts
            .file(&format!("sql/checks/given/{table}.sql"))?;
        check_script(session, &script).await?;
    }
    Ok(())
}

/// Refuses to write over imported rows, which no run could bring back.
async fn refuse_imported(session: &Session, table: &str) -> Result<()> {
    let last = session.lake.last_change_of(table).await?;
    match last.and_then(|commit| commit.stamp) {
        Some(stamp) if stamp.step.starts_with("import") => Err(Error::Usage(format!(
            "{} holds imported {table}, and making them anew would drop those; go on from them \
             by a later --from, or work in another --root",
            session.lake.location()
        ))),
        _ => Ok(()),
    }
}

async fn row_errors(session: &Session, plan: &Plan) -> Result<RowErrors> {
    let mut tables = vec![];
    for (step, table) in [(Step::Decisions, "decisions"), (Step::Scores, "scores")] {
        let reached = plan.work.iter().any(|work| match work {
            Work::Step(done) => *done >= step,
            Work::File(_) => false,
        });
        if reached {
            tables.push(table);
        }
    }
    RowErrors::of(session, &tables).await
}

/// Runs every check of `folder` and fails with the offending rows of those that have any.
///
/// # Errors
/// Fails when a check finds rows or cannot run.
pub(crate) async fn check(session: &Session, folder: &str) -> Result<()> {
    for script in session.scripts.folder(folder)? {
        check_script(session, &script).await?;
    }
    Ok(())
}

async fn check_script(session: &Session, script: &Script) -> Result<()> {
    let Some(offending) = script.run(&session.ctx).await? else {
        return Ok(());
    };
    let sample = offending.limit(0, Some(5))?.collect().await?;
    if sample.iter().all(|batch| batch.num_rows() == 0) {
        return Ok(());
    }
    let rows = datafusion::arrow::util::pretty::pretty_format_batches(&sample)
        .map_err(datafusion::error::DataFusionError::from)?;
    Err(Error::Failed(format!(
        "check {} failed: {}\nThe first offending rows:\n{rows}",
        script.path,
        script.comment()
    )))
}
