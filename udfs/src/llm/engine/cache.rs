//! Keys and values of tokens already seen, in rows.

use crate::llm::backend::ModelError;
use crate::llm::store::{Buffer, Lines, Store};

/// Rows of cached tokens: per layer a key and a value tensor, each
/// [rows, heads, capacity, width] in this order.
#[derive(Debug)]
pub struct Cache {
    store: Store,
    rows: usize,
    capacity: usize,
    tensors: Vec<Buffer>,
}

/// What is in use of a tensor, and its shape. Tensors come layer by layer, key before value.
pub type Part<T> = ([usize; 4], T);

/// A token's place.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spot {
    /// Its row.
    pub row: usize,
    /// How many tokens of the row come before it.
    pub token: usize,
}

impl Spot {
    /// The first token of `row`.
    pub fn start(row: usize) -> Self {
        Self { row, token: 0 }
    }

    /// Where its heads are in a tensor.
    fn heads(self, cache: &Cache) -> Lines {
        let shape = cache.store.shape;
        let pitch = cache.capacity * shape.width;
        Lines {
            first: self.row * shape.heads * pitch + self.token * shape.width,
            pitch,
        }
    }
}

impl Cache {
    /// An empty cache of `rows` rows of up to `capacity` tokens.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(store: &Store, rows: usize, capacity: usize) -> Result<Self, ModelError> {
        let shape = store.shape;
        let size = rows * shape.heads * capacity * shape.width;
        let tensors = (0..2 * shape.layers).map(|_| Buffer::zeros(store, size));
        Ok(Self {
            store: store.clone(),
            rows,
            capacity,
            tensors: tensors.collect::<Result<_, _>>()?,
        })
    }

    /// A cache without room.
    pub fn empty(store: &Store) -> Self {
        Self {
            store: store.clone(),
            rows: 0,
            capacity: 0,
            tensors: Vec::new(),
        }
    }

    /// The most tokens of a row.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes when every row is full.
    pub fn bytes(&self) -> usize {
        self.rows * self.capacity * self.store.token_bytes()
    }

    /// Copies `tokens` tokens of each of `rows` neighbouring rows of another cache.
    pub fn copy(&mut self, to: Spot, from: &Self, source: Spot, rows: usize, tokens: usize) {
        let (to, source) = (to.heads(self), source.heads(from));
        let shape = self.store.shape;
        for (target, of) in self.tensors.iter_mut().zip(&from.tensors) {
            target.copy(to, of, source, rows * shape.heads, tokens * shape.width);
        }
    }

    /// Copies the first `tokens` tokens of one row over another.
    pub fn move_row(&mut self, to: usize, from: usize, tokens: usize) {
        let (to, from) = (Spot::start(to).heads(self), Spot::start(from).heads(self));
        let shape = self.store.shape;
        for tensor in &mut self.tensors {
            tensor.copy_within(to, from, shape.heads, tokens * shape.width);
        }
    }

    /// The first `rows` rows of each tensor.
    pub fn parts(&self, rows: usize) -> impl Iterator<Item = Part<&Buffer>> {
        let shape = self.part(rows);
        self.tensors.iter().map(move |tensor| (shape, tensor))
    }

    /// The same, to be written to.
    pub fn parts_mut(&mut self, rows: usize) -> impl Iterator<Item = Part<&mut Buffer>> {
        let shape = self.part(rows);
        self.tensors.iter_mut().map(move |tensor| (shape, tensor))
    }

    fn part(&self, rows: usize) -> [usize; 4] {
        let shape = self.store.shape;
        [rows, shape.heads, self.capacity, shape.width]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::folder::CacheShape;
    use crate::llm::store::tests::{counting, numbers, stores};

    const SHAPE: CacheShape = CacheShape {
        layers: 1,
        heads: 2,
        width: 1,
    };

    /// A cache whose numbers count up in memory order.
    fn filled(store: &Store, rows: usize, capacity: usize) -> Cache {
        let mut cache = Cache::new(store, rows, capacity).unwrap();
        for (_, tensor) in cache.parts_mut(rows) {
            counting(tensor, 0);
        }
        cache
    }

    #[test]
    fn rows_are_copied_between_capacities() {
        for store in stores(SHAPE) {
            let from = filled(&store, 2, 3);
            let mut to = Cache::new(&store, 2, 4).unwrap();
            let (at, source) = (Spot { row: 1, token: 2 }, Spot { row: 1, token: 1 });
            to.copy(at, &from, source, 1, 2);
            let expected = [
                0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 7., 8., 0., 0., 10., 11.,
            ];
            assert_eq!(numbers(&to.tensors[0]), expected);
            to.copy(Spot::start(0), &from, Spot::start(0), 2, 1);
            let firsts = [0, 4, 8, 12].map(|at| numbers(&to.tensors[0])[at]);
            assert_eq!(firsts, [0., 3., 6., 9.]);
        }
    }

    #[test]
    fn a_moved_row_covers_the_hole() {
        for store in stores(SHAPE) {
            let mut cache = filled(&store, 2, 3);
            cache.move_row(0, 1, 2);
            let row = &numbers(cache.parts(1).next().unwrap().1)[..6];
            assert_eq!(row, [6., 7., 2., 9., 10., 5.]);
        }
    }
}
