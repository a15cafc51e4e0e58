//! Export: a table as a Hugging Face dataset folder, `data/SPLIT-00000-of-0000N.parquet`
//! beside a card, `README.md`.

mod card;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use datafusion::common::TableReference;
use datafusion::error::DataFusionError;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::prelude::DataFrame;
use futures::StreamExt;

use crate::error::{Error, Result};
use crate::session::Session;

/// Most encoded bytes of a shard, about.
const SHARD_BYTES: usize = 500 << 20;

/// Rows that readers can fetch at a time.
const ROW_GROUP_ROWS: usize = 10_000;

/// The forms that are written, each a file of `sql/export`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// prompt, chosen, rejected: lists of messages, for TRL's DPOTrainer
    Trl,
    /// messages_chosen, messages_rejected beside ids and the impression list
    Messages,
    /// messages: the chosen conversation alone, for supervised fine-tuning
    Sft,
    /// The held-out scenarios: text, ids, item_pos and the impression list
    Evaluation,
}

impl Format {
    /// Its name on the command line and in `sql/export`.
    fn name(self) -> &'static str {
        match self {
            Self::Trl => "trl",
            Self::Messages => "messages",
            Self::Sft => "sft",
            Self::Evaluation => "evaluation",
        }
    }

    /// The table it is made from.
    fn table(self) -> &'static str {
        match self {
            Self::Evaluation => "scenarios",
            Self::Trl | Self::Messages | Self::Sft => "preferences",
        }
    }

    /// The dataset's split.
    fn split(self) -> &'static str {
        match self {
            Self::Evaluation => "test",
            Self::Trl | Self::Messages | Self::Sft => "train",
        }
    }
}

/// How the folder is written.
#[derive(Debug, Clone)]
pub struct Options {
    /// The card's licence, by its identifier on the Hugging Face Hub.
    pub license: String,
    /// Most rows of a shard.
    pub shard_rows: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            // The texts keep the terms of the logs that they come from.
            license: "other".to_owned(),
            shard_rows: 100_000,
        }
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Rows.
    pub rows: usize,
    /// Files that hold them.
    pub shards: usize,
    /// Bytes of the rows in memory.
    pub row_bytes: usize,
    /// Bytes of the files.
    pub file_bytes: u64,
}

/// Writes the rows of `sql/export/<format>.sql` to the folder `to`. The shards of an
/// earlier export are removed once all new ones are whole.
///
/// # Errors
/// Fails when the table is missing, the licence is no identifier, or the folder cannot be
/// written.
pub async fn export(
    session: &Session,
    format: Format,
    to: &Path,
    options: &Options,
) -> Result<Exported> {
    check_license(&options.license)?;
    let table = TableReference::bare(format.table());
    if !session.lake.contains(&table).await? {
        return Err(Error::Usage(format!(
            "{} has no {table} yet; first run: usermirror run",
            session.lake.location()
        )));
    }
    let path = format!("sql/export/{}.sql", format.name());
    let script = session.scripts.file(&path)?;
    let rows = script
        .run(&session.ctx)
        .await?
        .ok_or_else(|| Error::Failed(format!("{path}: ends without a query")))?;

    let data = to.join("data");
    std::fs::create_dir_all(&data).map_err(|e| Error::file(&data, e))?;
    remove(&data, |name| name.starts_with(PARTIAL))?;
    let schema = plain_schema(rows.schema().as_arrow());
    let exported = write(rows, &schema, &data, format, options.shard_rows).await?;
    let card = card::card(session, format, &options.license, &schema, exported).await?;
    let partial = to.join(".README.md");
    std::fs::write(&partial, card).map_err(|e| Error::file(&partial, e))?;
    rename(&partial, &to.join("README.md"))?;
    Ok(exported)
}

/// Refuses what would not be one word of the card's YAML.
fn check_license(license: &str) -> Result<()> {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    if !license.is_empty() && license.chars().all(word) {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "--license {license}: not an identifier; write one of the Hub's, like cc-by-4.0 or other"
    )))
}

/// Beginning of the names of shards that are not whole yet.
const PARTIAL: &str = ".partial-";

async fn write(
    rows: DataFrame,
    schema: &SchemaRef,
    data: &Path,
    format: Format,
    shard_rows: usize,
) -> Result<Exported> {
    let mut shards = Shards::start(data, schema, shard_rows)?;
    let mut stream = rows.execute_stream().await?;
    while let Some(batch) = stream.next().await {
        shards.write(&plain(&batch?, schema)?)?;
    }
    shards.finish(format.split())
}

/// The shards as they are written.
struct Shards<'a> {
    data: &'a Path,
    schema: &'a SchemaRef,
    shard_rows: usize,
    shard: Shard,
    whole: Vec<PathBuf>,
    rows: usize,
    row_bytes: usize,
}

/// The shard that takes rows now.
struct Shard {
    path: PathBuf,
    writer: ArrowWriter<File>,
    rows: usize,
}

impl<'a> Shards<'a> {
    fn start(data: &'a Path, schema: &'a SchemaRef, shard_rows: usize) -> Result<Self> {
        Ok(Self {
            data,
            schema,
            shard_rows,
            shard: Shard::start(data, schema, 0)?,
            whole: vec![],
            rows: 0,
            row_bytes: 0,
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut written = 0;
        while written < batch.num_rows() {
            if self.shard.is_full(self.shard_rows) {
                self.turn()?;
            }
            let room = self.shard_rows - self.shard.rows;
            let part = batch.slice(written, room.min(batch.num_rows() - written));
            self.shard.write(&part)?;
            written += part.num_rows();
            self.rows += part.num_rows();
            for column in part.columns() {
                let bytes = column.to_data().get_slice_memory_size();
                self.row_bytes += bytes.map_err(DataFusionError::from)?;
            }
        }
        Ok(())
    }

    /// Ends the shard and starts the next one.
    fn turn(&mut self) -> Result<()> {
        let next = Shard::start(self.data, self.schema, self.whole.len() + 1)?;
        let full = std::mem::replace(&mut self.shard, next);
        self.whole.push(full.finish()?);
        Ok(())
    }

    /// Ends the last shard, removes those of earlier exports and gives all their names.
    fn finish(self, split: &str) -> Result<Exported> {
        let mut whole = self.whole;
        whole.push(self.shard.finish()?);
        remove(self.data, is_shard)?;
        let mut file_bytes = 0;
        for (i, path) in whole.iter().enumerate() {
            file_bytes += std::fs::metadata(path)
                .map_err(|e| Error::file(path, e))?
                .len();
            let name = format!("{split}-{i:05}-of-{:05}.parquet", whole.len());
            rename(path, &self.data.join(name))?;
        }
        Ok(Exported {
            rows: self.rows,
            shards: whole.len(),
            row_bytes: self.row_bytes,
            file_bytes,
        })
    }
}

impl Shard {
    fn start(data: &Path, schema: &SchemaRef, number: usize) -> Result<Self> {
        let path = data.join(format!("{PARTIAL}{number:05}"));
        let file = File::create(&path).map_err(|e| Error::file(&path, e))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .build();
        let writer = ArrowWriter::try_new(file, Arc::clone(schema), Some(properties));
        let writer = writer.map_err(|e| refused(&path, &e))?;
        Ok(Self {
            path,
            writer,
            rows: 0,
        })
    }

    fn is_full(&self, most_rows: usize) -> bool {
        let bytes = self.writer.bytes_written() + self.writer.in_progress_size();
        self.rows >= most_rows || bytes >= SHARD_BYTES
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.rows += rows.num_rows();
        self.writer.write(rows).map_err(|e| refused(&self.path, &e))
    }

    fn finish(self) -> Result<PathBuf> {
        self.writer.close().map_err(|e| refused(&self.path, &e))?;
        Ok(self.path)
    }
}

fn refused(path: &Path, error: &ParquetError) -> Error {
    Error::Failed(format!("{}: {error}", path.display()))
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).map_err(|e| Error::file(to, e))
}

/// Whether an export gave a file its `name`: `SPLIT-00000-of-00001.parquet`.
fn is_shard(name: &str) -> bool {
    let parts: Vec<_> = name.split('-').collect();
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    match parts.as_slice() {
        ["train" | "test", number, "of", total] => {
            digits(number) && total.strip_suffix(".parquet").is_some_and(digits)
        }
        _ => false,
    }
}

/// Removes the files of `folder` whose names are `unwanted`.
fn remove(folder: &Path, unwanted: impl Fn(&str) -> bool) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(|e| Error::file(folder, e))? {
        let entry = entry.map_err(|e| Error::file(folder, e))?;
        if entry.file_name().to_str().is_some_and(&unwanted) {
            std::fs::remove_file(entry.path()).map_err(|e| Error::file(entry.path(), e))?;
        }
    }
    Ok(())
}

/// The schema in types that every Parquet reader has: no views, no large offsets.
fn plain_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| plain_field(field));
    Arc::new(Schema::new(fields.collect::<Fields>()))
}

fn plain_field(field: &Field) -> Field {
    Field::new(field.name(), plain_type(field.data_type()), true)
}

fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) => {
            DataType::List(Arc::new(plain_field(item)))
        }
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| plain_field(field)).collect())
        }
        other => other.clone(),
    }
}

fn plain(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns: Result<Vec<_>, _> = columns
        .map(|(column, field)| cast(column, field.data_type()))
        .collect();
    let columns = columns.map_err(DataFusionError::from)?;
    let batch = RecordBatch::try_new(Arc::clone(schema), columns);
    Ok(batch.map_err(DataFusionError::from)?)
}
