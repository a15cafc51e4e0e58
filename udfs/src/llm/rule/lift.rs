//! Puts an `Infer` node below the place of each call.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Aggregate, Expr, FetchType, Filter, Limit, LogicalPlan, Projection, SkipType, Sort, SortExpr,
};

use super::presort::presorted;
use crate::llm::call::{Call, has_call, innermost_call};
use crate::llm::node::Infer;

/// Lifts every call in `plan`, its subqueries included. The columns of the plan
/// stay as they are.
///
/// # Errors
/// Fails when a node cannot be rebuilt.
pub(super) fn lift(plan: LogicalPlan) -> Result<LogicalPlan> {
    Lifter { calls: 0 }.restored(plan)
}

/// A plan without calls. Its columns are those it had before and then, perhaps,
/// answers that nodes above can use, so that a call in both WHERE and SELECT is
/// asked once.
struct Lifted {
    plan: LogicalPlan,
    answers: Vec<(Expr, Column)>,
}

impl Lifted {
    fn plain(plan: LogicalPlan) -> Self {
        Self {
            plan,
            answers: vec![],
        }
    }

    /// Puts a node on top that keeps the rows' columns.
    fn below(mut self, node: impl FnOnce(Arc<LogicalPlan>) -> Result<LogicalPlan>) -> Result<Self> {
        self.plan = node(Arc::new(self.plan))?;
        Ok(self)
    }
}

struct Lifter {
    /// How many calls were lifted so far; numbers the columns of answers, which
    /// are thereby unique in the plan.
    calls: usize,
}

impl Lifter {
    /// Lifts the calls of `plan`; its columns stay as they are.
    fn restored(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let wanted = Arc::clone(plan.schema());
        restore(self.lift(plan)?.plan, &wanted)
    }

    fn lift(&mut self, plan: LogicalPlan) -> Result<Lifted> {
        let plan = plan
            .map_subqueries(|subquery| self.restored(subquery).map(Transformed::yes))?
            .data;
        match plan {
            LogicalPlan::Projection(projection) => self.lift_projection(projection),
            LogicalPlan::Filter(filter) => self.lift_filter(filter),
            LogicalPlan::Aggregate(aggregate) => self.lift_aggregate(aggregate),
            LogicalPlan::Sort(sort) => self.lift_sort(sort),
            LogicalPlan::Limit(limit) => self.lift_limit(limit),
            other => other
                .map_children(|child| self.restored(child).map(Transformed::yes))
                .map(|rebuilt| Lifted::plain(rebuilt.data)),
        }
    }

    fn lift_projection(&mut self, projection: Projection) -> Result<Lifted> {
        let input = self.lift(Arc::unwrap_or_clone(projection.input))?;
        let (expressions, input) = self.ask(projection.expr, input)?;
        let named = expressions
            .into_iter()
            .zip(projection.schema.columns())
            .map(|(expression, wanted)| named(expression, wanted))
            .collect();
        let projection = Projection::try_new(named, Arc::new(input.plan))?;
        Ok(Lifted::plain(LogicalPlan::Projection(projection)))
    }

    /// The conjuncts without calls come first; then each call is asked only about
    /// the rows that passed the conjuncts before it.
    fn lift_filter(&mut self, filter: Filter) -> Result<Lifted> {
        let mut input = self.lift(Arc::unwrap_or_clone(filter.input))?;
        let (asking, cheap): (Vec<_>, Vec<_>) = split_conjunction_owned(filter.predicate)
            .into_iter()
            .partition(has_call);
        for conjunct in conjunction(cheap).into_iter().chain(asking) {
            let (conjunct, asked) = self.ask(vec![conjunct], input)?;
            input = conjunct.into_iter().try_fold(asked, |input, predicate| {
                input.below(|rows| Ok(LogicalPlan::Filter(Filter::try_new(predicate, rows)?)))
            })?;
        }
        Ok(input)
    }

    fn lift_aggregate(&mut self, aggregate: Aggregate) -> Result<Lifted> {
        let input = self.lift(Arc::unwrap_or_clone(aggregate.input))?;
        let (groups, input) = self.ask(aggregate.group_expr, input)?;
        let (aggregates, input) = self.ask(aggregate.aggr_expr, input)?;
        let lifted = Aggregate::try_new(Arc::new(input.plan), groups, aggregates)?;
        restore(LogicalPlan::Aggregate(lifted), &aggregate.schema).map(Lifted::plain)
    }

    fn lift_sort(&mut self, sort: Sort) -> Result<Lifted> {
        let sort = presorted(sort)?;
        let input = self.lift(Arc::unwrap_or_clone(sort.input))?;
        let keys = sort.expr.iter().map(|key| key.expr.clone()).collect();
        let (keys, input) = self.ask(keys, input)?;
        let expr = sort
            .expr
            .iter()
            .zip(keys)
            .map(|(key, expression)| key.with_expr(expression))
            .collect::<Vec<SortExpr>>();
        let fetch = sort.fetch;
        input.below(|input| Ok(LogicalPlan::Sort(Sort { expr, input, fetch })))
    }

    fn lift_limit(&mut self, limit: Limit) -> Result<Lifted> {
        let rows = match (limit.get_skip_type()?, limit.get_fetch_type()?) {
            (SkipType::Literal(skip), FetchType::Literal(Some(fetch))) => skip.checked_add(fetch),
            _ => None,
        };
        let Limit { skip, fetch, input } = limit;
        let mut input = Arc::unwrap_or_clone(input);
        if let Some(rows) = rows {
            tell_sort(&mut input, rows);
        }
        self.lift(input)?
            .below(|input| Ok(LogicalPlan::Limit(Limit { skip, fetch, input })))
    }

    /// Asks every call of `expressions` on top of `input`, innermost first, and
    /// puts the columns of answers in the calls' places.
    fn ask(&mut self, expressions: Vec<Expr>, input: Lifted) -> Result<(Vec<Expr>, Lifted)> {
        let Lifted {
            mut plan,
            mut answers,
        } = input;
        let mut expressions = answered(expressions, &answers)?;
        while let Some(call) = expressions.iter().find_map(innermost_call).cloned() {
            self.calls += 1;
            let infer = Infer::try_new(plan, call.clone(), format!("__infer_{}", self.calls))?;
            answers.push((call, infer.answer()));
            plan = infer.into_plan();
            expressions = answered(expressions, &answers)?;
        }
        Ok((expressions, Lifted { plan, answers }))
    }
}

/// Tells the sort that orders `plan`, if there is one, how many rows are needed:
/// it is to sort for them below the calls, too.
fn tell_sort(plan: &mut LogicalPlan, rows: usize) {
    match plan {
        LogicalPlan::Projection(node) => tell_sort(Arc::make_mut(&mut node.input), rows),
        LogicalPlan::SubqueryAlias(node) => tell_sort(Arc::make_mut(&mut node.input), rows),
        LogicalPlan::Sort(sort) => sort.fetch = sort.fetch.or(Some(rows)),
        _ => {}
    }
}

/// `expressions` with the calls among `answers` replaced by their columns.
fn answered(expressions: Vec<Expr>, answers: &[(Expr, Column)]) -> Result<Vec<Expr>> {
    let answer = |part: Expr| {
        let known = answers.iter().find(|(call, _)| *call == part);
        Ok(match known {
            Some((_, column)) if Call::of(&part).is_some() => {
                Transformed::yes(Expr::Column(column.clone()))
            }
            _ => Transformed::no(part),
        })
    };
    expressions
        .into_iter()
        .map(|expression| Ok(expression.transform_up(answer)?.data))
        .collect()
}

/// `plan` with exactly the columns of `wanted`, which are its first ones, perhaps
/// under other names.
fn restore(plan: LogicalPlan, wanted: &DFSchema) -> Result<LogicalPlan> {
    let (given, wanted) = (plan.schema().columns(), wanted.columns());
    if given == wanted {
        return Ok(plan);
    }
    let columns = given
        .into_iter()
        .zip(wanted)
        .map(|(given, wanted)| named(Expr::Column(given), wanted))
        .collect();
    let projection = Projection::try_new(columns, Arc::new(plan))?;
    Ok(LogicalPlan::Projection(projection))
}

/// `expression` under the name of `wanted`.
fn named(expression: Expr, wanted: Column) -> Expr {
    let (relation, name) = expression.qualified_name();
    if relation == wanted.relation && name == wanted.name {
        expression
    } else {
        expression.alias_qualified(wanted.relation, wanted.name)
    }
}
