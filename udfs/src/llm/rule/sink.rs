//! Sorts before the model is asked, not after.
//!
//! `SELECT …, decide(…) FROM t ORDER BY x LIMIT 3` would otherwise ask about all
//! of `t`. And a sort above the model holds every answer back until the last one.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, Sort, SortExpr};

use crate::llm::call::{has_call, plan_has_call};

/// Moves `sort` below the calls in its input as far as its keys allow. The nodes
/// it passes keep the order of rows.
///
/// # Errors
/// Passes on a failed walk of the plan.
pub(super) fn sink(sort: Sort) -> Result<LogicalPlan> {
    if !plan_has_call(&sort.input)? {
        return Ok(LogicalPlan::Sort(sort));
    }
    match Arc::unwrap_or_clone(Arc::clone(&sort.input)) {
        LogicalPlan::Projection(mut projection) => {
            let expressions = projection.expr.iter().cloned();
            let names = projection.schema.columns().into_iter().zip(expressions);
            let Some(keys) = rewritten(&sort.expr, &names.collect())? else {
                return Ok(LogicalPlan::Sort(sort));
            };
            projection.input = sunk(keys, projection.input, sort.fetch)?;
            Ok(LogicalPlan::Projection(projection))
        }
        LogicalPlan::SubqueryAlias(mut alias) => {
            let inner = alias.input.schema().columns().into_iter().map(Expr::Column);
            let names = alias.schema.columns().into_iter().zip(inner);
            let Some(keys) = rewritten(&sort.expr, &names.collect())? else {
                return Ok(LogicalPlan::Sort(sort));
            };
            alias.input = sunk(keys, alias.input, sort.fetch)?;
            Ok(LogicalPlan::SubqueryAlias(alias))
        }
        // The rows of a sort with a fetch must be counted after the filter.
        LogicalPlan::Filter(mut filter)
            if has_call(&filter.predicate)
                && sort.fetch.is_none()
                && !sort.expr.iter().any(|key| has_call(&key.expr)) =>
        {
            filter.input = sunk(sort.expr, filter.input, None)?;
            Ok(LogicalPlan::Filter(filter))
        }
        _ => Ok(LogicalPlan::Sort(sort)),
    }
}

fn sunk(
    expr: Vec<SortExpr>,
    input: Arc<LogicalPlan>,
    fetch: Option<usize>,
) -> Result<Arc<LogicalPlan>> {
    sink(Sort { expr, input, fetch }).map(Arc::new)
}

/// The keys in terms of the columns below, or `None` where a key needs what only
/// the node above computes: an answer, a random draw.
fn rewritten(keys: &[SortExpr], names: &HashMap<Column, Expr>) -> Result<Option<Vec<SortExpr>>> {
    let below = |part: Expr| {
        Ok(match &part {
            Expr::Column(column) => match names.get(column) {
                Some(expression) => Transformed::yes(expression.clone().unalias_nested().data),
                None => Transformed::no(part),
            },
            _ => Transformed::no(part),
        })
    };
    let keys = keys
        .iter()
        .map(|key| Ok(key.with_expr(key.expr.clone().transform_up(below)?.data)))
        .collect::<Result<Vec<_>>>()?;
    let fixed = keys.iter().all(|key| !key.expr.is_volatile());
    Ok(fixed.then_some(keys))
}
