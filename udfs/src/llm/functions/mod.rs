//! The model functions as SQL sees them: one file each.
//!
//! A model function is a *marker*: it has a name, a signature and a type, and is
//! never evaluated where it stands. [`rule`](super::rule) lifts each call into
//! the operator that asks the model. To add a function, implement
//! [`ModelFunction`] in its own file and name it in [`FUNCTIONS`].

mod arguments;
mod choose;
mod decide;
mod embed;
mod model_fingerprint;
mod perplexity;

use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

pub(super) use arguments::Row;

use super::backend::{Backend, ModelError, Reply, Sampling};
use super::models::Models;
use arguments::Parameter;
use model_fingerprint::ModelFingerprint;

/// Every model function.
const FUNCTIONS: [&dyn ModelFunction; 4] = [
    &decide::Decide,
    &choose::Choose,
    &perplexity::Perplexity,
    &embed::Embed,
];

/// What a model function is, to SQL and to the operator.
#[async_trait]
pub(super) trait ModelFunction: Debug + Send + Sync {
    /// Its SQL name.
    fn name(&self) -> &'static str;

    /// Its parameters, the first one being [`Parameter::Model`].
    fn parameters(&self) -> &'static [Parameter];

    /// Whether it asks an encoder, and not a model that writes.
    fn asks_encoder(&self) -> bool {
        false
    }

    /// The type of one answer.
    fn answer_type(&self) -> DataType;

    /// Its page in the SQL reference.
    fn documentation(&self) -> &'static Documentation;

    /// Asks the model about one row whose arguments are not null; the answer is
    /// an array of one value.
    async fn ask(
        &self,
        backend: &dyn Backend,
        row: Row<'_>,
        sampling: &Sampling,
    ) -> Result<Reply<ArrayRef>, ModelError>;

    /// The answer, an array of one value, of a row that cannot be done.
    fn failure(&self, reason: &str) -> ArrayRef;
}

/// The markers of all model functions, and what can be said of `models` without asking
/// them; to be registered in a session.
pub fn functions(models: &Arc<Models>) -> Vec<ScalarUDF> {
    let markers = FUNCTIONS.into_iter().map(Marker::new);
    let fingerprint = ModelFingerprint::new(Arc::clone(models));
    markers
        .map(ScalarUDF::from)
        .chain([ScalarUDF::from(fingerprint)])
        .collect()
}

/// A model function in an expression.
#[derive(Debug)]
pub(super) struct Marker {
    function: &'static dyn ModelFunction,
    signature: Signature,
}

impl Marker {
    fn new(function: &'static dyn ModelFunction) -> Self {
        // Volatile keeps every pass that may meet a marker from copying it or
        // from merging it into a cheap filter.
        let signature = Signature::user_defined(Volatility::Volatile);
        Self {
            function,
            signature,
        }
    }

    /// What the marker stands for.
    pub(super) fn function(&self) -> &'static dyn ModelFunction {
        self.function
    }
}

impl PartialEq for Marker {
    fn eq(&self, other: &Self) -> bool {
        self.function.name() == other.function.name()
    }
}

impl Eq for Marker {}

impl Hash for Marker {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name().hash(state);
    }
}

impl ScalarUDFImpl for Marker {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let parameters = self.function.parameters();
        let usage = &self.function.documentation().syntax_example;
        if given.len() != parameters.len() {
            return plan_err!(
                "{} takes {} arguments, not {}: {usage}",
                self.name(),
                parameters.len(),
                given.len()
            );
        }
        parameters
            .iter()
            .zip(given)
            .map(|(parameter, given)| match parameter.coerce(given) {
                Some(coerced) => Ok(coerced),
                None => plan_err!("{usage}: {parameter}, not {given}"),
            })
            .collect()
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.function.answer_type())
    }

    fn invoke_with_args(&self, _arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!(
            "{} was not lifted into its operator: install the model functions with `llm::install`",
            self.name()
        )
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(self.function.documentation())
    }
}
