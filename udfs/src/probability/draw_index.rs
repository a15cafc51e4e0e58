//! `draw_index`: a keyed draw from a distribution.

use std::sync::Arc;

use datafusion::arrow::array::Int64Array;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::check_distribution;
use crate::columns::{Lists, Rows, columns, list_of};
use crate::sampling::keys::{RowKeys, keyed_types, unit_interval};

#[user_doc(
    doc_section(label = "Probability Functions"),
    description = "Draws an index from a distribution, decided by the seed and the key alone: the first index at which the cumulative probability exceeds a keyed uniform draw. NULL when any argument is NULL.",
    syntax_example = "draw_index(probs, seed, key[, ..., key_n])",
    sql_example = "```sql\nSELECT letter(draw_index(probs, 42, scenario_id, draw)) FROM scores;\n```",
    argument(name = "probs", description = "DOUBLE[]; renormalised to sum to 1."),
    argument(name = "seed", description = "BIGINT."),
    argument(name = "key", description = "Integer or text; any number of them.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct DrawIndex {
    signature: Signature,
}

impl DrawIndex {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for DrawIndex {
    fn name(&self) -> &str {
        "draw_index"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        keyed_types(
            self.name(),
            &[list_of(DataType::Float64), DataType::Int64],
            given,
        )
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = columns(&args)?;
        let probs = Lists::<Float64Type>::try_new(self.name(), &columns[0])?;
        let mut keys = RowKeys::new(&columns[1], &columns[2..]);
        let indexes: Int64Array = Rows::new(&columns)
            .values(|row| draw_index(probs.row(row), unit_interval(keys.hash(row))))
            .collect::<Result<_>>()?;
        Ok(ColumnarValue::Array(Arc::new(indexes)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// Inverts the cumulative distribution at `uniform` in [0, 1); 1-based.
fn draw_index(probs: &[f64], uniform: f64) -> Result<i64> {
    check_distribution("draw_index", probs)?;
    let Some(last) = probs.iter().rposition(|p| *p > 0.0) else {
        return exec_err!("draw_index: nothing can be drawn, every probability is 0");
    };
    let mut left = uniform * probs.iter().sum::<f64>();
    for (index, p) in probs[..last].iter().enumerate() {
        if left < *p {
            return Ok(index as i64 + 1);
        }
        left -= p;
    }
    // Rounding may leave a crumb past the last possible index.
    Ok(last as i64 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::keys::Draws;

    #[test]
    fn inverts_the_cumulative_distribution() {
        let probs = [0.25, 0.0, 0.5, 0.25, 0.0];
        for (uniform, index) in [(0.0, 1), (0.2499, 1), (0.25, 3), (0.7499, 3), (0.75, 4)] {
            assert_eq!(draw_index(&probs, uniform).unwrap(), index);
        }
        assert_eq!(draw_index(&probs, 1.0 - f64::EPSILON / 2.0).unwrap(), 4);
    }

    #[test]
    fn frequencies_follow_the_weights() {
        let mut draws = Draws::new(1);
        let mut counts = [0; 3];
        for _ in 0..10_000 {
            let uniform = unit_interval(draws.bits());
            counts[draw_index(&[1.0, 2.0, 7.0], uniform).unwrap() as usize - 1] += 1;
        }
        // Four standard deviations are below 200.
        for (count, expected) in counts.into_iter().zip([1_000_i32, 2_000, 7_000]) {
            assert!((count - expected).abs() < 200, "{counts:?}");
        }
    }

    #[test]
    fn refuses_what_cannot_be_drawn_from() {
        assert!(draw_index(&[0.0, 0.0], 0.5).is_err());
        assert!(draw_index(&[], 0.5).is_err());
        assert!(draw_index(&[f64::NAN], 0.5).is_err());
    }
}
