//! Encoders: models that turn a text into a vector.
//!
//! | part | what it does |
//! | --- | --- |
//! | [`folder`] | what an encoder's folder says of it |
//! | [`graph`] | the ONNX graph: a batch in, vectors out |
//! | [`queue`] | which texts go through the graph together |
//! | [`worker`] | the thread: one batch after the other |
//!
//! A text's vector depends on the text alone, to the last bit: it is padded to a length that
//! its own decides, and every text of a batch is padded to the same. The exception is told in
//! [`folder`] and is asked one text at a time.

mod folder;
#[cfg(test)]
mod golden;
mod graph;
mod queue;
#[cfg(test)]
mod tests;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::backend::{
    Backend, Choice, Decision, Message, ModelError, ModelInfo, Reply, Sampling, Usage,
};
use super::load::LoadError;
use super::runtime::Runtime;
use super::tokens::Tokens;
use folder::Folder;
use graph::Graph;
use queue::Job;
use worker::Worker;

pub use folder::is_encoder;

/// How many texts wait for the graph, so that each length has enough of them for a batch.
const IN_FLIGHT: usize = 256;

/// How an encoder is run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncoderOptions {
    /// The ONNX Runtime library; found as [`Runtime::load`] says when absent.
    pub runtime: Option<PathBuf>,
    /// Threads of the computation; one per available core when absent.
    pub threads: Option<usize>,
    /// The most tokens of a text, where the model's own maximum is higher.
    pub max_context: Option<usize>,
}

/// An encoder of a folder, run by ONNX Runtime.
#[derive(Debug)]
pub struct Encoder {
    info: ModelInfo,
    tokens: Tokens,
    dimensions: usize,
    requests: Sender<Job>,
}

impl Encoder {
    /// Opens the encoder's folder at `location` and starts its thread, which ends when the
    /// encoder is dropped.
    ///
    /// # Errors
    /// When the runtime, the folder or the graph cannot be used.
    pub fn open(location: &Path, options: &EncoderOptions) -> Result<Self, LoadError> {
        let folder = Folder::read(location, options.max_context)?;
        let tokens = Tokens::parse(&folder.tokenizer)?;
        let runtime = Runtime::load(options.runtime.as_deref())?;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = options.threads.unwrap_or_else(cores);
        let graph = Graph::load(&runtime, &folder, threads)?;
        let dimensions = graph.dimensions();
        let (requests, received) = channel();
        let worker = Worker::new(graph, folder.alone, folder.max_tokens, received);
        std::thread::Builder::new()
            .name("encoder".to_owned())
            .spawn(move || worker.run())
            .map_err(|error| LoadError::Thread(error.to_string()))?;
        let info = ModelInfo {
            location: location.display().to_string(),
            family: folder.family,
            precision: folder.precision,
            context_length: folder.max_tokens,
            vocabulary: folder.vocabulary,
            device: "cpu".to_owned(),
            fingerprint: folder.fingerprint,
            provenance: folder.provenance,
        };
        Ok(Self {
            info,
            tokens,
            dimensions,
            requests,
        })
    }

    /// The tokens of `text`, cut at the longest that the model takes.
    fn read(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        self.tokens.whole(text, self.info.context_length)
    }

    fn cannot(&self, what: &str) -> ModelError {
        ModelError::Fatal(format!(
            "{} is an encoder, which cannot {what}: it only embeds",
            self.info.location
        ))
    }
}

#[async_trait]
impl Backend for Encoder {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn concurrency(&self) -> usize {
        IN_FLIGHT
    }

    fn dimensions(&self) -> Option<usize> {
        Some(self.dimensions)
    }

    fn count(&self, _messages: &[Message], text: Option<&str>) -> Result<usize, ModelError> {
        Ok(self.read(text.unwrap_or_default())?.len())
    }

    async fn decide(
        &self,
        _messages: &[Message],
        _draws: usize,
        _sampling: &Sampling,
    ) -> Result<Reply<Vec<Decision>>, ModelError> {
        Err(self.cannot("decide"))
    }

    async fn choose(
        &self,
        _messages: &[Message],
        _text: &str,
        _choices: usize,
    ) -> Result<Reply<Choice>, ModelError> {
        Err(self.cannot("choose"))
    }

    async fn perplexity(
        &self,
        _messages: &[Message],
        _text: &str,
    ) -> Result<Reply<f64>, ModelError> {
        Err(self.cannot("tell a perplexity"))
    }

    async fn embed(&self, text: &str) -> Result<Reply<Vec<f32>>, ModelError> {
        let tokens = self.read(text)?;
        let usage = Usage {
            prompt_tokens: tokens.len(),
            ..Usage::default()
        };
        if tokens.is_empty() {
            // A tokenizer without marks of its own makes nothing of an empty text.
            return Ok(Reply {
                value: vec![0.0; self.dimensions],
                usage,
            });
        }
        let stopped =
            || ModelError::Fatal("the encoder has stopped; open the model again".to_owned());
        let (answer, vector) = oneshot::channel();
        self.requests
            .send(Job { tokens, answer })
            .map_err(|_| stopped())?;
        let value = vector.await.map_err(|_| stopped())??;
        Ok(Reply { value, usage })
    }
}
