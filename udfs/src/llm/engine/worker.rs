//! The thread that owns a model: takes requests, keeps the rows full, answers.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::desk::{Desk, Reader};
use super::grammar::Grammar;
use super::pool::Need;
use super::prefixes::Prefix;
use super::writing::Writing;
use crate::llm::backend::{By, Choice, Decision, ModelError, Reply, Sampling, Usage};
use crate::llm::graph::Graph;
use crate::llm::letters::softmax;

/// Where an answer goes. When its other end is dropped the request is cancelled.
pub type Answer<T> = oneshot::Sender<Result<Reply<T>, ModelError>>;

/// What the thread is asked.
#[derive(Debug)]
pub enum Request {
    /// Draw decisions.
    Decide(Decide),
    /// Weigh a text.
    Score(Score),
}

impl Request {
    /// The tokens that come before what is to be drawn or weighed.
    pub fn prompt(&self) -> &[u32] {
        match self {
            Self::Decide(decide) => &decide.prompt,
            Self::Score(score) => &score.prompt,
        }
    }

    /// How many draws or scores are asked for.
    pub fn count(&self) -> usize {
        match self {
            Self::Decide(decide) => decide.draws,
            Self::Score(_) => 1,
        }
    }
}

/// Weigh a text, which needs no slot.
#[derive(Debug)]
pub struct Score {
    /// Tokens before the text, at least one.
    pub prompt: Vec<u32>,
    /// Tokens of the text, at least one.
    pub text: Vec<u32>,
    /// When it was asked.
    pub asked: Instant,
    /// What is wanted of the text.
    pub wanted: Weight,
}

/// What a text is weighed for.
#[derive(Debug)]
pub enum Weight {
    /// The distribution over letters that would follow it.
    Letters {
        /// The letters' tokens.
        letters: Vec<u32>,
        /// Where the probabilities go, in the letters' order.
        answer: Answer<Choice>,
    },
    /// Its perplexity.
    Perplexity {
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
    /// The form that they are held to.
    pub grammar: Option<Arc<Grammar>>,
    /// The most tokens of one decision, within the context.
    pub limit: usize,
    /// When it was asked.
    pub asked: Instant,
    /// Where the decisions go.
    pub answer: Answer<Vec<Decision>>,
}

impl Decide {
    fn need(&self) -> Need {
        Need {
            draws: self.draws,
            prompt: self.prompt.len(),
            limit: self.limit,
        }
    }
}

/// The state of the thread.
#[derive(Debug)]
pub struct Worker {
    graph: Graph,
    requests: Receiver<Request>,
    /// Requests not begun, in order of arrival.
    decides: VecDeque<Decide>,
    scores: VecDeque<Score>,
    desk: Desk,
    writing: Writing,
}

impl Worker {
    /// A worker that is to be run in a thread of its own.
    pub fn new(graph: Graph, desk: Desk, writing: Writing, requests: Receiver<Request>) -> Self {
        Self {
            graph,
            requests,
            decides: VecDeque::new(),
            scores: VecDeque::new(),
            desk,
            writing,
        }
    }

    /// Works until no one can ask any more.
    pub fn run(mut self) {
        while self.take_requests() {
            if let Err(error) = self.advance() {
                self.writing.fail(&error);
            }
        }
    }

    /// Takes what has been asked, waiting for it only when there is nothing else
    /// to do. False when no one is left to ask.
    fn take_requests(&mut self) -> bool {
        if self.decides.is_empty() && self.scores.is_empty() && self.writing.is_idle() {
            match self.requests.recv() {
                Ok(request) => self.take(request),
                Err(_) => return false,
            }
        }
        while let Ok(request) = self.requests.try_recv() {
            self.take(request);
        }
        self.decides.retain(|request| !request.answer.is_closed());
        true
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Decide(request) => self.decides.push_back(request),
            Request::Score(request) => self.scores.push_back(request),
        }
    }

    /// Begins what there is room for, answers one score, which needs none, and writes a token
    /// to each row. A prompt is read when a slot is free for its first draw, not before: so few
    /// are held at a time, however many requests wait.
    fn advance(&mut self) -> Result<(), ModelError> {
        loop {
            self.writing.fill()?;
            let fits = |request: &mut Decide| self.writing.has_room(request.need());
            match self.decides.pop_front_if(fits) {
                Some(request) => self.begin(request)?,
                None => break,
            }
        }
        match self.scores.pop_front() {
            // The rows keep up with what it reads.
            Some(request) => self.score(request),
            None => self.writing.step(&mut self.graph),
        }
    }

    fn begin(&mut self, request: Decide) -> Result<(), ModelError> {
        let queued = request.asked.elapsed();
        match self.read(&request.prompt) {
            Ok((prefix, cached_tokens)) => {
                let usage = Usage {
                    prompt_tokens: request.prompt.len(),
                    cached_tokens,
                    queued,
                    ..Usage::default()
                };
                self.writing.begin(request, prefix, usage);
                Ok(())
            }
            Err(error) => tell(request.answer, Err(error)),
        }
    }

    /// Answers, if anyone still waits for it.
    fn score(&mut self, request: Score) -> Result<(), ModelError> {
        let Score {
            prompt,
            text,
            asked,
            wanted,
        } = request;
        let queued = asked.elapsed();
        match wanted {
            Weight::Letters { letters, answer } if !answer.is_closed() => {
                let found = self.weigh(&prompt, &text, queued, |desk, reader, prefix| {
                    let logits = desk.after(reader, prefix, &text)?;
                    let letters = letters.iter().map(|&letter| logits[letter as usize]);
                    Ok(Choice {
                        probs: softmax(letters.map(f64::from)),
                        by: By::Logits,
                    })
                });
                tell(answer, found)
            }
            Weight::Perplexity { answer } if !answer.is_closed() => {
                let found = self.weigh(&prompt, &text, queued, |desk, reader, prefix| {
                    let sum = desk.log_probability(reader, prefix, &text)?;
                    Ok((-sum / text.len() as f64).exp())
                });
                tell(answer, found)
            }
            Weight::Letters { .. } | Weight::Perplexity { .. } => Ok(()),
        }
    }

    /// Reads the prompt and gives what `weighing` finds of the text.
    fn weigh<T>(
        &mut self,
        prompt: &[u32],
        text: &[u32],
        queued: Duration,
        weighing: impl Fn(&mut Desk, &mut Reader<'_>, &Prefix) -> Result<T, ModelError>,
    ) -> Result<Reply<T>, ModelError> {
        let (prefix, cached_tokens) = self.read(prompt)?;
        let value = self.with_less(|desk, reader| weighing(desk, reader, &prefix))?;
        Ok(Reply {
            value,
            usage: Usage {
                prompt_tokens: prompt.len() + text.len(),
                cached_tokens,
                queued,
                ..Usage::default()
            },
        })
    }

    fn read(&mut self, prompt: &[u32]) -> Result<(Rc<Prefix>, usize), ModelError> {
        self.with_less(|desk, reader| desk.prompt(reader, prompt))
    }

    /// Does `work`, as long as memory is short with less and less besides.
    fn with_less<T>(
        &mut self,
        work: impl Fn(&mut Desk, &mut Reader<'_>) -> Result<T, ModelError>,
    ) -> Result<T, ModelError> {
        loop {
            let mut reader = Reader::new(&mut self.graph, &mut self.writing);
            match work(&mut self.desk, &mut reader) {
                Err(ModelError::Memory(_)) if self.desk.forget() || self.writing.shed() => {}
                found => return found,
            }
        }
    }
}

/// Answers; a model that failed has failed the rows in work too, hence the error.
fn tell<T>(answer: Answer<T>, found: Result<Reply<T>, ModelError>) -> Result<(), ModelError> {
    let failed = found.as_ref().err().cloned();
    // A caller that has gone needs no answer.
    let _ = answer.send(found);
    failed.map_or(Ok(()), Err)
}
