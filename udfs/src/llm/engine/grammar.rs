//! Decisions held to a form by a grammar.
//!
//! Before each draw, tokens that the grammar does not allow there get probability 0, and the
//! others keep their proportions. That is not the distribution of free decisions that happen to
//! have the form: a decision that the model would hardly have begun so is drawn as if it had.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory, token_bytes_from_tokenizer_json};

use crate::llm::backend::{Form, ModelError};

/// A form that decisions of one model are held to.
pub struct Grammar(Mutex<Matcher>);

impl fmt::Debug for Grammar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Grammar")
    }
}

impl Grammar {
    /// The grammar of `form` over the tokens of the `tokenizer.json` at `tokenizer`, of a model
    /// that has logits of `vocabulary` tokens.
    ///
    /// # Errors
    /// When the tokenizer does not tell which bytes a token writes.
    pub fn new(
        form: Form,
        tokenizer: &Path,
        vocabulary: usize,
        eos: u32,
    ) -> Result<Self, ModelError> {
        let failed = |reason: String| {
            ModelError::Fatal(format!(
                "decisions of this model cannot be held to the form {form} ({reason}): \
                 SET model.grammar = ''"
            ))
        };
        let text = std::fs::read(tokenizer).map_err(|error| failed(error.to_string()))?;
        let json = serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?;
        let words = token_bytes_from_tokenizer_json(&json);
        let mut words = words.map_err(|error| failed(error.to_string()))?;
        words.resize(vocabulary, Vec::new());
        // Vocabularies are far below the limit of an u32.
        let info = TokRxInfo::new(vocabulary as u32, eos);
        let tokens: TokEnv = Arc::new(ApproximateTokEnv::new(TokTrie::from(&info, &words)));
        let factory = ParserFactory::new_simple(&tokens);
        let mut factory = factory.map_err(|error| failed(error.to_string()))?;
        factory.quiet();
        let grammar = TopLevelGrammar::from_lark(lark(form).to_owned());
        let matcher = Matcher::new(factory.create_parser(grammar));
        match matcher.get_error() {
            Some(error) => Err(failed(error)),
            None => Ok(Self(Mutex::new(matcher))),
        }
    }

    /// A decision of which nothing is written.
    pub fn begin(&self) -> Held {
        let matcher = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Held {
            matcher: matcher.deep_clone(),
            logits: Vec::new(),
        }
    }
}

fn lark(form: Form) -> &'static str {
    match form {
        Form::Ekb => include_str!("ekb.lark"),
    }
}

/// A decision that is held to a form.
pub struct Held {
    matcher: Matcher,
    logits: Vec<f32>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

impl Held {
    /// The logits of the tokens that may come next, and of the others none.
    ///
    /// # Errors
    /// When the grammar cannot go on.
    pub fn allowed(&mut self, logits: &[f32]) -> Result<&[f32], ModelError> {
        let mask = self.matcher.compute_mask().map_err(broken)?;
        self.logits.clear();
        self.logits.extend_from_slice(logits);
        mask.iter_unset_entries(|token| {
            if let Some(logit) = self.logits.get_mut(token) {
                *logit = f32::NEG_INFINITY;
            }
        });
        Ok(&self.logits)
    }

    /// Notes that `token` came next.
    ///
    /// # Errors
    /// When the grammar does not allow it.
    pub fn take(&mut self, token: u32) -> Result<(), ModelError> {
        self.matcher.consume_token(token).map_err(broken)
    }
}

fn broken(error: impl fmt::Display) -> ModelError {
    ModelError::Fatal(format!("model.grammar: {error}"))
}
