//! How the parameters of a policy are read: `key=value` pairs, each checked, none ignored.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;

/// Settings that make no policy: a sentence that says what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPolicy(pub(super) String);

/// A parameter in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its value, as it is written.
    pub value: String,
    /// What it means, in a line.
    pub help: &'static str,
}

/// The parameters that somebody gave, being read.
pub(super) struct Parameters<'a> {
    policy: &'static str,
    given: &'a [(String, String)],
    known: Vec<Parameter>,
}

/// The longest time that a parameter can be: no policy looks back or waits longer.
const LONGEST: Duration = Duration::from_hours(1);

impl<'a> Parameters<'a> {
    pub(super) fn new(policy: &'static str, given: &'a [(String, String)]) -> Self {
        Self { policy, given, known: Vec::new() }
    }

    /// Reads one, or takes the default; `needed` says what would be right.
    fn read<T>(
        &mut self,
        (name, help): (&'static str, &'static str),
        default: impl Display,
        needed: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, BadPolicy> {
        let given = self.given.iter().find(|(key, _)| key == name);
        let value = given.map_or_else(|| default.to_string(), |(_, value)| value.trim().to_owned());
        let read = read(&value).ok_or_else(|| {
            let shown: String = value.chars().take(80).collect();
            BadPolicy(format!("{name}={shown} of policy {}: {needed} is needed", self.policy))
        })?;
        self.known.push(Parameter { name, value, help });
        Ok(read)
    }

    /// A number within a range.
    pub(super) fn number(
        &mut self,
        name: &'static str,
        default: f64,
        range: RangeInclusive<f64>,
        help: &'static str,
    ) -> Result<f64, BadPolicy> {
        let needed = format!("a number from {} to {}", range.start(), range.end());
        self.read((name, help), default, &needed, |text| {
            text.parse().ok().filter(|number| range.contains(number))
        })
    }

    /// A whole number within a range.
    pub(super) fn whole(
        &mut self,
        name: &'static str,
        default: u32,
        range: RangeInclusive<u32>,
        help: &'static str,
    ) -> Result<u32, BadPolicy> {
        let needed = format!("a whole number from {} to {}", range.start(), range.end());
        self.read((name, help), default, &needed, |text| {
            text.parse().ok().filter(|number| range.contains(number))
        })
    }

    /// A length of time: `90s`, `5m`, or a number of seconds.
    pub(super) fn time(
        &mut self,
        name: &'static str,
        default: Duration,
        help: &'static str,
    ) -> Result<Duration, BadPolicy> {
        let needed = "a time from 0s to 1h, for example 90s,";
        self.read((name, help), format!("{}s", default.as_secs_f64()), needed, duration)
    }

    /// A length of time, or nothing where the value is `word`, the default.
    pub(super) fn time_or(
        &mut self,
        name: &'static str,
        word: &'static str,
        help: &'static str,
    ) -> Result<Option<Duration>, BadPolicy> {
        let needed = format!("a time from 0s to 1h, for example 90s, or {word}");
        self.read((name, help), word, &needed, |text| {
            if text == word { Some(None) } else { duration(text).map(Some) }
        })
    }

    /// One of a few words.
    pub(super) fn word<T: FromStr>(
        &mut self,
        name: &'static str,
        default: &str,
        needed: &str,
        help: &'static str,
    ) -> Result<T, BadPolicy> {
        self.read((name, help), default, needed, |text| text.parse().ok())
    }

    /// A text with a syntax of its own.
    pub(super) fn text<T>(
        &mut self,
        name: &'static str,
        default: &str,
        help: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, BadPolicy> {
        let given = self.given.iter().find(|(key, _)| key == name);
        let value = given.map_or_else(|| default.to_owned(), |(_, value)| value.trim().to_owned());
        let read = read(&value)
            .map_err(|error| BadPolicy(format!("{name} of policy {}: {error}", self.policy)))?;
        self.known.push(Parameter { name, value, help });
        Ok(read)
    }

    /// The parameters in force.
    ///
    /// # Errors
    /// A parameter that the policy does not have, or that was given twice.
    pub(super) fn finish(self) -> Result<Vec<Parameter>, BadPolicy> {
        for (at, (name, _)) in self.given.iter().enumerate() {
            let shown: String = name.chars().take(80).collect();
            if !self.known.iter().any(|known| known.name == name) {
                let names = self.known.iter().map(|known| known.name).collect::<Vec<_>>();
                return Err(BadPolicy(format!(
                    "policy {} has no parameter `{shown}`; it has {}",
                    self.policy,
                    names.join(", ")
                )));
            }
            if self.given[..at].iter().any(|(before, _)| before == name) {
                return Err(BadPolicy(format!("`{shown}` of policy {} twice", self.policy)));
            }
        }
        Ok(self.known)
    }
}

/// Takes `NAME key=value …` apart. A word without `=` goes on with the value before it, so that a
/// value may have spaces: `scheduled times=08:00 6, 20:00 2`.
pub fn named(text: &str) -> (String, Vec<(String, String)>) {
    let mut words = text.split_whitespace();
    let name = words.next().unwrap_or_default().to_owned();
    let mut pairs = Vec::<(String, String)>::new();
    for word in words {
        match (word.split_once('='), pairs.last_mut()) {
            (Some((key, value)), _) => pairs.push((key.to_owned(), value.to_owned())),
            (None, Some((_, value))) => {
                value.push(' ');
                value.push_str(word);
            }
            (None, None) => pairs.push((word.to_owned(), String::new())),
        }
    }
    (name, pairs)
}

/// Reads `90s`, `5m`, `1h 30m`, or a number of seconds.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let time = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => Duration::try_from(text.parse::<SignedDuration>().ok()?).ok()?,
    };
    (time <= LONGEST).then_some(time)
}
