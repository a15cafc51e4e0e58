//! Keys and values of prompts, each with those of the draws that follow it.

use super::cache::{Cache, Part, Spot};
use super::prompts::{MARKS, Prompts};
use crate::llm::backend::ModelError;
use crate::llm::graph::Draw;
use crate::llm::store::{Buffer, Store};

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
    pub fn prompt_bytes(&self, store: &Store) -> usize {
        let marks = store.shape.layers * store.shape.heads * MARKS * store.number.size();
        let written = self.places * self.written;
        (self.read + written) * store.token_bytes() + self.read * marks
    }
}

/// Prompts, and at `prompt * places + place` what a draw has written after one of them.
#[derive(Debug)]
pub struct SharedCache {
    store: Store,
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
    pub prompts: Vec<Part<&'a Buffer>>,
    /// Of the draws.
    pub draws: Vec<Part<&'a Buffer>>,
    /// Of the newest token.
    pub newest: Vec<Part<&'a mut Buffer>>,
}

impl SharedCache {
    /// An empty cache.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(store: &Store, extent: Extent) -> Result<Self, ModelError> {
        Ok(Self {
            store: store.clone(),
            extent,
            prompts: Prompts::new(store, extent.prompts, extent.read)?,
            draws: Cache::new(store, extent.all_places(), extent.written)?,
            newest: Cache::new(store, extent.all_places(), 1)?,
        })
    }

    /// A cache without room.
    pub fn empty(store: &Store) -> Self {
        Self {
            store: store.clone(),
            extent: Extent::default(),
            prompts: Prompts::empty(store),
            draws: Cache::empty(store),
            newest: Cache::empty(store),
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
        self.prompts.append(pieces);
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

    /// Keeps the newest token of each of `draws`, behind what it has written. Neighbours that have
    /// written as much are copied at once.
    pub fn keep(&mut self, draws: &[Draw]) {
        let together =
            |one: &Draw, next: &Draw| (one.place + 1, one.written) == (next.place, next.written);
        for draws in draws.chunk_by(together) {
            let Draw { place, written, .. } = draws[0];
            let to = Spot {
                row: place,
                token: written,
            };
            let newest = Spot::start(place);
            self.draws.copy(to, &self.newest, newest, draws.len(), 1);
        }
    }

    /// Gives each draw room for `written` tokens.
    ///
    /// # Errors
    /// When there is no memory for that; nothing is changed.
    pub fn lengthen(&mut self, written: usize) -> Result<(), ModelError> {
        let mut draws = Cache::new(&self.store, self.extent.all_places(), written)?;
        let (all, rows) = (Spot::default(), self.lengths().len() * self.extent.places);
        draws.copy(all, &self.draws, all, rows, self.extent.written);
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
        let mut draws = Cache::new(&self.store, extent.all_places(), extent.written)?;
        let now = self.extent;
        for prompt in 0..self.lengths().len() {
            let to = Spot::start(prompt * extent.places);
            let from = Spot::start(prompt * now.places);
            draws.copy(to, &self.draws, from, now.places, now.written);
        }
        Ok(Self {
            store: self.store.clone(),
            extent,
            prompts,
            draws,
            newest: Cache::new(&self.store, extent.all_places(), 1)?,
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
    use crate::llm::store::tests::{SHAPE, counting, numbers, stores};

    const EXTENT: Extent = Extent {
        prompts: 2,
        places: 2,
        read: 4,
        written: 2,
    };

    /// The first number of the first tokens that each draw of a prompt has written.
    fn seen(cache: &mut SharedCache, prompt: usize) -> [[f32; 2]; 2] {
        let extent = cache.extent;
        let draws = numbers(cache.parts().draws[0].1);
        let token = |place, token| draws[((place * 2) * extent.written + token) * 2];
        [0, 1].map(|draw| {
            let place = prompt * extent.places + draw;
            [token(place, 0), token(place, 1)]
        })
    }

    fn draw(place: usize, written: usize) -> Draw {
        Draw {
            place,
            written,
            token: 0,
        }
    }

    /// Prompts of three tokens and two; two tokens written after the first, one after the second.
    fn filled(store: &Store) -> SharedCache {
        let mut cache = SharedCache::new(store, EXTENT).unwrap();
        for tokens in [3, 2] {
            cache.add_prompt([&Cache::new(store, 1, tokens).unwrap()]);
        }
        for (first, draws) in [
            (100, [draw(0, 0), draw(1, 0), draw(2, 1), draw(3, 0)]),
            (200, [draw(0, 1), draw(1, 1), draw(2, 0), draw(3, 1)]),
        ] {
            for (_, newest) in cache.parts().newest {
                counting(newest, first);
            }
            cache.keep(&draws);
        }
        cache
    }

    #[test]
    fn the_newest_token_stands_behind_what_was_written() {
        for store in stores(SHAPE) {
            let mut cache = filled(&store);
            assert_eq!(seen(&mut cache, 0), [[100., 200.], [104., 204.]]);
            assert_eq!(seen(&mut cache, 1), [[208., 108.], [112., 212.]]);
        }
    }

    #[test]
    fn a_removed_prompt_gives_its_place_to_the_last() {
        for store in stores(SHAPE) {
            let mut cache = filled(&store);
            let last = seen(&mut cache, 1);
            cache.remove_prompt(0);
            assert_eq!(cache.lengths(), [2]);
            assert_eq!(seen(&mut cache, 0), last);
            cache.remove_prompt(0);
            assert!(cache.lengths().is_empty());
        }
    }

    #[test]
    fn room_is_made_without_a_change() {
        for store in stores(SHAPE) {
            let mut cache = filled(&store);
            let before = [seen(&mut cache, 0), seen(&mut cache, 1)];
            cache.lengthen(5).unwrap();
            assert_eq!([seen(&mut cache, 0), seen(&mut cache, 1)], before);
            let extent = Extent {
                prompts: 4,
                places: 3,
                read: 7,
                written: 5,
            };
            let mut wide = cache.widened(extent).unwrap();
            assert_eq!(wide.lengths(), [3, 2]);
            assert_eq!([seen(&mut wide, 0), seen(&mut wide, 1)], before);
        }
    }

    #[test]
    fn a_moved_draw_covers_the_hole() {
        for store in stores(SHAPE) {
            let mut cache = filled(&store);
            cache.move_draw(0, 1, 1);
            assert_eq!(seen(&mut cache, 0), [[104., 200.], [104., 204.]]);
        }
    }
}
