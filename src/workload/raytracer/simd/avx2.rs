//! Vectors of 256 bits.
#![expect(unsafe_code, reason = "intrinsics of optional instructions")]
// SAFETY, for every `unsafe` below: the intrinsics need AVX2 and FMA. Each function takes an
// `Avx2` or a vector that was made from one, and `detect` makes an `Avx2` only where both were
// detected.

#[cfg_attr(
    not(test),
    expect(clippy::wildcard_imports, reason = "the names say where they come from")
)]
use std::arch::x86_64::*;
use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};

use super::{Arithmetic, Doubles, LANES, Mask, Simd, Singles, Task};
use crate::workload::Instructions;

/// Proof that this processor has AVX2 and FMA.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx2(());

const TWO_TO_52: f64 = 4_503_599_627_370_496.0;

#[derive(Clone, Copy)]
pub(super) struct Wide64(__m256d, __m256d);

#[derive(Clone, Copy)]
pub(super) struct Wide32(__m256);

/// All bits of a lane set or none.
#[derive(Clone, Copy)]
pub(super) struct Truths64(__m256d, __m256d);

#[derive(Clone, Copy)]
pub(super) struct Truths32(__m256);

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        Instructions::Avx2.is_available().then_some(Self(()))
    }
}

#[target_feature(enable = "avx2,fma")]
fn with_avx2<T: Task>(task: T) -> T::Output {
    task.work()
}

impl Simd for Avx2 {
    type D = Wide64;
    type S = Wide32;
    type M = Truths64;
    type N = Truths32;

    const GLANCES: bool = true;

    #[inline(always)]
    fn run<T: Task>(self, task: T) -> T::Output {
        unsafe { with_avx2(task) }
    }

    #[inline(always)]
    fn splat(self, value: f64) -> Wide64 {
        let half = unsafe { _mm256_set1_pd(value) };
        Wide64(half, half)
    }

    #[inline(always)]
    fn load(self, values: &[f64; LANES]) -> Wide64 {
        // Both halves lie within the array.
        unsafe { Wide64(_mm256_loadu_pd(values.as_ptr()), _mm256_loadu_pd(values.as_ptr().add(4))) }
    }

    #[inline(always)]
    fn splat_single(self, value: f32) -> Wide32 {
        Wide32(unsafe { _mm256_set1_ps(value) })
    }

    #[inline(always)]
    fn load_single(self, values: &[f32; LANES]) -> Wide32 {
        Wide32(unsafe { _mm256_loadu_ps(values.as_ptr()) })
    }

    #[inline(always)]
    fn mask(self, bits: u32) -> Truths64 {
        unsafe {
            let bits = _mm256_set1_epi64x(i64::from(bits));
            let (low, high) = (_mm256_setr_epi64x(1, 2, 4, 8), _mm256_setr_epi64x(16, 32, 64, 128));
            let low = _mm256_cmpeq_epi64(_mm256_and_si256(bits, low), low);
            let high = _mm256_cmpeq_epi64(_mm256_and_si256(bits, high), high);
            Truths64(_mm256_castsi256_pd(low), _mm256_castsi256_pd(high))
        }
    }
}

impl Mask for Truths64 {
    type Narrow = Truths32;

    #[inline(always)]
    fn bits(self) -> u32 {
        unsafe {
            _mm256_movemask_pd(self.0).cast_unsigned()
                | _mm256_movemask_pd(self.1).cast_unsigned() << 4
        }
    }

    #[inline(always)]
    fn narrow(self) -> Truths32 {
        unsafe {
            let (low, high) = (_mm256_castpd_ps(self.0), _mm256_castpd_ps(self.1));
            // Lanes 0 1 4 5 | 2 3 6 7 after the first step.
            let mixed = _mm256_shuffle_ps::<0b10_00_10_00>(low, high);
            let ordered = _mm256_permute4x64_pd::<0b11_01_10_00>(_mm256_castps_pd(mixed));
            Truths32(_mm256_castpd_ps(ordered))
        }
    }
}

impl Mask for Truths32 {
    type Narrow = Self;

    #[inline(always)]
    fn bits(self) -> u32 {
        unsafe { _mm256_movemask_ps(self.0).cast_unsigned() }
    }

    #[inline(always)]
    fn narrow(self) -> Self {
        self
    }
}

macro_rules! lane_by_lane {
    ($operator:ident, $method:ident, $double:ident, $single:ident, $wide:ident, $narrow:ident) => {
        impl $operator for $wide {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                unsafe { Self($double(self.0, other.0), $double(self.1, other.1)) }
            }
        }

        impl $operator for $narrow {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self(unsafe { $single(self.0, other.0) })
            }
        }
    };
}

lane_by_lane!(Add, add, _mm256_add_pd, _mm256_add_ps, Wide64, Wide32);
lane_by_lane!(Sub, sub, _mm256_sub_pd, _mm256_sub_ps, Wide64, Wide32);
lane_by_lane!(Mul, mul, _mm256_mul_pd, _mm256_mul_ps, Wide64, Wide32);
lane_by_lane!(Div, div, _mm256_div_pd, _mm256_div_ps, Wide64, Wide32);
lane_by_lane!(BitAnd, bitand, _mm256_and_pd, _mm256_and_ps, Truths64, Truths32);
lane_by_lane!(BitOr, bitor, _mm256_or_pd, _mm256_or_ps, Truths64, Truths32);

impl Neg for Wide64 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        unsafe {
            let sign = _mm256_set1_pd(-0.0);
            Self(_mm256_xor_pd(self.0, sign), _mm256_xor_pd(self.1, sign))
        }
    }
}

impl Not for Truths64 {
    type Output = Self;
    #[inline(always)]
    fn not(self) -> Self {
        unsafe {
            let all = _mm256_castsi256_pd(_mm256_set1_epi64x(-1));
            Self(_mm256_xor_pd(self.0, all), _mm256_xor_pd(self.1, all))
        }
    }
}

impl Not for Truths32 {
    type Output = Self;
    #[inline(always)]
    fn not(self) -> Self {
        unsafe { Self(_mm256_xor_ps(self.0, _mm256_castsi256_ps(_mm256_set1_epi64x(-1)))) }
    }
}

impl Arithmetic for Wide64 {}
impl Arithmetic for Wide32 {}

impl Doubles for Wide64 {
    type M = Truths64;
    type S = Wide32;

    #[inline(always)]
    fn to_array(self) -> [f64; LANES] {
        let mut array = [0.0; LANES];
        // Both halves lie within the array.
        unsafe {
            _mm256_storeu_pd(array.as_mut_ptr(), self.0);
            _mm256_storeu_pd(array.as_mut_ptr().add(4), self.1);
        }
        array
    }

    #[inline(always)]
    fn to_singles(self) -> Wide32 {
        Wide32(unsafe { _mm256_set_m128(_mm256_cvtpd_ps(self.1), _mm256_cvtpd_ps(self.0)) })
    }

    #[inline(always)]
    fn about_mul_add(self, factor: Self, addend: Self) -> Self {
        unsafe {
            Self(
                _mm256_fmadd_pd(self.0, factor.0, addend.0),
                _mm256_fmadd_pd(self.1, factor.1, addend.1),
            )
        }
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        unsafe { Self(_mm256_sqrt_pd(self.0), _mm256_sqrt_pd(self.1)) }
    }

    #[inline(always)]
    fn floor(self) -> Self {
        unsafe { Self(_mm256_floor_pd(self.0), _mm256_floor_pd(self.1)) }
    }

    #[inline(always)]
    fn trunc(self) -> Self {
        const TO_ZERO: i32 = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
        unsafe { Self(_mm256_round_pd::<TO_ZERO>(self.0), _mm256_round_pd::<TO_ZERO>(self.1)) }
    }

    #[inline(always)]
    fn positive(self) -> Self {
        unsafe {
            let zero = _mm256_setzero_pd();
            // `max` gives its second operand if that is NaN or both are zeros; adding +0 then
            // turns a negative zero into a positive one.
            let (low, high) = (_mm256_max_pd(zero, self.0), _mm256_max_pd(zero, self.1));
            Self(_mm256_add_pd(low, zero), _mm256_add_pd(high, zero))
        }
    }

    #[inline(always)]
    fn less(self, other: Self) -> Truths64 {
        unsafe {
            Truths64(
                _mm256_cmp_pd::<_CMP_LT_OQ>(self.0, other.0),
                _mm256_cmp_pd::<_CMP_LT_OQ>(self.1, other.1),
            )
        }
    }

    #[inline(always)]
    fn at_most(self, other: Self) -> Truths64 {
        unsafe {
            Truths64(
                _mm256_cmp_pd::<_CMP_LE_OQ>(self.0, other.0),
                _mm256_cmp_pd::<_CMP_LE_OQ>(self.1, other.1),
            )
        }
    }

    #[inline(always)]
    fn select(mask: Truths64, yes: Self, no: Self) -> Self {
        unsafe {
            Self(_mm256_blendv_pd(no.0, yes.0, mask.0), _mm256_blendv_pd(no.1, yes.1, mask.1))
        }
    }

    #[inline(always)]
    fn split(self) -> (Self, Self) {
        unsafe {
            let fraction = _mm256_castsi256_pd(_mm256_set1_epi64x(0x000f_ffff_ffff_ffff));
            let fractions = (_mm256_and_pd(self.0, fraction), _mm256_and_pd(self.1, fraction));
            let one = _mm256_set1_pd(1.0);
            let low = _mm256_srli_epi64::<52>(_mm256_castpd_si256(self.0));
            let high = _mm256_srli_epi64::<52>(_mm256_castpd_si256(self.1));
            // A whole number set into the low bits of 2^52 as a double is added to it.
            let magic = _mm256_set1_pd(TWO_TO_52);
            let low = _mm256_or_pd(_mm256_castsi256_pd(low), magic);
            let high = _mm256_or_pd(_mm256_castsi256_pd(high), magic);
            let bias = _mm256_set1_pd(TWO_TO_52 + 1023.0);
            (
                Self(_mm256_or_pd(fractions.0, one), _mm256_or_pd(fractions.1, one)),
                Self(_mm256_sub_pd(low, bias), _mm256_sub_pd(high, bias)),
            )
        }
    }

    #[inline(always)]
    fn power_of_two(self) -> Self {
        unsafe {
            // The sum has the biased exponent in its low bits.
            let magic = _mm256_set1_pd(TWO_TO_52 + 1023.0);
            let low = _mm256_castpd_si256(_mm256_add_pd(self.0, magic));
            let high = _mm256_castpd_si256(_mm256_add_pd(self.1, magic));
            Self(
                _mm256_castsi256_pd(_mm256_slli_epi64::<52>(low)),
                _mm256_castsi256_pd(_mm256_slli_epi64::<52>(high)),
            )
        }
    }
}

impl Singles for Wide32 {
    type D = Wide64;
    type M = Truths32;

    #[inline(always)]
    fn to_array(self) -> [f32; LANES] {
        let mut array = [0.0; LANES];
        unsafe { _mm256_storeu_ps(array.as_mut_ptr(), self.0) };
        array
    }

    #[inline(always)]
    fn about_mul_add(self, factor: Self, addend: Self) -> Self {
        Self(unsafe { _mm256_fmadd_ps(self.0, factor.0, addend.0) })
    }

    #[inline(always)]
    fn to_doubles(self) -> Wide64 {
        unsafe {
            let (low, high) = (_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            Wide64(_mm256_cvtps_pd(low), _mm256_cvtps_pd(high))
        }
    }

    #[inline(always)]
    fn largest(self) -> f32 {
        unsafe {
            let (low, high) = (_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let four = _mm_max_ps(low, high);
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    fn clamp(self) -> Self {
        unsafe {
            // The second operand of `min` and `max` passes if it is NaN.
            let capped = _mm256_min_ps(_mm256_set1_ps(1.0), self.0);
            Self(_mm256_max_ps(_mm256_setzero_ps(), capped))
        }
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self(unsafe { _mm256_min_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(unsafe { _mm256_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn less(self, other: Self) -> Truths32 {
        Truths32(unsafe { _mm256_cmp_ps::<_CMP_LT_OQ>(self.0, other.0) })
    }

    #[inline(always)]
    fn at_most(self, other: Self) -> Truths32 {
        Truths32(unsafe { _mm256_cmp_ps::<_CMP_LE_OQ>(self.0, other.0) })
    }

    #[inline(always)]
    fn equal(self, other: Self) -> Truths32 {
        Truths32(unsafe { _mm256_cmp_ps::<_CMP_EQ_OQ>(self.0, other.0) })
    }

    #[inline(always)]
    fn select(mask: Truths32, yes: Self, no: Self) -> Self {
        Self(unsafe { _mm256_blendv_ps(no.0, yes.0, mask.0) })
    }
}
