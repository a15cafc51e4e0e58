//! The arguments of model functions: their types, and how a row's values are read.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Int64Type};
use datafusion::common::format::DEFAULT_CAST_OPTIONS;
use datafusion::common::nested_struct::cast_column;
use datafusion::error::Result;

use crate::llm::backend::{Message, ModelError};

const ROLES: [&str; 3] = ["system", "user", "assistant"];

/// A parameter of a model function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::llm) enum Parameter {
    /// The name of a registered model, a literal.
    Model,
    /// A chat.
    Messages,
    /// A text.
    Text,
    /// A count of at least 1.
    Count,
}

impl Parameter {
    /// The type to cast `given` to, if it will do at all. Messages keep theirs:
    /// SQL's casts of structs go by position where they can, [`Self::read`] by name.
    pub(super) fn coerce(self, given: &DataType) -> Option<DataType> {
        match self {
            Self::Model | Self::Text => is_text(given).then_some(DataType::Utf8),
            Self::Messages if given.is_null() => Some(messages_type()),
            Self::Messages => is_messages(given).then(|| given.clone()),
            Self::Count => (given.is_integer() || given.is_null()).then_some(DataType::Int64),
        }
    }

    /// The column as [`Row`] reads it.
    ///
    /// # Errors
    /// Fails when the column cannot be cast.
    pub(in crate::llm) fn read(self, column: ArrayRef) -> Result<ArrayRef> {
        match self {
            Self::Messages => cast_column(&column, &messages_type(), &DEFAULT_CAST_OPTIONS),
            Self::Model | Self::Text | Self::Count => Ok(column),
        }
    }
}

/// Says what the parameter must be; an error message completes it.
impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Model => "the model must be a text",
            Self::Messages => {
                "the messages must be a list of structs with the text fields role and content"
            }
            Self::Text => "the text must be a text",
            Self::Count => "the count must be an integer",
        })
    }
}

fn is_text(given: &DataType) -> bool {
    match given {
        DataType::Dictionary(_, values) => is_text(values),
        other => other.is_string() || other.is_null(),
    }
}

/// Fields are found by name: their order, and any others, do not matter.
fn is_messages(given: &DataType) -> bool {
    let DataType::List(item) = given else {
        return false;
    };
    let DataType::Struct(fields) = item.data_type() else {
        return item.data_type().is_null();
    };
    ["role", "content"].into_iter().all(|name| {
        fields
            .find(name)
            .is_some_and(|(_, field)| is_text(field.data_type()))
    })
}

fn messages_type() -> DataType {
    let message = Fields::from(vec![
        Field::new("role", DataType::Utf8, true),
        Field::new("content", DataType::Utf8, true),
    ]);
    DataType::List(Arc::new(Field::new_list_field(
        DataType::Struct(message),
        true,
    )))
}

/// One row's arguments after the model, none of them null.
#[derive(Debug, Clone, Copy)]
pub(in crate::llm) struct Row<'a> {
    /// The arguments' columns, coerced and read.
    pub(in crate::llm) arguments: &'a [ArrayRef],
    /// The row's place in them.
    pub(in crate::llm) index: usize,
}

impl Row<'_> {
    /// The chat in argument `argument`.
    ///
    /// # Errors
    /// [`ModelError::Row`] when a message is null or lacks a known role or content.
    pub(super) fn messages(&self, argument: usize) -> Result<Vec<Message>, ModelError> {
        let messages = self.arguments[argument].as_list::<i32>().value(self.index);
        let messages = messages.as_struct();
        let roles = messages.column(0).as_string::<i32>();
        let contents = messages.column(1).as_string::<i32>();
        (0..messages.len())
            .map(|i| {
                if messages.is_null(i) || roles.is_null(i) || contents.is_null(i) {
                    return Err(ModelError::Row(format!(
                        "message {} is null or lacks a role or content",
                        i + 1
                    )));
                }
                let role = roles.value(i);
                if !ROLES.contains(&role) {
                    return Err(ModelError::Row(format!(
                        "message {} has the role '{role}'; the roles are {}",
                        i + 1,
                        ROLES.join(", ")
                    )));
                }
                Ok(Message {
                    role: role.to_owned(),
                    content: contents.value(i).to_owned(),
                })
            })
            .collect()
    }

    /// The chat in argument `argument`, at least one message long.
    ///
    /// # Errors
    /// As [`Row::messages`], and when there is no message.
    pub(super) fn prompt(&self, argument: usize) -> Result<Vec<Message>, ModelError> {
        let messages = self.messages(argument)?;
        if messages.is_empty() {
            return Err(ModelError::Row("the list of messages is empty".to_owned()));
        }
        Ok(messages)
    }

    /// The text in argument `argument`.
    pub(super) fn text(&self, argument: usize) -> &str {
        self.arguments[argument]
            .as_string::<i32>()
            .value(self.index)
    }

    /// The count in argument `argument`.
    ///
    /// # Errors
    /// [`ModelError::Row`] when it is not in `1..=i32::MAX`.
    pub(super) fn count(&self, argument: usize) -> Result<usize, ModelError> {
        let count = self.arguments[argument]
            .as_primitive::<Int64Type>()
            .value(self.index);
        match i32::try_from(count) {
            Ok(small @ 1..) => Ok(small as usize),
            _ => Err(ModelError::Row(format!(
                "the count must be in 1..={}, not {count}",
                i32::MAX
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list_of(fields: Vec<Field>) -> DataType {
        let item = DataType::Struct(Fields::from(fields));
        DataType::List(Arc::new(Field::new("element", item, true)))
    }

    #[test]
    fn messages_are_recognised_by_their_fields_names() {
        let view = |name: &str| Field::new(name, DataType::Utf8View, false);
        let shuffled = list_of(vec![view("id"), view("content"), view("role")]);
        assert_eq!(
            Parameter::Messages.coerce(&shuffled),
            Some(shuffled.clone())
        );
        assert_eq!(
            Parameter::Messages.coerce(&DataType::Null),
            Some(messages_type())
        );
        assert_eq!(
            Parameter::Messages.coerce(&list_of(vec![view("role")])),
            None
        );
        assert_eq!(Parameter::Messages.coerce(&DataType::Utf8), None);
    }

    #[test]
    fn texts_and_counts_widen() {
        for text in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View] {
            assert_eq!(Parameter::Text.coerce(&text), Some(DataType::Utf8));
        }
        assert_eq!(Parameter::Text.coerce(&DataType::Int64), None);
        assert_eq!(
            Parameter::Count.coerce(&DataType::UInt8),
            Some(DataType::Int64)
        );
        assert_eq!(Parameter::Count.coerce(&DataType::Float64), None);
    }
}
