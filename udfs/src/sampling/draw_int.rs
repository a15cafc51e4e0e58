//! `draw_int`: a keyed draw from a range of integers.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, Int64Array};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::keys::{RowKeys, keyed_types, scale};
use crate::columns::{Rows, columns};

#[user_doc(
    doc_section(label = "Sampling Functions"),
    description = "Draws an integer between two bounds, both possible and all equally likely, decided by the seed and the key alone. NULL when any argument is NULL.",
    syntax_example = "draw_int(lo, hi, seed, key[, ..., key_n])",
    sql_example = "```sql\nSELECT draw_int(2, 10, 42, 'history length', scenario_id) FROM scenarios;\n```",
    argument(name = "lo", description = "BIGINT, the smallest draw."),
    argument(
        name = "hi",
        description = "BIGINT, the largest draw; an error when below lo."
    ),
    argument(name = "seed", description = "BIGINT."),
    argument(name = "key", description = "Integer or text; any number of them.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct DrawInt {
    signature: Signature,
}

impl DrawInt {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for DrawInt {
    fn name(&self) -> &str {
        "draw_int"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        keyed_types(self.name(), &[const { DataType::Int64 }; 3], given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = columns(&args)?;
        let lows = columns[0].as_primitive::<Int64Type>();
        let highs = columns[1].as_primitive::<Int64Type>();
        let mut keys = RowKeys::new(&columns[2], &columns[3..]);
        let draws: Int64Array = Rows::new(&columns)
            .values(|row| draw_int(lows.value(row), highs.value(row), keys.hash(row)))
            .collect::<Result<_>>()?;
        Ok(ColumnarValue::Array(Arc::new(draws)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn draw_int(lo: i64, hi: i64, hash: u64) -> Result<i64> {
    if hi < lo {
        return exec_err!(
            "draw_int: no integer lies between {lo} and {hi}; give the smaller bound first"
        );
    }
    let count = u128::from(hi.abs_diff(lo)) + 1;
    Ok(lo.wrapping_add_unsigned(scale(hash, count)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reaches_both_bounds() {
        assert_eq!(draw_int(3, 5, 0).unwrap(), 3);
        assert_eq!(draw_int(3, 5, u64::MAX).unwrap(), 5);
        assert_eq!(draw_int(7, 7, 123).unwrap(), 7);
    }

    #[test]
    fn spans_every_integer() {
        assert_eq!(draw_int(i64::MIN, i64::MAX, 0).unwrap(), i64::MIN);
        assert_eq!(draw_int(i64::MIN, i64::MAX, u64::MAX).unwrap(), i64::MAX);
    }

    #[test]
    fn refuses_an_empty_range() {
        let error = draw_int(2, 1, 0).unwrap_err().to_string();
        assert!(error.contains("between 2 and 1"), "{error}");
    }
}
