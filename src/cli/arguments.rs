//! What can be typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::balance::BalancerWish;
use super::function::FunctionWish;
use super::image::ImageWish;
use super::load::Wanting;
use super::metrics::Question;
use super::report::Report;
use super::scale::PolicyWish;
use super::send::Send;
use super::{Usage, parse_setting};
use crate::config::Flag;
use crate::domain::vm::VmId;
use crate::state::image::ImageName;

/// A pocket cloud: elastic services on your laptop.
///
/// Emulated VMs, a load balancer and an autoscaler as real local processes, coordinated by a
/// folder of files that you can read, watch and edit.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "Example: cumulet up, then in another terminal: workloads/blur.sh")]
pub(super) struct Arguments {
    /// The state folder.
    #[arg(long, global = true, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The settings file, instead of ./cumulet.toml.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Any setting, by its name in the file; `cumulet config` lists them. May be given again.
    #[arg(long, global = true, value_name = "NAME=VALUE")]
    set: Vec<String>,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Where a balancer listens.
#[derive(Debug, Args)]
pub(super) struct Ports {
    /// Port of the balancer, 0 is any free one.
    #[arg(long, value_name = "P")]
    port: Option<String>,
    /// Port for health, metrics and state, on loopback only.
    #[arg(long, value_name = "P")]
    admin_port: Option<String>,
}

/// How a cluster is shown.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that can be typed")]
pub(super) struct Top {
    /// Print it once as text and end.
    #[arg(long)]
    pub(super) once: bool,
    /// Print it once as JSON and end.
    #[arg(long)]
    pub(super) json: bool,
    /// Print a line of JSON now and at every change.
    #[arg(long, conflicts_with = "once")]
    pub(super) watch: bool,
    /// Only look: no key changes anything.
    #[arg(long)]
    pub(super) read_only: bool,
    /// Record everything that is shown.
    #[arg(long, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,
    /// Print one screen as a picture (SVG): overview, instances, requests, autoscaler, events, cost.
    #[arg(long, value_name = "SCREEN", conflicts_with_all = ["once", "json", "watch", "record"])]
    pub(super) svg: Option<String>,
    /// Columns and rows of that picture.
    #[arg(long, value_name = "WxH", default_value = "120x40", requires = "svg")]
    pub(super) size: String,
    /// Show a recording instead of a cluster.
    #[arg(long, value_name = "FILE", conflicts_with = "record")]
    pub(super) replay: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Start a cluster: balancer, autoscaler and VMs. Ctrl-C drains and stops it whole.
    #[command(after_help = "Example: cumulet up --vms 2 --port 9000 --report-every 1s")]
    Up {
        /// VMs to start with.
        #[arg(long, value_name = "N")]
        vms: Option<String>,
        #[command(flatten)]
        ports: Ports,
        /// How often a VM reports.
        #[arg(long, value_name = "TIME")]
        report_every: Option<String>,
        /// Tell what happens line by line, even on a terminal.
        #[arg(long)]
        no_tui: bool,
    },
    /// Show a cluster: live on a terminal, once as text where the output goes elsewhere.
    #[command(after_help = "Exit codes of --once and --json: 0 HEALTHY, SCALING or STARTING, \
                            1 DEGRADED, 2 STALE, FAILED, STOPPED or EMPTY: it does not run.\n\
                            Example: cumulet top --once")]
    Top(Top),
    /// Tell what happened, and with --follow what happens.
    #[command(after_help = "Example: cumulet events --follow --json")]
    Events {
        /// Go on with each event as it happens.
        #[arg(long, short)]
        follow: bool,
        /// As lines of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Launch one more VM.
    #[command(after_help = "Example: cumulet launch c5.large")]
    Launch {
        /// Its instance type, instead of its image's or the cluster's default.
        #[arg(value_name = "TYPE")]
        instance_type: Option<String>,
        /// The image to launch it from.
        #[arg(long, value_name = "NAME")]
        image: Option<ImageName>,
    },
    /// List the VMs, and which requests run on which of them now.
    #[command(after_help = "Example: cumulet list")]
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make, list, test and remove images: what VMs are launched from.
    Image {
        #[command(subcommand)]
        wish: ImageWish,
    },
    /// Protect a VM: no scale-in and no refresh takes it away.
    #[command(after_help = "Example: cumulet protect vm-2")]
    Protect {
        /// The VM.
        id: VmId,
        /// No longer.
        #[arg(long)]
        off: bool,
    },
    /// Replace every VM by a new one, some at a time; none goes before its successor serves.
    #[command(after_help = "Example: cumulet refresh --share 25%")]
    Refresh {
        /// How much of the fleet at a time; one VM at least.
        #[arg(long, value_name = "SHARE", default_value = "25%")]
        share: String,
        /// Stop the refresh that goes on.
        #[arg(long)]
        stop: bool,
    },
    /// Drain a VM and end it.
    #[command(after_help = "Example: cumulet terminate vm-2")]
    Terminate {
        /// The VM.
        id: VmId,
    },
    /// Kill a VM at once (SIGKILL), as a crash would.
    #[command(after_help = "Example: cumulet kill vm-2")]
    Kill {
        /// The VM.
        id: VmId,
    },
    /// Let a VM hang (SIGSTOP).
    #[command(after_help = "Example: cumulet pause vm-2")]
    Pause {
        /// The VM.
        id: VmId,
    },
    /// Let a hanging VM go on (SIGCONT).
    #[command(after_help = "Example: cumulet resume vm-2")]
    Resume {
        /// The VM.
        id: VmId,
    },
    /// Choose the scaling policy and its parameters, or list them.
    #[command(after_help = "Example: cumulet policy staffing wait=0.1 hold=2m")]
    Policy(PolicyWish),
    /// Set the fewest and the most VMs.
    #[command(after_help = "Example: cumulet limits 2 10")]
    Limits {
        /// The fewest.
        #[arg(value_name = "MIN")]
        minimum: u32,
        /// The most.
        #[arg(value_name = "MAX")]
        maximum: u32,
    },
    /// Ask for so many VMs, until the policy decides otherwise.
    #[command(after_help = "Example: cumulet set-desired 5")]
    SetDesired {
        /// VMs.
        #[arg(value_name = "N")]
        number: u32,
    },
    /// Tell the autoscaler's last decisions with every number they were made from.
    #[command(after_help = "Example: cumulet why --json")]
    Why {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what has been spent and is being spent, on VMs, CPU credits and functions: in all, for a
    /// request, an hour and a month.
    #[command(after_help = "Example: cumulet cost")]
    Cost {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Measure how well the fleet followed the load and what it cost, and what another policy or
    /// type would have made of it.
    #[command(after_help = "Example: cumulet scale-report --policy kubernetes-hpa --type c5.large")]
    ScaleReport(Report),
    /// Run the autoscaler alone, or pause or resume the one that runs.
    #[command(after_help = "Example: cumulet autoscaler pause")]
    Autoscaler {
        /// What the running one is to do.
        wish: Option<AutoscalerWish>,
    },
    /// Run a balancer alone, or change the one that runs.
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Example: cumulet balancer --port 9000 --state /tmp/state"
    )]
    Balancer {
        /// What is wanted of the running one.
        #[command(subcommand)]
        wish: Option<BalancerWish>,
        #[command(flatten)]
        ports: Ports,
        /// The listening sockets are stdin and stdout: how `up` hands them on.
        #[arg(long, hide = true)]
        listeners_inherited: bool,
    },
    /// Make, list, change, invoke and remove functions.
    Function {
        #[command(subcommand)]
        wish: FunctionWish,
    },
    /// Run the functions' service alone.
    #[command(after_help = "Example: cumulet functions --state /tmp/state")]
    Functions,
    /// Run one VM alone.
    #[command(after_help = "Example: cumulet vm --id vm-9 --type m5.large")]
    Vm {
        /// Its name.
        #[arg(long)]
        id: VmId,
        /// Its instance type, instead of its image's or the default.
        #[arg(long = "type", value_name = "TYPE")]
        instance_type: Option<String>,
        /// The image to start it from.
        #[arg(long, value_name = "NAME")]
        image: Option<ImageName>,
        /// Where it listens.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
    /// Send one request and write the picture that comes back.
    #[command(
        after_help = "Example: cumulet send raytrace workloads/scenes/glass.txt -o glass.png"
    )]
    Send(Send),
    /// Send many requests and report how they were answered.
    ///
    /// Exit code 1 if one of them failed or was lost. Ctrl-C ends it with the report so far.
    #[command(after_help = "Example: cumulet load --rate 20 --arrivals poisson --duration 30s")]
    Load(Box<Wanting>),
    /// Tell where each `[[alert]]` of the settings stands.
    #[command(after_help = "Example: cumulet alerts --json")]
    Alerts {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Put the requests of metrics.txt together: how many, how they went, what they cost.
    ///
    /// Works on a cluster that runs, one that is stopped, and a copy of a state folder.
    #[command(after_help = "Example: cumulet metrics --since 10m --group-by vm")]
    Metrics(Question),
    /// Print the settings in force, and where each came from.
    #[command(after_help = "Example: cumulet config --set autoscaler.maximum=8")]
    Config {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// What an operator may want of the autoscaler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum AutoscalerWish {
    /// It leaves the size of the fleet alone.
    Pause,
    /// It goes on.
    Resume,
}

impl Arguments {
    /// The settings among the arguments.
    ///
    /// # Errors
    /// A `--set` without `=`.
    pub(super) fn flags(&self) -> Result<Vec<Flag>, Usage> {
        let mut flags =
            self.set.iter().map(|set| parse_setting(set)).collect::<Result<Vec<_>, _>>()?;
        let mut add = |key: &str, value: Option<String>| {
            let typed = format!("--{}", key.replace('_', "-"));
            flags.extend(value.map(|value| Flag { key: key.to_owned(), value, typed }));
        };
        add("state", self.state.as_ref().map(|path| path.display().to_string()));
        let ports = match &self.command {
            Command::Up { vms, ports, report_every, .. } => {
                add("vms", vms.clone());
                add("report_every", report_every.clone());
                Some(ports)
            }
            Command::Balancer { ports, .. } => Some(ports),
            _ => None,
        };
        if let Some(ports) = ports {
            add("port", ports.port.clone());
            add("admin_port", ports.admin_port.clone());
        }
        Ok(flags)
    }
}
