//! `factorize`: collaborative factors from a log.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float32Array, Int32Array, Int64Array, StructArray,
};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Int64Type};
use datafusion::common::{
    ScalarValue, exec_datafusion_err, exec_err, utils::SingleRowListArrayBuilder,
};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Documentation, Signature, Volatility,
};
use datafusion_macros::user_doc;
use faer::Mat;

use super::candidates::size;
use super::singular::{Sparse, right_singular_vectors};
use crate::columns::{Lists, coerce, list_of, state_fields};

#[user_doc(
    doc_section(label = "Ranking Functions"),
    description = "Aggregate: collaborative factors of a log's users and items, for rank_collaborative. V holds the leading right singular vectors of the degree-normalised user-item matrix; an event counts once however often it is repeated. The score of item j for a user is the sum, over the items i that the user saw, of (v_i / sqrt(degree i)) . (v_j * sqrt(degree j)). Items without events have zero factors. Rows with a NULL user or item do not count; NULL when there are no others.",
    syntax_example = "factorize(user, item, item_count, rank)",
    sql_example = "```sql\nSELECT factorize(user_index, item_index, 3883, 64) FROM events WHERE ts < TIMESTAMP '2001-01-01';\n```",
    argument(
        name = "user",
        description = "BIGINT, any number that stands for the user."
    ),
    argument(name = "item", description = "BIGINT, from 0 to item_count - 1."),
    argument(name = "item_count", description = "BIGINT, the same in all rows."),
    argument(
        name = "rank",
        description = "BIGINT, how many singular vectors; the same in all rows."
    ),
    related_udf(name = "rank_collaborative")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Factorize {
    signature: Signature,
}

impl Factorize {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

/// `rank`, then `query` and `item`: item_count × rank matrices, row by row.
pub(super) fn factors_type() -> DataType {
    DataType::Struct(factors_fields())
}

fn factors_fields() -> Fields {
    Fields::from(vec![
        Field::new("rank", DataType::Int32, true),
        Field::new("query", list_of(DataType::Float32), true),
        Field::new("item", list_of(DataType::Float32), true),
    ])
}

impl AggregateUDFImpl for Factorize {
    fn name(&self) -> &str {
        "factorize"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        coerce(self.name(), &[const { DataType::Int64 }; 4], given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(factors_type())
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Events::default()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let fields = [
            ("users", list_of(DataType::Int64)),
            ("items", list_of(DataType::Int64)),
            ("item_count", DataType::Int64),
            ("rank", DataType::Int64),
        ];
        Ok(state_fields(&args, fields))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

#[derive(Debug, Default)]
struct Events {
    users: Vec<i64>,
    items: Vec<i64>,
    /// `item_count` and `rank`, once a row was seen.
    sizes: Option<(i64, i64)>,
}

impl Events {
    fn agree(&mut self, item_count: i64, rank: i64) -> Result<()> {
        let sizes = *self.sizes.get_or_insert((item_count, rank));
        if sizes != (item_count, rank) {
            return exec_err!(
                "factorize: item_count and rank are {sizes:?} in one row and {:?} in another; \
                 give the same in all rows",
                (item_count, rank)
            );
        }
        Ok(())
    }
}

impl Accumulator for Events {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let column = |index: usize| columns[index].as_primitive::<Int64Type>();
        let (users, items, counts, ranks) = (column(0), column(1), column(2), column(3));
        for row in 0..users.len() {
            if users.is_null(row) || items.is_null(row) {
                continue;
            }
            if counts.is_null(row) || ranks.is_null(row) {
                return exec_err!("factorize: item_count and rank cannot be NULL");
            }
            self.agree(counts.value(row), ranks.value(row))?;
            let item = items.value(row);
            if !(0..counts.value(row)).contains(&item) {
                return exec_err!(
                    "factorize: item {item} is not among {} items counted from 0",
                    counts.value(row)
                );
            }
            self.users.push(users.value(row));
            self.items.push(item);
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let users = Lists::<Int64Type>::try_new("factorize", &states[0])?;
        let items = Lists::<Int64Type>::try_new("factorize", &states[1])?;
        let counts = states[2].as_primitive::<Int64Type>();
        let ranks = states[3].as_primitive::<Int64Type>();
        for row in (0..counts.len()).filter(|row| counts.is_valid(*row)) {
            self.agree(counts.value(row), ranks.value(row))?;
            self.users.extend_from_slice(users.row(row));
            self.items.extend_from_slice(items.row(row));
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let list = |values: &mut Vec<i64>| {
            let values = Int64Array::from(std::mem::take(values));
            SingleRowListArrayBuilder::new(Arc::new(values)).build_list_scalar()
        };
        Ok(vec![
            list(&mut self.users),
            list(&mut self.items),
            ScalarValue::Int64(self.sizes.map(|(item_count, _)| item_count)),
            ScalarValue::Int64(self.sizes.map(|(_, rank)| rank)),
        ])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let Some((item_count, rank)) = self.sizes else {
            return ScalarValue::try_new_null(&factors_type());
        };
        let item_count = size("factorize", "item_count", item_count)?;
        let rank = size("factorize", "rank", rank)?;
        let events = std::mem::take(&mut self.users)
            .into_iter()
            .zip(std::mem::take(&mut self.items));
        let factors = Factors::new(events.collect(), item_count, rank)?;
        factors.into_scalar()
    }

    fn size(&self) -> usize {
        size_of_val(self) + (self.users.capacity() + self.items.capacity()) * size_of::<i64>()
    }
}

/// Both sides of the scores, item_count × rank, row by row.
#[derive(Debug)]
pub(super) struct Factors {
    pub(super) rank: usize,
    pub(super) query: Vec<f32>,
    pub(super) item: Vec<f32>,
}

impl Factors {
    /// Factors of (user, item) events.
    pub(super) fn new(mut events: Vec<(i64, i64)>, item_count: usize, rank: usize) -> Result<Self> {
        // Sorted, so that the order of rows and partitions does not matter.
        events.sort_unstable();
        events.dedup();
        let items = Items::of(&events, item_count);
        let matrix = normalised(&events, &items);
        let (users, columns) = matrix.shape();
        let vectors = right_singular_vectors(&matrix, rank.min(users).min(columns))
            .map_err(|e| exec_datafusion_err!("factorize: the decomposition failed: {e:?}"))?;
        Ok(Self::scaled(&vectors, &items))
    }

    /// D^-1/2 V on the user's side, D^+1/2 V on the item's, spread over all items.
    fn scaled(vectors: &Mat<f64>, items: &Items) -> Self {
        let rank = vectors.ncols();
        let mut query = vec![0.0; items.degrees.len() * rank];
        let mut item = vec![0.0; items.degrees.len() * rank];
        for (place, index) in items.by_degree.iter().enumerate() {
            let length = items.degrees[*index].sqrt();
            for column in 0..rank {
                let value = vectors[(place, column)];
                query[index * rank + column] = (value / length) as f32;
                item[index * rank + column] = (value * length) as f32;
            }
        }
        Self { rank, query, item }
    }

    fn into_scalar(self) -> Result<ScalarValue> {
        let list = |values: Vec<f32>| -> ArrayRef {
            let values = Arc::new(Float32Array::from(values));
            Arc::new(SingleRowListArrayBuilder::new(values).build_list_array())
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(vec![self.rank as i32])),
            list(self.query),
            list(self.item),
        ];
        let row = StructArray::try_new(factors_fields(), columns, None)?;
        Ok(ScalarValue::Struct(Arc::new(row)))
    }
}

/// The items of a log.
struct Items {
    /// How many users each item has.
    degrees: Vec<f64>,
    /// The items with users, most popular first: products with the matrix then keep
    /// to few places of memory.
    by_degree: Vec<usize>,
}

impl Items {
    /// `events` are distinct.
    fn of(events: &[(i64, i64)], item_count: usize) -> Self {
        let mut degrees = vec![0.0_f64; item_count];
        for (_, item) in events {
            degrees[*item as usize] += 1.0;
        }
        let mut by_degree: Vec<usize> = (0..item_count).filter(|i| degrees[*i] > 0.0).collect();
        by_degree.sort_by(|a, b| degrees[*b].total_cmp(&degrees[*a]));
        Self { degrees, by_degree }
    }
}

/// D_u^-1/2 R D_i^-1/2 over the users and items that occur, columns as in `by_degree`.
/// `events` are sorted and distinct, `items` are theirs.
fn normalised(events: &[(i64, i64)], items: &Items) -> Sparse {
    let mut places = vec![0; items.degrees.len()];
    for (place, item) in items.by_degree.iter().enumerate() {
        places[*item] = place;
    }
    let mut matrix = Sparse::new(items.by_degree.len());
    for of_user in events.chunk_by(|a, b| a.0 == b.0) {
        matrix.push(of_user.iter().map(|(_, item)| {
            let degree = items.degrees[*item as usize];
            let value = 1.0 / (of_user.len() as f64 * degree).sqrt();
            (places[*item as usize], value)
        }));
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(factors: &Factors, seen: &[usize], item: usize) -> f32 {
        let row =
            |values: &[f32], i: usize| values[i * factors.rank..(i + 1) * factors.rank].to_vec();
        let target = row(&factors.item, item);
        seen.iter()
            .flat_map(|i| row(&factors.query, *i).into_iter().zip(target.clone()))
            .map(|(q, v)| q * v)
            .sum()
    }

    /// Two tastes, items 0-4 and 5-9; each user knows four of the five of one.
    fn two_tastes() -> Vec<(i64, i64)> {
        let mut events = vec![];
        for user in 0..40 {
            let (taste, missing) = (user % 2, user / 2 % 5);
            events.extend(
                (0..5)
                    .filter(|i| *i != missing)
                    .map(|i| (user, 5 * taste + i)),
            );
        }
        events
    }

    #[test]
    fn the_planted_taste_is_found() {
        let factors = Factors::new(two_tastes(), 12, 2).unwrap();
        assert_eq!(factors.rank, 2);
        let seen = [0, 1, 2, 3];
        let same = score(&factors, &seen, 4);
        assert!((5..10).all(|other| same > score(&factors, &seen, other) + 0.1));
    }

    #[test]
    fn items_without_events_have_no_factors() {
        let factors = Factors::new(two_tastes(), 12, 2).unwrap();
        assert!(factors.item[10 * 2..].iter().all(|v| *v == 0.0));
        assert!(factors.query[10 * 2..].iter().all(|v| *v == 0.0));
    }

    #[test]
    fn neither_order_nor_repetition_matters() {
        let mut events = two_tastes();
        let factors = Factors::new(events.clone(), 10, 3).unwrap();
        events.reverse();
        events.extend_from_within(..17);
        let again = Factors::new(events, 10, 3).unwrap();
        assert_eq!(factors.item, again.item);
    }

    #[test]
    fn the_rank_is_clipped_to_what_there_is() {
        let factors = Factors::new(vec![(1, 0), (1, 1), (2, 1)], 3, 64).unwrap();
        assert_eq!(factors.rank, 2);
        assert_eq!(factors.query.len(), 6);
    }

    #[test]
    fn sizes_must_agree() {
        let column = |values: [i64; 2]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
        let columns = [
            column([1, 2]),
            column([0, 1]),
            column([3, 4]),
            column([2, 2]),
        ];
        let error = Events::default()
            .update_batch(&columns)
            .unwrap_err()
            .to_string();
        assert!(error.contains("the same in all rows"), "{error}");
    }
}
