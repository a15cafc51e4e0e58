//! A scalar subquery's value is no part of its expression's name.
//!
//! DataFusion names a projection's metrics by printing its expressions, and prints a
//! scalar subquery with the value it found, in every partition. What rankers learn is
//! hundreds of megabytes, and as text a gigabyte: the printing costs more than the
//! ranking. [`HideValues`] makes projections print `(scalar subquery)`.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{FieldRef, Schema};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::scalar_subquery::ScalarSubqueryExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

/// Hides the values of scalar subqueries when projections are printed.
#[derive(Debug)]
pub struct HideValues;

impl PhysicalOptimizerRule for HideValues {
    fn name(&self) -> &str {
        "hide_subquery_values"
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _options: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| match node.downcast_ref::<ProjectionExec>() {
            Some(projection) => hide(projection),
            None => Ok(Transformed::no(node)),
        })
        .data()
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn hide(projection: &ProjectionExec) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let mut expressions = vec![];
    for ProjectionExpr { expr, alias } in projection.expr() {
        let expr = Arc::clone(expr).transform_up(|expr| {
            Ok(match expr.downcast_ref::<ScalarSubqueryExpr>() {
                Some(_) => Transformed::yes(Arc::new(Hidden(expr)) as _),
                None => Transformed::no(expr),
            })
        })?;
        expressions.push(expr.update_data(|expr| ProjectionExpr::new(expr, alias.clone())));
    }
    let hides = expressions.iter().any(|expr| expr.transformed);
    let projection = ProjectionExec::try_new_with_schema_metadata(
        expressions.into_iter().map(|expr| expr.data),
        Arc::clone(projection.input()),
        &projection.schema(),
    )?;
    Ok(Transformed::new_transformed(Arc::new(projection), hides))
}

/// A scalar subquery that does not print its value.
#[derive(Debug)]
struct Hidden(Arc<dyn PhysicalExpr>);

impl fmt::Display for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(scalar subquery)")
    }
}

impl PartialEq for Hidden {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq(&other.0)
    }
}

impl Eq for Hidden {}

impl Hash for Hidden {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl PhysicalExpr for Hidden {
    fn return_field(&self, input_schema: &Schema) -> Result<FieldRef> {
        self.0.return_field(input_schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.0.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![]
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(self)
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_sql(f)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::SessionStateBuilder;
    use datafusion::physical_plan::{collect, displayable};
    use datafusion::prelude::SessionContext;

    use super::*;

    #[tokio::test]
    async fn a_plan_that_ran_does_not_print_what_its_subqueries_found() {
        let state = SessionStateBuilder::new()
            .with_default_features()
            .with_physical_optimizer_rule(Arc::new(HideValues))
            .build();
        let ctx = SessionContext::new_with_state(state);
        let query = "SELECT value + (SELECT sum(v) FROM generate_series(1, 4321) AS t (v)) AS s
                     FROM generate_series(1, 3)";
        let plan = ctx.sql(query).await.unwrap();
        let plan = plan.create_physical_plan().await.unwrap();
        let rows = collect(Arc::clone(&plan), ctx.task_ctx()).await.unwrap();
        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
        let printed = displayable(plan.as_ref()).indent(true).to_string();
        assert!(printed.contains("(scalar subquery)"), "{printed}");
        // 4321 * 4322 / 2
        assert!(!printed.contains("9337681"), "{printed}");
    }
}
