//! `read_lines(path [, encoding])`: raw files, a row a line.

use std::sync::Arc;

use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::Result;

use super::columns::{Column, Kind};
use super::files::RawFolder;
use super::lines::{Encoding, Lines};
use super::rows::Rows;
use super::table::{Format, Records, table, text_arguments};

const USAGE: &str = "read_lines('file' [, 'utf8' | 'latin1'])";

/// The table function. Columns: `file, line, error, raw, text`.
#[derive(Debug)]
pub struct ReadLines {
    folder: Arc<RawFolder>,
}

impl ReadLines {
    /// Reads files of `folder`.
    pub fn new(folder: Arc<RawFolder>) -> Self {
        Self { folder }
    }
}

impl TableFunctionImpl for ReadLines {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let texts = text_arguments("read_lines", USAGE, 1, args.exprs())?;
        let encoding = Encoding::named(texts.get(1).map_or("utf8", String::as_str))?;
        let text = Column {
            name: "text".to_owned(),
            kind: Kind::Text,
        };
        table(
            self.folder.find(&texts[0])?,
            encoding,
            Arc::new(WholeLines([text])),
        )
    }
}

#[derive(Debug)]
struct WholeLines([Column; 1]);

impl Format for WholeLines {
    fn columns(&self) -> &[Column] {
        &self.0
    }

    fn records(&self, lines: Lines) -> Result<Box<dyn Records + '_>> {
        Ok(Box::new(lines))
    }
}

impl Records for Lines {
    fn next(&mut self, rows: &mut Rows) -> bool {
        let Some(line) = self.next_line() else {
            return false;
        };
        match &line.text {
            Ok(text) => rows.push(line.number, std::iter::once(text.as_ref()), &line.bytes),
            Err(fault) => rows.push_bad(line.number, fault, &line.bytes),
        }
        true
    }
}
