//! `mean_probs`: the mean of distributions.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array};
use datafusion::arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, FieldRef, Float64Type, Int64Type,
};
use datafusion::common::{ScalarValue, exec_err, utils::SingleRowListArrayBuilder};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Documentation, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::check_distribution;
use crate::columns::{Lists, coerce, list_of, state_fields};

/// Sums are kept in units of 2^-96. Integers add up to the same total in any
/// order, so neither partitions nor batches change the last bit of a mean.
const UNITS: f64 = (1_u128 << 96) as f64;

const UNITS_TYPE: DataType = DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0);

#[user_doc(
    doc_section(label = "Probability Functions"),
    description = "Aggregate: the element-wise mean of distributions of one length, each renormalised to sum to 1; the same to the last bit whatever the order of the rows. NULL rows do not count; NULL when there are no others.",
    syntax_example = "mean_probs(probs)",
    sql_example = "```sql\nSELECT scenario_id, entropy(mean_probs(probs)) AS total_uncertainty\nFROM scores GROUP BY scenario_id;\n```",
    argument(name = "probs", description = "DOUBLE[] of one length in all rows.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct MeanProbs {
    signature: Signature,
}

impl MeanProbs {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl AggregateUDFImpl for MeanProbs {
    fn name(&self) -> &str {
        "mean_probs"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        coerce(self.name(), &[list_of(DataType::Float64)], given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(list_of(DataType::Float64))
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Mean::default()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let fields = [("count", DataType::Int64), ("sums", list_of(UNITS_TYPE))];
        Ok(state_fields(&args, fields))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

#[derive(Debug, Default)]
struct Mean {
    count: i64,
    sums: Vec<i128>,
}

impl Mean {
    fn add(&mut self, count: i64, sums: impl ExactSizeIterator<Item = i128>) -> Result<()> {
        if self.count == 0 {
            self.sums = vec![0; sums.len()];
        }
        if sums.len() != self.sums.len() {
            return exec_err!(
                "mean_probs: distributions over {} and {} choices have no mean; \
                 group by the number of choices too",
                self.sums.len(),
                sums.len()
            );
        }
        self.count += count;
        for (sum, more) in self.sums.iter_mut().zip(sums) {
            *sum += more;
        }
        Ok(())
    }
}

impl Accumulator for Mean {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let lists = Lists::<Float64Type>::try_new("mean_probs", &columns[0])?;
        for row in (0..columns[0].len()).filter(|row| columns[0].is_valid(*row)) {
            let probs = lists.row(row);
            check_distribution("mean_probs", probs)?;
            let total: f64 = probs.iter().sum();
            if total == 0.0 {
                return exec_err!("mean_probs: every probability is 0");
            }
            self.add(1, probs.iter().map(|p| (p / total * UNITS) as i128))?;
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let counts = states[0].as_primitive::<Int64Type>();
        let sums = Lists::<Decimal128Type>::try_new("mean_probs", &states[1])?;
        for row in (0..counts.len()).filter(|row| counts.value(*row) > 0) {
            self.add(counts.value(row), sums.row(row).iter().copied())?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let sums = Decimal128Array::from(std::mem::take(&mut self.sums)).with_data_type(UNITS_TYPE);
        Ok(vec![
            ScalarValue::Int64(Some(self.count)),
            SingleRowListArrayBuilder::new(Arc::new(sums)).build_list_scalar(),
        ])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.count == 0 {
            return ScalarValue::try_new_null(&list_of(DataType::Float64));
        }
        let mean = |sum: &i128| *sum as f64 / UNITS / self.count as f64;
        let means: Float64Array = self.sums.iter().map(mean).map(Some).collect();
        Ok(SingleRowListArrayBuilder::new(Arc::new(means)).build_list_scalar())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.sums.capacity() * size_of::<i128>()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::ListArray;

    use super::*;

    fn column(rows: &[&[f64]]) -> ArrayRef {
        let rows = rows.iter().map(|row| Some(row.iter().copied().map(Some)));
        Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(rows))
    }

    fn mean_of(rows: &[&[f64]]) -> Result<Vec<f64>> {
        let mut mean = Mean::default();
        mean.update_batch(&[column(rows)])?;
        values(mean.evaluate()?)
    }

    fn values(list: ScalarValue) -> Result<Vec<f64>> {
        let column = list.to_array()?;
        Ok(Lists::<Float64Type>::try_new("test", &column)?
            .row(0)
            .to_vec())
    }

    #[test]
    fn averages_each_element() {
        assert_eq!(
            mean_of(&[&[0.25, 0.75], &[0.75, 0.25]]).unwrap(),
            [0.5, 0.5]
        );
        assert_eq!(mean_of(&[&[0.1, 0.9]]).unwrap(), [0.1, 0.9]);
    }

    #[test]
    fn each_distribution_weighs_the_same() {
        assert_eq!(mean_of(&[&[1.0, 3.0], &[0.75, 0.25]]).unwrap(), [0.5, 0.5]);
        assert!(mean_of(&[&[0.0, 0.0]]).is_err());
    }

    #[test]
    fn no_rows_have_no_mean() {
        assert!(Mean::default().evaluate().unwrap().is_null());
    }

    #[test]
    fn order_does_not_change_a_bit() {
        let rows: Vec<[f64; 2]> = (1..50)
            .map(|i| [1.0 / f64::from(i), 0.3 / f64::from(i)])
            .collect();
        let forward: Vec<&[f64]> = rows.iter().map(|row| &row[..]).collect();
        let backward: Vec<&[f64]> = forward.iter().rev().copied().collect();
        assert_eq!(mean_of(&forward).unwrap(), mean_of(&backward).unwrap());
    }

    #[test]
    fn partial_sums_merge() {
        let mut whole = Mean::default();
        for rows in [&[&[0.1, 0.9][..], &[0.2, 0.8]][..], &[], &[&[0.6, 0.4]]] {
            let mut part = Mean::default();
            part.update_batch(&[column(rows)]).unwrap();
            let state = part.state().unwrap();
            let state: Vec<ArrayRef> = state.iter().map(|s| s.to_array().unwrap()).collect();
            whole.merge_batch(&state).unwrap();
        }
        let merged = values(whole.evaluate().unwrap()).unwrap();
        assert_eq!(
            merged,
            mean_of(&[&[0.1, 0.9], &[0.2, 0.8], &[0.6, 0.4]]).unwrap()
        );
    }

    #[test]
    fn lengths_must_agree() {
        let error = mean_of(&[&[1.0], &[0.5, 0.5]]).unwrap_err().to_string();
        assert!(error.contains("over 1 and 2 choices"), "{error}");
    }
}
