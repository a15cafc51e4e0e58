//! `score_collaborative`: how much items are liked by users with the same taste.

use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{DataType, Float32Type, Int64Type};
use datafusion::common::utils::take_function_args;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::factorize::factors_type;
use super::factors::Factors;
use super::windows::{by_window, runs, window};
use crate::columns::{Lists, Rows, coerce, list_of, repeated};

#[user_doc(
    doc_section(label = "Ranking Functions"),
    description = "The collaborative scores of given items, in their order, by the factors of one window; what rank_collaborative ranks by. 0 for an item without events before the window, and for all of them when the window has no factors or knows none of the seen items. NULL when an argument other than factors is NULL.",
    syntax_example = "score_collaborative(factors, window, seen, items)",
    sql_example = "```sql\nSELECT score_collaborative((SELECT array_agg(factors ORDER BY window_id) FROM factors),\n    window_id, seen, exposure)\nFROM scenarios;\n```",
    argument(
        name = "factors",
        description = "Array of results of factorize, one a window, from an uncorrelated subquery."
    ),
    argument(
        name = "window",
        description = "BIGINT, which element of factors to ask, counted from 0."
    ),
    argument(
        name = "seen",
        description = "BIGINT[] of the items that show the user's taste."
    ),
    argument(name = "items", description = "BIGINT[] of the items to score."),
    related_udf(name = "rank_collaborative")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ScoreCollaborative {
    signature: Signature,
}

impl ScoreCollaborative {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for ScoreCollaborative {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let wanted = [
            list_of(factors_type()),
            DataType::Int64,
            list_of(DataType::Int64),
            list_of(DataType::Int64),
        ];
        coerce(self.name(), &wanted, given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(list_of(DataType::Float32))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = repeated(&args.args[1..], args.number_rows)?;
        let [windows, seen, items] = take_function_args(NAME, &columns)?;
        let windows = windows.as_primitive::<Int64Type>();
        let seen = Lists::<Int64Type>::try_new(NAME, seen)?;
        let items = Lists::<Int64Type>::try_new(NAME, items)?;
        let rows = Rows::new(&columns);
        let zeros = |row| vec![0.0; items.row(row).len()];
        let mut scored: Vec<Vec<f32>> = (0..args.number_rows).map(zeros).collect();
        for (learnt, run) in runs(&args.args[0], args.number_rows)? {
            let asked = run.filter(|row| rows.is_valid(*row));
            for (index, asked) in by_window(asked, windows.values()) {
                let Some(learnt) = window(NAME, learnt.as_ref(), index)? else {
                    continue;
                };
                let factors = Factors::of(NAME, &learnt)?;
                for row in asked {
                    let mut taste = vec![0.0; factors.query.ncols()];
                    factors.query_of(seen.row(row), &mut taste);
                    let scores = items.row(row).iter();
                    let scores = scores.map(|item| factors.score_of(*item, &taste));
                    scored[row] = scores.collect();
                }
            }
        }
        let lists = rows.lists::<Float32Type>(|row, out| {
            out.append(&mut scored[row]);
            Ok(())
        })?;
        Ok(ColumnarValue::Array(Arc::new(lists)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

const NAME: &str = "score_collaborative";
