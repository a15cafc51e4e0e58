//! The pipeline: scenarios → decisions → scores → distill, each a folder of SQL files
//! whose results are tables of the lake.
//!
//! A step whose SQL, parameters, inputs and models are those of its last run is not
//! done again.

mod scenarios;
mod steps;

use std::sync::Arc;
use std::time::Instant;

use clap::ValueEnum;
use datafusion::arrow::array::RecordBatch;
use datafusion::common::TableReference;
use datafusion::datasource::MemTable;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::{DataFrame, col};
use sha2::{Digest, Sha256};

use crate::datasets::Dataset;
use crate::error::{Error, Result};
use crate::ledger;
use crate::progress;
use crate::scripts::Script;
use crate::session::Session;

/// The pipeline's steps, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Step {
    /// What the user remembers and what was shown.
    Scenarios,
    /// Decision processes written by the strong and the weak model.
    Decisions,
    /// The weak model's letter distributions after each decision.
    Scores,
    /// Uncertainty, selection and preference pairs.
    Distill,
}

impl Step {
    /// Its name on the command line.
    fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// What a run does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Datasets to build scenarios from.
    pub datasets: Vec<Dataset>,
    /// The first step to do; the tables of the steps before it are taken as they are.
    pub from: Step,
    /// The last step to do.
    pub until: Step,
    /// The selection strategy: a file of `sql/select`.
    pub select: String,
}

impl Plan {
    /// Whether `step` is one of the plan's.
    pub fn does(&self, step: Step) -> bool {
        self.from <= step && step <= self.until
    }
}

/// How many rows of the model steps there are, and how many of them carry an `error`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowErrors {
    /// Rows of `decisions` and `scores`.
    pub rows: usize,
    /// Those with an error.
    pub errors: usize,
}

/// Runs the pipeline from `plan.from` to `plan.until` and returns how many rows have an
/// `error`.
///
/// # Errors
/// Fails at the first step that does; the tables of earlier steps stay.
pub async fn run(session: &Session, plan: &Plan) -> Result<RowErrors> {
    check_given(session, plan.from).await?;
    if plan.does(Step::Scenarios) {
        scenarios::build(session, &plan.datasets).await?;
    }
    if plan.does(Step::Decisions) {
        steps::decisions(session).await?;
    }
    if plan.does(Step::Scores) {
        steps::scores(session).await?;
    }
    if plan.does(Step::Distill) {
        steps::distill(session, &plan.select).await?;
    }
    row_errors(session, plan.until).await
}

/// Checks the tables that the steps before `from` would have made.
async fn check_given(session: &Session, from: Step) -> Result<()> {
    let tables = [
        (Step::Scenarios, "scenarios"),
        (Step::Decisions, "decisions"),
        (Step::Scores, "scores"),
    ];
    for (step, table) in tables.into_iter().filter(|(step, _)| *step < from) {
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

async fn row_errors(session: &Session, until: Step) -> Result<RowErrors> {
    let mut found = RowErrors::default();
    for (step, table) in [(Step::Decisions, "decisions"), (Step::Scores, "scores")] {
        if until >= step {
            let rows = session.ctx.table(table).await?;
            let failed = rows.clone().filter(col("error").is_not_null())?;
            found.rows += rows.count().await?;
            found.errors += failed.count().await?;
        }
    }
    Ok(found)
}

/// The work that makes one table, and everything its content depends on.
struct Job<'a> {
    step: &'a str,
    output: &'a str,
    inputs: Vec<TableReference>,
    scripts: &'a [Script],
    models: &'a [&'a str],
}

impl Job<'_> {
    /// Does `work`, which writes the output and returns its rows, unless the table
    /// already is what it would be; then notes it in the ledger.
    async fn perform<F>(&self, session: &Session, work: F) -> Result<()>
    where
        F: AsyncFnOnce() -> Result<u64>,
    {
        let line = progress::Step::start(self.step);
        let fingerprint = self.fingerprint(session).await?;
        if ledger::is_current(session, self.output, &fingerprint).await? {
            line.end("up to date");
            return Ok(());
        }
        session.watch.show(line.spinner());
        let started = Instant::now();
        let rows = work().await?;
        let output = TableReference::from(self.output);
        let entry = ledger::Entry {
            step: self.step.to_owned(),
            output: self.output.to_owned(),
            rows,
            seconds: started.elapsed().as_secs_f64(),
            fingerprint,
            output_version: session.lake.version(&output).await?,
            models: self.model_fingerprints(session)?,
        };
        ledger::record(session, &entry).await?;
        line.finish(rows);
        Ok(())
    }

    async fn fingerprint(&self, session: &Session) -> Result<String> {
        let mut parts: Vec<String> = vec![env!("CARGO_PKG_VERSION").to_owned()];
        parts.extend(self.scripts.iter().map(|script| script.text.clone()));
        for input in &self.inputs {
            parts.push(session.lake.version(input).await?);
        }
        for (name, value) in session.parameters.values() {
            // A parameter that no file of the step names cannot change its result.
            if self
                .scripts
                .iter()
                .any(|script| script.text.contains(&format!("@{name}")))
            {
                parts.push(format!("{name}={value}"));
            }
        }
        if !self.models.is_empty() {
            parts.push(session.sampling_settings());
        }
        for (name, fingerprint) in self.model_fingerprints(session)? {
            parts.push(format!("{name}={fingerprint}"));
        }
        let digest = Sha256::digest(parts.join("\u{0}"));
        Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn model_fingerprints(&self, session: &Session) -> Result<Vec<(String, String)>> {
        let found = self.models.iter().map(|name| {
            let model = session.models.get(name)?;
            Ok(((*name).to_owned(), model.info().fingerprint.clone()))
        });
        found.collect()
    }
}

/// Computes `rows` and holds them in memory as the session's relation `name`, so that
/// checks can look at them before the lake takes them. Returns them in their order,
/// which a scan of the relation may not keep.
async fn hold(session: &Session, name: &str, rows: DataFrame) -> Result<Vec<RecordBatch>> {
    let schema = Arc::clone(rows.schema().inner());
    let mut batches = rows.collect().await?;
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(Arc::clone(&schema)));
    }
    let table = MemTable::try_new(schema, vec![batches.clone()])?;
    session.ctx.deregister_table(name)?;
    session.ctx.register_table(name, Arc::new(table))?;
    Ok(batches)
}

/// Writes held rows, of which there is at least an empty batch, as table `name`.
async fn store(session: &Session, name: &str, batches: Vec<RecordBatch>) -> Result<u64> {
    let Some(first) = batches.first() else {
        return Err(Error::Failed(format!("{name}: nothing to write")));
    };
    let stream = RecordBatchStreamAdapter::new(
        first.schema(),
        futures::stream::iter(batches.into_iter().map(Ok)),
    );
    let table = TableReference::bare(name);
    session
        .lake
        .write(&session.ctx, &table, Box::pin(stream))
        .await
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
