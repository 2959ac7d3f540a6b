//! Settings: flag over environment over file over default, and where each value came from.
//!
//! Every setting is one row of the table in [`KEYS`]: its name in `cumulet.toml`, what it means,
//! and how to read and show it. The file, the environment (`CUMULET_` and the name in capitals,
//! dots as `_`) and the command line (`--set name=value`) all go through that row, so a value
//! means the same wherever it is written.

mod alerts;
mod keys;
mod settings;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use alerts::Alert;
pub use keys::{KEYS, Key};
pub use settings::{Autoscaler, Balancer, Functions, Hooks, Limits, Records, Screen, Settings};
pub use value::time;

/// The file that is read from the current folder if it is there.
pub const DEFAULT_FILE: &str = "cumulet.toml";
/// What every environment variable of ours begins with.
pub const ENVIRONMENT_PREFIX: &str = "CUMULET_";

/// The shortest time between two reports of a VM: a report costs about a millisecond of CPU.
const SHORTEST_PERIOD: Duration = Duration::from_millis(10);

/// The most VMs that may be ordered at once: each is a process, and a line of ASState.xml.
const MOST_VMS: u32 = 10_000;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything else.
    Default,
    /// The settings file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// The command line.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// A setting from the command line: the name in `cumulet.toml`, the value, and the flag as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// The name of the setting.
    pub key: String,
    /// Its value.
    pub value: String,
    /// What the person typed, for messages.
    pub typed: String,
}

/// Settings that were given badly. The message says what, where and what would be right.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

/// Settings in force, and where each came from.
#[derive(Debug, Clone)]
pub struct Config {
    /// The values.
    pub settings: Settings,
    /// The file they were read from, if there was one.
    pub file: Option<PathBuf>,
    sources: BTreeMap<&'static str, Source>,
}

impl Config {
    /// Reads the settings: from `file` (or [`DEFAULT_FILE`] in the current folder, if it exists),
    /// then `environment`, then `flags`, the later over the earlier.
    ///
    /// # Errors
    /// A file that cannot be read or is not TOML, an unknown name (with the nearest known one), a
    /// value that does not fit, values that contradict each other.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &[Flag],
    ) -> Result<Self, Error> {
        let default_file = Path::new(DEFAULT_FILE);
        let file = file.or_else(|| default_file.exists().then_some(default_file));
        let mut config = Self {
            settings: Settings::default(),
            file: file.map(Path::to_path_buf),
            sources: BTreeMap::new(),
        };
        if let Some(path) = file {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Error(format!("cannot read {}: {error}", path.display())))?;
            config.apply_file(path, &text)?;
        }
        for (name, value) in environment {
            if let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) {
                config.apply_environment(&name, rest, &value)?;
            }
        }
        for flag in flags {
            let key = find(&flag.key).map_err(|hint| Error(format!("{}: {hint}", flag.typed)))?;
            config.set(key, &flag.value, Source::Flag(flag.typed.clone()))?;
        }
        config.check()?;
        Ok(config)
    }

    /// Every setting with its value as text and its source, in the order of the table.
    pub fn rows(&self) -> impl Iterator<Item = (&'static Key, String, Source)> + '_ {
        KEYS.iter().map(|key| {
            let source = self.sources.get(key.name).cloned().unwrap_or(Source::Default);
            (key, (key.show)(&self.settings), source)
        })
    }

    /// A setting's value as text.
    pub fn shown(&self, key: &Key) -> String {
        (key.show)(&self.settings)
    }

    /// The settings that an image names, over all others. `path` is its file, for messages.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn apply_image(
        &mut self,
        path: &Path,
        settings: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        for (name, value) in settings {
            let key = find(name).map_err(|hint| Error(format!("{}: {hint}", path.display())))?;
            self.set(key, value, Source::File(path.to_path_buf()))?;
        }
        self.check()
    }

    /// The settings that came from the command line or the environment, to hand on to another
    /// process, whose command line then tells them.
    pub fn flags(&self) -> Vec<(&'static str, String)> {
        self.rows()
            .filter(|(_, _, source)| matches!(source, Source::Flag(_) | Source::Environment(_)))
            .map(|(key, value, _)| (key.name, value))
            .collect()
    }

    fn set(&mut self, key: &'static Key, value: &str, source: Source) -> Result<(), Error> {
        (key.set)(&mut self.settings, value)
            .map_err(|problem| Error(format!("{source}: `{}` = `{value}`: {problem}", key.name)))?;
        self.sources.insert(key.name, source);
        Ok(())
    }

    fn apply_environment(&mut self, name: &str, rest: &str, value: &str) -> Result<(), Error> {
        let known = KEYS.iter().find(|key| key.environment_name() == rest);
        let Some(key) = known else {
            let names = KEYS.iter().map(Key::environment_name).collect::<Vec<_>>();
            let nearest = nearest(rest, names.iter().map(String::as_str))
                .map(|near| format!("; did you mean {ENVIRONMENT_PREFIX}{near}?"))
                .unwrap_or_default();
            return Err(Error(format!("environment: no setting is called {name}{nearest}")));
        };
        self.set(key, value, Source::Environment(name.to_owned()))
    }

    fn apply_file(&mut self, path: &Path, text: &str) -> Result<(), Error> {
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| Error(format!("{}: {error}", path.display())))?;
        for (name, value) in &table {
            match (name.as_str(), value) {
                ("instance_types", toml::Value::Table(types)) => {
                    for (name, fields) in types {
                        let parsed = value::instance_type(name, fields).map_err(|problem| {
                            let path = path.display();
                            Error(format!("{path}: [instance_types.\"{name}\"]: {problem}"))
                        })?;
                        self.settings.instance_types.insert(name.clone(), parsed);
                    }
                }
                ("alert", toml::Value::Array(entries)) => {
                    for (place, entry) in (1..).zip(entries) {
                        let alert = alerts::read(entry, &self.settings.alerts);
                        self.settings.alerts.push(alert.map_err(|problem| {
                            Error(format!("{}: [[alert]] {place}: {problem}", path.display()))
                        })?);
                    }
                }
                (section, toml::Value::Table(entries)) => {
                    if entries.is_empty() && !KEYS.iter().any(|key| key.is_in(section)) {
                        find(section)
                            .map_err(|hint| Error(format!("{}: {hint}", path.display())))?;
                    }
                    for (name, value) in entries {
                        self.apply_entry(path, &format!("{section}.{name}"), value)?;
                    }
                }
                (name, value) => self.apply_entry(path, name, value)?,
            }
        }
        Ok(())
    }

    fn apply_entry(&mut self, path: &Path, name: &str, value: &toml::Value) -> Result<(), Error> {
        let at = |problem: String| Error(format!("{}: {problem}", path.display()));
        let key = find(name).map_err(at)?;
        let text = match value {
            toml::Value::Table(pairs) if key.is_pairs => value::as_pairs(pairs)
                .ok_or_else(|| at(format!("[{name}]: each value must be a text, such as \"L\"")))?,
            value => value::as_text(value)
                .ok_or_else(|| at(format!("`{name}` must be a text, a number or true or false")))?,
        };
        self.set(key, &text, Source::File(path.to_path_buf()))
    }

    /// What no single value shows.
    fn check(&self) -> Result<(), Error> {
        let settings = &self.settings;
        let scaling = &settings.autoscaler;
        if scaling.minimum > scaling.maximum {
            return Err(Error(format!(
                "autoscaler.minimum is {} and autoscaler.maximum is {}: the minimum must not be \
                 above the maximum",
                scaling.minimum, scaling.maximum
            )));
        }
        if scaling.warm_pool > scaling.maximum {
            return Err(Error(format!(
                "autoscaler.warm_pool is {} and autoscaler.maximum is {}: more VMs than there may \
                 ever be need not wait",
                scaling.warm_pool, scaling.maximum
            )));
        }
        let at_once = [("vms", settings.vms), ("autoscaler.warm_pool", scaling.warm_pool)];
        if let Some((name, number)) = at_once.into_iter().find(|(_, number)| *number > MOST_VMS) {
            return Err(Error(format!("{name} is {number}: at most {MOST_VMS} are possible")));
        }
        scaling.check_policy()?;
        if settings.report_every < SHORTEST_PERIOD {
            return Err(Error(format!(
                "report_every is {:?}: at least {SHORTEST_PERIOD:?} is needed",
                settings.report_every
            )));
        }
        if settings.balancer.max_attempts == 0 {
            return Err(Error("balancer.max_attempts is 0: at least 1 is needed".to_owned()));
        }
        if !settings.instance_types.contains_key(&settings.instance_type) {
            let names = settings.instance_types.keys().map(String::as_str).collect::<Vec<_>>();
            return Err(Error(format!(
                "no instance type is called `{}`; there are {}",
                settings.instance_type,
                names.join(", ")
            )));
        }
        Ok(())
    }
}

/// The row of a setting, or a sentence that names the nearest one.
fn find(name: &str) -> Result<&'static Key, String> {
    KEYS.iter().find(|key| key.name == name).ok_or_else(|| {
        let nearest = nearest(name, KEYS.iter().map(|key| key.name))
            .map_or_else(|| "; `cumulet config` lists them all".to_owned(), did_you_mean);
        format!("no setting is called `{name}`{nearest}")
    })
}

fn did_you_mean(name: &str) -> String {
    format!("; did you mean `{name}`?")
}

/// The known name that looks most like the one that was typed, if any looks like it at all.
pub(crate) fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// Below this similarity (Jaro-Winkler) a suggestion confuses more than it helps.
    const ALIKE: f64 = 0.75;
    known
        .map(|name| (strsim::jaro_winkler(typed, name), name))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests;
