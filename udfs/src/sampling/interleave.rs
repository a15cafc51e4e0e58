//! `interleave`: merges ranked lists at random without reordering any of them.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::keys::{Draws, RowKeys, key_type};
use crate::columns::{Lists, Rows, coerce, columns, list_of};

#[user_doc(
    doc_section(label = "Sampling Functions"),
    description = "Merges lists by a uniformly random interleave: each list keeps its order, and all ways to merge them are equally likely. A value's first occurrence is kept, later ones are dropped. A NULL list counts as empty; a NULL seed or key gives NULL.",
    syntax_example = "interleave(seed, key, list[, ..., list_n])",
    sql_example = "```sql\nSELECT interleave(42, scenario_id, by_chance, by_taste) FROM candidates;\n```",
    argument(name = "seed", description = "BIGINT."),
    argument(name = "key", description = "Integer or text."),
    argument(
        name = "list",
        description = "BIGINT[], best first; any number of them."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Interleave {
    signature: Signature,
}

impl Interleave {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for Interleave {
    fn name(&self) -> &str {
        "interleave"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let [_, key, lists @ ..] = given else {
            return plan_err!("interleave takes a seed, a key and lists");
        };
        let mut wanted = vec![DataType::Int64, key_type(self.name(), key)?];
        wanted.extend(lists.iter().map(|_| list_of(DataType::Int64)));
        coerce(self.name(), &wanted, given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(list_of(DataType::Int64))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = columns(&args)?;
        let (drawn, merged) = columns.split_at(2);
        let mut keys = RowKeys::new(&drawn[0], &drawn[1..]);
        let lists = merged
            .iter()
            .map(|list: &ArrayRef| Lists::<Int64Type>::try_new(self.name(), list))
            .collect::<Result<Vec<_>>>()?;
        let merged = Rows::new(drawn).lists::<Int64Type>(|row, out| {
            let mut rest: Vec<&[i64]> = lists.iter().map(|list| list.row(row)).collect();
            interleave(&mut rest, &mut Draws::new(keys.hash(row)), out);
            Ok(())
        })?;
        Ok(ColumnarValue::Array(Arc::new(merged)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// Takes from each list with a chance in proportion to what is left of it, which
/// makes all interleavings equally likely.
fn interleave(rest: &mut [&[i64]], draws: &mut Draws, out: &mut Vec<i64>) {
    let mut seen = HashSet::new();
    let mut left: usize = rest.iter().map(|list| list.len()).sum();
    while left > 0 {
        let mut ticket = draws.below(left as u64) as usize;
        for list in rest.iter_mut() {
            if let Some((first, others)) = list.split_first()
                && ticket < list.len()
            {
                if seen.insert(*first) {
                    out.push(*first);
                }
                *list = others;
                break;
            }
            ticket -= list.len();
        }
        left -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use proptest::prelude::*;

    use super::super::keys::tests::chi_square;
    use super::*;

    fn merged(lists: &[Vec<i64>], hash: u64) -> Vec<i64> {
        let mut out = Vec::new();
        let mut rest: Vec<&[i64]> = lists.iter().map(Vec::as_slice).collect();
        interleave(&mut rest, &mut Draws::new(hash), &mut out);
        out
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_repeated(
            lists in prop::collection::vec(prop::collection::vec(0..20_i64, 0..8), 0..5),
            hash: u64,
        ) {
            let out = merged(&lists, hash);
            let wanted: BTreeSet<i64> = lists.iter().flatten().copied().collect();
            prop_assert_eq!(out.len(), wanted.len());
            prop_assert_eq!(out.into_iter().collect::<BTreeSet<_>>(), wanted);
        }

        #[test]
        fn disjoint_lists_keep_their_order(
            lengths in prop::collection::vec(0..8_i64, 0..5),
            hash: u64,
        ) {
            let lists: Vec<Vec<i64>> = (0..)
                .zip(&lengths)
                .map(|(list, &length)| (0..length).map(|i| list * 100 - i).collect())
                .collect();
            let out = merged(&lists, hash);
            for list in &lists {
                let kept: Vec<i64> = out.iter().copied().filter(|v| list.contains(v)).collect();
                prop_assert_eq!(&kept, list);
            }
        }
    }

    #[test]
    fn every_interleaving_is_equally_likely() {
        let lists = [vec![1, 2], vec![3, 4], vec![5]];
        let mut counts: HashMap<Vec<i64>, u32> = HashMap::new();
        for hash in 0..30_000 {
            *counts.entry(merged(&lists, hash)).or_default() += 1;
        }
        // 5! / (2! 2! 1!) = 30 interleavings; 29 degrees of freedom: 58.3 is the 0.1 % point.
        assert_eq!(counts.len(), 30);
        let counts: Vec<u32> = counts.into_values().collect();
        assert!(chi_square(&counts) < 58.3, "{counts:?}");
    }
}
