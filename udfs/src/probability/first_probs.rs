//! `first_probs`: a distribution restricted to its first options.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, ListArray};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::check_distribution;
use crate::columns::{Lists, Rows, coerce, columns, list_of};

#[user_doc(
    doc_section(label = "Probability Functions"),
    description = "The distribution over the first k options of a longer one: their probabilities, brought to a sum of 1. NULL when they add up to 0, and when an argument is NULL.",
    syntax_example = "first_probs(probs, k)",
    sql_example = "```sql\n> SELECT first_probs([0.1, 0.3, 0.6], 2);\n[0.25, 0.75]\n```",
    argument(name = "probs", description = "DOUBLE[]."),
    argument(
        name = "k",
        description = "BIGINT, how many options there are; at most the list's length."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct FirstProbs {
    signature: Signature,
}

impl FirstProbs {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for FirstProbs {
    fn name(&self) -> &str {
        "first_probs"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let wanted = [list_of(DataType::Float64), DataType::Int64];
        coerce(self.name(), &wanted, given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(list_of(DataType::Float64))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = columns(&args)?;
        let probs = Lists::<Float64Type>::try_new(self.name(), &columns[0])?;
        let counts = columns[1].as_primitive::<Int64Type>();
        let restricted = Rows::new(&columns)
            .values(|row| first_probs(probs.row(row), counts.value(row)))
            .map(|answer| Ok(answer?.flatten()))
            .collect::<Result<Vec<_>>>()?;
        let restricted = restricted.into_iter();
        let lists = ListArray::from_iter_primitive::<Float64Type, _, _>(
            restricted.map(|probs| Some(probs?.into_iter().map(Some))),
        );
        Ok(ColumnarValue::Array(Arc::new(lists)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn first_probs(probs: &[f64], count: i64) -> Result<Option<Vec<f64>>> {
    check_distribution("first_probs", probs)?;
    let first = usize::try_from(count).ok();
    let Some(first) = first.and_then(|count| probs.get(..count)) else {
        return exec_err!(
            "first_probs: a list of {} has no first {count} options",
            probs.len()
        );
    };
    let total: f64 = first.iter().sum();
    Ok((total > 0.0).then(|| first.iter().map(|p| p / total).collect()))
}
