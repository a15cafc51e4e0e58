//! `letter_index`: the option that a letter names.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, Int64Array};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::columns::{coerce, columns};

#[user_doc(
    doc_section(label = "Probability Functions"),
    description = "The 1-based option that a letter names: A is 1, Z is 26. NULL for anything but a single capital letter from A to Z.",
    syntax_example = "letter_index(letter)",
    sql_example = "```sql\n> SELECT letter_index('C');\n3\n```",
    argument(name = "letter", description = "Text."),
    related_udf(name = "letter")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct LetterIndex {
    signature: Signature,
}

impl LetterIndex {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for LetterIndex {
    fn name(&self) -> &str {
        "letter_index"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        coerce(self.name(), &[DataType::Utf8View], given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = columns(&args)?;
        let letters = columns[0].as_string_view();
        let indexes: Int64Array = letters
            .iter()
            .map(|letter| letter.and_then(letter_index))
            .collect();
        Ok(ColumnarValue::Array(Arc::new(indexes)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn letter_index(letter: &str) -> Option<i64> {
    match letter.as_bytes() {
        [byte @ b'A'..=b'Z'] => Some(i64::from(byte - b'A') + 1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_single_capital_names_an_option() {
        assert_eq!(letter_index("A"), Some(1));
        assert_eq!(letter_index("Z"), Some(26));
        for other in ["", "a", "AB", " A", "Ä", "1", "["] {
            assert_eq!(letter_index(other), None, "{other}");
        }
    }
}
