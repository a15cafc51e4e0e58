//! The SQL functions of usermirror, one function a file.
//!
//! | module | what its functions do |
//! | --- | --- |
//! | [`text`] | turn values into the words a prompt shows |
//! | [`probability`] | measure and draw from letter distributions |
//! | [`sampling`] | keyed randomness: hashes, draws, interleaving |
//! | [`recsys`] | the rankers that propose what else could have been shown |
//! | [`raw`] | table functions that read publishers' raw files |
//! | [`llm`] | model functions, their operator, and the model engine |
//!
//! Beside them, [`subqueries`] is a rule that lets large values reach a function.
//!
//! To add a function: write its file beside its kin, with its documentation and
//! its unit test, and add one line to the module's `functions()`.

mod columns;
pub mod llm;
pub mod probability;
pub mod raw;
pub mod recsys;
pub mod sampling;
pub mod subqueries;
pub mod text;

use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;

/// Registers every scalar and aggregate function of this crate.
///
/// Table functions ([`raw`]) and model functions ([`llm`]) need more than a
/// function registry and are installed by the session.
///
/// # Errors
/// Fails when the registry refuses a function.
pub fn register_all(registry: &mut dyn FunctionRegistry) -> Result<()> {
    let scalars = [
        text::functions(),
        probability::functions(),
        sampling::functions(),
        recsys::functions(),
    ];
    for function in scalars.into_iter().flatten() {
        registry.register_udf(function)?;
    }
    datafusion_functions_json::register_all(registry)?;
    let aggregates = [probability::aggregates(), recsys::aggregates()];
    for aggregate in aggregates.into_iter().flatten() {
        registry.register_udaf(aggregate)?;
    }
    Ok(())
}
