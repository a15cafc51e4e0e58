//! `rank_collaborative`: items liked by users with the same taste.

use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::utils::take_function_args;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;
use faer::Mat;

use super::candidates::{Allowed, Best, size};
use super::factorize::factors_type;
use super::factors::Factors;
use super::products::{BLOCK, Search, offer};
use super::windows::{by_window, runs, window};
use crate::columns::{Lists, Rows, coerce, list_of, repeated};

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
    related_udf(name = "factorize"),
    related_udf(name = "score_collaborative")
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
                    requests.rank(&Factors::of(NAME, &learnt)?, &asked, &mut ranked)?;
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
        for block in asked.chunks(BLOCK) {
            let (queries, mut searches) = self.searches(factors, block)?;
            offer(factors.item, &factors.known, &queries, &mut searches);
            for (row, search) in block.iter().zip(searches) {
                search.best.finish(&mut ranked[*row]);
            }
        }
        Ok(())
    }

    /// The rows' queries, a column each, and the searches that they start.
    fn searches(&self, factors: &Factors<'_>, block: &[usize]) -> Result<(Mat<f32>, Vec<Search>)> {
        let mut queries = Mat::zeros(factors.query.ncols(), BLOCK);
        let mut searches = Vec::with_capacity(block.len());
        for (column, row) in block.iter().enumerate() {
            let query = queries.col_as_slice_mut(column);
            factors.query_of(self.seen.row(*row), query);
            let horizon = size(NAME, "the horizon", self.horizons[*row])?;
            let asked = size(NAME, "the count", self.counts[*row])?;
            let nothing_known = query.iter().all(|value| *value == 0.0);
            searches.push(Search {
                allowed: Allowed::new(horizon, self.excluded.row(*row)),
                best: Best::new(if nothing_known { 0 } else { asked }, f32::NEG_INFINITY),
            });
        }
        Ok((queries, searches))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{ArrayRef, ListArray};
    use faer::MatRef;
    use proptest::prelude::*;

    use super::super::products::{TILE, random};
    use super::*;

    fn factors<'a>(query: &'a [f32], item: &'a [f32], rank: usize) -> Factors<'a> {
        let known = |row: &[f32]| row.iter().any(|value| *value != 0.0);
        Factors {
            query: MatRef::from_row_major_slice(query, query.len() / rank, rank),
            item: MatRef::from_row_major_slice(item, item.len() / rank, rank),
            known: item.chunks(rank).map(known).collect(),
        }
    }

    #[derive(Debug, Clone)]
    struct Row {
        seen: Vec<i64>,
        horizon: i64,
        excluded: Vec<i64>,
        count: i64,
    }

    fn lists<'a>(rows: impl Iterator<Item = &'a Vec<i64>>) -> ArrayRef {
        let rows = rows.map(|row| Some(row.iter().copied().map(Some)));
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(rows))
    }

    fn rank(factors: &Factors<'_>, rows: &[Row]) -> Vec<Vec<i64>> {
        let seen = lists(rows.iter().map(|row| &row.seen));
        let excluded = lists(rows.iter().map(|row| &row.excluded));
        let requests = Requests {
            seen: Lists::try_new(NAME, &seen).unwrap(),
            horizons: &rows.iter().map(|row| row.horizon).collect::<Vec<_>>(),
            excluded: Lists::try_new(NAME, &excluded).unwrap(),
            counts: &rows.iter().map(|row| row.count).collect::<Vec<_>>(),
        };
        let mut ranked = vec![vec![]; rows.len()];
        let asked: Vec<usize> = (0..rows.len()).collect();
        requests.rank(factors, &asked, &mut ranked).unwrap();
        ranked
    }

    /// The same ranking by a full sort of all scores, computed one at a time.
    fn reference(query: &[f32], item: &[f32], rank: usize, row: &Row) -> Vec<i64> {
        let items = item.len() / rank;
        let mut user = vec![0.0; rank];
        let mut seen = row.seen.clone();
        seen.sort_unstable();
        seen.dedup();
        for i in seen.into_iter().filter(|i| (0..items as i64).contains(i)) {
            let values = &query[i as usize * rank..][..rank];
            user.iter_mut().zip(values).for_each(|(sum, q)| *sum += q);
        }
        if user.iter().all(|value| *value == 0.0) {
            return vec![];
        }
        let mut scored: Vec<(f32, i64)> = (0..row.horizon.min(items as i64))
            .filter(|i| !row.excluded.contains(i))
            .map(|i| (&item[i as usize * rank..][..rank], i))
            .filter(|(values, _)| values.iter().any(|value| *value != 0.0))
            .map(|(values, i)| (user.iter().zip(values).map(|(u, v)| u * v).sum(), i))
            .collect();
        scored.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap().then(a.1.cmp(&b.1)));
        scored.truncate(row.count as usize);
        scored.into_iter().map(|(_, i)| i).collect()
    }

    const ITEMS: usize = TILE + 100;

    fn row() -> impl Strategy<Value = Row> {
        let item = -2..ITEMS as i64 + 2;
        (
            prop::collection::vec(item.clone(), 0..6),
            0..ITEMS as i64 + 50,
            prop::collection::vec(item, 0..200),
            0..40_i64,
        )
            .prop_map(|(seen, horizon, excluded, count)| Row {
                seen,
                horizon,
                excluded,
                count,
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Small whole numbers, whose sums are exact: most scores are ties, many items
        /// have no factors.
        #[test]
        fn ranks_like_a_full_sort(
            numbers in prop::collection::vec((-2..3_i8, -1..2_i8), 3 * ITEMS),
            rows in prop::collection::vec(row(), 1..BLOCK + 9),
        ) {
            let query: Vec<f32> = numbers.iter().map(|(q, _)| f32::from(*q)).collect();
            let item: Vec<f32> = numbers.iter().map(|(_, v)| f32::from(*v)).collect();
            let ranked = rank(&factors(&query, &item, 3), &rows);
            for (row, ranked) in rows.iter().zip(ranked) {
                prop_assert_eq!(ranked, reference(&query, &item, 3, row));
            }
        }
    }

    #[test]
    fn a_ranking_does_not_depend_on_the_batch() {
        let rank_of_factors = 64;
        let (query, item) = (
            random(ITEMS * rank_of_factors, 3),
            random(ITEMS * rank_of_factors, 4),
        );
        let factors = factors(&query, &item, rank_of_factors);
        let rows: Vec<Row> = (0..2 * BLOCK as i64 + 3)
            .map(|i| Row {
                seen: vec![i, 2 * i, 3 * i % 50],
                horizon: ITEMS as i64 - i,
                excluded: (i..i + 40).collect(),
                count: 30,
            })
            .collect();
        let together = rank(&factors, &rows);
        for pieces in [1, 7, BLOCK + 1] {
            let apart: Vec<_> = rows
                .chunks(pieces)
                .flat_map(|r| rank(&factors, r))
                .collect();
            assert_eq!(apart, together, "{pieces} rows at a time");
        }
    }
}
