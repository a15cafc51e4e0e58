//! Rankers: functions that propose what else could have been shown.
//!
//! Items are dense indexes in order of availability, so that what a user could have
//! seen at a time is a prefix: the items below a horizon. Every ranker masks first
//! (horizon, excluded items) and takes its best after; ties go to the smaller index.
//!
//! What a ranker learns from the log is an aggregate's result, one value a window of
//! time, and reaches the ranker as an array of windows: learnt once, asked per row.

mod candidates;
mod dense_rows;
mod factorize;
mod factors;
mod products;
mod rank_collaborative;
mod rank_content;
mod rank_random;
mod score_collaborative;
mod singular;
mod sparse_rows;
mod windows;

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

/// The scalar functions of this module.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    [
        ScalarUDF::from(rank_collaborative::RankCollaborative::new()),
        ScalarUDF::from(rank_content::RankContent::new()),
        ScalarUDF::from(rank_random::RankRandom::new()),
        ScalarUDF::from(score_collaborative::ScoreCollaborative::new()),
    ]
    .map(Arc::new)
    .into()
}

/// The aggregate functions of this module.
pub fn aggregates() -> Vec<Arc<AggregateUDF>> {
    [
        AggregateUDF::from(dense_rows::DenseRows::new()),
        AggregateUDF::from(factorize::Factorize::new()),
        AggregateUDF::from(sparse_rows::SparseRows::new()),
    ]
    .map(Arc::new)
    .into()
}
