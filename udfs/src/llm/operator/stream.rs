//! Rows in, answers out, in order.
//!
//! Input batches are cut into slices of at most [`SLICE`] rows. A slice is
//! emitted as soon as all of its rows, and those of the slices before it, are
//! answered. Rows of several slices and batches are asked at the same time: a
//! partition looks [`LOOKAHEAD`] times as far ahead as calls may be in flight,
//! so that one slow row does not empty the engine, and no further, so that the
//! input is never buffered.

use std::future::{self, Future};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::metrics::BaselineMetrics;
use futures::stream::{self, Stream, StreamExt, TryStreamExt};

use super::ask::Asker;
use crate::llm::functions::Row;

/// The most rows of one output batch: small enough that progress is seen and
/// that little is lost when a query is stopped.
const SLICE: usize = 256;

/// How many rows a partition holds, in units of the calls that may be in flight.
const LOOKAHEAD: usize = 4;

/// `input` with the column of answers.
pub(super) fn answered(
    asker: Asker,
    input: SendableRecordBatchStream,
    schema: SchemaRef,
    baseline: BaselineMetrics,
) -> impl Stream<Item = Result<RecordBatch>> + Send {
    let asker = Arc::new(asker);
    let window = LOOKAHEAD * asker.concurrency();
    let slicer = Arc::clone(&asker);
    let starter = Arc::clone(&asker);
    let rows = input
        .map(move |batch| rows(&slicer, batch?))
        .map_ok(|rows| stream::iter(rows).map(Ok))
        .try_flatten();
    let answers = rows
        .map_ok(move |(slice, index)| answer(Arc::clone(&starter), slice, index))
        .try_buffered(window);
    let mut collected = Vec::new();
    EngineWait::new(asker, Box::pin(answers))
        .try_filter_map(move |(slice, answer)| {
            future::ready(collect(&mut collected, &slice, answer, &schema))
        })
        .inspect_ok(move |batch| baseline.record_output(batch.num_rows()))
}

/// Some neighbouring rows, and the arguments of their calls.
struct Slice {
    rows: RecordBatch,
    arguments: Vec<ArrayRef>,
}

impl Slice {
    fn has_null(&self, index: usize) -> bool {
        self.arguments.iter().any(|column| column.is_null(index))
    }
}

/// Every row of `batch`: its slice, and its place therein.
fn rows(
    asker: &Asker,
    batch: RecordBatch,
) -> Result<impl Iterator<Item = (Arc<Slice>, usize)> + use<>> {
    let count = batch.num_rows();
    let question = &asker.question;
    let parameters = question.function.parameters().iter().skip(1);
    let arguments = parameters
        .zip(&question.arguments)
        .map(|(parameter, argument)| parameter.read(argument.evaluate(&batch)?.into_array(count)?))
        .collect::<Result<Vec<_>>>()?;
    Ok((0..count).step_by(SLICE).flat_map(move |start| {
        let length = SLICE.min(count - start);
        let cut = |column: &ArrayRef| column.slice(start, length);
        let slice = Arc::new(Slice {
            rows: batch.slice(start, length),
            arguments: arguments.iter().map(cut).collect(),
        });
        (0..length).map(move |index| (Arc::clone(&slice), index))
    }))
}

/// Starts to ask about a row. Each call is a task of its own, so that it makes
/// progress, and gives its permit back, while nobody polls this partition;
/// dropping the future cancels it.
fn answer(
    asker: Arc<Asker>,
    slice: Arc<Slice>,
    index: usize,
) -> impl Future<Output = Result<(Arc<Slice>, ArrayRef)>> + Send {
    let asked = Arc::clone(&slice);
    let task = (!slice.has_null(index)).then(|| {
        let asker = Arc::clone(&asker);
        SpawnedTask::spawn(async move {
            let arguments = &asked.arguments;
            asker.ask(Row { arguments, index }).await
        })
    });
    async move {
        let answer = match task {
            Some(task) => task
                .join_unwind()
                .await
                .map_err(|stopped| DataFusionError::External(Box::new(stopped)))??,
            None => new_null_array(&asker.question.function.answer_type(), 1),
        };
        Ok((slice, answer))
    }
}

/// Adds an answer; gives the output batch when it is the slice's last.
fn collect(
    collected: &mut Vec<ArrayRef>,
    slice: &Slice,
    answer: ArrayRef,
    schema: &SchemaRef,
) -> Result<Option<RecordBatch>> {
    collected.push(answer);
    if collected.len() < slice.rows.num_rows() {
        return Ok(None);
    }
    let answers: Vec<&dyn Array> = collected.iter().map(AsRef::as_ref).collect();
    let mut columns = slice.rows.columns().to_vec();
    columns.push(concat(&answers)?);
    collected.clear();
    Ok(Some(RecordBatch::try_new(Arc::clone(schema), columns)?))
}

/// Measures how long `inner` is pending while calls are in flight.
struct EngineWait<S> {
    asker: Arc<Asker>,
    inner: S,
    since: Option<Instant>,
}

impl<S> EngineWait<S> {
    fn new(asker: Arc<Asker>, inner: S) -> Self {
        Self {
            asker,
            inner,
            since: None,
        }
    }
}

impl<S: Stream + Unpin> Stream for EngineWait<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        if let Some(since) = self.since.take() {
            self.asker.costs.engine_wait.add_elapsed(since);
        }
        let polled = self.inner.poll_next_unpin(context);
        if polled.is_pending() && self.asker.is_asking() {
            self.since = Some(Instant::now());
        }
        polled
    }
}
