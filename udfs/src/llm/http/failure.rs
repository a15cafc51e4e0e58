//! What a failed request means: try again, give the row up, or stop.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::{Value, json};

use super::options::HttpOptions;
use crate::llm::backend::ModelError;

/// The most characters of a server's message that are passed on.
const MESSAGE: usize = 300;

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// It may pass.
    Passing {
        /// What happened.
        reason: String,
        /// How long the server asks to wait.
        after: Option<Duration>,
    },
    /// The server does not want this request; it may want others.
    Refused(String),
    /// It would not want any.
    Fatal(String),
}

impl Failure {
    /// One that may pass.
    pub fn passing(reason: impl Into<String>) -> Self {
        Self::Passing {
            reason: reason.into(),
            after: None,
        }
    }

    /// A request that could not be sent, or whose answer broke off.
    pub fn broken(error: reqwest::Error, timeout: Duration) -> Self {
        if error.is_timeout() {
            return Self::passing(format!("no answer within {} s", timeout.as_secs_f64()));
        }
        // A chain's first link says that sending failed, its last one why.
        let error = error.without_url();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        match error.is_connect() {
            true => Self::passing(format!("no connection: {cause}")),
            false => Self::passing(format!("the connection broke: {cause}")),
        }
    }

    /// An answer other than 200.
    pub fn of_status(
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        options: &HttpOptions,
    ) -> Self {
        let text = String::from_utf8_lossy(body);
        let parsed: Value = serde_json::from_str(&text).unwrap_or_default();
        let said = message(&text, &parsed);
        let (model, location) = (&options.model, options.location());
        let used_up = || format!("the account at {location} is used up: {said}");
        match status.as_u16() {
            // What is used up does not come back by waiting.
            402 => Self::Fatal(used_up()),
            429 if parsed.pointer("/error/code") == Some(&json!("insufficient_quota")) => {
                Self::Fatal(used_up())
            }
            // The server's message is left out: it may repeat part of the key.
            401 | 403 => Self::Fatal(match &options.key {
                Some(key) => format!(
                    "{location} refuses the key ({status}); it was taken from the environment \
                     variable {}",
                    key.variable()
                ),
                None => format!(
                    "{location} wants a key ({status}); name the environment variable that \
                     holds it in the model's option key_env"
                ),
            }),
            404 | 405 => Self::Fatal(format!(
                "there is no model {model} at {location} ({status}): {said}"
            )),
            408 | 425 | 429 | 500 | 502..=599 => Self::Passing {
                reason: format!("{status}: {said}"),
                after: retry_after(headers),
            },
            300..=399 => Self::Fatal(format!(
                "{location} is elsewhere ({status}); give the model's location as it is now"
            )),
            _ => Self::Refused(format!("the server refuses the request ({status}): {said}")),
        }
    }

    /// The failure with another text.
    pub fn map(self, change: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Passing { reason, after } => Self::Passing {
                reason: change(reason),
                after,
            },
            Self::Refused(reason) => Self::Refused(change(reason)),
            Self::Fatal(reason) => Self::Fatal(change(reason)),
        }
    }
}

impl From<Failure> for ModelError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Passing { reason, .. } | Failure::Refused(reason) => Self::Row(reason),
            Failure::Fatal(reason) => Self::Fatal(reason),
        }
    }
}

/// How long `Retry-After` asks to wait: it is a number of seconds or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(
        date.duration_since(SystemTime::now())
            .unwrap_or(Duration::ZERO),
    )
}

/// What the server says, on one line: servers differ in where they put it.
fn message(text: &str, parsed: &Value) -> String {
    let places = ["/error/message", "/message", "/error", "/detail"];
    let said = places
        .iter()
        .find_map(|place| parsed.pointer(place)?.as_str());
    let words: Vec<_> = said.unwrap_or(text).split_whitespace().collect();
    let line: String = words.join(" ").chars().take(MESSAGE).collect();
    match line.as_str() {
        "" => "it gives no reason".to_owned(),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(value: String) -> Option<Duration> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
        retry_after(&headers)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(after("7".to_owned()), Some(Duration::from_secs(7)));
        let date = SystemTime::now() + Duration::from_secs(60);
        let wait = after(httpdate::fmt_http_date(date)).unwrap();
        assert!((58..=60).contains(&wait.as_secs()), "{wait:?}");
        let past = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH);
        assert_eq!(after(past), Some(Duration::ZERO));
        assert_eq!(after("soon".to_owned()), None);
        assert_eq!(after("-1".to_owned()), None);
    }

    #[test]
    fn a_servers_message_is_one_short_line_wherever_it_stands() {
        for body in [
            r#"{"error": {"message": "too\nlong"}}"#,
            r#"{"message": "too long"}"#,
            r#"{"error": "too long"}"#,
            r#"{"detail": "too long"}"#,
            "too\r\nlong",
        ] {
            let parsed = serde_json::from_str(body).unwrap_or_default();
            assert_eq!(message(body, &parsed), "too long");
        }
        assert_eq!(message(&"x".repeat(9000), &Value::Null).len(), MESSAGE);
        assert_eq!(message("", &Value::Null), "it gives no reason");
    }
}
