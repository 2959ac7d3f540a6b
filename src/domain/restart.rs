//! When to start again a process that died.

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

#[cfg(test)]
mod tests {
    use super::*;

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
