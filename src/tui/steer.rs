//! A policy and limits as they are typed, and what they would have made of the last minutes.

use std::fmt;

use super::data::Data;
use super::replay::{self, Replayed};
use crate::domain::scaling::{self, Defaults, Parameter, Policy};
use crate::state::as_state::AsStateFile;

/// The words that stand for the limits beside the parameters of a policy.
const LIMITS: [&str; 2] = ["minimum", "maximum"];

/// A policy and limits that make sense.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Steering {
    /// Name of the policy.
    pub(crate) policy: String,
    /// Its parameters as they were typed.
    pub(crate) parameters: Vec<(String, String)>,
    /// Fewest and most VMs, if they are to change.
    pub(crate) limits: Option<(u32, u32)>,
    /// What the policy takes where nothing was typed.
    pub(crate) defaults: Defaults,
}

// The defaults come from settings, in which no number is a NaN.
impl Eq for Steering {}

impl fmt::Display for Steering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.policy)?;
        self.parameters.iter().try_for_each(|(key, value)| write!(f, " {key}={value}"))?;
        match self.limits {
            Some((minimum, u32::MAX)) => write!(f, ", at least {minimum} VMs"),
            Some((minimum, maximum)) => write!(f, ", {minimum} to {maximum} VMs"),
            None => Ok(()),
        }
    }
}

/// What is in force, as it would be typed; none without an ASState.xml.
pub(crate) fn in_force(data: &Data) -> Option<String> {
    let file = data.as_state.document.as_ref()?;
    let mut text = name_of(file).to_owned();
    for (key, value) in &file.parameters {
        text = format!("{text} {key}={value}");
    }
    text = format!("{text} minimum={}", file.minimum);
    if file.maximum != u32::MAX {
        text = format!("{text} maximum={}", file.maximum);
    }
    Some(text)
}

fn name_of(file: &AsStateFile) -> &str {
    if file.policy.is_empty() { scaling::DEFAULT } else { &file.policy }
}

/// Reads `staffing wait=0.1 minimum=1 maximum=8`. Limits that are not named stay as they are.
///
/// # Errors
/// A sentence on what is wrong.
pub(crate) fn parse(data: &Data, input: &str) -> Result<Steering, String> {
    let file = data.as_state.document.as_ref().ok_or("there is no ASState.xml yet")?;
    let (policy, given) = scaling::named(input);
    let (limits, parameters): (Vec<_>, Vec<_>) =
        given.into_iter().partition(|(key, _)| LIMITS.contains(&key.as_str()));
    let limit = |name: &str, stays: u32| match limits.iter().find(|(key, _)| key == name) {
        None => Ok(stays),
        Some((_, value)) => {
            value.parse().map_err(|_| format!("{name}={value}: a whole number is needed"))
        }
    };
    let minimum = limit("minimum", file.minimum)?;
    let maximum = limit("maximum", file.maximum)?;
    if minimum > maximum {
        return Err(format!("the minimum {minimum} is above the maximum {maximum}"));
    }
    let defaults = data.known.autoscaler.policy_defaults();
    Policy::read(&policy, &parameters, &defaults).map_err(|error| error.to_string())?;
    let changed = (minimum, maximum) != (file.minimum, file.maximum);
    Ok(Steering { policy, parameters, limits: changed.then_some((minimum, maximum)), defaults })
}

/// The policy in force with all its parameters.
pub(crate) fn parameters_in_force(data: &Data) -> Option<(String, Vec<Parameter>)> {
    let file = data.as_state.document.as_ref()?;
    let defaults = data.known.autoscaler.policy_defaults();
    let (_, parameters) = Policy::read(name_of(file), &file.parameters, &defaults).ok()?;
    Some((name_of(file).to_owned(), parameters))
}

/// What a policy under trial looks like: its parameters, and what it would have done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trial {
    /// All parameters that would be in force.
    pub(crate) parameters: Vec<Parameter>,
    /// What is in force, thought through over the same load; none without a load.
    pub(crate) before: Option<Replayed>,
    /// What was typed, thought through.
    pub(crate) after: Option<Replayed>,
}

/// Thinks what was typed through, beside what is in force.
///
/// # Errors
/// As [`parse`].
pub(crate) fn trial(data: &Data, input: &str) -> Result<Trial, String> {
    let steering = parse(data, input)?;
    let file = data.as_state.document.as_ref().ok_or("there is no ASState.xml yet")?;
    let read = |name: &str, parameters: &[(String, String)]| {
        Policy::read(name, parameters, &steering.defaults).map_err(|error| error.to_string())
    };
    let now = (file.minimum, file.maximum);
    let (policy, parameters) = read(&steering.policy, &steering.parameters)?;
    let in_force = read(name_of(file), &file.parameters).ok();
    Ok(Trial {
        parameters,
        before: in_force.and_then(|(policy, _)| replay::replay(data, &policy, now)),
        after: replay::replay(data, &policy, steering.limits.unwrap_or(now)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::fixture::{model, scaling};

    #[test]
    fn what_is_in_force_can_be_typed_again_and_changes_nothing() {
        let data = model(scaling()).live;
        let text = in_force(&data).unwrap();
        assert_eq!(text, "target-tracking minimum=2 maximum=8");
        let steering = parse(&data, &text).unwrap();
        assert_eq!((steering.policy.as_str(), steering.limits), ("target-tracking", None));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_would() {
        let data = model(scaling()).live;
        for (input, words) in [
            ("magic", "there is no policy called `magic`"),
            ("staffing wiat=0.1", "it has wait"),
            ("staffing wait=2", "a number from 0.001 to 0.9"),
            ("staffing minimum=9", "the minimum 9 is above the maximum 8"),
            ("staffing maximum=many", "a whole number is needed"),
            ("", "there is no policy called ``"),
        ] {
            let problem = parse(&data, input).unwrap_err();
            assert!(problem.contains(words), "{input}: {problem}");
        }
    }
}
