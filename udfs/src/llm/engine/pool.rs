//! The decisions being written now, all advanced by one token a step.

use super::cache::Cache;
use super::row::Row;
use super::{Lexicon, rounded_up};
use crate::llm::backend::{Finish, ModelError};
use crate::llm::folder::CacheShape;
use crate::llm::graph::{Feed, Graph, Wanted};
use crate::llm::sampler::Sampler;

/// What goes beside a row that is alone. Kernels for quantised weights compute a
/// single row by another route, which rounds otherwise; from two rows on a row's
/// numbers are the same, to the bit, whatever the others are.
const IDLE: Feed<'static> = Feed {
    past: 0,
    tokens: &[0],
};

/// Rows and, at the same indexes, their keys and values. Live rows are kept at
/// the front, so that a step computes nothing else.
#[derive(Debug)]
pub struct Pool {
    shape: CacheShape,
    /// The most rows, whatever their length.
    slots: usize,
    /// The most bytes of keys and values.
    bytes: usize,
    cache: Cache,
    rows: Vec<Row>,
    sampler: Sampler,
}

impl Pool {
    /// An empty pool of up to `slots` rows and `bytes` of keys and values.
    pub fn new(shape: CacheShape, slots: usize, bytes: usize) -> Self {
        Self {
            shape,
            slots,
            bytes,
            cache: Cache::new(shape, 0, 0),
            rows: Vec::new(),
            sampler: Sampler::default(),
        }
    }

    /// Rows in use.
    pub fn live(&self) -> usize {
        self.rows.len()
    }

    /// Whether a row of `tokens` tokens can be added now. One always can when
    /// the pool is empty.
    pub fn has_room(&self, tokens: usize) -> bool {
        let capacity = rounded_up(tokens).max(self.cache.capacity());
        self.rows.is_empty() || self.rows.len() < self.rows_of(capacity)
    }

    /// Draws a row's first token and, if that does not end it, adds it. Returns
    /// it when it ended.
    pub fn start(
        &mut self,
        mut row: Row,
        lexicon: &Lexicon,
    ) -> Result<Option<(Row, Finish)>, ModelError> {
        if let Some(finish) = row.begin(&mut self.sampler, lexicon)? {
            return Ok(Some((row, finish)));
        }
        self.reserve(row.most_tokens());
        let prefix = row.prefix();
        let slot = self.rows.len();
        self.cache
            .copy_row(slot, &prefix.cache, 0, prefix.tokens.len());
        self.rows.push(row);
        Ok(None)
    }

    /// Writes one token to every row; returns the rows that ended.
    ///
    /// # Errors
    /// When the graph fails; no row can then go on.
    pub fn step(
        &mut self,
        graph: &mut Graph,
        lexicon: &Lexicon,
    ) -> Result<Vec<(Row, Finish)>, ModelError> {
        let feeds = self.rows.iter().map(|row| Feed {
            past: row.read(),
            tokens: row.last(),
        });
        let mut feeds: Vec<_> = feeds.collect();
        if feeds.len() == 1 {
            feeds.push(IDLE);
        }
        let logits = graph.run(&mut self.cache, &feeds, Wanted::Last)?;
        let mut ended = Vec::new();
        for (slot, (row, logits)) in self.rows.iter_mut().zip(logits).enumerate() {
            if let Some(finish) = row.advance(logits, &mut self.sampler, lexicon)? {
                ended.push((slot, finish));
            }
        }
        // From the last, so that what moves into a hole is never itself ended.
        let ended = ended.into_iter().rev();
        Ok(ended
            .map(|(slot, finish)| (self.remove(slot), finish))
            .collect())
    }

    /// Frees the rows that `keep` refuses.
    pub fn retain(&mut self, keep: impl Fn(&Row) -> bool) {
        for slot in (0..self.rows.len()).rev() {
            if !keep(&self.rows[slot]) {
                self.remove(slot);
            }
        }
    }

    fn remove(&mut self, slot: usize) -> Row {
        let last = self.rows.len() - 1;
        if slot < last {
            self.cache.move_row(slot, last, self.rows[last].read());
        }
        self.rows.swap_remove(slot)
    }

    /// Makes room for one more row of `tokens` tokens.
    fn reserve(&mut self, tokens: usize) {
        let needed = rounded_up(tokens);
        // An empty pool that long rows have made narrow becomes wide again.
        let narrow = self.rows_of(self.cache.capacity()) < self.slots;
        let widen = self.rows.is_empty() && narrow && needed < self.cache.capacity();
        if needed <= self.cache.capacity() && !widen {
            return;
        }
        // A row alone has an idle one beside it.
        let mut cache = Cache::new(self.shape, self.rows_of(needed).max(2), needed);
        for (slot, row) in self.rows.iter().enumerate() {
            cache.copy_row(slot, &self.cache, slot, row.read());
        }
        self.cache = cache;
    }

    /// How many rows of `capacity` tokens the memory holds; at least one.
    fn rows_of(&self, capacity: usize) -> usize {
        let row = capacity.max(1) * self.shape.token_bytes();
        (self.bytes / row).clamp(1, self.slots)
    }
}
