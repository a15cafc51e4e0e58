//! What can be said of a model that is served elsewhere.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::key::Key;
use crate::llm::load::LoadError;

/// How a model is asked.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    location: Url,
    /// The name the server knows the model by.
    pub model: String,
    /// The server's key, where it wants one.
    pub key: Option<Key>,
    /// The most requests in flight.
    pub concurrency: usize,
    /// The most requests in a minute, evenly spaced; no bound when absent.
    pub requests_per_minute: Option<NonZeroU32>,
    /// How long one request may take.
    pub timeout: Duration,
    /// How often a request is sent again.
    pub retries: usize,
    /// The wait before it is first sent again; it doubles from then on.
    pub first_wait: Duration,
    /// The longest prompt in tokens, by an estimate; longer ones are not sent.
    pub max_context: Option<usize>,
    /// How many draws a request asks for.
    pub per_request: PerRequest,
    /// How the model is brought to go on from a decision.
    pub continuation: Continue,
    /// How many letters are drawn where the server tells no log probabilities.
    pub choose_draws: usize,
    /// Fields that replace those of every request; null leaves one out.
    pub body: Map<String, Value>,
}

/// How many draws a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerRequest {
    /// All of a prompt's: the prompt is paid for once.
    All,
    /// One, with a seed of its own: draws can be had again where the server honors it.
    One,
}

/// How the model is brought to go on from a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continue {
    /// The decision is the beginning of the assistant's message, which the server continues.
    Prefix,
    /// The decision is the assistant's message; the user then asks for the letter.
    Ask,
}

impl HttpOptions {
    /// The model called `model` at `location`, up to before `/chat/completions`; the other
    /// options as by default.
    ///
    /// # Errors
    /// When the location is no such URL, or holds a user, a password or a query.
    pub fn new(location: &str, model: &str) -> Result<Self, LoadError> {
        // The location may hold a secret, so no message repeats it.
        let wrong = |what: &str| Err(LoadError::Served(what.to_owned()));
        let Ok(url) = Url::parse(location) else {
            return wrong("the model's location is no URL; write it as https://host/v1");
        };
        if !url.username().is_empty() || url.password().is_some() {
            return wrong(
                "a model's location must not hold a user or password: put the key into a \
                 variable of the environment and name that in key_env",
            );
        }
        if url.query().is_some() || url.fragment().is_some() {
            return wrong("a model's location must not hold a ? or #; write it as https://host/v1");
        }
        if !matches!(url.scheme(), "http" | "https") {
            return wrong("a served model's location begins with https:// or http://");
        }
        Ok(Self {
            location: url,
            model: model.to_owned(),
            key: None,
            concurrency: 16,
            requests_per_minute: None,
            timeout: Duration::from_secs(300),
            retries: 5,
            first_wait: Duration::from_millis(500),
            max_context: None,
            per_request: PerRequest::All,
            continuation: Continue::Prefix,
            choose_draws: 20,
            body: Map::new(),
        })
    }

    /// Where the server is.
    pub fn location(&self) -> &Url {
        &self.location
    }

    /// Where chat completions are asked for.
    pub(super) fn endpoint(&self) -> Url {
        let mut endpoint = self.location.clone();
        if let Ok(mut segments) = endpoint.path_segments_mut() {
            segments.pop_if_empty().extend(["chat", "completions"]);
        }
        endpoint
    }

    /// Hex SHA-256 over all that can change answers: not the key, and not how fast they come.
    pub(super) fn fingerprint(&self) -> String {
        let parts = [
            self.location.to_string(),
            self.model.clone(),
            format!("{:?}", self.per_request),
            format!("{:?}", self.continuation),
            self.choose_draws.to_string(),
            Value::Object(self.body.clone()).to_string(),
        ];
        let mut digest = Sha256::new();
        for part in parts {
            digest.update(part);
            digest.update([0]);
        }
        let digest = digest.finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl FromStr for PerRequest {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "all" => Ok(Self::All),
            "one" => Ok(Self::One),
            _ => Err(()),
        }
    }
}

impl FromStr for Continue {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "prefix" => Ok(Self::Prefix),
            "ask" => Ok(Self::Ask),
            _ => Err(()),
        }
    }
}
