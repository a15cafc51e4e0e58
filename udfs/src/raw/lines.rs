//! Lines of a raw file: numbered, bounded in length, decoded.

use std::borrow::Cow;
use std::io::BufRead;

use datafusion::common::{Result, plan_err};
use memchr::memchr;

/// The longest line that is read; the rest of a longer one is skipped.
const LONGEST: usize = 16 << 20;

/// How a file's bytes are text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8; anything else is an error of the line.
    Utf8,
    /// ISO-8859-1; every byte is a character.
    Latin1,
}

impl Encoding {
    /// The encoding called `name`.
    ///
    /// # Errors
    /// Fails when it is neither `utf8` nor `latin1`.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "utf8" => Ok(Self::Utf8),
            "latin1" => Ok(Self::Latin1),
            other => plan_err!("no encoding '{other}'; there are: utf8, latin1"),
        }
    }

    fn decode(self, bytes: &[u8]) -> Result<Cow<'_, str>, String> {
        match (self, std::str::from_utf8(bytes)) {
            (Self::Latin1, _) if !bytes.is_ascii() => {
                Ok(bytes.iter().map(|&byte| char::from(byte)).collect())
            }
            (_, Ok(text)) => Ok(Cow::Borrowed(text)),
            (_, Err(e)) => Err(format!("not valid UTF-8 at byte {}", e.valid_up_to() + 1)),
        }
    }
}

/// A line, or why it is none.
#[derive(Debug)]
pub struct Line<'a> {
    /// 1-based.
    pub number: i64,
    /// Its text without the line end, or what is wrong with it.
    pub text: Result<Cow<'a, str>, String>,
    /// Its bytes without the line end, for the quarantine.
    pub bytes: Cow<'a, [u8]>,
    /// `\n`, `\r\n`, or nothing at the end of the file.
    pub ending: &'static str,
}

impl Line<'_> {
    /// The line, kept beyond the next one.
    pub fn into_owned(self) -> Line<'static> {
        Line {
            number: self.number,
            text: self.text.map(|text| Cow::Owned(text.into_owned())),
            bytes: Cow::Owned(self.bytes.into_owned()),
            ending: self.ending,
        }
    }
}

/// What some programs put before a UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads lines that end in `\n` alone, or in `\r\n`.
pub struct Lines {
    reader: Box<dyn BufRead + Send>,
    encoding: Encoding,
    number: i64,
    buffer: Vec<u8>,
    broken: bool,
}

impl Lines {
    /// Lines of `reader`.
    pub fn new(reader: Box<dyn BufRead + Send>, encoding: Encoding) -> Self {
        Self {
            reader,
            encoding,
            number: 0,
            buffer: vec![],
            broken: false,
        }
    }

    /// The next line; `None` at the end. A file that cannot be read to its end (a cut
    /// gzip) yields one last line that says so.
    pub fn next_line(&mut self) -> Option<Line<'_>> {
        if self.broken {
            return None;
        }
        self.number += 1;
        let fault = match self.fill() {
            Ok(0) => return None,
            Ok(length) if length > LONGEST => Some(format!(
                "line of {length} bytes; the longest allowed is {LONGEST}"
            )),
            Ok(_) => None,
            Err(e) => {
                self.broken = true;
                Some(format!("the file cannot be read beyond this line: {e}"))
            }
        };
        let (mut bytes, ending) = split_ending(&self.buffer);
        if self.number == 1 && self.encoding == Encoding::Utf8 {
            bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        }
        let text = match fault {
            Some(fault) => Err(fault),
            None => self.encoding.decode(bytes),
        };
        Some(Line {
            number: self.number,
            text,
            bytes: Cow::Borrowed(bytes),
            ending,
        })
    }

    /// Reads up to and with the next `\n`, keeping at most [`LONGEST`] bytes, and
    /// returns how many there were.
    fn fill(&mut self) -> std::io::Result<usize> {
        self.buffer.clear();
        let mut length = 0;
        loop {
            let available = self.reader.fill_buf()?;
            if available.is_empty() {
                return Ok(length);
            }
            let end = memchr(b'\n', available);
            let taken = end.map_or(available.len(), |at| at + 1);
            let room = LONGEST.saturating_sub(self.buffer.len());
            self.buffer.extend_from_slice(&available[..taken.min(room)]);
            self.reader.consume(taken);
            length += taken;
            if end.is_some() {
                return Ok(length);
            }
        }
    }
}

fn split_ending(bytes: &[u8]) -> (&[u8], &'static str) {
    let Some(line) = bytes.strip_suffix(b"\n") else {
        return (bytes, "");
    };
    match line.strip_suffix(b"\r") {
        Some(line) => (line, "\r\n"),
        None => (line, "\n"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn read(bytes: &[u8], encoding: Encoding) -> Vec<Result<String, String>> {
        let reader = Box::new(std::io::Cursor::new(bytes.to_vec()));
        let mut lines = Lines::new(reader, encoding);
        let mut texts = vec![];
        while let Some(line) = lines.next_line() {
            texts.push(line.text.map(Cow::into_owned));
        }
        texts
    }

    #[test]
    fn lines_end_in_newlines_only() {
        let texts = read(b"a\rb\r\nc\n\nd", Encoding::Utf8);
        let texts: Vec<_> = texts.into_iter().map(Result::unwrap).collect();
        assert_eq!(texts, ["a\rb", "c", "", "d"]);
    }

    #[test]
    fn bytes_are_decoded_as_declared() {
        assert_eq!(read(b"caf\xe9", Encoding::Latin1)[0], Ok("café".to_owned()));
        assert!(read(b"caf\xe9", Encoding::Utf8)[0].is_err());
        assert_eq!(
            read("café".as_bytes(), Encoding::Utf8)[0],
            Ok("café".to_owned())
        );
    }

    #[test]
    fn an_endless_line_is_skipped_in_bounded_memory_and_the_next_one_read() {
        let endless = std::io::repeat(b'x').take(100 << 20);
        let reader = std::io::BufReader::new(endless.chain(b"\nnext\n".as_slice()));
        let mut lines = Lines::new(Box::new(reader), Encoding::Utf8);
        let fault = lines.next_line().unwrap().text.unwrap_err();
        assert!(fault.contains("longest allowed"), "{fault}");
        assert_eq!(lines.next_line().unwrap().text.unwrap(), "next");
        assert!(lines.next_line().is_none());
        let capacity = lines.buffer.capacity();
        assert!(capacity <= 2 * LONGEST, "{capacity}");
    }

    #[test]
    fn a_byte_order_mark_is_no_text() {
        let texts = read(b"\xef\xbb\xbfa\n\xef\xbb\xbfb", Encoding::Utf8);
        assert_eq!(texts, [Ok("a".to_owned()), Ok("\u{feff}b".to_owned())]);
    }

    #[test]
    fn line_ends_are_told() {
        let reader = Box::new(std::io::Cursor::new("a\nb\r\nc\r"));
        let mut lines = Lines::new(reader, Encoding::Utf8);
        for (text, ending) in [("a", "\n"), ("b", "\r\n"), ("c\r", "")] {
            let line = lines.next_line().unwrap();
            assert_eq!((line.text.unwrap().as_ref(), line.ending), (text, ending));
        }
    }

    #[test]
    fn a_cut_gzip_is_told_and_its_whole_lines_are_kept() {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::none());
        for i in 0..20_000 {
            writeln!(encoder, "line {i}").unwrap();
        }
        let mut bytes = encoder.finish().unwrap();
        bytes.truncate(bytes.len() / 2);
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("cut.gz");
        std::fs::write(&path, bytes).unwrap();
        let mut lines = Lines::new(super::super::files::open(&path).unwrap(), Encoding::Utf8);
        let (mut whole, mut faults) = (0, 0);
        while let Some(line) = lines.next_line() {
            match line.text {
                Ok(_) => whole += 1,
                Err(fault) => {
                    assert!(fault.contains("cannot be read beyond"), "{fault}");
                    faults += 1;
                }
            }
        }
        assert!(whole > 1_000, "{whole}");
        assert_eq!(faults, 1);
    }
}
