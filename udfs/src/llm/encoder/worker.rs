//! An encoder's thread.

use std::sync::mpsc::Receiver;

use super::graph::Graph;
use super::queue::{Job, Queue};
use crate::llm::backend::ModelError;

/// Embeds what is asked, batch by batch.
pub struct Worker {
    graph: Graph,
    queue: Queue,
    received: Receiver<Job>,
}

impl Worker {
    /// Serves `received` with `graph`, whose texts have at most `longest` tokens, one at a
    /// time if they must be `alone`.
    pub fn new(graph: Graph, alone: bool, longest: usize, received: Receiver<Job>) -> Self {
        Self {
            graph,
            queue: Queue::new(longest, alone),
            received,
        }
    }

    /// Works until nobody can ask any more. What comes while a batch runs waits together,
    /// and so makes the next ones full.
    pub fn run(mut self) {
        loop {
            if self.queue.is_empty() {
                match self.received.recv() {
                    Ok(job) => self.queue.push(job),
                    Err(_) => return,
                }
            }
            for job in self.received.try_iter() {
                self.queue.push(job);
            }
            if let Some((length, mut jobs)) = self.queue.pop() {
                jobs.retain(|job| !job.answer.is_closed());
                self.embed(length, jobs);
            }
        }
    }

    fn embed(&mut self, length: usize, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let texts: Vec<&[u32]> = jobs.iter().map(|job| job.tokens.as_slice()).collect();
        let vectors = match self.graph.run(&texts, length) {
            Ok(vectors) => vectors.into_iter().map(finite).collect(),
            Err(error) => vec![Err(error); jobs.len()],
        };
        for (job, vector) in jobs.into_iter().zip(vectors) {
            // Whoever asked may have gone since.
            let _ = job.answer.send(vector);
        }
    }
}

fn finite(vector: Vec<f32>) -> Result<Vec<f32>, ModelError> {
    if vector.iter().all(|number| number.is_finite()) {
        return Ok(vector);
    }
    Err(ModelError::Row(
        "the encoder's states of the text overflow".to_owned(),
    ))
}
