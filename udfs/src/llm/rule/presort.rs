//! Sorts before the model is asked, too.
//!
//! `SELECT …, decide(…) FROM t ORDER BY x LIMIT 3` would otherwise ask about all
//! of `t`, and any sort would hold back the first answer until the last is there.
//! The sort itself stays, for it alone fixes the order of the result. Physical
//! planning keeps of the two what it needs: both below a limit, the lower one
//! where its order survives, the upper one where partitions are sorted later.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, Sort, SortExpr};

use crate::llm::call::{has_call, plan_has_call};

/// `sort` with its input sorted the same way below calls, as far down as its keys
/// allow.
///
/// # Errors
/// Passes on a failed walk of the plan.
pub(super) fn presorted(mut sort: Sort) -> Result<Sort> {
    if plan_has_call(&sort.input)? {
        let below = Presort {
            keys: sort.expr.clone(),
            fetch: sort.fetch,
            passed_call: false,
        };
        if let Some(input) = below.put(&sort.input)? {
            sort.input = Arc::new(input);
        }
    }
    Ok(sort)
}

/// A sort on its way down.
struct Presort {
    keys: Vec<SortExpr>,
    fetch: Option<usize>,
    passed_call: bool,
}

impl Presort {
    /// `plan` with this sort in it, or `None` where it passes no call.
    fn put(mut self, plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
        let here = self.passed_call.then(|| self.above(plan));
        let (keys, input) = match plan {
            LogicalPlan::Projection(projection) => {
                let expressions = projection.expr.iter().cloned();
                let names = projection.schema.columns().into_iter().zip(expressions);
                (rewritten(&self.keys, &names.collect())?, &projection.input)
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let inner = alias.input.schema().columns().into_iter();
                let inner = inner.map(Expr::Column);
                let names = alias.schema.columns().into_iter().zip(inner);
                (rewritten(&self.keys, &names.collect())?, &alias.input)
            }
            LogicalPlan::Filter(filter) => {
                // How many rows are needed is known above the filter only.
                self.fetch = None;
                (fixed(self.keys.clone()), &filter.input)
            }
            _ => return Ok(here),
        };
        let Some(keys) = keys else {
            return Ok(here);
        };
        self.keys = keys;
        self.passed_call |= plan.expressions().iter().any(has_call);
        let Some(sorted) = self.put(input)? else {
            return Ok(here);
        };
        plan.with_new_exprs(plan.expressions(), vec![sorted])
            .map(Some)
    }

    fn above(&self, plan: &LogicalPlan) -> LogicalPlan {
        LogicalPlan::Sort(Sort {
            expr: self.keys.clone(),
            input: Arc::new(plan.clone()),
            fetch: self.fetch,
        })
    }
}

/// The keys in terms of the columns below.
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
    Ok(fixed(keys))
}

/// The keys, unless one needs what only the nodes above compute: an answer, a
/// random draw.
fn fixed(keys: Vec<SortExpr>) -> Option<Vec<SortExpr>> {
    let fixed = keys.iter().all(|key| !key.expr.is_volatile());
    fixed.then_some(keys)
}
