//! Keys and values of tokens already seen, in rows.

use super::memory::zeros;
use crate::llm::backend::ModelError;
use crate::llm::folder::CacheShape;

/// Rows of cached tokens: per layer a key and a value tensor, each
/// [rows, heads, capacity, width] in this order.
///
/// Memory that no token has reached is never touched, so the operating system
/// does not give it out: a large capacity costs what is used of it.
#[derive(Debug)]
pub struct Cache {
    shape: CacheShape,
    rows: usize,
    capacity: usize,
    tensors: Vec<Vec<f32>>,
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

    /// Where its numbers of `head` begin in a tensor.
    fn index(self, head: usize, shape: CacheShape, capacity: usize) -> usize {
        ((self.row * shape.heads + head) * capacity + self.token) * shape.width
    }
}

impl Cache {
    /// An empty cache of `rows` rows of up to `capacity` tokens.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(shape: CacheShape, rows: usize, capacity: usize) -> Result<Self, ModelError> {
        let size = rows * shape.heads * capacity * shape.width;
        let tensors = (0..2 * shape.layers).map(|_| zeros(size));
        Ok(Self {
            shape,
            rows,
            capacity,
            tensors: tensors.collect::<Result<_, _>>()?,
        })
    }

    /// A cache without room.
    pub fn empty(shape: CacheShape) -> Self {
        Self {
            shape,
            rows: 0,
            capacity: 0,
            tensors: vec![Vec::new(); 2 * shape.layers],
        }
    }

    /// The most tokens of a row.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes when every row is full.
    pub fn bytes(&self) -> usize {
        self.rows * self.capacity * self.shape.token_bytes()
    }

    /// Copies `tokens` tokens of a row of another cache.
    pub fn copy(&mut self, to: Spot, from: &Self, source: Spot, tokens: usize) {
        let length = tokens * self.shape.width;
        for (target, of) in self.tensors.iter_mut().zip(&from.tensors) {
            for head in 0..self.shape.heads {
                let to = to.index(head, self.shape, self.capacity);
                let source = source.index(head, self.shape, from.capacity);
                target[to..to + length].copy_from_slice(&of[source..source + length]);
            }
        }
    }

    /// Copies the first `tokens` tokens of one row over another.
    pub fn move_row(&mut self, to: usize, from: usize, tokens: usize) {
        let length = tokens * self.shape.width;
        for tensor in &mut self.tensors {
            for head in 0..self.shape.heads {
                let to = Spot::start(to).index(head, self.shape, self.capacity);
                let from = Spot::start(from).index(head, self.shape, self.capacity);
                tensor.copy_within(from..from + length, to);
            }
        }
    }

    /// A head of a row: [capacity, width]. `tensor` counts layer by layer, key before value.
    pub fn head(&self, tensor: usize, row: usize, head: usize) -> &[f32] {
        let first = Spot::start(row).index(head, self.shape, self.capacity);
        &self.tensors[tensor][first..][..self.capacity * self.shape.width]
    }

    /// The first `rows` rows of each tensor.
    pub fn parts(&self, rows: usize) -> impl Iterator<Item = Part<&[f32]>> {
        let shape = self.part(rows);
        let length: usize = shape.iter().product();
        let tensors = self.tensors.iter();
        tensors.map(move |tensor| (shape, &tensor[..length]))
    }

    /// The same, to be written to.
    pub fn parts_mut(&mut self, rows: usize) -> impl Iterator<Item = Part<&mut [f32]>> {
        let shape = self.part(rows);
        let length: usize = shape.iter().product();
        let tensors = self.tensors.iter_mut();
        tensors.map(move |tensor| (shape, &mut tensor[..length]))
    }

    fn part(&self, rows: usize) -> [usize; 4] {
        [rows, self.shape.heads, self.capacity, self.shape.width]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: CacheShape = CacheShape {
        layers: 1,
        heads: 2,
        width: 1,
    };

    /// A cache whose numbers count up in memory order.
    fn counting(rows: usize, capacity: usize) -> Cache {
        let mut cache = Cache::new(SHAPE, rows, capacity).unwrap();
        for tensor in &mut cache.tensors {
            for (index, number) in tensor.iter_mut().enumerate() {
                *number = index as f32;
            }
        }
        cache
    }

    #[test]
    fn rows_are_copied_between_capacities() {
        let from = counting(2, 3);
        let mut to = Cache::new(SHAPE, 2, 4).unwrap();
        to.copy(
            Spot { row: 1, token: 2 },
            &from,
            Spot { row: 1, token: 1 },
            2,
        );
        let expected = [
            0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 7., 8., 0., 0., 10., 11.,
        ];
        assert_eq!(to.tensors[0], expected);
    }

    #[test]
    fn a_moved_row_covers_the_hole() {
        let mut cache = counting(2, 3);
        cache.move_row(0, 1, 2);
        let row = cache.parts(1).next().unwrap().1.to_vec();
        assert_eq!(row, [6., 7., 2., 9., 10., 5.]);
    }
}
