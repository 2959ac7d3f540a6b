//! Powers for highlights: exact in single precision, and eight at a time.
//!
//! A highlight is the power of a cosine, computed in double precision and then rounded to single.
//! The vector arithmetic here is off by less than [`SLACK`], relatively. If both ends of that
//! interval round to the same single, so does the double that the library's `pow` would give
//! (A. Ziv, "Fast evaluation of elementary mathematical functions with correctly rounded last
//! bit", ACM TOMS 17(3), 1991); otherwise, in about one case of 30 000, the library is asked.

use super::simd::{ALL, Doubles, LANES, Mask, Simd, Singles};

/// Bound on the relative error of [`approximate`], 2⁻⁴⁰.
///
/// The logarithm's relative error is below 2⁻⁴⁹: its series is cut at 2⁻⁵⁵, and some ten
/// roundings of 2⁻⁵³ follow. Times an exponent of at most 128 it becomes an absolute error below
/// 2⁻⁴². The exponential series is cut at 2⁻⁵². The tests measure some 2⁻⁴⁶ in all.
const SLACK: f64 = 1.0 / (1_u64 << 40) as f64;

/// Binary logarithms between which a single is a normal number and finite, with some room.
const NORMAL: [f64; 2] = [-125.0, 127.0];

/// Below this binary logarithm a power rounds to 0 in single precision; that is −150, with room.
const VANISHING: f64 = -151.0;

/// `base` to the power of `exponent`, rounded to single precision, for lanes whose bit is set in
/// `wanted`; others mean nothing. Bases are not negative, but may be NaN.
#[inline(always)]
pub(super) fn powers<S: Simd>(simd: S, base: S::D, exponent: S::D, wanted: u32) -> S::S {
    let (power, logarithm) = approximate(simd, base, exponent);
    let low = (power * simd.splat(1.0 - SLACK)).to_singles();
    let high = (power * simd.splat(1.0 + SLACK)).to_singles();
    let [least, most] = [simd.splat(NORMAL[0]), simd.splat(NORMAL[1])];
    let ordinary = simd.splat(f64::MIN_POSITIVE).at_most(base) & base.less(simd.splat(2.0));
    let normal = ordinary & least.less(logarithm) & logarithm.less(most);
    let vanishes = ordinary & logarithm.less(simd.splat(VANISHING));
    let sure = normal.bits() & low.equal(high).bits() | vanishes.bits();
    let result = S::S::select(vanishes.narrow(), simd.splat_single(0.0), low);
    let unsure = wanted & ALL & !sure;
    if unsure == 0 {
        return result;
    }
    ask_library(simd, base, exponent, unsure, result)
}

/// About the power, and about its binary logarithm.
#[inline(always)]
fn approximate<S: Simd>(simd: S, base: S::D, exponent: S::D) -> (S::D, S::D) {
    let one = simd.splat(1.0);
    let (mantissa, whole) = base.split();
    let large = simd.splat(std::f64::consts::SQRT_2).less(mantissa);
    let mantissa = S::D::select(large, mantissa * simd.splat(0.5), mantissa);
    let whole = S::D::select(large, whole + one, whole);
    // ln m = 2 artanh f with f = (m - 1)/(m + 1), and |f| < 0.172.
    let f = (mantissa - one) / (mantissa + one);
    let square = f * f;
    let mut series = simd.splat(1.0 / 19.0);
    for divisor in [17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        series = series * square + simd.splat(1.0 / divisor);
    }
    let binary = simd.splat(2.0 * std::f64::consts::LOG2_E) * (f * series) + whole;
    let logarithm = exponent * binary;

    let whole = (logarithm + simd.splat(0.5)).floor();
    let rest = (logarithm - whole) * simd.splat(std::f64::consts::LN_2);
    // Coefficients of the exponential's Taylor series, from 1/12! up; |rest| < 0.347.
    let mut series = simd.splat(1.0 / 479_001_600.0);
    for factorial in [
        39_916_800.0,
        3_628_800.0,
        362_880.0,
        40_320.0,
        5_040.0,
        720.0,
        120.0,
        24.0,
        6.0,
        2.0,
        1.0,
        1.0,
    ] {
        series = series * rest + simd.splat(1.0 / factorial);
    }
    (series * whole.power_of_two(), logarithm)
}

#[cold]
#[inline(never)]
fn ask_library<S: Simd>(simd: S, base: S::D, exponent: S::D, lanes: u32, powers: S::S) -> S::S {
    let (base, exponent, mut powers) =
        (base.to_array(), exponent.to_array(), Singles::to_array(powers));
    for lane in (0..LANES).filter(|lane| lanes >> lane & 1 != 0) {
        #[expect(clippy::cast_possible_truncation, reason = "rounding is what is wanted")]
        let power = power(base[lane], exponent[lane]) as f32;
        powers[lane] = power;
    }
    simd.load_single(&powers)
}

/// The power as Java's library defines it: unlike the C standard it knows none for 1 to ±infinity.
#[expect(clippy::float_cmp, reason = "only 1 itself is special")]
pub(super) fn power(base: f64, exponent: f64) -> f64 {
    if base == 1.0 && exponent.is_infinite() { f64::NAN } else { base.powf(exponent) }
}

#[cfg(test)]
mod tests;
