//! Sends requests: so many at a time, so many a minute, again when they fail in passing.

use std::fmt;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Url, redirect};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use super::failure::Failure;
use super::options::HttpOptions;
use super::wire::Answer;
use crate::llm::load::LoadError;

/// The longest wait between two tries, unless the server asks for a longer one.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A server that asks to wait longer than this is not waited for.
const MOST_PATIENCE: Duration = Duration::from_secs(300);

/// The server of a model.
pub struct Server {
    options: HttpOptions,
    endpoint: Url,
    client: Client,
    /// One for each request that may be in flight.
    permits: Semaphore,
    pace: Option<DefaultDirectRateLimiter>,
}

impl Server {
    /// The server that `options` describe.
    ///
    /// # Errors
    /// When the system's certificates cannot be used.
    pub fn new(options: HttpOptions) -> Result<Self, LoadError> {
        // A redirected request would take its prompt, if not its key, to another server.
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .timeout(options.timeout)
            .build();
        let client = client.map_err(|error| {
            LoadError::Served(format!("HTTPS cannot be spoken on this machine: {error}"))
        })?;
        // Evenly spaced, since servers may count by the second what they promise by the minute.
        let pace = options.requests_per_minute.map(|most| {
            let quota = Quota::per_minute(most).allow_burst(std::num::NonZeroU32::MIN);
            RateLimiter::direct(quota)
        });
        Ok(Self {
            endpoint: options.endpoint(),
            client,
            permits: Semaphore::new(options.concurrency.max(1)),
            pace,
            options,
        })
    }

    /// How it is asked.
    pub fn options(&self) -> &HttpOptions {
        &self.options
    }

    /// The answer to the request `fields`. Dropping the future cancels the request.
    ///
    /// # Errors
    /// When the server refuses the request, or fails for longer than it is retried.
    pub async fn complete(&self, mut fields: Map<String, Value>) -> Result<Answer, Failure> {
        fields.extend(self.options.body.clone());
        fields.retain(|_, value| !value.is_null());
        let body = Value::Object(fields).to_string();
        let mut tries = 0;
        let attempt = || {
            tries += 1;
            self.attempt(body.clone())
        };
        let answer = attempt
            .retry(self.waits())
            .when(may_pass)
            .adjust(|failure, wait| Some(wait? + asked_to_wait(failure)))
            .await;
        answer.map_err(|failure| self.explained(failure, tries))
    }

    fn waits(&self) -> ExponentialBuilder {
        ExponentialBuilder::default()
            .with_min_delay(self.options.first_wait)
            .with_max_delay(LONGEST_WAIT)
            .with_max_times(self.options.retries)
            .with_jitter()
    }

    async fn attempt(&self, body: String) -> Result<Answer, Failure> {
        let broken = |error| Failure::broken(error, self.options.timeout);
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|closed| Failure::Fatal(closed.to_string()))?;
        if let Some(pace) = &self.pace {
            pace.until_ready().await;
        }
        let mut request = self
            .client
            .post(self.endpoint.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        if let Some(key) = &self.options.key {
            request = request.header(AUTHORIZATION, key.header());
        }
        let response = request.send().await.map_err(broken)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.map_err(broken)?;
        if !status.is_success() {
            return Err(Failure::of_status(status, &headers, &body, &self.options));
        }
        Answer::read(&body).map_err(Failure::passing)
    }

    /// The failure as a row or a run shows it: no server can put the key into it.
    fn explained(&self, failure: Failure, tries: usize) -> Failure {
        let failure = match failure {
            Failure::Passing { reason, after } => Failure::Passing {
                reason: format!(
                    "no answer from {} after {tries} tries: {reason}",
                    self.options.location()
                ),
                after,
            },
            other => other,
        };
        failure.map(|reason| match &self.options.key {
            Some(key) => key.remove_from(&reason),
            None => reason,
        })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

fn may_pass(failure: &Failure) -> bool {
    matches!(failure, Failure::Passing { .. }) && asked_to_wait(failure) <= MOST_PATIENCE
}

/// How long the server asks to wait.
fn asked_to_wait(failure: &Failure) -> Duration {
    match failure {
        Failure::Passing {
            after: Some(after), ..
        } => *after,
        _ => Duration::ZERO,
    }
}
