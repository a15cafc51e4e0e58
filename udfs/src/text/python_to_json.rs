//! `python_to_json`: a Python literal as JSON.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::columns::{coerce, columns};

/// How deep values may nest.
const DEEPEST: usize = 128;

#[user_doc(
    doc_section(label = "Text Functions"),
    description = "A Python literal as JSON text: dict, list, tuple (a list), str (with any of the prefixes u and b), int, float, True, False, None; nan and inf, which JSON lacks, become null. Keys that are not text become text. Nothing is ever evaluated: NULL when the text is anything else (a name, a call, an operator, something after the end), when it nests deeper than 128 levels, and for NULL.",
    syntax_example = "python_to_json(text)",
    sql_example = "```sql\n> SELECT python_to_json('{u''name'': u\"it''s\", ''free'': False}');\n{\"name\":\"it's\",\"free\":false}\n```",
    argument(name = "text", description = "Text.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct PythonToJson {
    signature: Signature,
}

impl PythonToJson {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for PythonToJson {
    fn name(&self) -> &str {
        "python_to_json"
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
        let mut builder = StringBuilder::new();
        let mut json = String::new();
        for text in columns[0].as_string_view() {
            json.clear();
            let written = text.and_then(|text| write_json(text, &mut json));
            builder.append_option(written.map(|()| &json));
        }
        Ok(ColumnarValue::Array(Arc::new(builder.finish())))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn write_json(text: &str, out: &mut String) -> Option<()> {
    let mut literal = Literal { rest: text };
    literal.skip_space();
    literal.value(out, 0)?;
    literal.skip_space();
    literal.rest.is_empty().then_some(())
}

/// What is left of a literal. Every method takes what it is named after from the front
/// and writes it as JSON; `None` is no such thing.
struct Literal<'a> {
    rest: &'a str,
}

impl<'a> Literal<'a> {
    fn value(&mut self, out: &mut String, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        match self.rest.chars().next()? {
            '{' => self.dict(out, depth),
            '[' => self.list(out, depth),
            '(' => self.tuple(out, depth),
            '\'' | '"' => self.string(out),
            '+' | '-' | '.' | '0'..='9' => self.number(out),
            _ => self.word(out),
        }
    }

    fn dict(&mut self, out: &mut String, depth: usize) -> Option<()> {
        out.push('{');
        self.items('}', out, |literal, out| {
            literal.key(out)?;
            literal.skip_space();
            literal.eat(':').then_some(())?;
            literal.skip_space();
            out.push(':');
            literal.value(out, depth + 1)
        })?;
        out.push('}');
        Some(())
    }

    /// A key; one that is not text becomes text.
    fn key(&mut self, out: &mut String) -> Option<()> {
        let start = out.len();
        self.value(out, DEEPEST)?;
        match out.as_bytes().get(start)? {
            b'"' => {}
            b'{' | b'[' => return None,
            _ => {
                out.insert(start, '"');
                out.push('"');
            }
        }
        Some(())
    }

    fn list(&mut self, out: &mut String, depth: usize) -> Option<()> {
        out.push('[');
        self.items(']', out, |literal, out| literal.value(out, depth + 1))?;
        out.push(']');
        Some(())
    }

    fn tuple(&mut self, out: &mut String, depth: usize) -> Option<()> {
        let start = out.len();
        out.push('[');
        let (count, comma) = self.items(')', out, |literal, out| literal.value(out, depth + 1))?;
        // Around a single value without a comma the parentheses are only that.
        if count == 1 && !comma {
            out.remove(start);
        } else {
            out.push(']');
        }
        Some(())
    }

    /// An opening bracket, items with commas between, and `close`. Returns how many items
    /// there are, and whether a comma follows the last.
    fn items(
        &mut self,
        close: char,
        out: &mut String,
        mut item: impl FnMut(&mut Self, &mut String) -> Option<()>,
    ) -> Option<(usize, bool)> {
        self.next()?;
        let (mut count, mut comma) = (0, false);
        loop {
            self.skip_space();
            if self.eat(close) {
                return Some((count, comma));
            }
            if count > 0 {
                comma.then(|| out.push(','))?;
            }
            item(self, out)?;
            count += 1;
            self.skip_space();
            comma = self.eat(',');
        }
    }

    /// A word: a constant, or the prefix of a string.
    fn word(&mut self, out: &mut String) -> Option<()> {
        let is_end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
        let word = self.take_until(is_end);
        match word {
            "True" => out.push_str("true"),
            "False" => out.push_str("false"),
            "None" | "nan" | "inf" => out.push_str("null"),
            "u" | "U" | "b" | "B" if self.rest.starts_with(['\'', '"']) => self.string(out)?,
            _ => return None,
        }
        Some(())
    }

    fn number(&mut self, out: &mut String) -> Option<()> {
        let is_negative = self.eat('-');
        if !is_negative {
            self.eat('+');
        }
        if self.rest.starts_with(['n', 'i']) {
            return self.word(out);
        }
        let is_end = |c: char| !c.is_ascii_digit();
        let whole = self.take_until(is_end);
        let fraction = self.eat('.').then(|| self.take_until(is_end));
        if whole.is_empty() && fraction.is_none_or(str::is_empty) {
            return None;
        }
        let exponent = self.exponent()?;
        if fraction.is_none() && exponent.is_empty() {
            // 007 is an octal number or an error, by the version of Python; 7L is 7.
            (whole.len() == 1 || !whole.starts_with('0')).then_some(())?;
            self.eat('L');
        }
        let or_zero = |digits: &'a str| if digits.is_empty() { "0" } else { digits };
        let sign = if is_negative { "-" } else { "" };
        write!(out, "{sign}{}", or_zero(whole.trim_start_matches('0'))).ok()?;
        if let Some(fraction) = fraction {
            write!(out, ".{}", or_zero(fraction)).ok()?;
        }
        out.push_str(exponent);
        Some(())
    }

    /// `e-5`, or nothing.
    fn exponent(&mut self) -> Option<&'a str> {
        let start = self.rest;
        if !self.eat('e') && !self.eat('E') {
            return Some("");
        }
        if !self.eat('-') {
            self.eat('+');
        }
        let digits = self.take_until(|c| !c.is_ascii_digit());
        (!digits.is_empty()).then(|| &start[..start.len() - self.rest.len()])
    }

    fn string(&mut self, out: &mut String) -> Option<()> {
        let quote = self.next()?;
        out.push('"');
        loop {
            match self.next()? {
                c if c == quote => break,
                '\\' => self.escape(out)?,
                '\n' | '\r' => return None,
                c => push_json(c, out),
            }
        }
        out.push('"');
        Some(())
    }

    /// What follows a backslash.
    fn escape(&mut self, out: &mut String) -> Option<()> {
        let c = match self.next()? {
            '\n' => return Some(()),
            '\r' => {
                self.eat('\n');
                return Some(());
            }
            c @ ('\\' | '\'' | '"') => c,
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'v' => '\x0b',
            'x' => char::from_u32(self.hex(2)?)?,
            'u' => {
                let unit = self.hex(4)?;
                self.utf16(unit)
            }
            'U' => match self.hex(8)? {
                code if code > u32::from(char::MAX) => return None,
                code => char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
            },
            // A character by its name: not worth a table of all names.
            'N' => return None,
            digit @ '0'..='7' => self.octal(digit)?,
            other => {
                push_json('\\', out);
                other
            }
        };
        push_json(c, out);
        Some(())
    }

    /// The character of `unit` and, when it is half of a pair, of the `\u` after it.
    fn utf16(&mut self, unit: u32) -> char {
        if let Some(c) = char::from_u32(unit) {
            return c;
        }
        let mut after = Literal { rest: self.rest };
        let second = match after.eat('\\') && after.eat('u') {
            true => after.hex(4),
            false => None,
        };
        if let Some(low @ 0xDC00..=0xDFFF) = second
            && unit < 0xDC00
            && let Some(c) = char::from_u32(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00))
        {
            self.rest = after.rest;
            return c;
        }
        char::REPLACEMENT_CHARACTER
    }

    fn hex(&mut self, digits: usize) -> Option<u32> {
        let mut code = 0;
        for _ in 0..digits {
            code = code * 16 + self.next()?.to_digit(16)?;
        }
        Some(code)
    }

    /// Up to three octal digits, of which `first` is taken.
    fn octal(&mut self, first: char) -> Option<char> {
        let mut code = first.to_digit(8)?;
        for _ in 0..2 {
            let Some(digit) = self.rest.chars().next().and_then(|c| c.to_digit(8)) else {
                break;
            };
            self.next();
            code = code * 8 + digit;
        }
        char::from_u32(code)
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn eat(&mut self, wanted: char) -> bool {
        let after = self.rest.strip_prefix(wanted);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next();
        self.rest = chars.as_str();
        c
    }

    fn take_until(&mut self, is_end: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

/// Writes a character of a JSON string.
fn push_json(c: char, out: &mut String) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        // A surrogate-free escape always fits; writing to a String cannot fail.
        c if c < ' ' => _ = write!(out, "\\u{:04x}", u32::from(c)),
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json(text: &str) -> Option<String> {
        let mut out = String::new();
        write_json(text, &mut out).map(|()| out)
    }

    #[test]
    fn literals_become_json() {
        for (python, expected) in [
            (
                r#"{u'publisher': u'Kotoshiro', u'genres': [u'Action'], u'early_access': False, u"x": u"it's"}"#,
                r#"{"publisher":"Kotoshiro","genres":["Action"],"early_access":false,"x":"it's"}"#,
            ),
            ("{}", "{}"),
            ("[]", "[]"),
            ("()", "[]"),
            ("(1)", "1"),
            ("(1,)", "[1]"),
            (" [1, 2.5 ,-3 , ] ", "[1,2.5,-3]"),
            (
                "{1: 'a', None: 2, True: 3}",
                r#"{"1":"a","null":2,"true":3}"#,
            ),
            (
                "[True, False, None, nan, -inf]",
                "[true,false,null,null,null]",
            ),
            (
                "[.5, 1., 1e5, 1.5E-7, 12L, 0.50, -0]",
                "[0.5,1.0,1e5,1.5E-7,12,0.50,-0]",
            ),
            (r#"'say "hi" \'there\' \\'"#, r#""say \"hi\" 'there' \\""#),
            (
                r"'\t\n\r\x41\u00e9\U0001F600\101\a\q'",
                r#""\t\n\rAé😀A\u0007\\q""#,
            ),
            (
                r"u'\ud83d\ude00 \ud83d! \ude00 \ud83d\u0041'",
                "\"😀 \u{fffd}! \u{fffd} \u{fffd}A\"",
            ),
            ("'a\\\nb'", "\"ab\""),
            ("b'x'", "\"x\""),
            ("'é 日本'", "\"é 日本\""),
        ] {
            assert_eq!(json(python).as_deref(), Some(expected), "{python}");
        }
    }

    #[test]
    fn what_is_no_literal_is_null() {
        for text in [
            "",
            "__import__('os').system('x')",
            "{'a': __import__('os').system('x')}",
            "[x for x in 'a']",
            "open('/etc/passwd')",
            "1 + 1",
            "'a' % 1",
            "'a' 'b'",
            "{'a': 1} extra",
            "{'a': 1",
            "{'a' 1}",
            "{'a'}",
            "{['a']: 1}",
            "{(1, 2): 3}",
            "[1,,2]",
            "[,]",
            "[1 2]",
            "'cut",
            "'cut\\",
            "'line\nbreak'",
            r"'\x4'",
            r"'\u12'",
            r"'\U00110000'",
            r"'\N{DASH}'",
            "007",
            "0x1F",
            "3j",
            "1e",
            ".",
            "-",
            "--1",
            "lambda: 1",
            "true",
            "f'{1}'",
            "\0",
        ] {
            assert_eq!(json(text), None, "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(json(&nested(DEEPEST)).is_some());
        assert!(json(&nested(DEEPEST + 2)).is_none());
        assert!(json(&"[".repeat(1_000_000)).is_none());
        assert!(json(&"{1:".repeat(1_000_000)).is_none());
    }

    proptest! {
        #[test]
        fn what_is_written_is_json(text in r#"[\[\](){}:,'"\\ux0-9a-fNTeruL.é \n-]{0,40}"#) {
            if let Some(json) = json(&text) {
                let read = serde_json::from_str::<serde_json::Value>(&json);
                let beyond_range = json.contains(['e', 'E']);
                prop_assert!(read.is_ok() || beyond_range, "{text} became {json}");
            }
        }
    }
}
