//! Products of matrices as they lie, with their sums in registers.

use super::lanes::Lanes;

/// `left[n, i] * right[i, columns]`, to be summed over i.
pub struct Factors {
    pub left: *const f32,
    /// Numbers from one n to the next.
    pub stride: usize,
    /// Numbers from one i to the next.
    pub step: usize,
    pub right: *const f32,
    pub columns: usize,
    pub length: usize,
}

/// Writes or adds V vectors of the products of the first `count` n, [count, columns].
///
/// # Safety
/// The processor must have these vectors, and all of the factors and sums be there.
#[inline(always)]
pub unsafe fn products<L: Lanes, const V: usize, const N: usize>(
    factors: &Factors,
    count: usize,
    sums: *mut f32,
    add: bool,
) {
    const FEWER: usize = 4;
    let mut n = 0;
    // SAFETY: what the caller vouches for, as n stays below `count`.
    unsafe {
        while n + N <= count {
            product::<L, V, N>(factors, n, sums, add);
            n += N;
        }
        while n + FEWER <= count {
            product::<L, V, FEWER>(factors, n, sums, add);
            n += FEWER;
        }
        while n < count {
            product::<L, V, 1>(factors, n, sums, add);
            n += 1;
        }
    }
}

/// The products of N n, from `first` on, whose sums stay in registers.
///
/// # Safety
/// As for [`products`].
#[inline(always)]
unsafe fn product<L: Lanes, const V: usize, const N: usize>(
    factors: &Factors,
    first: usize,
    sums: *mut f32,
    add: bool,
) {
    let Factors {
        stride,
        step,
        columns,
        ..
    } = *factors;
    // SAFETY: what the caller vouches for.
    unsafe {
        let mut left = factors.left.add(first * stride);
        let mut right = factors.right;
        let sums = sums.add(first * columns);
        let place = |n: usize, vector: usize| sums.add(n * columns + vector * L::LANES);
        let mut totals = [[L::splat(0.0); V]; N];
        if add {
            for (n, totals) in totals.iter_mut().enumerate() {
                for (vector, total) in totals.iter_mut().enumerate() {
                    *total = L::load(place(n, vector));
                }
            }
        }
        for _ in 0..factors.length {
            let mut vectors = [L::splat(0.0); V];
            for (index, vector) in vectors.iter_mut().enumerate() {
                *vector = L::load(right.add(index * L::LANES));
            }
            for (n, totals) in totals.iter_mut().enumerate() {
                let number = L::splat(*left.add(n * stride));
                for (total, vector) in totals.iter_mut().zip(vectors) {
                    *total = L::mul_add(number, vector, *total);
                }
            }
            left = left.wrapping_add(step);
            right = right.wrapping_add(columns);
        }
        for (n, totals) in totals.iter().enumerate() {
            for (vector, total) in totals.iter().enumerate() {
                L::store(place(n, vector), *total);
            }
        }
    }
}
