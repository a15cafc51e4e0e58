//! Keys and values of prompts, laid out so that the texts after a prompt share them.

use std::ops::Range;

use super::cache::{Cache, Part};
use super::memory::zeros;
use crate::llm::backend::ModelError;
use crate::llm::folder::CacheShape;

/// Numbers that a key has beyond its width: see [`marks`].
pub const MARKS: usize = 2;

/// Added to the score of a token that is not there: far below any score, and within fp16.
pub const ABSENT: f32 = -3e4;

/// Prompts, all with room for as many tokens. Per layer:
///
/// | tensor | shape |
/// | --- | --- |
/// | key | [prompts, heads, room, width + 2] |
/// | value | [prompts, heads, room, width] |
///
/// The first token of a prompt stands for what a text has written after it; a key's last two
/// numbers tell the graph which tokens are that one, the prompt's, and none.
///
/// What lies beyond a prompt's tokens is old, but always a number.
#[derive(Debug)]
pub struct Prompts {
    shape: CacheShape,
    /// Tokens of a prompt that there is room for, and the one that stands before them.
    room: usize,
    /// Tokens of each prompt.
    lengths: Vec<usize>,
    /// Layer by layer, key before value.
    tensors: Vec<Vec<f32>>,
}

impl Prompts {
    /// Room for `count` prompts.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(shape: CacheShape, count: usize, room: usize) -> Result<Self, ModelError> {
        let sizes = sizes(shape).take(2 * shape.layers);
        let tensors = sizes.map(|size| zeros(count * shape.heads * room * size));
        Ok(Self {
            shape,
            room,
            lengths: Vec::with_capacity(count),
            tensors: tensors.collect::<Result<_, _>>()?,
        })
    }

    /// No room.
    pub fn empty(shape: CacheShape) -> Self {
        Self {
            shape,
            room: 0,
            lengths: Vec::new(),
            tensors: vec![Vec::new(); 2 * shape.layers],
        }
    }

    /// Tokens of each prompt.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Adds a prompt without tokens.
    pub fn begin(&mut self) {
        self.lengths.push(0);
        for (head, size) in self.last_heads() {
            head[..size].fill(0.0);
        }
        self.mark(0..self.room);
    }

    /// Adds the tokens that fill the only row of `piece` to the last prompt.
    pub fn append(&mut self, piece: &Cache) {
        let Some(past) = self.lengths.last().copied() else {
            return;
        };
        let (heads, width) = (self.shape.heads, self.shape.width);
        for (at, (head, size)) in self.last_heads().enumerate() {
            let rows = head.chunks_exact_mut(size).skip(1 + past);
            let from = piece.head(at / heads, 0, at % heads).chunks_exact(width);
            for (to, from) in rows.zip(from) {
                to[..width].copy_from_slice(from);
            }
        }
        self.set_length(past + piece.capacity());
    }

    /// Says how many tokens the last prompt has: those up to there are its own, and no others.
    fn set_length(&mut self, tokens: usize) {
        if let Some(last) = self.lengths.last_mut() {
            let changed = tokens.min(*last)..tokens.max(*last) + 1;
            *last = tokens;
            self.mark(changed);
        }
    }

    /// Marks keys of the last prompt.
    fn mark(&mut self, keys: Range<usize>) {
        let width = self.shape.width;
        let tokens = self.lengths.last().copied().unwrap_or_default();
        for (head, size) in self.last_heads().filter(|&(_, size)| size > width) {
            let all = head.chunks_exact_mut(size).enumerate();
            for (at, key) in all.take(keys.end).skip(keys.start) {
                key[width..].copy_from_slice(&marks(at, tokens));
            }
        }
    }

    /// The heads of the last prompt, tensor by tensor, and how many numbers a token has in each.
    fn last_heads(&mut self) -> impl Iterator<Item = (&mut [f32], usize)> {
        let (heads, room) = (self.shape.heads, self.room);
        let first = self.lengths.len().saturating_sub(1) * heads;
        let tensors = self.tensors.iter_mut().zip(sizes(self.shape));
        tensors.flat_map(move |(tensor, size)| {
            let all = tensor.chunks_exact_mut(room * size);
            all.skip(first).take(heads).map(move |head| (head, size))
        })
    }

    /// Removes a prompt; the last takes its index.
    pub fn remove(&mut self, index: usize) {
        self.lengths.swap_remove(index);
        let last = self.lengths.len();
        for (tensor, size) in self.tensors.iter_mut().zip(sizes(self.shape)) {
            let size = self.shape.heads * self.room * size;
            tensor.copy_within(last * size..(last + 1) * size, index * size);
        }
    }

    /// The same prompts in memory for `count`, each with `room`, which is no less than now.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn widened(&self, count: usize, room: usize) -> Result<Self, ModelError> {
        let mut wide = Self::new(self.shape, count, room)?;
        let heads = self.shape.heads;
        for (prompt, &tokens) in self.lengths.iter().enumerate() {
            wide.begin();
            let tensors = wide.tensors.iter_mut().zip(&self.tensors);
            for ((to, from), size) in tensors.zip(sizes(self.shape)) {
                let own = (1 + tokens) * size;
                let to = to.chunks_exact_mut(room * size).skip(prompt * heads);
                let from = from.chunks_exact(self.room * size).skip(prompt * heads);
                for (to, from) in to.zip(from).take(heads) {
                    to[..own].copy_from_slice(&from[..own]);
                }
            }
            wide.set_length(tokens);
        }
        Ok(wide)
    }

    /// Leaves the only prompt its first `tokens` tokens, and room for no more than `room`: a step
    /// looks at all of it. The memory stays the same, and has to be enough.
    pub fn fit(&mut self, tokens: usize, room: usize) {
        let (heads, old) = (self.shape.heads, self.room);
        let kept = 1 + tokens.min(self.lengths.last().copied().unwrap_or_default());
        for (tensor, size) in self.tensors.iter_mut().zip(sizes(self.shape)) {
            let mut copy = |head: usize| {
                let from = head * old * size;
                tensor.copy_within(from..from + kept * size, head * room * size);
            };
            // So that no head is written over before it is copied.
            match room > old {
                true => (0..heads).rev().for_each(&mut copy),
                false => (0..heads).for_each(&mut copy),
            }
        }
        self.room = room;
        self.set_length(kept - 1);
        self.mark(kept..room);
    }

    /// The tensors of the prompts there are.
    pub fn parts(&self) -> impl Iterator<Item = Part<&[f32]>> {
        let tensors = self.tensors.iter().zip(sizes(self.shape));
        tensors.map(|(tensor, size)| {
            let shape = [self.lengths.len(), self.shape.heads, self.room, size];
            (shape, &tensor[..shape.iter().product()])
        })
    }
}

/// Numbers of a token in each tensor, layer by layer and key before value.
fn sizes(shape: CacheShape) -> impl Iterator<Item = usize> {
    [shape.width + MARKS, shape.width].into_iter().cycle()
}

/// What the key at `at` ends in, where the prompt has `tokens` tokens: what is added to its
/// score, and how often the score of what a text has written is.
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

    const FIRST: [f32; 2] = [0.0, 1.0];
    const OWN: [f32; 2] = [0.0, 0.0];
    const NONE: [f32; 2] = [ABSENT, 0.0];

    /// A row of `tokens` tokens, of numbers from `first` on.
    fn piece(first: usize, tokens: usize) -> Cache {
        let mut cache = Cache::new(SHAPE, 1, tokens).unwrap();
        for (_, tensor) in cache.parts_mut(1) {
            for (index, number) in tensor.iter_mut().enumerate() {
                *number = (first + index) as f32;
            }
        }
        cache
    }

    /// A prompt's key and value, token by token; the marks are the same in each head, and the
    /// first token is nothing but them.
    fn seen(prompts: &Prompts, prompt: usize) -> (Vec<f32>, Vec<f32>) {
        let (length, room) = (prompts.lengths[prompt], prompts.room);
        let parts: Vec<_> = prompts.parts().collect();
        let (key, value) = (parts[0].1, parts[1].1);
        let mut found = (Vec::new(), Vec::new());
        for head in 0..2 {
            let first = (prompt * 2 + head) * room;
            assert_eq!(key[first * 4..][..2], [0.0; 2]);
            assert_eq!(value[first * 2..][..2], [0.0; 2]);
            for token in first + 1..=first + length {
                found.0.extend(&key[token * 4..][..2]);
                found.1.extend(&value[token * 2..][..2]);
            }
        }
        found
    }

    fn marked(prompts: &Prompts, prompt: usize) -> Vec<[f32; 2]> {
        let room = prompts.room;
        let key = prompts.parts().next().unwrap().1;
        let keys = key[prompt * 2 * room * 4..][..2 * room * 4].chunks(4);
        let marks: Vec<_> = keys.map(|key| [key[2], key[3]]).collect();
        assert_eq!(marks[..room], marks[room..]);
        marks[..room].to_vec()
    }

    fn filled() -> Prompts {
        let mut prompts = Prompts::new(SHAPE, 2, 4).unwrap();
        for (first, tokens) in [(0, 3), (100, 2)] {
            prompts.begin();
            prompts.append(&piece(first, tokens));
        }
        prompts
    }

    #[test]
    fn prompts_are_found_token_by_token() {
        let numbers: Vec<f32> = (100..108).map(|number| number as f32).collect();
        assert_eq!(seen(&filled(), 1), (numbers.clone(), numbers));
    }

    #[test]
    fn keys_tell_what_they_are_of() {
        let mut prompts = filled();
        assert_eq!(marked(&prompts, 0), [FIRST, OWN, OWN, OWN]);
        assert_eq!(marked(&prompts, 1), [FIRST, OWN, OWN, NONE]);
        let wide = prompts.widened(2, 5).unwrap();
        assert_eq!(marked(&wide, 0), [FIRST, OWN, OWN, OWN, NONE]);
        prompts.remove(0);
        prompts.begin();
        prompts.append(&piece(200, 1));
        assert_eq!(marked(&prompts, 1), [FIRST, OWN, NONE, NONE]);
    }

    #[test]
    fn pieces_of_a_prompt_follow_each_other() {
        let mut prompts = Prompts::new(SHAPE, 1, 4).unwrap();
        prompts.begin();
        prompts.append(&piece(0, 2));
        prompts.append(&piece(100, 1));
        let expected = [0., 1., 2., 3., 100., 101., 4., 5., 6., 7., 102., 103.];
        let (key, value) = seen(&prompts, 0);
        assert_eq!((&key[..], &value[..]), (&expected[..], &expected[..]));
        assert_eq!(prompts.lengths(), [3]);
    }

    #[test]
    fn a_removed_prompt_gives_its_place_to_the_last() {
        let mut prompts = filled();
        let last = seen(&prompts, 1);
        prompts.remove(0);
        assert_eq!((prompts.lengths(), seen(&prompts, 0)), (&[2][..], last));
        prompts.remove(0);
        assert!(prompts.lengths().is_empty());
    }

    #[test]
    fn room_is_made_without_a_change() {
        let prompts = filled();
        let wide = prompts.widened(4, 7).unwrap();
        assert_eq!(wide.lengths(), prompts.lengths());
        for prompt in 0..2 {
            assert_eq!(seen(&wide, prompt), seen(&prompts, prompt));
        }
    }

    #[test]
    fn a_prompt_grows_and_shrinks_in_its_memory() {
        let mut prompts = Prompts::new(SHAPE, 1, 9).unwrap();
        prompts.begin();
        prompts.fit(0, 3);
        prompts.append(&piece(0, 2));
        let two = seen(&prompts, 0);
        assert_eq!(marked(&prompts, 0), [FIRST, OWN, OWN]);
        prompts.fit(2, 6);
        assert_eq!(seen(&prompts, 0), two);
        assert_eq!(marked(&prompts, 0), [FIRST, OWN, OWN, NONE, NONE, NONE]);
        prompts.append(&piece(100, 3));
        assert_eq!(prompts.lengths(), [5]);
        prompts.fit(2, 4);
        assert_eq!(seen(&prompts, 0), two);
        assert_eq!(marked(&prompts, 0), [FIRST, OWN, OWN, NONE]);
        prompts.fit(2, 9);
        assert_eq!(seen(&prompts, 0), two);
        assert_eq!(marked(&prompts, 0)[3..], [NONE; 6]);
    }
}
