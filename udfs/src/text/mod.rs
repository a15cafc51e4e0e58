//! text functions.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

/// The functions of this module.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![]
}
