//! Turns `Infer` nodes into their operator.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{internal_datafusion_err, internal_err};
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use super::call::Call;
use super::models::Models;
use super::node::Infer;
use super::operator::{InferExec, Question};

/// Plans the model functions' operator; stands beside other extension planners in
/// an [`ExtensibleQueryPlanner`].
#[derive(Debug)]
pub struct InferPlanner {
    models: Arc<Models>,
}

impl InferPlanner {
    /// Calls may name these models.
    pub fn new(models: Arc<Models>) -> Self {
        Self { models }
    }
}

#[async_trait]
impl ExtensionPlanner for InferPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(infer) = node.as_any().downcast_ref::<Infer>() else {
            return Ok(None);
        };
        let ([logical], [physical]) = (logical_inputs, physical_inputs) else {
            return internal_err!("Infer needs one input");
        };
        let call = Call::of(infer.call())
            .ok_or_else(|| internal_datafusion_err!("Infer holds no call"))?;
        let arguments = call
            .arguments
            .iter()
            .map(|argument| {
                planner.create_physical_expr(argument, logical.schema(), session, context)
            })
            .collect::<Result<_>>()?;
        let question = Question {
            function: call.function,
            model: call.model()?.to_owned(),
            backend: self.models.get(call.model()?)?,
            arguments,
            answer: infer.answer().name,
        };
        let operator = InferExec::try_new(question, Arc::clone(physical))?;
        Ok(Some(Arc::new(operator)))
    }
}

/// The default planner plus extension planners; the first that knows a node plans
/// it.
pub struct ExtensibleQueryPlanner {
    planners: Vec<Arc<dyn ExtensionPlanner + Send + Sync>>,
}

impl ExtensibleQueryPlanner {
    /// Asks `planners` in their order.
    pub fn new(planners: Vec<Arc<dyn ExtensionPlanner + Send + Sync>>) -> Self {
        Self { planners }
    }
}

impl std::fmt::Debug for ExtensibleQueryPlanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "ExtensibleQueryPlanner({} planners)",
            self.planners.len()
        )
    }
}

#[async_trait]
impl QueryPlanner for ExtensibleQueryPlanner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        DefaultPhysicalPlanner::with_extension_planners(self.planners.clone())
            .create_physical_plan(plan, session)
            .await
    }
}
