//! The decisions being written, and whom they are for.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Lexicon;
use super::pool::{Need, Pool};
use super::prefixes::Prefix;
use super::row::{Plan, Row};
use super::worker::{Answer, Decide};
use crate::llm::backend::{Decision, Finish, ModelError, Reply, Usage};
use crate::llm::graph::Graph;
use crate::llm::sampler::prompt_hash;

/// Tokens that are read before the rows in work are written one token further. Less would
/// have the rows wait less, and step more often with free slots among them.
const READ_BETWEEN_STEPS: usize = 512;

/// A decide request whose prompt is through the model.
#[derive(Debug)]
struct Job {
    draws: usize,
    done: Vec<Decision>,
    usage: Usage,
    answer: Answer<Vec<Decision>>,
}

/// Begun requests, and their rows with a slot and without.
#[derive(Debug)]
pub struct Writing {
    lexicon: Arc<Lexicon>,
    /// Requests begun, by number.
    jobs: HashMap<u64, Job>,
    next_job: u64,
    /// Their draws that have no slot yet.
    ready: VecDeque<Row>,
    pool: Pool,
    /// Rows in use, for those outside to see.
    live: Arc<AtomicUsize>,
    /// Tokens read since the last step.
    read: usize,
}

impl Writing {
    /// Nothing yet.
    pub fn new(lexicon: Arc<Lexicon>, pool: Pool, live: Arc<AtomicUsize>) -> Self {
        Self {
            lexicon,
            jobs: HashMap::new(),
            next_job: 0,
            ready: VecDeque::new(),
            pool,
            live,
            read: 0,
        }
    }

    /// Whether no request is begun.
    pub fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Whether a request can begin: no draw of another waits for a slot, and there is room.
    pub fn has_room(&self, need: Need) -> bool {
        self.ready.is_empty() && self.pool.has_room(need)
    }

    /// Makes the draws of `request` ready, whose prompt is `prefix` and has cost `usage`.
    pub fn begin(&mut self, request: Decide, prefix: Rc<Prefix>, usage: Usage) {
        let plan = Rc::new(Plan {
            job: self.next_job,
            draws: request.draws,
            prompt_hash: prompt_hash(&request.prompt),
            prefix,
            sampling: request.sampling,
            grammar: request.grammar,
            limit: request.limit,
        });
        self.next_job += 1;
        let rows = (0..request.draws).map(|draw| Row::new(&plan, draw));
        self.ready.extend(rows);
        let job = Job {
            draws: request.draws,
            done: Vec::with_capacity(request.draws),
            usage,
            answer: request.answer,
        };
        self.jobs.insert(plan.job, job);
    }

    /// Gives free slots to ready draws.
    ///
    /// # Errors
    /// When the model's numbers are none.
    pub fn fill(&mut self) -> Result<(), ModelError> {
        while let Some(row) = self.ready.pop_front_if(|row| self.pool.has_place(row)) {
            let again = row.again();
            match self.pool.start(row, &self.lexicon) {
                Err(ModelError::Memory(_)) if self.shed() => self.ready.push_front(again),
                ended => {
                    if let Some((row, finish)) = ended? {
                        self.end(row, finish)?;
                    }
                }
            }
        }
        self.live.store(self.pool.live(), Ordering::Relaxed);
        Ok(())
    }

    /// Writes one token to each row.
    ///
    /// # Errors
    /// When the graph fails; no row can then go on.
    pub fn step(&mut self, graph: &mut Graph) -> Result<(), ModelError> {
        self.drop_cancelled();
        self.read = 0;
        while self.pool.live() > 0 {
            match self.pool.step(graph, &self.lexicon) {
                Err(ModelError::Memory(_)) if self.shed() => {}
                ended => {
                    for (row, finish) in ended? {
                        self.end(row, finish)?;
                    }
                    break;
                }
            }
        }
        self.live.store(self.pool.live(), Ordering::Relaxed);
        Ok(())
    }

    /// Writes half of the draws later, from their beginning, for there is no memory for all. Says
    /// whether there is less to do at once.
    pub fn shed(&mut self) -> bool {
        let shed = self.pool.shed();
        for row in &shed {
            self.ready.push_front(row.again());
        }
        !shed.is_empty()
    }

    /// Keeps the rows going while `tokens` tokens of something else were read.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn keep_up(&mut self, graph: &mut Graph, tokens: usize) -> Result<(), ModelError> {
        self.read += tokens;
        if self.read < READ_BETWEEN_STEPS {
            return Ok(());
        }
        self.step(graph)
    }

    /// Takes a written decision; answers when it is its request's last.
    fn end(&mut self, row: Row, finish: Finish) -> Result<(), ModelError> {
        let id = row.job();
        let (draw_steps, draws_in_steps) = row.steps();
        let decision = row.finish(finish, &self.lexicon)?;
        let Some(job) = self.jobs.get_mut(&id) else {
            return Ok(());
        };
        job.usage += Usage {
            generated_tokens: decision.tokens,
            draw_steps,
            draws_in_steps,
            ..Usage::default()
        };
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

    /// Frees what belongs to callers that have gone.
    pub fn drop_cancelled(&mut self) {
        self.jobs.retain(|_, job| !job.answer.is_closed());
        self.ready.retain(|row| self.jobs.contains_key(&row.job()));
        self.pool.retain(|row| self.jobs.contains_key(&row.job()));
    }

    /// Tells every begun request that its rows are lost.
    pub fn fail(&mut self, error: &ModelError) {
        for (_, job) in self.jobs.drain() {
            let _ = job.answer.send(Err(error.clone()));
        }
        self.drop_cancelled();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::sync::oneshot;

    use super::*;
    use crate::llm::backend::Sampling;
    use crate::llm::demo;
    use crate::llm::device::Device;
    use crate::llm::engine::desk::{Desk, Reader};
    use crate::llm::folder::Folder;
    use crate::llm::runtime::Runtime;
    use crate::llm::store::Memory;
    use crate::llm::store::cuda::tests::OfProcessor;
    use crate::llm::store::host::Host;
    use crate::llm::tokens::Tokens;

    const DRAWS: usize = 4;

    /// The decisions of two prompts, with the memory short after each of `shed` steps.
    fn decisions(memory: Arc<dyn Memory>, shed: &[usize]) -> Vec<Vec<Decision>> {
        let folder = Folder::read(&demo::folder("weak")).unwrap();
        let runtime = Runtime::load(None).unwrap();
        let graph = Graph::load(&runtime, &folder, &Device::Cpu, 1).unwrap();
        let mut graph = graph.keeping_in(memory);
        let tokens = Tokens::parse(&folder.tokenizer).unwrap();
        let lexicon = Arc::new(Lexicon::new(tokens, folder.eos_ids).unwrap());
        let mut desk = Desk::new(graph.store().clone(), 0);
        let pool = Pool::new(graph.store().clone(), 2 * DRAWS, 1 << 30);
        let mut writing = Writing::new(lexicon, pool, Arc::default());
        let mut answers = Vec::new();
        for token in [5, 6] {
            let prompt = vec![token; 300];
            let mut reader = Reader::new(&mut graph, &mut writing);
            let (prefix, _) = desk.prompt(&mut reader, &prompt).unwrap();
            let (answer, received) = oneshot::channel();
            let request = Decide {
                prompt,
                draws: DRAWS,
                sampling: Sampling::default(),
                grammar: None,
                limit: 40,
                asked: Instant::now(),
                answer,
            };
            writing.begin(request, prefix, Usage::default());
            answers.push(received);
        }
        let mut most = 0;
        for step in 0.. {
            writing.fill().unwrap();
            most = most.max(writing.pool.live());
            if shed.contains(&step) {
                assert!(writing.shed());
                most = writing.pool.live();
            }
            writing.step(&mut graph).unwrap();
            assert!(writing.pool.live() <= most, "as many as before");
            if writing.is_idle() {
                break;
            }
        }
        let answers = answers.iter_mut();
        answers
            .map(|answer| answer.try_recv().unwrap().unwrap().value)
            .collect()
    }

    #[test]
    fn short_memory_changes_no_decision() {
        let decisions = |shed| decisions(Arc::new(Host), shed);
        let undisturbed = decisions(&[]);
        assert_eq!(undisturbed.len(), 2);
        assert_eq!(decisions(&[1, 2, 3]), undisturbed);
        assert_eq!(decisions(&[0]), undisturbed);
    }

    #[test]
    fn where_keys_and_values_are_changes_no_decision() {
        let gpus = || Arc::new(OfProcessor::new());
        assert_eq!(decisions(gpus(), &[2]), decisions(Arc::new(Host), &[]));
    }
}
