//! Import: published work becomes our tables, so that it can be scored, distilled and
//! compared.
//!
//! Rust finds the files and shows each row of them to the SQL of `sql/import` as JSON
//! text with its file and line; the SQL does the rest. A row that makes no sense goes to
//! the table `import.quarantine` with a reason. Files that are joined by their rows (the
//! published pipeline's) are taken as a whole or refused. Every table is computed and
//! checked before the first is written.

mod lines;

use std::path::Path;
use std::time::Instant;

use clap::ValueEnum;
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{JoinType, TableReference};
use datafusion::prelude::{DataFrame, cast, col};
use usermirror_udfs::raw::RawFolder;

use crate::error::{Error, Result};
use crate::ingest::{Account, enter_schema, of_rows};
use crate::lake::PIPELINE_SCHEMA;
use crate::lake::delta::Stamp;
use crate::lake::lease::Holder;
use crate::ledger;
use crate::progress::Step;
use crate::run::check;
use crate::scripts::Script;
use crate::session::Session;

/// The schema in which an import's relations live, and its `quarantine` stays.
const SCHEMA: &str = "import";

/// What published work looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// An evaluation set: texts, ids and the place of the chosen item → scenarios
    Evaluation,
    /// A preference set: messages_chosen and messages_rejected → preferences, scenarios
    Preferences,
    /// The published pipeline's project folder → scenarios, decisions, scores
    Pipeline,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Self::Evaluation => "evaluation",
            Self::Preferences => "preferences",
            Self::Pipeline => "pipeline",
        }
    }

    /// The SQL files in their order; a final query becomes the table named like its file.
    fn scripts(self, session: &Session) -> Result<Vec<Script>> {
        let file = |path: &str| session.scripts.file(path);
        let mut scripts = vec![file("sql/import/keys.sql")?];
        if self == Self::Preferences {
            scripts.extend(session.scripts.folder("sql/import/preferences")?);
            return Ok(scripts);
        }
        scripts.push(file("sql/import/scenes.sql")?);
        // The prompt is put together as it is for scenarios of our own.
        scripts.push(file("sql/scenarios/80_instructions.sql")?);
        scripts.push(file("sql/scenarios/90_scenarios.sql")?);
        if self == Self::Pipeline {
            scripts.extend(session.scripts.folder("sql/import/pipeline")?);
        }
        Ok(scripts)
    }

    /// The relation whose rows are kept or put into quarantine.
    fn judged(self) -> &'static str {
        match self {
            Self::Preferences => "pairs",
            Self::Evaluation | Self::Pipeline => "scenes",
        }
    }
}

/// What an import did.
#[derive(Debug, Clone)]
pub struct Imported {
    /// What became of the rows read.
    pub account: Account,
    /// The tables written, and how many rows the import brought to each.
    pub tables: Vec<(String, usize)>,
}

/// Reads published work of `form` from the file or folder `from` into the lake. Rows of
/// the lake's tables that belong to the same scenarios are replaced, others stay.
///
/// # Errors
/// Fails when nothing there has the form, when no row can be taken, and when files that
/// belong together do not match; the lake's tables then stay as they were.
pub async fn import(session: &Session, form: Form, from: &Path) -> Result<Imported> {
    let holder = Holder::this(&session.run, &format!("import {}", form.name()));
    session
        .lake
        .writing(holder, async || read(session, form, from).await)
        .await
}

async fn read(session: &Session, form: Form, from: &Path) -> Result<Imported> {
    let started = Instant::now();
    let reading = Step::start(&format!("reading {}", from.display()));
    let (root, files) = lines::find(from)?;
    let inside = session
        .sister_over(RawFolder::new(root.clone()), None)
        .await?;
    enter_schema(&inside, SCHEMA)?;
    lines::register(&inside, form, &root, &files, from).await?;

    let mut outputs = vec![];
    for script in form.scripts(&inside)? {
        if let Some(rows) = script.run(&inside.ctx).await? {
            inside.ctx.register_table(script.stem(), rows.into_view())?;
            outputs.push(script.stem().to_owned());
        }
    }
    if form == Form::Pipeline {
        check(&inside, "sql/checks/pipeline").await?;
    }
    let judged = TableReference::bare(form.judged());
    let account = of_rows(&inside.ctx, form.judged(), &judged).await?;
    refuse_nothing_kept(&account, from)?;
    reading.finish(account.read.unsigned_abs());

    let tables = compute(&inside, &outputs).await?;
    write_quarantine(session, &inside, form, &root).await?;
    let models = models(&inside, &outputs).await?;
    for table in &tables {
        let models = if table.name == "decisions" {
            models.clone()
        } else {
            vec![]
        };
        table.write(session, form, started, models).await?;
    }
    let tables = tables.into_iter().map(|table| (table.name, table.brought));
    Ok(Imported {
        account,
        tables: tables.collect(),
    })
}

fn refuse_nothing_kept(account: &Account, from: &Path) -> Result<()> {
    if account.kept > 0 {
        return Ok(());
    }
    let reasons = account.dropped.iter().take(5);
    let reasons: Vec<_> = reasons
        .map(|(_, reason, rows)| format!("  {rows} × {reason}"))
        .collect();
    Err(Error::Failed(format!(
        "{}: none of the {} rows can be taken, nothing was written:\n{}",
        from.display(),
        account.read,
        reasons.join("\n")
    )))
}

/// A table as the lake will hold it.
struct Table {
    name: String,
    brought: usize,
    rows: Vec<RecordBatch>,
}

/// Computes the tables that got rows, each with what the lake has of other scenarios.
async fn compute(session: &Session, outputs: &[String]) -> Result<Vec<Table>> {
    let mut tables = vec![];
    for name in outputs {
        let new = session.ctx.table(name.as_str()).await?.cache().await?;
        let brought = new.clone().count().await?;
        if brought > 0 {
            let rows = beside(session, name, new).await?.collect().await?;
            tables.push(Table {
                name: name.clone(),
                brought,
                rows,
            });
        }
    }
    Ok(tables)
}

/// The rows of `new` and those of lake table `name` about other scenarios.
async fn beside(session: &Session, name: &str, new: DataFrame) -> Result<DataFrame> {
    let target = TableReference::partial(PIPELINE_SCHEMA, name);
    let mut all = new;
    if session.lake.contains(&target).await? {
        let brought = all
            .clone()
            .select(vec![col("scenario_id").alias("brought")])?;
        let old = session.ctx.table(target).await?;
        let kept = old.join(
            brought,
            JoinType::LeftAnti,
            &["scenario_id"],
            &["brought"],
            None,
        )?;
        all = kept.union_by_name(all)?;
    }
    let keys = ["scenario_id", "source", "draw"]
        .into_iter()
        .filter(|key| all.schema().has_column_with_unqualified_name(key));
    let order = keys.map(|key| col(key).sort(true, false)).collect();
    Ok(all.sort(order)?)
}

impl Table {
    async fn write(
        &self,
        session: &Session,
        form: Form,
        started: Instant,
        models: Vec<(String, String)>,
    ) -> Result<()> {
        let step = Step::start(&format!("writing {}", self.name));
        let name = format!("import {}", form.name());
        let rows = self.rows.iter().map(|batch| batch.num_rows() as u64).sum();
        let stamp = Stamp {
            run: session.run.to_string(),
            step: name.clone(),
            units: rows,
            rows,
            ..Stamp::default()
        };
        session
            .lake
            .replace(&self.name, self.rows.clone(), stamp)
            .await?;
        let entry = ledger::Entry {
            step: name,
            output: self.name.clone(),
            rows,
            seconds: started.elapsed().as_secs_f64(),
            models,
            ..ledger::Entry::default()
        };
        ledger::record(session, &entry).await?;
        step.finish(rows);
        Ok(())
    }
}

/// Which models wrote imported decisions, by source, as far as the files tell.
async fn models(session: &Session, outputs: &[String]) -> Result<Vec<(String, String)>> {
    if !outputs.iter().any(|name| name == "decisions") {
        return Ok(vec![]);
    }
    let rows = session
        .ctx
        .table("decisions")
        .await?
        .filter(col("model").is_not_null())?
        .select(vec![
            cast(col("source"), DataType::Utf8).alias("source"),
            cast(col("model"), DataType::Utf8).alias("model"),
        ])?
        .distinct()?
        .sort(vec![
            col("source").sort(true, false),
            col("model").sort(true, false),
        ])?
        .collect()
        .await?;
    let pairs = rows.iter().flat_map(|batch| {
        let sources = batch.column(0).as_string::<i32>().iter();
        let models = batch.column(1).as_string::<i32>().iter();
        sources.zip(models)
    });
    Ok(pairs
        .filter_map(|(source, model)| Some((source?.to_owned(), model?.to_owned())))
        .collect())
}

/// Writes `import.quarantine`: the bad rows of this import.
async fn write_quarantine(
    session: &Session,
    inside: &Session,
    form: Form,
    root: &Path,
) -> Result<()> {
    let folder = lines::literal(&format!("{}/", root.display()));
    let query = format!(
        "SELECT dataset, concat({folder}, file) AS file, line, quarantined AS reason, raw \
         FROM {} WHERE quarantined IS NOT NULL ORDER BY file, line",
        form.judged()
    );
    let stream = inside.ctx.sql(&query).await?.execute_stream().await?;
    let table = TableReference::partial(SCHEMA, "quarantine");
    session.lake.write(&session.ctx, &table, stream).await?;
    Ok(())
}
