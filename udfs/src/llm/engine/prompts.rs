//! Keys and values of prompts, laid out so that the texts after a prompt share them.

use super::cache::{Cache, Part};
use crate::llm::backend::ModelError;
use crate::llm::store::{Buffer, Lines, Store};

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
    store: Store,
    /// Tokens of a prompt that there is room for, and the one that stands before them.
    room: usize,
    /// Tokens of each prompt.
    lengths: Vec<usize>,
    /// Layer by layer, key before value.
    tensors: Vec<Buffer>,
}

impl Prompts {
    /// Room for `count` prompts.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(store: &Store, count: usize, room: usize) -> Result<Self, ModelError> {
        let shape = store.shape;
        let sizes = sizes(store).take(2 * shape.layers);
        let tensors = sizes.map(|size| Buffer::zeros(store, count * shape.heads * room * size));
        Ok(Self {
            store: store.clone(),
            room,
            lengths: Vec::with_capacity(count),
            tensors: tensors.collect::<Result<_, _>>()?,
        })
    }

    /// No room.
    pub fn empty(store: &Store) -> Self {
        Self {
            store: store.clone(),
            room: 0,
            lengths: Vec::new(),
            tensors: Vec::new(),
        }
    }

    /// Tokens of a prompt that there is room for, and the one that stands before them.
    pub fn room(&self) -> usize {
        self.room
    }

    /// Tokens of each prompt.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Adds a prompt without tokens.
    pub fn begin(&mut self) {
        let prompt = self.lengths.len();
        self.lengths.push(0);
        let heads = self.store.shape.heads;
        for tensor in 0..self.tensors.len() {
            let (lines, size) = self.heads(tensor, prompt);
            self.tensors[tensor].write(lines, &vec![0.0; heads * size], size);
        }
        self.mark(prompt);
    }

    /// Adds the tokens that fill the only rows of `pieces` to the last prompt.
    pub fn append<'a>(&mut self, pieces: impl IntoIterator<Item = &'a Cache>) {
        let Some(prompt) = self.lengths.len().checked_sub(1) else {
            return;
        };
        for piece in pieces {
            self.append_piece(prompt, piece);
        }
        self.mark(prompt);
    }

    fn append_piece(&mut self, prompt: usize, piece: &Cache) {
        let (past, width) = (self.lengths[prompt], self.store.shape.width);
        for (tensor, (_, from)) in piece.parts(1).enumerate() {
            let (lines, size) = self.heads(tensor, prompt);
            for head in 0..self.store.shape.heads {
                let to = Lines {
                    first: lines.first + head * lines.pitch + (1 + past) * size,
                    pitch: size,
                };
                let of = Lines {
                    first: head * piece.capacity() * width,
                    pitch: width,
                };
                self.tensors[tensor].copy(to, from, of, piece.capacity(), width);
            }
        }
        self.lengths[prompt] += piece.capacity();
    }

    /// Removes a prompt; the last takes its index.
    pub fn remove(&mut self, index: usize) {
        let last = self.lengths.len() - 1;
        let heads = self.store.shape.heads;
        if index < last {
            for tensor in 0..self.tensors.len() {
                let (to, _) = self.heads(tensor, index);
                let (from, _) = self.heads(tensor, last);
                self.tensors[tensor].copy_within(to, from, heads, to.pitch);
            }
        }
        self.lengths.swap_remove(index);
    }

    /// The same prompts in memory for `count`, each with `room`, which is no less than now.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn widened(&self, count: usize, room: usize) -> Result<Self, ModelError> {
        let mut wide = Self::new(&self.store, count, room)?;
        for (prompt, &tokens) in self.lengths.iter().enumerate() {
            wide.begin();
            wide.copy(prompt, self, tokens);
        }
        Ok(wide)
    }

    /// Becomes the first `tokens` tokens of the only prompt of `other`, with no more room than
    /// `room`: a step looks at all of it. Both have one prompt, and memory for so much.
    pub fn take(&mut self, other: &Self, tokens: usize, room: usize) {
        self.room = room;
        self.copy(0, other, tokens);
    }

    /// Copies the first tokens of a prompt.
    fn copy(&mut self, prompt: usize, from: &Self, tokens: usize) {
        for (tensor, of) in from.tensors.iter().enumerate() {
            let (to, size) = self.heads(tensor, prompt);
            let (source, _) = from.heads(tensor, prompt);
            let (heads, length) = (self.store.shape.heads, (1 + tokens) * size);
            self.tensors[tensor].copy(to, of, source, heads, length);
        }
        self.lengths[prompt] = tokens;
        self.mark(prompt);
    }

    /// Says of each key of a prompt what it is of.
    fn mark(&mut self, prompt: usize) {
        let marks = (0..self.room).flat_map(|at| marks(at, self.lengths[prompt]));
        let marks: Vec<_> = marks.collect();
        let marks = marks.repeat(self.store.shape.heads);
        let (width, size) = (self.store.shape.width, self.store.shape.width + MARKS);
        for tensor in (0..self.tensors.len()).step_by(2) {
            let (lines, _) = self.heads(tensor, prompt);
            let keys = Lines {
                first: lines.first + width,
                pitch: size,
            };
            self.tensors[tensor].write(keys, &marks, MARKS);
        }
    }

    /// Where the heads of a prompt are in a tensor, and how many numbers a token has there.
    fn heads(&self, tensor: usize, prompt: usize) -> (Lines, usize) {
        let shape = self.store.shape;
        let size = match tensor % 2 {
            0 => shape.width + MARKS,
            _ => shape.width,
        };
        let pitch = self.room * size;
        let first = prompt * shape.heads * pitch;
        (Lines { first, pitch }, size)
    }

    /// The tensors of the prompts there are.
    pub fn parts(&self) -> impl Iterator<Item = Part<&Buffer>> {
        let tensors = self.tensors.iter().zip(sizes(&self.store));
        let (prompts, heads) = (self.lengths.len(), self.store.shape.heads);
        tensors.map(move |(tensor, size)| ([prompts, heads, self.room, size], tensor))
    }
}

/// Numbers of a token in each tensor, layer by layer and key before value.
fn sizes(store: &Store) -> impl Iterator<Item = usize> {
    let width = store.shape.width;
    [width + MARKS, width].into_iter().cycle()
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
    use crate::llm::store::tests::{SHAPE, counting, numbers, stores};

    const FIRST: [f32; 2] = [0.0, 1.0];
    const OWN: [f32; 2] = [0.0, 0.0];
    const NONE: [f32; 2] = [ABSENT, 0.0];

    /// A row of `tokens` tokens, of numbers from `first` on.
    fn piece(store: &Store, first: usize, tokens: usize) -> Cache {
        let mut cache = Cache::new(store, 1, tokens).unwrap();
        for (_, tensor) in cache.parts_mut(1) {
            counting(tensor, first);
        }
        cache
    }

    /// A prompt's key and value, token by token; the marks are the same in each head, and the
    /// first token is nothing but them.
    fn seen(prompts: &Prompts, prompt: usize) -> (Vec<f32>, Vec<f32>) {
        let (length, room) = (prompts.lengths[prompt], prompts.room);
        let parts: Vec<_> = prompts.parts().map(|(_, part)| numbers(part)).collect();
        let (key, value) = (&parts[0], &parts[1]);
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
        let key = numbers(prompts.parts().next().unwrap().1);
        let keys = key[prompt * 2 * room * 4..][..2 * room * 4].chunks(4);
        let marks: Vec<_> = keys.map(|key| [key[2], key[3]]).collect();
        assert_eq!(marks[..room], marks[room..]);
        marks[..room].to_vec()
    }

    fn filled(store: &Store) -> Prompts {
        let mut prompts = Prompts::new(store, 2, 4).unwrap();
        for (first, tokens) in [(0, 3), (100, 2)] {
            prompts.begin();
            prompts.append([&piece(store, first, tokens)]);
        }
        prompts
    }

    #[test]
    fn prompts_are_found_token_by_token() {
        for store in stores(SHAPE) {
            let numbers: Vec<f32> = (100..108).map(|number| number as f32).collect();
            assert_eq!(seen(&filled(&store), 1), (numbers.clone(), numbers));
        }
    }

    #[test]
    fn keys_tell_what_they_are_of() {
        for store in stores(SHAPE) {
            let mut prompts = filled(&store);
            assert_eq!(marked(&prompts, 0), [FIRST, OWN, OWN, OWN]);
            assert_eq!(marked(&prompts, 1), [FIRST, OWN, OWN, NONE]);
            let wide = prompts.widened(2, 5).unwrap();
            assert_eq!(marked(&wide, 0), [FIRST, OWN, OWN, OWN, NONE]);
            prompts.remove(0);
            prompts.begin();
            prompts.append([&piece(&store, 200, 1)]);
            assert_eq!(marked(&prompts, 1), [FIRST, OWN, NONE, NONE]);
        }
    }

    #[test]
    fn pieces_of_a_prompt_follow_each_other() {
        for store in stores(SHAPE) {
            let mut prompts = Prompts::new(&store, 1, 4).unwrap();
            prompts.begin();
            prompts.append([&piece(&store, 0, 2)]);
            prompts.append([&piece(&store, 100, 1)]);
            let expected = [0., 1., 2., 3., 100., 101., 4., 5., 6., 7., 102., 103.];
            let (key, value) = seen(&prompts, 0);
            assert_eq!((&key[..], &value[..]), (&expected[..], &expected[..]));
            assert_eq!(prompts.lengths(), [3]);
        }
    }

    #[test]
    fn a_removed_prompt_gives_its_place_to_the_last() {
        for store in stores(SHAPE) {
            let mut prompts = filled(&store);
            let last = seen(&prompts, 1);
            prompts.remove(0);
            assert_eq!((prompts.lengths(), seen(&prompts, 0)), (&[2][..], last));
            prompts.remove(0);
            assert!(prompts.lengths().is_empty());
        }
    }

    #[test]
    fn room_is_made_without_a_change() {
        for store in stores(SHAPE) {
            let prompts = filled(&store);
            let wide = prompts.widened(4, 7).unwrap();
            assert_eq!(wide.lengths(), prompts.lengths());
            for prompt in 0..2 {
                assert_eq!(seen(&wide, prompt), seen(&prompts, prompt));
            }
        }
    }

    #[test]
    fn a_prompt_grows_and_shrinks() {
        for store in stores(SHAPE) {
            let [mut first, mut second] = [(); 2].map(|()| {
                let mut prompts = Prompts::new(&store, 1, 9).unwrap();
                prompts.begin();
                prompts
            });
            second.take(&first, 0, 3);
            second.append([&piece(&store, 0, 2)]);
            let two = seen(&second, 0);
            assert_eq!(marked(&second, 0), [FIRST, OWN, OWN]);
            first.take(&second, 2, 6);
            assert_eq!(seen(&first, 0), two);
            assert_eq!(marked(&first, 0), [FIRST, OWN, OWN, NONE, NONE, NONE]);
            first.append([&piece(&store, 100, 3)]);
            assert_eq!(first.lengths(), [5]);
            second.take(&first, 2, 4);
            assert_eq!(seen(&second, 0), two);
            assert_eq!(marked(&second, 0), [FIRST, OWN, OWN, NONE]);
        }
    }
}
