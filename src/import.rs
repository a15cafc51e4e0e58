//! Import: published work becomes our tables, so that it can be scored, distilled and
//! compared.
//!
//! Rust finds the files and shows each row of them to the SQL of `sql/import` as JSON
//! text with its file and line; the SQL does the rest. A row that makes no sense goes to
//! the table `import.quarantine` with a reason. Files that are joined by their rows (the
//! published pipeline's) are taken as a whole or refused. Every table is computed and
//! checked before the first is written.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::ValueEnum;
use datafusion::arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::common::{DataFusionError, JoinType, TableReference};
use datafusion::datasource::MemTable;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::prelude::{DataFrame, cast, col};
use usermirror_udfs::raw::RawFolder;

use crate::error::{Error, Result};
use crate::ingest::{Account, enter_schema, of_rows};
use crate::lake::PIPELINE_SCHEMA;
use crate::ledger;
use crate::progress::Step;
use crate::run::check;
use crate::scripts::Script;
use crate::session::Session;

/// The schema in which an import's relations live, and its `quarantine` stays.
const SCHEMA: &str = "import";

/// The endings of files with rows.
const ENDINGS: [&str; 5] = [".parquet", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz"];

/// The columns of an input that has no files.
const NO_LINES: &str = "SELECT '' AS kind, '' AS name, '' AS file, CAST(0 AS BIGINT) AS line, \
                        '' AS error, '' AS json WHERE false";

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

/// A relation that a form's SQL reads, and where in the folder its files are.
struct Input {
    relation: &'static str,
    kind: &'static str,
    folder: &'static str,
    ending: &'static str,
}

const fn input(
    relation: &'static str,
    kind: &'static str,
    folder: &'static str,
    ending: &'static str,
) -> Input {
    Input {
        relation,
        kind,
        folder,
        ending,
    }
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Self::Evaluation => "evaluation",
            Self::Preferences => "preferences",
            Self::Pipeline => "pipeline",
        }
    }

    fn inputs(self) -> &'static [Input] {
        const EVALUATION: &[Input] = &[input("lines", "eval", "", "")];
        const PREFERENCES: &[Input] = &[input("lines", "train", "", "")];
        const PIPELINE: &[Input] = &[
            input("lines", "train", "datasets/", "_train.jsonl"),
            input("lines", "eval", "datasets/", "_eval.jsonl"),
            input(
                "decision_lines",
                "strong",
                "decisions/",
                "_decisions_strong.jsonl",
            ),
            input(
                "decision_lines",
                "weak",
                "decisions/",
                "_decisions_weak.jsonl",
            ),
            input(
                "probability_lines",
                "strong",
                "probs/",
                "_probs_strong.jsonl",
            ),
            input("probability_lines", "weak", "probs/", "_probs_weak.jsonl"),
        ];
        match self {
            Self::Evaluation => EVALUATION,
            Self::Preferences => PREFERENCES,
            Self::Pipeline => PIPELINE,
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
    let started = Instant::now();
    let reading = Step::start(&format!("reading {}", from.display()));
    let (root, files) = find(from)?;
    let inside = session
        .sister_over(RawFolder::new(root.clone()), None)
        .await?;
    enter_schema(&inside.ctx, SCHEMA)?;
    register_lines(&inside, form, &root, &files, from).await?;

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

/// The folder that paths are relative to, and the paths of the files with rows.
fn find(from: &Path) -> Result<(PathBuf, BTreeSet<String>)> {
    if from.is_dir() {
        let mut files = BTreeSet::new();
        walk(from, "", &mut files)?;
        return Ok((from.to_owned(), files));
    }
    match (
        from.parent(),
        from.file_name().and_then(|name| name.to_str()),
    ) {
        (Some(parent), Some(name)) if from.is_file() => {
            let root = if parent == Path::new("") {
                Path::new(".")
            } else {
                parent
            };
            Ok((root.to_owned(), BTreeSet::from([name.to_owned()])))
        }
        _ => Err(Error::Usage(format!(
            "--from {}: no such file or folder",
            from.display()
        ))),
    }
}

/// Adds the files below `folder` whose ending says that they have rows.
fn walk(folder: &Path, prefix: &str, files: &mut BTreeSet<String>) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::file(folder, e))?;
    for entry in entries {
        let path = entry.map_err(|e| Error::file(folder, e))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        let relative = format!("{prefix}{name}");
        if path.is_dir() {
            walk(&path, &format!("{relative}/"), files)?;
        } else if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            files.insert(relative);
        }
    }
    Ok(())
}

/// Makes the relations of `form`'s inputs, each with a row a row of its files: `kind,
/// name, file, line, error, json`.
async fn register_lines(
    session: &Session,
    form: Form,
    root: &Path,
    files: &BTreeSet<String>,
    from: &Path,
) -> Result<()> {
    let relations: BTreeSet<_> = form.inputs().iter().map(|input| input.relation).collect();
    for relation in relations {
        let mut parts = vec![];
        for input in form
            .inputs()
            .iter()
            .filter(|input| input.relation == relation)
        {
            for file in files {
                if let Some(name) = input.name_of(file) {
                    let rows = rows_of(session, root, file)?;
                    parts.push(format!(
                        "SELECT '{}' AS kind, {} AS name, file AS file, line AS line, \
                         error AS error, text AS json FROM {rows}",
                        input.kind,
                        literal(name)
                    ));
                }
            }
        }
        if parts.is_empty() && relation == "lines" {
            return Err(Error::Usage(missing(form, from)));
        }
        if parts.is_empty() {
            parts.push(NO_LINES.to_owned());
        }
        let view = format!("CREATE VIEW {relation} AS {}", parts.join(" UNION ALL "));
        session.ctx.sql(&view).await?;
    }
    Ok(())
}

impl Input {
    /// What stands for the star in the path `folder*ending`, when `file` is of this input.
    fn name_of<'a>(&self, file: &'a str) -> Option<&'a str> {
        let name = file.strip_prefix(self.folder)?;
        if self.ending.is_empty() {
            return Some(name);
        }
        let name = name.strip_suffix(".gz").unwrap_or(name);
        name.strip_suffix(self.ending)
    }
}

fn missing(form: Form, from: &Path) -> String {
    let expected: Vec<_> = form
        .inputs()
        .iter()
        .filter(|input| input.relation == "lines" && !input.ending.is_empty())
        .map(|input| format!("{}DATASET{}", input.folder, input.ending))
        .collect();
    let expected = if expected.is_empty() {
        ENDINGS.map(|ending| format!("*{ending}")).join(", ")
    } else {
        expected.join(" or ")
    };
    format!(
        "--from {}: nothing to import as {}; it should hold {expected}",
        from.display(),
        form.name()
    )
}

/// The relation with the rows of one file, in SQL.
fn rows_of(session: &Session, root: &Path, file: &str) -> Result<String> {
    if !file.ends_with(".parquet") {
        return Ok(format!("read_lines({})", literal(file)));
    }
    let table = parquet_lines(&root.join(file), file)?;
    session
        .ctx
        .register_table(TableReference::partial(SCHEMA, file), Arc::new(table))?;
    Ok(format!("\"{}\"", file.replace('"', "\"\"")))
}

/// The rows of a Parquet file as JSON texts, numbered from 1, in the columns of
/// `read_lines`: whatever a publisher's types are, the SQL reads one form.
fn parquet_lines(path: &Path, name: &str) -> Result<MemTable> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("file", DataType::Utf8, false),
        Field::new("line", DataType::Int64, false),
        Field::new("error", DataType::Utf8, true),
        Field::new("text", DataType::Utf8, true),
    ]));
    let file = std::fs::File::open(path).map_err(|e| Error::file(path, e))?;
    let unreadable = |e: &dyn std::fmt::Display| Error::Failed(format!("{}: {e}", path.display()));
    let rows = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|e| unreadable(&e))?;
    let mut batches = vec![];
    let mut line = 0;
    for rows in rows {
        let mut writer = LineDelimitedWriter::new(vec![]);
        rows.and_then(|rows| writer.write(&rows))
            .and_then(|()| writer.finish())
            .map_err(|e| unreadable(&e))?;
        let text = String::from_utf8(writer.into_inner()).map_err(|e| unreadable(&e))?;
        let texts: StringArray = text.lines().map(Some).collect();
        let numbers: Int64Array = text
            .lines()
            .map(|_| {
                line += 1;
                line
            })
            .collect::<Vec<i64>>()
            .into();
        let names: StringArray = text.lines().map(|_| Some(name)).collect();
        let errors = StringArray::new_null(names.len());
        batches.push(
            RecordBatch::try_new(
                Arc::clone(&schema),
                vec![
                    Arc::new(names),
                    Arc::new(numbers),
                    Arc::new(errors),
                    Arc::new(texts),
                ],
            )
            .map_err(DataFusionError::from)?,
        );
    }
    Ok(MemTable::try_new(schema, vec![batches])?)
}

/// A SQL text literal.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
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
        let target = TableReference::partial(PIPELINE_SCHEMA, self.name.as_str());
        let rows = session.ctx.read_batches(self.rows.clone())?;
        let stream = rows.execute_stream().await?;
        let rows = session.lake.write(&session.ctx, &target, stream).await?;
        let entry = ledger::Entry {
            step: format!("import {}", form.name()),
            output: self.name.clone(),
            rows,
            seconds: started.elapsed().as_secs_f64(),
            fingerprint: String::new(),
            output_version: session.lake.version(&target).await?,
            models,
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
    let folder = literal(&format!("{}/", root.display()));
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
