//! `rank_content`: items whose texts are like the chosen one's.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, StructArray};
use datafusion::arrow::datatypes::{DataType, Float32Type, Int32Type, Int64Type};
use datafusion::common::utils::take_function_args;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::candidates::{Allowed, Best, size};
use super::sparse_rows::rows_type;
use super::windows::{by_window, field, runs, window};
use crate::columns::{Lists, Rows, coerce, list_of, repeated};

const NAME: &str = "rank_content";

#[user_doc(
    doc_section(label = "Ranking Functions"),
    description = "Proposes items by the cosine of their sparse rows with the chosen item's, best first: the items below the horizon that are not excluded, by the rows of one window. Never the chosen item, never one that shares no term with it; an empty list when the window has no rows. Fewer than asked when there are fewer. NULL when an argument other than rows is NULL.",
    syntax_example = "rank_content(rows, window, item, horizon, excluded, count)",
    sql_example = "```sql\nSELECT rank_content((SELECT array_agg(rows ORDER BY window_id) FROM content),\n    window_id, item_index, horizon, excluded, 32)\nFROM scenarios;\n```",
    argument(
        name = "rows",
        description = "Array of results of sparse_rows, one a window, from an uncorrelated subquery."
    ),
    argument(
        name = "window",
        description = "BIGINT, which element of rows to ask, counted from 0."
    ),
    argument(name = "item", description = "BIGINT, the chosen item."),
    argument(
        name = "horizon",
        description = "BIGINT, the number of items available."
    ),
    argument(name = "excluded", description = "BIGINT[] of items never to propose."),
    argument(name = "count", description = "BIGINT, how many to propose."),
    related_udf(name = "sparse_rows")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct RankContent {
    signature: Signature,
}

impl RankContent {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for RankContent {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        coerce(
            self.name(),
            &[
                list_of(rows_type()),
                DataType::Int64,
                DataType::Int64,
                DataType::Int64,
                list_of(DataType::Int64),
                DataType::Int64,
            ],
            given,
        )
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(list_of(DataType::Int64))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = repeated(&args.args[1..], args.number_rows)?;
        let [windows, items, horizons, excluded, counts] = take_function_args(NAME, &columns)?;
        let windows = windows.as_primitive::<Int64Type>();
        let items = items.as_primitive::<Int64Type>();
        let horizons = horizons.as_primitive::<Int64Type>();
        let excluded = Lists::<Int64Type>::try_new(NAME, excluded)?;
        let counts = counts.as_primitive::<Int64Type>();
        let rows = Rows::new(&columns);
        let mut ranked = vec![vec![]; args.number_rows];
        for (learnt, run) in runs(&args.args[0], args.number_rows)? {
            let asked = run.filter(|row| rows.is_valid(*row));
            for (index, asked) in by_window(asked, windows.values()) {
                let Some(learnt) = window(NAME, learnt.as_ref(), index)? else {
                    continue;
                };
                let mut search = Search::new(&learnt)?;
                for row in asked {
                    let horizon = size(NAME, "the horizon", horizons.value(row))?;
                    let count = size(NAME, "the count", counts.value(row))?;
                    let allowed = Allowed::new(horizon, excluded.row(row));
                    search.nearest(items.value(row), &allowed, count, &mut ranked[row]);
                }
            }
        }
        let lists = rows.lists::<Int64Type>(|row, out| {
            out.append(&mut ranked[row]);
            Ok(())
        })?;
        Ok(ColumnarValue::Array(Arc::new(lists)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// A compressed side of the matrix: the cells of line `i` are those from `offsets[i]`
/// to `offsets[i + 1]`.
struct Side<'a> {
    offsets: &'a [i32],
    positions: &'a [i32],
    weights: &'a [f32],
}

impl Side<'_> {
    fn line(&self, line: usize) -> impl Iterator<Item = (usize, f32)> {
        let cells = match self.offsets.get(line..line + 2) {
            Some(ends) => ends[0] as usize..ends[1] as usize,
            None => 0..0,
        };
        let positions = self.positions[cells.clone()].iter();
        positions
            .map(|p| *p as usize)
            .zip(self.weights[cells].iter().copied())
    }
}

/// Nearest-neighbour search in the rows of one window.
struct Search<'a> {
    rows: Side<'a>,
    postings: Side<'a>,
    /// A score for every row, all 0 between searches.
    scores: Vec<f32>,
}

impl<'a> Search<'a> {
    fn new(window: &'a StructArray) -> Result<Self> {
        let offsets = field::<Int32Type>(window, "offsets")?;
        Ok(Self {
            rows: Side {
                offsets,
                positions: field::<Int32Type>(window, "columns")?,
                weights: field::<Float32Type>(window, "weights")?,
            },
            postings: Side {
                offsets: field::<Int32Type>(window, "posting_offsets")?,
                positions: field::<Int32Type>(window, "posting_rows")?,
                weights: field::<Float32Type>(window, "posting_weights")?,
            },
            scores: vec![0.0; offsets.len().saturating_sub(1)],
        })
    }

    /// Appends the allowed rows with the highest cosine to row `item`, itself left out.
    fn nearest(&mut self, item: i64, allowed: &Allowed, count: usize, best: &mut Vec<i64>) {
        let Ok(item) = usize::try_from(item) else {
            return;
        };
        let horizon = self.scores.len().min(allowed.horizon());
        let scores = &mut self.scores[..horizon];
        // A row's sum goes by terms in their one order, and so rounds in one way.
        for (term, weight) in self.rows.line(item) {
            for (row, other) in self.postings.line(term) {
                let Some(score) = scores.get_mut(row) else {
                    break;
                };
                *score += weight * other;
            }
        }
        let mut nearest = Best::new(count, 0.0);
        nearest.offer(0, scores, |row| row != item && allowed.has(row));
        nearest.finish(best);
        scores.fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sparse_rows::window_of;
    use super::*;

    fn nearest(search: &mut Search<'_>, item: i64, horizon: usize, excluded: &[i64]) -> Vec<i64> {
        let mut best = vec![];
        search.nearest(item, &Allowed::new(horizon, excluded), 3, &mut best);
        best
    }

    #[test]
    fn the_most_alike_come_first() {
        let window = window_of(
            &[
                (0, "river", 1.0),
                (0, "quiet", 1.0),
                (1, "river", 1.0),
                (2, "quiet", 1.0),
                (2, "river", 2.0),
                (3, "comedy", 1.0),
            ],
            6,
        );
        let mut search = Search::new(&window).unwrap();
        assert_eq!(nearest(&mut search, 0, 6, &[]), [2, 1]);
        assert_eq!(nearest(&mut search, 0, 6, &[2]), [1]);
        assert_eq!(nearest(&mut search, 0, 2, &[]), [1]);
        assert_eq!(nearest(&mut search, 3, 6, &[]), [0_i64; 0]);
        assert_eq!(nearest(&mut search, 5, 6, &[]), [0_i64; 0]);
        assert_eq!(nearest(&mut search, 99, 6, &[]), [0_i64; 0]);
    }

    const TERMS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

    /// The same ranking by a full sort of all cosines, computed one at a time.
    fn reference(rows: &[[u8; 8]], item: usize, allowed: &Allowed, count: usize) -> Vec<i64> {
        let unit = |row: &[u8; 8]| {
            let length = row.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>();
            row.map(|w| (f64::from(w) / length.sqrt()) as f32)
        };
        let shared = |other: &[u8; 8]| {
            let terms = rows[item].iter().zip(other).zip(unit(&rows[item]));
            terms
                .zip(unit(other))
                .filter(|(((a, b), _), _)| **a > 0 && **b > 0)
                .fold(0.0, |sum, ((_, a), b)| sum + a * b)
        };
        let mut scored: Vec<(f32, usize)> = (0..rows.len())
            .filter(|other| *other != item && allowed.has(*other))
            .map(|other| (shared(&rows[other]), other))
            .filter(|(score, _)| *score > 0.0)
            .collect();
        scored.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap().then(a.1.cmp(&b.1)));
        scored.truncate(count);
        scored.into_iter().map(|(_, row)| row as i64).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Few different weights, so that many cosines are ties.
        #[test]
        fn ranks_like_a_full_sort(
            rows in prop::collection::vec(prop::array::uniform8(0..3_u8), 1..150),
            horizon in 0..200_usize,
            excluded in prop::collection::vec(-2..150_i64, 0..60),
            count in 0..40_usize,
        ) {
            let cells: Vec<_> = (0..)
                .zip(&rows)
                .flat_map(|(row, weights)| TERMS.iter().zip(weights).map(move |(t, w)| (row, *t, *w)))
                .filter(|(_, _, weight)| *weight > 0)
                .map(|(row, term, weight)| (row, term, f64::from(weight)))
                .collect();
            let window = window_of(&cells, rows.len());
            let mut search = Search::new(&window).unwrap();
            let allowed = Allowed::new(horizon, &excluded);
            for item in 0..rows.len() {
                let mut best = vec![];
                search.nearest(item as i64, &allowed, count, &mut best);
                prop_assert_eq!(best, reference(&rows, item, &allowed, count));
            }
        }
    }
}
