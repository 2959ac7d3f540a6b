//! What an operator may want of the running balancer.

use std::time::{Duration, Instant};

use clap::Subcommand;

use super::operate::folder;
use super::print;
use crate::config::Config;
use crate::domain::balancing::Policy;
use crate::operator;
use crate::state::StateFolder;
use crate::state::lb_state::LbStateFile;

/// What an operator may want of the running balancer.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum BalancerWish {
    /// Have a new process take over from it, under load too: no request is lost.
    #[command(after_help = "Example: cumulet balancer restart")]
    Restart,
    /// Say how VMs are chosen, or choose them in another way from now on. The same as the attribute
    /// `balancing` in ASState.xml.
    #[command(after_help = "Example: cumulet balancer policy round-robin")]
    Policy {
        /// The policy to choose by.
        name: Option<Policy>,
    },
}

pub(super) fn change(config: &Config, wish: &BalancerWish) -> anyhow::Result<()> {
    let folder = folder(config)?;
    match wish {
        BalancerWish::Restart => restart(&folder),
        BalancerWish::Policy { name: Some(policy) } => {
            let changed = operator::balance_by(&folder, *policy)?;
            let already = if changed { "" } else { " already" };
            print(&format!("VMs are chosen by {policy}{already}\n"))
        }
        BalancerWish::Policy { name: None } => {
            let in_force = folder.read::<LbStateFile>()?.map(|seen| seen.policy);
            let line = |policy: Policy| {
                let is_it = in_force.as_deref() == Some(policy.as_str());
                format!("{} {policy}\n", if is_it { "*" } else { " " })
            };
            print(&Policy::ALL.map(line).concat())
        }
    }
}

/// The time in which a new balancer has started, on however busy a machine.
const TAKEOVER: Duration = Duration::from_secs(30);

fn restart(folder: &StateFolder) -> anyhow::Result<()> {
    let before = operator::restart_balancer(folder)?;
    let asked = Instant::now();
    while asked.elapsed() < TAKEOVER {
        let now = folder.read_cluster_file()?.and_then(|file| file.balancer_pid);
        if let (Some(pid), true) = (now, now != before) {
            let left = before.map(|pid| format!("; pid {pid} finishes what it has"));
            return print(&format!("the balancer is pid {pid} now{}\n", left.unwrap_or_default()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    anyhow::bail!("no new balancer has started within {TAKEOVER:?}: `cumulet events` may say why")
}
