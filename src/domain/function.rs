//! Functions: what one is, what share of a CPU its memory buys, and what it costs.
//!
//! The figures are those that AWS publishes for Lambda (x86, us-east-1), as of November 2026:
//! <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html> and
//! <https://aws.amazon.com/lambda/pricing/>.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::domain::cost::{Kind, Work};

/// Memory that a function may have, in MiB.
pub const MEMORY_MIB: RangeInclusive<u32> = 128..=10_240;
/// The memory that comes with one vCPU, in MiB; more or less of it, more or less of a vCPU.
pub const MIB_PER_VCPU: f64 = 1_769.0;
/// The longest time limit.
pub const LONGEST: Duration = Duration::from_mins(15);
/// The most invocations of one function at once: the vendor's limit of a new account.
pub const MOST_AT_ONCE: u32 = 1_000;
/// US dollars for an invocation.
const PER_REQUEST: f64 = 0.20 / 1e6;
/// US dollars for a GiB of memory held for a second.
const PER_GB_SECOND: f64 = 0.000_016_666_7;
/// Invocations in a month that cost nothing.
const FREE_REQUESTS: u64 = 1_000_000;
/// GB-seconds in a month that cost nothing.
const FREE_GB_SECONDS: f64 = 400_000.0;

/// The name of a function: 1 to 50 characters of `a-z`, `0-9` and `-`.
///
/// It becomes part of file names and of the name under which its answers stand in the metrics,
/// hence the narrow alphabet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionName(String);

impl FunctionName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for FunctionName {
    type Err = BadFunction;

    fn from_str(text: &str) -> Result<Self, BadFunction> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if (1..=50).contains(&text.len()) && text.chars().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            let shown: String = text.chars().take(60).collect();
            Err(BadFunction(format!(
                "`{shown}` cannot name a function: use 1 to 50 of the characters a-z, 0-9 and -"
            )))
        }
    }
}

/// A function, or what invokes one, that cannot be, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadFunction(String);

impl BadFunction {
    pub(in crate::domain) fn new(sentence: String) -> Self {
        Self(sentence)
    }
}

/// What a function runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// One of the three workloads.
    BuiltIn(Kind),
    /// An executable of the user's.
    Program {
        /// The executable, a path or a name to be found in `PATH`, and its arguments.
        words: Vec<String>,
        /// Whether one process answers one event after the other, a line each; otherwise it reads
        /// one event until the end of its input, answers, and ends.
        reused: bool,
    },
}

/// A function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: FunctionName,
    /// What it runs.
    pub code: Code,
    /// Its memory in MiB, one of [`MEMORY_MIB`].
    pub memory_mib: u32,
    /// How long one invocation may take, at most [`LONGEST`].
    pub timeout: Duration,
    /// How many invocations may run at once, 1 to [`MOST_AT_ONCE`].
    pub concurrency: u32,
    /// For how long an environment without work is kept.
    pub keep_warm: Duration,
}

impl Function {
    /// A function with the usual memory, limits and warmth.
    pub fn new(name: FunctionName, code: Code) -> Self {
        Self {
            name,
            code,
            memory_mib: 1_769,
            timeout: Duration::from_mins(1),
            concurrency: 10,
            keep_warm: Duration::from_mins(5),
        }
    }

    /// The three workloads.
    pub fn built_in() -> Vec<Self> {
        let kinds = [Kind::Blur, Kind::Enhance, Kind::Raytrace];
        let named = |kind: Kind| Some((kind, kind.as_str().parse().ok()?));
        let named = kinds.into_iter().filter_map(named);
        named.map(|(kind, name)| Self::new(name, Code::BuiltIn(kind))).collect()
    }

    /// Whether it may be.
    ///
    /// # Errors
    /// A sentence about what is out of bounds.
    pub fn check(&self) -> Result<(), BadFunction> {
        let wrong = if !MEMORY_MIB.contains(&self.memory_mib) {
            format!(
                "has {} MiB of memory; {} to {} are possible",
                self.memory_mib,
                MEMORY_MIB.start(),
                MEMORY_MIB.end()
            )
        } else if self.timeout.is_zero() || self.timeout > LONGEST {
            "has a time limit that is not above 0 and at most 900 s".to_owned()
        } else if !(1..=MOST_AT_ONCE).contains(&self.concurrency) {
            format!("may run {} times at once; 1 to {MOST_AT_ONCE} are possible", self.concurrency)
        } else if matches!(&self.code, Code::Program { words, .. } if words.is_empty()) {
            "names no program".to_owned()
        } else {
            return Ok(());
        };
        Err(BadFunction(format!("the function `{}` {wrong}", self.name)))
    }

    /// Its share of CPUs, in vCPUs.
    pub fn vcpus(&self) -> f64 {
        f64::from(self.memory_mib) / MIB_PER_VCPU
    }

    /// Its memory in bytes.
    pub fn memory_bytes(&self) -> u64 {
        u64::from(self.memory_mib) << 20
    }

    /// How long so much work takes it. Work is done on one vCPU here, at most.
    pub fn time_for(&self, work: Work) -> Duration {
        Duration::from_secs_f64(work.seconds() / self.vcpus().min(1.0))
    }
}

/// What was used in a month.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Usage {
    /// Invocations.
    pub requests: u64,
    /// Memory times time, in GiB × seconds.
    pub gb_seconds: f64,
}

impl Usage {
    /// What one invocation uses: its time, begun milliseconds counted whole, times its memory. The
    /// start of a new environment counts (as it does with the vendor since August 2025).
    pub fn of(memory_mib: u32, time: Duration) -> Self {
        let seconds = billed(time).as_secs_f64();
        Self { requests: 1, gb_seconds: f64::from(memory_mib) / 1_024.0 * seconds }
    }

    /// US dollars without a free tier.
    pub fn list_price(self) -> f64 {
        self.requests as f64 * PER_REQUEST + self.gb_seconds * PER_GB_SECOND
    }

    /// US dollars for a month, after the free tier.
    pub fn price(self) -> f64 {
        let requests = self.requests.saturating_sub(FREE_REQUESTS);
        let gb_seconds = (self.gb_seconds - FREE_GB_SECONDS).max(0.0);
        Self { requests, gb_seconds }.list_price()
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            gb_seconds: self.gb_seconds + other.gb_seconds,
        }
    }
}

/// The time that is paid for: begun milliseconds count whole.
pub fn billed(time: Duration) -> Duration {
    let millis = time.as_nanos().div_ceil(1_000_000);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn function() -> Function {
        Function::new("blur".parse().unwrap(), Code::BuiltIn(Kind::Blur))
    }

    #[test]
    fn memory_buys_cpu() {
        assert!((function().vcpus() - 1.0).abs() < 1e-9);
        let large = Function { memory_mib: 10_240, ..function() };
        assert!((large.vcpus() - 5.788).abs() < 1e-3);
    }

    #[test]
    fn bounds_are_kept_and_named() {
        assert_eq!(function().check(), Ok(()));
        for (bad, word) in [
            (Function { memory_mib: 127, ..function() }, "127 MiB"),
            (Function { memory_mib: 10_241, ..function() }, "10241 MiB"),
            (Function { timeout: Duration::ZERO, ..function() }, "time limit"),
            (Function { timeout: Duration::from_secs(901), ..function() }, "time limit"),
            (Function { concurrency: 0, ..function() }, "0 times"),
            (
                Function { code: Code::Program { words: Vec::new(), reused: false }, ..function() },
                "no program",
            ),
        ] {
            let sentence = bad.check().unwrap_err().to_string();
            assert!(sentence.contains(word), "{sentence}");
        }
        for bad in ["", "Blur", "a/b", "a b", &"x".repeat(51)] {
            assert!(bad.parse::<FunctionName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn begun_milliseconds_are_billed_whole() {
        assert_eq!(billed(Duration::from_micros(1_001)), Duration::from_millis(2));
        assert_eq!(billed(Duration::from_millis(2)), Duration::from_millis(2));
        let usage = Usage::of(2_048, Duration::from_micros(999_100));
        assert!((usage.gb_seconds - 2.0).abs() < 1e-9);
    }

    #[test]
    fn the_vendors_own_example_costs_what_the_vendor_says() {
        // 3 million requests of 120 ms with 1536 MB: 540 000 GB-s, of which 140 000 are paid.
        let usage = Usage { requests: 3_000_000, gb_seconds: 540_000.0 };
        assert!((usage.price() - (2.333_338 + 0.40)).abs() < 1e-6, "{}", usage.price());
    }

    proptest! {
        #[test]
        fn the_price_never_falls_and_a_free_month_costs_nothing(
            requests in 0_u64..5_000_000, gb_seconds in 0.0..2e6, more in 0.0..1e6
        ) {
            let usage = Usage { requests, gb_seconds };
            prop_assert!(usage.price() <= usage.list_price());
            let longer = Usage { gb_seconds: gb_seconds + more, ..usage };
            prop_assert!(usage.price() <= longer.price());
            if requests <= FREE_REQUESTS && gb_seconds <= FREE_GB_SECONDS {
                prop_assert!(usage.price().abs() < 1e-12);
            }
        }
    }
}
