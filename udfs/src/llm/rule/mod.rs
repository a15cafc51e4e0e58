//! How calls of model functions become [`Infer`](super::node) nodes.
//!
//! | file | what it does |
//! | --- | --- |
//! | [`places`] | refuses calls where they cannot be lifted, and says how to rewrite |
//! | [`lift`] | puts an `Infer` node below the place of each call |
//! | [`presort`] | sorts before the model is asked, not only after |
//! | [`prune`] | drops calls whose answers nothing reads |
//!
//! Lifting is the last step of *analysis*: the plan is then still what the query
//! says, with all types known, and the whole optimizer works on nodes that say
//! what may pass them. Were it done later, passes that know nothing of the price
//! of a call would already have moved calls into join keys and CASE branches.

mod lift;
mod places;
mod presort;
mod prune;

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::AnalyzerRule;

use super::call::plan_has_call;
use super::models::Models;

pub(super) use prune::PruneUnreadAnswers;

/// Lifts every call of a model function into an `Infer` node.
#[derive(Debug)]
pub(super) struct LiftCalls {
    models: Arc<Models>,
}

impl LiftCalls {
    /// Calls may name these models.
    pub(super) fn new(models: Arc<Models>) -> Self {
        Self { models }
    }
}

impl AnalyzerRule for LiftCalls {
    fn name(&self) -> &str {
        "lift_model_calls"
    }

    fn analyze(&self, plan: LogicalPlan, _options: &ConfigOptions) -> Result<LogicalPlan> {
        if !plan_has_call(&plan)? {
            return Ok(plan);
        }
        places::check(&plan, &self.models)?;
        lift::lift(plan)
    }
}
