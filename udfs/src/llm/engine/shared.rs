//! Keys and values of prompts, each with those of the draws that follow it.

use super::cache::{Cache, Spot};
use super::memory::zeros;
use crate::llm::backend::ModelError;
use crate::llm::folder::CacheShape;

/// Numbers that a prompt's key has beyond its width: see [`marks`].
pub const MARKS: usize = 2;

/// Added to the score of a token that is not there: far below any score, and within fp16.
pub const ABSENT: f32 = -3e4;

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

/// Prompts at the front, and at `prompt * places + place` what a draw has written. Per layer:
///
/// | tensor | shape |
/// | --- | --- |
/// | key of the prompts | [prompts, heads, read, width + 2] |
/// | value of the prompts | [prompts, heads, read, width] |
/// | key and value of the draws | [prompts × places, heads, written, width] |
/// | key and value of the newest token | [prompts × places, heads, 1, width] |
///
/// The first token of a prompt stands for what a draw of it has written; a key's last two
/// numbers tell the graph which tokens are that one, the prompt's, and none.
///
/// What lies beyond a row's tokens is old, but always a number.
#[derive(Debug)]
pub struct SharedCache {
    shape: CacheShape,
    extent: Extent,
    /// Tokens of each prompt.
    lengths: Vec<usize>,
    prompts: Vec<Vec<f32>>,
    draws: Cache,
    newest: Cache,
}

/// A tensor's shape, and what is in use of it.
pub type Part<T> = ([usize; 4], T);

/// The tensors, layer by layer and key before value, cut to the prompts there are.
#[derive(Debug)]
pub struct Parts<'a> {
    /// Of the prompts.
    pub prompts: Vec<Part<&'a [f32]>>,
    /// Of the draws.
    pub draws: Vec<Part<&'a mut [f32]>>,
    /// Of the newest token.
    pub newest: Vec<Part<&'a mut [f32]>>,
}

impl SharedCache {
    /// An empty cache.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(shape: CacheShape, extent: Extent) -> Result<Self, ModelError> {
        let tokens = extent.prompts * shape.heads * extent.read;
        let sizes = sizes(shape).take(2 * shape.layers);
        let prompts = sizes.map(|size| zeros(tokens * size));
        Ok(Self {
            shape,
            extent,
            lengths: Vec::with_capacity(extent.prompts),
            prompts: prompts.collect::<Result<_, _>>()?,
            draws: Cache::new(shape, extent.all_places(), extent.written)?,
            newest: Cache::new(shape, extent.all_places(), 1)?,
        })
    }

    /// A cache without room.
    pub fn empty(shape: CacheShape) -> Self {
        Self {
            shape,
            extent: Extent::default(),
            lengths: Vec::new(),
            prompts: vec![Vec::new(); 2 * shape.layers],
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
        &self.lengths
    }

    /// Adds a prompt, whose tokens fill the only rows of `pieces`.
    pub fn add_prompt<'a>(&mut self, pieces: impl IntoIterator<Item = &'a Cache>) {
        let mut tokens = 0;
        for piece in pieces {
            self.add_piece(tokens, piece);
            tokens += piece.capacity();
        }
        let (heads, width) = (self.shape.heads, self.shape.width);
        for (tensor, size) in self.prompts.iter_mut().zip(sizes(self.shape)) {
            let all = tensor.chunks_exact_mut(self.extent.read * size);
            for head in all.skip(self.lengths.len() * heads).take(heads) {
                mark(head, width, size, tokens);
            }
        }
        self.lengths.push(tokens);
    }

    /// Copies the tokens of a piece behind the first `past` of the prompt that is being added.
    fn add_piece(&mut self, past: usize, piece: &Cache) {
        let (heads, width) = (self.shape.heads, self.shape.width);
        let tensors = self.prompts.iter_mut().zip(sizes(self.shape));
        for (index, (tensor, size)) in tensors.enumerate() {
            let all = tensor.chunks_exact_mut(self.extent.read * size);
            let own = all.skip(self.lengths.len() * heads).take(heads);
            for (head, to) in own.enumerate() {
                let rows = to.chunks_exact_mut(size).skip(1 + past);
                let from = piece.head(index, 0, head).chunks_exact(width);
                for (to, from) in rows.zip(from) {
                    to[..width].copy_from_slice(from);
                }
            }
        }
    }

    /// Removes a prompt and its draws; the last prompt takes its index.
    pub fn remove_prompt(&mut self, index: usize) {
        self.lengths.swap_remove(index);
        let last = self.lengths.len();
        if index == last {
            return;
        }
        for (tensor, size) in self.prompts.iter_mut().zip(sizes(self.shape)) {
            let size = self.shape.heads * self.extent.read * size;
            tensor.copy_within(last * size..(last + 1) * size, index * size);
        }
        let places = self.extent.places;
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
        for row in 0..self.lengths.len() * self.extent.places {
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
        let mut wide = Self::new(self.shape, extent)?;
        let CacheShape { heads, width, .. } = self.shape;
        let tensors = wide.prompts.iter_mut().zip(&self.prompts);
        for ((to, from), size) in tensors.zip(sizes(self.shape)) {
            let from = from.chunks_exact(self.extent.read * size);
            let to = to.chunks_exact_mut(extent.read * size);
            for (head, (to, from)) in to.zip(from).enumerate() {
                let Some(&tokens) = self.lengths.get(head / heads) else {
                    break;
                };
                to[..from.len()].copy_from_slice(from);
                mark(to, width, size, tokens);
            }
        }
        for prompt in 0..self.lengths.len() {
            for place in 0..self.extent.places {
                let to = prompt * extent.places + place;
                let from = prompt * self.extent.places + place;
                let (to, from) = (Spot::start(to), Spot::start(from));
                wide.draws.copy(to, &self.draws, from, self.extent.written);
            }
        }
        wide.lengths.extend_from_slice(&self.lengths);
        Ok(wide)
    }

    /// The tensors of the prompts there are.
    pub fn parts(&mut self) -> Parts<'_> {
        let (prompts, places) = (self.lengths.len(), self.lengths.len() * self.extent.places);
        let (heads, read) = (self.shape.heads, self.extent.read);
        let of_prompts = self.prompts.iter().zip(sizes(self.shape));
        Parts {
            prompts: of_prompts
                .map(|(tensor, size)| {
                    let shape = [prompts, heads, read, size];
                    (shape, &tensor[..shape.iter().product()])
                })
                .collect(),
            draws: self.draws.windows(places).collect(),
            newest: self.newest.windows(places).collect(),
        }
    }
}

/// Numbers of a prompt's token in each tensor, layer by layer and key before value.
fn sizes(shape: CacheShape) -> impl Iterator<Item = usize> {
    [shape.width + MARKS, shape.width].into_iter().cycle()
}

/// Marks the tokens of one head, of `size` numbers each; a value has nothing beyond its width.
fn mark(head: &mut [f32], width: usize, size: usize, tokens: usize) {
    if size > width {
        for (at, key) in head.chunks_exact_mut(size).enumerate() {
            key[width..].copy_from_slice(&marks(at, tokens));
        }
    }
}

/// What the key at `at` ends in, where the prompt has `tokens` tokens: what is added to its
/// score, and how often the score of what a draw has written is.
fn marks(at: usize, tokens: usize) -> [f32; MARKS] {
    match at {
        0 => [0.0, 1.0],
        _ if at <= tokens => [0.0, 0.0],
        _ => [ABSENT, 0.0],
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

    /// A row of `tokens` tokens, of numbers from `first` on.
    fn prompt(first: usize, tokens: usize) -> Cache {
        let mut cache = Cache::new(SHAPE, 1, tokens).unwrap();
        for (_, tensor) in cache.windows(1) {
            for (index, number) in tensor.iter_mut().enumerate() {
                *number = (first + index) as f32;
            }
        }
        cache
    }

    /// What the cache holds of a prompt: its key by token, its value, first tokens of its draws.
    fn seen(cache: &mut SharedCache, prompt: usize) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let (length, extent) = (cache.lengths[prompt], cache.extent);
        let parts = cache.parts();
        let (key, value) = (parts.prompts[0].1, parts.prompts[1].1);
        let mut found = (Vec::new(), Vec::new(), Vec::new());
        for head in 0..2 {
            let first = (prompt * 2 + head) * extent.read;
            for token in first + 1..=first + length {
                found.0.extend(&key[token * 4..token * 4 + 2]);
                found.1.extend(&value[token * 2..token * 2 + 2]);
            }
        }
        for place in 0..EXTENT.places {
            let first = (prompt * extent.places + place) * 2 * extent.written * 2;
            found.2.push(parts.draws[0].1[first]);
        }
        found
    }

    fn filled() -> SharedCache {
        let mut cache = SharedCache::new(SHAPE, EXTENT).unwrap();
        cache.add_prompt([&prompt(0, 3)]);
        cache.add_prompt([&prompt(100, 2)]);
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
    fn prompts_are_found_token_by_token() {
        let mut cache = filled();
        let (key, value, draws) = seen(&mut cache, 1);
        let numbers: Vec<f32> = (100..108).map(|number| number as f32).collect();
        assert_eq!((key, value), (numbers.clone(), numbers));
        assert_eq!(draws, [1002.0, 1003.0]);
    }

    /// The marks of a prompt's keys, the same in each head, and whether the first key and value
    /// are zeros besides.
    fn marked(cache: &mut SharedCache, prompt: usize) -> (Vec<[f32; 2]>, bool) {
        let read = cache.extent.read;
        let parts = cache.parts();
        let key = &parts.prompts[0].1[prompt * 2 * read * 4..][..2 * read * 4];
        let value = &parts.prompts[1].1[prompt * 2 * read * 2..];
        let marks: Vec<_> = key.chunks(4).map(|key| [key[2], key[3]]).collect();
        assert_eq!(marks[..read], marks[read..]);
        let zeros = key[..2] == [0.0; 2] && value[..2] == [0.0; 2];
        (marks[..read].to_vec(), zeros)
    }

    #[test]
    fn keys_tell_what_they_are_of() {
        let mut cache = filled();
        let (first, own, none) = ([0.0, 1.0], [0.0, 0.0], [ABSENT, 0.0]);
        assert_eq!(marked(&mut cache, 0), (vec![first, own, own, own], true));
        assert_eq!(marked(&mut cache, 1), (vec![first, own, own, none], true));
        cache.remove_prompt(0);
        cache.add_prompt([&prompt(200, 1)]);
        assert_eq!(marked(&mut cache, 1), (vec![first, own, none, none], true));
        let mut wide = cache.widened(Extent { read: 5, ..EXTENT }).unwrap();
        assert_eq!(
            marked(&mut wide, 0),
            (vec![first, own, own, none, none], true)
        );
    }

    #[test]
    fn pieces_of_a_prompt_follow_each_other() {
        let mut cache = SharedCache::new(SHAPE, EXTENT).unwrap();
        let pieces = [prompt(0, 2), prompt(100, 1)];
        cache.add_prompt(&pieces);
        let (key, value, _) = seen(&mut cache, 0);
        let expected = [0., 1., 2., 3., 100., 101., 4., 5., 6., 7., 102., 103.];
        assert_eq!(
            (key.as_slice(), value.as_slice()),
            (&expected[..], &expected[..])
        );
        assert_eq!(cache.lengths(), [3]);
    }

    #[test]
    fn a_removed_prompt_gives_its_place_to_the_last() {
        let mut cache = filled();
        let last = seen(&mut cache, 1);
        cache.remove_prompt(0);
        assert_eq!(cache.lengths(), [2]);
        assert_eq!(seen(&mut cache, 0), last);
        cache.remove_prompt(0);
        assert!(cache.lengths().is_empty());
    }

    #[test]
    fn room_is_made_without_a_change() {
        let mut cache = filled();
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
        assert_eq!([seen(&mut wide, 0), seen(&mut wide, 1)], before);
    }

    #[test]
    fn a_moved_draw_covers_the_hole() {
        let mut cache = filled();
        cache.move_draw(0, 1, 1);
        assert_eq!(seen(&mut cache, 0).2, [1001.0, 1001.0]);
    }
}
