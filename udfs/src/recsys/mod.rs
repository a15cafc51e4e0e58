//! Rankers: functions that propose what else could have been shown.

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

/// The scalar functions of this module.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![]
}

/// The aggregate functions of this module.
pub fn aggregates() -> Vec<Arc<AggregateUDF>> {
    vec![]
}
