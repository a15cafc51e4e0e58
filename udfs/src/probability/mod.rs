//! Measures of letter distributions, and draws from them.

mod draw_index;
mod entropy;
mod first_probs;
mod letter;
mod letter_index;
mod mean_probs;

use std::sync::Arc;

use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

/// The scalar functions of this module.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    [
        ScalarUDF::from(draw_index::DrawIndex::new()),
        ScalarUDF::from(entropy::Entropy::new()),
        ScalarUDF::from(first_probs::FirstProbs::new()),
        ScalarUDF::from(letter::Letter::new()),
        ScalarUDF::from(letter_index::LetterIndex::new()),
    ]
    .map(Arc::new)
    .into()
}

/// The aggregate functions of this module.
pub fn aggregates() -> Vec<Arc<AggregateUDF>> {
    vec![Arc::new(AggregateUDF::from(mean_probs::MeanProbs::new()))]
}

/// Refuses what cannot be a distribution: nothing at all, NaN, negative or
/// infinite weights. The weights need not sum to 1.
fn check_distribution(function: &str, probs: &[f64]) -> Result<()> {
    if probs.is_empty() {
        return exec_err!("{function}: an empty list is not a distribution");
    }
    match probs.iter().find(|p| !(0.0..f64::INFINITY).contains(*p)) {
        Some(p) => exec_err!("{function}: {p} is not a probability"),
        None => Ok(()),
    }
}
