//! Work on one row at a time: prompts, and texts scored after them.

use std::rc::Rc;
use std::slice::ChunksExact;

use super::cache::Cache;
use super::prefixes::{Prefix, Prefixes};
use super::rounded_up;
use super::writing::Writing;
use crate::llm::backend::ModelError;
use crate::llm::folder::CacheShape;
use crate::llm::graph::{Feed, Graph, Wanted};

/// Tokens of one run. A prompt is always cut at the same places, and a kept one
/// is only reused up to such a place: every run is then one that would have been
/// made anyway, so what was kept cannot change a result, not by a bit. (Runs of
/// other lengths round otherwise.) Shorter pieces reuse more and compute slower:
/// 128 is a twentieth or so below the best length, 64 twice that.
const PIECE: usize = 128;

/// What reads: the model, and what it is to keep up meanwhile.
#[derive(Debug)]
pub struct Reader<'a> {
    graph: &'a mut Graph,
    writing: &'a mut Writing,
}

impl<'a> Reader<'a> {
    /// Reads with `graph` and keeps the rows of `writing` going.
    pub fn new(graph: &'a mut Graph, writing: &'a mut Writing) -> Self {
        Self { graph, writing }
    }

    /// Appends `tokens` to the row of `cache`, and gives what `logits` makes of the wanted
    /// logits, one slice of the vocabulary's length each.
    fn piece<T>(
        &mut self,
        cache: &mut Cache,
        feed: Feed<'_>,
        wanted: Wanted,
        logits: impl FnOnce(ChunksExact<'_, f32>) -> T,
    ) -> Result<T, ModelError> {
        let found = logits(self.graph.append(cache, &[feed], wanted)?);
        self.writing.keep_up(self.graph, feed.tokens.len())?;
        Ok(found)
    }
}

/// One row of cache, and the prompts that went through it.
#[derive(Debug)]
pub struct Desk {
    shape: CacheShape,
    cache: Cache,
    prefixes: Prefixes,
}

impl Desk {
    /// A desk that keeps up to `prefix_bytes` of prompts.
    pub fn new(shape: CacheShape, prefix_bytes: usize) -> Self {
        Self {
            shape,
            cache: Cache::new(shape, 1, 0),
            prefixes: Prefixes::new(prefix_bytes),
        }
    }

    /// Puts a prompt through the model, except for what a kept one begins with.
    /// Returns it, and how many of its tokens were kept.
    pub fn prompt(
        &mut self,
        reader: &mut Reader<'_>,
        tokens: &[u32],
    ) -> Result<(Rc<Prefix>, usize), ModelError> {
        let kept = self.prefixes.longest(tokens);
        if let Some((prefix, shared)) = &kept
            && prefix.tokens == tokens
        {
            return Ok((Rc::clone(prefix), *shared));
        }
        self.reserve(tokens.len());
        let mut reused = 0;
        if let Some((prefix, shared)) = kept {
            // At least one token is left to run, for its logits.
            reused = shared.min(tokens.len() - 1) / PIECE * PIECE;
            self.cache.copy_row(0, &prefix.cache, 0, reused);
        }
        let logits = self.append(reader, reused, &tokens[reused..])?;
        let mut cache = Cache::new(self.shape, 1, tokens.len());
        cache.copy_row(0, &self.cache, 0, tokens.len());
        let prefix = Rc::new(Prefix {
            tokens: tokens.to_vec(),
            cache,
            logits,
        });
        self.prefixes.keep(&prefix);
        Ok((prefix, reused))
    }

    /// The next-token logits after a prompt and at least one token more.
    pub fn after(
        &mut self,
        reader: &mut Reader<'_>,
        prefix: &Prefix,
        text: &[u32],
    ) -> Result<Vec<f32>, ModelError> {
        let past = self.place(prefix, text.len());
        self.append(reader, past, text)
    }

    /// The natural logarithm of the probability of `text` after a prompt.
    pub fn log_probability(
        &mut self,
        reader: &mut Reader<'_>,
        prefix: &Prefix,
        text: &[u32],
    ) -> Result<f64, ModelError> {
        let Some((&first, rest)) = text.split_first() else {
            return Ok(0.0);
        };
        let mut past = self.place(prefix, text.len());
        let mut sum = log_softmax(&prefix.logits, first);
        let mut targets = rest.iter();
        for tokens in text[..rest.len()].chunks(PIECE) {
            let feed = Feed { past, tokens };
            sum += reader.piece(&mut self.cache, feed, Wanted::All, |logits| {
                let pairs = logits.zip(&mut targets);
                pairs
                    .map(|(logits, &token)| log_softmax(logits, token))
                    .sum::<f64>()
            })?;
            past += tokens.len();
        }
        Ok(sum)
    }

    /// Lays out a prompt's keys and values, with room for `more` tokens.
    fn place(&mut self, prefix: &Prefix, more: usize) -> usize {
        let past = prefix.tokens.len();
        self.reserve(past + more);
        self.cache.copy_row(0, &prefix.cache, 0, past);
        past
    }

    fn append(
        &mut self,
        reader: &mut Reader<'_>,
        mut past: usize,
        tokens: &[u32],
    ) -> Result<Vec<f32>, ModelError> {
        let mut last = Vec::new();
        for tokens in tokens.chunks(PIECE) {
            let feed = Feed { past, tokens };
            last = reader.piece(&mut self.cache, feed, Wanted::Last, |logits| {
                logits.flatten().copied().collect()
            })?;
            past += tokens.len();
        }
        Ok(last)
    }

    fn reserve(&mut self, tokens: usize) {
        if tokens > self.cache.capacity() {
            self.cache = Cache::new(self.shape, 1, rounded_up(tokens));
        }
    }
}

fn log_softmax(logits: &[f32], token: u32) -> f64 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let relative = |logit: f32| f64::from(logit - highest);
    let total: f64 = logits.iter().map(|&logit| relative(logit).exp()).sum();
    relative(logits[token as usize]) - total.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_softmax_sums_to_one() {
        let logits = [1.0, 3.0, -2.0];
        let total: f64 = (0..3).map(|token| log_softmax(&logits, token).exp()).sum();
        assert!((total - 1.0).abs() < 1e-12);
    }
}
