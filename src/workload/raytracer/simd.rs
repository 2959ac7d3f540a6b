//! Eight numbers at a time.
//!
//! The tracer is written once, against these traits, and compiled for each instruction set. All
//! implementations round every operation alike (IEEE 754, nothing fused), so which one runs can
//! be told from the clock only.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};

use crate::workload::Instructions;

/// How many lanes a vector has.
pub(super) const LANES: usize = 8;

/// One bit per lane, all of them set.
pub(super) const ALL: u32 = 0xff;

/// An instruction set. Having a value of the type proves that this processor has it.
pub(super) trait Simd: Copy + Send + Sync {
    /// Eight numbers in double precision.
    type D: Doubles<M = Self::M, S = Self::S>;
    /// Eight numbers in single precision.
    type S: Singles<M = Self::N, D = Self::D>;
    /// Eight truths about doubles.
    type M: Mask<Narrow = Self::N>;
    /// Eight truths about singles.
    type N: Mask;

    /// Whether half the precision takes half the time, so that a glance in it pays before an exact
    /// test: with vectors of 256 bits, and where those of 512 are worked on in two halves, and
    /// products are added at once.
    const GLANCES: bool;

    /// Does a task compiled for this instruction set.
    fn run<T: Task>(self, task: T) -> T::Output;

    fn splat(self, value: f64) -> Self::D;
    fn load(self, values: &[f64; LANES]) -> Self::D;
    fn splat_single(self, value: f32) -> Self::S;
    fn load_single(self, values: &[f32; LANES]) -> Self::S;
    /// A mask from one bit per lane, the first one lowest.
    fn mask(self, bits: u32) -> Self::M;
}

/// Eight truths.
pub(super) trait Mask:
    Copy + BitAnd<Output = Self> + BitOr<Output = Self> + Not<Output = Self>
{
    /// The same truths for the other precision.
    type Narrow;

    /// One bit per lane, the first one lowest.
    fn bits(self) -> u32;
    fn narrow(self) -> Self::Narrow;
}

/// Arithmetic lane by lane.
pub(super) trait Arithmetic:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
}

/// Eight numbers in double precision.
pub(super) trait Doubles: Arithmetic + Neg<Output = Self> {
    type M;
    type S;

    fn to_array(self) -> [f64; LANES];
    /// Rounds to single precision.
    fn to_singles(self) -> Self::S;
    /// This times `factor` plus `addend`, rounded once or twice as is fastest: for what is bounded,
    /// not promised to the bit.
    fn about_mul_add(self, factor: Self, addend: Self) -> Self;
    fn sqrt(self) -> Self;
    fn floor(self) -> Self;
    /// Rounds to a whole number towards zero.
    fn trunc(self) -> Self;
    /// The larger of +0 and each number; NaN stays.
    fn positive(self) -> Self;
    /// Comparisons are false for NaN.
    fn less(self, other: Self) -> Self::M;
    fn at_most(self, other: Self) -> Self::M;
    /// `yes` where the mask is set, `no` elsewhere.
    fn select(mask: Self::M, yes: Self, no: Self) -> Self;
    /// For positive normal numbers: m and e with 1 ≤ m < 2 and m·2ᵉ the number.
    fn split(self) -> (Self, Self);
    /// Two to the power of each number, for whole numbers from −1022 to 1023.
    fn power_of_two(self) -> Self;
}

/// Eight numbers in single precision.
pub(super) trait Singles: Arithmetic {
    type D;
    type M;

    fn to_array(self) -> [f32; LANES];
    fn to_doubles(self) -> Self::D;
    /// As for [`Doubles`].
    fn about_mul_add(self, factor: Self, addend: Self) -> Self;
    /// The largest number, if none is NaN.
    fn largest(self) -> f32;
    /// Brings each number into 0..=1; NaN stays.
    fn clamp(self) -> Self;
    /// The smaller of two numbers, the second if one of them is NaN.
    fn min(self, other: Self) -> Self;
    /// The larger of two numbers, the second if one of them is NaN.
    fn max(self, other: Self) -> Self;
    /// Comparisons are false for NaN.
    fn less(self, other: Self) -> Self::M;
    fn at_most(self, other: Self) -> Self::M;
    fn equal(self, other: Self) -> Self::M;
    /// `yes` where the mask is set, `no` elsewhere.
    fn select(mask: Self::M, yes: Self, no: Self) -> Self;
}

/// A piece of work to be compiled for one instruction set.
///
/// The compiler uses optional instructions only in functions that are marked so, and in what is
/// inlined into them. Hence `work` and all that it calls must be `#[inline(always)]`, which
/// closures cannot be; [`each`] stands in for `std::array::from_fn`.
pub(super) trait Task {
    type Output;
    fn work(self) -> Self::Output;
}

/// An array of three, from an expression in the index: `each!(axis => a[axis] + b[axis])`.
macro_rules! each {
    ($index:ident => $value:expr) => {
        [
            {
                let $index = 0;
                $value
            },
            {
                let $index = 1;
                $value
            },
            {
                let $index = 2;
                $value
            },
        ]
    };
}
pub(super) use each;

/// Work that can be done with any instruction set.
pub(super) trait Kernel {
    type Output;
    fn run(self, simd: impl Simd) -> Self::Output;
}

/// Runs a kernel with these instructions, or with portable ones if the processor lacks them.
pub(super) fn dispatch<K: Kernel>(instructions: Instructions, kernel: K) -> K::Output {
    match instructions {
        Instructions::Portable => {}
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 => {
            if let Some(simd) = avx2::Avx2::detect() {
                return kernel.run(simd);
            }
        }
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 => {
            if let Some(simd) = avx512::Avx512::detect() {
                return kernel.run(simd);
            }
        }
    }
    kernel.run(portable::Portable)
}

#[cfg(test)]
mod tests;
