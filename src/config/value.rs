//! How the values of settings are read and shown.

use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;

use crate::domain::balancing::Policy;
use crate::domain::instance_type::InstanceType;
use crate::domain::overflow;
use crate::domain::termination::Termination;
use crate::domain::vm::{Failing, UnknownWord};
use crate::units::Share;

/// The longest time that a setting can be: far beyond any use, and small enough to be added to any
/// moment.
const LONGEST: Duration = Duration::from_hours(30 * 24);
/// The most vCPUs of an instance type: each is a thread of every request.
const MOST_VCPUS: u32 = 1024;
/// The least memory of an instance type, in bytes: an idle VM takes about 12 MiB of it.
const LEAST_MEMORY: u64 = 64 << 20;

/// A type that a setting can have. A refusal is a sentence about what would be right.
pub(super) trait Value: Sized {
    fn read(text: &str) -> Result<Self, String>;
    fn show(&self) -> String;
}

macro_rules! whole_number {
    ($($type:ty),+) => {$(
        impl Value for $type {
            fn read(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| {
                    format!("a whole number from 0 to {} is needed", <$type>::MAX)
                })
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )+};
}
whole_number!(u16, u32, u64);

impl Value for f64 {
    fn read(text: &str) -> Result<Self, String> {
        let number = text.parse::<Self>().ok().filter(|n| n.is_finite() && *n >= 0.0);
        number.ok_or_else(|| "a number that is not negative is needed".to_owned())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for Share {
    fn read(text: &str) -> Result<Self, String> {
        text.parse()
            .ok()
            .filter(|share: &Self| share.get() > 0.0)
            .ok_or_else(|| "a share above 0 and up to 1 is needed, for example 0.6".to_owned())
    }

    fn show(&self) -> String {
        self.get().to_string()
    }
}

impl Value for String {
    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("it must not be empty".to_owned()) } else { Ok(text.to_owned()) }
    }

    fn show(&self) -> String {
        self.clone()
    }
}

/// Nothing is an empty text.
impl Value for Option<String> {
    fn read(text: &str) -> Result<Self, String> {
        Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
    }

    fn show(&self) -> String {
        self.clone().unwrap_or_default()
    }
}

impl Value for Termination {
    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: UnknownWord| error.to_string())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for Failing {
    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: UnknownWord| error.to_string())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for Policy {
    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: UnknownWord| error.to_string())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for overflow::Mode {
    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: UnknownWord| error.to_string())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for PathBuf {
    fn read(text: &str) -> Result<Self, String> {
        String::read(text).map(Self::from)
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Value for Duration {
    /// A number with its unit, `5s`, `200ms`, `1m 30s`; a bare number is seconds.
    fn read(text: &str) -> Result<Self, String> {
        let time = match text.parse::<f64>() {
            Ok(seconds) => Self::try_from_secs_f64(seconds).ok(),
            Err(_) => text.parse::<SignedDuration>().ok().and_then(|time| time.try_into().ok()),
        };
        match time {
            Some(time) if time > LONGEST => Err("a time of at most 30 days is needed".to_owned()),
            Some(time) => Ok(time),
            None => Err("a time with its unit is needed, for example 5s, 200ms or 1m".to_owned()),
        }
    }

    fn show(&self) -> String {
        format!("{:#}", SignedDuration::try_from(*self).unwrap_or(SignedDuration::MAX))
    }
}

/// A time as settings and arguments have it: a number with its unit, or of seconds.
///
/// # Errors
/// A sentence about what would be right.
pub fn time(text: &str) -> Result<Duration, String> {
    Duration::read(text)
}

/// A TOML value as the text that stands for it everywhere else; none for tables, lists and dates.
pub(super) fn as_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// A TOML table of texts as the text that stands for it everywhere else, `name=text …`; none if it
/// holds anything else, or a text with a gap in it.
pub(super) fn as_pairs(table: &toml::Table) -> Option<String> {
    let pair = |(name, value): (&String, &toml::Value)| {
        let text = value.as_str().filter(|text| !text.contains(char::is_whitespace))?;
        Some(format!("{name}={text}"))
    };
    let pairs = table.iter().map(pair).collect::<Option<Vec<_>>>()?;
    Some(pairs.join(" "))
}

impl Value for bool {
    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "true or false is needed".to_owned())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// An instance type of the user's own. Of CPU credits, what it does not say follows from the
/// baseline by the vendor's rule.
pub(super) fn instance_type(name: &str, fields: &toml::Value) -> Result<InstanceType, String> {
    const KNOWN: &str = "vcpus, memory_mib, baseline, credits_per_hour, launch_credits, \
                         max_credits, unlimited, price_per_hour and boot";
    let fields = fields.as_table().ok_or("a table of its figures is needed")?;
    let mut made = InstanceType {
        name: name.to_owned(),
        vcpus: None,
        memory_bytes: None,
        baseline: None,
        credits_per_hour: 0.0,
        launch_credits: 0.0,
        max_credits: 0.0,
        unlimited: false,
        price_per_hour: 0.0,
        boot: Duration::ZERO,
    };
    let (mut per_hour, mut maximum) = (None, None);
    for (field, value) in fields {
        let text = as_text(value).ok_or_else(|| format!("`{field}` must be a number or a text"))?;
        let at = |problem| format!("`{field}` = `{text}`: {problem}");
        match field.as_str() {
            "vcpus" => made.vcpus = Some(u32::read(&text).map_err(at)?),
            "memory_mib" => {
                made.memory_bytes = Some(u64::read(&text).map_err(at)?.saturating_mul(1 << 20));
            }
            "baseline" => made.baseline = Some(Share::read(&text).map_err(at)?),
            "credits_per_hour" => per_hour = Some(f64::read(&text).map_err(at)?),
            "launch_credits" => made.launch_credits = f64::read(&text).map_err(at)?,
            "max_credits" => maximum = Some(f64::read(&text).map_err(at)?),
            "unlimited" => made.unlimited = bool::read(&text).map_err(at)?,
            "price_per_hour" => made.price_per_hour = f64::read(&text).map_err(at)?,
            "boot" => made.boot = Duration::read(&text).map_err(at)?,
            unknown => return Err(format!("an instance type has no `{unknown}`; it has {KNOWN}")),
        }
    }
    check_size(&made)?;
    complete_credits(&mut made, per_hour, maximum)?;
    Ok(made)
}

fn check_size(made: &InstanceType) -> Result<(), String> {
    if made.vcpus.is_some_and(|vcpus| !(1..=MOST_VCPUS).contains(&vcpus)) {
        return Err(format!(
            "`vcpus` must be 1 to {MOST_VCPUS}; leave it out for a type without a limit"
        ));
    }
    if made.memory_bytes.is_some_and(|bytes| bytes < LEAST_MEMORY) {
        return Err(format!("`memory_mib` must be at least {}", LEAST_MEMORY >> 20));
    }
    Ok(())
}

/// The figures of a burstable type that follow from each other.
fn complete_credits(
    made: &mut InstanceType,
    per_hour: Option<f64>,
    maximum: Option<f64>,
) -> Result<(), String> {
    let Some(baseline) = made.baseline else {
        let has_any = per_hour.or(maximum).is_some() || made.unlimited || made.launch_credits > 0.0;
        return if has_any { Err("CPU credits need a `baseline`".to_owned()) } else { Ok(()) };
    };
    let vcpus = made.vcpus.ok_or("a `baseline` needs `vcpus`")?;
    let earned = baseline.get() * f64::from(vcpus) * 60.0;
    if per_hour.is_some_and(|said| (said - earned).abs() > 0.01 * earned) {
        return Err(format!(
            "`credits_per_hour` must be baseline × vcpus × 60 = {earned}, so that at its baseline \
             a VM spends what it earns; leave it out"
        ));
    }
    made.credits_per_hour = earned;
    made.max_credits = maximum.unwrap_or(24.0 * earned);
    Ok(())
}
