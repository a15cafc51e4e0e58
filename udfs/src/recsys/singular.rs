//! The leading singular vectors of a large sparse matrix.

use faer::linalg::solvers::EvdError;
use faer::{Mat, Side};

use crate::sampling::keys::{Draws, unit_interval};

/// How often the matrix is applied to the start block.
const DEPTH: usize = 6;

/// Directions whose squared singular value is below this share of the largest hold
/// rounding noise only.
const NEGLIGIBLE: f64 = 1e-10;

/// A sparse matrix, built row by row.
#[derive(Debug)]
pub(super) struct Sparse {
    columns: usize,
    ends: Vec<usize>,
    cells: Vec<(usize, f64)>,
}

impl Sparse {
    pub(super) fn new(columns: usize) -> Self {
        Self {
            columns,
            ends: vec![],
            cells: vec![],
        }
    }

    /// Adds a row of (column, value) cells.
    pub(super) fn push(&mut self, row: impl Iterator<Item = (usize, f64)>) {
        self.cells.extend(row);
        self.ends.push(self.cells.len());
    }

    /// Rows and columns.
    pub(super) fn shape(&self) -> (usize, usize) {
        (self.ends.len(), self.columns)
    }

    /// (AᵀA X)ᵀ from Xᵀ. Transposed, because a column of Xᵀ is one slice of memory: the
    /// whole product is one pass over the cells, and needs no rows × width matrix between.
    fn gram(&self, block: &Mat<f64>) -> Mat<f64> {
        let mut product = Mat::zeros(block.nrows(), self.columns);
        let mut image = vec![0.0; block.nrows()];
        let mut start = 0;
        for end in &self.ends {
            let row = &self.cells[start..*end];
            start = *end;
            image.fill(0.0);
            for (column, value) in row {
                add_scaled(&mut image, *value, block.col_as_slice(*column));
            }
            for (column, value) in row {
                add_scaled(product.col_as_slice_mut(*column), *value, &image);
            }
        }
        product
    }
}

fn add_scaled(sum: &mut [f64], factor: f64, values: &[f64]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

/// The at most `rank` leading right singular vectors of `matrix`, as columns.
///
/// Block Krylov iteration (Musco & Musco 2015, arXiv 1504.05477) from a fixed start, so
/// the result is deterministic. Working in blocks, it finds singular values of any
/// multiplicity (each separate community of users has a leading value of 1), where a
/// single Lanczos vector finds one copy or breaks down. Directions of singular value 0
/// are left out: they are arbitrary.
///
/// # Errors
/// Fails when the small dense eigenproblem does not converge.
pub(super) fn right_singular_vectors(matrix: &Sparse, rank: usize) -> Result<Mat<f64>, EvdError> {
    let basis = krylov_basis(matrix, rank);
    let image = matrix.gram(&basis);
    let projected = (&basis * image.transpose()).self_adjoint_eigen(Side::Lower)?;
    let squares = projected.S().column_vector();
    // Eigenvalues ascend.
    let last = squares.nrows();
    let kept = (1..=rank.min(last))
        .take_while(|i| squares[last - i] > NEGLIGIBLE * squares[last - 1])
        .count();
    let leading = projected.U().subcols(last - kept, kept);
    Ok(basis.transpose() * leading.reverse_cols())
}

/// An orthonormal basis of the block Krylov space, as rows; of the whole space where
/// that is no larger.
fn krylov_basis(matrix: &Sparse, width: usize) -> Mat<f64> {
    let dimension = matrix.columns;
    if width * DEPTH >= dimension {
        return Mat::identity(dimension, dimension);
    }
    let mut draws = Draws::new(0);
    let mut block = Mat::from_fn(width, dimension, |_, _| unit_interval(draws.bits()) - 0.5);
    let mut basis = Mat::zeros(width * DEPTH, dimension);
    for depth in 0..DEPTH {
        // Orthonormal blocks keep the weaker directions above rounding.
        block = orthonormal_rows(&matrix.gram(&block));
        basis.subrows_mut(depth * width, width).copy_from(&block);
    }
    orthonormal_rows(&basis)
}

fn orthonormal_rows(rows: &Mat<f64>) -> Mat<f64> {
    rows.transpose()
        .qr()
        .compute_thin_Q()
        .transpose()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random cells, fewer in later columns.
    fn random(rows: usize, columns: usize) -> Sparse {
        let mut draws = Draws::new(7);
        let mut matrix = Sparse::new(columns);
        for _ in 0..rows {
            let row: Vec<_> = (0..columns)
                .filter(|c| draws.below(2 + *c as u64 / 10) == 0)
                .map(|c| (c, 1.0 / (1.0 + c as f64)))
                .collect();
            matrix.push(row.into_iter());
        }
        matrix
    }

    fn dense(matrix: &Sparse) -> Mat<f64> {
        let mut dense = Mat::zeros(matrix.ends.len(), matrix.columns);
        let mut row = 0;
        for (cell, (column, value)) in matrix.cells.iter().enumerate() {
            while cell >= matrix.ends[row] {
                row += 1;
            }
            dense[(row, *column)] = *value;
        }
        dense
    }

    #[test]
    fn holds_what_the_exact_vectors_hold() {
        let matrix = random(150, 120);
        let rank = 6;
        let found = right_singular_vectors(&matrix, rank).unwrap();
        let held = (dense(&matrix) * &found).squared_norm_l2();
        let exact = dense(&matrix).singular_values().unwrap();
        let best: f64 = exact[..rank].iter().map(|value| value * value).sum();
        assert!(
            (1.0 - 1e-6) * best < held && held < (1.0 + 1e-9) * best,
            "{held} of {best}"
        );
        let identity = found.transpose() * &found - Mat::<f64>::identity(rank, rank);
        assert!(identity.norm_max() < 1e-12);
    }

    #[test]
    fn repeated_values_are_all_found() {
        // The identity: every singular value is 1.
        let mut identity = Sparse::new(200);
        (0..200).for_each(|i| identity.push(std::iter::once((i, 1.0))));
        let found = right_singular_vectors(&identity, 5).unwrap();
        assert_eq!((found.nrows(), found.ncols()), (200, 5));
    }

    #[test]
    fn empty_directions_are_left_out() {
        let mut matrix = Sparse::new(3);
        matrix.push([(0, 1.0)].into_iter());
        matrix.push([(0, 1.0)].into_iter());
        let found = right_singular_vectors(&matrix, 3).unwrap();
        assert_eq!((found.nrows(), found.ncols()), (3, 1));
    }
}
