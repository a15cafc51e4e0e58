//! Several completions of one prompt.

use std::sync::atomic::Ordering::Relaxed;

use futures::future::try_join_all;
use serde_json::json;
use twox_hash::XxHash3_64;

use super::HttpModel;
use super::failure::Failure;
use super::wire::{Answer, Body, Completion};
use crate::llm::backend::Usage;

/// Completions of a prompt, and their cost.
#[derive(Debug, Default)]
pub struct Drawn {
    /// In order of their draw.
    pub completions: Vec<Completion>,
    /// What they cost together.
    pub usage: Usage,
}

impl Drawn {
    fn take(&mut self, answer: Answer, body: &Body) {
        self.usage += answer.usage(body.prompt_tokens);
        self.completions.extend(answer.completions());
    }
}

impl HttpModel {
    /// `draws` completions of `body`: by one request if the server gives several to one, the
    /// missing ones by a request each.
    pub(super) async fn draw(
        &self,
        body: &Body,
        draws: usize,
        seed: u64,
    ) -> Result<Drawn, Failure> {
        let mut drawn = Drawn::default();
        let together = draws > 1 && self.together.load(Relaxed);
        if together {
            let several = body.clone().with("n", json!(draws));
            match self.server.complete(several.fields).await {
                Ok(answer) => drawn.take(answer, body),
                // Perhaps because of `n`: requests without it will tell.
                Err(Failure::Refused(_)) => {}
                Err(other) => return Err(other),
            }
        }
        drawn.completions.truncate(draws);
        let missing = drawn.completions.len()..draws;
        if missing.is_empty() {
            return Ok(drawn);
        }
        let singles = missing.map(|draw| {
            let seed = json!(keyed_seed(seed, body, draw));
            self.server.complete(body.clone().with("seed", seed).fields)
        });
        for answer in try_join_all(singles).await? {
            drawn.take(answer, body);
        }
        if together {
            self.together.store(false, Relaxed);
        }
        Ok(drawn)
    }
}

/// A seed for one draw of one prompt. Of 31 bits, since servers differ in what they take.
fn keyed_seed(seed: u64, body: &Body, draw: usize) -> u64 {
    let prompt = json!([body.fields.get("messages"), draw]).to_string();
    XxHash3_64::oneshot_with_seed(seed, prompt.as_bytes()) >> 33
}
