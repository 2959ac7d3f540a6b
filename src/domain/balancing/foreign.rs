//! The requests that others have put on a VM.

use std::time::Duration;

/// How fast what was seen loses its worth: after this time a third of it is believed. A report
/// period, after which the VM will have said so again if it still holds.
const FADES_OVER: Duration = Duration::from_secs(5);
/// Less than this is nothing.
const LEAST: f64 = 0.05;

/// How many requests a VM had that are not this balancer's, when it was last heard of. Times are
/// since any one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Foreign {
    seen: u32,
    at: Duration,
}

impl Foreign {
    /// At `now` the VM says that it has `inside` requests. `own` is the most that this balancer had
    /// there at any moment since the VM can have counted: what is beyond is from elsewhere.
    pub fn heard(&mut self, inside: u32, own: u32, now: Duration) {
        *self = Self { seen: inside.saturating_sub(own), at: now };
    }

    /// How many there still are at `now`, as far as one can tell.
    pub fn at(&self, now: Duration) -> f64 {
        if self.seen == 0 {
            return 0.0;
        }
        let age = now.saturating_sub(self.at).as_secs_f64() / FADES_OVER.as_secs_f64();
        let left = f64::from(self.seen) * (-age).exp();
        if left < LEAST { 0.0 } else { left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_the_balancer_sent_itself_is_not_foreign() {
        let mut foreign = Foreign::default();
        let now = Duration::from_secs(9);
        foreign.heard(3, 4, now);
        assert_eq!(foreign, Foreign { seen: 0, at: now });
        assert!(foreign.at(now).abs() < f64::EPSILON);
        foreign.heard(7, 4, now);
        assert!((foreign.at(now) - 3.0).abs() < 1e-9);
        assert!(foreign.at(now + Duration::from_mins(1)).abs() < f64::EPSILON);
    }

    proptest! {
        #[test]
        fn it_only_ever_fades(inside: u32, own: u32, now in 0_u64..1 << 40, later in 0_u64..1 << 40) {
            let mut foreign = Foreign::default();
            let now = Duration::from_millis(now);
            foreign.heard(inside, own, now);
            let first = foreign.at(now);
            let then = foreign.at(now + Duration::from_millis(later));
            prop_assert!(first >= 0.0 && first <= f64::from(inside));
            prop_assert!((0.0..=first).contains(&then));
        }
    }
}
