//! `dense_rows`: vectors as the rows of a matrix that can be compared.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float32Array, Int32Array, Int64Array, StructArray,
};
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Fields, Float32Type, Int32Type, Int64Type,
};
use datafusion::common::{ScalarValue, exec_err, utils::SingleRowListArrayBuilder};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Documentation, Signature, Volatility,
};
use datafusion_macros::user_doc;
use faer::MatRef;

use super::candidates::size;
use super::windows::field;
use crate::columns::{Lists, coerce, list_of, state_fields};

const NAME: &str = "dense_rows";

#[user_doc(
    doc_section(label = "Ranking Functions"),
    description = "Aggregate: vectors as the rows of a matrix, each brought to length 1, for rank_content. Rows that are not given stay 0, and so do NULL vectors and those of length 0; NULL when no row is given.",
    syntax_example = "dense_rows(row, vector, row_count)",
    sql_example = "```sql\nSELECT dense_rows(item_index, embed('encoder', text), 3883) FROM catalog;\n```",
    argument(
        name = "row",
        description = "BIGINT, from 0 to row_count - 1, each at most once."
    ),
    argument(
        name = "vector",
        description = "FLOAT[] of finite numbers, of one length in all rows."
    ),
    argument(name = "row_count", description = "BIGINT, the same in all rows."),
    related_udf(name = "rank_content"),
    related_udf(name = "sparse_rows")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct DenseRows {
    signature: Signature,
}

impl DenseRows {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

/// `width`, then `numbers`: a row_count × width matrix, row by row.
pub(super) fn dense_type() -> DataType {
    DataType::Struct(dense_fields())
}

fn dense_fields() -> Fields {
    Fields::from(vec![
        Field::new("width", DataType::Int32, true),
        Field::new("numbers", list_of(DataType::Float32), true),
    ])
}

/// A result of `dense_rows`, as it lies in its column.
pub(super) struct Dense<'a> {
    /// A row each, of length 1 or 0.
    pub(super) rows: MatRef<'a, f32>,
    /// Whether the row has a vector.
    pub(super) known: Vec<bool>,
}

impl<'a> Dense<'a> {
    /// Reads the one result in `matrix`.
    ///
    /// # Errors
    /// Fails when the lengths do not fit together.
    pub(super) fn of(function: &str, matrix: &'a StructArray) -> Result<Self> {
        let width = matrix.column(0).as_primitive::<Int32Type>().value(0).max(1) as usize;
        let numbers = field::<Float32Type>(matrix, "numbers")?;
        if numbers.len() % width != 0 {
            return exec_err!("{function}: this is no result of {NAME}: lengths do not fit");
        }
        Ok(Self {
            rows: MatRef::from_row_major_slice(numbers, numbers.len() / width, width),
            known: numbers
                .chunks(width)
                .map(|row| row.iter().any(|number| *number != 0.0))
                .collect(),
        })
    }
}

impl AggregateUDFImpl for DenseRows {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        coerce(
            NAME,
            &[DataType::Int64, list_of(DataType::Float32), DataType::Int64],
            given,
        )
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(dense_type())
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Vectors::default()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let fields = [
            ("rows", list_of(DataType::Int64)),
            ("numbers", list_of(DataType::Float32)),
            ("row_count", DataType::Int64),
        ];
        Ok(state_fields(&args, fields))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

#[derive(Debug, Default)]
struct Vectors {
    rows: Vec<i64>,
    /// The vectors of `rows`, one after the other.
    numbers: Vec<f32>,
    row_count: Option<i64>,
}

impl Vectors {
    fn width(&self) -> usize {
        self.numbers.len().checked_div(self.rows.len()).unwrap_or(0)
    }

    fn agree(&mut self, row_count: i64) -> Result<()> {
        let first = *self.row_count.get_or_insert(row_count);
        if first != row_count {
            return exec_err!(
                "{NAME}: row_count is {first} in one row and {row_count} in another; give the \
                 same in all rows"
            );
        }
        Ok(())
    }

    fn add(&mut self, row: i64, vector: &[f32]) -> Result<()> {
        if !self.rows.is_empty() && vector.len() != self.width() {
            return exec_err!(
                "{NAME}: a vector has {} numbers and another {}; vectors of one encoder have \
                 equally many",
                self.width(),
                vector.len()
            );
        }
        self.rows.push(row);
        self.numbers.extend(vector);
        Ok(())
    }
}

impl Accumulator for Vectors {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let rows = columns[0].as_primitive::<Int64Type>();
        let vectors = Lists::<Float32Type>::try_new(NAME, &columns[1])?;
        let counts = columns[2].as_primitive::<Int64Type>();
        for i in 0..rows.len() {
            if rows.is_null(i) {
                continue;
            }
            if counts.is_null(i) {
                return exec_err!("{NAME}: row_count cannot be NULL");
            }
            self.agree(counts.value(i))?;
            let (row, vector) = (rows.value(i), vectors.row(i));
            if !(0..counts.value(i)).contains(&row) {
                return exec_err!(
                    "{NAME}: row {row} is not among {} rows counted from 0",
                    counts.value(i)
                );
            }
            if columns[1].is_null(i) {
                continue;
            }
            if let Some(number) = vector.iter().find(|number| !number.is_finite()) {
                return exec_err!("{NAME}: the vector of row {row} holds {number}");
            }
            self.add(row, vector)?;
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = Lists::<Int64Type>::try_new(NAME, &states[0])?;
        let numbers = Lists::<Float32Type>::try_new(NAME, &states[1])?;
        let counts = states[2].as_primitive::<Int64Type>();
        for state in (0..counts.len()).filter(|state| counts.is_valid(*state)) {
            self.agree(counts.value(state))?;
            let (rows, numbers) = (rows.row(state), numbers.row(state));
            let width = numbers.len().checked_div(rows.len()).unwrap_or(0);
            for (place, row) in rows.iter().enumerate() {
                self.add(*row, &numbers[place * width..][..width])?;
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let list = |column| SingleRowListArrayBuilder::new(column).build_list_scalar();
        check_size(self.numbers.len())?;
        let rows = Int64Array::from(std::mem::take(&mut self.rows));
        let numbers = Float32Array::from(std::mem::take(&mut self.numbers));
        Ok(vec![
            list(Arc::new(rows)),
            list(Arc::new(numbers)),
            ScalarValue::Int64(self.row_count),
        ])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let Some(row_count) = self.row_count else {
            return ScalarValue::try_new_null(&dense_type());
        };
        let row_count = size(NAME, "row_count", row_count)?;
        let width = self.width();
        check_size(row_count.saturating_mul(width))?;
        let mut matrix = vec![0.0; row_count * width];
        let mut given = vec![false; row_count];
        for (place, row) in self.rows.iter().enumerate() {
            let row = *row as usize;
            if std::mem::replace(&mut given[row], true) {
                return exec_err!("{NAME}: row {row} is given twice");
            }
            let vector = &self.numbers[place * width..][..width];
            normalise(vector, &mut matrix[row * width..][..width]);
        }
        let numbers = SingleRowListArrayBuilder::new(Arc::new(Float32Array::from(matrix)));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(vec![width as i32])),
            Arc::new(numbers.build_list_array()),
        ];
        let row = StructArray::try_new(dense_fields(), columns, None)?;
        Ok(ScalarValue::Struct(Arc::new(row)))
    }

    fn size(&self) -> usize {
        size_of_val(self)
            + self.rows.capacity() * size_of::<i64>()
            + self.numbers.capacity() * size_of::<f32>()
    }
}

/// Writes `vector` at length 1 to `unit`, which stays as it is when there is no direction.
fn normalise(vector: &[f32], unit: &mut [f32]) {
    let squares = vector.iter().map(|number| f64::from(*number).powi(2));
    let length = squares.sum::<f64>().sqrt();
    if length > 0.0 {
        for (to, number) in unit.iter_mut().zip(vector) {
            *to = (f64::from(*number) / length) as f32;
        }
    }
}

fn check_size(numbers: usize) -> Result<()> {
    if i32::try_from(numbers).is_err() {
        return exec_err!(
            "{NAME}: the vectors have {numbers} numbers together, and one matrix holds 2^31 at \
             most: use an encoder of fewer dimensions, or fewer items"
        );
    }
    Ok(())
}

/// The matrix that `dense_rows` makes of these vectors, for the tests of its readers.
#[cfg(test)]
pub(super) fn matrix_of(vectors: &[(i64, &[f32])], row_count: usize) -> StructArray {
    let scalar = tests::collected(vectors, row_count).evaluate().unwrap();
    scalar.to_array().unwrap().as_struct().clone()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::ListArray;

    use super::*;

    /// What one accumulator holds after these vectors.
    pub(super) fn collected(vectors: &[(i64, &[f32])], row_count: usize) -> Vectors {
        let mut collected = Vectors::default();
        collected
            .update_batch(&columns(vectors, row_count))
            .unwrap();
        collected
    }

    fn columns(vectors: &[(i64, &[f32])], row_count: usize) -> [ArrayRef; 3] {
        let lists = vectors
            .iter()
            .map(|(_, vector)| Some(vector.iter().copied().map(Some)));
        [
            Arc::new(Int64Array::from_iter_values(vectors.iter().map(|v| v.0))),
            Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(lists)),
            Arc::new(Int64Array::from(vec![row_count as i64; vectors.len()])),
        ]
    }

    fn refusal(vectors: &[(i64, &[f32])], row_count: usize) -> String {
        let mut collected = Vectors::default();
        let updated = collected.update_batch(&columns(vectors, row_count));
        let error = updated.and_then(|()| collected.evaluate()).unwrap_err();
        error.to_string()
    }

    #[test]
    fn rows_have_length_one_or_none() {
        let matrix = matrix_of(&[(2, &[3.0, 4.0]), (0, &[0.0, 0.0])], 4);
        let dense = Dense::of("a test", &matrix).unwrap();
        assert_eq!((dense.rows.nrows(), dense.rows.ncols()), (4, 2));
        assert_eq!([dense.rows[(2, 0)], dense.rows[(2, 1)]], [0.6, 0.8]);
        assert_eq!(dense.known, [false, false, true, false]);
    }

    #[test]
    fn partial_states_merge_into_what_one_would_hold() {
        let vectors: [(i64, &[f32]); 3] = [(1, &[1.0, 2.0]), (0, &[3.0, 0.5]), (2, &[0.1, 0.2])];
        let mut merged = Vectors::default();
        for part in [&vectors[2..], &vectors[..0], &vectors[..2]] {
            let state = collected(part, 3).state().unwrap();
            let state: Vec<_> = state.iter().map(|v| v.to_array().unwrap()).collect();
            merged.merge_batch(&state).unwrap();
        }
        let whole = collected(&vectors, 3).evaluate().unwrap();
        assert_eq!(merged.evaluate().unwrap(), whole);
    }

    #[test]
    fn what_fits_no_matrix_is_refused() {
        for (vectors, what) in [
            (&[(0, &[1.0][..]), (1, &[1.0, 2.0])][..], "equally many"),
            (&[(1, &[1.0][..]), (1, &[2.0])], "given twice"),
            (&[(2, &[1.0][..])], "not among 2 rows"),
            (&[(0, &[f32::NAN][..])], "holds NaN"),
        ] {
            let message = refusal(vectors, 2);
            assert!(message.contains(what), "{message}");
        }
    }
}
