//! Raw files as a streamed table: read once, front to back, off the async threads.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::PartitionStream;

use super::columns::Column;
use super::files::{self, RawFile};
use super::lines::{Encoding, Lines};
use super::rows::{Rows, schema};

/// How the lines of files become rows.
pub trait Format: Send + Sync + std::fmt::Debug {
    /// The declared columns.
    fn columns(&self) -> &[Column];

    /// The records of a file.
    ///
    /// # Errors
    /// Fails when the file as a whole is not of this format; a bad line is a bad row.
    fn records(&self, lines: Lines) -> Result<Box<dyn Records + '_>>;
}

/// The records of one file, front to back.
pub trait Records {
    /// Appends the next record, or what is wrong with it; false at the end of the file.
    fn next(&mut self, rows: &mut Rows) -> bool;
}

/// The table of `files`, one after another.
///
/// # Errors
/// Fails when the schema is refused.
pub fn table(
    files: Vec<RawFile>,
    encoding: Encoding,
    format: Arc<dyn Format>,
) -> Result<Arc<dyn TableProvider>> {
    let schema = schema(format.columns());
    let partition = RawPartition {
        files: files.into(),
        encoding,
        schema: Arc::clone(&schema),
        format,
    };
    Ok(Arc::new(StreamingTable::try_new(
        schema,
        vec![Arc::new(partition)],
    )?))
}

/// The literal text arguments of a call of table function `function`.
///
/// # Errors
/// Fails when there are fewer than `least` or one is no text literal.
pub fn text_arguments(
    function: &str,
    usage: &str,
    least: usize,
    exprs: &[Expr],
) -> Result<Vec<String>> {
    let mut texts = vec![];
    for expr in exprs {
        match expr {
            Expr::Literal(value, _) if value.try_as_str().flatten().is_some() => {
                texts.extend(value.try_as_str().flatten().map(str::to_owned));
            }
            Expr::Literal(ScalarValue::Null, _) => {}
            other => return plan_err!("{function}: {other} is not a text; usage: {usage}"),
        }
    }
    if texts.len() < least {
        return plan_err!("{function} takes at least {least} texts; usage: {usage}");
    }
    Ok(texts)
}

#[derive(Debug)]
struct RawPartition {
    files: Arc<[RawFile]>,
    encoding: Encoding,
    schema: SchemaRef,
    format: Arc<dyn Format>,
}

impl PartitionStream for RawPartition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _ctx: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), 2);
        let batches = stream.tx();
        let files = Arc::clone(&self.files);
        let (encoding, format) = (self.encoding, Arc::clone(&self.format));
        stream.spawn_blocking(move || {
            let mut rows = Rows::new(format.columns());
            for file in files.iter() {
                rows.enter(&file.name);
                let lines = Lines::new(files::open(&file.path)?, encoding);
                let mut records = format
                    .records(lines)
                    .map_err(|e| e.context(file.name.clone()))?;
                while records.next(&mut rows) {
                    // A closed channel means that nobody wants more.
                    if rows.is_full() && batches.blocking_send(rows.take()).is_err() {
                        return Ok(());
                    }
                }
            }
            // An empty last batch is no trouble; a closed channel neither.
            batches.blocking_send(rows.take()).ok();
            Ok(())
        });
        stream.build()
    }
}
