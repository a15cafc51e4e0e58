//! Where a call of a model function may stand.
//!
//! SELECT lists, WHERE and HAVING, GROUP BY, ORDER BY and aggregates' arguments
//! are lifted. Elsewhere a call is refused, with the rewrite: silently asking the
//! model for more rows than the query means would cost hours.

use datafusion::common::plan_err;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::llm::call::{Call, has_call, innermost_call, plan_has_call};
use crate::llm::models::Models;
use crate::llm::node::Infer;

/// Checks every call in `plan`, its subqueries included.
///
/// # Errors
/// A planning error that says how to rewrite when a call stands in a place that
/// is not lifted, its model is no literal, or no model of its kind has that name.
pub(super) fn check(plan: &LogicalPlan, models: &Models) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        check_correlation(node)?;
        let refused = refused_place(node);
        node.apply_expressions(|expression| {
            if let Some(place) = refused
                && let Some(call) = innermost_call(expression)
            {
                return refuse(call, place);
            }
            check_expression(expression, models)
        })
    })?;
    Ok(())
}

/// What `node` is called where its expressions are not lifted.
fn refused_place(node: &LogicalPlan) -> Option<&'static str> {
    match node {
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_) => None,
        LogicalPlan::Extension(extension) if extension.node.as_any().is::<Infer>() => None,
        LogicalPlan::Window(_) => Some("a window function"),
        LogicalPlan::Join(_) => Some("a join condition"),
        LogicalPlan::Values(_) => Some("VALUES"),
        LogicalPlan::Distinct(_) => Some("DISTINCT ON"),
        LogicalPlan::Limit(_) => Some("LIMIT"),
        _ => Some("this clause"),
    }
}

/// Subqueries that read the outer row are turned into joins by the optimizer,
/// which cannot move them through an operator that it does not know.
fn check_correlation(node: &LogicalPlan) -> Result<()> {
    if let LogicalPlan::Subquery(subquery) = node
        && !subquery.outer_ref_columns.is_empty()
        && plan_has_call(&subquery.subquery)?
    {
        return plan_err!(
            "a model function cannot be called in a subquery that reads columns of the outer \
             query: call it in the outer SELECT list (unnest(decide(…)) works there), or in a \
             subquery of its own and join that"
        );
    }
    Ok(())
}

fn check_expression(expression: &Expr, models: &Models) -> Result<TreeNodeRecursion> {
    expression.apply(|part| {
        if let Some(call) = Call::of(part) {
            check_kind(&call, models)?;
            check_arguments(part, call.arguments)?;
        }
        let skipped = match part {
            Expr::Case(case) => lazy_parts(case),
            Expr::ScalarFunction(scalar) => match scalar.func.conditional_arguments(&scalar.args) {
                Some((_, lazy)) => lazy,
                None => vec![],
            },
            Expr::Lambda(lambda) => match innermost_call(&lambda.body) {
                Some(call) => return refuse(call, "a lambda"),
                None => vec![],
            },
            _ => vec![],
        };
        match skipped.into_iter().find(|part| has_call(part)) {
            Some(part) => refuse_lazy(part),
            None => Ok(TreeNodeRecursion::Continue),
        }
    })
}

/// Checks that the model is there, and is of the kind that the function asks.
fn check_kind(call: &Call<'_>, models: &Models) -> Result<()> {
    let (function, model) = (call.function.name(), call.model()?);
    let is_encoder = models.get(model)?.dimensions().is_some();
    match (call.function.asks_encoder(), is_encoder) {
        (true, false) => plan_err!(
            "{function} asks an encoder, and '{model}' is a model that writes: open a folder of \
             model.onnx, tokenizer.json and config.json with CREATE EXTERNAL TABLE encoder STORED \
             AS MODEL LOCATION '<folder>', and call {function}('encoder', …)"
        ),
        (false, true) => plan_err!(
            "{function} asks a model that writes, and '{model}' is an encoder: call \
             embed('{model}', text), or {function} of another model"
        ),
        _ => Ok(()),
    }
}

/// The optimizer makes joins of these subqueries where they stand in the nodes it
/// knows, which a call's node is not.
fn check_arguments(call: &Expr, arguments: &[Expr]) -> Result<()> {
    let becomes_join = |part: &Expr| {
        Ok(match part {
            Expr::ScalarSubquery(subquery) => !subquery.outer_ref_columns.is_empty(),
            Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) => true,
            _ => false,
        })
    };
    for argument in arguments {
        if argument.exists(becomes_join)? {
            return plan_err!(
                "the arguments of {} hold an IN, EXISTS or correlated subquery: compute them in a \
                 subquery's SELECT list first, then call the function on its columns",
                call.schema_name()
            );
        }
    }
    Ok(())
}

/// The parts of a CASE that are not evaluated for every row.
fn lazy_parts(case: &Case) -> Vec<&Expr> {
    let Some(((_, first_then), later)) = case.when_then_expr.split_first() else {
        return vec![];
    };
    let later = later.iter().flat_map(|(when, then)| [when, then]);
    std::iter::once(first_then)
        .chain(later)
        .chain(&case.else_expr)
        .map(AsRef::as_ref)
        .collect()
}

fn refuse<T>(call: &Expr, place: &str) -> Result<T> {
    let name = call.schema_name();
    plan_err!(
        "{name} cannot be called in {place}: call it in a subquery's SELECT list, then use its \
         column, as in SELECT … FROM (SELECT *, {name} AS answer FROM …)"
    )
}

fn refuse_lazy<T>(part: &Expr) -> Result<T> {
    let name = innermost_call(part).unwrap_or(part).schema_name();
    plan_err!(
        "{name} stands where only some rows are evaluated (a branch of CASE, a later argument of \
         COALESCE), but a model is asked about every row: make its messages NULL for the rows to \
         skip, as in decide('weak', CASE WHEN … THEN messages END, 1); a NULL argument asks \
         nothing and gives NULL"
    )
}
