//! The square-root rule of staffing: how many standard deviations of room a chance of waiting asks
//! for (S. Halfin and W. Whitt, Operations Research 29, 1981).

/// The `β` for which the chance of waiting is `wait`: `1 / (1 + β Φ(β) / φ(β))` falls from 1 at 0.
pub(super) fn beta(wait: f64) -> f64 {
    let chance = |beta: f64| {
        let density = (-beta * beta / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        1.0 / (1.0 + beta * normal(beta) / density)
    };
    let (mut low, mut high) = (0.0, 8.0);
    // Each step halves the interval: after 50 it is below the rounding errors.
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        if chance(middle) > wait { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// The distribution of the standard normal, by its Taylor series
/// `1/2 + φ(x) (x + x³/3 + x⁵/15 + …)` (G. Marsaglia, Journal of Statistical Software 11, 2004).
fn normal(x: f64) -> f64 {
    let (mut sum, mut term, mut next) = (x, x, 3.0);
    while term.abs() > 1e-16 * sum.abs() {
        term *= x * x / next;
        sum += term;
        next += 2.0;
    }
    0.5 + sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beta_is_that_of_the_published_table() {
        // Halfin and Whitt: β 1 waits in 22.3 % of the cases, 1.5 in 8.5 %, 2 in 2.7 %.
        for (wait, expected) in [(0.2233, 1.0), (0.0847, 1.5), (0.0269, 2.0)] {
            assert!((beta(wait) - expected).abs() < 0.005, "{wait}: {}", beta(wait));
        }
    }
}
