//! The thread that owns a model: takes requests, keeps the rows full, answers.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;

use tokio::sync::oneshot;

use super::desk::Desk;
use super::pool::Pool;
use super::row::{Plan, Row};
use super::{EngineOptions, Lexicon};
use crate::llm::backend::{By, Choice, Decision, Finish, ModelError, Reply, Sampling, Usage};
use crate::llm::folder::CacheShape;
use crate::llm::graph::Graph;
use crate::llm::letters::softmax;
use crate::llm::sampler::prompt_hash;

/// Where an answer goes. When its other end is dropped the request is cancelled.
pub type Answer<T> = oneshot::Sender<Result<Reply<T>, ModelError>>;

/// What the thread is asked.
#[derive(Debug)]
pub enum Request {
    /// Draw decisions.
    Decide(Decide),
    /// The distribution over `letters` after a prompt and a text.
    Choose {
        /// Tokens of the messages.
        prompt: Vec<u32>,
        /// Tokens after them, up to the letter.
        text: Vec<u32>,
        /// The letters' tokens.
        letters: Vec<u32>,
        /// Where the probabilities go, in the letters' order.
        answer: Answer<Choice>,
    },
    /// The perplexity of a text after a prompt.
    Perplexity {
        /// Tokens before the text, at least one.
        prompt: Vec<u32>,
        /// Tokens of the text, at least one.
        text: Vec<u32>,
        /// Where the perplexity goes.
        answer: Answer<f64>,
    },
}

/// Draw decisions of a prompt.
#[derive(Debug)]
pub struct Decide {
    /// Tokens of the messages.
    pub prompt: Vec<u32>,
    /// How many decisions, at least one.
    pub draws: usize,
    /// How they are drawn.
    pub sampling: Sampling,
    /// The most tokens of one decision, within the context.
    pub limit: usize,
    /// Where the decisions go.
    pub answer: Answer<Vec<Decision>>,
}

impl Decide {
    /// The most tokens that one draw can come to, with the prompt.
    fn most_tokens(&self) -> usize {
        self.prompt.len() + self.limit
    }
}

/// A decide request whose prompt is through the model.
#[derive(Debug)]
struct Job {
    draws: usize,
    done: Vec<Decision>,
    usage: Usage,
    answer: Answer<Vec<Decision>>,
}

/// The state of the thread.
#[derive(Debug)]
pub struct Worker {
    graph: Graph,
    lexicon: Arc<Lexicon>,
    requests: Receiver<Request>,
    /// Decide requests not begun, in order of arrival.
    waiting: VecDeque<Decide>,
    /// Decide requests begun, by number.
    jobs: HashMap<u64, Job>,
    next_job: u64,
    /// Their draws that have no slot yet.
    ready: VecDeque<Row>,
    desk: Desk,
    pool: Pool,
    /// Rows in use, for those outside to see.
    live: Arc<AtomicUsize>,
}

impl Worker {
    /// A worker that is to be run in a thread of its own.
    pub fn new(
        graph: Graph,
        shape: CacheShape,
        lexicon: Arc<Lexicon>,
        options: &EngineOptions,
        requests: Receiver<Request>,
        live: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            graph,
            lexicon,
            requests,
            waiting: VecDeque::new(),
            jobs: HashMap::new(),
            next_job: 0,
            ready: VecDeque::new(),
            desk: Desk::new(shape, options.cache_bytes / 4),
            pool: Pool::new(shape, options.slots.max(1), options.cache_bytes),
            live,
        }
    }

    /// Works until no one can ask any more.
    pub fn run(mut self) {
        while self.take_requests() {
            self.drop_cancelled();
            if let Err(error) = self.advance() {
                self.fail(&error);
            }
            self.live.store(self.pool.live(), Ordering::Relaxed);
        }
    }

    /// Takes what has been asked, waiting for it only when there is nothing else
    /// to do. Scores are answered at once: they need no slot. False when no one
    /// is left to ask.
    fn take_requests(&mut self) -> bool {
        if self.waiting.is_empty() && self.jobs.is_empty() {
            match self.requests.recv() {
                Ok(request) => self.take(request),
                Err(_) => return false,
            }
        }
        // What is here by now and no more: a stream of scores must not hold up
        // the rows.
        let arrived: Vec<_> = self.requests.try_iter().collect();
        for request in arrived {
            self.take(request);
        }
        true
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Decide(request) => self.waiting.push_back(request),
            Request::Choose {
                prompt,
                text,
                letters,
                answer,
            } if !answer.is_closed() => {
                // A caller that has gone needs no answer.
                let _ = answer.send(self.choose(&prompt, &text, &letters));
            }
            Request::Perplexity {
                prompt,
                text,
                answer,
            } if !answer.is_closed() => {
                let _ = answer.send(self.perplexity(&prompt, &text));
            }
            Request::Choose { .. } | Request::Perplexity { .. } => {}
        }
    }

    fn choose(
        &mut self,
        prompt: &[u32],
        text: &[u32],
        letters: &[u32],
    ) -> Result<Reply<Choice>, ModelError> {
        let (prefix, cached_tokens) = self.desk.prompt(&mut self.graph, prompt)?;
        let logits = self.desk.after(&mut self.graph, &prefix, text)?;
        let letters = letters.iter().map(|&letter| logits[letter as usize]);
        Ok(Reply {
            value: Choice {
                probs: softmax(letters.map(f64::from)),
                by: By::Logits,
            },
            usage: Usage {
                prompt_tokens: prompt.len() + text.len(),
                cached_tokens,
                generated_tokens: 0,
            },
        })
    }

    fn perplexity(&mut self, prompt: &[u32], text: &[u32]) -> Result<Reply<f64>, ModelError> {
        let (prefix, cached_tokens) = self.desk.prompt(&mut self.graph, prompt)?;
        let sum = self.desk.log_probability(&mut self.graph, &prefix, text)?;
        Ok(Reply {
            value: (-sum / text.len() as f64).exp(),
            usage: Usage {
                prompt_tokens: prompt.len() + text.len(),
                cached_tokens,
                generated_tokens: 0,
            },
        })
    }

    fn drop_cancelled(&mut self) {
        self.waiting.retain(|request| !request.answer.is_closed());
        self.jobs.retain(|_, job| !job.answer.is_closed());
        self.ready.retain(|row| self.jobs.contains_key(&row.job()));
        self.pool.retain(|row| self.jobs.contains_key(&row.job()));
    }

    /// Fills the free slots, then writes one token to each row.
    fn advance(&mut self) -> Result<(), ModelError> {
        self.fill()?;
        if self.pool.live() > 0 {
            for (row, finish) in self.pool.step(&mut self.graph, &self.lexicon)? {
                self.end(row, finish)?;
            }
        }
        Ok(())
    }

    /// A prompt is computed when a slot is free for its first draw, not before:
    /// so few are held at a time, however many requests wait.
    fn fill(&mut self) -> Result<(), ModelError> {
        loop {
            let fits = |row: &mut Row| self.pool.has_room(row.most_tokens());
            if let Some(row) = self.ready.pop_front_if(fits) {
                if let Some((row, finish)) = self.pool.start(row, &self.lexicon)? {
                    self.end(row, finish)?;
                }
                continue;
            }
            if !self.ready.is_empty() {
                return Ok(());
            }
            let fits = |request: &mut Decide| self.pool.has_room(request.most_tokens());
            match self.waiting.pop_front_if(fits) {
                Some(request) => self.begin(request)?,
                None => return Ok(()),
            }
        }
    }

    /// Computes a request's prompt and makes its draws ready.
    fn begin(&mut self, request: Decide) -> Result<(), ModelError> {
        let (prefix, cached_tokens) = match self.desk.prompt(&mut self.graph, &request.prompt) {
            Ok(prompt) => prompt,
            Err(error) => {
                let _ = request.answer.send(Err(error.clone()));
                return Err(error);
            }
        };
        let job = self.next_job;
        self.next_job += 1;
        let plan = Rc::new(Plan {
            job,
            prompt_hash: prompt_hash(&request.prompt),
            prefix,
            sampling: request.sampling,
            limit: request.limit,
        });
        let rows = (0..request.draws).map(|draw| Row::new(&plan, draw));
        self.ready.extend(rows);
        let job = Job {
            draws: request.draws,
            done: Vec::with_capacity(request.draws),
            usage: Usage {
                prompt_tokens: request.prompt.len(),
                cached_tokens,
                generated_tokens: 0,
            },
            answer: request.answer,
        };
        self.jobs.insert(plan.job, job);
        Ok(())
    }

    /// Takes a written decision; answers when it is its request's last.
    fn end(&mut self, row: Row, finish: Finish) -> Result<(), ModelError> {
        let id = row.job();
        let decision = row.finish(finish, &self.lexicon)?;
        let Some(job) = self.jobs.get_mut(&id) else {
            return Ok(());
        };
        job.usage.generated_tokens += decision.tokens;
        job.done.push(decision);
        if job.done.len() == job.draws
            && let Some(mut job) = self.jobs.remove(&id)
        {
            job.done.sort_by_key(|decision| decision.draw);
            let reply = Reply {
                value: job.done,
                usage: job.usage,
            };
            let _ = job.answer.send(Ok(reply));
        }
        Ok(())
    }

    /// Tells every begun request that its rows are lost.
    fn fail(&mut self, error: &ModelError) {
        for (_, job) in self.jobs.drain() {
            let _ = job.answer.send(Err(error.clone()));
        }
        self.drop_cancelled();
    }
}
