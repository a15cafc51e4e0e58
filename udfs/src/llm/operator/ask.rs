//! Asks the model about one row.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use datafusion::arrow::array::ArrayRef;
use datafusion::common::exec_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::metrics::{
    Count, ExecutionPlanMetricsSet, Gauge, MetricBuilder, RatioMetrics, Time,
};
use tokio::sync::Semaphore;

use super::Question;
use crate::llm::backend::{ModelError, Sampling, Usage};
use crate::llm::functions::Row;
use crate::llm::progress::{Observer, Step};

/// Asks on behalf of one partition.
#[derive(Debug)]
pub(super) struct Asker {
    /// What is asked of whom.
    pub(super) question: Arc<Question>,
    /// One for each call that may be in flight, in all partitions together.
    pub(super) permits: Arc<Semaphore>,
    /// How decisions are drawn.
    pub(super) sampling: Sampling,
    /// Who watches.
    pub(super) observer: Option<Arc<Observer>>,
    /// What it costs.
    pub(super) costs: Costs,
}

impl Asker {
    /// The answer to `row`, an array of one value.
    ///
    /// # Errors
    /// Fails when the model cannot go on; a row that cannot be done is an answer.
    pub(super) async fn ask(&self, row: Row<'_>) -> Result<ArrayRef> {
        let Question {
            function,
            model,
            backend,
            ..
        } = self.question.as_ref();
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|closed| DataFusionError::External(Box::new(closed)))?;
        self.costs.begin();
        let reply = function.ask(backend.as_ref(), row, &self.sampling).await;
        let (answer, usage, failed) = match reply {
            Ok(reply) => (reply.value, reply.usage, false),
            Err(ModelError::Row(reason)) => (function.failure(&reason), Usage::default(), true),
            Err(ModelError::Fatal(reason) | ModelError::Memory(reason)) => {
                return exec_err!("model '{model}' cannot go on: {reason}");
            }
        };
        self.costs.add(usage, failed, self.concurrency());
        if let Some(observer) = &self.observer {
            observer.0.advance(&Step {
                model,
                function: function.name(),
                usage,
                failed,
            });
        }
        Ok(answer)
    }

    /// How many calls may be in flight.
    pub(super) fn concurrency(&self) -> usize {
        self.question.backend.concurrency().max(1)
    }

    /// Whether a call is in flight.
    pub(super) fn is_asking(&self) -> bool {
        self.permits.available_permits() < self.concurrency()
    }
}

/// What a partition's calls cost, as EXPLAIN ANALYZE shows it.
#[derive(Debug)]
pub(super) struct Costs {
    prompt_tokens: Count,
    cached_tokens: Count,
    generated_tokens: Count,
    row_errors: Count,
    /// Draws that were written together, of those that could have been.
    batch_fill: RatioMetrics,
    /// How long rows waited before the model began on them, summed.
    queue_wait: Time,
    /// Tokens that the model computed a second, since the first row was asked.
    tokens_per_second: Gauge,
    computed: AtomicUsize,
    since: OnceLock<Instant>,
    /// How long the partition had nothing to do but wait for the engine.
    pub(super) engine_wait: Time,
}

impl Costs {
    /// Counts in `metrics`.
    pub(super) fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let count = |name| MetricBuilder::new(metrics).counter(name, partition);
        Self {
            prompt_tokens: count("prompt_tokens"),
            cached_tokens: count("cached_tokens"),
            generated_tokens: count("generated_tokens"),
            row_errors: count("row_errors"),
            batch_fill: MetricBuilder::new(metrics).ratio_metrics("batch_fill", partition),
            queue_wait: MetricBuilder::new(metrics).subset_time("queue_wait", partition),
            tokens_per_second: MetricBuilder::new(metrics).gauge("tokens_per_second", partition),
            computed: AtomicUsize::new(0),
            since: OnceLock::new(),
            engine_wait: MetricBuilder::new(metrics).subset_time("engine_wait", partition),
        }
    }

    /// Starts the clock, with the first row that is asked.
    fn begin(&self) {
        self.since.get_or_init(Instant::now);
    }

    fn add(&self, usage: Usage, failed: bool, slots: usize) {
        self.prompt_tokens.add(usage.prompt_tokens);
        self.cached_tokens.add(usage.cached_tokens);
        self.generated_tokens.add(usage.generated_tokens);
        self.row_errors.add(usize::from(failed));
        self.batch_fill.add_part(usage.draws_in_steps);
        self.batch_fill.add_total(usage.draw_steps * slots);
        self.queue_wait.add_duration(usage.queued);
        let tokens = usage.computed_tokens();
        let tokens = tokens + self.computed.fetch_add(tokens, Ordering::Relaxed);
        let seconds = self.since.get().map(Instant::elapsed).unwrap_or_default();
        let rate = tokens as f64 / seconds.as_secs_f64().max(1e-3);
        self.tokens_per_second.set(rate as usize);
    }
}
