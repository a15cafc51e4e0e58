//! Letters' probabilities: by the server's log probabilities, or else by draws.

use std::sync::atomic::Ordering::Relaxed;

use serde_json::json;

use super::HttpModel;
use super::decision::letter;
use super::failure::Failure;
use super::options::Continue;
use super::wire::{self, Body, Likely};
use crate::llm::backend::{By, Choice, Message, ModelError, Reply, Usage};
use crate::llm::letters::opened;

/// How many of the likeliest tokens a server is asked to tell: the most that OpenAI allows.
const LIKELIEST: usize = 20;

/// The letters drawn are to be the same ones whatever the sampling of decisions.
const SEED: u64 = 42;

const QUESTION: &str = "Answer with the letter of your behavior only.";

impl HttpModel {
    /// Asks for the one token after `text`, from the model's own distribution: at temperature
    /// 1, since some servers tell log probabilities before and some after applying it.
    pub(super) fn letter_request(
        &self,
        messages: &[Message],
        text: &str,
        prompt_tokens: usize,
    ) -> Body {
        let mut said = wire::said(messages);
        match self.options().continuation {
            Continue::Prefix => said.push(wire::message("assistant", &opened(text))),
            Continue::Ask => {
                said.extend((!text.is_empty()).then(|| wire::message("assistant", text)));
                said.push(wire::message("user", QUESTION));
            }
        }
        let body = Body::new(&self.options().model, said, prompt_tokens)
            .with("temperature", json!(1))
            .with("top_p", json!(1))
            .with("max_tokens", json!(1));
        match self.options().continuation {
            // What vLLM wants in order to continue; llama.cpp's server does so unasked.
            Continue::Prefix => body
                .with("add_generation_prompt", json!(false))
                .with("continue_final_message", json!(true)),
            Continue::Ask => body,
        }
    }

    /// The distribution over `letters` as the next token after `body`, which asks for what
    /// follows `opening`.
    pub(super) async fn choose_among(
        &self,
        letters: &[char],
        body: &Body,
        opening: &str,
    ) -> Result<Reply<Choice>, ModelError> {
        let mut usage = Usage::default();
        if self.logprobs.load(Relaxed) {
            let asked = body
                .clone()
                .with("logprobs", json!(true))
                .with("top_logprobs", json!(LIKELIEST));
            match self.server.complete(asked.fields).await {
                Ok(answer) => {
                    usage = answer.usage(body.prompt_tokens);
                    if let Some(likeliest) = answer.likeliest() {
                        let weights = self.weights(letters, likeliest);
                        return self.reply(&weights, By::Logprobs, usage);
                    }
                }
                // Perhaps because of `logprobs`: draws without them will tell.
                Err(Failure::Refused(_)) => {}
                Err(other) => return Err(other.into()),
            }
        }
        let drawn = self.draw(body, self.options().choose_draws, SEED).await;
        let drawn = drawn.map_err(|failure| self.hinted(failure))?;
        self.logprobs.store(false, Relaxed);
        let mut counts = vec![0.0; letters.len()];
        for completion in &drawn.completions {
            // llama.cpp's server repeats the message that it continues.
            let text = &completion.text;
            let written = text.strip_prefix(opening).unwrap_or(text);
            if let Some(place) = self.place(letters, written) {
                counts[place] += 1.0;
            }
        }
        usage += drawn.usage;
        self.reply(&counts, By::Draws, usage)
    }

    /// The letters' unnormalised probabilities. Two tokens can write the same letter.
    fn weights(&self, letters: &[char], likeliest: &[Likely]) -> Vec<f64> {
        let mut weights = vec![0.0; letters.len()];
        for likely in likeliest {
            if let Some(place) = self.place(letters, &likely.token) {
                weights[place] += likely.logprob.exp();
            }
        }
        weights
    }

    /// Which of `letters` is `written`. A new message may begin with a space; what goes on
    /// right after the bracket may not.
    fn place(&self, letters: &[char], written: &str) -> Option<usize> {
        let written = match self.options().continuation {
            Continue::Prefix => written,
            Continue::Ask => written.trim(),
        };
        let found = letter(written)?;
        letters.iter().position(|letter| *letter == found)
    }

    fn reply(&self, weights: &[f64], by: By, usage: Usage) -> Result<Reply<Choice>, ModelError> {
        let total: f64 = weights.iter().sum();
        if !(total > 0.0 && total.is_finite()) {
            return Err(ModelError::Row(format!(
                "none of the options' letters is among the likely next tokens{}",
                self.hint()
            )));
        }
        let probs = weights.iter().map(|weight| weight / total).collect();
        Ok(Reply {
            value: Choice { probs, by },
            usage,
        })
    }

    fn hinted(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Refused(reason) => Failure::Refused(format!("{reason}{}", self.hint())),
            other => other,
        }
    }

    fn hint(&self) -> &'static str {
        match self.options().continuation {
            Continue::Prefix => {
                "; if the server cannot continue an assistant's message, set the model's \
                 option continue to ask"
            }
            Continue::Ask => "",
        }
    }
}
