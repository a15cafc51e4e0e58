//! `stable_hash`: a number that stands for a key, the same on every machine.

use std::sync::Arc;

use datafusion::arrow::array::UInt64Array;
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::keys::{RowKeys, keyed_types};
use crate::columns::{Rows, columns};

#[user_doc(
    doc_section(label = "Sampling Functions"),
    description = "Hashes a key of one or more columns under a seed, the same on every machine: XXH3-64 over each column's type, length and bytes. Integers hash by value, whatever their width. Order by it for a reproducible shuffle; compare it for a reproducible sample. NULL when any argument is NULL.",
    syntax_example = "stable_hash(seed, key[, ..., key_n])",
    sql_example = "```sql\nSELECT * FROM users ORDER BY stable_hash(42, user_id) LIMIT 100;\n```",
    argument(
        name = "seed",
        description = "BIGINT. Another seed gives an unrelated hash."
    ),
    argument(name = "key", description = "Integer or text; any number of them.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct StableHash {
    signature: Signature,
}

impl StableHash {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for StableHash {
    fn name(&self) -> &str {
        "stable_hash"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        keyed_types(self.name(), &[DataType::Int64], given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = columns(&args)?;
        let mut keys = RowKeys::new(&columns[0], &columns[1..]);
        let hashes: UInt64Array = Rows::new(&columns)
            .values(|row| Ok(keys.hash(row)))
            .collect::<Result<_>>()?;
        Ok(ColumnarValue::Array(Arc::new(hashes)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}
