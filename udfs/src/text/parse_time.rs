//! `parse_time`: a time as others write it.

use std::sync::Arc;

use chrono::format::{Item, Parsed, StrftimeItems, parse};
use datafusion::arrow::array::{AsArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::columns::{Rows, coerce, columns};

#[user_doc(
    doc_section(label = "Text Functions"),
    description = "The time that a text says, as a TIMESTAMP in UTC. The format is that of strftime (%Y %m %d %H %M %S %.f %I %p %a %b %B %z %s and the others of Rust's chrono); numbers need no leading zeros. A %z offset is applied, a text without one is in UTC, a date alone is its midnight. NULL when the text does not follow the format, and for NULL.",
    syntax_example = "parse_time(text, format)",
    sql_example = "```sql\n> SELECT parse_time('11/9/2019 6:42:51 PM', '%m/%d/%Y %I:%M:%S %p');\n2019-11-09T18:42:51\n```",
    argument(name = "text", description = "Text."),
    argument(
        name = "format",
        description = "Text; one that strftime does not know is an error."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ParseTime {
    signature: Signature,
}

impl ParseTime {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for ParseTime {
    fn name(&self) -> &str {
        "parse_time"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        coerce(
            self.name(),
            &[DataType::Utf8View, DataType::Utf8View],
            given,
        )
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Timestamp(TimeUnit::Microsecond, None))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = columns(&args)?;
        let texts = columns[0].as_string_view();
        let formats = columns[1].as_string_view();
        let mut known = ("", vec![]);
        let rows = Rows::new(&columns);
        let times = rows.values(|row| {
            let format = formats.value(row);
            if format != known.0 {
                known = (format, items(format)?);
            }
            Ok(microseconds(texts.value(row), &known.1))
        });
        let times = times.map(|time| time.map(Option::flatten));
        let times: TimestampMicrosecondArray = times.collect::<Result<_>>()?;
        Ok(ColumnarValue::Array(Arc::new(times)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn items(format: &str) -> Result<Vec<Item<'_>>> {
    let items = StrftimeItems::new(format).parse();
    items.map_err(|_| exec_datafusion_err!("parse_time: '{format}' is not a strftime format"))
}

/// Microseconds since 1970 in UTC.
fn microseconds(text: &str, format: &[Item]) -> Option<i64> {
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, format.iter()).ok()?;
    let has_hour = parsed.hour_div_12().is_some() || parsed.hour_mod_12().is_some();
    if !has_hour && parsed.timestamp().is_none() {
        parsed.set_hour(0).ok()?;
        parsed.set_minute(0).ok()?;
    }
    let offset = parsed.offset().unwrap_or(0);
    let local = parsed.to_naive_datetime_with_offset(offset).ok()?;
    let seconds = i64::from(offset);
    Some(local.and_utc().timestamp_micros() - seconds * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    fn shown(text: &str, format: &str) -> Option<String> {
        let time = microseconds(text, &items(format).unwrap())?;
        let time = DateTime::from_timestamp_micros(time).unwrap();
        Some(time.format("%Y-%m-%d %H:%M:%S%.f").to_string())
    }

    #[test]
    fn texts_that_follow_their_format() {
        for (text, format, time) in [
            (
                "11/9/2019 6:42:51 PM",
                "%m/%d/%Y %I:%M:%S %p",
                "2019-11-09 18:42:51",
            ),
            (
                "11/14/2019 12:00:01 AM",
                "%m/%d/%Y %I:%M:%S %p",
                "2019-11-14 00:00:01",
            ),
            (
                "Fri Apr 19 08:15:15 -0700 2013",
                "%a %b %d %H:%M:%S %z %Y",
                "2013-04-19 15:15:15",
            ),
            ("2012-02-29", "%Y-%m-%d", "2012-02-29 00:00:00"),
            ("October 21, 2018", "%B %d, %Y", "2018-10-21 00:00:00"),
            ("06 17, 2018", "%m %d, %Y", "2018-06-17 00:00:00"),
            (
                "2020-07-05 00:08:23.438",
                "%Y-%m-%d %H:%M:%S%.f",
                "2020-07-05 00:08:23.438",
            ),
            ("20200705", "%Y%m%d", "2020-07-05 00:00:00"),
            ("1956-06-01", "%Y-%m-%d", "1956-06-01 00:00:00"),
            ("1540094400", "%s", "2018-10-21 04:00:00"),
        ] {
            assert_eq!(shown(text, format).as_deref(), Some(time), "{text}");
        }
    }

    #[test]
    fn texts_that_do_not_are_null() {
        for (text, format) in [
            ("", "%Y-%m-%d"),
            ("Soon..", "%Y-%m-%d"),
            ("2019-02-29", "%Y-%m-%d"),
            ("2019-01-01 x", "%Y-%m-%d"),
            ("Jun 2009", "%b %Y"),
            ("13/1/2019 6:42:51 PM", "%m/%d/%Y %I:%M:%S %p"),
            ("Sat Apr 19 08:15:15 -0700 2013", "%a %b %d %H:%M:%S %z %Y"),
            ("9999999999999999999", "%s"),
            ("999999-01-01", "%Y-%m-%d"),
        ] {
            assert_eq!(shown(text, format), None, "{text}");
        }
    }

    #[test]
    fn a_format_that_is_none_is_an_error() {
        let message = items("%Q").unwrap_err().strip_backtrace();
        assert!(
            message.contains("'%Q' is not a strftime format"),
            "{message}"
        );
    }
}
