//! The table function `commits()`: every commit of every pipeline table, with its stamp.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{
    Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{
    MemTable, Session as QuerySession, TableFunctionArgs, TableFunctionImpl, TableProvider,
};
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::lake::delta::{Commit, Stamp};
use crate::lake::{Lake, PIPELINE_SCHEMA};

/// `commits()`.
#[derive(Debug)]
pub struct Commits(pub Lake);

impl TableFunctionImpl for Commits {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        if !args.exprs().is_empty() {
            return plan_err!("commits() takes no arguments");
        }
        Ok(Arc::new(CommitTable(self.0.clone())))
    }
}

/// The commits, read when they are asked for.
#[derive(Debug)]
struct CommitTable(Lake);

impl CommitTable {
    async fn read(&self) -> crate::error::Result<Vec<(String, Commit)>> {
        let mut found = vec![];
        for table in self.0.tables().await? {
            if table.schema() == Some(PIPELINE_SCHEMA) {
                let name = table.table().to_owned();
                let commits = self.0.commits(&name, None).await?;
                found.extend(commits.into_iter().map(|commit| (name.clone(), commit)));
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl TableProvider for CommitTable {
    fn schema(&self) -> SchemaRef {
        schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        session: &dyn QuerySession,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let commits = self.read().await;
        let commits = commits.map_err(|e| DataFusionError::External(Box::new(e)))?;
        let table = MemTable::try_new(schema(), vec![vec![batch(&commits)?]])?;
        table.scan(session, projection, filters, limit).await
    }
}

fn schema() -> SchemaRef {
    let field = |name: &str, kind: DataType| Field::new(name, kind, true);
    let counts = COUNTS.iter().map(|(name, _)| field(name, DataType::Int64));
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let mut fields = vec![
        field("table", DataType::Utf8),
        field("committed_at", time),
        field("operation", DataType::Utf8),
        field("run", DataType::Utf8),
        field("step", DataType::Utf8),
    ];
    fields.extend(counts);
    fields.push(field("seconds", DataType::Float64));
    Arc::new(Schema::new(fields))
}

/// A column and the count of a stamp that it shows.
type Count = (&'static str, fn(&Stamp) -> u64);

/// The counts of a stamp, by their columns.
const COUNTS: [Count; 7] = [
    ("units", |stamp| stamp.units),
    ("units_left", |stamp| stamp.units_left),
    ("rows", |stamp| stamp.rows),
    ("errors", |stamp| stamp.errors),
    ("prompt_tokens", |stamp| stamp.prompt_tokens),
    ("cached_tokens", |stamp| stamp.cached_tokens),
    ("generated_tokens", |stamp| stamp.generated_tokens),
];

fn batch(commits: &[(String, Commit)]) -> Result<RecordBatch> {
    let stamps = || commits.iter().map(|(_, commit)| commit.stamp.as_ref());
    let text = |part: fn(&Stamp) -> &str| {
        let cells = stamps().map(|stamp| stamp.map(part));
        Arc::new(cells.collect::<StringArray>())
    };
    let times = commits.iter().map(|(_, commit)| commit.at);
    let times = TimestampMillisecondArray::from_iter_values(times).with_timezone("UTC");
    let tables = commits.iter().map(|(table, _)| table);
    let operations = commits.iter().map(|(_, commit)| &commit.operation);
    let mut columns: Vec<datafusion::arrow::array::ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(tables)),
        Arc::new(times),
        Arc::new(StringArray::from_iter_values(operations)),
        text(|stamp| &stamp.run),
        text(|stamp| &stamp.step),
    ];
    for (_, count) in COUNTS {
        let cells = stamps().map(|stamp| stamp.map(|stamp| count(stamp).cast_signed()));
        columns.push(Arc::new(cells.collect::<Int64Array>()));
    }
    let seconds = stamps().map(|stamp| stamp.map(|stamp| stamp.seconds));
    columns.push(Arc::new(seconds.collect::<Float64Array>()));
    Ok(RecordBatch::try_new(schema(), columns)?)
}
