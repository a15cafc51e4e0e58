//! `entropy`: how undecided a distribution is.

use std::sync::Arc;

use datafusion::arrow::array::Float64Array;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::check_distribution;
use crate::columns::{Lists, Rows, coerce, columns, list_of};

/// Below this a probability counts as this much, so that an impossible letter
/// does not make the entropy undefined.
const FLOOR: f64 = 1e-10;

#[user_doc(
    doc_section(label = "Probability Functions"),
    description = "The entropy of a distribution in bits: 0 when one choice is certain, log2(n) when n choices are equally likely. Probabilities are floored at 1e-10 and renormalised. An error when one is negative or not a number; NULL for NULL.",
    syntax_example = "entropy(probs)",
    sql_example = "```sql\n> SELECT entropy([0.5, 0.5]);\n1.0\n```",
    argument(name = "probs", description = "DOUBLE[], one probability a choice.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Entropy {
    signature: Signature,
}

impl Entropy {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for Entropy {
    fn name(&self) -> &str {
        "entropy"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        coerce(self.name(), &[list_of(DataType::Float64)], given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = columns(&args)?;
        let probs = Lists::<Float64Type>::try_new(self.name(), &columns[0])?;
        let bits: Float64Array = Rows::new(&columns)
            .values(|row| entropy(probs.row(row)))
            .collect::<Result<_>>()?;
        Ok(ColumnarValue::Array(Arc::new(bits)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// H(p) = −Σ p log2 p.
fn entropy(probs: &[f64]) -> Result<f64> {
    check_distribution("entropy", probs)?;
    let floored = || probs.iter().map(|p| p.max(FLOOR));
    let total: f64 = floored().sum();
    let bits = floored().map(|p| p / total).map(|p| -p * p.log2()).sum();
    // The sum of a certain outcome is -0.0.
    Ok(f64::max(bits, 0.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_chances_give_log2_of_their_number() {
        for n in 1..=26_u32 {
            let bits = entropy(&vec![1.0 / f64::from(n); n as usize]).unwrap();
            assert!((bits - f64::from(n).log2()).abs() < 1e-12);
        }
    }

    #[test]
    fn certainty_is_almost_nothing() {
        let bits = entropy(&[1.0, 0.0]).unwrap();
        assert!(bits > 0.0 && bits < 4e-9, "{bits}");
    }

    #[test]
    fn what_is_no_distribution_is_an_error() {
        for probs in [&[][..], &[-0.1, 1.1], &[f64::NAN], &[f64::INFINITY, 1.0]] {
            assert!(entropy(probs).is_err(), "{probs:?}");
        }
    }

    proptest! {
        #[test]
        fn scale_does_not_matter(probs in prop::collection::vec(0.01..1.0_f64, 1..12)) {
            let doubled: Vec<f64> = probs.iter().map(|p| p * 2.0).collect();
            let difference = entropy(&probs).unwrap() - entropy(&doubled).unwrap();
            prop_assert!(difference.abs() < 1e-12);
        }
    }
}
