//! Requests and answers as the protocol writes them.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::llm::backend::{Message, Usage};

/// A request in the making.
#[derive(Debug, Clone)]
pub struct Body {
    /// Its fields.
    pub fields: Map<String, Value>,
    /// An estimate of the prompt's tokens.
    pub prompt_tokens: usize,
}

impl Body {
    /// Asks `model` to answer `messages`, of about `prompt_tokens` tokens.
    pub fn new(model: &str, messages: Vec<Value>, prompt_tokens: usize) -> Self {
        let body = Self {
            fields: Map::new(),
            prompt_tokens,
        };
        body.with("model", json!(model))
            .with("messages", Value::Array(messages))
    }

    /// The request with one more field.
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.fields.insert(name.to_owned(), value);
        self
    }
}

/// A message as the protocol writes it. Its content is a JSON string: data.
pub fn message(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

/// Such messages.
pub fn said(messages: &[Message]) -> Vec<Value> {
    let messages = messages.iter();
    messages
        .map(|said| message(&said.role, &said.content))
        .collect()
}

/// About how many tokens `text` is.
pub fn estimate(text: &str) -> usize {
    text.chars().count().div_ceil(4)
}

/// About how many tokens `messages` are.
pub fn estimate_of(messages: &[Message]) -> usize {
    messages
        .iter()
        .map(|message| estimate(&message.content))
        .sum()
}

/// What a server answers.
#[derive(Debug, Deserialize)]
pub struct Answer {
    choices: Vec<Candidate>,
    usage: Option<Billed>,
    /// What llama.cpp's server measured.
    #[serde(default)]
    timings: Value,
}

#[derive(Debug, Deserialize)]
struct Candidate {
    #[serde(default)]
    index: usize,
    message: Said,
    finish_reason: Option<String>,
    logprobs: Option<Logprobs>,
}

#[derive(Debug, Deserialize)]
struct Said {
    content: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Logprobs {
    content: Option<Vec<Position>>,
}

#[derive(Debug, Deserialize)]
struct Position {
    #[serde(default)]
    top_logprobs: Vec<Likely>,
}

/// A token that could have been written.
#[derive(Debug, Deserialize)]
pub struct Likely {
    /// Its text.
    pub token: String,
    /// The natural logarithm of its probability.
    pub logprob: f64,
}

#[derive(Debug, Deserialize)]
struct Billed {
    prompt_tokens: Option<usize>,
    completion_tokens: Option<usize>,
    prompt_tokens_details: Option<Details>,
}

#[derive(Debug, Deserialize)]
struct Details {
    cached_tokens: Option<usize>,
}

/// One completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// What was written.
    pub text: String,
    /// New tokens.
    pub tokens: usize,
    /// Whether it was cut off at the most tokens it may have.
    pub cut: bool,
}

impl Answer {
    /// Reads an answer.
    ///
    /// # Errors
    /// Says what is wrong with one that cannot be used.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        let answer: Self = serde_json::from_slice(body)
            .map_err(|error| format!("the server's answer cannot be read: {error}"))?;
        if answer.choices.is_empty() {
            return Err("the server's answer holds no completion".to_owned());
        }
        let is_empty = |choice: &Candidate| choice.message.content.is_none() && !choice.is_cut();
        if answer.choices.iter().any(is_empty) {
            return Err("a completion of the server's holds no text".to_owned());
        }
        Ok(answer)
    }

    /// What it cost; by an estimate where the server does not tell.
    pub fn usage(&self, prompt_tokens: usize) -> Usage {
        let billed = self.usage.as_ref();
        Usage {
            prompt_tokens: billed
                .and_then(|usage| usage.prompt_tokens)
                .unwrap_or(prompt_tokens),
            cached_tokens: billed
                .and_then(|usage| usage.prompt_tokens_details.as_ref()?.cached_tokens)
                .unwrap_or_default(),
            generated_tokens: self.generated_tokens(),
            ..Usage::default()
        }
    }

    fn generated_tokens(&self) -> usize {
        let counted = self
            .usage
            .as_ref()
            .and_then(|usage| usage.completion_tokens);
        let Some(counted) = counted else {
            let estimates = self.choices.iter().map(|choice| estimate(choice.text()));
            return estimates.sum();
        };
        // llama.cpp's server measures the first completion, and may count no other.
        let first = self.choices.iter().min_by_key(|choice| choice.index);
        match first {
            Some(first) if self.timings["predicted_n"] == counted => {
                let whole: usize = self.choices.iter().map(Candidate::length).sum();
                counted * whole / first.length()
            }
            _ => counted,
        }
    }

    /// The likeliest first tokens, where the server tells them.
    pub fn likeliest(&self) -> Option<&[Likely]> {
        let first = self.choices.first()?.logprobs.as_ref()?;
        let first = first.content.as_ref()?.first()?;
        (!first.top_logprobs.is_empty()).then_some(&first.top_logprobs)
    }

    /// The completions in order. Of several together at most the sum of tokens is known: each
    /// has its share by length.
    pub fn completions(mut self) -> Vec<Completion> {
        self.choices.sort_by_key(|choice| choice.index);
        let lengths = self.choices.iter().map(Candidate::length);
        let shares = shares(self.generated_tokens(), &lengths.collect::<Vec<_>>());
        let choices = self.choices.into_iter().zip(shares);
        choices
            .map(|(choice, tokens)| Completion {
                tokens,
                cut: choice.is_cut(),
                text: choice.message.content.unwrap_or_default(),
            })
            .collect()
    }
}

impl Candidate {
    fn is_cut(&self) -> bool {
        self.finish_reason.as_deref() == Some("length")
    }

    fn text(&self) -> &str {
        self.message.content.as_deref().unwrap_or_default()
    }

    /// In bytes; above 0.
    fn length(&self) -> usize {
        self.text().len().max(1)
    }
}

/// Parts of `total` in proportion to `lengths`, all above 0, which add up to it.
fn shares(total: usize, lengths: &[usize]) -> Vec<usize> {
    let whole: usize = lengths.iter().sum();
    let mut passed = 0;
    let mut given = 0;
    let share = lengths.iter().map(|length| {
        passed += length;
        let share = total * passed / whole - given;
        given += share;
        share
    });
    share.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        assert_eq!(shares(10, &[1, 1, 1]), [3, 3, 4]);
        assert_eq!(shares(7, &[5]), [7]);
        assert_eq!(shares(0, &[5, 1]), [0, 0]);
    }

    #[test]
    fn completions_come_in_the_order_of_their_index() {
        let answer = r#"{"choices": [
            {"index": 1, "message": {"content": "b"}, "finish_reason": "length"},
            {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}]}"#;
        let answer = Answer::read(answer.as_bytes()).unwrap();
        let texts: Vec<_> = answer
            .completions()
            .into_iter()
            .map(|completion| (completion.text, completion.cut))
            .collect();
        assert_eq!(texts, [("a".to_owned(), false), ("b".to_owned(), true)]);
    }

    #[test]
    fn a_completion_without_text_is_one_only_where_it_was_cut() {
        let answer = |reason: &str| {
            let answer = format!(
                r#"{{"choices": [{{"message": {{"content": null}}, "finish_reason": "{reason}"}}]}}"#
            );
            Answer::read(answer.as_bytes())
        };
        assert!(answer("stop").is_err());
        assert_eq!(answer("length").unwrap().completions()[0].text, "");
    }
}
