//! Vectors of f32, as the processor has them.

use std::arch::x86_64::{
    __m256, __m512, _MM_HINT_T0, _mm_prefetch, _mm256_add_epi32, _mm256_add_ps,
    _mm256_castps_si256, _mm256_castsi256_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_max_ps,
    _mm256_mul_ps, _mm256_set1_epi32, _mm256_set1_ps, _mm256_slli_epi32, _mm256_storeu_ps,
    _mm256_sub_ps, _mm512_add_epi32, _mm512_add_ps, _mm512_castps_si512, _mm512_castsi512_ps,
    _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_max_ps, _mm512_mul_ps, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_slli_epi32, _mm512_storeu_ps, _mm512_sub_ps,
};

/// A kind of vector.
///
/// # Safety
/// Every function needs a processor that has this kind; `load` and `store` need `LANES` numbers
/// at the pointer.
pub trait Lanes {
    /// A vector.
    type Vector: Copy;
    /// Numbers in a vector.
    const LANES: usize;

    unsafe fn splat(number: f32) -> Self::Vector;
    unsafe fn load(from: *const f32) -> Self::Vector;
    unsafe fn store(to: *mut f32, vector: Self::Vector);
    unsafe fn add(left: Self::Vector, right: Self::Vector) -> Self::Vector;
    unsafe fn sub(left: Self::Vector, right: Self::Vector) -> Self::Vector;
    unsafe fn mul(left: Self::Vector, right: Self::Vector) -> Self::Vector;
    /// `left * right + more`, rounded once.
    unsafe fn mul_add(left: Self::Vector, right: Self::Vector, more: Self::Vector) -> Self::Vector;
    /// The larger; `right` where one is no number.
    unsafe fn max(left: Self::Vector, right: Self::Vector) -> Self::Vector;
    /// 2^n of whole numbers n above -127, and 0 of -127, in the lowest bits of each lane.
    unsafe fn power_of_two(bits: Self::Vector) -> Self::Vector;
}

/// The exponent of 1.0, which stands above the 23 bits of the fraction.
const EXPONENT_OF_ONE: i32 = 127;

macro_rules! lanes {
    (
        $(#[$doc:meta])* $name:ident, $vector:ty, $lanes:literal, $splat:ident, $load:ident,
        $store:ident, $add:ident, $sub:ident, $mul:ident, $mul_add:ident, $max:ident,
        $bits:ident, $numbers:ident, $add_bits:ident, $splat_bits:ident, $shift:ident
    ) => {
        $(#[$doc])*
        pub struct $name;

        // SAFETY: of each function, what the trait asks of its caller.
        impl Lanes for $name {
            type Vector = $vector;
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn splat(number: f32) -> $vector {
                unsafe { $splat(number) }
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> $vector {
                unsafe { $load(from) }
            }
            #[inline(always)]
            unsafe fn store(to: *mut f32, vector: $vector) {
                unsafe { $store(to, vector) }
            }
            #[inline(always)]
            unsafe fn add(left: $vector, right: $vector) -> $vector {
                unsafe { $add(left, right) }
            }
            #[inline(always)]
            unsafe fn sub(left: $vector, right: $vector) -> $vector {
                unsafe { $sub(left, right) }
            }
            #[inline(always)]
            unsafe fn mul(left: $vector, right: $vector) -> $vector {
                unsafe { $mul(left, right) }
            }
            #[inline(always)]
            unsafe fn mul_add(left: $vector, right: $vector, more: $vector) -> $vector {
                unsafe { $mul_add(left, right, more) }
            }
            #[inline(always)]
            unsafe fn max(left: $vector, right: $vector) -> $vector {
                unsafe { $max(left, right) }
            }
            #[inline(always)]
            unsafe fn power_of_two(bits: $vector) -> $vector {
                unsafe {
                    let exponent = $add_bits($bits(bits), $splat_bits(EXPONENT_OF_ONE));
                    $numbers($shift::<23>(exponent))
                }
            }
        }
    };
}

lanes!(
    /// 16 numbers, in AVX-512.
    Avx512, __m512, 16, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps,
    _mm512_sub_ps, _mm512_mul_ps, _mm512_fmadd_ps, _mm512_max_ps, _mm512_castps_si512,
    _mm512_castsi512_ps, _mm512_add_epi32, _mm512_set1_epi32, _mm512_slli_epi32
);

lanes!(
    /// 8 numbers, in AVX2 with FMA.
    Avx2, __m256, 8, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps,
    _mm256_sub_ps, _mm256_mul_ps, _mm256_fmadd_ps, _mm256_max_ps, _mm256_castps_si256,
    _mm256_castsi256_ps, _mm256_add_epi32, _mm256_set1_epi32, _mm256_slli_epi32
);

/// e to the power of each number, none above 0: within 2e-7 of it, 0 below -88; NaN of NaN.
///
/// The same calculation as the sampler's, fused.
#[inline(always)]
pub unsafe fn exp<L: Lanes>(numbers: L::Vector) -> L::Vector {
    /// -127 times the logarithm of 2: of this and less the power of two is 0.
    const LOWEST: f32 = -88.029_69;
    /// Added to a small number it leaves the nearest integer in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    /// The logarithm of 2, in a short part and the rest.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    /// 1 / k!, from k = 6 down.
    const TAYLOR: [f32; 7] = [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ];
    // SAFETY: what the caller vouches for.
    unsafe {
        let numbers = L::max(L::splat(LOWEST), numbers);
        let shifted = L::mul_add(numbers, L::splat(std::f32::consts::LOG2_E), L::splat(ROUND));
        let power = L::sub(shifted, L::splat(ROUND));
        let rest = L::mul_add(power, L::splat(-LN_2[0]), numbers);
        let rest = L::mul_add(power, L::splat(-LN_2[1]), rest);
        let mut of_rest = L::splat(1.0 / 5040.0);
        for factor in TAYLOR {
            of_rest = L::mul_add(of_rest, rest, L::splat(factor));
        }
        L::mul(of_rest, L::power_of_two(shifted))
    }
}

/// Has the processor fetch `count` numbers, which need not be there.
#[inline(always)]
pub fn prefetch(from: *const f32, count: usize) {
    const LINE: usize = 64 / size_of::<f32>();
    for at in (0..count).step_by(LINE) {
        // SAFETY: a hint, without effect where there is no such memory.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(at).cast()) };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[target_feature(enable = "avx2,fma")]
    fn exp_of(x: f32) -> f32 {
        let mut results = [0.0; Avx2::LANES];
        // SAFETY: there are as many numbers as lanes.
        unsafe { Avx2::store(results.as_mut_ptr(), exp::<Avx2>(Avx2::splat(x))) };
        results[0]
    }

    fn computed(x: f32) -> Option<f32> {
        let able = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        // SAFETY: the processor is able to.
        able.then(|| unsafe { exp_of(x) })
    }

    proptest! {
        #[test]
        fn exp_is_the_exponential(x in -87.0_f32..=0.0) {
            if let Some(found) = computed(x) {
                prop_assert!((f64::from(found) / f64::from(x).exp() - 1.0).abs() < 2e-7);
            }
        }
    }

    #[test]
    fn exp_ends_at_zero() {
        for (x, expected) in [
            (0.0, 1.0),
            (-89.0, 0.0),
            (f32::MIN, 0.0),
            (f32::NEG_INFINITY, 0.0),
        ] {
            assert!(computed(x).is_none_or(|found| found == expected), "{x}");
        }
        assert!(computed(f32::NAN).is_none_or(f32::is_nan));
    }
}
