//! `latin1`: text as ISO-8859-1 bytes.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, BinaryBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::columns::{coerce, columns};

#[user_doc(
    doc_section(label = "Text Functions"),
    description = "A text as ISO-8859-1 bytes, one a character; a character that the encoding lacks becomes '?'. NULL for NULL.",
    syntax_example = "latin1(text)",
    sql_example = "```sql\n> SELECT latin1('Café');\n436166e9\n```",
    argument(name = "text", description = "Text.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Latin1 {
    signature: Signature,
}

impl Latin1 {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for Latin1 {
    fn name(&self) -> &str {
        "latin1"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        coerce(self.name(), &[DataType::Utf8View], given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = columns(&args)?;
        let mut encoded = BinaryBuilder::new();
        let mut bytes = Vec::new();
        for text in columns[0].as_string_view() {
            bytes.clear();
            bytes.extend(text.unwrap_or_default().chars().map(latin1));
            encoded.append_option(text.map(|_| &bytes));
        }
        Ok(ColumnarValue::Array(Arc::new(encoded.finish())))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn latin1(c: char) -> u8 {
    u8::try_from(c).unwrap_or(b'?')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_a_character() {
        assert_eq!(
            "Café 東".chars().map(latin1).collect::<Vec<_>>(),
            b"Caf\xe9 ?"
        );
    }
}
