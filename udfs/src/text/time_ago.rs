//! `time_ago`: a span of time as people say it.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::error::Result;
use datafusion::logical_expr::{
    Coercion, ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    TypeSignatureClass, Volatility,
};
use datafusion_macros::user_doc;

use crate::columns::{Rows, columns};

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The units, largest first, in microseconds.
const UNITS: [(i64, &str); 5] = [
    (365 * DAY, "year"),
    (30 * DAY, "month"),
    (DAY, "day"),
    (HOUR, "hour"),
    (MINUTE, "minute"),
];

#[user_doc(
    doc_section(label = "Text Functions"),
    description = "How long before a time another one was, in the largest whole unit that fits: years (365 days), months (30 days), days, hours, minutes, else 'just now'. A time that is not earlier is 'just now'. NULL when an argument is NULL.",
    syntax_example = "time_ago(earlier, later)",
    sql_example = "```sql\n> SELECT time_ago(TIMESTAMP '2001-01-01', TIMESTAMP '2001-01-04 12:00:00');\n3 days ago\n```",
    argument(name = "earlier", description = "TIMESTAMP of any unit."),
    argument(name = "later", description = "TIMESTAMP of any unit.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct TimeAgo {
    signature: Signature,
}

impl TimeAgo {
    pub(super) fn new() -> Self {
        let timestamp = Coercion::new_exact(TypeSignatureClass::Timestamp);
        Self {
            signature: Signature::coercible(
                vec![timestamp.clone(), timestamp],
                Volatility::Immutable,
            ),
        }
    }
}

impl ScalarUDFImpl for TimeAgo {
    fn name(&self) -> &str {
        "time_ago"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = columns(&args)?
            .iter()
            .map(microseconds)
            .collect::<Result<Vec<_>>>()?;
        let earlier = columns[0].as_primitive::<TimestampMicrosecondType>();
        let later = columns[1].as_primitive::<TimestampMicrosecondType>();
        let texts = Rows::new(&columns)
            .text(|row, out| write_ago(later.value(row).saturating_sub(earlier.value(row)), out))?;
        Ok(ColumnarValue::Array(Arc::new(texts)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn microseconds(times: &ArrayRef) -> Result<ArrayRef> {
    Ok(cast(
        times,
        &DataType::Timestamp(TimeUnit::Microsecond, None),
    )?)
}

fn write_ago(span: i64, out: &mut String) -> Result<()> {
    match UNITS.iter().find(|(unit, _)| span >= *unit) {
        Some((unit, name)) => {
            let count = span / unit;
            let plural = if count == 1 { "" } else { "s" };
            write!(out, "{count} {name}{plural} ago")?;
        }
        None => out.push_str("just now"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ago(span: i64) -> String {
        let mut out = String::new();
        write_ago(span, &mut out).unwrap();
        out
    }

    #[test]
    fn the_largest_unit_that_fits() {
        for (span, text) in [
            (0, "just now"),
            (MINUTE - 1, "just now"),
            (MINUTE, "1 minute ago"),
            (2 * MINUTE - 1, "1 minute ago"),
            (2 * MINUTE, "2 minutes ago"),
            (HOUR - 1, "59 minutes ago"),
            (HOUR, "1 hour ago"),
            (DAY - 1, "23 hours ago"),
            (DAY, "1 day ago"),
            (30 * DAY - 1, "29 days ago"),
            (30 * DAY, "1 month ago"),
            (60 * DAY, "2 months ago"),
            (365 * DAY - 1, "12 months ago"),
            (365 * DAY, "1 year ago"),
            (730 * DAY - 1, "1 year ago"),
            (730 * DAY, "2 years ago"),
        ] {
            assert_eq!(ago(span), text);
        }
    }

    #[test]
    fn the_future_is_now() {
        assert_eq!(ago(-1), "just now");
        assert_eq!(ago(-DAY), "just now");
        assert_eq!(ago(i64::MIN), "just now");
    }
}
