//! The `runs` table: what made each table, from what, and how long it took.

use std::sync::Arc;

use datafusion::arrow::array::{
    AsArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::common::TableReference;
use datafusion::prelude::{cast, col, lit};
use serde_json::json;

use crate::error::Result;
use crate::lake::PIPELINE_SCHEMA;
use crate::session::Session;

/// Named in full: a session may have another schema as its default.
fn runs_table() -> TableReference {
    TableReference::partial(PIPELINE_SCHEMA, "runs")
}

/// One finished step.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What ran: `ingest movielens`, `scenarios`, …
    pub step: String,
    /// The table it made.
    pub output: String,
    /// Rows of that table.
    pub rows: u64,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Hash of everything the output depends on.
    pub fingerprint: String,
    /// Storage version of the output when the step ended.
    pub output_version: String,
    /// Fingerprints of the models it asked, by name.
    pub models: Vec<(String, String)>,
}

/// Adds `entry` to the ledger.
///
/// # Errors
/// Fails when the ledger cannot be read or written.
pub async fn record(session: &Session, entry: &Entry) -> Result<()> {
    let row = session.ctx.read_batch(row(session, entry)?)?;
    let all = match session.ctx.table(runs_table()).await {
        Ok(earlier) => earlier.union(row)?,
        Err(_) => row,
    };
    // The old file is read to its end before the new one replaces it.
    let batches = all
        .sort(vec![col("ended_at").sort(true, false)])?
        .collect()
        .await?;
    let stream = session.ctx.read_batches(batches)?.execute_stream().await?;
    session
        .lake
        .write(&session.ctx, &runs_table(), stream)
        .await?;
    Ok(())
}

/// Whether `output` was last made by a step of the same `fingerprint` and has not been
/// touched since.
///
/// # Errors
/// Fails when the ledger or the storage cannot be read.
pub async fn is_current(session: &Session, output: &str, fingerprint: &str) -> Result<bool> {
    let table = TableReference::from(output);
    if !session.lake.contains(&table).await? {
        return Ok(false);
    }
    let Ok(runs) = session.ctx.table(runs_table()).await else {
        return Ok(false);
    };
    let version = session.lake.version(&table).await?;
    let matching = runs.filter(
        col("output")
            .eq(lit(output))
            .and(col("fingerprint").eq(lit(fingerprint)))
            .and(col("output_version").eq(lit(version))),
    )?;
    Ok(matching.count().await? > 0)
}

/// The step that last wrote `output`.
///
/// # Errors
/// Fails when the ledger cannot be read.
pub async fn last_step(session: &Session, output: &str) -> Result<Option<String>> {
    let Ok(runs) = session.ctx.table(runs_table()).await else {
        return Ok(None);
    };
    let last = runs
        .filter(col("output").eq(lit(output)))?
        .sort(vec![col("ended_at").sort(false, false)])?
        .limit(0, Some(1))?
        .select(vec![cast(col("step"), DataType::Utf8)])?
        .collect()
        .await?;
    let step = last.iter().find(|batch| batch.num_rows() > 0);
    Ok(step.map(|batch| batch.column(0).as_string::<i32>().value(0).to_owned()))
}

fn row(session: &Session, entry: &Entry) -> Result<RecordBatch> {
    let parameters: serde_json::Map<_, _> = session
        .parameters
        .values()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    let models: serde_json::Map<_, _> = entry
        .models
        .iter()
        .map(|(name, fingerprint)| (name.clone(), json!(fingerprint)))
        .collect();
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let ended_at = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let schema = Schema::new(vec![
        Field::new("ended_at", ended_at, false),
        text("step"),
        text("output"),
        Field::new("rows", DataType::Int64, false),
        Field::new("seconds", DataType::Float64, false),
        text("parameters"),
        text("models"),
        text("fingerprint"),
        text("output_version"),
        text("software"),
    ]);
    let one = |value: String| Arc::new(StringArray::from(vec![value]));
    let batch = RecordBatch::try_new(
        Arc::new(schema),
        vec![
            Arc::new(TimestampMicrosecondArray::from(vec![now_micros()]).with_timezone("UTC")),
            one(entry.step.clone()),
            one(entry.output.clone()),
            Arc::new(Int64Array::from(vec![entry.rows.cast_signed()])),
            Arc::new(Float64Array::from(vec![entry.seconds])),
            one(serde_json::Value::Object(parameters).to_string()),
            one(serde_json::Value::Object(models).to_string()),
            one(entry.fingerprint.clone()),
            one(entry.output_version.clone()),
            one(format!("usermirror {}", env!("CARGO_PKG_VERSION"))),
        ],
    );
    Ok(batch.map_err(datafusion::error::DataFusionError::from)?)
}

/// Microseconds since 1970; 0 on a clock before that.
fn now_micros() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
        })
}
