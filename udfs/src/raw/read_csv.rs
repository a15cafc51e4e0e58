//! `read_csv(path, columns [, encoding])`: raw CSV files with a header and quotes.

use std::collections::VecDeque;
use std::sync::Arc;

use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, exec_datafusion_err, exec_err};

use super::columns::{Column, parse_columns};
use super::csv_record::CsvRecord;
use super::files::RawFolder;
use super::lines::{Encoding, Line, Lines};
use super::rows::Rows;
use super::table::{Format, Records, table, text_arguments};

const USAGE: &str = "read_csv('file', 'name TYPE, name TYPE, …' [, 'utf8' | 'latin1'])";

/// Where a record of several lines must have ended. A quote that is never closed would
/// otherwise take the rest of the file with it.
const LONGEST_BYTES: usize = 1 << 20;
const LONGEST_LINES: usize = 10_000;

/// The table function. Columns: `file, line, error, raw`, then the declared ones, which
/// are found by their names in the header.
///
/// Quotes are those of RFC 4180, except that records end in `\n` or `\r\n` only: a lone
/// `\r` is text. An empty field of a column that is not text is null. A record that is
/// none (a quote never closed, text after a closing quote, too few or too many fields)
/// makes its first line a bad row, and the next line is read as a record of its own.
#[derive(Debug)]
pub struct ReadCsv {
    folder: Arc<RawFolder>,
}

impl ReadCsv {
    /// Reads files of `folder`.
    pub fn new(folder: Arc<RawFolder>) -> Self {
        Self { folder }
    }
}

impl TableFunctionImpl for ReadCsv {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let texts = text_arguments("read_csv", USAGE, 2, args.exprs())?;
        let encoding = Encoding::named(texts.get(2).map_or("utf8", String::as_str))?;
        let format = Csv {
            columns: parse_columns("read_csv", &texts[1])?,
        };
        table(self.folder.find(&texts[0])?, encoding, Arc::new(format))
    }
}

#[derive(Debug)]
struct Csv {
    columns: Vec<Column>,
}

impl Format for Csv {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn records(&self, mut lines: Lines) -> Result<Box<dyn Records + '_>> {
        let mut record = CsvRecord::default();
        if let Some(header) = lines.next_line() {
            let text = header
                .text
                .map_err(|e| exec_datafusion_err!("header: {e}"))?;
            record
                .take(&text)
                .map_err(|e| exec_datafusion_err!("header: {e}"))?;
            if record.is_open() {
                return exec_err!("header: a quote is not closed");
            }
        }
        let names: Vec<_> = (0..record.len()).map(|i| record.field(i).trim()).collect();
        let places = self.columns.iter().map(|column| place(column, &names));
        Ok(Box::new(CsvRecords {
            places: places.collect::<Result<_>>()?,
            width: record.len(),
            lines,
            ahead: VecDeque::new(),
            record,
            hopeless: 0,
        }))
    }
}

/// Where the header has `column`.
fn place(column: &Column, header: &[&str]) -> Result<usize> {
    let mut places = (0..header.len()).filter(|&i| header[i] == column.name);
    match (places.next(), places.next()) {
        (Some(place), None) => Ok(place),
        (Some(_), Some(_)) => exec_err!("the header has the column {} twice", column.name),
        (None, _) if header.iter().all(|name| name.is_empty()) => {
            exec_err!("the file is empty; expected a header with {}", column.name)
        }
        (None, _) => {
            let header: String = header.join(", ").chars().take(2000).collect();
            exec_err!("no column {} in the header: {header}", column.name)
        }
    }
}

struct CsvRecords {
    /// Where the declared columns are in a record.
    places: Vec<usize>,
    /// How many fields a record has.
    width: usize,
    lines: Lines,
    /// Lines that were read in search of a closing quote and still have to be records.
    ahead: VecDeque<Line<'static>>,
    record: CsvRecord,
    /// The line at which the last search for a closing quote failed. A line before it
    /// that leaves a quote open would fail there too; not searching again is what keeps
    /// the time linear in the size of the file.
    hopeless: i64,
}

impl Records for CsvRecords {
    fn next(&mut self, rows: &mut Rows) -> bool {
        let first = match self.ahead.pop_front() {
            Some(line) => line,
            None => match self.lines.next_line() {
                Some(line) => line,
                None => return false,
            },
        };
        self.record.clear();
        let text = first.text.as_ref().map_err(String::clone);
        match text.and_then(|text| self.record.take(text)) {
            Ok(()) if self.record.is_open() => {
                let first = first.into_owned();
                self.read_on(&first, rows);
            }
            Ok(()) => match checked(&self.record, self.width) {
                Ok(()) => rows.push(
                    first.number,
                    self.places.iter().map(|&place| self.record.field(place)),
                    &first.bytes,
                ),
                Err(fault) => rows.push_bad(first.number, &fault, &first.bytes),
            },
            Err(fault) => rows.push_bad(first.number, &fault, &first.bytes),
        }
        true
    }
}

impl CsvRecords {
    /// Appends the record that begins with `first`, which leaves a quote open.
    fn read_on(&mut self, first: &Line<'static>, rows: &mut Rows) {
        let mut taken = vec![];
        let outcome = match first.number < self.hopeless {
            true => Err("a quote is not closed".to_owned()),
            false => self.close(first, &mut taken),
        };
        match outcome {
            Ok(()) => {
                let lines = std::iter::once(first).chain(&taken);
                let mut raw = Vec::new();
                for line in lines {
                    raw.extend_from_slice(&line.bytes);
                    raw.extend_from_slice(line.ending.as_bytes());
                }
                let fields = self.places.iter().map(|&place| self.record.field(place));
                rows.push(first.number, fields, &raw);
            }
            Err(fault) => {
                rows.push_bad(first.number, &fault, &first.bytes);
                self.hopeless = taken.last().map_or(self.hopeless, |line| line.number);
                taken
                    .into_iter()
                    .rev()
                    .for_each(|line| self.ahead.push_front(line));
            }
        }
    }

    /// Reads lines into `taken` until the quote that `first` leaves open is closed and
    /// the record is whole.
    fn close(&mut self, first: &Line, taken: &mut Vec<Line<'static>>) -> Result<(), String> {
        let mut size = first.bytes.len();
        let mut ending = first.ending;
        while self.record.is_open() {
            if size > LONGEST_BYTES || taken.len() >= LONGEST_LINES {
                return Err(format!(
                    "a quote is not closed within {LONGEST_BYTES} bytes and {LONGEST_LINES} lines"
                ));
            }
            let next = self.ahead.pop_front();
            let Some(line) = next.or_else(|| self.lines.next_line().map(Line::into_owned)) else {
                return Err("a quote is not closed up to the end of the file".to_owned());
            };
            self.record.take_line_end(ending);
            let outcome = match &line.text {
                Ok(text) => self.record.take(text),
                Err(fault) => Err(fault.clone()),
            };
            let place = line.number;
            size += line.bytes.len() + line.ending.len();
            ending = line.ending;
            taken.push(line);
            outcome.map_err(|e| format!("a quote is open until line {place}: {e}"))?;
        }
        checked(&self.record, self.width)
    }
}

fn checked(record: &CsvRecord, width: usize) -> Result<(), String> {
    let found = record.len();
    if found == width {
        return Ok(());
    }
    Err(format!("expected {width} fields, found {found}"))
}
