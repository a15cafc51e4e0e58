//! Arguments and results of SQL functions as typed columns.
//!
//! Every function of this crate has one shape: coerce the arguments to fixed
//! types, walk the rows, answer NULL where an argument is NULL. That shape is
//! here, so that a function's own file holds only what it computes.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, ListArray, PrimitiveArray, StringArray,
    StringBuilder,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use datafusion::arrow::compute::can_cast_types;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{exec_datafusion_err, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::StateFieldsArgs;
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

/// A list whose elements may be null, the kind that SQL builds.
pub(crate) fn list_of(element: DataType) -> DataType {
    DataType::new_list(element, true)
}

/// The fields of an aggregate's state, from their names and types.
pub(crate) fn state_fields<const N: usize>(
    args: &StateFieldsArgs,
    fields: [(&str, DataType); N],
) -> Vec<FieldRef> {
    let field = |(name, data_type)| -> FieldRef {
        Arc::new(Field::new(
            format_state_name(args.name, name),
            data_type,
            true,
        ))
    };
    fields.into_iter().map(field).collect()
}

/// The types `wanted`, when the arguments `given` can become them without a change of
/// meaning: integers of any width (and what unsigned arithmetic makes of them),
/// numbers, text, lists and structs of those.
///
/// # Errors
/// Fails when an argument is missing, superfluous or of another kind.
pub(crate) fn coerce(
    function: &str,
    wanted: &[DataType],
    given: &[DataType],
) -> Result<Vec<DataType>> {
    let fits = wanted.len() == given.len()
        && wanted
            .iter()
            .zip(given)
            .all(|(wanted, given)| accepts(wanted, given));
    if !fits {
        let names = |types: &[DataType]| {
            types
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        };
        return plan_err!(
            "{function} takes ({}), not ({}); cast the arguments",
            names(wanted),
            names(given)
        );
    }
    Ok(wanted.to_vec())
}

fn accepts(wanted: &DataType, given: &DataType) -> bool {
    match (wanted, given) {
        (_, DataType::Null) => true,
        (_, DataType::Dictionary(_, value)) => accepts(wanted, value),
        (DataType::Int64, DataType::Decimal128(_, 0)) => true,
        (DataType::Int64, _) => given.is_integer(),
        (DataType::Float32 | DataType::Float64, _) => given.is_numeric(),
        (DataType::Utf8View, _) => given.is_string(),
        (
            DataType::List(wanted),
            DataType::List(given) | DataType::LargeList(given) | DataType::FixedSizeList(given, _),
        ) => accepts(wanted.data_type(), given.data_type()),
        (DataType::Struct(_), DataType::Struct(_)) => can_cast_types(given, wanted),
        _ => wanted == given,
    }
}

/// The arguments as arrays of one length, constants repeated.
pub(crate) fn columns(args: &ScalarFunctionArgs) -> Result<Vec<ArrayRef>> {
    repeated(&args.args, args.number_rows)
}

/// Some arguments as arrays of `rows` values, constants repeated.
pub(crate) fn repeated(arguments: &[ColumnarValue], rows: usize) -> Result<Vec<ArrayRef>> {
    arguments
        .iter()
        .map(|argument| argument.to_array(rows))
        .collect()
}

/// The rows of a call: which ones have an answer, and how answers are gathered.
pub(crate) struct Rows {
    count: usize,
    nulls: Option<NullBuffer>,
}

impl Rows {
    /// Rows that answer NULL wherever one of `columns` is NULL.
    pub(crate) fn new(columns: &[ArrayRef]) -> Self {
        Self {
            count: columns.first().map_or(0, |column| column.len()),
            nulls: NullBuffer::union_many(columns.iter().map(|column| column.nulls())),
        }
    }

    /// One value a row.
    pub(crate) fn values<V>(
        &self,
        mut value: impl FnMut(usize) -> Result<V>,
    ) -> impl Iterator<Item = Result<Option<V>>> {
        (0..self.count).map(move |row| match self.is_valid(row) {
            true => value(row).map(Some),
            false => Ok(None),
        })
    }

    /// One text a row, written into a buffer that all rows share.
    pub(crate) fn text(
        &self,
        mut write: impl FnMut(usize, &mut String) -> Result<()>,
    ) -> Result<StringArray> {
        let mut texts = StringBuilder::new();
        let mut text = String::new();
        for row in 0..self.count {
            if self.is_valid(row) {
                text.clear();
                write(row, &mut text)?;
                texts.append_value(&text);
            } else {
                texts.append_null();
            }
        }
        Ok(texts.finish())
    }

    /// One list a row; `push` appends the row's elements to those of all rows.
    pub(crate) fn lists<T: ArrowPrimitiveType>(
        &self,
        mut push: impl FnMut(usize, &mut Vec<T::Native>) -> Result<()>,
    ) -> Result<ListArray> {
        let mut values = Vec::new();
        let mut ends = Vec::with_capacity(self.count + 1);
        ends.push(0);
        for row in 0..self.count {
            if self.is_valid(row) {
                push(row, &mut values)?;
            }
            ends.push(offset(values.len())?);
        }
        Ok(ListArray::try_new(
            Arc::new(Field::new_list_field(T::DATA_TYPE, true)),
            OffsetBuffer::new(ScalarBuffer::from(ends)),
            Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), None)),
            self.nulls.clone(),
        )?)
    }

    /// Whether no argument of the row is NULL.
    pub(crate) fn is_valid(&self, row: usize) -> bool {
        self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row))
    }
}

/// A position in a list column's values.
///
/// # Errors
/// Fails when a batch's lists hold more than 2^31 elements together.
pub(crate) fn offset(position: usize) -> Result<i32> {
    i32::try_from(position).map_err(|_| {
        exec_datafusion_err!(
            "the lists of one batch hold more than 2^31 elements: lower datafusion.execution.batch_size"
        )
    })
}

/// A list column whose rows read as slices.
pub(crate) struct Lists<'a, T: ArrowPrimitiveType> {
    list: &'a ListArray,
    values: &'a [T::Native],
}

impl<'a, T: ArrowPrimitiveType> Lists<'a, T> {
    /// # Errors
    /// Fails when a list holds a NULL: a missing element has no place in an order.
    pub(crate) fn try_new(function: &str, column: &'a ArrayRef) -> Result<Self> {
        let list = column.as_list::<i32>();
        let values = list.values().as_primitive::<T>();
        if values.null_count() > 0 && list.iter().flatten().any(|row| row.null_count() > 0) {
            return exec_err!(
                "{function}: a list holds a NULL; leave NULLs out, \
                 for instance by array_agg(x) FILTER (WHERE x IS NOT NULL)"
            );
        }
        Ok(Self {
            list,
            values: values.values(),
        })
    }

    /// The elements of a row; of a NULL row, none.
    pub(crate) fn row(&self, row: usize) -> &'a [T::Native] {
        if self.list.is_null(row) {
            return &[];
        }
        let offsets = self.list.value_offsets();
        &self.values[offsets[row] as usize..offsets[row + 1] as usize]
    }
}
