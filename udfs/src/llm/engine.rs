//! The model engine: a thread per loaded model, or a few with a replica each, which keep many
//! decisions in flight at once.
//!
//! | part | what it does |
//! | --- | --- |
//! | [`replicas`] | who is asked, where there are several |
//! | [`worker`] | the thread: takes requests, one after the other |
//! | [`desk`] | one row at a time: prompts, and texts scored after them |
//! | [`writing`] | the decisions in work: fills the slots, answers |
//! | [`pool`] | many rows at a time: one token to each |
//! | [`row`] | one decision, from its first token to its letter |
//! | [`memory`] | how much memory that may take |
//! | [`grammar`] | the form that decisions can be held to |
//! | [`prefixes`] | prompts kept for the next caller |
//! | [`cache`] | keys and values of rows |
//! | [`prompts`] | keys and values of prompts, as texts share them |
//! | [`shared`] | keys and values of prompts and of the draws that share them |
//!
//! A prompt goes through the model once. Its draws share its keys and values, enter
//! the pool together when there are slots for them, and leave it as they end.
//! What a draw writes depends on the model, the prompt, the draw's number and
//! the seed: not on what else is in the pool, on what was kept, or on threads.

pub(crate) mod cache;
mod desk;
#[cfg(test)]
mod golden;
mod grammar;
pub(crate) mod memory;
mod pool;
mod prefixes;
pub(crate) mod prompts;
mod replicas;
mod row;
pub(crate) mod shared;
#[cfg(test)]
mod soak;
#[cfg(test)]
mod tests;
mod worker;
mod writing;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::backend::{
    Backend, Choice, Decision, Form, Message, ModelError, ModelInfo, Reply, Sampling, Usage,
};
use super::chat::Chat;
use super::device::{Device, Devices};
use super::folder::{Folder, TOKENIZER};
use super::graph::Graph;
use super::letters::{Letters, OPENING, opened};
use super::load::LoadError;
use super::runtime::Runtime;
use super::tokens::Tokens;
use desk::Desk;
use grammar::Grammar;
use memory::Room;
use pool::Pool;
use replicas::{Replica, Replicas};
use worker::{Answer, Decide, Request, Score, Weight, Worker};
use writing::Writing;

/// How a model is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineOptions {
    /// The ONNX Runtime library; found as [`Runtime::load`] says when absent.
    pub runtime: Option<PathBuf>,
    /// Where it runs.
    pub device: Devices,
    /// Threads of the computation; one per available core when absent. A replica uses no more than
    /// the model has heads of keys and values.
    pub threads: Option<usize>,
    /// How often the model is loaded on each device, to share the requests and the threads. More
    /// replicas on fewer threads each wait less for each other; each holds the weights.
    pub replicas: usize,
    /// The most decisions in flight, of one replica.
    pub slots: usize,
    /// The longest context in tokens, where the model's own is longer.
    pub max_context: usize,
    /// The most bytes of keys and values of decisions in flight, of a replica; when absent 2 GiB,
    /// and on a GPU as many as there are. Less where memory is short.
    pub cache_bytes: Option<usize>,
    /// The most bytes of recent prompts that are kept for the next caller; 512 MiB, and likewise.
    pub prompt_cache_bytes: Option<usize>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            runtime: None,
            device: Devices::Auto,
            threads: None,
            replicas: 1,
            slots: 64,
            max_context: 8192,
            cache_bytes: None,
            prompt_cache_bytes: None,
        }
    }
}

/// What tokens mean.
#[derive(Debug)]
struct Lexicon {
    tokens: Tokens,
    letters: Letters,
    /// Tokens that end a turn.
    eos: Vec<u32>,
    /// [`OPENING`], and the same on a line of its own.
    openings: [Vec<u32>; 2],
}

impl Lexicon {
    /// # Errors
    /// When the tokenizer does not keep each letter one token.
    fn new(tokens: Tokens, eos: Vec<u32>) -> Result<Self, LoadError> {
        let opening = |text: &str| {
            let tokens = tokens.content(text);
            tokens.map_err(|error| LoadError::Tokenizer(error.to_string()))
        };
        Ok(Self {
            letters: Letters::find(&tokens)?,
            openings: [opening(OPENING)?, opening(&format!("\n{OPENING}"))?],
            tokens,
            eos,
        })
    }

    /// What makes a letter of the next token, where a line begins or not.
    fn opening(&self, line_begins: bool) -> &[u32] {
        &self.openings[usize::from(!line_begins)]
    }
}

/// A model of a folder, run by ONNX Runtime.
#[derive(Debug)]
pub struct Engine {
    info: ModelInfo,
    chat: Chat,
    lexicon: Arc<Lexicon>,
    /// The token that begins a text without messages, where the model has one.
    bos: Option<u32>,
    slots: usize,
    tokenizer: PathBuf,
    /// The grammar of the form that was last asked for.
    grammar: Mutex<Option<(Form, Arc<Grammar>)>>,
    replicas: Replicas,
}

impl Engine {
    /// Opens the model folder at `location` and starts its threads, which end
    /// when the engine is dropped.
    ///
    /// # Errors
    /// When the runtime, the folder or the graph cannot be used, or the tokenizer
    /// does not keep each letter one token.
    pub fn open(location: &Path, options: &EngineOptions) -> Result<Self, LoadError> {
        let folder = Folder::read(location)?;
        let lexicon = Lexicon::new(Tokens::parse(&folder.tokenizer)?, folder.eos_ids.clone())?;
        let bos = single_token(&lexicon.tokens, &folder.bos_token);
        let chat = Chat::parse(&folder.template, &folder.bos_token, &folder.eos_token)?;
        let runtime = Runtime::load(options.runtime.as_deref())?;
        let context_length = folder.context_length.min(options.max_context);
        let devices = Device::choose(options.device)?;
        let lexicon = Arc::new(lexicon);
        let graphs = graphs(&runtime, &folder, &devices, options)?;
        let precision = graphs.first().map(Graph::precision);
        let replicas = replicas(graphs, &lexicon, context_length, options)?;
        let info = ModelInfo {
            location: location.display().to_string(),
            family: folder.family,
            precision: precision.unwrap_or_default(),
            context_length,
            vocabulary: folder.vocabulary,
            device: named(&devices),
            fingerprint: folder.fingerprint,
            provenance: folder.provenance,
        };
        Ok(Self {
            info,
            chat,
            lexicon,
            bos,
            slots: options.slots.max(1),
            tokenizer: location.join(TOKENIZER),
            grammar: Mutex::default(),
            replicas: Replicas::new(replicas),
        })
    }

    /// How many decisions are being written now.
    pub fn live(&self) -> usize {
        self.replicas.live()
    }

    fn prompt(&self, messages: &[Message]) -> Result<Vec<u32>, ModelError> {
        let prompt = self.chat.prompt(messages, &self.lexicon.tokens)?;
        if prompt.is_empty() {
            return Err(ModelError::Row("the messages are empty".to_owned()));
        }
        Ok(prompt)
    }

    /// The fewest tokens that a decision takes: one of its own, and an opening after it.
    fn least_written(&self) -> usize {
        let openings = self.lexicon.openings.iter().map(Vec::len);
        1 + openings.max().unwrap_or_default()
    }

    /// The tokens of a decision up to where its letter follows.
    fn opened(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        self.lexicon.tokens.content(&opened(text))
    }

    /// Checks that `tokens` tokens fit the context.
    fn check_fits(&self, tokens: usize) -> Result<(), ModelError> {
        let context = self.info.context_length;
        if tokens <= context {
            return Ok(());
        }
        Err(ModelError::Row(format!(
            "a prompt of {tokens} tokens exceeds the model's context of {context}: \
             show a shorter history or fewer options"
        )))
    }

    /// The grammar of a form, made when it is first asked for.
    fn grammar(&self, form: Form) -> Result<Arc<Grammar>, ModelError> {
        let mut known = self.grammar.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, grammar)) = known.as_ref()
            && *of == form
        {
            return Ok(Arc::clone(grammar));
        }
        let eos = self.lexicon.eos.first().copied().unwrap_or_default();
        let made = Grammar::new(form, &self.tokenizer, self.info.vocabulary, eos)?;
        let made = Arc::new(made);
        *known = Some((form, Arc::clone(&made)));
        Ok(made)
    }

    /// Sends a request to a replica and waits for its answer.
    async fn ask<T>(
        &self,
        request: impl FnOnce(Answer<T>) -> Request,
    ) -> Result<Reply<T>, ModelError> {
        let stopped =
            || ModelError::Fatal("the model's engine has stopped; open the model again".to_owned());
        let (answer, reply) = oneshot::channel();
        let _asked = self.replicas.send(request(answer)).ok_or_else(stopped)?;
        reply.await.map_err(|_| stopped())?
    }
}

#[async_trait]
impl Backend for Engine {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn concurrency(&self) -> usize {
        self.slots * self.replicas.count()
    }

    fn count(&self, messages: &[Message], text: Option<&str>) -> Result<usize, ModelError> {
        let prompt = self.prompt(messages)?.len();
        let after = match text {
            Some(text) => self.opened(text)?.len(),
            None => self.least_written(),
        };
        self.check_fits(prompt + after)?;
        Ok(prompt + text.map_or(0, |_| after))
    }

    async fn decide(
        &self,
        messages: &[Message],
        draws: usize,
        sampling: &Sampling,
    ) -> Result<Reply<Vec<Decision>>, ModelError> {
        check_sampling(sampling)?;
        if draws == 0 {
            return Ok(Reply {
                value: Vec::new(),
                usage: Usage::default(),
            });
        }
        let prompt = self.prompt(messages)?;
        let least = self.least_written();
        self.check_fits(prompt.len() + least)?;
        // The opening is kept room for, in case the text breaks off.
        let room = self.info.context_length - prompt.len() - (least - 1);
        let limit = sampling.max_tokens.min(room);
        let grammar = sampling
            .grammar
            .map(|form| self.grammar(form))
            .transpose()?;
        let sampling = sampling.clone();
        self.ask(|answer| {
            Request::Decide(Decide {
                prompt,
                draws,
                sampling,
                grammar,
                limit,
                asked: Instant::now(),
                answer,
            })
        })
        .await
    }

    async fn choose(
        &self,
        messages: &[Message],
        text: &str,
        choices: usize,
    ) -> Result<Reply<Choice>, ModelError> {
        let letters = self.lexicon.letters.first(choices)?.to_vec();
        let prompt = self.prompt(messages)?;
        let text = self.opened(text)?;
        self.check_fits(prompt.len() + text.len())?;
        self.ask(|answer| {
            Request::Score(Score {
                prompt,
                text,
                asked: Instant::now(),
                wanted: Weight::Letters { letters, answer },
            })
        })
        .await
    }

    async fn perplexity(&self, messages: &[Message], text: &str) -> Result<Reply<f64>, ModelError> {
        let mut text = self.lexicon.tokens.content(text)?;
        let prompt = match self.bos {
            _ if !messages.is_empty() => self.prompt(messages)?,
            Some(bos) => vec![bos],
            // With nothing before it the first token has no probability.
            None => text.drain(..text.len().min(1)).collect(),
        };
        if text.is_empty() {
            return Err(ModelError::Row(
                "the text is too short to have a perplexity".to_owned(),
            ));
        }
        self.check_fits(prompt.len() + text.len())?;
        self.ask(|answer| {
            Request::Score(Score {
                prompt,
                text,
                asked: Instant::now(),
                wanted: Weight::Perplexity { answer },
            })
        })
        .await
    }
}

/// Loads the folder's graph as often as there are to be replicas, on one device after the other.
fn graphs(
    runtime: &Runtime,
    folder: &Folder,
    devices: &[Device],
    options: &EngineOptions,
) -> Result<Vec<Graph>, LoadError> {
    let threads = options.threads.unwrap_or_else(available_cores);
    let replicas = devices.len() * options.replicas;
    let threads = shares(threads, replicas, folder.cache.heads);
    let each = devices.iter().cycle().zip(threads);
    each.map(|(device, threads)| Graph::load(runtime, folder, device, threads))
        .collect()
}

/// Starts a replica for each graph, with its share of the memory that the weights leave free.
fn replicas(
    graphs: Vec<Graph>,
    lexicon: &Arc<Lexicon>,
    context: usize,
    options: &EngineOptions,
) -> Result<Vec<Replica>, LoadError> {
    let free = |graph: &Graph| graph.store().memory.free() / options.replicas.max(1);
    let free: Vec<_> = graphs.iter().map(free).collect();
    let each = graphs.into_iter().zip(free);
    each.map(|(graph, free)| {
        let (decisions, prompts) = graph.store().memory.room();
        let wanted = Room {
            decisions: options.cache_bytes.unwrap_or(decisions),
            prompts: options.prompt_cache_bytes.unwrap_or(prompts),
        };
        let room = memory::plan(graph.store(), context, wanted, free)?;
        start(graph, Arc::clone(lexicon), options.slots.max(1), room)
    })
    .collect()
}

/// Starts the thread of a replica.
fn start(
    graph: Graph,
    lexicon: Arc<Lexicon>,
    slots: usize,
    room: Room,
) -> Result<Replica, LoadError> {
    let live = Arc::new(AtomicUsize::new(0));
    let (requests, received) = channel();
    let replica = Replica::new(requests, Arc::clone(&live));
    let thread = move || {
        let store = graph.store().clone();
        let pool = Pool::new(store.clone(), slots, room.decisions);
        let writing = Writing::new(lexicon, pool, live);
        let desk = Desk::new(store, room.prompts);
        Worker::new(graph, desk, writing, received).run();
    };
    std::thread::Builder::new()
        .name("model-engine".to_owned())
        .spawn(thread)
        .map_err(|error| LoadError::Thread(error.to_string()))?;
    Ok(replica)
}

/// The names of the devices, in one text.
fn named(devices: &[Device]) -> String {
    let names: Vec<_> = devices.iter().map(Device::to_string).collect();
    names.join(" ")
}

/// The threads of each replica: at least one, and no more than there are heads of keys and values.
/// With more, the runtime divides the work within a head, and how it does tells in the last bits
/// who else is in work.
fn shares(threads: usize, replicas: usize, heads: usize) -> impl Iterator<Item = usize> {
    let replicas = replicas.max(1);
    (0..replicas).map(move |index| ((threads + index) / replicas).clamp(1, heads.max(1)))
}

fn check_sampling(sampling: &Sampling) -> Result<(), ModelError> {
    let wrong = |what: &str| Err(ModelError::Fatal(what.to_owned()));
    if !(sampling.temperature > 0.0 && sampling.temperature.is_finite()) {
        return wrong("the sampling temperature must be above 0: SET model.temperature = 1.0");
    }
    if !(sampling.top_p > 0.0 && sampling.top_p <= 1.0) {
        return wrong("top-p must be above 0 and at most 1: SET model.top_p = 0.9");
    }
    if sampling.max_tokens == 0 {
        return wrong("a decision needs at least one token: SET model.max_tokens = 1024");
    }
    Ok(())
}

/// The id of a token that is written out, if it is one token.
fn single_token(tokens: &Tokens, text: &str) -> Option<u32> {
    match tokens.control(text).ok()?.as_slice() {
        &[id] => Some(id),
        _ => None,
    }
}

fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Capacities come in multiples of 256 tokens, so that rows of about the same
/// length share one.
pub(super) fn rounded_up(tokens: usize) -> usize {
    tokens.next_multiple_of(256)
}
