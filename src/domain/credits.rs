//! CPU credits of burstable instance types.
//!
//! One credit is one vCPU at full speed for a minute. A VM earns them all the time, spends them
//! when it computes, and keeps what it does not spend, up to a maximum
//! (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-credits-baseline-concepts.html>).
//! Without credits a VM in standard mode computes at its baseline, the speed at which it spends
//! what it earns. In unlimited mode it goes on and owes the credits: later earnings pay them back,
//! what it owes beyond the maximum is charged at once, and the rest when it ends
//! (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-performance-instances-unlimited-mode-concepts.html>).

use std::time::Duration;

/// What the vendor charges for a surplus credit, in US dollars: 0.05 per vCPU-hour, Linux
/// (<https://aws.amazon.com/ec2/pricing/on-demand/>, "T2/T3/T4g Unlimited Mode Pricing").
pub const PRICE_PER_SURPLUS_CREDIT: f64 = 0.05 / 60.0;

/// "CPU utilization is gradually lowered to the baseline level", over 15 minutes, says the vendor
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-performance-instances-standard-mode-concepts.html>)
/// and not how. Here the speed above the baseline never spends the balance faster than in this
/// many minutes, so that both fall off exponentially; after three times this, 15 minutes, 95 % of
/// it is gone.
const MINUTES_TO_SPEND_THE_LAST: f64 = 5.0;

/// The figures of a burstable type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// Share of each vCPU that it may use for ever, times its vCPUs.
    pub baseline: f64,
    /// Its vCPUs.
    pub vcpus: f64,
    /// Credits earned in an hour.
    pub per_hour: f64,
    /// Credits it has at launch. They are spent first and do not count towards the maximum.
    pub at_launch: f64,
    /// The most earned credits that it can keep: what it earns in 24 hours.
    pub maximum: f64,
    /// It may go on without credits, and is charged.
    pub unlimited: bool,
}

impl Rule {
    /// How many vCPUs' worth a VM with so many credits to spend computes.
    pub fn speed(&self, to_spend: f64) -> f64 {
        let above = to_spend.max(0.0) / MINUTES_TO_SPEND_THE_LAST;
        if self.unlimited { self.vcpus } else { (self.baseline + above).min(self.vcpus) }
    }
}

/// The account of one VM. No figure is ever negative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Credits {
    rule: Rule,
    from_launch: f64,
    earned: f64,
    owed: f64,
    charged: f64,
}

impl Credits {
    /// The account of a VM that is launched now.
    pub fn new(rule: Rule) -> Self {
        Self { rule, from_launch: rule.at_launch, earned: 0.0, owed: 0.0, charged: 0.0 }
    }

    /// Credits left.
    pub fn balance(&self) -> f64 {
        self.from_launch + self.earned
    }

    /// Surplus credits that would be charged if it ended now: those charged already and those
    /// owed. In standard mode never more than the last moment before the throttle took hold.
    pub fn surplus(&self) -> f64 {
        self.charged + self.owed
    }

    /// How many vCPUs' worth it may compute now.
    pub fn speed(&self) -> f64 {
        self.rule.speed(self.balance() - self.owed)
    }

    /// Time passes, in which so much vCPU time was used.
    pub fn advance(&mut self, elapsed: Duration, used: Duration) {
        let income = self.rule.per_hour * elapsed.as_secs_f64() / 3600.0;
        let paid_back = income.min(self.owed);
        self.owed -= paid_back;
        self.earned += income - paid_back;
        let mut to_spend = used.as_secs_f64() / 60.0;
        for purse in [&mut self.from_launch, &mut self.earned] {
            let spent = to_spend.min(*purse);
            *purse -= spent;
            to_spend -= spent;
        }
        self.owed += to_spend;
        self.earned = self.earned.min(self.rule.maximum);
        if self.rule.unlimited {
            let beyond = (self.owed - self.rule.maximum).max(0.0);
            self.charged += beyond;
            self.owed -= beyond;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_mins(1);
    const HOUR: Duration = Duration::from_hours(1);

    const T2_MICRO: Rule = Rule {
        baseline: 0.1,
        vcpus: 1.0,
        per_hour: 6.0,
        at_launch: 30.0,
        maximum: 144.0,
        unlimited: false,
    };
    const T3_NANO: Rule = Rule {
        baseline: 0.1,
        vcpus: 2.0,
        per_hour: 6.0,
        at_launch: 0.0,
        maximum: 144.0,
        unlimited: true,
    };

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn an_idle_vm_keeps_a_day_of_earnings_beside_its_launch_credits() {
        let mut credits = Credits::new(T2_MICRO);
        credits.advance(10 * HOUR, Duration::ZERO);
        assert!(near(credits.balance(), 30.0 + 60.0));
        credits.advance(100 * HOUR, Duration::ZERO);
        assert!(near(credits.balance(), 30.0 + 144.0));
    }

    #[test]
    fn launch_credits_are_spent_before_earned_ones() {
        let mut credits = Credits::new(T2_MICRO);
        credits.advance(24 * HOUR, 30 * MINUTE);
        assert!(near(credits.balance(), 144.0), "{credits:?}");
        credits.advance(HOUR, Duration::ZERO);
        assert!(near(credits.balance(), 144.0), "what is earned above the maximum is lost");
    }

    #[test]
    fn work_at_the_baseline_leaves_the_balance_as_it_is() {
        let mut credits = Credits::new(T2_MICRO);
        credits.advance(10 * HOUR, HOUR);
        assert!(near(credits.balance(), 30.0));
    }

    /// Computes as fast as it may for so many minutes, in steps of a second.
    fn run_flat_out(credits: &mut Credits, minutes: u32) {
        for _ in 0..minutes * 60 {
            let second = Duration::from_secs(1);
            credits.advance(second, second.mul_f64(credits.speed()));
        }
    }

    #[test]
    fn a_busy_standard_vm_slows_down_to_its_baseline_within_a_quarter_of_an_hour() {
        let mut credits = Credits::new(T2_MICRO);
        // 30 credits at 0.9 a minute, of which the last 4.5 are spent ever more slowly.
        run_flat_out(&mut credits, 28);
        assert!(near(credits.speed(), 1.0), "{credits:?}");
        run_flat_out(&mut credits, 16);
        assert!(credits.speed() < 0.1 + 0.9 * 0.06, "{credits:?}");
        run_flat_out(&mut credits, 60);
        assert!((0.1..0.101).contains(&credits.speed()), "{credits:?}");
        credits.advance(HOUR, Duration::ZERO);
        assert!(near(credits.speed(), 1.0), "an hour of rest brings it back: {credits:?}");
    }

    #[test]
    fn an_unlimited_vm_owes_up_to_a_day_of_earnings_and_is_charged_beyond() {
        // The vendor's example: a day's 144 surplus credits free of charge, the rest charged.
        let mut credits = Credits::new(T3_NANO);
        credits.advance(10 * HOUR, 204 * MINUTE);
        assert!(near(credits.charged, 0.0) && near(credits.owed, 144.0), "{credits:?}");
        credits.advance(10 * HOUR, 160 * MINUTE);
        assert!(near(credits.charged, 100.0) && near(credits.owed, 144.0), "{credits:?}");
        assert!(near(credits.speed(), 2.0));
        credits.advance(4 * HOUR, Duration::ZERO);
        assert!(near(credits.surplus(), 220.0), "earnings pay back what is owed: {credits:?}");
        credits.advance(24 * HOUR, Duration::ZERO);
        assert!(near(credits.surplus(), 100.0) && near(credits.balance(), 24.0), "{credits:?}");
    }

    prop_compose! {
        fn any_rule()(
            share in 0.0f64..1.0,
            vcpus in 1u32..8,
            at_launch in 0.0f64..100.0,
            unlimited in any::<bool>(),
        ) -> Rule {
            let vcpus = f64::from(vcpus);
            let per_hour = share * vcpus * 60.0;
            let (baseline, maximum) = (share * vcpus, 24.0 * per_hour);
            Rule { baseline, vcpus, per_hour, at_launch, maximum, unlimited }
        }
    }

    proptest! {
        #[test]
        fn nothing_is_negative_and_nothing_comes_from_nowhere(
            rule in any_rule(),
            steps in prop::collection::vec((0u64..20_000, 0u64..40_000), 1..60),
        ) {
            let mut credits = Credits::new(rule);
            let (mut earned, mut spent) = (0.0, 0.0);
            for (elapsed, used) in steps {
                credits.advance(Duration::from_secs(elapsed), Duration::from_secs(used));
                earned += rule.per_hour * elapsed as f64 / 3600.0;
                spent += used as f64 / 60.0;
                for figure in [
                    credits.from_launch,
                    credits.earned,
                    credits.owed,
                    credits.charged,
                    credits.speed() - rule.baseline.min(rule.vcpus),
                ] {
                    prop_assert!(figure >= 0.0, "{credits:?}");
                }
                prop_assert!(credits.earned <= rule.maximum);
                prop_assert!(credits.speed() <= rule.vcpus);
                prop_assert!(credits.balance() == 0.0 || credits.owed == 0.0 || !rule.unlimited
                    || credits.from_launch == 0.0);
                let net = rule.at_launch + earned - spent;
                let account = credits.balance() - credits.surplus();
                prop_assert!(account <= net + 1e-6, "{account} is more than {net}");
            }
        }

        #[test]
        fn while_nothing_is_lost_the_account_is_exact(
            rule in any_rule(),
            steps in prop::collection::vec((0u64..100, 0u64..1_000), 1..60),
        ) {
            let mut credits = Credits::new(rule);
            let mut net = rule.at_launch;
            for (elapsed, used) in steps {
                credits.advance(Duration::from_secs(elapsed), Duration::from_secs(used));
                net += rule.per_hour * elapsed as f64 / 3600.0 - used as f64 / 60.0;
            }
            let account = credits.balance() - credits.surplus();
            prop_assert!((account - net).abs() < 1e-6, "{account} instead of {net}");
        }

        #[test]
        fn a_standard_vm_that_obeys_its_speed_owes_next_to_nothing(
            rule in any_rule(),
            steps in prop::collection::vec((1u64..500, 0.0f64..1.0), 1..400),
        ) {
            let mut credits = Credits::new(Rule { unlimited: false, ..rule });
            for (millis, effort) in steps {
                let elapsed = Duration::from_millis(millis);
                credits.advance(elapsed, elapsed.mul_f64(credits.speed() * effort));
                prop_assert!(credits.surplus() < 1e-6, "{credits:?}");
            }
        }
    }
}
