//! What is computed of a chunk of tokens, for each kind of vector.

use std::arch::is_x86_feature_detected;

use super::lanes::{Avx2, Avx512, Lanes, exp, prefetch};
use super::product::{Factors, products};
use super::rows::{CHUNK, Rows, WIDTHS};

/// A kind of vector, and the functions for it.
#[derive(Debug)]
pub struct Kernel {
    /// Numbers in a vector.
    pub lanes: usize,
    /// By how many vectors rows fill, from 1 on.
    pub functions: &'static [Functions],
}

/// What a chunk goes through.
///
/// # Safety
/// Of both: the processor must have these vectors, the rows fill as many of them and have a width
/// that is a multiple of one, and the chunk's tokens be there.
#[derive(Debug)]
pub struct Functions {
    /// Computes the tokens' scores.
    pub score: unsafe fn(&Chunk, &mut Rows),
    /// Makes weights of the scores, and adds the values, so weighed.
    pub weigh: unsafe fn(&Chunk, &mut Rows),
}

/// At most [`CHUNK`] tokens.
#[derive(Debug)]
pub struct Chunk {
    /// [tokens, stride], of which the first numbers are a key.
    pub keys: *const f32,
    /// Numbers from one key to the next.
    pub stride: usize,
    /// [tokens, width]
    pub values: *const f32,
    /// How many there are.
    pub tokens: usize,
}

impl Kernel {
    /// The one for this processor, if there is one.
    pub fn of_processor() -> Option<&'static Self> {
        Self::all().next()
    }

    /// All that this processor can do, the best first.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        let avx512 = is_x86_feature_detected!("avx512f").then_some(&AVX512);
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        avx512.into_iter().chain(avx2.then_some(&AVX2))
    }

    /// The most rows that are worked on at a time.
    pub fn most_rows(&self) -> usize {
        self.lanes * self.functions.len()
    }
}

/// Computes scores, of N tokens at a time.
///
/// # Safety
/// As for [`Functions`], with V vectors.
#[inline(always)]
unsafe fn score<L: Lanes, const V: usize, const N: usize>(chunk: &Chunk, rows: &mut Rows) {
    let Chunk {
        keys,
        stride,
        tokens,
        ..
    } = *chunk;
    let lanes = V * L::LANES;
    for token in (0..tokens).step_by(N) {
        let count = N.min(tokens - token);
        prefetch(keys.wrapping_add((token + CHUNK) * stride), count * stride);
        let factors = Factors {
            left: keys.wrapping_add(token * stride),
            stride,
            step: 1,
            right: rows.queries.as_ptr(),
            columns: lanes,
            length: rows.width,
        };
        // SAFETY: `tokens` keys are there, of `width` numbers, and as many scores.
        unsafe {
            let scores = rows.scores.as_mut_ptr().add(token * lanes);
            products::<L, V, N>(&factors, count, scores, false);
        }
    }
}

/// Makes weights of scores, and adds values to N rows at a time.
///
/// # Safety
/// As for [`Functions`], with V vectors.
#[inline(always)]
unsafe fn weigh<L: Lanes, const V: usize, const N: usize>(chunk: &Chunk, rows: &mut Rows) {
    let width = rows.width;
    for vector in 0..V {
        // SAFETY: what the caller vouches for.
        unsafe { softmax::<L, V>(rows, vector * L::LANES, chunk) };
    }
    let mut at = 0;
    while at < width {
        let factors = Factors {
            left: rows.scores.as_ptr(),
            stride: 1,
            step: V * L::LANES,
            right: chunk.values.wrapping_add(at),
            columns: width,
            length: chunk.tokens,
        };
        // SAFETY: `tokens` values are there, of `width` numbers, and as many scores.
        unsafe {
            let read = rows.read.as_mut_ptr().add(at);
            if at + 2 * L::LANES <= width {
                products::<L, 2, N>(&factors, rows.count, read, true);
                at += 2 * L::LANES;
            } else {
                products::<L, 1, N>(&factors, rows.count, read, true);
                at += L::LANES;
            }
        }
    }
}

/// Makes weights of the scores in the vector of lanes from `at` on, and scales what was read
/// before to the same highest score.
///
/// # Safety
/// As for [`Functions`], with V vectors.
#[inline(always)]
unsafe fn softmax<L: Lanes, const V: usize>(rows: &mut Rows, at: usize, chunk: &Chunk) {
    let (lanes, width) = (V * L::LANES, rows.width);
    let scores = rows.scores[at..].as_mut_ptr();
    let highest = rows.highest[at..].as_mut_ptr();
    let weight = rows.weight[at..].as_mut_ptr();
    let mut scales = [0.0; WIDTHS];
    // SAFETY: each is [.., lanes], of which a vector begins at `at`.
    unsafe {
        let before = L::load(highest);
        let mut now = before;
        for token in 0..chunk.tokens {
            now = L::max(now, L::load(scores.add(token * lanes)));
        }
        let mut sum = L::splat(0.0);
        for token in 0..chunk.tokens {
            if at == 0 {
                prefetch(chunk.values.wrapping_add((token + CHUNK) * width), width);
            }
            let score = scores.add(token * lanes);
            let share = exp::<L>(L::sub(L::load(score), now));
            L::store(score, share);
            sum = L::add(sum, share);
        }
        let scale = exp::<L>(L::sub(before, now));
        L::store(highest, now);
        L::store(weight, L::mul_add(L::load(weight), scale, sum));
        L::store(scales.as_mut_ptr(), scale);
    }
    for (read, scale) in rows
        .read
        .chunks_exact_mut(width)
        .skip(at)
        .zip(&scales[..L::LANES])
    {
        read.iter_mut().for_each(|number| *number *= scale);
    }
}

/// A kernel. As many sums as fit the registers are in work at a time: of tokens, by how many
/// vectors rows fill, and of rows, of two vectors each.
macro_rules! kernel {
    (
        $name:ident, $lanes:ident, $features:literal,
        [$($vectors:literal by $tokens:literal),*], $rows:literal
    ) => {
        static $name: Kernel = Kernel {
            lanes: <$lanes as Lanes>::LANES,
            functions: &[$({
                #[target_feature(enable = $features)]
                unsafe fn score_of(chunk: &Chunk, rows: &mut Rows) {
                    // SAFETY: what the caller vouches for.
                    unsafe { score::<$lanes, $vectors, $tokens>(chunk, rows) }
                }
                #[target_feature(enable = $features)]
                unsafe fn weigh_of(chunk: &Chunk, rows: &mut Rows) {
                    // SAFETY: what the caller vouches for.
                    unsafe { weigh::<$lanes, $vectors, $rows>(chunk, rows) }
                }
                Functions { score: score_of, weigh: weigh_of }
            }),*],
        };
    };
}

kernel!(AVX512, Avx512, "avx512f", [1 by 16, 2 by 8, 3 by 8], 8);
kernel!(AVX2, Avx2, "avx2,fma", [1 by 8, 2 by 6], 6);
