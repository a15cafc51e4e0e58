//! Rows gathered into batches, good ones and bad ones.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Builder, RecordBatch, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result;

use super::columns::{Builder, Column, LEADING, Value};

/// Most rows of a batch.
const BATCH_ROWS: usize = 8192;

/// Most bytes of raw text in a batch, but for its last row.
const BATCH_BYTES: usize = 16 << 20;

/// Longest piece of a bad line that is kept.
const RAW_CHARACTERS: usize = 1000;

/// The schema of a raw table: `file, line, error, raw`, then the declared columns.
pub fn schema(columns: &[Column]) -> SchemaRef {
    let [file, line, error, raw] = LEADING;
    let mut fields = vec![
        Field::new(file, DataType::Utf8, false),
        Field::new(line, DataType::Int64, false),
        Field::new(error, DataType::Utf8, true),
        Field::new(raw, DataType::Utf8, true),
    ];
    let declared = columns.iter();
    fields.extend(declared.map(|column| Field::new(&column.name, column.kind.data_type(), true)));
    Arc::new(Schema::new(fields))
}

/// The rows of the batch that is being filled.
pub struct Rows<'a> {
    columns: &'a [Column],
    schema: SchemaRef,
    file: String,
    files: StringBuilder,
    lines: Int64Builder,
    errors: StringBuilder,
    raws: StringBuilder,
    fields: Vec<Builder>,
    /// The values of the row at hand: all are known before the first is appended.
    values: Vec<Value>,
    bytes: usize,
}

impl<'a> Rows<'a> {
    /// No rows yet.
    pub fn new(columns: &'a [Column]) -> Self {
        let builders = columns.iter().map(|column| Builder::new(column.kind));
        Self {
            columns,
            schema: schema(columns),
            file: String::new(),
            files: StringBuilder::new(),
            lines: Int64Builder::new(),
            errors: StringBuilder::new(),
            raws: StringBuilder::new(),
            fields: builders.collect(),
            values: Vec::with_capacity(columns.len()),
            bytes: 0,
        }
    }

    /// From now on rows are of `file`.
    pub fn enter(&mut self, file: &str) {
        file.clone_into(&mut self.file);
    }

    /// Appends the row of the record at `line`, whose text is `raw` and whose declared
    /// columns are `fields`. A field that is not of its type makes it a bad row.
    pub fn push<'f>(
        &mut self,
        line: i64,
        fields: impl Iterator<Item = &'f str> + Clone,
        raw: &[u8],
    ) {
        self.values.clear();
        for (column, field) in self.columns.iter().zip(fields.clone()) {
            match column.kind.parse(field) {
                Some(value) => self.values.push(value),
                None => {
                    let field: String = field.chars().take(80).collect();
                    let (name, kind) = (&column.name, column.kind.name());
                    return self.push_bad(line, &format!("{name}: '{field}' is not a {kind}"), raw);
                }
            }
        }
        self.begin(line, raw.len());
        self.errors.append_null();
        self.raws.append_null();
        for ((builder, value), field) in self.fields.iter_mut().zip(&self.values).zip(fields) {
            builder.append(*value, field);
        }
    }

    /// Appends a bad row: what is wrong with the record at `line`, whose text is `raw`.
    pub fn push_bad(&mut self, line: i64, fault: &str, raw: &[u8]) {
        self.begin(line, raw.len());
        self.errors.append_value(fault);
        self.raws.append_value(raw_text(raw));
        self.fields.iter_mut().for_each(Builder::append_null);
    }

    fn begin(&mut self, line: i64, bytes: usize) {
        self.files.append_value(&self.file);
        self.lines.append_value(line);
        self.bytes += bytes;
    }

    /// Whether the batch should be taken.
    pub fn is_full(&self) -> bool {
        self.lines.values_slice().len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    /// The rows so far as a batch; none are left.
    ///
    /// # Errors
    /// Fails when Arrow refuses the columns, never because of a line.
    pub fn take(&mut self) -> Result<RecordBatch> {
        self.bytes = 0;
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.files.finish()),
            Arc::new(self.lines.finish()),
            Arc::new(self.errors.finish()),
            Arc::new(self.raws.finish()),
        ];
        columns.extend(self.fields.iter_mut().map(Builder::finish));
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

/// The text kept of a bad line.
fn raw_text(bytes: &[u8]) -> String {
    // Four bytes a character at most.
    let start = &bytes[..bytes.len().min(4 * RAW_CHARACTERS)];
    String::from_utf8_lossy(start)
        .chars()
        .take(RAW_CHARACTERS)
        .collect()
}
