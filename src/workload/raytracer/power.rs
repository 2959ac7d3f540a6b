//! Powers for highlights: exact in single precision, and eight at a time.
//!
//! A highlight is the power of a cosine, computed in double precision and then rounded to single.
//! The vector arithmetic here is off by less than [`SLACK`], relatively. If both ends of that
//! interval round to the same single, so does the double that the library's `pow` would give
//! (A. Ziv, "Fast evaluation of elementary mathematical functions with correctly rounded last
//! bit", ACM TOMS 17(3), 1991); otherwise, in about one case of 3 000, the library is asked.

use super::simd::{ALL, Doubles, LANES, Mask, Simd, Singles};

/// Bound on the relative error of [`approximate`], 2⁻³⁶.
///
/// The logarithm's series is cut at 2⁻⁴⁴·⁸ of it; times an exponent that makes it at most 128,
/// that is an absolute error below 2⁻³⁷·⁸, or 2⁻³⁸·³ of the power. The exponential's series is cut
/// at 2⁻⁴², and some thirty roundings of 2⁻⁵³ weigh nothing beside these. The tests measure less
/// than a fourth of the bound.
const SLACK: f64 = 1.0 / (1_u64 << 36) as f64;

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

/// Coefficients of 2 artanh f = f · Σ cₖ f²ᵏ, over ln 2: cₖ = 2 / ((2k + 1) ln 2).
const ARTANH: [f64; 8] = {
    let mut coefficients = [0.0; 8];
    let mut k = 0;
    while k < 8 {
        coefficients[k] = 2.0 * std::f64::consts::LOG2_E / (2 * k + 1) as f64;
        k += 1;
    }
    coefficients
};

/// Coefficients of 2ˣ = Σ cₖ xᵏ: cₖ = (ln 2)ᵏ / k!.
const EXP2: [f64; 11] = {
    let mut coefficients = [1.0; 11];
    let mut k = 1;
    while k < 11 {
        coefficients[k] = coefficients[k - 1] * std::f64::consts::LN_2 / k as f64;
        k += 1;
    }
    coefficients
};

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
    let fourth = square * square;
    let low = cubic(simd, square, fourth, [ARTANH[0], ARTANH[1], ARTANH[2], ARTANH[3]]);
    let high = cubic(simd, square, fourth, [ARTANH[4], ARTANH[5], ARTANH[6], ARTANH[7]]);
    let series = high.about_mul_add(fourth * fourth, low);
    let binary = f.about_mul_add(series, whole);
    let logarithm = exponent * binary;

    let whole = (logarithm + simd.splat(0.5)).floor();
    let rest = logarithm - whole;
    let square = rest * rest;
    let fourth = square * square;
    let low = cubic(simd, rest, square, [EXP2[0], EXP2[1], EXP2[2], EXP2[3]]);
    let middle = cubic(simd, rest, square, [EXP2[4], EXP2[5], EXP2[6], EXP2[7]]);
    let high = cubic(simd, rest, square, [EXP2[8], EXP2[9], EXP2[10], 0.0]);
    let series = high.about_mul_add(fourth, middle).about_mul_add(fourth, low);
    (series * whole.power_of_two(), logarithm)
}

/// About the polynomial of x with these coefficients, the constant first. The products are added in
/// pairs, so that they need not wait for each other (G. Estrin, "Organization of computer systems", 1960).
#[inline(always)]
fn cubic<S: Simd>(simd: S, x: S::D, square: S::D, coefficients: [f64; 4]) -> S::D {
    let [constant, first, second, third] = coefficients.map(|coefficient| simd.splat(coefficient));
    let low = first.about_mul_add(x, constant);
    let high = third.about_mul_add(x, second);
    high.about_mul_add(square, low)
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
