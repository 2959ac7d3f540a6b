//! Which kinds of requests are sent, and how often each.

use std::fmt;
use std::str::FromStr;

use crate::workload::imaging::Filter;

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Workload {
    /// A picture blurred.
    Blur,
    /// A picture enhanced.
    Enhance,
    /// A scene rendered.
    Raytrace,
    /// The one request that was given word for word.
    Request,
}

/// All of them, in the order in which they are listed.
pub const ALL: [Workload; 4] =
    [Workload::Blur, Workload::Enhance, Workload::Raytrace, Workload::Request];

impl Workload {
    /// Its word in mixes, traces and reports; for the first three the same as in `metrics.txt`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blur => "blur",
            Self::Enhance => "enhance",
            Self::Raytrace => "raytrace",
            Self::Request => "request",
        }
    }

    /// What it does to a picture, if that is what it does.
    pub fn filter(self) -> Option<Filter> {
        match self {
            Self::Blur => Some(Filter::Blur),
            Self::Enhance => Some(Filter::Enhance),
            Self::Raytrace | Self::Request => None,
        }
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ALL.into_iter().find(|workload| workload.as_str() == text).ok_or_else(|| {
            format!("`{text}` is no workload: there are blur, enhance, raytrace and request")
        })
    }
}

/// Workloads and their shares: `blur=1,enhance=1,raytrace=2` is a quarter, a quarter and a half.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix(Vec<(Workload, f64)>);

impl Mix {
    /// The workloads with a share above nothing.
    pub fn workloads(&self) -> impl Iterator<Item = Workload> {
        self.0.iter().map(|(workload, _)| *workload)
    }

    /// The place in [`Self::workloads`] of the one that stands at `point` (0 to 1) of all shares
    /// laid end to end.
    pub fn at(&self, point: f64) -> usize {
        let total = self.0.iter().map(|(_, share)| share).sum::<f64>();
        let mut left = point * total;
        let found = self.0.iter().position(|(_, share)| {
            left -= share;
            left < 0.0
        });
        found.unwrap_or(self.0.len().saturating_sub(1))
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut shares: Vec<(Workload, f64)> = Vec::new();
        for part in text.split(',') {
            let (word, share) = part.split_once('=').unwrap_or((part, "1"));
            let workload = word.trim().parse()?;
            let number = share.trim().parse::<f64>().ok();
            let share = number.filter(|n| n.is_finite() && *n >= 0.0).ok_or_else(|| {
                format!("the share of {word} cannot be `{share}`: a number is needed")
            })?;
            if shares.iter().any(|(other, _)| *other == workload) {
                return Err(format!("{word} is named twice"));
            }
            shares.push((workload, share));
        }
        shares.retain(|(_, share)| *share > 0.0);
        if shares.is_empty() {
            return Err("every share is 0, so nothing would be sent".to_owned());
        }
        Ok(Self(shares))
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (workload, share)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{}={share}", workload.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_proportions() {
        let mix: Mix = "blur=1,raytrace=3,enhance=0".parse().unwrap();
        assert_eq!(mix.workloads().collect::<Vec<_>>(), [Workload::Blur, Workload::Raytrace]);
        let places = [0.0, 0.24, 0.26, 0.999, 1.0].map(|point| mix.at(point));
        assert_eq!(places, [0, 0, 1, 1, 1]);
        assert_eq!(mix.to_string(), "blur=1,raytrace=3");
    }

    #[test]
    fn a_mix_that_makes_no_sense_is_refused_with_what_would() {
        for (text, said) in [
            ("blurr=1", "there are blur"),
            ("blur=x", "a number is needed"),
            ("blur=-1", "a number is needed"),
            ("blur=inf", "a number is needed"),
            ("blur=1,blur=2", "named twice"),
            ("blur=0", "nothing would be sent"),
            ("", "is no workload"),
        ] {
            let error = text.parse::<Mix>().unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
        assert_eq!("blur,enhance".parse::<Mix>(), "blur=1,enhance=1".parse());
    }
}
