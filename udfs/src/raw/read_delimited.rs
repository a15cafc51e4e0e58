//! `read_delimited(path, separator, columns [, encoding [, header]])`: a raw file of
//! separated fields, without quoting.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, RecordBatch,
    StringBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, plan_err};

use super::files::RawFolder;
use super::lines::{Encoding, Lines};
use super::table::{BATCH, Format, leading_fields, raw_text, table, text_arguments};

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
            columns: parse_columns(&texts[2])?,
            header,
        };
        let path = self.folder.find(&texts[0])?;
        table(path, texts[0].clone(), encoding, Arc::new(format))
    }
}

/// The types a field can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    BigInt,
    Int,
    Double,
    Boolean,
}

impl Kind {
    const ALL: [(&'static str, Self); 5] = [
        ("TEXT", Self::Text),
        ("BIGINT", Self::BigInt),
        ("INT", Self::Int),
        ("DOUBLE", Self::Double),
        ("BOOLEAN", Self::Boolean),
    ];

    fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or("TEXT", |(name, _)| name)
    }

    fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::BigInt => DataType::Int64,
            Self::Int => DataType::Int32,
            Self::Double => DataType::Float64,
            Self::Boolean => DataType::Boolean,
        }
    }
}

#[derive(Debug)]
struct Column {
    name: String,
    kind: Kind,
}

fn parse_columns(declared: &str) -> Result<Vec<Column>> {
    let mut columns = vec![];
    for part in declared.split(',') {
        let words: Vec<_> = part.split_whitespace().collect();
        let [name, kind] = words[..] else {
            return plan_err!("read_delimited: '{}' is not a name and a type", part.trim());
        };
        let upper = kind.to_ascii_uppercase();
        let Some((_, kind)) = Kind::ALL.iter().find(|(name, _)| *name == upper) else {
            let names = Kind::ALL.map(|(name, _)| name).join(", ");
            return plan_err!("read_delimited: no type {kind}; there are: {names}");
        };
        columns.push(Column {
            name: name.to_owned(),
            kind: *kind,
        });
    }
    Ok(columns)
}

#[derive(Debug)]
struct Delimited {
    separator: String,
    columns: Vec<Column>,
    header: bool,
}

impl Format for Delimited {
    fn schema(&self) -> SchemaRef {
        let mut fields = leading_fields();
        for column in &self.columns {
            fields.push(Field::new(&column.name, column.kind.data_type(), true));
        }
        Arc::new(Schema::new(fields))
    }

    fn batch(&self, file: &str, lines: &mut Lines) -> Result<RecordBatch> {
        let mut files = StringBuilder::new();
        let mut number = Int64Builder::new();
        let mut error = StringBuilder::new();
        let mut raw = StringBuilder::new();
        let mut builders: Vec<_> = self.columns.iter().map(|c| Builder::new(c.kind)).collect();
        while number.values_slice().len() < BATCH
            && let Some(line) = lines.next()
        {
            if self.header && line.number == 1 {
                continue;
            }
            files.append_value(file);
            number.append_value(line.number);
            match line.text.and_then(|text| self.append(&text, &mut builders)) {
                Ok(()) => {
                    error.append_null();
                    raw.append_null();
                }
                Err(fault) => {
                    error.append_value(fault);
                    raw.append_value(raw_text(line.bytes));
                    builders.iter_mut().for_each(Builder::append_null);
                }
            }
        }
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(files.finish()),
            Arc::new(number.finish()),
            Arc::new(error.finish()),
            Arc::new(raw.finish()),
        ];
        columns.extend(builders.iter_mut().map(Builder::finish));
        Ok(RecordBatch::try_new(self.schema(), columns)?)
    }
}

impl Delimited {
    /// Appends a line's fields, all of them or none.
    fn append(&self, text: &str, builders: &mut [Builder]) -> Result<(), String> {
        let found = text.split(self.separator.as_str()).count();
        if found != self.columns.len() {
            return Err(format!(
                "expected {} fields, found {found}",
                self.columns.len()
            ));
        }
        // Checked first, so that a bad field leaves no half row behind.
        for (column, field) in self.columns.iter().zip(text.split(self.separator.as_str())) {
            if !column.kind.accepts(field) {
                let field: String = field.chars().take(80).collect();
                return Err(format!(
                    "{}: '{field}' is not a {}",
                    column.name,
                    column.kind.name()
                ));
            }
        }
        for (builder, field) in builders.iter_mut().zip(text.split(self.separator.as_str())) {
            builder.append(field);
        }
        Ok(())
    }
}

impl Kind {
    fn accepts(self, field: &str) -> bool {
        match self {
            Self::Text => true,
            _ if field.is_empty() => true,
            Self::BigInt => field.parse::<i64>().is_ok(),
            Self::Int => field.parse::<i32>().is_ok(),
            Self::Double => field.parse::<f64>().is_ok_and(f64::is_finite),
            Self::Boolean => parse_boolean(field).is_some(),
        }
    }
}

fn parse_boolean(field: &str) -> Option<bool> {
    match field {
        "true" | "True" | "1" => Some(true),
        "false" | "False" | "0" => Some(false),
        _ => None,
    }
}

enum Builder {
    Text(StringBuilder),
    BigInt(Int64Builder),
    Int(Int32Builder),
    Double(Float64Builder),
    Boolean(BooleanBuilder),
}

impl Builder {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text(StringBuilder::new()),
            Kind::BigInt => Self::BigInt(Int64Builder::new()),
            Kind::Int => Self::Int(Int32Builder::new()),
            Kind::Double => Self::Double(Float64Builder::new()),
            Kind::Boolean => Self::Boolean(BooleanBuilder::new()),
        }
    }

    /// Appends an accepted field; an empty one that is not text is null.
    fn append(&mut self, field: &str) {
        match self {
            Self::Text(builder) => builder.append_value(field),
            Self::BigInt(builder) => builder.append_option(field.parse().ok()),
            Self::Int(builder) => builder.append_option(field.parse().ok()),
            Self::Double(builder) => builder.append_option(field.parse().ok()),
            Self::Boolean(builder) => builder.append_option(parse_boolean(field)),
        }
    }

    fn append_null(&mut self) {
        match self {
            Self::Text(builder) => builder.append_null(),
            Self::BigInt(builder) => builder.append_null(),
            Self::Int(builder) => builder.append_null(),
            Self::Double(builder) => builder.append_null(),
            Self::Boolean(builder) => builder.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::BigInt(builder) => Arc::new(builder.finish()),
            Self::Int(builder) => Arc::new(builder.finish()),
            Self::Double(builder) => Arc::new(builder.finish()),
            Self::Boolean(builder) => Arc::new(builder.finish()),
        }
    }
}
