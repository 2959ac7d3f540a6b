//! When to start a process: again after it died, and not too many in too short a time.

use std::time::Duration;

/// How long a process must have lived for its death to count as the first again.
pub const STABLE_AFTER: Duration = Duration::from_secs(30);
/// The longest pause between two starts.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Counts the deaths of one process that is to run for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    deaths: u32,
}

impl Backoff {
    /// The process died after `lived`; says how long to wait before it is started again: nothing
    /// after a first death, then 0.5 s, 1 s, 2 s … up to [`LONGEST_PAUSE`].
    pub fn died_after(&mut self, lived: Duration) -> Duration {
        self.deaths = if lived >= STABLE_AFTER { 1 } else { self.deaths.saturating_add(1) };
        match self.deaths {
            0 | 1 => Duration::ZERO,
            deaths => {
                let doublings = (deaths - 2).min(16);
                Duration::from_millis(500).saturating_mul(1 << doublings).min(LONGEST_PAUSE)
            }
        }
    }

    /// Deaths in a row, without a stable life between them.
    pub fn deaths(&self) -> u32 {
        self.deaths
    }
}

/// Bounds how many VMs are launched in a minute: a slip of the hand (`maximum="10000"`), or a
/// policy that has gone wild, does not take the whole machine before it is noticed.
///
/// Pure: times are since any one moment, and never go back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LaunchPace {
    per_minute: f64,
    /// Launches that are free now.
    free: f64,
    at: Duration,
}

impl LaunchPace {
    /// So many a minute; a tenth of that, and one at least, at once.
    pub fn new(per_minute: u32) -> Self {
        let per_minute = f64::from(per_minute.max(1));
        Self { per_minute, free: Self::burst(per_minute), at: Duration::ZERO }
    }

    /// Whether one more VM may be launched now; if so, it counts.
    pub fn allows(&mut self, now: Duration) -> bool {
        let minutes = now.saturating_sub(self.at).as_secs_f64() / 60.0;
        self.free = (self.free + minutes * self.per_minute).min(Self::burst(self.per_minute));
        self.at = self.at.max(now);
        let allowed = self.free >= 1.0;
        self.free -= f64::from(u8::from(allowed));
        allowed
    }

    fn burst(per_minute: f64) -> f64 {
        (per_minute / 10.0).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn launches_come_at_once_up_to_a_tenth_and_then_at_their_pace() {
        let mut pace = LaunchPace::new(60);
        let at = Duration::from_millis;
        let at_once = (0..100).filter(|_| pace.allows(Duration::ZERO)).count();
        assert_eq!(at_once, 6);
        assert!(!pace.allows(at(900)) && pace.allows(at(1_001)) && !pace.allows(at(1_002)));
        assert!(LaunchPace::new(0).allows(Duration::ZERO), "never none at all");
    }

    proptest! {
        #[test]
        fn no_minute_has_more_launches_than_its_pace_and_one_burst(
            per_minute in 1u32..1_000,
            pauses in prop::collection::vec(0u64..500, 1..300),
        ) {
            let mut pace = LaunchPace::new(per_minute);
            let (mut now, mut launched) = (Duration::ZERO, 0u32);
            for pause in pauses {
                now += Duration::from_millis(pause);
                launched += u32::from(pace.allows(now));
                let pace = f64::from(per_minute);
                let most = (pace / 10.0).max(1.0) + pace * now.as_secs_f64() / 60.0;
                prop_assert!(f64::from(launched) <= most + 1e-6);
            }
        }
    }

    #[test]
    fn a_first_death_is_forgiven_and_a_crash_loop_slows_down() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> =
            (0..9).map(|_| backoff.died_after(Duration::from_secs(1)).as_millis()).collect();
        assert_eq!(pauses, [0, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
    }

    #[test]
    fn a_stable_life_wipes_the_slate() {
        let mut backoff = Backoff::default();
        for _ in 0..6 {
            backoff.died_after(Duration::ZERO);
        }
        assert_eq!(backoff.died_after(STABLE_AFTER), Duration::ZERO);
        assert_eq!(backoff.deaths(), 1);
    }
}
