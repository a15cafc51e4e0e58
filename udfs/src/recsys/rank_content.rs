//! `rank_content`: items whose texts are like the chosen one's.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, StructArray};
use datafusion::arrow::datatypes::{DataType, Float32Type, Int32Type, Int64Type};
use datafusion::common::utils::take_function_args;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use faer::Mat;

use super::candidates::{Allowed, Best, size};
use super::dense_rows::{Dense, dense_type};
use super::products::{self, BLOCK};
use super::sparse_rows::rows_type;
use super::windows::{by_window, field, runs, structs, window};
use crate::columns::{Lists, Rows, coerce, list_of, repeated};

const NAME: &str = "rank_content";

#[user_doc(
    doc_section(label = "Ranking Functions"),
    description = "Proposes items by the cosine of their rows with the chosen item's, best first: the items below the horizon that are not excluded, by the rows of one window. Never the chosen item; of sparse rows never one that shares no term with it, of dense rows never one without a vector. An empty list when the window has no rows. Fewer than asked when there are fewer. NULL when an argument other than rows is NULL.",
    syntax_example = "rank_content(rows, window, item, horizon, excluded, count)",
    sql_example = "```sql\nSELECT rank_content((SELECT array_agg(rows ORDER BY window_id) FROM content),\n    window_id, item_index, horizon, excluded, 32)\nFROM scenarios;\n```",
    argument(
        name = "rows",
        description = "From an uncorrelated subquery, an array of results of sparse_rows, one a window; or one result of dense_rows, which serves every window."
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
    related_udf(name = "sparse_rows"),
    related_udf(name = "dense_rows")
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
        let rows = match given.first() {
            Some(DataType::Struct(_)) => dense_type(),
            _ => list_of(rows_type()),
        };
        coerce(
            self.name(),
            &[
                rows,
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
        let requests = Requests {
            windows: windows.as_primitive::<Int64Type>().values(),
            items: items.as_primitive::<Int64Type>().values(),
            horizons: horizons.as_primitive::<Int64Type>().values(),
            excluded: Lists::try_new(NAME, excluded)?,
            counts: counts.as_primitive::<Int64Type>().values(),
        };
        let rows = Rows::new(&columns);
        let mut ranked = vec![vec![]; args.number_rows];
        let asked = |run: Range<usize>| run.filter(|row| rows.is_valid(*row));
        if matches!(args.args[0].data_type(), DataType::Struct(_)) {
            for (matrix, run) in structs(&args.args[0], args.number_rows) {
                if let Some(matrix) = matrix {
                    let asked: Vec<usize> = asked(run).collect();
                    requests.rank_dense(&Dense::of(NAME, &matrix)?, &asked, &mut ranked)?;
                }
            }
        } else {
            for (learnt, run) in runs(&args.args[0], args.number_rows)? {
                requests.rank_sparse(learnt.as_ref(), asked(run), &mut ranked)?;
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

/// What each row of a batch asks for.
struct Requests<'a> {
    windows: &'a [i64],
    items: &'a [i64],
    horizons: &'a [i64],
    excluded: Lists<'a, Int64Type>,
    counts: &'a [i64],
}

impl Requests<'_> {
    fn horizon(&self, row: usize) -> Result<usize> {
        size(NAME, "the horizon", self.horizons[row])
    }

    fn count(&self, row: usize) -> Result<usize> {
        size(NAME, "the count", self.counts[row])
    }

    /// Answers the rows `asked` by their windows of `learnt`, into their places in `ranked`.
    fn rank_sparse(
        &self,
        learnt: Option<&ArrayRef>,
        asked: impl Iterator<Item = usize>,
        ranked: &mut [Vec<i64>],
    ) -> Result<()> {
        for (index, asked) in by_window(asked, self.windows) {
            let Some(learnt) = window(NAME, learnt, index)? else {
                continue;
            };
            let mut search = Search::new(&learnt)?;
            for row in asked {
                let allowed = Allowed::new(self.horizon(row)?, self.excluded.row(row));
                search.nearest(
                    self.items[row],
                    &allowed,
                    self.count(row)?,
                    &mut ranked[row],
                );
            }
        }
        Ok(())
    }

    /// Answers the rows `asked`, into their places in `ranked`.
    fn rank_dense(
        &self,
        matrix: &Dense<'_>,
        asked: &[usize],
        ranked: &mut [Vec<i64>],
    ) -> Result<()> {
        for block in asked.chunks(BLOCK) {
            let mut queries = Mat::zeros(matrix.rows.ncols(), BLOCK);
            let mut searches = Vec::with_capacity(block.len());
            for (column, row) in block.iter().enumerate() {
                let item = usize::try_from(self.items[*row]).ok();
                let item = item.filter(|item| matrix.known.get(*item) == Some(&true));
                if let Some(item) = item {
                    let vector = matrix.rows.row(item);
                    let query = queries.col_as_slice_mut(column).iter_mut();
                    query.zip(vector.iter()).for_each(|(to, from)| *to = *from);
                }
                let mut excluded = self.excluded.row(*row).to_vec();
                excluded.push(self.items[*row]);
                let (horizon, count) = (self.horizon(*row)?, self.count(*row)?);
                searches.push(products::Search {
                    allowed: Allowed::new(horizon, &excluded),
                    best: Best::new(item.map_or(0, |_| count), f32::NEG_INFINITY),
                });
            }
            products::offer(matrix.rows, &matrix.known, &queries, &mut searches);
            for (row, search) in block.iter().zip(searches) {
                search.best.finish(&mut ranked[*row]);
            }
        }
        Ok(())
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
    use datafusion::arrow::array::ListArray;
    use proptest::prelude::*;

    use super::super::dense_rows::matrix_of;
    use super::super::products::random;
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

    /// What `asked` (item, horizon, excluded) get from these vectors, up to 3 each.
    fn dense(
        vectors: &[(i64, &[f32])],
        rows: usize,
        asked: &[(i64, i64, &[i64])],
    ) -> Vec<Vec<i64>> {
        let matrix = matrix_of(vectors, rows);
        let lists = asked
            .iter()
            .map(|(_, _, excluded)| Some(excluded.iter().copied().map(Some)));
        let excluded: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
        let requests = Requests {
            windows: &vec![0; asked.len()],
            items: &asked.iter().map(|(item, _, _)| *item).collect::<Vec<_>>(),
            horizons: &asked.iter().map(|(_, h, _)| *h).collect::<Vec<_>>(),
            excluded: Lists::try_new(NAME, &excluded).unwrap(),
            counts: &vec![3; asked.len()],
        };
        let mut ranked = vec![vec![]; asked.len()];
        let all: Vec<usize> = (0..asked.len()).collect();
        let matrix = Dense::of(NAME, &matrix).unwrap();
        requests.rank_dense(&matrix, &all, &mut ranked).unwrap();
        ranked
    }

    #[test]
    fn vectors_that_point_the_same_way_come_first() {
        let vectors: [(i64, &[f32]); 5] = [
            (0, &[1.0, 0.0]),
            (1, &[1.0, 1.0]),
            (2, &[9.0, 1.0]),
            (3, &[-1.0, 0.0]),
            (4, &[0.0, 0.0]),
        ];
        let asked: [(i64, i64, &[i64]); 7] = [
            (0, 6, &[]),
            (0, 6, &[2]),
            (0, 2, &[]),
            (3, 6, &[0]),
            (4, 6, &[]),
            (5, 6, &[]),
            (-1, 6, &[]),
        ];
        let none: Vec<i64> = vec![];
        let expected = [
            vec![2, 1, 3],
            vec![1, 3],
            vec![1],
            vec![1, 2],
            none.clone(),
            none.clone(),
            none,
        ];
        assert_eq!(dense(&vectors, 6, &asked), expected);
    }

    #[test]
    fn a_ranking_of_vectors_does_not_depend_on_the_batch() {
        let (items, width) = (900, 48);
        let numbers = random(items * width, 5);
        let vectors: Vec<(i64, &[f32])> = (0..).zip(numbers.chunks(width)).collect();
        let asked: Vec<(i64, i64, &[i64])> = (0..2 * BLOCK as i64 + 3)
            .map(|item| (item, 900 - item, &[][..]))
            .collect();
        let together = dense(&vectors, items, &asked);
        let apart: Vec<_> = asked
            .chunks(7)
            .flat_map(|asked| dense(&vectors, items, asked))
            .collect();
        assert_eq!(apart, together);
        for ((item, horizon, _), ranked) in asked.iter().zip(together) {
            assert_eq!(ranked.len(), 3);
            assert!(ranked.iter().all(|other| other != item && other < horizon));
        }
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
