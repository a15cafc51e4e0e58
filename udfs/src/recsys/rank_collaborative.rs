//! `rank_collaborative`: items liked by users with the same taste.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, StructArray};
use datafusion::arrow::datatypes::{DataType, Float32Type, Int32Type, Int64Type};
use datafusion::common::exec_err;
use datafusion::common::utils::take_function_args;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

use super::candidates::{Allowed, size, take_best};
use super::factorize::factors_type;
use super::windows::{by_window, field, runs, window};
use crate::columns::{Lists, Rows, coerce, list_of, repeated};

/// Users scored by one product. Every product has this shape, filled up with zeros, so
/// that its sums round the same however the rows fall into batches.
const BLOCK: usize = 256;

#[user_doc(
    doc_section(label = "Ranking Functions"),
    description = "Proposes items by collaborative score, best first: the items below the horizon that are not excluded, by the factors of one window. Items without events before the window are not proposed; an empty list when the window has no factors or knows none of the seen items. Fewer than asked when there are fewer. NULL when an argument other than factors is NULL.",
    syntax_example = "rank_collaborative(factors, window, seen, horizon, excluded, count)",
    sql_example = "```sql\nSELECT rank_collaborative((SELECT array_agg(factors ORDER BY window_id) FROM factors),\n    window_id, seen, horizon, excluded, 32)\nFROM scenarios;\n```",
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
    argument(
        name = "horizon",
        description = "BIGINT, the number of items available."
    ),
    argument(name = "excluded", description = "BIGINT[] of items never to propose."),
    argument(name = "count", description = "BIGINT, how many to propose."),
    related_udf(name = "factorize")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct RankCollaborative {
    signature: Signature,
}

impl RankCollaborative {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for RankCollaborative {
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
                list_of(factors_type()),
                DataType::Int64,
                list_of(DataType::Int64),
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
        let [windows, seen, horizons, excluded, counts] = take_function_args(NAME, &columns)?;
        let windows = windows.as_primitive::<Int64Type>();
        let requests = Requests {
            seen: Lists::try_new(NAME, seen)?,
            horizons: horizons.as_primitive::<Int64Type>().values(),
            excluded: Lists::try_new(NAME, excluded)?,
            counts: counts.as_primitive::<Int64Type>().values(),
        };
        let rows = Rows::new(&columns);
        let mut ranked = vec![vec![]; args.number_rows];
        for (learnt, run) in runs(&args.args[0], args.number_rows)? {
            let asked = run.filter(|row| rows.is_valid(*row));
            for (index, asked) in by_window(asked, windows.values()) {
                if let Some(learnt) = window(NAME, learnt.as_ref(), index)? {
                    requests.rank(&Factors::of(&learnt)?, &asked, &mut ranked)?;
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

const NAME: &str = "rank_collaborative";

/// The factors of one window, as they lie in their column: items × rank.
struct Factors<'a> {
    query: MatRef<'a, f32>,
    item: MatRef<'a, f32>,
    /// Whether the item had events; without, its score says nothing.
    known: Vec<bool>,
}

impl<'a> Factors<'a> {
    fn of(window: &'a StructArray) -> Result<Self> {
        let rank = window.column(0).as_primitive::<Int32Type>().value(0) as usize;
        let query = field::<Float32Type>(window, "query")?;
        let item = field::<Float32Type>(window, "item")?;
        if query.len() != item.len() || query.len() % rank.max(1) != 0 {
            return exec_err!("{NAME}: these are no results of factorize: lengths do not fit");
        }
        let items = query.len() / rank.max(1);
        Ok(Self {
            query: MatRef::from_row_major_slice(query, items, rank),
            item: MatRef::from_row_major_slice(item, items, rank),
            known: item
                .chunks(rank.max(1))
                .map(|row| row.iter().any(|value| *value != 0.0))
                .collect(),
        })
    }

    /// Adds up the query rows of the seen items, each once.
    fn query_of(&self, seen: &[i64], query: &mut [f32]) {
        let mut seen: Vec<usize> = seen
            .iter()
            .filter_map(|i| usize::try_from(*i).ok())
            .collect();
        // In one order, so that the sum rounds the same however the list is sorted.
        seen.sort_unstable();
        seen.dedup();
        for item in seen.into_iter().filter(|item| *item < self.query.nrows()) {
            for (sum, value) in query.iter_mut().zip(self.query.row(item).iter()) {
                *sum += value;
            }
        }
    }
}

/// What each row of a batch asks for.
struct Requests<'a> {
    seen: Lists<'a, Int64Type>,
    horizons: &'a [i64],
    excluded: Lists<'a, Int64Type>,
    counts: &'a [i64],
}

impl Requests<'_> {
    /// Answers the rows `asked`, all of one window, into their places in `ranked`.
    fn rank(&self, factors: &Factors<'_>, asked: &[usize], ranked: &mut [Vec<i64>]) -> Result<()> {
        let mut scores = Mat::zeros(factors.item.nrows(), BLOCK);
        let mut allowed = Allowed::default();
        let mut scored = vec![];
        for block in asked.chunks(BLOCK) {
            let mut queries = Mat::<f32>::zeros(factors.query.ncols(), BLOCK);
            for (column, row) in block.iter().enumerate() {
                let query = queries.col_as_slice_mut(column);
                factors.query_of(self.seen.row(*row), query);
            }
            matmul(
                scores.as_mut(),
                Accum::Replace,
                factors.item,
                queries.as_ref(),
                1.0,
                Par::Seq,
            );
            for (column, row) in block.iter().enumerate() {
                if queries
                    .col_as_slice(column)
                    .iter()
                    .all(|value| *value == 0.0)
                {
                    continue;
                }
                let horizon = size(NAME, "the horizon", self.horizons[*row])?;
                allowed.set(horizon, self.excluded.row(*row));
                scored.clear();
                scored.extend(
                    (scores
                        .col_as_slice(column)
                        .iter()
                        .zip(&factors.known)
                        .enumerate())
                    .filter(|(item, (_, known))| **known && allowed.has(*item))
                    .map(|(item, (score, _))| (*score, item as i64)),
                );
                let count = size(NAME, "the count", self.counts[*row])?;
                take_best(&mut scored, count, &mut ranked[*row]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Array, ArrayRef, Int64Array, ListArray};

    use super::*;
    use crate::sampling::keys::{Draws, unit_interval};

    const ITEMS: usize = 50;
    const RANK: usize = 4;

    fn matrix(hash: u64) -> Vec<f32> {
        let mut draws = Draws::new(hash);
        let mut values: Vec<f32> = (0..ITEMS * RANK)
            .map(|_| unit_interval(draws.bits()) as f32 - 0.5)
            .collect();
        values[7 * RANK..8 * RANK].fill(0.0);
        values
    }

    fn lists(rows: &[Vec<i64>]) -> ArrayRef {
        let rows = rows.iter().map(|row| Some(row.iter().copied().map(Some)));
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(rows))
    }

    /// The same ranking, one score at a time.
    fn brute(
        query: &[f32],
        item: &[f32],
        seen: &[i64],
        horizon: i64,
        excluded: &[i64],
    ) -> Vec<i64> {
        let row = |values: &[f32], i: usize| values[i * RANK..(i + 1) * RANK].to_vec();
        let mut scored: Vec<(f32, i64)> = (0..horizon)
            .filter(|i| !excluded.contains(i) && *i != 7)
            .map(|i| {
                let target = row(item, i as usize);
                let score = (0..RANK).map(|r| {
                    seen.iter().map(|s| row(query, *s as usize)[r]).sum::<f32>() * target[r]
                });
                (score.sum(), i)
            })
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        scored.truncate(10);
        scored.into_iter().map(|(_, i)| i).collect()
    }

    #[test]
    fn blocks_rank_like_brute_force() {
        let (query, item) = (matrix(1), matrix(2));
        let factors = Factors {
            query: MatRef::from_row_major_slice(&query, ITEMS, RANK),
            item: MatRef::from_row_major_slice(&item, ITEMS, RANK),
            known: (0..ITEMS).map(|i| i != 7).collect(),
        };
        let mut draws = Draws::new(3);
        let mut some = |count: usize| -> Vec<i64> {
            (0..count)
                .map(|_| draws.below(ITEMS as u64) as i64)
                .collect()
        };
        let rows = 2 * BLOCK + 3;
        let mut seen: Vec<Vec<i64>> = (0..rows).map(|_| some(5)).collect();
        seen.iter_mut().for_each(|row| {
            row.sort_unstable();
            row.dedup();
        });
        let excluded: Vec<Vec<i64>> = (0..rows).map(|_| some(6)).collect();
        let (seen_column, excluded_column) = (lists(&seen), lists(&excluded));
        let requests = Requests {
            seen: Lists::try_new(NAME, &seen_column).unwrap(),
            horizons: &vec![40; rows],
            excluded: Lists::try_new(NAME, &excluded_column).unwrap(),
            counts: &vec![10; rows],
        };
        let mut ranked = vec![vec![]; rows];
        let asked: Vec<usize> = (0..rows).collect();
        requests.rank(&factors, &asked, &mut ranked).unwrap();
        for row in 0..rows {
            assert_eq!(
                ranked[row],
                brute(&query, &item, &seen[row], 40, &excluded[row])
            );
        }
    }

    #[test]
    fn a_user_without_known_items_gets_nothing() {
        let (query, item) = (matrix(1), matrix(2));
        let factors = Factors {
            query: MatRef::from_row_major_slice(&query, ITEMS, RANK),
            item: MatRef::from_row_major_slice(&item, ITEMS, RANK),
            known: vec![true; ITEMS],
        };
        let (seen, excluded) = (lists(&[vec![7, 1_000, -1]]), lists(&[vec![]]));
        let horizons = Int64Array::from(vec![ITEMS as i64]);
        let requests = Requests {
            seen: Lists::try_new(NAME, &seen).unwrap(),
            horizons: horizons.values(),
            excluded: Lists::try_new(NAME, &excluded).unwrap(),
            counts: &[5],
        };
        let mut ranked = vec![vec![]];
        requests.rank(&factors, &[0], &mut ranked).unwrap();
        assert!(ranked[0].is_empty());
        assert_eq!(seen.len(), 1);
    }
}
