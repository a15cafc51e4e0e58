//! Opens models: which backend serves a location, and how.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::common::{DataFusionError, Result, plan_datafusion_err, plan_err};
use usermirror_udfs::llm::LoadError;
use usermirror_udfs::llm::backend::Backend;
use usermirror_udfs::llm::catalog::{ModelOptions, Open};
use usermirror_udfs::llm::encoder::{Encoder, EncoderOptions, is_encoder};
use usermirror_udfs::llm::engine::{Engine, EngineOptions};
use usermirror_udfs::llm::http::{HttpModel, HttpOptions, Key};

/// Opens folders of models and of encoders with ONNX Runtime, and models served elsewhere over HTTP.
#[derive(Debug)]
pub struct ModelOpener {
    runtime: Option<PathBuf>,
}

impl ModelOpener {
    /// Uses the library `runtime`, or the one found as
    /// [`usermirror_udfs::llm::runtime::Runtime::load`] says.
    pub fn new(runtime: Option<PathBuf>) -> Self {
        Self { runtime }
    }
}

#[async_trait]
impl Open for ModelOpener {
    async fn open(&self, location: &str, options: &ModelOptions) -> Result<Arc<dyn Backend>> {
        let model = self.load(location, options).await?;
        let info = model.info();
        tracing::info!(
            location,
            device = info.device,
            precision = info.precision,
            context_length = info.context_length,
            "model opened"
        );
        Ok(model)
    }
}

impl ModelOpener {
    async fn load(&self, location: &str, options: &ModelOptions) -> Result<Arc<dyn Backend>> {
        if is_served(location) {
            let options = served(location, options)?;
            return Ok(Arc::new(HttpModel::open(options).map_err(failed)?));
        }
        let location = PathBuf::from(location);
        if is_encoder(&location) {
            let options = encoder(self.runtime.clone(), options)?;
            return blocking(move || Encoder::open(&location, &options)).await;
        }
        let options = folder(self.runtime.clone(), options)?;
        blocking(move || Engine::open(&location, &options)).await
    }
}

/// Opens a model on a thread that may block.
async fn blocking<M: Backend + 'static>(
    opening: impl FnOnce() -> Result<M, LoadError> + Send + 'static,
) -> Result<Arc<dyn Backend>> {
    let model = tokio::task::spawn_blocking(opening)
        .await
        .map_err(|e| DataFusionError::Execution(format!("opening the model broke off: {e}")))?
        .map_err(failed)?;
    Ok(Arc::new(model))
}

/// Whether the model at `location` is served elsewhere: it is a URL, not a folder.
pub fn is_served(location: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| {
        let start = location.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
}

/// How a model folder is to be run.
fn folder(runtime: Option<PathBuf>, options: &ModelOptions) -> Result<EngineOptions> {
    let mut settings = EngineOptions {
        runtime,
        ..EngineOptions::default()
    };
    for (key, value) in options {
        match key.as_str() {
            "device" => settings.device = value.parse().map_err(DataFusionError::Plan)?,
            "threads" => settings.threads = Some(count(key, value)?),
            "replicas" => settings.replicas = count(key, value)?,
            "slots" => settings.slots = count(key, value)?,
            "max_context" => settings.max_context = count(key, value)?,
            "cache_mib" => settings.cache_bytes = Some(mib(count(key, value)?)),
            "prompt_cache_mib" => {
                let room = mib(read(key, value, "a number of at least 0")?);
                settings.prompt_cache_bytes = Some(room);
            }
            other => {
                return plan_err!(
                    "the model of a folder has no option '{other}'; there are: device, threads, \
                     replicas, slots, max_context, cache_mib, prompt_cache_mib"
                );
            }
        }
    }
    Ok(settings)
}

/// How an encoder's folder is to be run.
fn encoder(runtime: Option<PathBuf>, options: &ModelOptions) -> Result<EncoderOptions> {
    let mut settings = EncoderOptions {
        runtime,
        ..EncoderOptions::default()
    };
    for (key, value) in options {
        match key.as_str() {
            "device" => require_cpu(value)?,
            "threads" => settings.threads = Some(count(key, value)?),
            "max_context" => settings.max_context = Some(count(key, value)?),
            other => {
                return plan_err!(
                    "an encoder has no option '{other}'; there are: device, threads, max_context"
                );
            }
        }
    }
    Ok(settings)
}

/// How a model served at `location` is to be asked.
fn served(location: &str, options: &ModelOptions) -> Result<HttpOptions> {
    let Some(model) = options.get("model") else {
        return plan_err!(
            "a model served at a URL needs the name it is served under: \
             OPTIONS ('model' 'NAME'), or model = \"NAME\" in a job file"
        );
    };
    let mut settings = HttpOptions::new(location, model).map_err(failed)?;
    for (key, value) in options {
        match key.as_str() {
            "model" => {}
            "key_env" => settings.key = Some(Key::from_env(value).map_err(failed)?),
            "concurrency" => settings.concurrency = count(key, value)?,
            "requests_per_minute" => {
                settings.requests_per_minute = Some(read(key, value, "a number above 0")?);
            }
            "timeout_seconds" => settings.timeout = Duration::from_secs(count(key, value)? as u64),
            "retries" => settings.retries = read(key, value, "a number of at least 0")?,
            "max_context" => settings.max_context = Some(count(key, value)?),
            "draws_per_request" => settings.per_request = read(key, value, "all or one")?,
            "continue" => settings.continuation = read(key, value, "prefix or ask")?,
            "choose_draws" => settings.choose_draws = count(key, value)?,
            "body" => {
                settings.body = serde_json::from_str(value).map_err(|e| {
                    plan_datafusion_err!("model option body is no JSON object: {e}")
                })?;
            }
            other => {
                return plan_err!(
                    "a model served at a URL has no option '{other}'; there are: model, key_env, \
                     concurrency, requests_per_minute, timeout_seconds, retries, max_context, \
                     draws_per_request, continue, choose_draws, body"
                );
            }
        }
    }
    Ok(settings)
}

fn failed(error: LoadError) -> DataFusionError {
    DataFusionError::Execution(error.to_string())
}

/// Encoders run on the processor; another device asked for by name is an error, never
/// a silent fallback.
fn require_cpu(device: &str) -> Result<()> {
    match device {
        "auto" | "cpu" => Ok(()),
        other => plan_err!(
            "device '{other}' cannot be had: encoders run on cpu; open it with 'device' 'cpu'"
        ),
    }
}

fn count(key: &str, value: &str) -> Result<usize> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => plan_err!("model option {key} '{value}' is not a number above 0"),
    }
}

/// Bytes of so many MiB, or as many as there can be.
fn mib(count: usize) -> usize {
    count.saturating_mul(1 << 20)
}

fn read<T: FromStr>(key: &str, value: &str, must_be: &str) -> Result<T> {
    value
        .parse()
        .map_err(|_| plan_datafusion_err!("model option {key} '{value}' is not {must_be}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refusal(location: &str, options: &[(&str, &str)]) -> String {
        let options = options.iter();
        let options = options
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect();
        let opened = ModelOpener::new(None).open(location, &options).await;
        opened.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn options_of_the_other_kind_are_refused_with_the_right_ones() {
        let served = [("model", "m"), ("threads", "2")];
        let message = refusal("https://host/v1", &served).await;
        assert!(message.contains("no option 'threads'"), "{message}");
        assert!(message.contains("there are: model, key_env"), "{message}");
        let message = refusal("models/weak", &[("key_env", "KEY")]).await;
        assert!(message.contains("no option 'key_env'"), "{message}");
        assert!(message.contains("there are: device, threads"), "{message}");
    }

    #[tokio::test]
    async fn a_served_model_says_what_it_lacks() {
        for (options, what) in [
            (&[][..], "model = \"NAME\""),
            (&[("model", "m"), ("continue", "x")], "is not prefix or ask"),
            (&[("model", "m"), ("retries", "-1")], "at least 0"),
            (&[("model", "m"), ("body", "[1]")], "no JSON object"),
            (
                &[("model", "m"), ("key_env", "USERMIRROR_TEST_NO_SUCH_KEY")],
                "variable USERMIRROR_TEST_NO_SUCH_KEY, which key_env names, is not set",
            ),
        ] {
            let message = refusal("HTTPS://host/v1", options).await;
            assert!(message.contains(what), "{message}");
        }
    }

    #[tokio::test]
    async fn a_key_in_the_location_is_refused_and_not_repeated() {
        for location in [
            "https://user:secret@host/v1",
            "https://secret@host/v1",
            "https://host/v1?key=secret",
            "https://secret host/v1",
        ] {
            let message = refusal(location, &[("model", "m")]).await;
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[tokio::test]
    async fn a_served_model_is_not_asked_when_it_is_opened() {
        let options = ModelOptions::from([("model".to_owned(), "m".to_owned())]);
        let location = "http://127.0.0.1:9/v1";
        let opened = ModelOpener::new(None).open(location, &options).await;
        let model = opened.unwrap();
        assert_eq!(model.info().device, "http");
        assert_eq!(model.info().location, location);
    }
}
