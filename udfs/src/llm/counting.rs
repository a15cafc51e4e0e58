//! A model that only counts what it would read: an estimate's stand-in for the real one.

use std::sync::Arc;

use async_trait::async_trait;

use super::backend::{
    Backend, By, Choice, Decision, Finish, Message, ModelError, ModelInfo, Reply, Sampling, Usage,
};

/// Answers at once, with nothing, and reports the prompt tokens that the model it stands
/// for counts.
#[derive(Debug)]
pub struct Counting(Arc<dyn Backend>);

impl Counting {
    /// Stands for `backend`.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self(backend)
    }

    fn reply<T>(
        &self,
        value: T,
        messages: &[Message],
        text: Option<&str>,
    ) -> Result<Reply<T>, ModelError> {
        let usage = Usage {
            prompt_tokens: self.0.count(messages, text)?,
            ..Usage::default()
        };
        Ok(Reply { value, usage })
    }
}

#[async_trait]
impl Backend for Counting {
    fn info(&self) -> &ModelInfo {
        self.0.info()
    }

    fn concurrency(&self) -> usize {
        self.0.concurrency()
    }

    fn dimensions(&self) -> Option<usize> {
        self.0.dimensions()
    }

    fn count(&self, messages: &[Message], text: Option<&str>) -> Result<usize, ModelError> {
        self.0.count(messages, text)
    }

    async fn decide(
        &self,
        messages: &[Message],
        draws: usize,
        _sampling: &Sampling,
    ) -> Result<Reply<Vec<Decision>>, ModelError> {
        let nothing = |draw| Decision {
            draw,
            text: String::new(),
            letter: None,
            letter_probs: None,
            tokens: 0,
            finish: Finish::EndOfTurn,
        };
        self.reply((0..draws).map(nothing).collect(), messages, None)
    }

    async fn choose(
        &self,
        messages: &[Message],
        text: &str,
        choices: usize,
    ) -> Result<Reply<Choice>, ModelError> {
        let even = Choice {
            probs: vec![1.0 / choices as f64; choices],
            by: By::Logits,
        };
        self.reply(even, messages, Some(text))
    }

    async fn perplexity(&self, messages: &[Message], text: &str) -> Result<Reply<f64>, ModelError> {
        self.reply(1.0, messages, Some(text))
    }

    async fn embed(&self, text: &str) -> Result<Reply<Vec<f32>>, ModelError> {
        let nothing = vec![0.0; self.0.dimensions().unwrap_or_default()];
        self.reply(nothing, &[], Some(text))
    }
}
