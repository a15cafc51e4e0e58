//! What was learnt in each window of time, as a ranker's first argument.

use std::collections::BTreeMap;
use std::ops::Range;

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, StructArray};
use datafusion::common::{ScalarValue, exec_datafusion_err, exec_err};
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;

/// Rows in a row that share one array of windows; `None` when it is NULL.
pub(super) type Run = (Option<ArrayRef>, Range<usize>);

/// Splits a call's rows by their windows.
///
/// The windows of a query are one value, from an uncorrelated subquery, and stay one:
/// they may be megabytes. Where the planner made a column of them, equal neighbours are
/// found again.
pub(super) fn runs(windows: &ColumnarValue, rows: usize) -> Result<Vec<Run>> {
    let lists = match windows {
        ColumnarValue::Scalar(ScalarValue::List(list)) => {
            return Ok(vec![(list.iter().next().flatten(), 0..rows)]);
        }
        ColumnarValue::Scalar(_) => return Ok(vec![(None, 0..rows)]),
        ColumnarValue::Array(lists) => lists.as_list::<i32>(),
    };
    let mut runs: Vec<Run> = vec![];
    for (row, windows) in lists.iter().enumerate() {
        match runs.last_mut() {
            Some((last, rows)) if *last == windows => rows.end = row + 1,
            _ => runs.push((windows, row..row + 1)),
        }
    }
    Ok(runs)
}

/// Splits a call's rows by the one value that was learnt for all windows, as [`runs`] does by
/// arrays of them.
pub(super) fn structs(
    learnt: &ColumnarValue,
    rows: usize,
) -> Vec<(Option<StructArray>, Range<usize>)> {
    let column = match learnt {
        ColumnarValue::Scalar(ScalarValue::Struct(value)) => {
            return vec![(value.is_valid(0).then(|| value.as_ref().clone()), 0..rows)];
        }
        ColumnarValue::Scalar(_) => return vec![(None, 0..rows)],
        ColumnarValue::Array(column) => column.as_struct(),
    };
    let value = |row: usize| column.is_valid(row).then(|| column.slice(row, 1));
    let mut runs: Vec<(Option<StructArray>, Range<usize>)> = vec![];
    for row in 0..column.len() {
        let value = value(row);
        match runs.last_mut() {
            Some((last, rows)) if *last == value => rows.end = row + 1,
            _ => runs.push((value, row..row + 1)),
        }
    }
    runs
}

/// Window `index` (0-based) of a run; `None` when nothing was learnt in it.
///
/// # Errors
/// Fails when there is no such window.
pub(super) fn window(
    function: &str,
    windows: Option<&ArrayRef>,
    index: i64,
) -> Result<Option<StructArray>> {
    let Some(windows) = windows else {
        return Ok(None);
    };
    match usize::try_from(index) {
        Ok(index) if index < windows.len() => Ok(windows
            .is_valid(index)
            .then(|| windows.as_struct().slice(index, 1))),
        _ => exec_err!(
            "{function}: there is no window {index}, the array has {} and counts from 0",
            windows.len()
        ),
    }
}

/// The list in field `name` of a window.
///
/// # Errors
/// Fails when there is no such field.
pub(super) fn field<'a, T: ArrowPrimitiveType>(
    window: &'a StructArray,
    name: &str,
) -> Result<&'a [T::Native]> {
    let list = window
        .column_by_name(name)
        .ok_or_else(|| exec_datafusion_err!("a window has no field {name}"))?
        .as_list::<i32>();
    let offsets = list.value_offsets();
    let values = list.values().as_primitive::<T>().values();
    Ok(&values[offsets[0] as usize..offsets[1] as usize])
}

/// A run's rows of each window, in the order of the windows.
pub(super) fn by_window(
    rows: impl Iterator<Item = usize>,
    windows: &[i64],
) -> BTreeMap<i64, Vec<usize>> {
    let mut groups = BTreeMap::<i64, Vec<usize>>::new();
    for row in rows {
        groups.entry(windows[row]).or_default().push(row);
    }
    groups
}
