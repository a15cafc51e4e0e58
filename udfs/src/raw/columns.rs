//! Declared columns: their names, their types, and the builders of their values.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, StringBuilder,
};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, plan_err};

/// The columns that every raw table begins with.
pub const LEADING: [&str; 4] = ["file", "line", "error", "raw"];

/// The types a field can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text; an empty field is the empty text.
    Text,
    /// A 64-bit integer.
    BigInt,
    /// A 32-bit integer.
    Int,
    /// A finite number.
    Double,
    /// `true` or `false`, in words or as 1 and 0.
    Boolean,
}

/// A declared column.
#[derive(Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The type of its fields.
    pub kind: Kind,
}

/// The value of a field; that of a text is the field itself.
#[derive(Debug, Clone, Copy)]
pub enum Value {
    /// An empty field of a column that is not text.
    Null,
    /// The field itself.
    Text,
    /// Of [`Kind::BigInt`].
    BigInt(i64),
    /// Of [`Kind::Int`].
    Int(i32),
    /// Of [`Kind::Double`].
    Double(f64),
    /// Of [`Kind::Boolean`].
    Boolean(bool),
}

impl Kind {
    const ALL: [(&'static str, Self); 5] = [
        ("TEXT", Self::Text),
        ("BIGINT", Self::BigInt),
        ("INT", Self::Int),
        ("DOUBLE", Self::Double),
        ("BOOLEAN", Self::Boolean),
    ];

    /// As it is declared.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or("TEXT", |(name, _)| name)
    }

    /// As a column's type.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::BigInt => DataType::Int64,
            Self::Int => DataType::Int32,
            Self::Double => DataType::Float64,
            Self::Boolean => DataType::Boolean,
        }
    }

    /// The value of `field`; `None` when it is not of this type.
    pub fn parse(self, field: &str) -> Option<Value> {
        match self {
            Self::Text => Some(Value::Text),
            _ if field.is_empty() => Some(Value::Null),
            Self::BigInt => field.parse().ok().map(Value::BigInt),
            Self::Int => field.parse().ok().map(Value::Int),
            Self::Double => {
                let number = field.parse().ok().filter(|number: &f64| number.is_finite());
                number.map(Value::Double)
            }
            Self::Boolean => match field {
                "true" | "True" | "1" => Some(Value::Boolean(true)),
                "false" | "False" | "0" => Some(Value::Boolean(false)),
                _ => None,
            },
        }
    }
}

/// The columns that `declared` names, as `name TYPE, name TYPE, …`.
///
/// # Errors
/// Fails on an unknown type, on a name that occurs twice and on one that every raw table
/// has already.
pub fn parse_columns(function: &str, declared: &str) -> Result<Vec<Column>> {
    let mut columns: Vec<Column> = vec![];
    for part in declared.split(',') {
        let words: Vec<_> = part.split_whitespace().collect();
        let [name, kind] = words[..] else {
            return plan_err!("{function}: '{}' is not a name and a type", part.trim());
        };
        let upper = kind.to_ascii_uppercase();
        let Some((_, kind)) = Kind::ALL.iter().find(|(name, _)| *name == upper) else {
            let names = Kind::ALL.map(|(name, _)| name).join(", ");
            return plan_err!("{function}: no type {kind}; there are: {names}");
        };
        if LEADING.contains(&name) {
            return plan_err!("{function}: every raw table has a column {name} of its own");
        }
        if columns.iter().any(|column| column.name == name) {
            return plan_err!("{function}: the column {name} is declared twice");
        }
        columns.push(Column {
            name: name.to_owned(),
            kind: *kind,
        });
    }
    Ok(columns)
}

/// Gathers the values of a column.
pub enum Builder {
    /// Of [`Kind::Text`].
    Text(StringBuilder),
    /// Of [`Kind::BigInt`].
    BigInt(Int64Builder),
    /// Of [`Kind::Int`].
    Int(Int32Builder),
    /// Of [`Kind::Double`].
    Double(Float64Builder),
    /// Of [`Kind::Boolean`].
    Boolean(BooleanBuilder),
}

impl Builder {
    /// An empty column of type `kind`.
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text(StringBuilder::new()),
            Kind::BigInt => Self::BigInt(Int64Builder::new()),
            Kind::Int => Self::Int(Int32Builder::new()),
            Kind::Double => Self::Double(Float64Builder::new()),
            Kind::Boolean => Self::Boolean(BooleanBuilder::new()),
        }
    }

    /// Appends the `value` that this column's type gave to `field`.
    pub fn append(&mut self, value: Value, field: &str) {
        match (self, value) {
            (Self::Text(builder), Value::Text) => builder.append_value(field),
            (Self::BigInt(builder), Value::BigInt(value)) => builder.append_value(value),
            (Self::Int(builder), Value::Int(value)) => builder.append_value(value),
            (Self::Double(builder), Value::Double(value)) => builder.append_value(value),
            (Self::Boolean(builder), Value::Boolean(value)) => builder.append_value(value),
            (builder, _) => builder.append_null(),
        }
    }

    /// Appends a null.
    pub fn append_null(&mut self) {
        match self {
            Self::Text(builder) => builder.append_null(),
            Self::BigInt(builder) => builder.append_null(),
            Self::Int(builder) => builder.append_null(),
            Self::Double(builder) => builder.append_null(),
            Self::Boolean(builder) => builder.append_null(),
        }
    }

    /// The column so far; the builder is empty again.
    pub fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::BigInt(builder) => Arc::new(builder.finish()),
            Self::Int(builder) => Arc::new(builder.finish()),
            Self::Double(builder) => Arc::new(builder.finish()),
            Self::Boolean(builder) => Arc::new(builder.finish()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(declared: &str) -> String {
        let outcome = parse_columns("read_csv", declared);
        outcome.unwrap_err().strip_backtrace()
    }

    #[test]
    fn declarations_are_checked() {
        let columns = parse_columns("read_csv", "a TEXT,\n  b bigint").unwrap();
        assert_eq!(columns[0].name, "a");
        assert_eq!(columns[1].kind, Kind::BigInt);
        assert!(message("a").contains("'a' is not a name and a type"));
        assert!(message("a DATE").contains("no type DATE; there are: TEXT"));
        assert!(message("a TEXT, a INT").contains("declared twice"));
        assert!(message("line INT").contains("a column line of its own"));
    }

    #[test]
    fn types_are_strict_and_empty_is_null() {
        assert!(matches!(Kind::BigInt.parse(""), Some(Value::Null)));
        assert!(matches!(Kind::Text.parse(""), Some(Value::Text)));
        assert!(matches!(Kind::BigInt.parse("-7"), Some(Value::BigInt(-7))));
        for (kind, field) in [
            (Kind::BigInt, "1540094400.0"),
            (Kind::Int, "3000000000"),
            (Kind::Int, " 1"),
            (Kind::Double, "nan"),
            (Kind::Double, "1e999"),
            (Kind::Boolean, "yes"),
        ] {
            assert!(kind.parse(field).is_none(), "{field}");
        }
    }
}
