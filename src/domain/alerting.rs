//! When somebody is to be told: a condition on a known figure that has held for long enough.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::vm::UnknownWord;

/// A figure of the cluster that a condition can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Median time to answer of the slowest VM over about the last minute, in milliseconds.
    P50,
    /// 95th percentile of the same.
    P95,
    /// 99th percentile of the same.
    P99,
    /// Share of the answers of the last minute that had a 5xx status, 0 to 1.
    ErrorRate,
    /// Requests per second over the last ten seconds.
    Rate,
    /// Requests that the balancer has.
    InFlight,
    /// Those of them that wait for a VM.
    Queued,
    /// Predicted work of those, in seconds of one vCPU.
    QueueSeconds,
    /// Mean share of their vCPUs that the running VMs use, 0 to 1.
    Cpu,
    /// Resident memory of the largest VM, in MiB.
    Memory,
    /// VMs that run.
    VmsRunning,
    /// VMs that run and get no requests.
    VmsOut,
}

impl Figure {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::P50,
        Self::P95,
        Self::P99,
        Self::ErrorRate,
        Self::Rate,
        Self::InFlight,
        Self::Queued,
        Self::QueueSeconds,
        Self::Cpu,
        Self::Memory,
        Self::VmsRunning,
        Self::VmsOut,
    ];

    /// Its name in a condition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P50 => "p50_ms",
            Self::P95 => "p95_ms",
            Self::P99 => "p99_ms",
            Self::ErrorRate => "error_rate",
            Self::Rate => "rate",
            Self::InFlight => "in_flight",
            Self::Queued => "queued",
            Self::QueueSeconds => "queue_seconds",
            Self::Cpu => "cpu",
            Self::Memory => "memory_mib",
            Self::VmsRunning => "vms_running",
            Self::VmsOut => "vms_out",
        }
    }
}

impl FromStr for Figure {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|figure| figure.as_str() == text)
            .ok_or_else(|| UnknownWord::new(text, "a figure, such as p95_ms or error_rate"))
    }
}

/// On which side of its bound a figure is to be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// `FIGURE > NUMBER`, also with `>=`, `<` and `<=`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Condition {
    /// What is compared.
    pub figure: Figure,
    side: Side,
    bound: f64,
}

impl Condition {
    /// Whether it holds of a value.
    pub fn holds(&self, value: f64) -> bool {
        match self.side {
            Side::Above => value > self.bound,
            Side::AtLeast => value >= self.bound,
            Side::Below => value < self.bound,
            Side::AtMost => value <= self.bound,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Above => ">",
            Side::AtLeast => ">=",
            Side::Below => "<",
            Side::AtMost => "<=",
        };
        write!(f, "{} {side} {}", self.figure.as_str(), self.bound)
    }
}

/// Why a condition was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCondition {
    /// It is no comparison.
    #[error("FIGURE > NUMBER is needed (or >=, <, <=), for example `p95_ms > 500`")]
    Form,
    /// No figure has this name.
    #[error("no figure is called `{0}`")]
    Figure(String),
    /// It compares with something that is no number.
    #[error("`{0}` is not a number")]
    Bound(String),
}

impl FromStr for Condition {
    type Err = BadCondition;

    fn from_str(text: &str) -> Result<Self, BadCondition> {
        let at = text.find(['<', '>']).ok_or(BadCondition::Form)?;
        let (figure, rest) = text.split_at(at);
        let sides =
            [(">=", Side::AtLeast), ("<=", Side::AtMost), (">", Side::Above), ("<", Side::Below)];
        let (side, bound) = sides
            .into_iter()
            .find_map(|(sign, side)| Some((side, rest.strip_prefix(sign)?)))
            .ok_or(BadCondition::Form)?;
        let (figure, bound) = (figure.trim(), bound.trim());
        Ok(Self {
            figure: figure.parse().map_err(|_| BadCondition::Figure(figure.to_owned()))?,
            side,
            bound: bound
                .parse()
                .ok()
                .filter(|bound: &f64| bound.is_finite())
                .ok_or_else(|| BadCondition::Bound(bound.to_owned()))?,
        })
    }
}

/// Where an alert stands. Times are on any clock that only goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// Its condition does not hold.
    #[default]
    Quiet,
    /// Its condition holds since then, but not for long enough yet.
    Pending(Duration),
    /// Its condition holds since then, and it was told.
    Firing(Duration),
}

/// What is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The alert fires.
    Fired,
    /// It does no longer.
    Resolved,
}

impl Change {
    /// The word that stands for it in files and in what is told.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fired => "firing",
            Self::Resolved => "resolved",
        }
    }
}

impl Standing {
    /// The word that stands for it in files and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Pending(_) => "pending",
            Self::Firing(_) => "firing",
        }
    }

    /// Where an alert stands at `now`, and what is to be told, if its condition has to hold for so
    /// `long`. What is not known (`holds` is none) changes nothing: neither does silence prove that
    /// all is well, nor that it is not.
    #[must_use]
    pub fn after(
        self,
        holds: Option<bool>,
        now: Duration,
        long: Duration,
    ) -> (Self, Option<Change>) {
        let Some(holds) = holds else { return (self, None) };
        match (self, holds) {
            (Self::Firing(since), true) => (Self::Firing(since), None),
            (Self::Firing(_), false) => (Self::Quiet, Some(Change::Resolved)),
            (Self::Quiet | Self::Pending(_), false) => (Self::Quiet, None),
            (Self::Quiet | Self::Pending(_), true) => {
                let since = if let Self::Pending(since) = self { since } else { now };
                if now.saturating_sub(since) >= long {
                    (Self::Firing(since), Some(Change::Fired))
                } else {
                    (Self::Pending(since), None)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn conditions_are_read_as_they_are_shown() {
        for text in ["p95_ms > 500", "error_rate >= 0.01", "vms_running < 2", "cpu <= 0.5"] {
            assert_eq!(text.parse::<Condition>().unwrap().to_string(), text);
        }
        let tight = "queue_seconds>2".parse::<Condition>().unwrap();
        assert!(tight.holds(2.1) && !tight.holds(2.0));
        assert!("cpu<=0.5".parse::<Condition>().unwrap().holds(0.5));
    }

    #[test]
    fn what_is_no_condition_is_told_why() {
        let told = |text: &str| text.parse::<Condition>().unwrap_err();
        assert_eq!(told("p95_ms"), BadCondition::Form);
        assert_eq!(told("p59_ms > 1"), BadCondition::Figure("p59_ms".to_owned()));
        for bad in ["", "NaN", "inf", "= 3", "1s"] {
            assert_eq!(told(&format!("cpu > {bad}")), BadCondition::Bound(bad.to_owned()));
        }
    }

    #[test]
    fn an_alert_fires_once_it_held_for_long_enough_and_resolves_once() {
        let seen = [(0, true), (4, true), (5, true), (6, true), (7, false), (8, false)];
        let mut standing = Standing::Quiet;
        let mut told = Vec::new();
        for (at, holds) in seen {
            let (next, change) = standing.after(Some(holds), s(at), s(5));
            standing = next;
            told.extend(change.map(|change| (at, change)));
        }
        assert_eq!(told, [(5, Change::Fired), (7, Change::Resolved)]);
    }

    #[test]
    fn a_gap_starts_the_time_anew_and_what_is_not_known_does_not() {
        let step = |standing: Standing, holds, at| standing.after(holds, s(at), s(5)).0;
        let pending = step(Standing::Quiet, Some(true), 0);
        let unknown = step(pending, None, 3);
        assert_eq!(step(unknown, Some(true), 5), Standing::Firing(s(0)));
        let again = step(step(pending, Some(false), 3), Some(true), 4);
        assert_eq!(step(again, Some(true), 8), Standing::Pending(s(4)));
    }

    proptest! {
        #[test]
        fn firing_and_resolved_take_turns(
            seen in proptest::collection::vec(proptest::option::of(any::<bool>()), 0..60),
            long in 0_u64..6,
        ) {
            let mut standing = Standing::Quiet;
            let mut told = Vec::new();
            for (at, holds) in (0..).zip(seen) {
                let (next, change) = standing.after(holds, s(at), s(long));
                standing = next;
                told.extend(change);
            }
            for (place, change) in told.iter().enumerate() {
                let expected = if place % 2 == 0 { Change::Fired } else { Change::Resolved };
                prop_assert_eq!(*change, expected);
            }
        }
    }
}
