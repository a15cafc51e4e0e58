//! `read_delimited(path, separator, columns [, encoding [, header]])`: raw files of
//! separated fields, without quoting.

use std::sync::Arc;

use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, plan_err};

use super::columns::{Column, parse_columns};
use super::files::RawFolder;
use super::lines::{Encoding, Lines};
use super::rows::Rows;
use super::table::{Format, Records, table, text_arguments};

const USAGE: &str = "read_delimited('file', 'separator', 'name TYPE, name TYPE, …' \
                     [, 'utf8' | 'latin1' [, 'header']])";

/// The table function. Columns: `file, line, error, raw`, then the declared ones.
///
/// Records end in `\n` only, the separator may have several bytes, quotes are plain
/// characters. An empty field of a column that is not text is null.
#[derive(Debug)]
pub struct ReadDelimited {
    folder: Arc<RawFolder>,
}

impl ReadDelimited {
    /// Reads files of `folder`.
    pub fn new(folder: Arc<RawFolder>) -> Self {
        Self { folder }
    }
}

impl TableFunctionImpl for ReadDelimited {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let texts = text_arguments("read_delimited", USAGE, 3, args.exprs())?;
        let encoding = Encoding::named(texts.get(3).map_or("utf8", String::as_str))?;
        let header = match texts.get(4).map(String::as_str) {
            None => false,
            Some("header") => true,
            Some(other) => return plan_err!("read_delimited: '{other}'; usage: {USAGE}"),
        };
        if texts[1].is_empty() {
            return plan_err!("read_delimited: the separator is empty; usage: {USAGE}");
        }
        let format = Delimited {
            separator: texts[1].clone(),
            columns: parse_columns("read_delimited", &texts[2])?,
            header,
        };
        table(self.folder.find(&texts[0])?, encoding, Arc::new(format))
    }
}

#[derive(Debug)]
struct Delimited {
    separator: String,
    columns: Vec<Column>,
    header: bool,
}

impl Format for Delimited {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn records(&self, mut lines: Lines) -> Result<Box<dyn Records + '_>> {
        if self.header {
            lines.next_line();
        }
        Ok(Box::new(DelimitedRecords {
            format: self,
            lines,
        }))
    }
}

struct DelimitedRecords<'a> {
    format: &'a Delimited,
    lines: Lines,
}

impl Records for DelimitedRecords<'_> {
    fn next(&mut self, rows: &mut Rows) -> bool {
        let Some(line) = self.lines.next_line() else {
            return false;
        };
        let text = match &line.text {
            Ok(text) => text,
            Err(fault) => {
                rows.push_bad(line.number, fault, &line.bytes);
                return true;
            }
        };
        let fields = text.split(self.format.separator.as_str());
        let (found, expected) = (fields.clone().count(), self.format.columns.len());
        if found == expected {
            rows.push(line.number, fields, &line.bytes);
        } else {
            let fault = format!("expected {expected} fields, found {found}");
            rows.push_bad(line.number, &fault, &line.bytes);
        }
        true
    }
}
