//! `short_count`: a count as people round it.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::columns::{Rows, coerce, columns};

/// The units, smallest first.
const UNITS: [(u128, &str); 4] = [
    (1_000, "k"),
    (1_000_000, "M"),
    (1_000_000_000, "B"),
    (1_000_000_000_000, "T"),
];

#[user_doc(
    doc_section(label = "Text Functions"),
    description = "A count as people round it: below 1,000 as it is, else in thousands (k), millions (M), billions (B) or trillions (T), with one decimal below ten of them. Halves are rounded up. NULL for NULL.",
    syntax_example = "short_count(n)",
    sql_example = "```sql\n> SELECT short_count(12345);\n12k\n```",
    argument(name = "n", description = "BIGINT.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ShortCount {
    signature: Signature,
}

impl ShortCount {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for ShortCount {
    fn name(&self) -> &str {
        "short_count"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        coerce(self.name(), &[DataType::Int64], given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = columns(&args)?;
        let counts = columns[0].as_primitive::<Int64Type>();
        let texts = Rows::new(&columns).text(|row, out| write_short(counts.value(row), out))?;
        Ok(ColumnarValue::Array(Arc::new(texts)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn write_short(count: i64, out: &mut String) -> Result<()> {
    let sign = if count < 0 { "-" } else { "" };
    let size = u128::from(count.unsigned_abs());
    if size < UNITS[0].0 {
        return Ok(write!(out, "{sign}{size}")?);
    }
    // The first unit of which fewer than 1,000 are shown: 999,950 is 1M, not 1000k.
    let fits = |(unit, _): &&(u128, &str)| rounded(size, *unit) < 1_000;
    let (unit, name) = UNITS.iter().find(fits).unwrap_or(&UNITS[3]);
    let tenths = rounded(size * 10, *unit);
    if tenths >= 100 {
        write!(out, "{sign}{}{name}", rounded(size, *unit))?;
    } else if tenths.is_multiple_of(10) {
        write!(out, "{sign}{}{name}", tenths / 10)?;
    } else {
        write!(out, "{sign}{}.{}{name}", tenths / 10, tenths % 10)?;
    }
    Ok(())
}

fn rounded(size: u128, unit: u128) -> u128 {
    (size + unit / 2) / unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_rounded_as_shown() {
        for (count, text) in [
            (0, "0"),
            (7, "7"),
            (999, "999"),
            (1_000, "1k"),
            (1_049, "1k"),
            (1_050, "1.1k"),
            (1_234, "1.2k"),
            (9_949, "9.9k"),
            (9_950, "10k"),
            (12_345, "12k"),
            (12_500, "13k"),
            (999_499, "999k"),
            (999_500, "1M"),
            (999_950, "1M"),
            (1_000_000, "1M"),
            (1_250_000, "1.3M"),
            (3_000_000, "3M"),
            (999_499_999, "999M"),
            (999_500_000, "1B"),
            (2_400_000_000, "2.4B"),
            (5_000_000_000_000, "5T"),
            (-999, "-999"),
            (-1_500, "-1.5k"),
            (i64::MIN, "-9223372T"),
        ] {
            let mut out = String::new();
            write_short(count, &mut out).unwrap();
            assert_eq!(out, text, "{count}");
        }
    }
}
