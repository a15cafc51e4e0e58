//! The files of an import, each row shown to SQL as JSON text with its file and line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{Array, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::common::{DataFusionError, TableReference};
use datafusion::datasource::MemTable;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{Form, SCHEMA};
use crate::error::{Error, Result};
use crate::session::Session;

/// The endings of files with rows.
const ENDINGS: [&str; 5] = [".parquet", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz"];

/// The columns of an input that has no files.
const NO_LINES: &str = "SELECT '' AS kind, '' AS name, '' AS file, CAST(0 AS BIGINT) AS line, \
                        '' AS error, '' AS json WHERE false";

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
    /// What it reads.
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
}

/// The folder that paths are relative to, and the paths of the files with rows.
pub(super) fn find(from: &Path) -> Result<(PathBuf, BTreeSet<String>)> {
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
pub(super) async fn register(
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
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
