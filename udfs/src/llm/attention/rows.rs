//! Attention of rows of queries, which stand side by side in the lanes of vectors.
//!
//! Keys and values are read as they lie, each of their numbers once for all rows: nothing is laid
//! out anew. Scores never leave the nearest cache; the softmax is made as they come (Milakov and
//! Gimelshein, arXiv:1805.02867). What a row gets depends on no other lane, not by a bit, and is
//! the same for every kind of vector.

use super::kernel::{Chunk, Kernel};

/// Tokens that are worked through at a time.
pub const CHUNK: usize = 64;
/// The score of a token that a row does not see.
const UNSEEN: f32 = f32::MIN;
/// The longest vector: what is wide a multiple of it is whole vectors of every kind.
pub const WIDTHS: usize = 16;

/// Keys and values.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'a> {
    /// [tokens, stride], of which the first numbers are a key.
    pub keys: &'a [f32],
    /// Numbers from one key to the next.
    pub stride: usize,
    /// [tokens, width]
    pub values: &'a [f32],
}

/// Rows of queries, and what they have attended to. Each has a lane of whole vectors.
#[derive(Debug)]
pub struct Rows {
    kernel: &'static Kernel,
    /// How many there are; lanes beyond are idle.
    pub(super) count: usize,
    lanes: usize,
    /// Numbers of a query, a key and a value.
    pub(super) width: usize,
    /// [width, lanes]
    pub(super) queries: Vec<f32>,
    /// [CHUNK, lanes], of the tokens in work.
    pub(super) scores: Vec<f32>,
    /// [lanes], the highest score so far.
    pub(super) highest: Vec<f32>,
    /// [lanes], the sum of all exp(score - highest).
    pub(super) weight: Vec<f32>,
    /// [lanes, width], the sum of values, so weighed.
    pub(super) read: Vec<f32>,
}

impl Rows {
    /// At most [`Kernel::most_rows`]; `width` is a multiple of [`WIDTHS`].
    pub fn new(kernel: &'static Kernel, count: usize, width: usize) -> Self {
        let lanes = count.next_multiple_of(kernel.lanes);
        Self {
            kernel,
            count,
            lanes,
            width,
            queries: vec![0.0; width * lanes],
            scores: vec![0.0; CHUNK * lanes],
            highest: vec![UNSEEN; lanes],
            weight: vec![0.0; lanes],
            read: vec![0.0; width * lanes],
        }
    }

    /// Gives a row its query, [width].
    pub fn ask(&mut self, row: usize, query: &[f32], scale: f32) {
        let lane = self.queries[row..].iter_mut().step_by(self.lanes);
        for (number, queried) in lane.zip(query) {
            *number = queried * scale;
        }
    }

    /// Takes over a row of others of this width, with what it has attended to.
    pub fn take(&mut self, row: usize, others: &Self, other: usize) {
        let copied = |to: &mut [f32], from: &[f32]| {
            let to = to[row..].iter_mut().step_by(self.lanes);
            for (to, from) in to.zip(from[other..].iter().step_by(others.lanes)) {
                *to = *from;
            }
        };
        copied(&mut self.queries, &others.queries);
        copied(&mut self.highest, &others.highest);
        copied(&mut self.weight, &others.weight);
        let [to, from] = [row, other].map(|row| row * self.width..(row + 1) * self.width);
        self.read[to].copy_from_slice(&others.read[from]);
    }

    /// Has each row attend to the first of `tokens`, as many as `seen` says for it.
    ///
    /// # Panics
    /// Where there are fewer tokens.
    pub fn attend(&mut self, tokens: Tokens<'_>, seen: &[usize]) {
        let Tokens {
            keys,
            stride,
            values,
        } = tokens;
        let count = seen.iter().copied().max().unwrap_or_default();
        assert!(stride >= self.width && self.width.is_multiple_of(WIDTHS));
        assert!(keys.len() >= count * stride && values.len() >= count * self.width);
        let functions = &self.kernel.functions[self.lanes / self.kernel.lanes - 1];
        for start in (0..count).step_by(CHUNK) {
            let chunk = Chunk {
                keys: keys[start * stride..].as_ptr(),
                stride,
                values: values[start * self.width..].as_ptr(),
                tokens: CHUNK.min(count - start),
            };
            // SAFETY: a kernel is had where the processor has its vectors; rows fill as many as
            // chosen by, their width is one that was asserted, and so are the tokens.
            unsafe { (functions.score)(&chunk, self) };
            self.hide(&chunk, start, seen);
            // SAFETY: as above.
            unsafe { (functions.weigh)(&chunk, self) };
        }
    }

    /// Takes out the scores of tokens that a row does not see.
    fn hide(&mut self, chunk: &Chunk, start: usize, seen: &[usize]) {
        for (row, seen) in seen.iter().enumerate() {
            for token in seen.saturating_sub(start)..chunk.tokens {
                self.scores[token * self.lanes + row] = UNSEEN;
            }
        }
    }

    /// Writes what a row has read, [width].
    pub fn result(&self, row: usize, to: &mut [f32]) {
        for (to, read) in to.iter_mut().zip(&self.read[row * self.width..]) {
            *to = read / self.weight[row];
        }
    }
}
