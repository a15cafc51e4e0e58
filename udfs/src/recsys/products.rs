//! Scores of all items for many queries at once, as products of matrices.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

use super::candidates::{Allowed, Best};

/// Queries scored by one product, and items: a product's scores stay in the cache. Every
/// product of the same items has the same shape, missing queries filled up with zeros, so
/// that a query's sums round the same however the rows fall into batches.
pub(super) const BLOCK: usize = 128;
pub(super) const TILE: usize = 768;

/// One query's search for its best items.
pub(super) struct Search {
    pub(super) allowed: Allowed,
    pub(super) best: Best,
}

/// Offers every search the products of its query with the `known` rows of `items`. Search `i`
/// has column `i` of `queries`, which has [`BLOCK`] columns.
pub(super) fn offer(
    items: MatRef<'_, f32>,
    known: &[bool],
    queries: &Mat<f32>,
    searches: &mut [Search],
) {
    let mut scores = Mat::zeros(TILE, BLOCK);
    let horizon = searches.iter().map(|search| search.allowed.horizon()).max();
    let horizon = items.nrows().min(horizon.unwrap_or(0));
    for first in (0..horizon).step_by(TILE) {
        let tile = score(items, first, queries, &mut scores);
        for (column, Search { allowed, best }) in searches.iter_mut().enumerate() {
            let scores = &scores.col_as_slice(column)[..tile];
            best.offer(first, scores, |item| known[item] && allowed.has(item));
        }
    }
}

/// Scores the tile of items from `first` for each query, into that many first rows of
/// `scores` as are returned.
fn score(items: MatRef<'_, f32>, first: usize, queries: &Mat<f32>, scores: &mut Mat<f32>) -> usize {
    let tile = TILE.min(items.nrows() - first);
    matmul(
        scores.subrows_mut(0, tile),
        Accum::Replace,
        items.subrows(first, tile),
        queries,
        1.0,
        Par::Seq,
    );
    tile
}

/// Numbers between -0.5 and 0.5, for tests.
#[cfg(test)]
pub(super) fn random(count: usize, hash: u64) -> Vec<f32> {
    use crate::sampling::keys::{Draws, unit_interval};

    let mut draws = Draws::new(hash);
    (0..count)
        .map(|_| unit_interval(draws.bits()) as f32 - 0.5)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_items_have_equal_scores() {
        for (items, rank) in [(TILE + 101, 32), (37, 384), (TILE, 48)] {
            let one = random(rank, 3);
            let rows = one.repeat(items);
            let rows = MatRef::from_row_major_slice(&rows, items, rank);
            let queries = Mat::from_fn(rank, BLOCK, |row, column| one[row] * (column + 1) as f32);
            let mut scores = Mat::zeros(TILE, BLOCK);
            let mut found: Vec<Vec<u32>> = vec![vec![]; BLOCK];
            for first in (0..items).step_by(TILE) {
                let tile = score(rows, first, &queries, &mut scores);
                for (column, found) in found.iter_mut().enumerate() {
                    let scores = &scores.col_as_slice(column)[..tile];
                    found.extend(scores.iter().map(|score| score.to_bits()));
                }
            }
            for scores in found {
                assert!(
                    scores.iter().all(|score| *score == scores[0]),
                    "{items} × {rank}"
                );
            }
        }
    }

    #[test]
    fn a_score_has_the_same_bits_in_every_place() {
        for rank in [1, 5, 64, 100, 384] {
            let item = random((TILE + 100) * rank, 1);
            let items = MatRef::from_row_major_slice(&item, TILE + 100, rank);
            let query = random(rank, 2);
            let queries = Mat::from_fn(rank, BLOCK, |row, _| query[row]);
            let mut scores = Mat::zeros(TILE, BLOCK);
            for first in [0, TILE] {
                let tile = score(items, first, &queries, &mut scores);
                for column in 1..BLOCK {
                    assert_eq!(
                        scores.col_as_slice(column)[..tile],
                        scores.col_as_slice(0)[..tile]
                    );
                }
            }
        }
    }
}
