//! `model_fingerprint(model)`: which model answers to a name.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, DocSection, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::llm::models::Models;

/// The function `model_fingerprint`. It asks the model nothing, so it stays where it stands.
#[derive(Debug)]
pub struct ModelFingerprint {
    models: Arc<Models>,
    signature: Signature,
}

impl ModelFingerprint {
    /// Knows `models`.
    pub fn new(models: Arc<Models>) -> Self {
        Self {
            models,
            signature: Signature::string(1, Volatility::Stable),
        }
    }
}

impl PartialEq for ModelFingerprint {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.models, &other.models)
    }
}

impl Eq for ModelFingerprint {}

impl Hash for ModelFingerprint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.models).hash(state);
    }
}

impl ScalarUDFImpl for ModelFingerprint {
    fn name(&self) -> &'static str {
        "model_fingerprint"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ColumnarValue::Scalar(name)] = arguments.args.as_slice() else {
            return plan_err!("model_fingerprint takes the name of one model, a literal");
        };
        let fingerprint = match name.try_as_str().flatten() {
            Some(name) => Some(self.models.get(name)?.info().fingerprint.clone()),
            None => None,
        };
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(fingerprint)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&DOCUMENTATION)
    }
}

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    Documentation::builder(
        DocSection {
            include: true,
            label: "Model Functions",
            description: None,
        },
        "The fingerprint of a registered model: the same for the same files, or for the same \
         served model asked in the same way. NULL for NULL."
            .to_owned(),
        "model_fingerprint(model)".to_owned(),
    )
    .with_sql_example("```sql\nSELECT model_fingerprint('weak');\n```")
    .with_argument("model", "The name of a registered model, a literal.")
    .build()
});
