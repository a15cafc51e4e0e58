//! Results of `factorize`, as the functions that ask them see them.

use datafusion::arrow::array::{AsArray, StructArray};
use datafusion::arrow::datatypes::{Float32Type, Int32Type};
use datafusion::common::exec_err;
use datafusion::error::Result;
use faer::MatRef;

use super::windows::field;

/// The factors of one window, as they lie in their column: items × rank.
pub(super) struct Factors<'a> {
    /// What an item that was seen adds to a user's taste.
    pub(super) query: MatRef<'a, f32>,
    /// What a taste is multiplied with to score an item.
    pub(super) item: MatRef<'a, f32>,
    /// Whether the item had events; without, its score says nothing.
    pub(super) known: Vec<bool>,
}

impl<'a> Factors<'a> {
    /// Reads a window for `function`.
    ///
    /// # Errors
    /// Fails when the lengths do not fit together.
    pub(super) fn of(function: &str, window: &'a StructArray) -> Result<Self> {
        let rank = window.column(0).as_primitive::<Int32Type>().value(0) as usize;
        let query = field::<Float32Type>(window, "query")?;
        let item = field::<Float32Type>(window, "item")?;
        if query.len() != item.len() || query.len() % rank.max(1) != 0 {
            return exec_err!("{function}: these are no results of factorize: lengths do not fit");
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
    pub(super) fn query_of(&self, seen: &[i64], query: &mut [f32]) {
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

    /// The score of one item for the taste `query`; 0 where the item is not known.
    pub(super) fn score_of(&self, item: i64, query: &[f32]) -> f32 {
        let item = usize::try_from(item).ok();
        let Some(item) = item.filter(|item| *item < self.item.nrows()) else {
            return 0.0;
        };
        let values = self.item.row(item).iter().zip(query);
        values.map(|(value, taste)| value * taste).sum()
    }
}
