//! The logical node `Infer`: its input's rows, each with the answer to one call.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::Field;
use datafusion::common::{Column, DFSchema, DFSchemaRef, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    Expr, Extension, InvariantLevel, LogicalPlan, UserDefinedLogicalNodeCore,
};

use super::call::Call;

/// Appends one column, the answers to `call`, to the columns of `input`. Rows are
/// neither added nor dropped, and keep their order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Infer {
    input: LogicalPlan,
    call: Expr,
    answer: String,
    schema: DFSchemaRef,
}

impl Infer {
    /// Asks `call` of every row of `input`; the column is called `answer`.
    ///
    /// # Errors
    /// Fails when `call` is no call of a model function, or a column is already
    /// called `answer`.
    pub(super) fn try_new(input: LogicalPlan, call: Expr, answer: String) -> Result<Self> {
        let Some(function) = Call::of(&call).map(|call| call.function) else {
            return internal_err!("{call} is not a call of a model function");
        };
        let field = Field::new(&answer, function.answer_type(), true);
        let fields = input
            .schema()
            .iter()
            .map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field)))
            .chain([(None, Arc::new(field))])
            .collect();
        let schema = DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?;
        Ok(Self {
            input,
            call,
            answer,
            schema: Arc::new(schema),
        })
    }

    /// The call it asks.
    pub(super) fn call(&self) -> &Expr {
        &self.call
    }

    /// The input.
    pub(super) fn input(&self) -> &LogicalPlan {
        &self.input
    }

    /// The column of answers.
    pub(super) fn answer(&self) -> Column {
        Column::new_unqualified(&self.answer)
    }

    /// This node as a plan.
    pub(super) fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension {
            node: Arc::new(self),
        })
    }
}

impl PartialOrd for Infer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let key = |node: &Self| (node.answer.clone(), node.call.clone());
        match key(self).partial_cmp(&key(other)) {
            Some(Ordering::Equal) => (self == other).then_some(Ordering::Equal),
            order => order,
        }
    }
}

impl UserDefinedLogicalNodeCore for Infer {
    fn name(&self) -> &str {
        "Infer"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn check_invariants(&self, _level: InvariantLevel) -> Result<()> {
        Ok(())
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![self.call.clone()]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Infer: {} AS {}", self.call, self.answer)
    }

    fn with_exprs_and_inputs(
        &self,
        mut expressions: Vec<Expr>,
        mut inputs: Vec<LogicalPlan>,
    ) -> Result<Self> {
        let (Some(call), Some(input)) = (expressions.pop(), inputs.pop()) else {
            return internal_err!("Infer needs one call and one input");
        };
        // Simplification wraps what it changed in an alias to keep its name; the
        // column of answers has a name of its own.
        Self::try_new(input, call.unalias(), self.answer.clone())
    }

    /// A predicate on the answer needs the answer; any other one goes below, so
    /// that fewer rows are asked about.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        HashSet::from([self.answer.clone()])
    }

    /// The columns passed on; those the call reads are added by the caller.
    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let width = self.input.schema().fields().len();
        let passed_on = output_columns.iter().copied();
        Some(vec![passed_on.filter(|&column| column < width).collect()])
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }
}
