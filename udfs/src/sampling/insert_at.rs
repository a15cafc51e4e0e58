//! `insert_at`: puts one value into a list.

use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{exec_err, utils::take_function_args};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::columns::{Lists, Rows, coerce, columns, list_of};

#[user_doc(
    doc_section(label = "Sampling Functions"),
    description = "Inserts a value into a list so that it stands at the given position; what stood there and after moves one place on. NULL when any argument is NULL.",
    syntax_example = "insert_at(list, position, value)",
    sql_example = "```sql\n> SELECT insert_at([10, 20], 3, 30);\n[10, 20, 30]\n```",
    argument(name = "list", description = "BIGINT[]."),
    argument(
        name = "position",
        description = "BIGINT, 1-based, at most the list's length and one."
    ),
    argument(name = "value", description = "BIGINT.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct InsertAt {
    signature: Signature,
}

impl InsertAt {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for InsertAt {
    fn name(&self) -> &str {
        "insert_at"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        coerce(
            self.name(),
            &[list_of(DataType::Int64), DataType::Int64, DataType::Int64],
            given,
        )
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(list_of(DataType::Int64))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = columns(&args)?;
        let [lists, positions, values] = take_function_args(self.name(), &columns)?;
        let lists = Lists::<Int64Type>::try_new(self.name(), lists)?;
        let positions = positions.as_primitive::<Int64Type>();
        let values = values.as_primitive::<Int64Type>();
        let inserted = Rows::new(&columns).lists::<Int64Type>(|row, out| {
            insert_at(lists.row(row), positions.value(row), values.value(row), out)
        })?;
        Ok(ColumnarValue::Array(Arc::new(inserted)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn insert_at(list: &[i64], position: i64, value: i64, out: &mut Vec<i64>) -> Result<()> {
    let places = 1..=list.len() as i64 + 1;
    if !places.contains(&position) {
        return exec_err!(
            "insert_at: position {position} is outside 1..={} of a list of {}",
            places.end(),
            list.len()
        );
    }
    let (before, after) = list.split_at(position as usize - 1);
    out.extend_from_slice(before);
    out.push(value);
    out.extend_from_slice(after);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inserted(list: &[i64], position: i64) -> Result<Vec<i64>> {
        let mut out = Vec::new();
        insert_at(list, position, 9, &mut out)?;
        Ok(out)
    }

    #[test]
    fn every_position_is_possible() {
        assert_eq!(inserted(&[1, 2], 1).unwrap(), [9, 1, 2]);
        assert_eq!(inserted(&[1, 2], 2).unwrap(), [1, 9, 2]);
        assert_eq!(inserted(&[1, 2], 3).unwrap(), [1, 2, 9]);
        assert_eq!(inserted(&[], 1).unwrap(), [9]);
    }

    #[test]
    fn positions_outside_are_errors() {
        assert!(inserted(&[1, 2], 0).is_err());
        assert!(inserted(&[1, 2], 4).is_err());
    }
}
