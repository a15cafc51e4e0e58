//! `perplexity(model, messages, text)`: how surprising an answer is.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, Float64Array, StringArray, StructArray};
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::logical_expr::{DocSection, Documentation};

use super::ModelFunction;
use super::arguments::{Parameter, Row};
use crate::llm::backend::{Backend, ModelError, Reply, Sampling};

/// The function `perplexity`.
#[derive(Debug)]
pub(super) struct Perplexity;

#[async_trait]
impl ModelFunction for Perplexity {
    fn name(&self) -> &'static str {
        "perplexity"
    }

    fn parameters(&self) -> &'static [Parameter] {
        &[Parameter::Model, Parameter::Messages, Parameter::Text]
    }

    fn answer_type(&self) -> DataType {
        DataType::Struct(fields())
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
        let messages = row.messages(0)?;
        let reply = backend.perplexity(&messages, row.text(1)).await?;
        Ok(Reply {
            value: answer(Some(reply.value), None),
            usage: reply.usage,
        })
    }

    fn failure(&self, reason: &str) -> ArrayRef {
        answer(None, Some(reason))
    }
}

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    Documentation::builder(
        DocSection {
            include: true,
            label: "Model Functions",
            description: None,
        },
        "The perplexity of `text` as the assistant's answer to the messages, \
         exp(-mean log p) over its tokens; of the text alone when the list of messages is empty. \
         Returns a struct: `perplexity` and `error`. A NULL argument asks nothing and gives NULL."
            .to_owned(),
        "perplexity(model, messages, text)".to_owned(),
    )
    .with_sql_example(
        "```sql\nSELECT perplexity('weak', messages, chosen)['perplexity'] FROM preferences;\n```",
    )
    .with_argument("model", "The name of a registered model, a literal.")
    .with_argument(
        "messages",
        "The chat: a list of structs with the text fields `role` and `content`; may be empty.",
    )
    .with_argument("text", "The answer to measure.")
    .build()
});

fn fields() -> Fields {
    Fields::from(vec![
        Field::new("perplexity", DataType::Float64, true),
        Field::new("error", DataType::Utf8, true),
    ])
}

fn answer(perplexity: Option<f64>, error: Option<&str>) -> ArrayRef {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Float64Array::from(vec![perplexity])),
        Arc::new(StringArray::from(vec![error])),
    ];
    Arc::new(StructArray::new(fields(), columns, None))
}
