//! The operator that asks models: pulls rows from its whole input, keeps the
//! backend full across batch borders, and emits in input order.
//!
//! | file | what it does |
//! | --- | --- |
//! | this one | the plan node: what it preserves, how it is shown and started |
//! | [`stream`] | rows in, answers out |
//! | [`ask`] | one row: permit, call, cost |

mod ask;
mod stream;

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::internal_err;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::equivalence::ProjectionMapping;
use datafusion::physical_plan::execution_plan::{
    CardinalityEffect, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
    apply_expression_roots,
};
use tokio::sync::Semaphore;

use super::backend::Backend;
use super::functions::ModelFunction;
use super::progress::Observer;
use super::settings::ModelSettings;
use ask::{Asker, Costs};

/// What is asked of whom.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// The function called.
    pub(super) function: &'static dyn ModelFunction,
    /// The model's registered name.
    pub(super) model: String,
    /// The model.
    pub(super) backend: Arc<dyn Backend>,
    /// The arguments after the model.
    pub(super) arguments: Vec<Arc<dyn PhysicalExpr>>,
    /// The name of the column of answers.
    pub(super) answer: String,
}

/// Appends the answers to a [`Question`] to the rows of its input.
///
/// All partitions together keep [`Backend::concurrency`] calls in flight.
#[derive(Debug)]
pub(super) struct InferExec {
    question: Arc<Question>,
    input: Arc<dyn ExecutionPlan>,
    permits: Arc<Semaphore>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl InferExec {
    /// Asks `question` of every row of `input`.
    ///
    /// # Errors
    /// Fails when the input's orderings cannot be carried over.
    pub(super) fn try_new(question: Question, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let permits = Arc::new(Semaphore::new(question.backend.concurrency().max(1)));
        Self::with_input(Arc::new(question), permits, input)
    }

    fn with_input(
        question: Arc<Question>,
        permits: Arc<Semaphore>,
        input: Arc<dyn ExecutionPlan>,
    ) -> Result<Self> {
        let properties = Arc::new(properties(&question, &input)?);
        Ok(Self {
            question,
            input,
            permits,
            properties,
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    fn asker(&self, partition: usize, context: &TaskContext) -> Asker {
        let session = context.session_config();
        let settings = session.options().extensions.get::<ModelSettings>();
        Asker {
            question: Arc::clone(&self.question),
            permits: Arc::clone(&self.permits),
            sampling: settings.cloned().unwrap_or_default().sampling,
            observer: session.get_extension::<Observer>(),
            costs: Costs::new(&self.metrics, partition),
        }
    }
}

/// The input's partitions and orderings hold for the output, too.
fn properties(question: &Question, input: &Arc<dyn ExecutionPlan>) -> Result<PlanProperties> {
    let given = input.schema();
    let kept: Vec<usize> = (0..given.fields().len()).collect();
    let schema = with_answers(&given, question);
    let mapping = ProjectionMapping::from_indices(&kept, &given)?;
    Ok(PlanProperties::new(
        input.equivalence_properties().project(&mapping, schema),
        input.output_partitioning().clone(),
        EmissionType::Incremental,
        input.boundedness(),
    ))
}

fn with_answers(given: &Schema, question: &Question) -> SchemaRef {
    let answer = Field::new(&question.answer, question.function.answer_type(), true);
    let fields = given.fields().iter().map(Arc::clone);
    let fields: Vec<_> = fields.chain([Arc::new(answer)]).collect();
    Arc::new(Schema::new_with_metadata(fields, given.metadata().clone()))
}

impl DisplayAs for InferExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "InferExec: {}({}) AS {}, concurrency={}",
            self.question.function.name(),
            self.question.model,
            self.question.answer,
            self.question.backend.concurrency()
        )
    }
}

impl ExecutionPlan for InferExec {
    fn name(&self) -> &str {
        "InferExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(&self.question.arguments, f)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(input), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("InferExec needs one input");
        };
        let question = Arc::clone(&self.question);
        let replaced = Self::with_input(question, Arc::clone(&self.permits), input)?;
        Ok(Arc::new(replaced))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    /// The partitions share one backend: more of them make nothing faster, and
    /// would scatter neighbours that share a prompt.
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let asker = self.asker(partition, &context);
        let input = self.input.execute(partition, context)?;
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let answered = stream::answered(asker, input, self.schema(), baseline);
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            answered,
        )))
    }
}
