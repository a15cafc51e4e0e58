//! A call of a model function, as it is found in an expression.

use std::any::Any;

use datafusion::common::plan_err;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::functions::{Marker, ModelFunction};

/// A call of a model function.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    /// The function called.
    pub(super) function: &'static dyn ModelFunction,
    model: &'a Expr,
    /// The arguments after the model.
    pub(super) arguments: &'a [Expr],
}

impl<'a> Call<'a> {
    /// The call that `expression` itself is, if it is one.
    pub(super) fn of(expression: &'a Expr) -> Option<Self> {
        let Expr::ScalarFunction(scalar) = expression else {
            return None;
        };
        let implementation: &dyn Any = scalar.func.inner().as_ref();
        let marker = implementation.downcast_ref::<Marker>()?;
        let (model, arguments) = scalar.args.split_first()?;
        Some(Self {
            function: marker.function(),
            model,
            arguments,
        })
    }

    /// The name of the model it asks.
    ///
    /// # Errors
    /// Fails when the model is not a literal: which model runs a query must be
    /// known before the query runs.
    pub(super) fn model(&self) -> Result<&'a str> {
        if let Expr::Literal(value, _) = self.model
            && let Some(Some(name)) = value.try_as_str()
        {
            return Ok(name);
        }
        plan_err!(
            "the model of {} must be a literal name such as 'weak', not {}; \
             to ask several models, write one call for each",
            self.function.name(),
            self.model
        )
    }
}

/// Whether a call stands anywhere in `expression`, subqueries aside.
pub(super) fn has_call(expression: &Expr) -> bool {
    find_call(expression).is_some()
}

/// The first call in `expression` whose arguments hold no call.
pub(super) fn innermost_call(expression: &Expr) -> Option<&Expr> {
    let call = find_call(expression)?;
    let nested = Call::of(call)?.arguments.iter().find_map(innermost_call);
    nested.or(Some(call))
}

/// The first call in `expression`, outermost first.
fn find_call(expression: &Expr) -> Option<&Expr> {
    let mut found = None;
    let walked = expression.apply(|part| {
        Ok(if Call::of(part).is_some() {
            found = Some(part);
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    });
    walked.ok().and(found)
}

/// Whether a call stands anywhere in `plan`, its subqueries included.
///
/// # Errors
/// Passes on a failed walk of the plan.
pub(super) fn plan_has_call(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            found |= has_call(expression);
            Ok(if found {
                TreeNodeRecursion::Stop
            } else {
                TreeNodeRecursion::Continue
            })
        })
    })?;
    Ok(found)
}
