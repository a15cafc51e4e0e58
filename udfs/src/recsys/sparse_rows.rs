//! `sparse_rows`: weighted words as sparse rows that can be compared.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float32Array, Float64Array, Int32Array, StringArray, StructArray,
};
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Fields, Float64Type, Int32Type, Int64Type,
};
use datafusion::common::{HashMap, ScalarValue, exec_err, utils::SingleRowListArrayBuilder};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Documentation, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::candidates::size;
use crate::columns::{Lists, coerce, list_of, offset, state_fields};

#[user_doc(
    doc_section(label = "Ranking Functions"),
    description = "Aggregate: the weighted terms of all rows as a sparse matrix with rows of length 1, for rank_content. Weights of a repeated (row, term) add up. The matrix is kept by rows and by terms, so that asking for neighbours rebuilds nothing. NULL cells do not count; NULL when there are no others.",
    syntax_example = "sparse_rows(row, term, weight, row_count)",
    sql_example = "```sql\nSELECT sparse_rows(item_index, term, tf * idf, 3883) FROM words;\n```",
    argument(name = "row", description = "BIGINT, from 0 to row_count - 1."),
    argument(name = "term", description = "Text."),
    argument(name = "weight", description = "DOUBLE, finite and not negative."),
    argument(name = "row_count", description = "BIGINT, the same in all rows."),
    related_udf(name = "rank_content")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct SparseRows {
    signature: Signature,
}

impl SparseRows {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

/// Compressed rows (`offsets`, `columns`, `weights`) and the same cells by column
/// (`posting_offsets`, `posting_rows`, `posting_weights`).
pub(super) fn rows_type() -> DataType {
    DataType::Struct(rows_fields())
}

fn rows_fields() -> Fields {
    let list = |name, element| Field::new(name, list_of(element), true);
    Fields::from(vec![
        list("offsets", DataType::Int32),
        list("columns", DataType::Int32),
        list("weights", DataType::Float32),
        list("posting_offsets", DataType::Int32),
        list("posting_rows", DataType::Int32),
        list("posting_weights", DataType::Float32),
    ])
}

impl AggregateUDFImpl for SparseRows {
    fn name(&self) -> &str {
        "sparse_rows"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        coerce(
            self.name(),
            &[
                DataType::Int64,
                DataType::Utf8View,
                DataType::Float64,
                DataType::Int64,
            ],
            given,
        )
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(rows_type())
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Cells::default()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let fields = [
            ("rows", list_of(DataType::Int32)),
            ("term_numbers", list_of(DataType::Int32)),
            ("weights", list_of(DataType::Float64)),
            ("terms", list_of(DataType::Utf8)),
            ("row_count", DataType::Int64),
        ];
        Ok(state_fields(&args, fields))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Cell {
    row: i32,
    term: i32,
    weight: f64,
}

/// Distinct terms, numbered as they come: they are far fewer than the cells.
#[derive(Debug, Default)]
struct Terms {
    numbers: HashMap<String, i32>,
    bytes: usize,
}

impl Terms {
    fn number(&mut self, term: &str) -> Result<i32> {
        if let Some(number) = self.numbers.get(term) {
            return Ok(*number);
        }
        let number = offset(self.numbers.len())?;
        self.numbers.insert(term.to_owned(), number);
        self.bytes += term.len() + size_of::<(String, i32)>();
        Ok(number)
    }

    /// The terms in the order of their numbers.
    fn take(&mut self) -> Vec<String> {
        let mut terms: Vec<_> = std::mem::take(self).numbers.into_iter().collect();
        terms.sort_unstable_by_key(|(_, number)| *number);
        terms.into_iter().map(|(term, _)| term).collect()
    }
}

#[derive(Debug, Default)]
struct Cells {
    cells: Vec<Cell>,
    terms: Terms,
    row_count: Option<i64>,
}

impl Cells {
    fn agree(&mut self, row_count: i64) -> Result<()> {
        let first = *self.row_count.get_or_insert(row_count);
        if first != row_count {
            return exec_err!(
                "sparse_rows: row_count is {first} in one row and {row_count} in another; \
                 give the same in all rows"
            );
        }
        Ok(())
    }
}

impl Accumulator for Cells {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let rows = columns[0].as_primitive::<Int64Type>();
        let terms = columns[1].as_string_view();
        let weights = columns[2].as_primitive::<Float64Type>();
        let counts = columns[3].as_primitive::<Int64Type>();
        for i in 0..rows.len() {
            if columns[..3].iter().any(|column| column.is_null(i)) {
                continue;
            }
            if counts.is_null(i) {
                return exec_err!("sparse_rows: row_count cannot be NULL");
            }
            self.agree(counts.value(i))?;
            let (row, weight) = (rows.value(i), weights.value(i));
            if !(0..counts.value(i)).contains(&row) {
                return exec_err!(
                    "sparse_rows: row {row} is not among {} rows counted from 0",
                    counts.value(i)
                );
            }
            if !(0.0..f64::INFINITY).contains(&weight) {
                return exec_err!(
                    "sparse_rows: {weight} is not a weight; it must be finite and not negative"
                );
            }
            let (row, term) = (offset(row as usize)?, self.terms.number(terms.value(i))?);
            self.cells.push(Cell { row, term, weight });
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = Lists::<Int32Type>::try_new("sparse_rows", &states[0])?;
        let numbers = Lists::<Int32Type>::try_new("sparse_rows", &states[1])?;
        let weights = Lists::<Float64Type>::try_new("sparse_rows", &states[2])?;
        let counts = states[4].as_primitive::<Int64Type>();
        for state in (0..counts.len()).filter(|state| counts.is_valid(*state)) {
            self.agree(counts.value(state))?;
            let terms = states[3].as_list::<i32>().value(state);
            let terms = terms.as_string::<i32>().iter().flatten();
            let terms: Vec<i32> = terms
                .map(|term| self.terms.number(term))
                .collect::<Result<_>>()?;
            let places = rows.row(state).iter().zip(numbers.row(state));
            let cells = places.zip(weights.row(state));
            self.cells.extend(cells.map(|((row, number), weight)| Cell {
                row: *row,
                term: terms[*number as usize],
                weight: *weight,
            }));
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let cells = std::mem::take(&mut self.cells);
        let list = |column| SingleRowListArrayBuilder::new(column).build_list_scalar();
        let rows: Int32Array = cells.iter().map(|cell| Some(cell.row)).collect();
        let numbers: Int32Array = cells.iter().map(|cell| Some(cell.term)).collect();
        let weights: Float64Array = cells.iter().map(|cell| Some(cell.weight)).collect();
        let terms = StringArray::from_iter_values(self.terms.take());
        Ok(vec![
            list(Arc::new(rows)),
            list(Arc::new(numbers)),
            list(Arc::new(weights)),
            list(Arc::new(terms)),
            ScalarValue::Int64(self.row_count),
        ])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let Some(row_count) = self.row_count else {
            return ScalarValue::try_new_null(&rows_type());
        };
        let row_count = size("sparse_rows", "row_count", row_count)?;
        let cells = std::mem::take(&mut self.cells);
        Matrix::new(cells, &self.terms.take(), row_count)?.into_scalar()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.cells.capacity() * size_of::<Cell>() + self.terms.bytes
    }
}

/// A sparse matrix in compressed form; a line is a row, or a column of its transpose.
#[derive(Debug)]
struct Compressed {
    offsets: Vec<i32>,
    positions: Vec<i32>,
    weights: Vec<f32>,
}

impl Compressed {
    /// Compresses (line, position, weight) cells sorted by line.
    fn new(cells: &[(i32, i32, f32)], lines: usize) -> Result<Self> {
        let ends =
            (0..=lines).map(|line| offset(cells.partition_point(|cell| (cell.0 as usize) < line)));
        Ok(Self {
            offsets: ends.collect::<Result<_>>()?,
            positions: cells.iter().map(|cell| cell.1).collect(),
            weights: cells.iter().map(|cell| cell.2).collect(),
        })
    }
}

/// The matrix by rows, and by terms in alphabetical order.
#[derive(Debug)]
struct Matrix {
    rows: Compressed,
    postings: Compressed,
}

impl Matrix {
    /// `cells` hold numbers of `terms`, which are distinct.
    fn new(mut cells: Vec<Cell>, terms: &[String], row_count: usize) -> Result<Self> {
        let places = alphabetical(terms)?;
        for cell in &mut cells {
            cell.term = places[cell.term as usize];
        }
        // Sorted down to the weight, so that sums do not depend on the order of rows.
        cells.sort_unstable_by(|a, b| {
            (a.row, a.term)
                .cmp(&(b.row, b.term))
                .then(a.weight.total_cmp(&b.weight))
        });
        cells.dedup_by(|next, cell| {
            let same = next.row == cell.row && next.term == cell.term;
            if same {
                cell.weight += next.weight;
            }
            same
        });
        let mut normalised = Vec::with_capacity(cells.len());
        for row in cells.chunk_by(|a, b| a.row == b.row) {
            let length = row
                .iter()
                .map(|cell| cell.weight.powi(2))
                .sum::<f64>()
                .sqrt();
            for cell in row.iter().filter(|cell| cell.weight != 0.0) {
                normalised.push((cell.row, cell.term, (cell.weight / length) as f32));
            }
        }
        let rows = Compressed::new(&normalised, row_count)?;
        let mut transposed: Vec<_> = normalised.into_iter().map(|(r, t, w)| (t, r, w)).collect();
        transposed.sort_unstable_by_key(|cell| (cell.0, cell.1));
        let postings = Compressed::new(&transposed, terms.len())?;
        Ok(Self { rows, postings })
    }

    fn into_scalar(self) -> Result<ScalarValue> {
        let list = |values: ArrayRef| -> ArrayRef {
            Arc::new(SingleRowListArrayBuilder::new(values).build_list_array())
        };
        let columns: Vec<ArrayRef> = [self.rows, self.postings]
            .into_iter()
            .flat_map(|side| {
                [
                    list(Arc::new(Int32Array::from(side.offsets))),
                    list(Arc::new(Int32Array::from(side.positions))),
                    list(Arc::new(Float32Array::from(side.weights))),
                ]
            })
            .collect();
        let row = StructArray::try_new(rows_fields(), columns, None)?;
        Ok(ScalarValue::Struct(Arc::new(row)))
    }
}

/// The place of each term in alphabetical order.
fn alphabetical(terms: &[String]) -> Result<Vec<i32>> {
    let mut order: Vec<usize> = (0..terms.len()).collect();
    order.sort_unstable_by_key(|number| &terms[*number]);
    let mut places = vec![0; terms.len()];
    for (place, number) in order.into_iter().enumerate() {
        places[number] = offset(place)?;
    }
    Ok(places)
}

/// The window that `sparse_rows` makes of these cells, for the tests of its readers.
#[cfg(test)]
pub(super) fn window_of(cells: &[(i64, &str, f64)], row_count: usize) -> StructArray {
    let scalar = tests::collected(cells, row_count).evaluate().unwrap();
    scalar.to_array().unwrap().as_struct().clone()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int64Array, StringViewArray};

    use super::*;

    /// What one accumulator holds after these (row, term, weight) cells.
    pub(super) fn collected(cells: &[(i64, &str, f64)], row_count: usize) -> Cells {
        let columns: [ArrayRef; 4] = [
            Arc::new(Int64Array::from_iter_values(cells.iter().map(|c| c.0))),
            Arc::new(StringViewArray::from_iter_values(cells.iter().map(|c| c.1))),
            Arc::new(Float64Array::from_iter_values(cells.iter().map(|c| c.2))),
            Arc::new(Int64Array::from(vec![row_count as i64; cells.len()])),
        ];
        let mut collected = Cells::default();
        collected.update_batch(&columns).unwrap();
        collected
    }

    fn matrix(mut of: Cells) -> Matrix {
        let cells = std::mem::take(&mut of.cells);
        Matrix::new(cells, &of.terms.take(), of.row_count.unwrap() as usize).unwrap()
    }

    #[test]
    fn rows_have_length_one() {
        let cells = [(2, "b", 4.0), (0, "b", 2.0), (2, "a", 3.0)];
        let matrix = matrix(collected(&cells, 4));
        assert_eq!(matrix.rows.offsets, [0, 1, 1, 3, 3]);
        assert_eq!(matrix.rows.positions, [1, 0, 1]);
        assert_eq!(matrix.rows.weights, [1.0, 0.6, 0.8]);
        assert_eq!(matrix.postings.offsets, [0, 1, 3]);
        assert_eq!(matrix.postings.positions, [2, 0, 2]);
        assert_eq!(matrix.postings.weights, [0.6, 1.0, 0.8]);
    }

    #[test]
    fn repeated_cells_add_up() {
        let cells = [(0, "a", 1.0), (0, "b", 4.0), (0, "a", 2.0)];
        assert_eq!(matrix(collected(&cells, 1)).rows.weights, [0.6, 0.8]);
    }

    #[test]
    fn partial_states_merge_into_what_one_would_hold() {
        let cells = [
            (1, "b", 1.0),
            (0, "a", 2.0),
            (1, "c", 3.0),
            (0, "b", 0.5),
            (1, "b", 4.0),
            (2, "a", 1.0),
        ];
        let mut merged = Cells::default();
        for part in [&cells[4..], &cells[..0], &cells[..4]] {
            let state = collected(part, 3).state().unwrap();
            let state: Vec<_> = state.iter().map(|v| v.to_array().unwrap()).collect();
            merged.merge_batch(&state).unwrap();
        }
        let (merged, whole) = (matrix(merged), matrix(collected(&cells, 3)));
        assert_eq!(merged.rows.positions, whole.rows.positions);
        assert_eq!(merged.rows.weights, whole.rows.weights);
        assert_eq!(merged.postings.offsets, whole.postings.offsets);
        assert_eq!(merged.postings.positions, whole.postings.positions);
    }
}
