use std::hint::black_box;

use super::*;

const ODD: [f64; LANES] =
    [0.0, -0.0, 1.5, -2.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-310];

/// Everything there is, on numbers likely to tell implementations apart, as bits.
struct Everything;

impl Kernel for Everything {
    type Output = (Vec<u64>, Vec<u32>);

    fn run(self, simd: impl Simd) -> Self::Output {
        simd.run(Inner(simd))
    }
}

struct Inner<S>(S);

impl<S: Simd> Task for Inner<S> {
    type Output = (Vec<u64>, Vec<u32>);

    fn work(self) -> Self::Output {
        let simd = self.0;
        let (mut doubles, mut singles) = (Vec::new(), Vec::new());
        for (turn, number) in ODD.into_iter().enumerate() {
            // Behind a black box, so that the processor computes and not the compiler.
            let mut turned = black_box(ODD);
            turned.rotate_left(turn);
            let (a, b) = (simd.load(&black_box(ODD)), simd.load(&black_box(turned)));
            let mask = a.less(b);
            for vector in [
                a + b,
                a - b,
                a * b,
                a / b,
                -a,
                a.sqrt(),
                a.floor(),
                a.trunc(),
                a.positive(),
                S::D::select(mask, a, b),
                S::D::select(a.at_most(b) & !mask, a, b),
                S::D::select(simd.mask(0b0110_0101) | mask, a, b),
                simd.splat(number),
                simd.splat(turned[2].abs().clamp(1e-300, 1e300)).split().0,
                simd.splat(turned[2].abs().clamp(1e-300, 1e300)).split().1,
                simd.load(&[-1022.0, 1023.0, 0.0, 1.0, -1.0, 52.0, -126.0, 127.0]).power_of_two(),
            ] {
                // All NaNs are alike: their bits are anybody's choice.
                doubles.extend(vector.to_array().map(|v| if v.is_nan() { 1 } else { v.to_bits() }));
            }
            doubles.push(mask.bits().into());
            let (c, d) = (a.to_singles(), b.to_singles());
            for vector in [
                c + d,
                c - d,
                c * d,
                c / d,
                c.clamp() + simd.splat_single(0.0),
                S::S::select(mask.narrow(), c, d),
                S::S::select(c.less(d), c, d),
                S::S::select(c.at_most(d), c, d),
                S::S::select(c.equal(d), c, d),
                c.min(d),
                c.max(d),
                simd.load_single(&d.to_array()),
            ] {
                singles.extend(vector.to_array().map(|v| if v.is_nan() { 1 } else { v.to_bits() }));
            }
        }
        (doubles, singles)
    }
}

#[test]
fn all_levels_compute_the_same_bits() {
    let expected = dispatch(Instructions::Portable, Everything);
    for level in Instructions::available() {
        let (doubles, singles) = dispatch(level, Everything);
        let differs = |(place, (a, b)): (usize, (u64, u64))| (a != b).then_some((place, a, b));
        let pairs = doubles.into_iter().zip(expected.0.iter().copied());
        assert_eq!(pairs.enumerate().find_map(differs), None, "doubles, {level:?}");
        let pairs = singles.into_iter().zip(expected.1.iter().copied());
        let pairs = pairs.map(|(a, b)| (a.into(), b.into()));
        assert_eq!(pairs.enumerate().find_map(differs), None, "singles, {level:?}");
    }
}

#[test]
fn numbers_split_into_mantissa_and_exponent() {
    struct Split(f64);
    impl Kernel for Split {
        type Output = (f64, f64);
        fn run(self, simd: impl Simd) -> (f64, f64) {
            let (mantissa, exponent) = simd.splat(self.0).split();
            (mantissa.to_array()[0], exponent.to_array()[0])
        }
    }
    for level in Instructions::available() {
        assert_eq!(dispatch(level, Split(0.75)), (1.5, -1.0), "{level:?}");
        assert_eq!(dispatch(level, Split(1.0)), (1.0, 0.0), "{level:?}");
        assert_eq!(dispatch(level, Split(f64::MIN_POSITIVE)), (1.0, -1022.0), "{level:?}");
    }
}
