//! The one hash behind every keyed draw.
//!
//! A draw depends on its seed and key alone, so a query gives the same rows on
//! every machine, with any number of threads and any batch size.

use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array, StringViewArray, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Int64Type, UInt64Type};
use datafusion::common::plan_err;
use datafusion::error::Result;
use twox_hash::XxHash3_64;

use crate::columns::coerce;

/// The types of `lead` followed by one or more keys, as this function wants them.
///
/// # Errors
/// Fails when there is no key, or a key is neither an integer nor text.
pub(crate) fn keyed_types(
    function: &str,
    lead: &[DataType],
    given: &[DataType],
) -> Result<Vec<DataType>> {
    if given.len() <= lead.len() {
        return plan_err!(
            "{function} takes {} arguments and then at least one key, got {}",
            lead.len(),
            given.len()
        );
    }
    let keys = given[lead.len()..]
        .iter()
        .map(|key| key_type(function, key));
    let lead = coerce(function, lead, &given[..lead.len()])?;
    lead.into_iter().map(Ok).chain(keys).collect()
}

/// The type a key column is read as.
///
/// # Errors
/// Fails when the column is neither integers nor text.
pub(crate) fn key_type(function: &str, given: &DataType) -> Result<DataType> {
    match given {
        DataType::UInt64 => Ok(DataType::UInt64),
        integer if integer.is_integer() => Ok(DataType::Int64),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => {
            Ok(DataType::Utf8View)
        }
        DataType::Dictionary(_, value) => key_type(function, value),
        other => plan_err!(
            "{function}: a key is an integer or text, not {other}; cast it to one of them"
        ),
    }
}

/// The seed and key columns of a call.
pub(crate) struct RowKeys {
    seeds: Int64Array,
    keys: Vec<Key>,
    encoded: Vec<u8>,
}

enum Key {
    Signed(Int64Array),
    Unsigned(UInt64Array),
    Text(StringViewArray),
}

impl RowKeys {
    /// Columns of the types that [`keyed_types`] asks for.
    pub(crate) fn new(seeds: &ArrayRef, keys: &[ArrayRef]) -> Self {
        let key = |column: &ArrayRef| match column.data_type() {
            DataType::Int64 => Key::Signed(column.as_primitive::<Int64Type>().clone()),
            DataType::UInt64 => Key::Unsigned(column.as_primitive::<UInt64Type>().clone()),
            _ => Key::Text(column.as_string_view().clone()),
        };
        Self {
            seeds: seeds.as_primitive::<Int64Type>().clone(),
            keys: keys.iter().map(key).collect(),
            encoded: Vec::new(),
        }
    }

    /// XXH3-64 of the row's key under the row's seed.
    pub(crate) fn hash(&mut self, row: usize) -> u64 {
        self.encoded.clear();
        for key in &self.keys {
            match key {
                Key::Signed(column) => encode_integer(column.value(row).into(), &mut self.encoded),
                Key::Unsigned(column) => {
                    encode_integer(column.value(row).into(), &mut self.encoded);
                }
                Key::Text(column) => encode_text(column.value(row), &mut self.encoded),
            }
        }
        XxHash3_64::oneshot_with_seed(self.seeds.value(row).cast_unsigned(), &self.encoded)
    }
}

/// Integers hash by value, whatever the width of their column.
fn encode_integer(value: i128, encoded: &mut Vec<u8>) {
    encoded.push(b'i');
    encoded.extend_from_slice(&value.to_le_bytes());
}

/// The length keeps neighbours apart: ('a', 'bc') is not ('ab', 'c').
fn encode_text(value: &str, encoded: &mut Vec<u8>) {
    encoded.push(b't');
    encoded.extend_from_slice(&(value.len() as u64).to_le_bytes());
    encoded.extend_from_slice(value.as_bytes());
}

/// A hash as a number in [0, 1): its 53 leading bits, all that a double holds.
pub(crate) fn unit_interval(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

/// A row's further draws: draw `i` hashes `i` under the row's own hash.
pub(crate) struct Draws {
    hash: u64,
    next: u64,
}

impl Draws {
    pub(crate) fn new(hash: u64) -> Self {
        Self { hash, next: 0 }
    }

    /// 64 uniform bits.
    pub(crate) fn bits(&mut self) -> u64 {
        let draw = XxHash3_64::oneshot_with_seed(self.hash, &self.next.to_le_bytes());
        self.next += 1;
        draw
    }

    /// A draw from 0..`bound`. Its bias is below `bound` / 2^64.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        scale(self.bits(), bound.into())
    }
}

/// Maps a hash onto 0..`bound` (at most 2^64) by its leading bits.
pub(crate) fn scale(hash: u64, bound: u128) -> u64 {
    ((u128::from(hash) * bound) >> 64) as u64
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use super::*;

    fn hash(seed: i64, keys: Vec<ArrayRef>) -> u64 {
        RowKeys::new(&(Arc::new(Int64Array::from(vec![seed])) as ArrayRef), &keys).hash(0)
    }

    fn text(value: &str) -> ArrayRef {
        Arc::new(StringViewArray::from(vec![value]))
    }

    /// Pearson's statistic against equal expected counts.
    pub(crate) fn chi_square(counts: &[u32]) -> f64 {
        let expected = f64::from(counts.iter().sum::<u32>()) / counts.len() as f64;
        counts
            .iter()
            .map(|&count| (f64::from(count) - expected).powi(2) / expected)
            .sum()
    }

    #[test]
    fn key_borders_matter() {
        assert_ne!(
            hash(1, vec![text("a"), text("bc")]),
            hash(1, vec![text("ab"), text("c")])
        );
    }

    #[test]
    fn seed_matters() {
        assert_ne!(hash(1, vec![text("a")]), hash(2, vec![text("a")]));
    }

    #[test]
    fn integers_hash_by_value() {
        let signed: ArrayRef = Arc::new(Int64Array::from(vec![7]));
        let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![7]));
        assert_eq!(hash(1, vec![signed]), hash(1, vec![Arc::clone(&unsigned)]));
        assert_ne!(hash(1, vec![unsigned]), hash(1, vec![text("7")]));
    }

    #[test]
    fn draws_cover_their_range_evenly() {
        let mut counts = [0; 7];
        let mut draws = Draws::new(42);
        for _ in 0..7_000 {
            counts[draws.below(7) as usize] += 1;
        }
        // 6 degrees of freedom: 22.5 is the 0.1 % point.
        assert!(chi_square(&counts) < 22.5, "{counts:?}");
    }
}
