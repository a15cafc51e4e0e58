//! `decide(model, messages, n)`: draws decision processes.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use datafusion::arrow::array::{Array, ArrayRef, Int32Array, ListArray, StringArray, StructArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type};
use datafusion::logical_expr::{DocSection, Documentation};

use super::ModelFunction;
use super::arguments::{Parameter, Row};
use crate::llm::backend::{Backend, Decision, ModelError, Reply, Sampling};

/// The function `decide`.
#[derive(Debug)]
pub(super) struct Decide;

#[async_trait]
impl ModelFunction for Decide {
    fn name(&self) -> &'static str {
        "decide"
    }

    fn parameters(&self) -> &'static [Parameter] {
        &[Parameter::Model, Parameter::Messages, Parameter::Count]
    }

    fn answer_type(&self) -> DataType {
        DataType::List(item())
    }

    fn documentation(&self) -> &'static Documentation {
        &DOCUMENTATION
    }

    async fn ask(
        &self,
        backend: &dyn Backend,
        row: Row<'_>,
        sampling: &Sampling,
    ) -> Result<Reply<ArrayRef>, ModelError> {
        let messages = row.prompt(0)?;
        let draws = row.count(1)?;
        let reply = backend.decide(&messages, draws, sampling).await?;
        Ok(Reply {
            value: one_list(drawn(&reply.value)),
            usage: reply.usage,
        })
    }

    fn failure(&self, reason: &str) -> ArrayRef {
        one_list(failed(reason))
    }
}

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    Documentation::builder(
        DocSection {
            include: true,
            label: "Model Functions",
            description: None,
        },
        "Draws n decision processes: the model thinks about the messages until it writes \
         `Behavior: [` and a letter. Draw i of a prompt is the same whenever `model.seed` is the \
         same. Returns a list of structs: `draw` (from 0), `text` (the thought), `letter` (as \
         written, or NULL), `letter_probs` (a list of 26, the distribution over A to Z that the \
         letter was drawn from, before temperature and top-p, or that it would have been drawn \
         from after a text that broke off; NULL where a model does not tell), \
         `tokens` (new ones), `finish` (`behavior`, `end_of_turn`, `length` or `stop`), `error`. A row that cannot be done gives one element with `error` set. A \
         NULL argument asks nothing and gives NULL."
            .to_owned(),
        "decide(model, messages, n)".to_owned(),
    )
    .with_sql_example(
        "```sql\nSELECT scenario_id, unnest(decide('weak', messages, 4)) FROM scenarios;\n```",
    )
    .with_argument("model", "The name of a registered model, a literal.")
    .with_argument(
        "messages",
        "The chat: a list of structs with the text fields `role` and `content`.",
    )
    .with_argument("n", "How many decisions to draw, at least 1.")
    .build()
});

fn fields() -> Fields {
    Fields::from(vec![
        Field::new("draw", DataType::Int32, true),
        Field::new("text", DataType::Utf8, true),
        Field::new("letter", DataType::Utf8, true),
        Field::new_list("letter_probs", probability(), true),
        Field::new("tokens", DataType::Int32, true),
        Field::new("finish", DataType::Utf8, true),
        Field::new("error", DataType::Utf8, true),
    ])
}

fn probability() -> Field {
    Field::new_list_field(DataType::Float64, true)
}

fn item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Struct(fields()), true))
}

fn one_list(decisions: StructArray) -> ArrayRef {
    let offsets = OffsetBuffer::from_lengths([decisions.len()]);
    Arc::new(ListArray::new(item(), offsets, Arc::new(decisions), None))
}

fn drawn(decisions: &[Decision]) -> StructArray {
    let text = |value: fn(&Decision) -> Option<String>| -> ArrayRef {
        Arc::new(decisions.iter().map(value).collect::<StringArray>())
    };
    let number = |value: fn(&Decision) -> usize| -> ArrayRef {
        let values = decisions.iter().map(|decision| value(decision) as i32);
        Arc::new(Int32Array::from_iter_values(values))
    };
    let distributions = decisions.iter().map(|decision| {
        let probs = decision.letter_probs.as_ref()?;
        Some(probs.iter().copied().map(Some))
    });
    let columns = vec![
        number(|decision| decision.draw),
        text(|decision| Some(decision.text.clone())),
        text(|decision| decision.letter.map(String::from)),
        Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(
            distributions,
        )),
        number(|decision| decision.tokens),
        text(|decision| Some(decision.finish.as_str().to_owned())),
        text(|_| None),
    ];
    StructArray::new(fields(), columns, None)
}

fn failed(reason: &str) -> StructArray {
    let absent: ArrayRef = Arc::new(StringArray::new_null(1));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![0])),
        Arc::clone(&absent),
        Arc::clone(&absent),
        Arc::new(ListArray::new_null(Arc::new(probability()), 1)),
        Arc::new(Int32Array::new_null(1)),
        absent,
        Arc::new(StringArray::from(vec![reason])),
    ];
    StructArray::new(fields(), columns, None)
}
