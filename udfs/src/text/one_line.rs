//! `one_line`: text that cannot break the lines of a prompt.

use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::columns::{Rows, coerce, columns};

#[user_doc(
    doc_section(label = "Text Functions"),
    description = "Replaces each control character and line break (newline, tab, U+2028, ...) by a space and trims both ends, so that a title written by anyone stays inside its line of a prompt. NULL for NULL.",
    syntax_example = "one_line(text)",
    sql_example = "```sql\n> SELECT one_line(concat('Quiet', chr(10), 'River '));\nQuiet River\n```",
    argument(name = "text", description = "Text.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct OneLine {
    signature: Signature,
}

impl OneLine {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for OneLine {
    fn name(&self) -> &str {
        "one_line"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        coerce(self.name(), &[DataType::Utf8View], given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = columns(&args)?;
        let texts = columns[0].as_string_view();
        let lines = Rows::new(&columns).text(|row, out| {
            write_one_line(texts.value(row), out);
            Ok(())
        })?;
        Ok(ColumnarValue::Array(Arc::new(lines)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// Whether a reader may start a new line, or act, at this character.
pub(super) fn is_break(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn write_one_line(text: &str, out: &mut String) {
    let text = text.trim_matches(|c: char| c.is_whitespace() || is_break(c));
    out.extend(text.chars().map(|c| if is_break(c) { ' ' } else { c }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_line(text: &str) -> String {
        let mut out = String::new();
        write_one_line(text, &mut out);
        out
    }

    #[test]
    fn breaks_become_spaces() {
        assert_eq!(
            one_line("a\nb\tc\rd\u{2028}e\u{2029}f\u{85}g\0h"),
            "a b c d e f g h"
        );
    }

    #[test]
    fn ends_are_trimmed() {
        assert_eq!(one_line(" \n\0 Quiet  River \u{2028}"), "Quiet  River");
        assert_eq!(one_line("\n"), "");
    }
}
