//! `uniform`: a keyed draw from [0, 1).

use std::sync::Arc;

use datafusion::arrow::array::Float64Array;
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::keys::{RowKeys, keyed_types, unit_interval};
use crate::columns::{Rows, columns};

#[user_doc(
    doc_section(label = "Sampling Functions"),
    description = "Draws a number from [0, 1), decided by the seed and the key alone. Draws with the same seed and key are the same draw: add a word to the key for another purpose. NULL when any argument is NULL.",
    syntax_example = "uniform(seed, key[, ..., key_n])",
    sql_example = "```sql\nSELECT * FROM interactions WHERE uniform(42, 'sample', user_id) < 0.1;\n```",
    argument(name = "seed", description = "BIGINT."),
    argument(name = "key", description = "Integer or text; any number of them.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Uniform {
    signature: Signature,
}

impl Uniform {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for Uniform {
    fn name(&self) -> &str {
        "uniform"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        keyed_types(self.name(), &[DataType::Int64], given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = columns(&args)?;
        let mut keys = RowKeys::new(&columns[0], &columns[1..]);
        let draws: Float64Array = Rows::new(&columns)
            .values(|row| Ok(unit_interval(keys.hash(row))))
            .collect::<Result<_>>()?;
        Ok(ColumnarValue::Array(Arc::new(draws)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_below_one() {
        assert_eq!(unit_interval(0), 0.0);
        assert!(unit_interval(u64::MAX) < 1.0);
    }
}
