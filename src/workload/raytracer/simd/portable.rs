//! Plain arrays: right everywhere, and as fast as the compiler makes them.

use std::array::from_fn;
use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};

use super::{Arithmetic, Doubles, LANES, Mask, Simd, Singles, Task};

/// Whatever instructions every processor of this architecture has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portable;

#[derive(Clone, Copy)]
pub(super) struct Wide<T>([T; LANES]);

/// All bits of a lane set or none, which compiles to vector compares and blends.
#[derive(Clone, Copy)]
pub(super) struct Truths([u64; LANES]);

impl Simd for Portable {
    type D = Wide<f64>;
    type S = Wide<f32>;
    type M = Truths;
    type N = Truths;

    const GLANCES: bool = false;

    #[inline(always)]
    fn run<T: Task>(self, task: T) -> T::Output {
        task.work()
    }

    #[inline(always)]
    fn splat(self, value: f64) -> Wide<f64> {
        Wide([value; LANES])
    }

    #[inline(always)]
    fn load(self, values: &[f64; LANES]) -> Wide<f64> {
        Wide(*values)
    }

    #[inline(always)]
    fn splat_single(self, value: f32) -> Wide<f32> {
        Wide([value; LANES])
    }

    #[inline(always)]
    fn load_single(self, values: &[f32; LANES]) -> Wide<f32> {
        Wide(*values)
    }

    #[inline(always)]
    fn mask(self, bits: u32) -> Truths {
        Truths::new(|lane| bits >> lane & 1 != 0)
    }
}

impl Truths {
    #[inline(always)]
    fn new(truth: impl Fn(usize) -> bool) -> Self {
        Self(from_fn(|lane| u64::from(truth(lane)).wrapping_neg()))
    }
}

impl Mask for Truths {
    type Narrow = Self;

    #[inline(always)]
    fn bits(self) -> u32 {
        let mut bits = 0;
        for (lane, truth) in self.0.iter().enumerate() {
            bits |= u32::from(*truth != 0) << lane;
        }
        bits
    }

    #[inline(always)]
    fn narrow(self) -> Self {
        self
    }
}

macro_rules! lane_by_lane {
    ($operator:ident, $method:ident, $symbol:tt) => {
        impl<T: Copy + $operator<Output = T>> $operator for Wide<T> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self(from_fn(|lane| self.0[lane] $symbol other.0[lane]))
            }
        }
    };
}

lane_by_lane!(Add, add, +);
lane_by_lane!(Sub, sub, -);
lane_by_lane!(Mul, mul, *);
lane_by_lane!(Div, div, /);

impl Neg for Wide<f64> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(self.0.map(|value| -value))
    }
}

impl BitAnd for Truths {
    type Output = Self;
    #[inline(always)]
    fn bitand(self, other: Self) -> Self {
        Self(from_fn(|lane| self.0[lane] & other.0[lane]))
    }
}

impl BitOr for Truths {
    type Output = Self;
    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        Self(from_fn(|lane| self.0[lane] | other.0[lane]))
    }
}

impl Not for Truths {
    type Output = Self;
    #[inline(always)]
    fn not(self) -> Self {
        Self(self.0.map(|truth| !truth))
    }
}

impl Arithmetic for Wide<f64> {}
impl Arithmetic for Wide<f32> {}

impl Doubles for Wide<f64> {
    type M = Truths;
    type S = Wide<f32>;

    #[inline(always)]
    fn to_array(self) -> [f64; LANES] {
        self.0
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "rounding is what is wanted")]
    fn to_singles(self) -> Wide<f32> {
        Wide(self.0.map(|value| value as f32))
    }

    #[inline(always)]
    fn about_mul_add(self, factor: Self, addend: Self) -> Self {
        self * factor + addend
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(self.0.map(f64::sqrt))
    }

    #[inline(always)]
    fn floor(self) -> Self {
        Self(self.0.map(f64::floor))
    }

    #[inline(always)]
    fn trunc(self) -> Self {
        Self(self.0.map(f64::trunc))
    }

    #[inline(always)]
    fn positive(self) -> Self {
        Self(self.0.map(|value| if value <= 0.0 { 0.0 } else { value }))
    }

    #[inline(always)]
    fn less(self, other: Self) -> Truths {
        Truths::new(|lane| self.0[lane] < other.0[lane])
    }

    #[inline(always)]
    fn at_most(self, other: Self) -> Truths {
        Truths::new(|lane| self.0[lane] <= other.0[lane])
    }

    #[inline(always)]
    fn select(mask: Truths, yes: Self, no: Self) -> Self {
        Self(from_fn(|lane| if mask.0[lane] == 0 { no.0[lane] } else { yes.0[lane] }))
    }

    #[inline(always)]
    fn split(self) -> (Self, Self) {
        let mantissa = |value: f64| {
            f64::from_bits(value.to_bits() & 0x000f_ffff_ffff_ffff | 0x3ff0_0000_0000_0000)
        };
        let exponent = |value: f64| (value.to_bits() >> 52) as f64 - 1023.0;
        (Self(self.0.map(mantissa)), Self(self.0.map(exponent)))
    }

    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "callers pass whole numbers from -1022 to 1023; others give useless numbers"
    )]
    fn power_of_two(self) -> Self {
        Self(self.0.map(|value| f64::from_bits(((value as i64).wrapping_add(1023) as u64) << 52)))
    }
}

impl Singles for Wide<f32> {
    type D = Wide<f64>;
    type M = Truths;

    #[inline(always)]
    fn to_array(self) -> [f32; LANES] {
        self.0
    }

    #[inline(always)]
    fn about_mul_add(self, factor: Self, addend: Self) -> Self {
        self * factor + addend
    }

    #[inline(always)]
    fn to_doubles(self) -> Wide<f64> {
        Wide(self.0.map(f64::from))
    }

    #[inline(always)]
    fn largest(self) -> f32 {
        self.0.into_iter().fold(self.0[0], f32::max)
    }

    #[inline(always)]
    fn clamp(self) -> Self {
        Self(self.0.map(|value| value.clamp(0.0, 1.0)))
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self(from_fn(
            |lane| {
                if self.0[lane] < other.0[lane] { self.0[lane] } else { other.0[lane] }
            },
        ))
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(from_fn(
            |lane| {
                if self.0[lane] > other.0[lane] { self.0[lane] } else { other.0[lane] }
            },
        ))
    }

    #[inline(always)]
    fn less(self, other: Self) -> Truths {
        Truths::new(|lane| self.0[lane] < other.0[lane])
    }

    #[inline(always)]
    fn at_most(self, other: Self) -> Truths {
        Truths::new(|lane| self.0[lane] <= other.0[lane])
    }

    #[inline(always)]
    #[expect(clippy::float_cmp, reason = "equality to the bit is the question")]
    fn equal(self, other: Self) -> Truths {
        Truths::new(|lane| self.0[lane] == other.0[lane])
    }

    #[inline(always)]
    fn select(mask: Truths, yes: Self, no: Self) -> Self {
        Self(from_fn(|lane| if mask.0[lane] == 0 { no.0[lane] } else { yes.0[lane] }))
    }
}
