//! Keys and values of prompts, each with those of the draws that follow it.

use super::cache::{Cache, Part, Spot};
use super::prompts::{MARKS, Prompts};
use crate::llm::backend::ModelError;
use crate::llm::folder::CacheShape;

/// How much a [`SharedCache`] has room for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Prompts.
    pub prompts: usize,
    /// Draws of each prompt: its places.
    pub places: usize,
    /// Tokens of a prompt, and the one that stands before them.
    pub read: usize,
    /// Tokens of a draw.
    pub written: usize,
}

impl Extent {
    /// Places of all prompts.
    fn all_places(&self) -> usize {
        self.prompts * self.places
    }

    /// Bytes of one prompt and its draws.
    pub fn prompt_bytes(&self, shape: CacheShape) -> usize {
        let marks = shape.layers * shape.heads * MARKS * size_of::<f32>();
        let written = self.places * self.written;
        (self.read + written) * shape.token_bytes() + self.read * marks
    }
}

/// Prompts, and at `prompt * places + place` what a draw has written after one of them.
#[derive(Debug)]
pub struct SharedCache {
    shape: CacheShape,
    extent: Extent,
    prompts: Prompts,
    /// Per layer key and value, [prompts × places, heads, written, width].
    draws: Cache,
    /// The same of the newest token of each draw.
    newest: Cache,
}

/// The tensors, cut to the prompts there are.
#[derive(Debug)]
pub struct Parts<'a> {
    /// Of the prompts.
    pub prompts: Vec<Part<&'a [f32]>>,
    /// Of the draws.
    pub draws: Vec<Part<&'a [f32]>>,
    /// Of the newest token.
    pub newest: Vec<Part<&'a mut [f32]>>,
}

impl SharedCache {
    /// An empty cache.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(shape: CacheShape, extent: Extent) -> Result<Self, ModelError> {
        Ok(Self {
            shape,
            extent,
            prompts: Prompts::new(shape, extent.prompts, extent.read)?,
            draws: Cache::new(shape, extent.all_places(), extent.written)?,
            newest: Cache::new(shape, extent.all_places(), 1)?,
        })
    }

    /// A cache without room.
    pub fn empty(shape: CacheShape) -> Self {
        Self {
            shape,
            extent: Extent::default(),
            prompts: Prompts::empty(shape),
            draws: Cache::empty(shape),
            newest: Cache::empty(shape),
        }
    }

    /// How much there is room for.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// Tokens of each prompt.
    pub fn lengths(&self) -> &[usize] {
        self.prompts.lengths()
    }

    /// Adds a prompt, whose tokens fill the only rows of `pieces`.
    pub fn add_prompt<'a>(&mut self, pieces: impl IntoIterator<Item = &'a Cache>) {
        self.prompts.begin();
        for piece in pieces {
            self.prompts.append(piece);
        }
    }

    /// Removes a prompt and its draws; the last prompt takes its index.
    pub fn remove_prompt(&mut self, index: usize) {
        self.prompts.remove(index);
        let (last, places) = (self.lengths().len(), self.extent.places);
        if index == last {
            return;
        }
        for place in 0..places {
            let (to, from) = (index * places + place, last * places + place);
            self.draws.move_row(to, from, self.extent.written);
        }
    }

    /// Copies the first `tokens` tokens of a draw over another.
    pub fn move_draw(&mut self, to: usize, from: usize, tokens: usize) {
        self.draws.move_row(to, from, tokens);
    }

    /// Makes the newest token of the draw at `place` the token `at` of what it has written.
    pub fn keep(&mut self, place: usize, at: usize) {
        let to = Spot {
            row: place,
            token: at,
        };
        self.draws.copy(to, &self.newest, Spot::start(place), 1);
    }

    /// Gives each draw room for `written` tokens.
    ///
    /// # Errors
    /// When there is no memory for that; nothing is changed.
    pub fn lengthen(&mut self, written: usize) -> Result<(), ModelError> {
        let mut draws = Cache::new(self.shape, self.extent.all_places(), written)?;
        for row in 0..self.lengths().len() * self.extent.places {
            let spot = Spot::start(row);
            draws.copy(spot, &self.draws, spot, self.extent.written);
        }
        self.draws = draws;
        self.extent.written = written;
        Ok(())
    }

    /// The same prompts and draws in a cache of another extent, which has room for them.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn widened(&self, extent: Extent) -> Result<Self, ModelError> {
        let prompts = self.prompts.widened(extent.prompts, extent.read)?;
        let mut draws = Cache::new(self.shape, extent.all_places(), extent.written)?;
        for prompt in 0..self.lengths().len() {
            for place in 0..self.extent.places {
                let to = Spot::start(prompt * extent.places + place);
                let from = Spot::start(prompt * self.extent.places + place);
                draws.copy(to, &self.draws, from, self.extent.written);
            }
        }
        Ok(Self {
            shape: self.shape,
            extent,
            prompts,
            draws,
            newest: Cache::new(self.shape, extent.all_places(), 1)?,
        })
    }

    /// The tensors of the prompts there are.
    pub fn parts(&mut self) -> Parts<'_> {
        let places = self.lengths().len() * self.extent.places;
        Parts {
            prompts: self.prompts.parts().collect(),
            draws: self.draws.parts(places).collect(),
            newest: self.newest.parts_mut(places).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: CacheShape = CacheShape {
        layers: 1,
        heads: 2,
        width: 2,
    };

    const EXTENT: Extent = Extent {
        prompts: 2,
        places: 2,
        read: 4,
        written: 1,
    };

    /// The first number of what each draw of a prompt has written.
    fn seen(cache: &mut SharedCache, prompt: usize) -> Vec<f32> {
        let extent = cache.extent;
        let draws = cache.parts().draws[0].1;
        let places = (0..EXTENT.places).map(|place| prompt * extent.places + place);
        places
            .map(|place| draws[place * 2 * extent.written * 2])
            .collect()
    }

    /// Prompts of three tokens and two, a token written after each.
    fn filled() -> SharedCache {
        let mut cache = SharedCache::new(SHAPE, EXTENT).unwrap();
        for tokens in [3, 2] {
            cache.add_prompt([&Cache::new(SHAPE, 1, tokens).unwrap()]);
        }
        for (_, newest) in cache.parts().newest {
            for (place, numbers) in newest.chunks_exact_mut(4).enumerate() {
                numbers.fill(1000.0 + place as f32);
            }
        }
        for place in 0..4 {
            cache.keep(place, 0);
        }
        cache
    }

    #[test]
    fn a_removed_prompt_gives_its_place_to_the_last() {
        let mut cache = filled();
        cache.remove_prompt(0);
        assert_eq!(cache.lengths(), [2]);
        assert_eq!(seen(&mut cache, 0), [1002.0, 1003.0]);
        cache.remove_prompt(0);
        assert!(cache.lengths().is_empty());
    }

    #[test]
    fn room_is_made_without_a_change() {
        let mut cache = filled();
        cache.lengthen(5).unwrap();
        assert_eq!(seen(&mut cache, 1), [1002.0, 1003.0]);
        let extent = Extent {
            prompts: 4,
            places: 3,
            read: 7,
            written: 5,
        };
        let mut wide = cache.widened(extent).unwrap();
        assert_eq!(wide.lengths(), [3, 2]);
        assert_eq!(seen(&mut wide, 0), [1000.0, 1001.0]);
        assert_eq!(seen(&mut wide, 1), [1002.0, 1003.0]);
    }

    #[test]
    fn a_moved_draw_covers_the_hole() {
        let mut cache = filled();
        cache.move_draw(0, 1, 1);
        assert_eq!(seen(&mut cache, 0), [1001.0, 1001.0]);
    }
}
