//! `first_words`: the beginning of a long text, on one line.

use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::one_line::is_break;
use crate::columns::{Rows, coerce, columns};

#[user_doc(
    doc_section(label = "Text Functions"),
    description = "The first words of a text, followed by '…' when there were more. Words are separated by single spaces, whatever separated them before (newlines too), so the result is always one line. NULL when an argument is NULL.",
    syntax_example = "first_words(text, count)",
    sql_example = "```sql\n> SELECT first_words('a quiet river in winter', 3);\na quiet river…\n```",
    argument(name = "text", description = "Text."),
    argument(
        name = "count",
        description = "BIGINT, the most words to keep; not negative."
    ),
    related_udf(name = "one_line")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct FirstWords {
    signature: Signature,
}

impl FirstWords {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for FirstWords {
    fn name(&self) -> &str {
        "first_words"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        coerce(self.name(), &[DataType::Utf8View, DataType::Int64], given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = columns(&args)?;
        let texts = columns[0].as_string_view();
        let counts = columns[1].as_primitive::<Int64Type>();
        let starts = Rows::new(&columns).text(|row, out| {
            let Ok(count) = usize::try_from(counts.value(row)) else {
                return exec_err!("first_words: cannot keep {} words", counts.value(row));
            };
            write_first_words(texts.value(row), count, out);
            Ok(())
        })?;
        Ok(ColumnarValue::Array(Arc::new(starts)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn write_first_words(text: &str, count: usize, out: &mut String) {
    let mut words = text
        .split(|c: char| c.is_whitespace() || is_break(c))
        .filter(|word| !word.is_empty());
    for (position, word) in words.by_ref().take(count).enumerate() {
        if position > 0 {
            out.push(' ');
        }
        out.push_str(word);
    }
    if words.next().is_some() {
        out.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_words(text: &str, count: usize) -> String {
        let mut out = String::new();
        write_first_words(text, count, &mut out);
        out
    }

    #[test]
    fn marks_a_cut() {
        assert_eq!(first_words("one two three", 2), "one two…");
        assert_eq!(first_words("one two three", 3), "one two three");
        assert_eq!(first_words("one", 0), "…");
        assert_eq!(first_words("", 0), "");
    }

    #[test]
    fn stays_on_one_line() {
        assert_eq!(
            first_words(" one\r\n\ttwo\u{2028}three\0four ", 9),
            "one two three four"
        );
    }
}
