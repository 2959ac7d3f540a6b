//! A weighted sum fitted to what was seen, line by line: least squares of relative errors, with
//! weights that are never negative, and with forgetting.

/// How many parts a cost is the weighted sum of.
pub const TERMS: usize = 4;
/// How many products of two of them there are.
pub const PRODUCTS: usize = TERMS * (TERMS + 1) / 2;

/// After each line what was seen before counts so much less: about the last 200 lines count.
const MEMORY: f64 = 0.995;
/// How firmly the weights are held to their common scale, in lines that would say so. Parts that
/// grow together cannot be told apart by what is seen; then they keep their proportion.
const TETHER: f64 = 0.05;
/// Rounds of the solver. Each weight in turn takes its best value; so few weights need few rounds.
const ROUNDS: usize = 60;
/// Costs are compared as if each were so much larger, in nanoseconds: clocks and wake-ups blur the
/// smallest ones.
const BLUR_NS: f64 = 50_000.0;

/// All that a fit keeps of what was seen: the sums of the normal equations. Every line is divided
/// by its cost, so that errors count in proportion.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sums {
    /// How many lines count, the older ones for less.
    pub lines: f64,
    /// Sums of the products of two terms: 0·0, 0·1, 0·2, 0·3, 1·1, 1·2, 1·3, 2·2, 2·3, 3·3.
    pub products: [f64; PRODUCTS],
    /// Sums of the products of a term and the cost.
    pub costs: [f64; TERMS],
}

/// Where the product of two terms stands.
const fn place(one: usize, other: usize) -> usize {
    let (low, high) = if one < other { (one, other) } else { (other, one) };
    low * (2 * TERMS - 1 - low) / 2 + high
}

impl Sums {
    /// Takes in that these terms cost so much.
    pub(super) fn add(&mut self, terms: [f64; TERMS], cost: f64) {
        let unit = cost + BLUR_NS;
        let shares = terms.map(|term| term / unit);
        let before = *self;
        self.lines = before.lines * MEMORY + 1.0;
        for one in 0..TERMS {
            for other in one..TERMS {
                let at = place(one, other);
                self.products[at] = before.products[at] * MEMORY + shares[one] * shares[other];
            }
            self.costs[one] = before.costs[one] * MEMORY + shares[one] * cost / unit;
        }
    }

    /// The one weight for all terms that fits best, held to `to`.
    pub(super) fn common(&self, to: f64) -> f64 {
        let row = |one| (0..TERMS).map(move |other| self.products[place(one, other)]);
        let products: f64 = (0..TERMS).flat_map(row).sum();
        (self.costs.iter().sum::<f64>() + TETHER * to) / (products + TETHER)
    }

    /// The weights that fit best, each held to `to`.
    ///
    /// Coordinate descent: the sum of squares is strictly convex, so it ends at the one minimum,
    /// also with the bound at zero (Lawson and Hanson, *Solving Least Squares Problems*, 1974,
    /// ch. 23).
    pub(super) fn weights(&self, to: f64) -> [f64; TERMS] {
        let mut weights = [to; TERMS];
        for _ in 0..ROUNDS {
            for one in 0..TERMS {
                let others: f64 = (0..TERMS)
                    .filter(|&other| other != one)
                    .map(|other| self.products[place(one, other)] * weights[other])
                    .sum();
                let pull = self.costs[one] - others + TETHER * to;
                weights[one] = (pull / (self.products[place(one, one)] + TETHER)).max(0.0);
            }
        }
        weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_pair_of_terms_has_a_place_of_its_own() {
        let places: Vec<usize> =
            (0..TERMS).flat_map(|one| (one..TERMS).map(move |other| place(one, other))).collect();
        assert_eq!(places, (0..PRODUCTS).collect::<Vec<_>>());
        assert_eq!(place(2, 1), place(1, 2));
    }

    #[test]
    fn without_any_line_the_weights_are_what_they_are_held_to() {
        let weights = Sums::default().weights(1.5);
        assert!(weights.iter().all(|weight| (weight - 1.5).abs() < 1e-12), "{weights:?}");
        assert!((Sums::default().common(1.5) - 1.5).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn the_weights_of_an_exact_sum_are_found(
            truth in [0.5..2.0_f64, 0.2..5.0_f64, 0.0..5.0_f64, 0.2..5.0_f64],
            lines in proptest::collection::vec(
                [4.0..5.0_f64, 6.0..9.0_f64, 4.0..9.0_f64, 5.0..9.0_f64], 200..260,
            ),
        ) {
            let mut sums = Sums::default();
            let terms = |line: &[f64; TERMS]| line.map(|power| 10_f64.powf(power));
            let cost = |weights: [f64; TERMS], line: &[f64; TERMS]| -> f64 {
                weights.iter().zip(terms(line)).map(|(weight, term)| weight * term).sum()
            };
            for line in &lines {
                sums.add(terms(line), cost(truth, line));
            }
            let weights = sums.weights(sums.common(1.0));
            let error = lines.iter().map(|line| {
                (cost(weights, line) / cost(truth, line) - 1.0).abs()
            }).sum::<f64>() / lines.len() as f64;
            prop_assert!(error < 0.05, "{error}: {weights:?} for {truth:?}");
        }

        #[test]
        fn weights_are_numbers_and_never_negative(
            lines in proptest::collection::vec(
                ([0.0..1e15_f64, 0.0..1e15_f64, 0.0..1e15_f64, 0.0..1e15_f64], 0.0..1e15_f64),
                0..40,
            ),
        ) {
            let mut sums = Sums::default();
            for (terms, cost) in lines {
                sums.add(terms, cost);
            }
            let weights = sums.weights(sums.common(1.0));
            prop_assert!(weights.iter().all(|w| w.is_finite() && *w >= 0.0), "{weights:?}");
        }
    }
}
