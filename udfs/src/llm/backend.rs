//! What a model can be asked, whatever runs it.

use std::fmt::{self, Debug};
use std::ops::AddAssign;
use std::time::Duration;

use async_trait::async_trait;

/// One chat message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// The text; data, never control tokens.
    pub content: String,
}

/// How decisions are drawn. The defaults are the paper's.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// Softmax temperature, above 0.
    pub temperature: f64,
    /// Nucleus mass, in (0, 1].
    pub top_p: f64,
    /// The most new tokens of one decision.
    pub max_tokens: usize,
    /// Texts that end a decision, each not empty. They are no part of it.
    pub stop: Vec<String>,
    /// The form that decisions are held to.
    pub grammar: Option<Form>,
    /// The seed of every draw; the key is the prompt, the draw and the position.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_p: 0.9,
            max_tokens: 1024,
            stop: Vec::new(),
            grammar: None,
            seed: 42,
        }
    }
}

/// A form that decisions can be held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// The lines of the Engel-Kollat-Blackwell model: stimulus, knowledge, evaluation, behavior.
    Ekb,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ekb => f.write_str("ekb"),
        }
    }
}

/// Why a decision ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Finish {
    /// It reached `Behavior: [` and a letter was drawn.
    Behavior,
    /// The model ended its turn before a behavior.
    EndOfTurn,
    /// It used up `max_tokens` or the context.
    Length,
    /// It wrote one of the texts of `stop`.
    Stop,
}

impl Finish {
    /// The word written to the `finish` column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Behavior => "behavior",
            Self::EndOfTurn => "end_of_turn",
            Self::Length => "length",
            Self::Stop => "stop",
        }
    }
}

/// One generated decision process.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// 0-based draw.
    pub draw: usize,
    /// The thought, without the final `Behavior: [`, trimmed.
    pub text: String,
    /// The letter the model wrote, when it wrote one.
    pub letter: Option<char>,
    /// The distribution over the letters A to Z that this letter was drawn from, before
    /// temperature and top-p; where the text broke off, the one after the text and
    /// `Behavior: [`. None where it is not told.
    pub letter_probs: Option<Vec<f64>>,
    /// New tokens, the stop string included.
    pub tokens: usize,
    /// Why it ended.
    pub finish: Finish,
}

/// How a distribution over letters was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// From the model's logits, exactly.
    Logits,
    /// From the log probabilities that a server tells of its likeliest tokens:
    /// letters beyond those have probability 0.
    Logprobs,
    /// From the letters of repeated draws: an estimate.
    Draws,
}

impl By {
    /// The word written to the field `by`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::Logprobs => "logprobs",
            Self::Draws => "draws",
        }
    }
}

/// A distribution over letters.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Probabilities in letter order, summing to 1.
    pub probs: Vec<f64>,
    /// How they were come by.
    pub by: By,
}

/// What one request cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Of those, tokens whose keys and values were already cached.
    pub cached_tokens: usize,
    /// Tokens sampled.
    pub generated_tokens: usize,
    /// How long it waited before the model began on it, where that is known.
    pub queued: Duration,
    /// Steps of the model in which its draws were written, one token each.
    pub draw_steps: usize,
    /// Draws that were written in those steps, those of other requests included.
    pub draws_in_steps: usize,
}

impl Usage {
    /// Tokens that the model had to compute.
    pub fn computed_tokens(&self) -> usize {
        self.prompt_tokens.saturating_sub(self.cached_tokens) + self.generated_tokens
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.prompt_tokens += other.prompt_tokens;
        self.cached_tokens += other.cached_tokens;
        self.generated_tokens += other.generated_tokens;
        self.queued += other.queued;
        self.draw_steps += other.draw_steps;
        self.draws_in_steps += other.draws_in_steps;
    }
}

/// A reply and its cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply<T> {
    /// The answer.
    pub value: T,
    /// Its cost.
    pub usage: Usage,
}

/// Facts about a loaded model, shown by `SELECT * FROM <model>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// Where it was loaded from, or is served.
    pub location: String,
    /// Architecture family, as the folder names it (`llama`, `qwen2`); of a served
    /// model, the name it is served under.
    pub family: String,
    /// Parameters' storage type (`fp32`, `int4`, …), or `unknown`.
    pub precision: String,
    /// Longest context in tokens; 0 when it is not known.
    pub context_length: usize,
    /// Vocabulary size; 0 when it is not known.
    pub vocabulary: usize,
    /// `cpu`, `cuda:0`, `http`.
    pub device: String,
    /// Hex SHA-256 over the folder's model files; of a served model, over its
    /// location, name and the options that change answers.
    pub fingerprint: String,
    /// What it was made of, as JSON, where the folder tells.
    pub provenance: Option<String>,
}

/// Why a model could not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ModelError {
    /// This row cannot be done; others can. It becomes the row's `error`.
    #[error("{0}")]
    Row(String),
    /// There was no memory for so much at once. Engines do less at once and go on; what they
    /// do not get over fails the query.
    #[error("{0}")]
    Memory(String),
    /// The model cannot go on; the query fails.
    #[error("{0}")]
    Fatal(String),
}

/// A model that answers. Calls are cheap to start and many may be in flight:
/// batching is the backend's work. Dropping a call's future cancels it.
#[async_trait]
pub trait Backend: Debug + Send + Sync {
    /// What this model is.
    fn info(&self) -> &ModelInfo;

    /// How many calls should be in flight to keep the backend full.
    fn concurrency(&self) -> usize;

    /// Numbers in a vector of an encoder; none of a model that writes. SQL asks an encoder
    /// for [`Self::embed`] alone, and of the others everything else.
    fn dimensions(&self) -> Option<usize> {
        None
    }

    /// Tokens that [`Self::decide`] would read for `messages`, or with a `text`
    /// [`Self::choose`], or an encoder of the `text`; the model is not asked. An estimate
    /// where the tokenizer is out of reach.
    fn count(&self, messages: &[Message], text: Option<&str>) -> Result<usize, ModelError>;

    /// Draws `draws` decisions for one prompt; draw `i` depends only on the
    /// prompt, `i` and the sampling seed, as far as the backend has it in hand.
    async fn decide(
        &self,
        messages: &[Message],
        draws: usize,
        sampling: &Sampling,
    ) -> Result<Reply<Vec<Decision>>, ModelError>;

    /// `P(Y | X ⊕ D)`: the distribution over the first `choices` letters right
    /// after `text` and `Behavior: [`.
    async fn choose(
        &self,
        messages: &[Message],
        text: &str,
        choices: usize,
    ) -> Result<Reply<Choice>, ModelError>;

    /// Perplexity of `text` as the assistant's answer to `messages` (which may be
    /// empty: then of the text alone).
    async fn perplexity(&self, messages: &[Message], text: &str) -> Result<Reply<f64>, ModelError>;

    /// The vector of `text`, of length 1 (all 0 where the model makes nothing of the text).
    /// It depends on nothing else, to the last bit.
    async fn embed(&self, _text: &str) -> Result<Reply<Vec<f32>>, ModelError> {
        Err(ModelError::Fatal(format!(
            "{} is no encoder and cannot embed",
            self.info().location
        )))
    }
}
