//! Vectors of 512 bits.
#![expect(unsafe_code, reason = "intrinsics of optional instructions")]
// SAFETY, for every `unsafe` below: the intrinsics need AVX-512 F, VL and DQ, and FMA. Each function takes
// an `Avx512` or a vector that was made from one, and `detect` makes an `Avx512` only where these
// were detected.

#[cfg_attr(
    not(test),
    expect(clippy::wildcard_imports, reason = "the names say where they come from")
)]
use std::arch::x86_64::*;
use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};

use super::{ALL, Arithmetic, Doubles, LANES, Mask, Simd, Singles, Task};
use crate::workload::Instructions;

/// Proof that this processor has AVX-512 F, VL and DQ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512(());

#[derive(Clone, Copy)]
pub(super) struct Wide64(__m512d);

#[derive(Clone, Copy)]
pub(super) struct Wide32(__m256);

/// One bit per lane.
#[derive(Clone, Copy)]
pub(super) struct Truths(__mmask8);

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        Instructions::Avx512.is_available().then_some(Self(()))
    }
}

#[target_feature(enable = "avx512f,avx512vl,avx512dq,fma")]
fn with_avx512<T: Task>(task: T) -> T::Output {
    task.work()
}

impl Simd for Avx512 {
    type D = Wide64;
    type S = Wide32;
    type M = Truths;
    type N = Truths;

    const GLANCES: bool = true;

    #[inline(always)]
    fn run<T: Task>(self, task: T) -> T::Output {
        unsafe { with_avx512(task) }
    }

    #[inline(always)]
    fn splat(self, value: f64) -> Wide64 {
        Wide64(unsafe { _mm512_set1_pd(value) })
    }

    #[inline(always)]
    fn load(self, values: &[f64; LANES]) -> Wide64 {
        Wide64(unsafe { _mm512_loadu_pd(values.as_ptr()) })
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
    #[expect(clippy::cast_possible_truncation, reason = "there are eight lanes")]
    fn mask(self, bits: u32) -> Truths {
        Truths(bits as u8)
    }
}

impl Mask for Truths {
    type Narrow = Self;

    #[inline(always)]
    fn bits(self) -> u32 {
        u32::from(self.0) & ALL
    }

    #[inline(always)]
    fn narrow(self) -> Self {
        self
    }
}

impl BitAnd for Truths {
    type Output = Self;
    #[inline(always)]
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOr for Truths {
    type Output = Self;
    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Not for Truths {
    type Output = Self;
    #[inline(always)]
    fn not(self) -> Self {
        Self(!self.0)
    }
}

macro_rules! lane_by_lane {
    ($operator:ident, $method:ident, $double:ident, $single:ident) => {
        impl $operator for Wide64 {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self(unsafe { $double(self.0, other.0) })
            }
        }

        impl $operator for Wide32 {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self(unsafe { $single(self.0, other.0) })
            }
        }
    };
}

lane_by_lane!(Add, add, _mm512_add_pd, _mm256_add_ps);
lane_by_lane!(Sub, sub, _mm512_sub_pd, _mm256_sub_ps);
lane_by_lane!(Mul, mul, _mm512_mul_pd, _mm256_mul_ps);
lane_by_lane!(Div, div, _mm512_div_pd, _mm256_div_ps);

impl Neg for Wide64 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(unsafe { _mm512_xor_pd(self.0, _mm512_set1_pd(-0.0)) })
    }
}

impl Arithmetic for Wide64 {}
impl Arithmetic for Wide32 {}

impl Doubles for Wide64 {
    type M = Truths;
    type S = Wide32;

    #[inline(always)]
    fn to_array(self) -> [f64; LANES] {
        let mut array = [0.0; LANES];
        unsafe { _mm512_storeu_pd(array.as_mut_ptr(), self.0) };
        array
    }

    #[inline(always)]
    fn to_singles(self) -> Wide32 {
        Wide32(unsafe { _mm512_cvtpd_ps(self.0) })
    }

    #[inline(always)]
    fn about_mul_add(self, factor: Self, addend: Self) -> Self {
        Self(unsafe { _mm512_fmadd_pd(self.0, factor.0, addend.0) })
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(unsafe { _mm512_sqrt_pd(self.0) })
    }

    #[inline(always)]
    fn floor(self) -> Self {
        const DOWN: i32 = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
        Self(unsafe { _mm512_roundscale_pd::<DOWN>(self.0) })
    }

    #[inline(always)]
    fn trunc(self) -> Self {
        const TO_ZERO: i32 = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
        Self(unsafe { _mm512_roundscale_pd::<TO_ZERO>(self.0) })
    }

    #[inline(always)]
    fn positive(self) -> Self {
        unsafe {
            let zero = _mm512_setzero_pd();
            // `max` gives its second operand if that is NaN or both are zeros; adding +0 then
            // turns a negative zero into a positive one.
            Self(_mm512_add_pd(_mm512_max_pd(zero, self.0), zero))
        }
    }

    #[inline(always)]
    fn less(self, other: Self) -> Truths {
        Truths(unsafe { _mm512_cmp_pd_mask::<_CMP_LT_OQ>(self.0, other.0) })
    }

    #[inline(always)]
    fn at_most(self, other: Self) -> Truths {
        Truths(unsafe { _mm512_cmp_pd_mask::<_CMP_LE_OQ>(self.0, other.0) })
    }

    #[inline(always)]
    fn select(mask: Truths, yes: Self, no: Self) -> Self {
        Self(unsafe { _mm512_mask_blend_pd(mask.0, no.0, yes.0) })
    }

    #[inline(always)]
    fn split(self) -> (Self, Self) {
        unsafe {
            let bits = _mm512_castpd_si512(self.0);
            let fraction = _mm512_and_si512(bits, _mm512_set1_epi64(0x000f_ffff_ffff_ffff));
            let one = _mm512_castpd_si512(_mm512_set1_pd(1.0));
            let exponent = _mm512_cvtepi64_pd(_mm512_srli_epi64::<52>(bits));
            (
                Self(_mm512_castsi512_pd(_mm512_or_si512(fraction, one))),
                Self(_mm512_sub_pd(exponent, _mm512_set1_pd(1023.0))),
            )
        }
    }

    #[inline(always)]
    fn power_of_two(self) -> Self {
        unsafe {
            let whole = _mm512_cvtpd_epi64(self.0);
            let biased = _mm512_add_epi64(whole, _mm512_set1_epi64(1023));
            Self(_mm512_castsi512_pd(_mm512_slli_epi64::<52>(biased)))
        }
    }
}

impl Singles for Wide32 {
    type D = Wide64;
    type M = Truths;

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
        Wide64(unsafe { _mm512_cvtps_pd(self.0) })
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
    fn less(self, other: Self) -> Truths {
        Truths(unsafe { _mm256_cmp_ps_mask::<_CMP_LT_OQ>(self.0, other.0) })
    }

    #[inline(always)]
    fn at_most(self, other: Self) -> Truths {
        Truths(unsafe { _mm256_cmp_ps_mask::<_CMP_LE_OQ>(self.0, other.0) })
    }

    #[inline(always)]
    fn equal(self, other: Self) -> Truths {
        Truths(unsafe { _mm256_cmp_ps_mask::<_CMP_EQ_OQ>(self.0, other.0) })
    }

    #[inline(always)]
    fn select(mask: Truths, yes: Self, no: Self) -> Self {
        Self(unsafe { _mm256_mask_blend_ps(mask.0, no.0, yes.0) })
    }
}
