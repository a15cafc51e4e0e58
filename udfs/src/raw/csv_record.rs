//! One CSV record, put together from one or more lines by the rules of RFC 4180.

use memchr::memchr;

/// The fields of a record, unquoted. Reused from record to record.
#[derive(Debug, Default)]
pub struct CsvRecord {
    /// The fields one after another.
    text: String,
    /// Where each field ends in `text`.
    ends: Vec<usize>,
    is_open: bool,
}

impl CsvRecord {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.is_open = false;
    }

    /// Takes the next line of the record, without its line end.
    ///
    /// # Errors
    /// Fails when something other than a comma follows a closing quote.
    pub fn take(&mut self, line: &str) -> Result<(), String> {
        let mut rest = line;
        loop {
            if self.is_open {
                let Some(after) = self.take_quoted(rest) else {
                    return Ok(());
                };
                match after.strip_prefix(',') {
                    Some(next) => rest = next,
                    None if after.is_empty() => return Ok(()),
                    None => return Err("text after a closing quote".to_owned()),
                }
            }
            if let Some(quoted) = rest.strip_prefix('"') {
                self.is_open = true;
                rest = quoted;
                continue;
            }
            let comma = memchr(b',', rest.as_bytes());
            self.text.push_str(&rest[..comma.unwrap_or(rest.len())]);
            self.ends.push(self.text.len());
            match comma {
                Some(at) => rest = &rest[at + 1..],
                None => return Ok(()),
            }
        }
    }

    /// Takes a quoted field's text and returns what follows its closing quote; `None`
    /// when the line ends before.
    fn take_quoted<'a>(&mut self, mut rest: &'a str) -> Option<&'a str> {
        loop {
            let Some(at) = memchr(b'"', rest.as_bytes()) else {
                self.text.push_str(rest);
                return None;
            };
            self.text.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            match rest.strip_prefix('"') {
                Some(after) => {
                    self.text.push('"');
                    rest = after;
                }
                None => {
                    self.ends.push(self.text.len());
                    self.is_open = false;
                    return Some(rest);
                }
            }
        }
    }

    /// Takes the end of a line within quotes.
    pub fn take_line_end(&mut self, ending: &str) {
        self.text.push_str(ending);
    }

    /// Whether a quote is not closed yet.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The field at `place`, from 0; an absent one is empty.
    pub fn field(&self, place: usize) -> &str {
        let start = match place {
            0 => 0,
            _ => self.ends.get(place - 1).copied().unwrap_or_default(),
        };
        let end = self.ends.get(place).copied().unwrap_or(start);
        &self.text[start..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[&str]) -> Result<Vec<String>, String> {
        let mut record = CsvRecord::default();
        for (i, line) in lines.iter().enumerate() {
            if i > 0 {
                record.take_line_end("\n");
            }
            record.take(line)?;
        }
        assert!(!record.is_open());
        Ok((0..record.len())
            .map(|i| record.field(i).to_owned())
            .collect())
    }

    #[test]
    fn fields_are_separated_and_unquoted() {
        for (line, expected) in [
            ("a,b,c", vec!["a", "b", "c"]),
            ("", vec![""]),
            (",", vec!["", ""]),
            ("a,", vec!["a", ""]),
            (r#""a,b",c"#, vec!["a,b", "c"]),
            (r#""say ""hi""","""""#, vec![r#"say "hi""#, "\""]),
            (r#""","#, vec!["", ""]),
            (r#"5" pipe,a "b""#, vec![r#"5" pipe"#, r#"a "b""#]),
            ("a\rb,c", vec!["a\rb", "c"]),
            ("é,\"日,本\"", vec!["é", "日,本"]),
        ] {
            assert_eq!(fields(&[line]).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn quoted_fields_hold_line_ends() {
        let lines = [r#"1,"two"#, "", r#"lines",3"#];
        assert_eq!(fields(&lines).unwrap(), ["1", "two\n\nlines", "3"]);
    }

    #[test]
    fn nothing_may_follow_a_closing_quote() {
        assert!(fields(&[r#""a"b,c"#]).is_err());
        assert!(fields(&[r#""a" ,c"#]).is_err());
    }
}
