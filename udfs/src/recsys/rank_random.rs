//! `rank_random`: items drawn at random.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::utils::take_function_args;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::candidates::size;
use crate::columns::{Lists, Rows, coerce, columns, list_of};
use crate::sampling::keys::{Draws, RowKeys, key_type};

#[user_doc(
    doc_section(label = "Ranking Functions"),
    description = "Draws items at random, without repetition, in random order, decided by the seed and the key alone: from the items below the horizon that are not excluded, each equally likely. Fewer than asked when there are fewer. NULL when any argument is NULL.",
    syntax_example = "rank_random(seed, key, horizon, excluded, count)",
    sql_example = "```sql\nSELECT rank_random(42, scenario_id, horizon, seen, 32) FROM scenarios;\n```",
    argument(name = "seed", description = "BIGINT."),
    argument(name = "key", description = "Integer or text."),
    argument(
        name = "horizon",
        description = "BIGINT, the number of items available."
    ),
    argument(name = "excluded", description = "BIGINT[] of items never to propose."),
    argument(name = "count", description = "BIGINT, how many to propose.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct RankRandom {
    signature: Signature,
}

impl RankRandom {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for RankRandom {
    fn name(&self) -> &str {
        "rank_random"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let [_, key, _, _, _] = take_function_args(self.name(), given)?;
        let wanted = [
            DataType::Int64,
            key_type(self.name(), key)?,
            DataType::Int64,
            list_of(DataType::Int64),
            DataType::Int64,
        ];
        coerce(self.name(), &wanted, given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(list_of(DataType::Int64))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = columns(&args)?;
        let mut keys = RowKeys::new(&columns[0], &columns[1..2]);
        let horizons = columns[2].as_primitive::<Int64Type>();
        let excluded = Lists::<Int64Type>::try_new(self.name(), &columns[3])?;
        let counts = columns[4].as_primitive::<Int64Type>();
        let drawn = Rows::new(&columns).lists::<Int64Type>(|row, out| {
            let horizon = size(self.name(), "the horizon", horizons.value(row))?;
            let count = size(self.name(), "the count", counts.value(row))?;
            let mut draws = Draws::new(keys.hash(row));
            draw(horizon, excluded.row(row), count, &mut draws, out);
            Ok(())
        })?;
        Ok(ColumnarValue::Array(Arc::new(drawn)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// Draws in time proportional to `count` and `excluded`, however many items there are.
fn draw(horizon: usize, excluded: &[i64], count: usize, draws: &mut Draws, out: &mut Vec<i64>) {
    let mut taken: HashSet<i64> = excluded
        .iter()
        .copied()
        .filter(|item| (0..horizon as i64).contains(item))
        .collect();
    let count = count.min(horizon - taken.len());
    // While less than half is taken, every other draw at worst is drawn again.
    if 2 * (taken.len() + count) <= horizon {
        let end = out.len() + count;
        while out.len() < end {
            let item = draws.below(horizon as u64) as i64;
            if taken.insert(item) {
                out.push(item);
            }
        }
        return;
    }
    let mut left: Vec<i64> = (0..horizon as i64)
        .filter(|item| !taken.contains(item))
        .collect();
    for _ in 0..count {
        out.push(left.swap_remove(draws.below(left.len() as u64) as usize));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sampling::keys::tests::chi_square;

    fn drawn(horizon: usize, excluded: &[i64], count: usize, hash: u64) -> Vec<i64> {
        let mut out = vec![];
        draw(horizon, excluded, count, &mut Draws::new(hash), &mut out);
        out
    }

    proptest! {
        #[test]
        fn draws_distinct_allowed_items(
            horizon in 0..60_usize,
            excluded in prop::collection::vec(-5..80_i64, 0..60),
            count in 0..70_usize,
            hash: u64,
        ) {
            let items = drawn(horizon, &excluded, count, hash);
            let distinct: HashSet<i64> = items.iter().copied().collect();
            prop_assert_eq!(distinct.len(), items.len());
            for item in &items {
                prop_assert!((0..horizon as i64).contains(item) && !excluded.contains(item));
            }
            let allowed = (0..horizon as i64).filter(|item| !excluded.contains(item)).count();
            prop_assert_eq!(items.len(), count.min(allowed));
        }
    }

    #[test]
    fn every_ordered_pair_is_equally_likely() {
        // 12 items with 2 drawn goes by rejection, 5 with 2 excluded by elimination.
        for (horizon, excluded, pairs) in [(12, &[][..], 132), (5, &[0, 3][..], 6)] {
            let mut counts = vec![0; horizon * horizon];
            for hash in 0..pairs * 200 {
                let pair = drawn(horizon, excluded, 2, hash);
                counts[pair[0] as usize * horizon + pair[1] as usize] += 1;
            }
            counts.retain(|count| *count > 0);
            assert_eq!(counts.len(), pairs as usize);
            // Five standard deviations above the statistic's mean.
            let freedom = pairs as f64 - 1.0;
            assert!(chi_square(&counts) < freedom + 5.0 * (2.0 * freedom).sqrt());
        }
    }
}
