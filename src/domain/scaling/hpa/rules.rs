//! How fast the pod autoscaler may go in a direction: `behavior` of the API, by the functions of
//! `horizontal.go`.

use std::str::FromStr;
use std::time::Duration;

use super::super::parameters::{BadPolicy, Parameters, duration};
use super::super::{Situation, ceil};
use crate::domain::vm::UnknownWord;

/// The longest period of a limit, as the API has it.
const LONGEST_PERIOD: Duration = Duration::from_mins(30);

/// What holds in one direction: `scaleUp` or `scaleDown`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rules {
    /// A ratio to the target that is so near to 1 changes nothing.
    pub(super) tolerance: f64,
    /// It goes no further than it would have at any moment of this time.
    pub(super) window: Duration,
    limits: Limits,
    select: Select,
}

/// The names of the parameters of a direction, and what they mean.
pub(super) struct Names {
    pub(super) tolerance: (&'static str, &'static str),
    pub(super) window: (&'static str, Duration, &'static str),
    pub(super) limits: (&'static str, &'static str, &'static str),
    pub(super) select: &'static str,
}

/// The `policies` of a direction: what may change, each within a period of its own.
#[derive(Debug, Clone, PartialEq)]
struct Limits(Vec<Limit>);

#[derive(Debug, Clone, Copy, PartialEq)]
struct Limit {
    most: Amount,
    period: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Amount {
    Pods(u32),
    Percent(f64),
}

/// Which of the limits holds: that of the largest change, or of the smallest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Select {
    Max,
    Min,
    Disabled,
}

impl FromStr for Select {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "max" => Ok(Self::Max),
            "min" => Ok(Self::Min),
            "disabled" => Ok(Self::Disabled),
            _ => Err(UnknownWord::new(text, SELECT)),
        }
    }
}

const SELECT: &str = "max, min or disabled";

impl Limits {
    fn read(text: &str) -> Result<Self, String> {
        let limits = text.split_whitespace().map(|word| {
            Limit::read(word).ok_or_else(|| {
                let word: String = word.chars().take(40).collect();
                format!(
                    "`{word}` is not VMs/PERIOD or PERCENT%/PERIOD, above 0 and of 1 s to 30 min, \
                     for example 4/15s 100%/15s"
                )
            })
        });
        let limits = limits.collect::<Result<Vec<_>, _>>()?;
        if limits.is_empty() {
            Err("at least one limit is needed".to_owned())
        } else {
            Ok(Self(limits))
        }
    }
}

impl Limit {
    fn read(text: &str) -> Option<Self> {
        let (most, period) = text.split_once('/')?;
        let most = match most.strip_suffix('%') {
            Some(percent) => {
                let percent = percent.parse().ok().filter(|p: &f64| *p > 0.0 && *p <= 1e6)?;
                Amount::Percent(percent)
            }
            None => Amount::Pods(most.parse().ok().filter(|pods| (1..=1_000_000).contains(pods))?),
        };
        let period = duration(period)?;
        let fits = (Duration::from_secs(1)..=LONGEST_PERIOD).contains(&period);
        fits.then_some(Self { most, period })
    }
}

impl Rules {
    pub(super) fn read(from: &mut Parameters, names: &Names) -> Result<Self, BadPolicy> {
        let (limits, default, help) = names.limits;
        Ok(Self {
            tolerance: from.number(names.tolerance.0, 0.1, 0.0..=1.0, names.tolerance.1)?,
            window: from.time(names.window.0, names.window.1, names.window.2)?,
            limits: from.text(limits, default, help, Limits::read)?,
            select: from.word(names.select, "max", SELECT, "which of them: max, min, disabled")?,
        })
    }

    /// The most VMs that the limits allow now, if these are the rules for more.
    pub(super) fn most(&self, situation: &Situation) -> u32 {
        let current = situation.wanted();
        let allowed = self.limits.0.iter().map(|limit| {
            let start = start_of(situation, limit.period);
            match limit.most {
                Amount::Pods(pods) => start.saturating_add(pods),
                Amount::Percent(percent) => ceil(f64::from(start) * (1.0 + percent / 100.0)),
            }
        });
        let most = match self.select {
            Select::Max => allowed.max(),
            Select::Min => allowed.min(),
            Select::Disabled => None,
        };
        most.unwrap_or(current).max(current)
    }

    /// The fewest VMs that the limits allow now, if these are the rules for fewer.
    pub(super) fn fewest(&self, situation: &Situation) -> u32 {
        let current = situation.wanted();
        let allowed = self.limits.0.iter().map(|limit| {
            let start = start_of(situation, limit.period);
            match limit.most {
                Amount::Pods(pods) => start.saturating_sub(pods),
                // Cut off, not rounded: of 72, 10 per cent take 8 away.
                Amount::Percent(percent) => {
                    ceil((f64::from(start) * (1.0 - percent / 100.0)).floor())
                }
            }
        });
        let fewest = match self.select {
            Select::Max => allowed.min(),
            Select::Min => allowed.max(),
            Select::Disabled => None,
        };
        fewest.unwrap_or(current).min(current)
    }
}

/// The size at the start of a period that ends now.
fn start_of(situation: &Situation, period: Duration) -> u32 {
    let lately = situation.changes.iter().filter(|change| change.ago < period);
    let (mut added, mut removed) = (0_u32, 0_u32);
    for change in lately {
        added = added.saturating_add(change.to.saturating_sub(change.from));
        removed = removed.saturating_add(change.from.saturating_sub(change.to));
    }
    situation.wanted().saturating_add(removed).saturating_sub(added)
}
