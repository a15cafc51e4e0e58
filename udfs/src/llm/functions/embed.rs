//! `embed(model, text)`: a text as a vector.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, Float32Array, ListArray, new_null_array};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::{DocSection, Documentation};

use super::ModelFunction;
use super::arguments::{Parameter, Row};
use crate::llm::backend::{Backend, ModelError, Reply, Sampling};

/// The function `embed`.
#[derive(Debug)]
pub(super) struct Embed;

#[async_trait]
impl ModelFunction for Embed {
    fn name(&self) -> &'static str {
        "embed"
    }

    fn parameters(&self) -> &'static [Parameter] {
        &[Parameter::Model, Parameter::Text]
    }

    fn asks_encoder(&self) -> bool {
        true
    }

    /// A list and not one of fixed size: its type holds whatever model is opened under the
    /// name, and is the one that array functions compute in and Delta tables have.
    fn answer_type(&self) -> DataType {
        DataType::List(Arc::new(number()))
    }

    fn documentation(&self) -> &'static Documentation {
        &DOCUMENTATION
    }

    async fn ask(
        &self,
        backend: &dyn Backend,
        row: Row<'_>,
        _sampling: &Sampling,
    ) -> Result<Reply<ArrayRef>, ModelError> {
        let reply = backend.embed(row.text(0)).await?;
        let numbers = Float32Array::from(reply.value);
        let offsets = OffsetBuffer::from_lengths([numbers.len()]);
        let vector = ListArray::new(Arc::new(number()), offsets, Arc::new(numbers), None);
        Ok(Reply {
            value: Arc::new(vector),
            usage: reply.usage,
        })
    }

    fn failure(&self, _reason: &str) -> ArrayRef {
        new_null_array(&self.answer_type(), 1)
    }
}

fn number() -> Field {
    Field::new_list_field(DataType::Float32, true)
}

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    Documentation::builder(
        DocSection {
            include: true,
            label: "Model Functions",
            description: None,
        },
        "The vector of a text by an encoder: a list of as many FLOATs as the encoder has \
         `dimensions`, of length 1, so that the product of two vectors is their cosine. It depends \
         on the encoder and the text alone. A text longer than the encoder's `context_length` is \
         cut there. A NULL text asks nothing and gives NULL; so does a text of which the encoder \
         makes no numbers (`row_errors` in EXPLAIN ANALYZE)."
            .to_owned(),
        "embed(model, text)".to_owned(),
    )
    .with_sql_example(
        "```sql\nSELECT item_id, embed('encoder', text) AS vector FROM movielens.items;\n```",
    )
    .with_argument("model", "The name of a registered encoder, a literal.")
    .with_argument("text", "The text.")
    .build()
});
