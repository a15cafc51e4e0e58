//! The same model several times, each with a thread of its own.
//!
//! What a replica answers is what any other would have answered, so that it is free which one is
//! asked: the one that has read the prompt already or, of a new prompt, the one with the least to
//! do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use super::worker::Request;
use crate::llm::sampler::prompt_hash;

/// Prompts of which is remembered who read them.
const REMEMBERED: usize = 4096;

/// More draws and scores than this may wait for the replica that has read the prompt, beyond what
/// waits for another, before the other reads it too.
const PATIENCE: usize = 32;

/// One replica, as those who ask it see it.
#[derive(Debug)]
pub struct Replica {
    /// Where its thread takes requests.
    pub requests: Sender<Request>,
    /// Decisions that it is writing.
    pub live: Arc<AtomicUsize>,
    /// Draws and scores that it has been asked for.
    asked: Arc<AtomicUsize>,
}

impl Replica {
    /// One that has been asked for nothing.
    pub fn new(requests: Sender<Request>, live: Arc<AtomicUsize>) -> Self {
        Self {
            requests,
            live,
            asked: Arc::default(),
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// All replicas of a model, at least one.
#[derive(Debug)]
pub struct Replicas {
    all: Vec<Replica>,
    /// Who read a prompt, by its hash.
    readers: Mutex<HashMap<u64, usize>>,
}

/// Counts as asked for until it is dropped.
#[derive(Debug)]
pub struct Asked {
    count: usize,
    of: Arc<AtomicUsize>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.of.fetch_sub(self.count, Ordering::Relaxed);
    }
}

impl Replicas {
    /// The replicas `all`.
    pub fn new(all: Vec<Replica>) -> Self {
        Self {
            all,
            readers: Mutex::default(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Decisions being written.
    pub fn live(&self) -> usize {
        let live = self.all.iter();
        live.map(|replica| replica.live.load(Ordering::Relaxed))
            .sum()
    }

    /// Sends a request to one of them. It counts as asked until what is returned is dropped; none
    /// is when the replica's thread has ended.
    pub fn send(&self, request: Request) -> Option<Asked> {
        let replica = &self.all[self.pick(prompt_hash(request.prompt()))];
        let count = request.count();
        replica.asked.fetch_add(count, Ordering::Relaxed);
        let asked = Asked {
            count,
            of: Arc::clone(&replica.asked),
        };
        replica.requests.send(request).ok()?;
        Some(asked)
    }

    fn pick(&self, prompt: u64) -> usize {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let idlest = self.all.iter().enumerate();
        let idlest = idlest.min_by_key(|(_, replica)| replica.asked());
        let (idlest, least) = idlest.map_or((0, 0), |(index, replica)| (index, replica.asked()));
        if let Some(&reader) = readers.get(&prompt)
            && self.all[reader].asked() <= least + PATIENCE
        {
            return reader;
        }
        if readers.len() >= REMEMBERED {
            readers.clear();
        }
        readers.insert(prompt, idlest);
        idlest
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use std::time::Instant;

    use tokio::sync::oneshot;

    use super::*;
    use crate::llm::backend::Sampling;
    use crate::llm::engine::worker::Decide;

    fn replicas(count: usize) -> (Replicas, Vec<Receiver<Request>>) {
        let (all, received) = (0..count)
            .map(|_| {
                let (requests, received) = channel();
                (Replica::new(requests, Arc::default()), received)
            })
            .unzip();
        (Replicas::new(all), received)
    }

    fn draws(prompt: u32, draws: usize) -> Request {
        Request::Decide(Decide {
            prompt: vec![prompt],
            draws,
            sampling: Sampling::default(),
            grammar: None,
            limit: 1,
            asked: Instant::now(),
            answer: oneshot::channel().0,
        })
    }

    fn counts(received: &[Receiver<Request>]) -> Vec<usize> {
        let received = received.iter();
        received
            .map(|requests| requests.try_iter().count())
            .collect()
    }

    #[test]
    fn a_new_prompt_goes_to_who_has_least_to_do() {
        let (replicas, received) = replicas(2);
        let first = replicas.send(draws(1, 10)).unwrap();
        let _second = replicas.send(draws(2, 4)).unwrap();
        let _third = replicas.send(draws(3, 4)).unwrap();
        assert_eq!(counts(&received), [1, 2]);
        drop(first);
        let _fourth = replicas.send(draws(4, 1)).unwrap();
        assert_eq!(counts(&received), [1, 0]);
    }

    #[test]
    fn a_known_prompt_goes_to_its_reader_within_reason() {
        let (replicas, received) = replicas(2);
        let mut asked = vec![replicas.send(draws(1, 1)).unwrap()];
        for _ in 0..PATIENCE {
            asked.push(replicas.send(draws(1, 1)).unwrap());
        }
        assert_eq!(counts(&received), [PATIENCE + 1, 0]);
        asked.push(replicas.send(draws(1, 1)).unwrap());
        assert_eq!(counts(&received), [0, 1]);
        // From now on the other has read it.
        asked.clear();
        let _last = replicas.send(draws(1, 1)).unwrap();
        assert_eq!(counts(&received), [0, 1]);
    }

    #[test]
    fn who_has_ended_is_asked_nothing() {
        let (replicas, received) = replicas(1);
        drop(received);
        assert!(replicas.send(draws(1, 1)).is_none());
        assert_eq!(replicas.all[0].asked(), 0);
    }
}
