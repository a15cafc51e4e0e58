//! Queries over a fake model: what they give, and how often they ask.

mod catalog;
mod embedding;
mod fake;
mod lifting;
mod places;
mod running;

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::install;
use super::models::Models;
use fake::{Fake, FakeOpener};

/// How many rows `t` has.
const ROWS: usize = 700;

/// A session whose model `m` is `fake`, and whose table `t` (id, k = id % 7,
/// prompt, messages) has `partitions` partitions in order of id.
async fn session(fake: &Arc<Fake>, partitions: usize) -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(partitions)
        .with_information_schema(true);
    session_with(config, fake, partitions).await
}

async fn session_with(
    config: SessionConfig,
    fake: &Arc<Fake>,
    partitions: usize,
) -> SessionContext {
    let models = Arc::new(Models::default());
    models.register("m", Arc::clone(fake) as _);
    let builder = SessionStateBuilder::new()
        .with_default_features()
        .with_config(config);
    let builder = install(builder, &models, Arc::new(FakeOpener));
    let ctx = SessionContext::new_with_state(builder.build());
    register_rows(&ctx, partitions).await;
    ctx
}

async fn register_rows(ctx: &SessionContext, partitions: usize) {
    let sql = format!(
        "SELECT value AS id, value % 7 AS k, 'p' || value AS prompt, \
         [named_struct('role', 'user', 'content', 'p' || value)] AS messages \
         FROM generate_series(0, {}) ORDER BY value",
        ROWS - 1
    );
    let batches = ctx.sql(&sql).await.unwrap().collect().await.unwrap();
    let schema = batches[0].schema();
    let all = datafusion::arrow::compute::concat_batches(&schema, &batches).unwrap();
    let each = ROWS.div_ceil(partitions);
    let cut = |p: usize| all.slice(p * each, each.min(ROWS - p * each));
    let data = (0..partitions).map(|p| vec![cut(p)]).collect();
    let table = MemTable::try_new(schema, data).unwrap();
    ctx.register_table("t", Arc::new(table)).unwrap();
}

async fn collect(ctx: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>> {
    ctx.sql(sql).await?.collect().await
}

/// The result's rows, their values as text, joined by `|`.
async fn rows(ctx: &SessionContext, sql: &str) -> Vec<String> {
    let batches = collect(ctx, sql).await.unwrap();
    let row = |batch: &RecordBatch, row: usize| {
        let values = batch.columns().iter();
        let values = values.map(|column| array_value_to_string(column, row).unwrap());
        values.collect::<Vec<_>>().join("|")
    };
    batches
        .iter()
        .flat_map(|batch| (0..batch.num_rows()).map(move |i| row(batch, i)))
        .collect()
}

/// The one value of a result of one row and column.
async fn value(ctx: &SessionContext, sql: &str) -> String {
    let rows = rows(ctx, sql).await;
    assert_eq!(rows.len(), 1, "{sql}");
    rows[0].clone()
}

/// The message with which a query fails.
async fn failure(ctx: &SessionContext, sql: &str) -> String {
    collect(ctx, sql).await.unwrap_err().to_string()
}
