//! The types that a Delta table can hold.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, TimeUnit};
use datafusion::arrow::util::display::FormatOptions;
use datafusion::error::DataFusionError;

use crate::error::Result;

/// A value that does not fit is an error, never a silent null.
const EXACT: CastOptions = CastOptions {
    safe: false,
    format_options: FormatOptions::new(),
};

/// `batch` with every column in the nearest type that Delta knows (protocol, section
/// "Schema Serialization Format"): it has no unsigned integers, no string views, and times
/// in microseconds only.
///
/// # Errors
/// Fails when a value does not fit, like an unsigned integer above 2^63.
pub fn plain(batch: &RecordBatch) -> Result<RecordBatch> {
    let schema = batch.schema();
    let fields: Vec<FieldRef> = schema.fields().iter().map(plain_field).collect();
    let columns = batch.columns().iter().zip(&fields);
    let columns = columns
        .map(|(column, field)| cast_with_options(column, field.data_type(), &EXACT))
        .collect::<Result<Vec<_>, _>>();
    let plain =
        columns.and_then(|columns| RecordBatch::try_new(Arc::new(Schema::new(fields)), columns));
    Ok(plain.map_err(DataFusionError::from)?)
}

/// Every column may be null: whether a query can tell that it is not differs by its plan.
fn plain_field(field: &FieldRef) -> FieldRef {
    Arc::new(Field::new(
        field.name(),
        plain_type(field.data_type()),
        true,
    ))
}

fn plain_type(kind: &DataType) -> DataType {
    match kind {
        DataType::Utf8View | DataType::LargeUtf8 | DataType::Null => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => DataType::List(Arc::new(Field::new(
            "element",
            plain_type(item.data_type()),
            true,
        ))),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain_field).collect()),
        other => other.clone(),
    }
}
