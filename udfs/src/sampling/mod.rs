//! Keyed randomness: the same seed and key give the same draw, everywhere.

mod draw_int;
mod insert_at;
mod interleave;
pub(crate) mod keys;
mod stable_hash;
mod uniform;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

/// The functions of this module.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    [
        ScalarUDF::from(draw_int::DrawInt::new()),
        ScalarUDF::from(insert_at::InsertAt::new()),
        ScalarUDF::from(interleave::Interleave::new()),
        ScalarUDF::from(stable_hash::StableHash::new()),
        ScalarUDF::from(uniform::Uniform::new()),
    ]
    .map(Arc::new)
    .into()
}
