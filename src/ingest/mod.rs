//! Ingest: a publisher's raw files become the tables `users`, `items`, `interactions`.
//!
//! Every raw line is accounted for: it is kept, filtered by a named rule, or put into
//! the dataset's `quarantine` table with a reason. Rows stream through disk, so that
//! memory stays bounded however long the log is.

mod account;
mod quarantine;
mod stage;

use std::path::PathBuf;
use std::time::Instant;

use datafusion::common::{DataFusionError, ScalarValue, TableReference};
use datafusion::prelude::DataFrame;
use usermirror_udfs::raw::RawFolder;

pub use account::Account;
pub(crate) use account::of_rows;
use stage::{TABLES, Table, staged_name};

use crate::datasets::Dataset;
use crate::error::{Error, Result};
use crate::lake::lease::Holder;
use crate::ledger;
use crate::progress::Step;
use crate::session::Session;

/// What to ingest, and how.
#[derive(Debug, Clone)]
pub struct Source {
    /// The dataset whose SQL reads the files.
    pub dataset: Dataset,
    /// The folder with the publisher's files.
    pub from: PathBuf,
    /// Fail on any bad row.
    pub strict: bool,
    /// Read a missing file as an empty one.
    pub partial: bool,
    /// Bytes that sorts and joins may hold in memory before they spill to disk.
    pub memory: usize,
}

impl Source {
    fn folder(&self) -> Result<RawFolder> {
        let mut folder = RawFolder::new(self.from.clone());
        if let Some(variant) = self.dataset.variant() {
            folder = folder.with_variant(variant)?;
        }
        if self.partial {
            folder = folder.with_missing_allowed();
        }
        Ok(folder)
    }
}

/// What an ingest did.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What became of the rows of every raw file and table.
    pub accounts: Vec<Account>,
    /// Files that were missing, where that is allowed.
    pub missing: Vec<String>,
}

/// Reads `source` into the lake.
///
/// # Errors
/// Fails on an unknown dataset, a missing file, and, when strict, on any bad row; the
/// lake's tables then stay as they were.
pub async fn ingest(session: &Session, source: &Source) -> Result<Outcome> {
    let dataset = &source.dataset;
    session.scripts.require_dataset(dataset)?;
    if !source.from.is_dir() {
        return Err(Error::Usage(format!(
            "--from {}: not a folder",
            source.from.display()
        )));
    }
    let holder = Holder::this(&session.run, &format!("ingest {dataset}"));
    session
        .lake
        .writing(holder, async || read(session, source).await)
        .await
}

async fn read(session: &Session, source: &Source) -> Result<Outcome> {
    let dataset = &source.dataset;
    let memory = Some(source.memory);
    let session = session.sister_over(source.folder()?, memory).await?;
    stage::enter(&session, dataset)?;

    let mut accounts = vec![];
    let outcome = build(&session, source, &mut accounts).await;
    stage::clear(&session, dataset, &accounts).await?;
    outcome.map_err(|error| name_memory(error, source.memory))?;
    Ok(Outcome {
        accounts,
        missing: session.raw.missing(),
    })
}

/// Says which option gives more memory, when it is memory that was lacking.
fn name_memory(error: Error, memory: usize) -> Error {
    match &error {
        Error::Query(cause)
            if matches!(cause.find_root(), DataFusionError::ResourcesExhausted(_)) =>
        {
            Error::Failed(format!(
                "{error}\nGive this ingest more than --memory {}",
                memory >> 20
            ))
        }
        _ => error,
    }
}

/// Makes the dataset's tables; `accounts` grows by what was staged.
async fn build(session: &Session, source: &Source, accounts: &mut Vec<Account>) -> Result<()> {
    let dataset = &source.dataset;
    accounts.extend(stage::raw(session, dataset).await?);
    for table in &TABLES {
        accounts.push(stage::rows(session, dataset, table).await?);
    }
    if source.strict {
        account::refuse_bad_rows(accounts)?;
    }
    quarantine::write(session, dataset, accounts).await?;
    for table in &TABLES {
        write(session, dataset, table).await?;
    }
    Ok(())
}

/// Writes the kept rows of a staged table as the dataset's table.
async fn write(session: &Session, dataset: &Dataset, table: &Table) -> Result<()> {
    let target = TableReference::partial(dataset.key(), table.name);
    let step = Step::start(&format!("writing {target}"));
    let started = Instant::now();
    let kept = session
        .ctx
        .sql(&format!(
            "SELECT * EXCEPT (file, line, quarantined, filtered) FROM {} \
             WHERE quarantined IS NULL AND filtered IS NULL ORDER BY {}",
            staged_name(dataset, table.name),
            table.order
        ))
        .await?;
    let stream = kept.execute_stream().await?;
    let rows = session.lake.write(&session.ctx, &target, stream).await?;
    let entry = ledger::Entry {
        step: format!("ingest {dataset}"),
        output: target.to_string(),
        rows,
        seconds: started.elapsed().as_secs_f64(),
        ..ledger::Entry::default()
    };
    ledger::record(session, &entry).await?;
    step.finish(rows);
    Ok(())
}

/// Makes `name` the schema in which unqualified relations of `session` live.
///
/// # Errors
/// Fails when the catalog refuses.
pub fn enter_schema(session: &Session, name: &str) -> Result<()> {
    session.lake.create_schema(&session.ctx, name)?;
    let state = session.ctx.state_ref();
    let mut state = state.write();
    state.config_mut().options_mut().catalog.default_schema = name.to_owned();
    Ok(())
}

/// The texts of a frame's first column.
async fn texts(frame: DataFrame) -> Result<Vec<Option<String>>> {
    let mut texts = vec![];
    for batch in frame.collect().await? {
        for row in 0..batch.num_rows() {
            let value = ScalarValue::try_from_array(batch.column(0), row)?;
            texts.push(value.try_as_str().flatten().map(str::to_owned));
        }
    }
    Ok(texts)
}
