//! A model that answers from its arguments, counts, and can be slow or fail.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use datafusion::common::plan_err;

use crate::llm::backend::{
    Backend, By, Choice, Decision, Finish, Message, ModelError, ModelInfo, Reply, Sampling, Usage,
};
use crate::llm::catalog::{ModelOptions, Open};
use crate::llm::demo;
use crate::llm::encoder::{Encoder, EncoderOptions};

/// Its answers repeat the last message, so that a mixed-up row shows. A message
/// with `bad` in it fails its row; one with `broken` fails the query.
#[derive(Debug)]
pub(super) struct Fake {
    info: ModelInfo,
    concurrency: usize,
    /// Calls take up to so many milliseconds, each prompt its own time.
    longest: u64,
    calls: AtomicUsize,
    in_flight: AtomicUsize,
    peak: AtomicUsize,
    sampling: Mutex<Sampling>,
}

impl Fake {
    /// Answers at once.
    pub(super) fn quick() -> Arc<Self> {
        Self::new(16, 0)
    }

    pub(super) fn new(concurrency: usize, longest: u64) -> Arc<Self> {
        Arc::new(Self {
            info: ModelInfo {
                location: "nowhere".to_owned(),
                family: "fake".to_owned(),
                precision: "fp32".to_owned(),
                context_length: 4096,
                vocabulary: 100,
                device: "cpu".to_owned(),
                fingerprint: "00".to_owned(),
                provenance: None,
            },
            concurrency,
            longest,
            calls: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            sampling: Mutex::default(),
        })
    }

    /// How many calls there were since this was last asked.
    pub(super) fn calls(&self) -> usize {
        self.calls.swap(0, SeqCst)
    }

    /// How many calls are running.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(SeqCst)
    }

    /// The most calls that were ever running at once.
    pub(super) fn peak(&self) -> usize {
        self.peak.load(SeqCst)
    }

    /// How the last decisions were drawn.
    pub(super) fn sampling(&self) -> Sampling {
        self.sampling.lock().unwrap().clone()
    }

    async fn answer<T: Send>(&self, content: &str, value: T) -> Result<Reply<T>, ModelError> {
        self.calls.fetch_add(1, SeqCst);
        let _running = Running::start(self);
        if self.longest > 0 {
            let mut hasher = DefaultHasher::new();
            content.hash(&mut hasher);
            let time = hasher.finish() % (self.longest + 1);
            tokio::time::sleep(Duration::from_millis(time)).await;
        }
        if content.contains("broken") {
            return Err(ModelError::Fatal("the device is gone".to_owned()));
        }
        if content.contains("bad") {
            return Err(ModelError::Row(format!("{content} is too long")));
        }
        Ok(Reply {
            value,
            usage: Usage {
                prompt_tokens: 10,
                cached_tokens: 4,
                generated_tokens: 3,
                queued: Duration::from_millis(2),
                draw_steps: 3,
                draws_in_steps: 12,
            },
        })
    }
}

/// Counts a call as running for as long as its future lives.
struct Running<'a>(&'a Fake);

impl<'a> Running<'a> {
    fn start(fake: &'a Fake) -> Self {
        let now = fake.in_flight.fetch_add(1, SeqCst) + 1;
        fake.peak.fetch_max(now, SeqCst);
        Self(fake)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, SeqCst);
    }
}

fn content(messages: &[Message]) -> String {
    let last = messages.last();
    last.map(|message| message.content.clone())
        .unwrap_or_default()
}

#[async_trait]
impl Backend for Fake {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    fn count(&self, messages: &[Message], text: Option<&str>) -> Result<usize, ModelError> {
        let text = text.unwrap_or_default();
        Ok(content(messages).len() + text.len())
    }

    async fn decide(
        &self,
        messages: &[Message],
        draws: usize,
        sampling: &Sampling,
    ) -> Result<Reply<Vec<Decision>>, ModelError> {
        *self.sampling.lock().unwrap() = sampling.clone();
        let content = content(messages);
        let decisions = (0..draws)
            .map(|draw| Decision {
                draw,
                text: format!("{content}#{draw}"),
                letter: Some(if content.len().is_multiple_of(2) {
                    'A'
                } else {
                    'B'
                }),
                letter_probs: None,
                tokens: 3,
                finish: Finish::Behavior,
            })
            .collect();
        self.answer(&content, decisions).await
    }

    async fn choose(
        &self,
        messages: &[Message],
        _text: &str,
        choices: usize,
    ) -> Result<Reply<Choice>, ModelError> {
        let even = Choice {
            probs: vec![1.0 / choices as f64; choices],
            by: By::Logits,
        };
        self.answer(&content(messages), even).await
    }

    async fn perplexity(&self, messages: &[Message], text: &str) -> Result<Reply<f64>, ModelError> {
        self.answer(&content(messages), text.len() as f64).await
    }
}

/// Opens the demo encoder at `encoder`, and a quick [`Fake`] at any other location but
/// `missing`, with any device.
#[derive(Debug)]
pub(super) struct FakeOpener;

#[async_trait]
impl Open for FakeOpener {
    async fn open(
        &self,
        location: &str,
        options: &ModelOptions,
    ) -> datafusion::error::Result<Arc<dyn Backend>> {
        if location == "missing" {
            return plan_err!("there is no model folder {location}");
        }
        if location == "encoder" {
            let encoder = Encoder::open(&demo::folder(location), &EncoderOptions::default());
            return Ok(Arc::new(encoder.unwrap()));
        }
        let mut fake = Arc::into_inner(Fake::quick()).unwrap();
        fake.info.location = location.to_owned();
        if let Some(device) = options.get("device") {
            fake.info.device = device.clone();
        }
        Ok(Arc::new(fake))
    }
}
