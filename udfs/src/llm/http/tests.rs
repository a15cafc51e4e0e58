//! A model behind a server that answers well, badly, late or not at all.

mod choosing;
mod deciding;
mod faults;
mod queries;
mod server;

use std::time::Duration;

use serde_json::{Value, json};

use super::{HttpModel, HttpOptions, Key};
use crate::llm::backend::{Message, ModelError, Sampling};
use server::{Act, TestServer};

const KEY: &str = "sk-secret-1234";

/// Options for a server, with a key and short waits.
fn options(server: &TestServer) -> HttpOptions {
    let mut options = HttpOptions::new(&server.url, "gpt").unwrap();
    options.key = Key::new("TEACHER_KEY", KEY);
    options.retries = 2;
    options.first_wait = Duration::from_millis(1);
    options
}

fn model(server: &TestServer) -> HttpModel {
    HttpModel::open(options(server)).unwrap()
}

fn user(content: &str) -> Vec<Message> {
    vec![Message {
        role: "user".to_owned(),
        content: content.to_owned(),
    }]
}

/// A good answer with one completion for each of `texts`.
fn written(texts: &[&str]) -> Act {
    let choice = |(index, text): (usize, &&str)| {
        json!({
            "index": index,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
        })
    };
    let choices: Vec<_> = texts.iter().enumerate().map(choice).collect();
    Act::json(
        200,
        json!({
            "choices": choices,
            "usage": {
                "prompt_tokens": 30,
                "completion_tokens": 8 * texts.len(),
                "prompt_tokens_details": {"cached_tokens": 16},
            },
        }),
    )
}

/// How many draws a request asks for.
fn asked(body: &Value) -> usize {
    body["n"].as_u64().unwrap_or(1) as usize
}

/// The text of an error, in which the key must not be.
fn text(error: &ModelError) -> String {
    let text = format!("{error} {error:?}");
    assert!(!text.contains("secret"), "{text}");
    text
}

fn sampling() -> Sampling {
    Sampling {
        max_tokens: 64,
        ..Sampling::default()
    }
}
