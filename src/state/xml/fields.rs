//! Taking an element apart, and how numbers and times are written.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

use super::{Attribute, Element, Foreign, Node, Problem};
use crate::units::Share;

/// An element being read. What is asked for is known; what is left in the end is foreign.
pub(in crate::state) struct Fields<'a> {
    element: &'a Element,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub(in crate::state) fn of(element: &'a Element) -> Self {
        Self { element, known: Vec::new() }
    }

    fn find(&mut self, name: &'static str) -> Option<&'a Attribute> {
        self.known.push(name);
        self.element.attributes.iter().find(|attribute| attribute.name == name)
    }

    /// The attribute, if it is there, as `parse` understands it; `expected` completes the sentence
    /// "`value` is not …".
    fn optional<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(attribute) = self.find(name) else { return Ok(None) };
        match parse(&attribute.value) {
            Some(value) => Ok(Some(value)),
            None => Err(self.bad(attribute, &format!("`{}` is not {expected}", attribute.value))),
        }
    }

    fn bad(&self, attribute: &Attribute, why: &str) -> Problem {
        let message = format!("attribute `{}` of <{}>: {why}", attribute.name, self.element.name);
        Problem::new(attribute.at, message)
    }

    /// What an attribute that must be there says.
    pub(in crate::state) fn required<T>(&self, name: &str, value: Option<T>) -> Result<T, Problem> {
        value.ok_or_else(|| {
            let message = format!("<{}> needs the attribute `{name}`", self.element.name);
            Problem::new(self.element.at, message)
        })
    }

    /// A text of any kind.
    pub(in crate::state) fn text(&mut self, name: &'static str) -> Option<String> {
        self.find(name).map(|attribute| attribute.value.clone())
    }

    /// A value whose own error says what it should have been.
    pub(in crate::state) fn word<T>(&mut self, name: &'static str) -> Result<Option<T>, Problem>
    where
        T: FromStr,
        T::Err: Display,
    {
        let Some(attribute) = self.find(name) else { return Ok(None) };
        attribute
            .value
            .parse()
            .map(Some)
            .map_err(|error: T::Err| self.bad(attribute, &error.to_string()))
    }

    /// A whole number.
    pub(in crate::state) fn whole<T>(&mut self, name: &'static str) -> Result<Option<T>, Problem>
    where
        T: TryFrom<u64>,
    {
        let bits = 8 * size_of::<T>();
        self.optional(name, &format!("a whole number from 0 to 2^{bits} - 1"), |text| {
            let digits =
                Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
            T::try_from(digits.parse().ok()?).ok()
        })
    }

    /// A number that is not negative.
    pub(in crate::state) fn decimal(&mut self, name: &'static str) -> Result<Option<f64>, Problem> {
        self.optional(name, "a number that is 0 or more", |text| {
            text.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0)
        })
    }

    /// A number of either sign.
    pub(in crate::state) fn number(&mut self, name: &'static str) -> Result<Option<f64>, Problem> {
        self.optional(name, "a number", |text| {
            text.parse().ok().filter(|value: &f64| value.is_finite())
        })
    }

    /// A number between 0 and 1.
    pub(in crate::state) fn share(&mut self, name: &'static str) -> Result<Option<Share>, Problem> {
        self.optional(name, "a number between 0 and 1", |text| text.parse().ok())
    }

    /// A length of time, in seconds.
    pub(in crate::state) fn seconds(
        &mut self,
        name: &'static str,
    ) -> Result<Option<Duration>, Problem> {
        self.optional(name, "a number of seconds", |text| {
            let seconds: f64 = text.parse().ok()?;
            let millis = (seconds * 1000.0).round();
            // Whole milliseconds: what the file says is what a reader gets, to the last digit.
            Duration::try_from_secs_f64(millis / 1000.0).ok().map(round_to_millis)
        })
    }

    /// `true` or `false`.
    pub(in crate::state) fn truth(&mut self, name: &'static str) -> Result<Option<bool>, Problem> {
        self.optional(name, "true or false", |text| match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    }

    /// An instant.
    pub(in crate::state) fn time(
        &mut self,
        name: &'static str,
    ) -> Result<Option<Timestamp>, Problem> {
        self.optional(name, "a time such as 2026-11-21T22:41:05.130Z", |text| text.parse().ok())
    }

    /// What nobody asked for: attributes, and of the children those that `known` does not take.
    ///
    /// # Errors
    /// Those of `known`, and text where only elements belong.
    pub(in crate::state) fn foreign(
        self,
        mut known: impl FnMut(&'a Element) -> Result<bool, Problem>,
    ) -> Result<Foreign, Problem> {
        let mut foreign = Foreign { comments: self.element.comments.clone(), ..Foreign::default() };
        for attribute in &self.element.attributes {
            if !self.known.contains(&attribute.name.as_str()) {
                foreign.attributes.push((attribute.name.clone(), attribute.value.clone()));
            }
        }
        for child in &self.element.children {
            match child {
                Node::Element(child) if known(child)? => {}
                Node::Text(text) if !text.trim().is_empty() => {
                    let found: String = text.trim().chars().take(40).collect();
                    let message = format!("text inside <{}>: `{found}`", self.element.name);
                    return Err(Problem::new(self.element.at, message));
                }
                child => foreign.children.push(child.clone()),
            }
        }
        Ok(foreign)
    }
}

/// The same time in whole milliseconds, as files hold it.
fn round_to_millis(time: Duration) -> Duration {
    let millis = time.saturating_add(Duration::from_micros(500)).as_millis();
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// A number with at most three decimals. One that is not finite is written as 0.
pub(in crate::state) fn decimal(value: f64) -> String {
    let rounded = (value * 1000.0).round() / 1000.0;
    let shown = if rounded.is_finite() { rounded } else { value };
    // Adding zero turns -0 into 0.
    if shown.is_finite() { (shown + 0.0).to_string() } else { "0".to_owned() }
}

/// Seconds with three decimals.
pub(in crate::state) fn milliseconds(time: Duration) -> String {
    let time = round_to_millis(time);
    format!("{}.{:03}", time.as_secs(), time.subsec_millis())
}

/// An instant as RFC 3339, UTC, with milliseconds; finer digits are cut off.
pub(in crate::state) fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}
