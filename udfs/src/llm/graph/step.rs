//! The small inputs of one run.

use std::fmt::Debug;

use ort::value::{DynValueRef, PrimitiveTensorElementType, TensorRef};

use super::{Draw, Wanted};
use crate::llm::engine::prompts::ABSENT;
use crate::llm::engine::shared::SharedCache;

/// Their names, in the order of [`Step::tensors`].
pub const NAMES: [&str; 6] = [
    "input_ids",
    "logits_indices",
    "texts",
    "places",
    "position_ids",
    "bias",
];

/// The inputs.
#[derive(Debug)]
pub struct Step {
    /// New tokens of each text.
    new: usize,
    input_ids: Vec<i64>,
    logits_indices: Vec<i64>,
    texts: Vec<i64>,
    places: Vec<i64>,
    positions: Vec<i64>,
    bias: Vec<f32>,
}

impl Step {
    /// Reads `tokens` after `before` others, with one token of nothing for what was written.
    pub fn read(before: usize, tokens: &[u32], wanted: Wanted) -> Self {
        let new = tokens.len();
        let first = match wanted {
            Wanted::Nothing => new,
            Wanted::Last => new - 1,
            Wanted::All => 0,
        };
        let end = before + new;
        Self {
            new,
            input_ids: tokens.iter().copied().map(i64::from).collect(),
            logits_indices: (first..new).map(|index| index as i64).collect(),
            texts: vec![0],
            places: vec![0],
            positions: (before..end).map(|position| position as i64).collect(),
            bias: (0..new)
                .flat_map(|token| biases([0, token + 1], [1, new]))
                .collect(),
        }
    }

    /// Writes one token more to each of `draws`.
    ///
    /// A draw that is alone gets an idle one beside it, at its neighbour's place, unless it may
    /// be `alone`: kernels may compute a single row by another route, which rounds otherwise.
    /// From two rows on a row's numbers are the same, to the bit, whatever the others are.
    pub fn write(cache: &SharedCache, draws: &[Draw], alone: bool) -> Self {
        let (lengths, extent) = (cache.lengths(), cache.extent());
        let all_places = lengths.len() * extent.places;
        let mut step = Self {
            new: 1,
            input_ids: vec![0; draws.len()],
            logits_indices: Vec::with_capacity(draws.len()),
            texts: vec![0; all_places],
            places: Vec::with_capacity(draws.len()),
            positions: vec![0; all_places],
            bias: Vec::with_capacity(all_places * (extent.written + 1)),
        };
        let mut written = vec![0; all_places];
        for (row, draw) in draws.iter().enumerate() {
            step.input_ids[row] = i64::from(draw.token);
            step.logits_indices.push(row as i64);
            step.texts[draw.place] = row as i64;
            step.places.push(draw.place as i64);
            let position = lengths[draw.place / extent.places] + draw.written;
            step.positions[draw.place] = position as i64;
            written[draw.place] = draw.written;
        }
        if let ([draw], false) = (draws, alone) {
            let beside = draw.place ^ 1;
            step.input_ids.push(0);
            step.logits_indices.push(1);
            step.texts[beside] = 1;
            step.places.push(beside as i64);
        }
        for written in written {
            let row = biases([written, 1], [extent.written, 1]);
            step.bias.extend(row);
        }
        step
    }

    /// How many tokens' logits are wanted.
    pub fn wanted(&self) -> usize {
        self.logits_indices.len()
    }

    /// The tensors, in the order of [`NAMES`].
    pub fn tensors(&self) -> ort::Result<[DynValueRef<'_>; NAMES.len()]> {
        let (new, places) = (self.new, self.texts.len());
        let seen = self.bias.len() / self.positions.len();
        Ok([
            tensor(&[self.places.len(), new], &self.input_ids)?,
            tensor(&[self.wanted()], &self.logits_indices)?,
            tensor(&[places], &self.texts)?,
            tensor(&[self.places.len()], &self.places)?,
            tensor(&[places, new], &self.positions)?,
            tensor(&[places, 1, new, seen], &self.bias)?,
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

/// Of the past and of the new tokens, 0 for the first `seen` and [`ABSENT`] in the rest of the
/// room.
fn biases(seen: [usize; 2], room: [usize; 2]) -> impl Iterator<Item = f32> {
    let parts = seen.into_iter().zip(room);
    parts.flat_map(|(seen, room)| {
        (0..room).map(move |token| if token < seen { 0.0 } else { ABSENT })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::engine::cache::Cache;
    use crate::llm::engine::shared::Extent;
    use crate::llm::folder::CacheShape;
    use crate::llm::store::tests::stores;

    const A: f32 = ABSENT;

    #[test]
    fn a_token_sees_itself_and_those_before_it() {
        let step = Step::read(4, &[7, 8, 9], Wanted::Last);
        assert_eq!(step.input_ids, [7, 8, 9]);
        assert_eq!(step.positions, [4, 5, 6]);
        assert_eq!(step.bias, [A, 0., A, A, A, 0., 0., A, A, 0., 0., 0.]);
        assert_eq!(step.logits_indices, [2]);
        let step = Step::read(0, &[7, 8, 9], Wanted::Nothing);
        assert_eq!(step.wanted(), 0);
        let step = Step::read(0, &[7, 8, 9], Wanted::All);
        assert_eq!(step.logits_indices, [0, 1, 2]);
    }

    fn cache() -> SharedCache {
        let shape = CacheShape {
            layers: 0,
            heads: 0,
            width: 0,
        };
        let [store, ..] = stores(shape);
        let extent = Extent {
            prompts: 2,
            places: 2,
            read: 4,
            written: 2,
        };
        let mut cache = SharedCache::new(&store, extent).unwrap();
        for tokens in [3, 1] {
            cache.add_prompt([&Cache::new(&store, 1, tokens).unwrap()]);
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
        let step = Step::write(&cache(), &[draw(1, 0), draw(2, 2)], false);
        assert_eq!(step.input_ids, [9, 9]);
        assert_eq!(step.places, [1, 2]);
        assert_eq!(step.texts, [0, 0, 1, 0]);
        assert_eq!(step.positions, [0, 3, 3, 0]);
        assert_eq!(step.bias, [A, A, 0., A, A, 0., 0., 0., 0., A, A, 0.]);
    }

    #[test]
    fn a_draw_alone_gets_a_neighbour_where_it_needs_one() {
        for (place, beside) in [(0, 1), (3, 2)] {
            let step = Step::write(&cache(), &[draw(place, 1)], false);
            assert_eq!(step.places, [place as i64, beside as i64]);
            assert_eq!(step.texts[beside], 1);
            assert_eq!(step.input_ids, [9, 0]);
            assert_eq!(step.wanted(), 2);
            let step = Step::write(&cache(), &[draw(place, 1)], true);
            assert_eq!(step.places, [place as i64]);
            assert_eq!((step.input_ids.len(), step.wanted()), (1, 1));
        }
    }
}
