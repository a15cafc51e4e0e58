//! `letter`: the name of an option.

use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::columns::{Rows, coerce, columns};

#[user_doc(
    doc_section(label = "Probability Functions"),
    description = "The letter that names an option: 1 is A, 26 is Z. An error outside 1 to 26; NULL for NULL.",
    syntax_example = "letter(index)",
    sql_example = "```sql\n> SELECT letter(3);\nC\n```",
    argument(name = "index", description = "BIGINT, 1-based."),
    related_udf(name = "letter_index")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Letter {
    signature: Signature,
}

impl Letter {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for Letter {
    fn name(&self) -> &str {
        "letter"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        coerce(self.name(), &[DataType::Int64], given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = columns(&args)?;
        let indexes = columns[0].as_primitive::<Int64Type>();
        let letters = Rows::new(&columns).text(|row, out| {
            out.push(letter(indexes.value(row))?);
            Ok(())
        })?;
        Ok(ColumnarValue::Array(Arc::new(letters)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn letter(index: i64) -> Result<char> {
    match u8::try_from(index) {
        Ok(index @ 1..=26) => Ok(char::from(b'A' + index - 1)),
        _ => exec_err!(
            "letter: option {index} has no letter; a scenario has at most 26 options, numbered from 1"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_first_and_the_last() {
        assert_eq!(letter(1).unwrap(), 'A');
        assert_eq!(letter(26).unwrap(), 'Z');
    }

    #[test]
    fn says_the_limit() {
        for index in [0, 27, -1, 257] {
            let error = letter(index).unwrap_err().to_string();
            assert!(error.contains("at most 26"), "{error}");
        }
    }
}
