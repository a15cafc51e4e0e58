//! A raw file as a streamed table: read once, front to back, off the async threads.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::PartitionStream;

use super::files;
use super::lines::{Encoding, Lines};

/// Rows of one batch.
pub const BATCH: usize = 8192;

/// Longest piece of a bad line that is kept.
const RAW_CHARACTERS: usize = 1000;

/// How the lines of a file become rows.
pub trait Format: Send + Sync + std::fmt::Debug {
    /// The columns.
    fn schema(&self) -> SchemaRef;

    /// Reads up to [`BATCH`] lines into one batch; an empty one is the end.
    ///
    /// # Errors
    /// Fails when Arrow refuses the columns, never because of a line.
    fn batch(&self, file: &str, lines: &mut Lines) -> Result<RecordBatch>;
}

/// The columns that every raw table begins with.
pub fn leading_fields() -> Vec<Field> {
    vec![
        Field::new("file", DataType::Utf8, false),
        Field::new("line", DataType::Int64, false),
        Field::new("error", DataType::Utf8, true),
        Field::new("raw", DataType::Utf8, true),
    ]
}

/// The text kept of a bad line.
pub fn raw_text(bytes: &[u8]) -> String {
    // Four bytes a character at most.
    let start = &bytes[..bytes.len().min(4 * RAW_CHARACTERS)];
    String::from_utf8_lossy(start)
        .chars()
        .take(RAW_CHARACTERS)
        .collect()
}

/// The table of the file at `path`, called `file` in its rows.
///
/// # Errors
/// Fails when the schema is refused.
pub fn table(
    path: PathBuf,
    file: String,
    encoding: Encoding,
    format: Arc<dyn Format>,
) -> Result<Arc<dyn TableProvider>> {
    let schema = format.schema();
    let partition = RawPartition {
        path,
        file,
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
    path: PathBuf,
    file: String,
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
        let (path, file) = (self.path.clone(), self.file.clone());
        let (encoding, format) = (self.encoding, Arc::clone(&self.format));
        stream.spawn_blocking(move || {
            let mut lines = Lines::new(files::open(&path)?, encoding);
            loop {
                let batch = format.batch(&file, &mut lines)?;
                // A closed channel means that nobody wants more.
                if batch.num_rows() == 0 || batches.blocking_send(Ok(batch)).is_err() {
                    return Ok(());
                }
            }
        });
        stream.build()
    }
}
