//! Drops calls whose answers nothing reads, as in `SELECT id FROM a_view`, where
//! the view also asks a model.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, UserDefinedLogicalNodeCore};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use crate::llm::node::Infer;

/// Replaces an `Infer` node whose column nothing names by NULLs, which the next
/// pass drops. Columns of answers have names of their own, so a name that occurs
/// in no expression is not read.
#[derive(Debug)]
pub(in crate::llm) struct PruneUnreadAnswers;

impl OptimizerRule for PruneUnreadAnswers {
    fn name(&self) -> &str {
        "prune_unread_answers"
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let read = names_read(&plan)?;
        plan.transform_up_with_subqueries(|node| match unread(&node, &read) {
            Some(infer) => Ok(Transformed::yes(with_null_answers(infer)?)),
            None => Ok(Transformed::no(node)),
        })
    }
}

/// The names of all columns that some expression of `plan`, or its result, reads.
fn names_read(plan: &LogicalPlan) -> Result<HashSet<String>> {
    let result = plan.schema().fields().iter();
    let mut names: HashSet<String> = result.map(|field| field.name().clone()).collect();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                if let Expr::Column(column) | Expr::OuterReferenceColumn(_, column) = part {
                    names.insert(column.name.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(names)
}

fn unread<'a>(node: &'a LogicalPlan, read: &HashSet<String>) -> Option<&'a Infer> {
    let LogicalPlan::Extension(extension) = node else {
        return None;
    };
    let infer = extension.node.as_any().downcast_ref::<Infer>()?;
    (!read.contains(&infer.answer().name)).then_some(infer)
}

fn with_null_answers(infer: &Infer) -> Result<LogicalPlan> {
    let fields = infer.schema().fields();
    let null = ScalarValue::try_from(fields[fields.len() - 1].data_type())?;
    let columns = infer.input().schema().columns().into_iter();
    let expressions = columns
        .map(Expr::Column)
        .chain([Expr::Literal(null, None).alias(infer.answer().name)])
        .collect();
    let projection = Projection::try_new(expressions, Arc::new(infer.input().clone()))?;
    Ok(LogicalPlan::Projection(projection))
}
