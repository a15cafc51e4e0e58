//! Work on one row at a time: prompts, and texts scored after them.

use std::rc::Rc;
use std::slice::ChunksExact;

use super::cache::{Cache, Spot};
use super::prefixes::{PIECE, Piece, Prefix, Prefixes};
use super::rounded_up;
use super::writing::Writing;
use crate::llm::backend::ModelError;
use crate::llm::folder::CacheShape;
use crate::llm::graph::{Feed, Graph, Wanted};

/// The most tokens of a text that are read in one run. A text is kept by nobody, so that it may
/// be cut where it is best for speed: into equal parts.
const LONGEST_PART: usize = 256;

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
    /// The pieces that the row begins with.
    placed: Vec<Rc<Piece>>,
    prefixes: Prefixes,
}

impl Desk {
    /// A desk that keeps up to `prefix_bytes` of prompts.
    pub fn new(shape: CacheShape, prefix_bytes: usize) -> Self {
        Self {
            shape,
            cache: Cache::empty(shape),
            placed: Vec::new(),
            prefixes: Prefixes::new(prefix_bytes),
        }
    }

    /// Puts a prompt through the model, except for the pieces that are kept.
    /// Returns it, and how many of its tokens were kept.
    pub fn prompt(
        &mut self,
        reader: &mut Reader<'_>,
        tokens: &[u32],
    ) -> Result<(Rc<Prefix>, usize), ModelError> {
        let (mut pieces, logits) = self.prefixes.find(tokens);
        if let Some(logits) = logits {
            return Ok((Rc::new(Prefix { pieces, logits }), tokens.len()));
        }
        // At least one piece is left to run, for its logits.
        pieces.truncate((tokens.len() - 1) / PIECE);
        let reused = self.place(&pieces, tokens.len())?;
        let mut logits = Vec::new();
        let mut rest = tokens[reused..].chunks(PIECE).peekable();
        while let Some(tokens) = rest.next() {
            let past = pieces.len() * PIECE;
            logits = self.append(reader, past, tokens, rest.peek().is_none())?;
            let piece = Rc::new(self.cut(past, tokens)?);
            self.placed.push(Rc::clone(&piece));
            pieces.push(piece);
        }
        let logits = logits.into();
        let prefix = Prefix { pieces, logits };
        self.prefixes.keep(&prefix);
        Ok((Rc::new(prefix), reused))
    }

    /// Forgets every kept prompt. Says whether there was one.
    pub fn forget(&mut self) -> bool {
        self.prefixes.clear()
    }

    /// The next-token logits after a prompt and at least one token more.
    pub fn after(
        &mut self,
        reader: &mut Reader<'_>,
        prefix: &Prefix,
        text: &[u32],
    ) -> Result<Vec<f32>, ModelError> {
        let mut past = self.place(&prefix.pieces, text.len())?;
        let parts = text.len().div_ceil(LONGEST_PART).max(1);
        let mut logits = Vec::new();
        let mut rest = text.chunks(text.len().div_ceil(parts).max(1)).peekable();
        while let Some(tokens) = rest.next() {
            logits = self.append(reader, past, tokens, rest.peek().is_none())?;
            past += tokens.len();
        }
        Ok(logits)
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
        let mut past = self.place(&prefix.pieces, text.len())?;
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

    /// Lays out the keys and values of `pieces`, with room for `more` tokens after them. What the
    /// row holds of them already stays: the texts after a prompt are scored one after the other.
    /// Returns how many tokens the pieces have.
    fn place(&mut self, pieces: &[Rc<Piece>], more: usize) -> Result<usize, ModelError> {
        let count = |pieces: &[Rc<Piece>]| pieces.iter().map(|piece| piece.tokens.len()).sum();
        let total: usize = count(pieces);
        if total + more > self.cache.capacity() {
            self.placed.clear();
            self.cache = Cache::empty(self.shape);
            self.cache = Cache::new(self.shape, 1, rounded_up(total + more))?;
        }
        let pairs = self.placed.iter().zip(pieces);
        let same = pairs
            .take_while(|(one, other)| Rc::ptr_eq(one, other))
            .count();
        self.placed.truncate(same);
        let mut token: usize = count(&self.placed);
        for piece in &pieces[same..] {
            let to = Spot { row: 0, token };
            let tokens = piece.tokens.len();
            self.cache.copy(to, &piece.cache, Spot::default(), tokens);
            self.placed.push(Rc::clone(piece));
            token += tokens;
        }
        Ok(total)
    }

    /// A piece of the row, `past` tokens from its beginning.
    fn cut(&self, past: usize, tokens: &[u32]) -> Result<Piece, ModelError> {
        let mut cache = Cache::new(self.shape, 1, tokens.len())?;
        let from = Spot {
            row: 0,
            token: past,
        };
        cache.copy(Spot::default(), &self.cache, from, tokens.len());
        Ok(Piece {
            tokens: tokens.into(),
            cache,
        })
    }

    /// Reads `tokens`, which follow `past` tokens of the row. Returns the next-token logits of
    /// what `is_last`, and of the rest none.
    fn append(
        &mut self,
        reader: &mut Reader<'_>,
        past: usize,
        tokens: &[u32],
        is_last: bool,
    ) -> Result<Vec<f32>, ModelError> {
        let feed = Feed { past, tokens };
        // The product with the vocabulary is a twentieth of a small model's work.
        let wanted = if is_last {
            Wanted::Last
        } else {
            Wanted::Nothing
        };
        reader.piece(&mut self.cache, feed, wanted, |logits| {
            logits.flatten().copied().collect()
        })
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
