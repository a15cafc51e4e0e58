//! A model served elsewhere, asked by OpenAI's chat completions: vLLM, llama.cpp's server and
//! hosted models speak them.
//!
//! | part | what it does |
//! | --- | --- |
//! | [`options`] | what can be said of such a model |
//! | [`key`] | the server's key, which is never shown |
//! | [`wire`] | requests and answers as the protocol writes them |
//! | [`server`] | sends a request: bounds, retries |
//! | [`failure`] | what a failure means for a row and for a run |
//! | [`draws`] | several completions of one prompt |
//! | [`decision`] | a decision as a completion wrote it |
//! | [`choice`] | letters' probabilities, by log probabilities or by draws |

mod choice;
mod decision;
mod draws;
mod failure;
mod key;
mod options;
mod server;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use serde_json::json;

use super::backend::{Backend, Choice, Decision, Message, ModelError, ModelInfo, Reply, Sampling};
use super::letters::{first_letters, opened};
use super::load::LoadError;
use wire::{Body, estimate};

pub use key::Key;
pub use options::{Continue, HttpOptions, PerRequest};
use server::Server;

/// A model behind chat completions.
#[derive(Debug)]
pub struct HttpModel {
    info: ModelInfo,
    server: Server,
    /// Whether one request is to ask for several draws; not once the server has been
    /// found not to give them.
    together: AtomicBool,
    /// Whether to ask for log probabilities, likewise.
    logprobs: AtomicBool,
}

impl HttpModel {
    /// A model as `options` describe it. The server is not asked yet.
    ///
    /// # Errors
    /// When the system's certificates cannot be used.
    pub fn open(options: HttpOptions) -> Result<Self, LoadError> {
        let info = ModelInfo {
            location: options.location().to_string(),
            family: options.model.clone(),
            precision: "unknown".to_owned(),
            context_length: options.max_context.unwrap_or(0),
            vocabulary: 0,
            device: "http".to_owned(),
            fingerprint: options.fingerprint(),
            provenance: None,
        };
        Ok(Self {
            info,
            together: AtomicBool::new(options.per_request == PerRequest::All),
            logprobs: AtomicBool::new(true),
            server: Server::new(options)?,
        })
    }

    fn options(&self) -> &HttpOptions {
        self.server.options()
    }

    /// Checks that a prompt can fit, where the context is known.
    fn check_fits(&self, messages: &[Message], text: &str) -> Result<usize, ModelError> {
        let tokens = wire::estimate_of(messages) + estimate(text);
        match self.options().max_context {
            Some(most) if tokens > most => Err(ModelError::Row(format!(
                "a prompt of about {tokens} tokens exceeds max_context, {most}: \
                 show a shorter history or fewer options"
            ))),
            _ => Ok(tokens),
        }
    }
}

#[async_trait]
impl Backend for HttpModel {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn concurrency(&self) -> usize {
        self.options().concurrency
    }

    /// A quarter of the characters, since the tokenizer is at the server.
    fn count(&self, messages: &[Message], text: Option<&str>) -> Result<usize, ModelError> {
        let text = text.map(opened).unwrap_or_default();
        self.check_fits(messages, &text)
    }

    /// No stop sequence is sent: none ends a decision right after its letter on every
    /// server without also ending thoughts that happen to contain it. What follows the
    /// letter is left out here.
    async fn decide(
        &self,
        messages: &[Message],
        draws: usize,
        sampling: &Sampling,
    ) -> Result<Reply<Vec<Decision>>, ModelError> {
        let prompt_tokens = self.check_fits(messages, "")?;
        let mut body = Body::new(&self.options().model, wire::said(messages), prompt_tokens)
            .with("temperature", json!(sampling.temperature))
            .with("top_p", json!(sampling.top_p))
            .with("max_tokens", json!(sampling.max_tokens));
        if let Some(form) = sampling.grammar {
            return Err(ModelError::Fatal(format!(
                "{} is served elsewhere, and only models of folders can be held to the form \
                 {form}: SET model.grammar = ''",
                self.options().model
            )));
        }
        if !sampling.stop.is_empty() {
            body = body.with("stop", json!(sampling.stop));
        }
        let drawn = self.draw(&body, draws, sampling.seed).await?;
        let completions = drawn.completions.into_iter().enumerate();
        Ok(Reply {
            value: completions
                .map(|(draw, completion)| decision::read(draw, &completion))
                .collect(),
            usage: drawn.usage,
        })
    }

    async fn choose(
        &self,
        messages: &[Message],
        text: &str,
        choices: usize,
    ) -> Result<Reply<Choice>, ModelError> {
        let letters: Vec<char> = first_letters(choices)?.collect();
        let opening = opened(text);
        let prompt_tokens = self.check_fits(messages, &opening)?;
        let body = self.letter_request(messages, text, prompt_tokens);
        self.choose_among(&letters, &body, &opening).await
    }

    async fn perplexity(
        &self,
        _messages: &[Message],
        _text: &str,
    ) -> Result<Reply<f64>, ModelError> {
        Err(ModelError::Fatal(format!(
            "{} is served by chat completions, which tell no probabilities of a given text: \
             ask the perplexity of a model folder",
            self.options().model
        )))
    }
}
