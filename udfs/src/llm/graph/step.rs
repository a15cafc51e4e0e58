//! The small inputs of one run.

use std::fmt::Debug;

use ort::value::{DynValueRef, PrimitiveTensorElementType, TensorRef};

use super::{Draw, Feed, Wanted};
use crate::llm::engine::shared::{ABSENT, SharedCache};

/// Their names, in the order of [`Step::tensors`].
pub const NAMES: [&str; 10] = [
    "input_ids",
    "seqlens_k",
    "total_sequence_length",
    "query_seqlens",
    "logits_indices",
    "shared",
    "draws",
    "places",
    "position_ids",
    "suffix_bias",
];

/// The inputs. Of the way that is not taken they are as small as can be.
#[derive(Debug)]
pub struct Step {
    rows: usize,
    width: usize,
    input_ids: Vec<i64>,
    seqlens_k: Vec<i32>,
    total: [i32; 1],
    query_seqlens: Vec<i32>,
    logits_indices: Vec<i64>,
    shared: [bool; 1],
    draws: Vec<i64>,
    places: Vec<i64>,
    positions: Vec<i64>,
    suffix_bias: Vec<f32>,
}

impl Step {
    fn new(rows: usize, width: usize) -> Self {
        Self {
            rows,
            width,
            input_ids: vec![0; rows * width],
            seqlens_k: vec![0],
            total: [1],
            query_seqlens: vec![0],
            logits_indices: Vec::with_capacity(rows),
            shared: [false],
            draws: vec![0],
            places: vec![0],
            positions: vec![0],
            suffix_bias: vec![0.0],
        }
    }

    /// Appends `feeds` to the first rows of a cache.
    pub fn append(feeds: &[Feed<'_>], wanted: Wanted) -> Self {
        let width = feeds.iter().map(|feed| feed.tokens.len()).max();
        let mut step = Self::new(feeds.len(), width.unwrap_or(0));
        step.seqlens_k.clear();
        step.query_seqlens.clear();
        for (row, feed) in feeds.iter().enumerate() {
            step.add(row, feed, wanted);
        }
        step
    }

    fn add(&mut self, row: usize, feed: &Feed<'_>, wanted: Wanted) {
        let start = row * self.width;
        let count = feed.tokens.len();
        let ids = self.input_ids[start..].iter_mut();
        for (slot, &token) in ids.zip(feed.tokens) {
            *slot = i64::from(token);
        }
        // Lengths are bounded by the context, which fits an i32 by far.
        let valid = (feed.past + count) as i32;
        self.seqlens_k.push(valid - 1);
        self.query_seqlens.push(count as i32);
        self.total[0] = self.total[0].max(valid);
        let end = start + count;
        let first = match wanted {
            Wanted::Nothing => end,
            Wanted::Last => end - 1,
            Wanted::All => start,
        };
        let indices = (first..end).map(|index| index as i64);
        self.logits_indices.extend(indices);
    }

    /// Writes one token more to each of `draws`.
    ///
    /// A draw that is alone gets an idle one beside it, at its neighbour's place: kernels
    /// compute a single row by another route, which rounds otherwise. From two rows on a
    /// row's numbers are the same, to the bit, whatever the others are.
    pub fn decode(cache: &SharedCache, draws: &[Draw]) -> Self {
        let (lengths, extent) = (cache.lengths(), cache.extent());
        let all_places = lengths.len() * extent.places;
        let mut step = Self::new(draws.len().max(2), 1);
        step.shared = [true];
        step.draws = vec![0; all_places];
        step.positions = vec![0; all_places];
        step.places.clear();
        let mut written = vec![0; all_places];
        for (row, draw) in draws.iter().enumerate() {
            step.input_ids[row] = i64::from(draw.token);
            step.logits_indices.push(row as i64);
            step.draws[draw.place] = row as i64;
            step.places.push(draw.place as i64);
            let position = lengths[draw.place / extent.places] + draw.written;
            step.positions[draw.place] = position as i64;
            written[draw.place] = draw.written;
        }
        if let [alone] = draws {
            let beside = alone.place ^ 1;
            step.logits_indices.push(1);
            step.draws[beside] = 1;
            step.places.push(beside as i64);
        }
        step.suffix_bias = biases(written.into_iter(), extent.written);
        step
    }

    /// How many tokens' logits are wanted.
    pub fn wanted(&self) -> usize {
        self.logits_indices.len()
    }

    /// Rows of the step.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The tensors, in the order of [`NAMES`].
    pub fn tensors(&self) -> ort::Result<[DynValueRef<'_>; NAMES.len()]> {
        let suffix = self.suffix_bias.len() / self.positions.len();
        Ok([
            tensor(&[self.rows, self.width], &self.input_ids)?,
            tensor(&[self.seqlens_k.len()], &self.seqlens_k)?,
            tensor(&[], &self.total)?,
            tensor(&[self.query_seqlens.len()], &self.query_seqlens)?,
            tensor(&[self.logits_indices.len()], &self.logits_indices)?,
            tensor(&[], &self.shared)?,
            tensor(&[self.draws.len()], &self.draws)?,
            tensor(&[self.places.len()], &self.places)?,
            tensor(&[self.positions.len(), 1], &self.positions)?,
            tensor(&[self.positions.len(), 1, 1, suffix], &self.suffix_bias)?,
        ])
    }
}

/// A borrowed tensor.
pub fn tensor<'a, T: PrimitiveTensorElementType + Clone + Debug + 'static>(
    shape: &[usize],
    data: &'a [T],
) -> ort::Result<DynValueRef<'a>> {
    let shape: Vec<_> = shape.iter().map(|&size| size as i64).collect();
    Ok(TensorRef::from_array_view((shape, data))?.into_dyn())
}

/// Row by row, 0 for the first so many tokens of `room` and [`ABSENT`] for the others.
fn biases(counts: impl Iterator<Item = usize>, room: usize) -> Vec<f32> {
    let row = |count| (0..room).map(move |token| if token < count { 0.0 } else { ABSENT });
    counts.flat_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::engine::cache::Cache;
    use crate::llm::engine::shared::Extent;
    use crate::llm::folder::CacheShape;

    #[test]
    fn ragged_feeds_are_padded_on_the_right() {
        let feeds = [
            Feed {
                past: 4,
                tokens: &[7, 8, 9],
            },
            Feed {
                past: 0,
                tokens: &[5],
            },
        ];
        let step = Step::append(&feeds, Wanted::Last);
        assert_eq!(step.input_ids, [7, 8, 9, 5, 0, 0]);
        assert_eq!(step.seqlens_k, [6, 0]);
        assert_eq!(step.total, [7]);
        assert_eq!(step.query_seqlens, [3, 1]);
        assert_eq!(step.logits_indices, [2, 3]);
        let step = Step::append(&feeds, Wanted::Nothing);
        assert_eq!(step.wanted(), 0);
        let step = Step::append(&feeds[..1], Wanted::All);
        assert_eq!(step.logits_indices, [0, 1, 2]);
    }

    fn cache() -> SharedCache {
        let shape = CacheShape {
            layers: 0,
            heads: 0,
            width: 0,
        };
        let extent = Extent {
            prompts: 2,
            places: 2,
            read: 4,
            written: 2,
        };
        let mut cache = SharedCache::new(shape, extent).unwrap();
        for tokens in [3, 1] {
            cache.add_prompt([&Cache::new(shape, 1, tokens).unwrap()]);
        }
        cache
    }

    fn draw(place: usize, written: usize) -> Draw {
        Draw {
            place,
            written,
            token: 9,
        }
    }

    #[test]
    fn draws_stand_at_their_places() {
        let step = Step::decode(&cache(), &[draw(1, 0), draw(2, 2)]);
        assert_eq!(step.input_ids, [9, 9]);
        assert_eq!(step.places, [1, 2]);
        assert_eq!(step.draws, [0, 0, 1, 0]);
        assert_eq!(step.positions, [0, 3, 3, 0]);
        let a = ABSENT;
        assert_eq!(step.suffix_bias, [a, a, a, a, 0.0, 0.0, a, a]);
    }

    #[test]
    fn a_draw_alone_gets_a_neighbour() {
        for (place, beside) in [(0, 1), (3, 2)] {
            let step = Step::decode(&cache(), &[draw(place, 1)]);
            assert_eq!(step.places, [place as i64, beside as i64]);
            assert_eq!(step.draws[beside], 1);
            assert_eq!(step.wanted(), 2);
        }
    }
}
