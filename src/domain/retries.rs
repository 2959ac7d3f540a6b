//! How much may be repeated.
//!
//! Requests that fail are sent again, and so a fleet that fails because it has too much to do gets
//! even more. A budget bounds that: repetitions are at most a share of the requests that come, and
//! a few per second besides, so that a quiet cluster can repeat at all. 20 % and 3 a second are the
//! values of Finagle's retry budget
//! (<https://twitter.github.io/finagle/docs/com/twitter/finagle/service/RetryBudget.html>).

use std::time::Duration;

/// What was not used is worth less as time passes: a third is left after this time.
const KEEPS_FOR: Duration = Duration::from_secs(10);

/// It fades in steps of this: to compute that anew with every request would cost more than to route
/// one.
const STEP: Duration = Duration::from_millis(10);

/// A budget of repetitions. Each request pays something in, each repetition takes one out. Times
/// are since any one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// What a request pays in.
    share: f64,
    /// What comes in every second anyway.
    per_second: f64,
    balance: f64,
    at: Duration,
}

impl Budget {
    /// A budget of this `share` of the requests, and so many `per_second` besides. It begins with
    /// what it has when no request comes.
    pub fn new(share: f64, per_second: f64) -> Self {
        let balance = per_second * KEEPS_FOR.as_secs_f64();
        Self { share, per_second, balance, at: Duration::ZERO }
    }

    /// A request has come.
    pub fn pay_in(&mut self, now: Duration) {
        self.settle(now);
        self.balance += self.share;
    }

    /// Takes one repetition out, if there is one.
    pub fn take(&mut self, now: Duration) -> bool {
        self.settle(now);
        let has = self.balance >= 1.0;
        if has {
            self.balance -= 1.0;
        }
        has
    }

    /// What flows in evenly and fades exponentially settles at inflow times [`KEEPS_FOR`].
    fn settle(&mut self, now: Duration) {
        let since = now.saturating_sub(self.at);
        if since < STEP {
            return;
        }
        let keeps = KEEPS_FOR.as_secs_f64();
        let faded = (-since.as_secs_f64() / keeps).exp();
        let settled = self.per_second * keeps;
        self.balance = settled + (self.balance - settled) * faded;
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_quiet_cluster_can_repeat_and_not_for_ever() {
        let mut budget = Budget::new(0.2, 3.0);
        let taken = (0..100).filter(|_| budget.take(Duration::from_secs(1))).count();
        assert_eq!(taken, 30);
        let later = (0..100).filter(|_| budget.take(Duration::from_secs(2))).count();
        assert!((2..=3).contains(&later), "{later}");
    }

    #[test]
    fn an_hour_of_traffic_does_not_pile_up() {
        let mut budget = Budget::new(0.2, 3.0);
        for second in 0..3_600 {
            for _ in 0..100 {
                budget.pay_in(Duration::from_secs(second));
            }
        }
        let taken = (0..10_000).filter(|_| budget.take(Duration::from_hours(1))).count();
        // Ten seconds' worth of 3 + 20 a second.
        assert!((200..=240).contains(&taken), "{taken}");
    }

    proptest! {
        #[test]
        fn no_more_is_taken_out_than_came_in(
            steps in proptest::collection::vec((0_u64..2_000, any::<bool>()), 0..300),
        ) {
            let mut budget = Budget::new(0.2, 3.0);
            let (mut now, mut came, mut taken) = (0, 0, 0);
            for (pause, comes) in steps {
                now += pause;
                let at = Duration::from_millis(now);
                if comes {
                    budget.pay_in(at);
                    came += 1;
                } else {
                    taken += u32::from(budget.take(at));
                }
                let most = 30.0 + 3.0 * now as f64 / 1e3 + 0.2 * f64::from(came);
                prop_assert!(f64::from(taken) <= most + 1e-6);
            }
        }
    }
}
