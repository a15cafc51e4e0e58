//! The leading singular vectors of a large sparse matrix.

use faer::linalg::solvers::EvdError;
use faer::sparse::SparseColMatRef;
use faer::sparse::linalg::matmul::sparse_dense_matmul;
use faer::{Accum, Mat, MatRef, Par, Side};

use crate::sampling::keys::{Draws, unit_interval};

/// How often the matrix is applied to the start block.
const DEPTH: usize = 6;

/// Directions whose squared singular value is below this hold rounding noise only.
const NEGLIGIBLE: f64 = 1e-10;

/// The at most `rank` leading right singular vectors of `matrix`, as columns.
///
/// Block Krylov iteration (Musco & Musco 2015, arXiv 1504.05477) from a fixed start, so
/// the result is deterministic. Working in blocks, it finds singular values of any
/// multiplicity (each separate community of users has a leading value of 1), where a
/// single Lanczos vector finds one copy or breaks down. Directions of singular value 0
/// are left out: they are arbitrary.
pub(super) fn right_singular_vectors(
    matrix: SparseColMatRef<'_, usize, f64>,
    rank: usize,
) -> Result<Mat<f64>, EvdError> {
    let basis = krylov_basis(matrix, rank);
    let image = gram(matrix, basis.as_ref());
    let projected = (basis.transpose() * image).self_adjoint_eigen(Side::Lower)?;
    let squares = projected.S().column_vector();
    // Eigenvalues ascend.
    let last = squares.nrows();
    let kept = (1..=rank.min(last))
        .take_while(|i| squares[last - i] > NEGLIGIBLE)
        .count();
    let leading = projected.U().subcols(last - kept, kept);
    Ok(basis * leading.reverse_cols())
}

/// An orthonormal basis of the block Krylov space, or of everything when that is no larger.
fn krylov_basis(matrix: SparseColMatRef<'_, usize, f64>, width: usize) -> Mat<f64> {
    let dimension = matrix.ncols();
    if width * DEPTH >= dimension {
        return Mat::identity(dimension, dimension);
    }
    let mut basis = Mat::zeros(dimension, width * DEPTH);
    let mut block = start(dimension, width);
    for depth in 0..DEPTH {
        // Orthonormal blocks keep the weaker directions above rounding.
        block = gram(matrix, block.as_ref()).qr().compute_thin_Q();
        basis.subcols_mut(depth * width, width).copy_from(&block);
    }
    basis.qr().compute_thin_Q()
}

/// A fixed start that no structure of the data lines up with.
fn start(rows: usize, columns: usize) -> Mat<f64> {
    let mut draws = Draws::new(0);
    Mat::from_fn(rows, columns, |_, _| unit_interval(draws.bits()) - 0.5)
}

/// AᵀA X.
fn gram(matrix: SparseColMatRef<'_, usize, f64>, block: MatRef<'_, f64>) -> Mat<f64> {
    let mut image = Mat::zeros(matrix.nrows(), block.ncols());
    sparse_dense_matmul(image.as_mut(), Accum::Replace, matrix, block, 1.0, Par::Seq);
    let mut back = Mat::zeros(matrix.ncols(), block.ncols());
    let transposed = matrix.transpose();
    sparse_dense_matmul(
        back.as_mut(),
        Accum::Replace,
        transposed,
        image.as_ref(),
        1.0,
        Par::Seq,
    );
    back
}

#[cfg(test)]
mod tests {
    use faer::sparse::{SparseColMat, Triplet};

    use super::*;

    fn sparse(rows: usize, columns: usize, share: f64) -> SparseColMat<usize, f64> {
        let mut draws = Draws::new(7);
        let mut entries = vec![];
        for row in 0..rows {
            for column in 0..columns {
                if unit_interval(draws.bits()) < share / (1.0 + column as f64 / 20.0) {
                    entries.push(Triplet::new(row, column, unit_interval(draws.bits())));
                }
            }
        }
        SparseColMat::try_new_from_triplets(rows, columns, &entries).unwrap()
    }

    #[test]
    fn holds_what_the_exact_vectors_hold() {
        let matrix = sparse(150, 120, 0.5);
        let rank = 6;
        let found = right_singular_vectors(matrix.as_ref(), rank).unwrap();
        let held = (matrix.to_dense() * &found).squared_norm_l2();
        let exact = matrix.to_dense().singular_values().unwrap();
        let best: f64 = exact[..rank].iter().map(|value| value * value).sum();
        assert!(
            (1.0 - 1e-3) * best < held && held < (1.0 + 1e-9) * best,
            "{held} of {best}"
        );
        let identity = found.transpose() * &found - Mat::<f64>::identity(rank, rank);
        assert!(identity.norm_max() < 1e-12);
    }

    #[test]
    fn repeated_values_are_all_found() {
        // The identity: every singular value is 1.
        let ones: Vec<_> = (0..200).map(|i| Triplet::new(i, i, 1.0)).collect();
        let identity = SparseColMat::try_new_from_triplets(200, 200, &ones).unwrap();
        let found = right_singular_vectors(identity.as_ref(), 5).unwrap();
        assert_eq!(found.ncols(), 5);
    }

    #[test]
    fn empty_directions_are_left_out() {
        let entries = [Triplet::new(0, 0, 1.0), Triplet::new(1, 0, 1.0)];
        let matrix = SparseColMat::try_new_from_triplets(2, 3, &entries).unwrap();
        let found = right_singular_vectors(matrix.as_ref(), 3).unwrap();
        assert_eq!((found.nrows(), found.ncols()), (3, 1));
    }
}
