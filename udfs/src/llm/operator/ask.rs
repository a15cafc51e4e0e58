//! Asks the model about one row.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::common::exec_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, Time};
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
        let reply = function.ask(backend.as_ref(), row, &self.sampling).await;
        let (answer, usage, failed) = match reply {
            Ok(reply) => (reply.value, reply.usage, false),
            Err(ModelError::Row(reason)) => (function.failure(&reason), Usage::default(), true),
            Err(ModelError::Fatal(reason)) => {
                return exec_err!("model '{model}' cannot go on: {reason}");
            }
        };
        self.costs.add(usage, failed);
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
            engine_wait: MetricBuilder::new(metrics).subset_time("engine_wait", partition),
        }
    }

    fn add(&self, usage: Usage, failed: bool) {
        self.prompt_tokens.add(usage.prompt_tokens);
        self.cached_tokens.add(usage.cached_tokens);
        self.generated_tokens.add(usage.generated_tokens);
        self.row_errors.add(usize::from(failed));
    }
}
