//! `read_lines(path [, encoding])`: a raw file, a row a line.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Builder, RecordBatch, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::Result;

use super::files::RawFolder;
use super::lines::{Encoding, Lines};
use super::table::{BATCH, Format, leading_fields, raw_text, table, text_arguments};

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
        let path = self.folder.find(&texts[0])?;
        table(path, texts[0].clone(), encoding, Arc::new(WholeLines))
    }
}

#[derive(Debug)]
struct WholeLines;

impl Format for WholeLines {
    fn schema(&self) -> SchemaRef {
        let mut fields = leading_fields();
        fields.push(Field::new("text", DataType::Utf8, true));
        Arc::new(Schema::new(fields))
    }

    fn batch(&self, file: &str, lines: &mut Lines) -> Result<RecordBatch> {
        let mut number = Int64Builder::new();
        let mut files = StringBuilder::new();
        let mut error = StringBuilder::new();
        let mut raw = StringBuilder::new();
        let mut text = StringBuilder::new();
        while number.values_slice().len() < BATCH
            && let Some(line) = lines.next()
        {
            files.append_value(file);
            number.append_value(line.number);
            match line.text {
                Ok(value) => {
                    error.append_null();
                    raw.append_null();
                    text.append_value(value);
                }
                Err(fault) => {
                    error.append_value(fault);
                    raw.append_value(raw_text(line.bytes));
                    text.append_null();
                }
            }
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(files.finish()),
            Arc::new(number.finish()),
            Arc::new(error.finish()),
            Arc::new(raw.finish()),
            Arc::new(text.finish()),
        ];
        Ok(RecordBatch::try_new(self.schema(), columns)?)
    }
}
