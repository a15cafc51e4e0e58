//! Work on one row at a time: prompts, and texts scored after them.

use std::mem::swap;
use std::rc::Rc;
use std::slice::ChunksExact;

use super::cache::Cache;
use super::prefixes::{PIECE, Piece, Prefix, Prefixes};
use super::prompts::Prompts;
use super::rounded_up;
use super::writing::Writing;
use crate::llm::backend::ModelError;
use crate::llm::graph::{Graph, Wanted};
use crate::llm::store::Store;

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

    /// Reads `tokens` after `before`. Gives their keys and values, and what `logits` makes of the
    /// wanted logits, one slice of the vocabulary's length each.
    fn read<T>(
        &mut self,
        before: &Row,
        tokens: &[u32],
        wanted: Wanted,
        logits: impl FnOnce(ChunksExact<'_, f32>) -> T,
    ) -> Result<(Cache, T), ModelError> {
        let mut new = Cache::new(&before.store, 1, tokens.len())?;
        let found = self.graph.read(&before.tokens, tokens, wanted, &mut new)?;
        let found = logits(found);
        self.writing.keep_up(self.graph, tokens.len())?;
        Ok((new, found))
    }

    /// The same, of all logits.
    fn logits(
        &mut self,
        before: &Row,
        tokens: &[u32],
        wanted: Wanted,
    ) -> Result<(Cache, Vec<f32>), ModelError> {
        self.read(before, tokens, wanted, |logits| {
            logits.flatten().copied().collect()
        })
    }
}

/// The row that is read after, and the prompts that went through it.
#[derive(Debug)]
pub struct Desk {
    row: Row,
    prefixes: Prefixes,
}

impl Desk {
    /// A desk that keeps up to `prefix_bytes` of prompts.
    pub fn new(store: Store, prefix_bytes: usize) -> Self {
        Self {
            row: Row::new(store),
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
        let reused = pieces.len() * PIECE;
        self.row.reserve(tokens.len())?;
        let mut logits = Vec::new();
        let mut rest = tokens[reused..].chunks(PIECE).peekable();
        while let Some(tokens) = rest.next() {
            self.row.place(&pieces);
            // The product with the vocabulary is a twentieth of a small model's work.
            let wanted = match rest.peek() {
                Some(_) => Wanted::Nothing,
                None => Wanted::Last,
            };
            let cache;
            (cache, logits) = reader.logits(&self.row, tokens, wanted)?;
            pieces.push(Rc::new(Piece {
                tokens: tokens.into(),
                cache,
            }));
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
        self.row.reserve(prefix.tokens() + text.len())?;
        self.row.place(&prefix.pieces);
        let parts = text.len().div_ceil(LONGEST_PART).max(1);
        let mut rest = text.chunks(text.len().div_ceil(parts).max(1));
        let last = rest.next_back().unwrap_or_default();
        for tokens in rest {
            let (part, _) = reader.logits(&self.row, tokens, Wanted::Nothing)?;
            self.row.append(&part);
        }
        let (_, logits) = reader.logits(&self.row, last, Wanted::Last)?;
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
        self.row.reserve(prefix.tokens() + text.len())?;
        self.row.place(&prefix.pieces);
        let mut sum = log_softmax(&prefix.logits, first);
        let mut targets = rest.iter();
        for tokens in text[..rest.len()].chunks(PIECE) {
            let (part, found) = reader.read(&self.row, tokens, Wanted::All, |logits| {
                let pairs = logits.zip(&mut targets);
                pairs
                    .map(|(logits, &token)| log_softmax(logits, token))
                    .sum::<f64>()
            })?;
            self.row.append(&part);
            sum += found;
        }
        Ok(sum)
    }
}

/// What comes before the tokens that are read.
#[derive(Debug)]
struct Row {
    store: Store,
    /// A single prompt.
    tokens: Prompts,
    /// Memory for the same prompt with other room.
    spare: Prompts,
    /// Tokens that there is memory for.
    most: usize,
    /// The pieces that it begins with.
    placed: Vec<Rc<Piece>>,
}

impl Row {
    fn new(store: Store) -> Self {
        Self {
            tokens: Prompts::empty(&store),
            spare: Prompts::empty(&store),
            store,
            most: 0,
            placed: Vec::new(),
        }
    }

    /// Makes room for so many tokens.
    fn reserve(&mut self, tokens: usize) -> Result<(), ModelError> {
        if tokens <= self.most {
            return Ok(());
        }
        let most = rounded_up(tokens);
        *self = Self::new(self.store.clone());
        self.tokens = Prompts::new(&self.store, 1, room(most))?;
        self.spare = Prompts::new(&self.store, 1, room(most))?;
        self.tokens.begin();
        self.spare.begin();
        self.most = most;
        Ok(())
    }

    /// Lays out the keys and values of `pieces`. What is there of them already stays: the texts
    /// after a prompt are scored one after the other.
    fn place(&mut self, pieces: &[Rc<Piece>]) {
        let pairs = self.placed.iter().zip(pieces);
        let same = pairs
            .take_while(|(one, other)| Rc::ptr_eq(one, other))
            .count();
        self.placed.truncate(same);
        let count = |pieces: &[Rc<Piece>]| pieces.iter().map(|piece| piece.tokens.len()).sum();
        self.fit(count(&self.placed), room(count(pieces)));
        let more = &pieces[same..];
        self.tokens.append(more.iter().map(|piece| &piece.cache));
        self.placed.extend(more.iter().map(Rc::clone));
    }

    /// Adds tokens that are not to be kept.
    fn append(&mut self, part: &Cache) {
        let tokens = self.tokens.lengths().iter().sum();
        self.fit(tokens, room(tokens + part.capacity()));
        self.tokens.append([part]);
    }

    /// Keeps the first `tokens` tokens, and gives them room.
    fn fit(&mut self, tokens: usize, room: usize) {
        if (self.tokens.lengths(), self.tokens.room()) != (&[tokens], room) {
            self.spare.take(&self.tokens, tokens, room);
            swap(&mut self.tokens, &mut self.spare);
        }
    }
}

/// The room that `tokens` tokens and the one before them take; what a token gets is the same in
/// any multiple of 64.
fn room(tokens: usize) -> usize {
    (tokens + 1).next_multiple_of(64)
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
