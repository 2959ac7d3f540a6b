//! Settings: flag over environment over file over default, and where each value came from.
//!
//! Every setting is one row of the table in [`KEYS`]: its name in `cumulet.toml`, what it means,
//! and how to read and show it. The file, the environment (`CUMULET_` and the name in capitals,
//! dots as `_`) and the command line (`--set name=value`) all go through that row, so a value
//! means the same wherever it is written.

mod alerts;
mod keys;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::balancing::Policy;
use crate::domain::instance_type::{self, InstanceType};
use crate::domain::termination::Termination;
use crate::domain::vm::Failing;
use crate::domain::{overflow, scaling};
use crate::units::Share;

pub use alerts::Alert;
pub use keys::{KEYS, Key};
pub use value::time;

/// The file that is read from the current folder if it is there.
pub const DEFAULT_FILE: &str = "cumulet.toml";
/// What every environment variable of ours begins with.
pub const ENVIRONMENT_PREFIX: &str = "CUMULET_";

/// The shortest time between two reports of a VM: a report costs about a millisecond of CPU.
const SHORTEST_PERIOD: Duration = Duration::from_millis(10);

/// All settings, with their defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The state folder.
    pub state: PathBuf,
    /// Port of the balancer; 0 is any free one.
    pub port: u16,
    /// Port of the balancer's admin answers, on loopback only; 0 is any free one.
    pub admin_port: u16,
    /// VMs to start with.
    pub vms: u32,
    /// Type of a VM of which nothing else is said.
    pub instance_type: String,
    /// What the boot time of the instance type is multiplied with.
    pub boot_scale: f64,
    /// How many times faster than the clock CPU credits are earned and spent.
    pub credit_scale: f64,
    /// How often a VM reports.
    pub report_every: Duration,
    /// How long a draining VM may take to finish what it has.
    pub drain_limit: Duration,
    /// A VM that neither reports nor answers for this long is killed and replaced.
    pub replace_silent_after: Duration,
    /// From the launch of a VM until its silence counts.
    pub health_grace: Duration,
    /// VMs launched in a minute, at most.
    pub launches_per_minute: u32,
    /// Commands of the user's in the life of a VM.
    pub hooks: Hooks,
    /// The autoscaler's.
    pub autoscaler: Autoscaler,
    /// The balancer's.
    pub balancer: Balancer,
    /// How the screen looks and which keys it takes.
    pub screen: Screen,
    /// The functions'.
    pub functions: Functions,
    /// How long what happened is kept.
    pub records: Records,
    /// Bounds on requests.
    pub limits: Limits,
    /// Instance types by name: those that come with Cumulet, and those of `[instance_types.NAME]`.
    pub instance_types: BTreeMap<String, InstanceType>,
    /// What is to be told to whom: each `[[alert]]`.
    pub alerts: Vec<Alert>,
}

/// Settings of the autoscaler.
#[derive(Debug, Clone, PartialEq)]
pub struct Autoscaler {
    /// The policy and its parameters, `NAME key=value …`, where ASState.xml does not say it.
    pub policy: String,
    /// Mean CPU share of the running VMs that it aims at.
    pub target_cpu: Share,
    /// Fewest VMs.
    pub minimum: u32,
    /// Most VMs.
    pub maximum: u32,
    /// Pause after a scale-out before the next.
    pub scale_out_cooldown: Duration,
    /// Pause after any change before a scale-in.
    pub scale_in_cooldown: Duration,
    /// How long a VM must have run before its CPU share counts.
    pub warm_up: Duration,
    /// The time over which CPU shares are averaged.
    pub window: Duration,
    /// Which VM goes first when there are too many.
    pub termination: Termination,
    /// VMs that have booted and wait to be wanted.
    pub warm_pool: u32,
}

/// Commands of the user's in the life of a VM.
#[derive(Debug, Clone, PartialEq)]
pub struct Hooks {
    /// Run when a VM has booted, before it serves.
    pub launch: Option<String>,
    /// Run when a VM that was told to stop has answered its last request.
    pub terminate: Option<String>,
    /// How long either may take.
    pub timeout: Duration,
    /// What a launch hook that fails or takes too long means.
    pub default_result: Failing,
}

/// How the screen looks and which keys it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screen {
    /// `auto`, `dark`, `light` or `mono`.
    pub theme: String,
    /// `auto`, `braille`, `block` or `ascii`.
    pub symbols: String,
    /// Keys instead of those that come with it, `NAME=KEY …`.
    pub keys: Option<String>,
}

impl Default for Screen {
    fn default() -> Self {
        Self { theme: "auto".to_owned(), symbols: "auto".to_owned(), keys: None }
    }
}

impl Autoscaler {
    /// What a policy takes where its parameters do not say it.
    pub fn policy_defaults(&self) -> scaling::Defaults {
        scaling::Defaults {
            target_cpu: self.target_cpu,
            warm_up: self.warm_up,
            scale_out_cooldown: self.scale_out_cooldown,
            scale_in_cooldown: self.scale_in_cooldown,
            window: self.window,
        }
    }

    fn check_policy(&self) -> Result<(), Error> {
        let (name, parameters) = scaling::named(&self.policy);
        scaling::Policy::read(&name, &parameters, &self.policy_defaults())
            .map(drop)
            .map_err(|error| Error(format!("autoscaler.policy = `{}`: {error}", self.policy)))
    }
}

/// Settings of the balancer.
#[derive(Debug, Clone, PartialEq)]
pub struct Balancer {
    /// How it chooses a VM.
    pub policy: Policy,
    /// How often a request may be tried, on different VMs.
    pub max_attempts: u32,
    /// How long a request waits for a VM before it is refused.
    pub queue_deadline: Duration,
    /// How many requests may wait.
    pub queue_length: u32,
    /// How long a VM that has just come into service gets less than its share.
    pub slow_start: Duration,
    /// Whether an idle VM is asked too when an answer is late.
    pub hedge: bool,
    /// How long a request may take in all.
    pub request_deadline: Duration,
    /// Answers up to this size are held until they are whole, so that a VM that dies in the middle
    /// of one costs the client nothing.
    pub hold_answer_bytes: u64,
    /// How long a client may take to send the head of a request.
    pub head_timeout: Duration,
    /// How long a client may take to send the body of a request.
    pub body_timeout: Duration,
    /// How long a client may take to read an answer.
    pub answer_timeout: Duration,
    /// Whether each request gets a line in `log/access.log`.
    pub access_log: bool,
}

/// Settings of functions.
#[derive(Debug, Clone, PartialEq)]
pub struct Functions {
    /// When a request that no VM can take in time goes to a function.
    pub overflow: overflow::Mode,
    /// The longest time in a function, as predicted, of a request that goes there.
    pub longest: Duration,
    /// How long a new execution environment takes to be ready.
    pub cold_start: Duration,
}

/// How long what happened is kept: metrics.txt, samples.txt, events.log, each for itself, and all
/// of `log/` together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records {
    /// For how long.
    pub keep: Duration,
    /// How much, in bytes.
    pub max_bytes: u64,
}

/// Bounds on what a request may ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body_bytes: u64,
    /// Pixels of a picture to blur or enhance.
    pub picture_pixels: u64,
    /// Pixels of a rendered window.
    pub window_pixels: u64,
    /// Shapes in a scene.
    pub primitives: u64,
    /// Lights in a scene.
    pub lights: u64,
    /// Bytes of an encoded texture.
    pub texture_bytes: u64,
    /// Pixels of a texture.
    pub texture_pixels: u64,
    /// Requests that a VM works on at once, for each of its vCPUs; 0 is any number.
    pub requests_per_vcpu: u32,
    /// Requests that may wait inside one VM.
    pub vm_queue_length: u32,
}

impl Default for Settings {
    fn default() -> Self {
        let mebibytes = |n: u64| n << 20;
        Self {
            state: PathBuf::from("state"),
            port: 8000,
            admin_port: 8001,
            vms: 3,
            instance_type: "t3.micro".to_owned(),
            boot_scale: 0.05,
            credit_scale: 1.0,
            report_every: Duration::from_secs(5),
            drain_limit: Duration::from_mins(1),
            replace_silent_after: Duration::from_secs(30),
            health_grace: Duration::ZERO,
            launches_per_minute: 600,
            screen: Screen::default(),
            hooks: Hooks {
                launch: None,
                terminate: None,
                timeout: Duration::from_mins(1),
                default_result: Failing::Abandon,
            },
            autoscaler: Autoscaler {
                policy: scaling::DEFAULT.to_owned(),
                target_cpu: Share::saturating(0.6),
                minimum: 1,
                maximum: 20,
                scale_out_cooldown: Duration::from_secs(10),
                scale_in_cooldown: Duration::from_mins(1),
                warm_up: Duration::from_secs(5),
                window: Duration::from_secs(15),
                termination: Termination::FewestInFlight,
                warm_pool: 0,
            },
            balancer: Balancer {
                policy: Policy::LeastInFlight,
                max_attempts: 3,
                queue_deadline: Duration::from_secs(30),
                queue_length: 10_000,
                slow_start: Duration::from_secs(2),
                hedge: false,
                request_deadline: Duration::from_mins(5),
                hold_answer_bytes: mebibytes(8),
                head_timeout: Duration::from_secs(10),
                body_timeout: Duration::from_mins(1),
                answer_timeout: Duration::from_mins(1),
                access_log: true,
            },
            functions: Functions {
                overflow: overflow::Mode::WhileScaling,
                longest: Duration::from_secs(2),
                // Between the 0.1 s and 1 s that people measure with the vendors.
                cold_start: Duration::from_millis(300),
            },
            records: Records { keep: Duration::from_hours(30 * 24), max_bytes: mebibytes(256) },
            limits: Limits {
                body_bytes: mebibytes(64),
                picture_pixels: 50_000_000,
                window_pixels: 50_000_000,
                primitives: 1_000_000,
                lights: 1_000,
                texture_bytes: mebibytes(64),
                texture_pixels: 50_000_000,
                requests_per_vcpu: 2,
                vm_queue_length: 1_000,
            },
            instance_types: instance_type::built_in(),
            alerts: Vec::new(),
        }
    }
}

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
