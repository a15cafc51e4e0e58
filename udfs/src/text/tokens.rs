//! `tokens`: the words of a text.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, ListBuilder, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::columns::{coerce, columns, list_of};

#[user_doc(
    doc_section(label = "Text Functions"),
    description = "The words of a text in order, in lower case: runs of letters and digits of any script. NULL for NULL.",
    syntax_example = "tokens(text)",
    sql_example = "```sql\n> SELECT tokens('Café No. 9, Comedy');\n[café, no, 9, comedy]\n```",
    argument(name = "text", description = "Text.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Tokens {
    signature: Signature,
}

impl Tokens {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for Tokens {
    fn name(&self) -> &str {
        "tokens"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        coerce(self.name(), &[DataType::Utf8View], given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(list_of(DataType::Utf8))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = columns(&args)?;
        let mut lists = ListBuilder::new(StringBuilder::new());
        for text in columns[0].as_string_view() {
            if let Some(text) = text {
                let text = text.to_lowercase();
                tokens(&text).for_each(|token| lists.values().append_value(token));
            }
            lists.append(text.is_some());
        }
        Ok(ColumnarValue::Array(Arc::new(lists.finish())))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_letters_and_digits() {
        let words: Vec<&str> = tokens("it's 9½ café-bars, 東京!").collect();
        assert_eq!(words, ["it", "s", "9½", "café", "bars", "東京"]);
        assert_eq!(tokens(" -- ").count(), 0);
    }
}
