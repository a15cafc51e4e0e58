//! `json_kind`: what a JSON text is, if it is one.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;
use jiter::{Jiter, Peek};

use crate::columns::{coerce, columns};

#[user_doc(
    doc_section(label = "Text Functions"),
    description = "What a JSON text is: 'object', 'array', 'string', 'number', 'boolean' or 'null'. NULL when it is not well-formed as a whole (cut off, something after its end, nested deeper than 200 levels), and for NULL. The json_get functions stop at the value they look for and do not notice.",
    syntax_example = "json_kind(text)",
    sql_example = "```sql\n> SELECT json_kind('{\"a\": 1}'), json_kind('{\"a\": 1');\nobject NULL\n```",
    argument(name = "text", description = "Text.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct JsonKind {
    signature: Signature,
}

impl JsonKind {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for JsonKind {
    fn name(&self) -> &str {
        "json_kind"
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
        let texts = columns[0].as_string_view().iter();
        let kinds: StringArray = texts.map(|text| text.and_then(kind)).collect();
        Ok(ColumnarValue::Array(Arc::new(kinds)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn kind(text: &str) -> Option<&'static str> {
    let mut json = Jiter::new(text.as_bytes());
    let first = json.peek().ok()?;
    json.known_skip(first).ok()?;
    json.finish().ok()?;
    Some(match first {
        Peek::Object => "object",
        Peek::Array => "array",
        Peek::String => "string",
        Peek::True | Peek::False => "boolean",
        Peek::Null => "null",
        _ => "number",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_formed_texts_have_a_kind() {
        for (text, expected) in [
            (
                r#" {"a": [1, {"b": null}], "c": "\ud83d\ude00"} "#,
                "object",
            ),
            ("{}", "object"),
            ("[1, 2]", "array"),
            (r#""text""#, "string"),
            ("-1.5e3", "number"),
            ("0", "number"),
            ("true", "boolean"),
            ("null", "null"),
        ] {
            assert_eq!(kind(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn malformed_texts_have_none() {
        let deep = "[".repeat(1_000_000);
        for text in [
            "",
            " ",
            "abc",
            r#"{"a": 1"#,
            r#"{"a": "cut"#,
            r#"{"a": 1} x"#,
            r#"{"a": 1}{"b": 2}"#,
            r#"{"a": 1,}"#,
            r#"{'a': 1}"#,
            "[1 2]",
            "01",
            "{\"a\": \"\n\"}",
            "\0",
            deep.as_str(),
        ] {
            assert_eq!(kind(text), None, "{}", &text[..text.len().min(20)]);
        }
    }
}
