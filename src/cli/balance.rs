//! What an operator may want of the running balancer.

use clap::Subcommand;

use super::operate::folder;
use super::print;
use crate::config::Config;
use crate::domain::balancing::Policy;
use crate::operator;
use crate::state::lb_state::LbStateFile;

/// What an operator may want of the running balancer.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum BalancerWish {
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
