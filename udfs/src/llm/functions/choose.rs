//! `choose(model, messages, text, k)`: the distribution over the options.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, ListArray, StringArray, StructArray};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Float64Type};
use datafusion::logical_expr::{DocSection, Documentation};

use super::ModelFunction;
use super::arguments::{Parameter, Row};
use crate::llm::backend::{Backend, Choice, ModelError, Reply, Sampling};

/// The function `choose`.
#[derive(Debug)]
pub(super) struct Choose;

#[async_trait]
impl ModelFunction for Choose {
    fn name(&self) -> &'static str {
        "choose"
    }

    fn parameters(&self) -> &'static [Parameter] {
        use Parameter::{Count, Messages, Model, Text};
        &[Model, Messages, Text, Count]
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
        let messages = row.prompt(0)?;
        let choices = row.count(2)?;
        let reply = backend.choose(&messages, row.text(1), choices).await?;
        Ok(Reply {
            value: answer(Some(&reply.value), None),
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
        "The model's distribution P(Y | X ⊕ D) over the first k letters, right after the \
         decision process `text` and `Behavior: [`. Returns a struct: `probs` (a list of k \
         probabilities in letter order, summing to 1), `by` (how they were come by: `logits`, or of \
         a served model `logprobs` or `draws`) and `error`. A NULL argument asks nothing and gives \
         NULL."
            .to_owned(),
        "choose(model, messages, text, k)".to_owned(),
    )
    .with_sql_example(
        "```sql\nSELECT scenario_id, choose('weak', messages, text, 10)['probs'] FROM decisions;\n```",
    )
    .with_argument("model", "The name of a registered model, a literal.")
    .with_argument(
        "messages",
        "The chat: a list of structs with the text fields `role` and `content`.",
    )
    .with_argument("text", "The decision process; '' for none.")
    .with_argument("k", "How many options there are.")
    .build()
});

fn fields() -> Fields {
    let probability = Field::new_list_field(DataType::Float64, true);
    Fields::from(vec![
        Field::new("probs", DataType::List(Arc::new(probability)), true),
        Field::new("by", DataType::Utf8, true),
        Field::new("error", DataType::Utf8, true),
    ])
}

fn answer(choice: Option<&Choice>, error: Option<&str>) -> ArrayRef {
    let probabilities = choice.map(|choice| choice.probs.iter().copied().map(Some));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>([
            probabilities,
        ])),
        Arc::new(StringArray::from(vec![
            choice.map(|choice| choice.by.as_str()),
        ])),
        Arc::new(StringArray::from(vec![error])),
    ];
    Arc::new(StructArray::new(fields(), columns, None))
}
