//! The `runs` table: what made each table, by whose order, and how long it took.
//!
//! It tells people; nothing is decided by it. What is up to date is told by the tables'
//! own commits.

use std::sync::Arc;

use datafusion::arrow::array::{
    Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use serde_json::json;

use crate::error::Result;
use crate::lake::delta::Stamp;
use crate::session::Session;

const TABLE: &str = "runs";

/// One finished step.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// What ran: `ingest movielens`, `scenarios`, …
    pub step: String,
    /// The table it made or added to.
    pub output: String,
    /// Rows it wrote.
    pub rows: u64,
    /// Of those, rows with an `error`.
    pub errors: u64,
    /// Tokens that models read and wrote for it.
    pub tokens: u64,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Fingerprints of the models it asked, by name.
    pub models: Vec<(String, String)>,
    /// How their weights are stored and where they ran, by name: `int8 on cpu`.
    pub weights: Vec<(String, String)>,
}

/// Adds `entry` to the ledger.
///
/// # Errors
/// Fails when the ledger cannot be written.
pub async fn record(session: &Session, entry: &Entry) -> Result<()> {
    let stamp = Stamp {
        run: session.run.to_string(),
        step: entry.step.clone(),
        rows: 1,
        ..Stamp::default()
    };
    let row = row(session, entry)?;
    session.lake.append(TABLE, vec![row], stamp).await
}

fn row(session: &Session, entry: &Entry) -> Result<RecordBatch> {
    let parameters: serde_json::Map<_, _> = session
        .parameters
        .values()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    let by_name = |pairs: &[(String, String)]| {
        let pairs = pairs.iter();
        let pairs: serde_json::Map<_, _> = pairs
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        serde_json::Value::Object(pairs).to_string()
    };
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let ended_at = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let schema = Schema::new(vec![
        Field::new("ended_at", ended_at, false),
        text("run"),
        text("step"),
        text("output"),
        Field::new("rows", DataType::Int64, false),
        Field::new("errors", DataType::Int64, false),
        Field::new("tokens", DataType::Int64, false),
        Field::new("seconds", DataType::Float64, false),
        text("parameters"),
        text("models"),
        text("weights"),
        text("software"),
    ]);
    let one = |value: String| Arc::new(StringArray::from(vec![value]));
    let count = |value: u64| Arc::new(Int64Array::from(vec![value.cast_signed()]));
    let batch = RecordBatch::try_new(
        Arc::new(schema),
        vec![
            Arc::new(
                TimestampMicrosecondArray::from(vec![chrono::Utc::now().timestamp_micros()])
                    .with_timezone("UTC"),
            ),
            one(session.run.to_string()),
            one(entry.step.clone()),
            one(entry.output.clone()),
            count(entry.rows),
            count(entry.errors),
            count(entry.tokens),
            Arc::new(Float64Array::from(vec![entry.seconds])),
            one(serde_json::Value::Object(parameters).to_string()),
            one(by_name(&entry.models)),
            one(by_name(&entry.weights)),
            one(format!("usermirror {}", env!("CARGO_PKG_VERSION"))),
        ],
    );
    Ok(batch.map_err(datafusion::error::DataFusionError::from)?)
}
