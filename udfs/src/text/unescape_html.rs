//! `unescape_html`: a web page's text without its markup.

use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;
use html_escape::decode_html_entities_to_string;
use memchr::{memchr, memchr2};

use crate::columns::{Rows, coerce, columns};

#[user_doc(
    doc_section(label = "Text Functions"),
    description = "A web page's text without its markup: each tag becomes a space, then each entity its character. What only looks like markup stays as it is. NULL for NULL.",
    syntax_example = "unescape_html(text)",
    sql_example = "```sql\n> SELECT unescape_html('Salt &amp; Pepper<br />&#39;new&#39;');\nSalt & Pepper 'new'\n```",
    argument(name = "text", description = "Text.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct UnescapeHtml {
    signature: Signature,
}

impl UnescapeHtml {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for UnescapeHtml {
    fn name(&self) -> &str {
        "unescape_html"
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
        let mut untagged = String::new();
        let plain = Rows::new(&columns).text(|row, out| {
            untagged.clear();
            write_untagged(texts.value(row), &mut untagged);
            decode_html_entities_to_string(&untagged, out);
            Ok(())
        })?;
        Ok(ColumnarValue::Array(Arc::new(plain)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// Writes `text` with a space in the place of each tag: `<`, a letter, `/` or `!`, and
/// what follows up to `>`, without another `<` between.
fn write_untagged(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(start) = memchr(b'<', rest.as_bytes()) {
        out.push_str(&rest[..start]);
        rest = &rest[start + 1..];
        let is_tag = rest.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!'));
        match memchr2(b'<', b'>', rest.as_bytes()) {
            Some(end) if is_tag && rest.as_bytes()[end] == b'>' => {
                out.push(' ');
                rest = &rest[end + 1..];
            }
            _ => out.push('<'),
        }
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unescape(text: &str) -> String {
        let mut untagged = String::new();
        write_untagged(text, &mut untagged);
        let mut out = String::new();
        decode_html_entities_to_string(&untagged, &mut out);
        out
    }

    #[test]
    fn entities_and_tags_go() {
        for (text, plain) in [
            ("Salt &amp; Pepper", "Salt & Pepper"),
            (
                "it&#39;s &quot;new&quot; &#x2014; yes",
                "it's \"new\" — yes",
            ),
            ("one<br />two<b>three</b>", "one two three "),
            ("<a href=\"x\">link</a><!-- no -->", " link  "),
            ("&lt;b&gt; is a tag", "<b> is a tag"),
            ("&amp;lt;", "&lt;"),
        ] {
            assert_eq!(unescape(text), plain);
        }
    }

    #[test]
    fn what_only_looks_like_markup_stays() {
        for text in [
            "1 < 2 > 0",
            "I <3 you",
            "<",
            "a <b",
            "AT&T",
            "&nope;",
            "&#xffffffff;",
            "<b<",
        ] {
            assert_eq!(unescape(text), text);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in "[<>&#;/!a-z0-9é ]{0,60}|.{0,60}") {
            unescape(&text);
        }
    }
}
