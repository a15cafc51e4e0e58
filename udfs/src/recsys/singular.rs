//! The leading singular vectors of a large sparse matrix.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::solvers::EvdError;
use faer::{Accum, Mat, MatRef, Par, Side};

use crate::sampling::keys::{Draws, unit_interval};

/// How often the matrix is applied to the start block.
const DEPTH: usize = 6;

/// Squared lengths and squared singular values below this share of the largest are
/// rounding noise.
const NOISE: f64 = 1e-10;

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

    /// Fills `image` with (AᵀA X)ᵀ from Xᵀ. Transposed, because a column of Xᵀ is one
    /// slice of memory: the whole product is one pass over the cells, and needs no
    /// rows × width matrix between.
    fn gram(&self, block: &Mat<f64>, image: &mut Mat<f64>) {
        image.fill(0.0);
        let mut of_row = vec![0.0; block.nrows()];
        let mut start = 0;
        for end in &self.ends {
            let row = &self.cells[start..*end];
            start = *end;
            of_row.fill(0.0);
            for (column, value) in row {
                add_scaled(&mut of_row, *value, block.col_as_slice(*column));
            }
            for (column, value) in row {
                add_scaled(image.col_as_slice_mut(*column), *value, &of_row);
            }
        }
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
/// Fails when a small dense eigenproblem does not converge.
pub(super) fn right_singular_vectors(matrix: &Sparse, rank: usize) -> Result<Mat<f64>, EvdError> {
    let dimension = matrix.columns;
    if rank * DEPTH >= dimension {
        let mut gram = Mat::zeros(dimension, dimension);
        matrix.gram(&Mat::identity(dimension, dimension), &mut gram);
        return leading(&gram, rank);
    }
    let Krylov { blocks, factors } = Krylov::new(matrix, rank)?;
    let used = rank * DEPTH;
    let overlap = rows_by_rows(blocks.as_ref());
    // The image of a block is a factor times the next block. So AᵀA between the blocks
    // needs no further product with A.
    let mut projected = Mat::zeros(used, used);
    for (depth, factor) in factors[1..].iter().enumerate() {
        let next = overlap.get((depth + 1) * rank..(depth + 2) * rank, ..used);
        let image = projected.subrows_mut(depth * rank, rank);
        matmul(image, Accum::Replace, factor, next, 1.0, Par::Seq);
    }
    // Blocks overlap: orthonormal combinations of them first, the leading ones of those then.
    let (squares, vectors) = significant(&overlap.get(..used, ..used).to_owned())?;
    let basis = Mat::from_fn(used, squares.len(), |row, column| {
        vectors[(row, column)] / squares[column].sqrt()
    });
    let combined = leading(&(basis.transpose() * projected * &basis), rank)?;
    Ok(blocks.get(..used, ..).transpose() * (basis * combined))
}

/// Repeated images of a random block under AᵀA.
struct Krylov {
    /// `DEPTH` + 1 blocks of rows; those of a block are orthonormal, or zero.
    blocks: Mat<f64>,
    /// The factor that takes each block to what it is a basis of: the image of the block
    /// before it, of the random one at first.
    factors: Vec<Mat<f64>>,
}

impl Krylov {
    fn new(matrix: &Sparse, width: usize) -> Result<Self, EvdError> {
        let mut draws = Draws::new(0);
        let mut block = Mat::from_fn(width, matrix.columns, |_, _| {
            unit_interval(draws.bits()) - 0.5
        });
        let mut image = Mat::zeros(width, matrix.columns);
        let mut blocks = Mat::zeros(width * (DEPTH + 1), matrix.columns);
        let mut factors = vec![];
        for depth in 0..=DEPTH {
            matrix.gram(&block, &mut image);
            factors.push(orthonormalise(&image, &mut block)?);
            blocks.subrows_mut(depth * width, width).copy_from(&block);
        }
        Ok(Self { blocks, factors })
    }
}

/// Makes the rows of `block` an orthonormal basis of those of `image`, then zeros, and
/// returns the factor that takes `block` to `image`. Orthonormal blocks keep the weaker
/// directions above rounding. By the eigenvectors of the rows' products (Stathopoulos &
/// Wu 2002), which is two matrix products where a QR of so long rows would take many.
fn orthonormalise(image: &Mat<f64>, block: &mut Mat<f64>) -> Result<Mat<f64>, EvdError> {
    let (squares, vectors) = significant(&rows_by_rows(image.as_ref()))?;
    let width = image.nrows();
    let scaled = |scale: fn(f64) -> f64| {
        Mat::from_fn(width, width, |row, column| match squares.get(column) {
            Some(square) => vectors[(row, column)] * scale(square.sqrt()),
            None => 0.0,
        })
    };
    let combine = scaled(f64::recip);
    matmul(
        block,
        Accum::Replace,
        combine.transpose(),
        image,
        1.0,
        Par::Seq,
    );
    Ok(scaled(|length| length))
}

/// The products of all rows with each other.
fn rows_by_rows(rows: MatRef<'_, f64>) -> Mat<f64> {
    let mut products = Mat::zeros(rows.nrows(), rows.nrows());
    triangular::matmul(
        &mut products,
        BlockStructure::TriangularLower,
        Accum::Replace,
        rows,
        BlockStructure::Rectangular,
        rows.transpose(),
        BlockStructure::Rectangular,
        1.0,
        Par::Seq,
    );
    for column in 1..rows.nrows() {
        for row in 0..column {
            products[(row, column)] = products[(column, row)];
        }
    }
    products
}

/// The eigenvalues of a self-adjoint matrix that are no noise, largest first, and their
/// eigenvectors as columns.
fn significant(matrix: &Mat<f64>) -> Result<(Vec<f64>, Mat<f64>), EvdError> {
    let eigen = matrix.self_adjoint_eigen(Side::Lower)?;
    let ascending = eigen.S().column_vector();
    let descending = (0..ascending.nrows()).rev().map(|i| ascending[i]);
    let floor = NOISE * descending.clone().next().unwrap_or(0.0);
    let values: Vec<f64> = descending.take_while(|value| *value > floor).collect();
    let vectors = eigen.U().reverse_cols().subcols(0, values.len()).to_owned();
    Ok((values, vectors))
}

/// The eigenvectors of the at most `rank` largest eigenvalues, noise left out.
fn leading(matrix: &Mat<f64>, rank: usize) -> Result<Mat<f64>, EvdError> {
    let (values, vectors) = significant(matrix)?;
    Ok(vectors.subcols(0, rank.min(values.len())).to_owned())
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
        assert!(identity.norm_max() < 1e-6);
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
