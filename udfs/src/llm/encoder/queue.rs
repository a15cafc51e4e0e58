//! Which texts go through the graph together.
//!
//! A batch holds texts of one padded length. So nothing is spent on the padding of short
//! texts beside long ones, and a text's vector does not depend on its neighbours: a kernel
//! that sums over positions groups them by the padded length.

use std::collections::{BTreeMap, VecDeque};

use tokio::sync::oneshot;

use crate::llm::backend::ModelError;

/// The most tokens of one batch, padding included, unless one text alone has more. Beyond it
/// the processor gains nothing, and intermediate results leave its cache.
const BATCH_TOKENS: usize = 2048;

/// A text to embed.
#[derive(Debug)]
pub struct Job {
    /// Its tokens, at least one.
    pub tokens: Vec<u32>,
    /// Where its vector is awaited.
    pub answer: oneshot::Sender<Result<Vec<f32>, ModelError>>,
}

/// The length that a text of `tokens` tokens is padded to: at most an eighth, or seven tokens,
/// longer than itself, and no longer than `longest`.
pub fn padded(tokens: usize, longest: usize) -> usize {
    let step = (tokens.next_power_of_two() / 16).max(8);
    tokens.next_multiple_of(step).min(longest)
}

/// Texts that wait, by padded length, each with its place in the order they came in.
#[derive(Debug)]
pub struct Queue {
    waiting: BTreeMap<usize, VecDeque<(u64, Job)>>,
    came: u64,
    longest: usize,
    most: usize,
}

impl Queue {
    /// For texts of at most `longest` tokens; `alone`, if no two of them may share a batch.
    pub fn new(longest: usize, alone: bool) -> Self {
        Self {
            waiting: BTreeMap::new(),
            came: 0,
            longest,
            most: if alone { 1 } else { usize::MAX },
        }
    }

    /// Adds a text.
    pub fn push(&mut self, job: Job) {
        let length = padded(job.tokens.len(), self.longest);
        let line = self.waiting.entry(length).or_default();
        line.push_back((self.came, job));
        self.came += 1;
    }

    /// Whether no text waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next batch and its padded length: the text that waits longest, with others of its
    /// length. None where no text waits.
    pub fn pop(&mut self) -> Option<(usize, Vec<Job>)> {
        let first = |line: &VecDeque<(u64, Job)>| line.front().map(|(came, _)| *came);
        let (&length, line) = self
            .waiting
            .iter_mut()
            .min_by_key(|(_, line)| first(line))?;
        let count = (BATCH_TOKENS / length).clamp(1, self.most).min(line.len());
        let jobs = line.drain(..count).map(|(_, job)| job).collect();
        if line.is_empty() {
            self.waiting.remove(&length);
        }
        Some((length, jobs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(tokens: usize) -> Job {
        Job {
            tokens: vec![1; tokens],
            answer: oneshot::channel().0,
        }
    }

    #[test]
    fn padding_is_short_and_follows_from_the_length_alone() {
        let lengths = [1, 8, 9, 64, 65, 128, 129, 500, 512];
        let expected = [8, 8, 16, 64, 72, 128, 144, 512, 512];
        assert_eq!(lengths.map(|tokens| padded(tokens, 512)), expected);
        assert_eq!(padded(500, 509), 509);
        for tokens in 1..=512 {
            let length = padded(tokens, 512);
            assert!(length >= tokens && length - tokens <= 7.max(tokens / 8));
        }
    }

    #[test]
    fn a_batch_holds_the_oldest_text_and_those_of_its_length() {
        let mut queue = Queue::new(512, false);
        for tokens in [300, 5, 6, 290, 300, 300, 300, 300, 300, 300] {
            queue.push(job(tokens));
        }
        let mut batches = vec![];
        while let Some((length, jobs)) = queue.pop() {
            batches.push((length, jobs.len()));
        }
        assert!(queue.is_empty());
        assert_eq!(batches, [(320, 6), (8, 2), (320, 2)]);
    }

    #[test]
    fn texts_that_may_not_share_a_batch_go_one_by_one() {
        let mut queue = Queue::new(512, true);
        queue.push(job(5));
        queue.push(job(5));
        assert_eq!(queue.pop().unwrap().1.len(), 1);
        assert_eq!(queue.pop().unwrap().1.len(), 1);
        assert!(queue.pop().is_none());
    }
}
