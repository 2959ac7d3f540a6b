//! What can be set, and what holds where nobody says anything.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::{Alert, Error};
use crate::domain::balancing::Policy;
use crate::domain::instance_type::{self, InstanceType};
use crate::domain::termination::Termination;
use crate::domain::vm::Failing;
use crate::domain::{overflow, scaling};
use crate::units::Share;

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

    pub(super) fn check_policy(&self) -> Result<(), Error> {
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
    /// Whether VMs are reached through the sockets they offer in the state folder.
    pub vm_sockets: bool,
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
                vm_sockets: true,
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
