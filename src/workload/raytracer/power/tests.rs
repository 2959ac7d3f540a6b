use proptest::prelude::*;

use super::*;
use crate::workload::Instructions;
use crate::workload::raytracer::simd::{Kernel, dispatch};

struct Powers([f64; LANES], [f64; LANES]);

impl Kernel for Powers {
    type Output = [f32; LANES];

    fn run(self, simd: impl Simd) -> [f32; LANES] {
        powers(simd, simd.load(&self.0), simd.load(&self.1), ALL).to_array()
    }
}

/// The approximation itself.
struct Approximation([f64; LANES], [f64; LANES]);

impl Kernel for Approximation {
    type Output = [f64; LANES];

    fn run(self, simd: impl Simd) -> [f64; LANES] {
        approximate(simd, simd.load(&self.0), simd.load(&self.1)).0.to_array()
    }
}

fn check(bases: [f64; LANES], exponents: [f64; LANES]) {
    for level in Instructions::available() {
        let powers = dispatch(level, Powers(bases, exponents));
        for lane in 0..LANES {
            let expected = power(bases[lane], exponents[lane]) as f32;
            assert_eq!(
                powers[lane].to_bits(),
                expected.to_bits(),
                "{:e} ^ {:e}, {level:?}: {} is not {expected}",
                bases[lane],
                exponents[lane],
                powers[lane],
            );
        }
    }
}

#[test]
fn special_cases_are_the_librarys() {
    let bases = [0.0, 5e-324, 1e-310, 1e-3, 0.5, 1.0 - 1e-16, 1.0, 1.0 + 3e-16];
    for exponent in [
        0.0,
        1.0,
        0.5,
        2.0,
        300.0,
        1e5,
        1e30,
        -1.0,
        -2.0,
        -0.0,
        -300.0,
        149.0,
        150.0,
        126.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ] {
        check(bases, [exponent; LANES]);
        check([1.0; LANES], [exponent; LANES]);
    }
}

#[test]
fn one_to_infinity_is_not_a_number_and_nan_stays() {
    let (mut bases, mut exponents) = ([1.0; LANES], [f64::INFINITY; LANES]);
    (bases[1], exponents[1]) = (f64::NAN, 2.0);
    let powers = dispatch(Instructions::best(), Powers(bases, exponents));
    assert!(powers.iter().all(|power| power.is_nan()));
}

#[test]
fn the_approximation_is_far_better_than_its_slack() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut worst = 0.0_f64;
    for _ in 0..20_000 {
        let bases: [f64; LANES] = std::array::from_fn(|_| random.f64().powi(2));
        // Results from 2^-125 to 1.
        let exponents = bases.map(|base| 125.0 * random.f64() / base.log2().abs());
        let results = dispatch(Instructions::best(), Approximation(bases, exponents));
        for lane in 0..LANES {
            let exact = bases[lane].powf(exponents[lane]);
            if exact.is_normal() {
                worst = worst.max((results[lane] / exact - 1.0).abs());
            }
        }
    }
    assert!(worst < SLACK / 4.0, "{worst:e}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn powers_are_the_librarys_rounded(
        bases: [prop_sample::Cosine; LANES],
        exponents in prop::array::uniform8(prop_oneof![0.0..2.0, 0.0..400.0, -50.0..1e4]),
    ) {
        check(bases.map(|base| base.0), exponents);
    }
}

mod prop_sample {
    use super::*;

    /// A number as cosines have it: often close to 1.
    #[derive(Debug, Clone, Copy)]
    pub(super) struct Cosine(pub(super) f64);

    impl Arbitrary for Cosine {
        type Parameters = ();
        type Strategy = BoxedStrategy<Self>;

        fn arbitrary_with((): ()) -> Self::Strategy {
            prop_oneof![0.0..1.0, 0.9..1.0, Just(1.0), (0.0..1e-9).prop_map(|gap| 1.0 - gap)]
                .prop_map(Cosine)
                .boxed()
        }
    }
}
