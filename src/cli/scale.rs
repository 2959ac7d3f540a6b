//! Commands that steer the autoscaler and explain it.

use std::fmt::Write as _;

use clap::Args;
use serde_json::json;

use super::operate::folder;
use super::{Usage, print};
use crate::config::Config;
use crate::domain::decision::{Check, Decision};
use crate::domain::scaling::{self, POLICIES, Parameter, Policy};
use crate::operator;
use crate::state::as_state::AsStateFile;

/// A policy and its parameters.
#[derive(Debug, Args)]
pub(super) struct PolicyWish {
    /// The policy; without it, the one in force and all there are.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Its parameters; those left out take their defaults.
    #[arg(value_name = "KEY=VALUE")]
    parameters: Vec<String>,
}

pub(super) fn policy(config: &Config, wish: &PolicyWish) -> anyhow::Result<()> {
    let folder = folder(config)?;
    let defaults = config.settings.autoscaler.policy_defaults();
    let Some(name) = &wish.name else {
        let file = folder.read::<AsStateFile>()?.unwrap_or_default();
        return print(&policies(&file, &defaults));
    };
    let words = wish.parameters.iter().map(|word| {
        let (key, value) = word.split_once('=').ok_or_else(|| {
            Usage(format!(
                "{word}: key=value is needed, for example cumulet policy staffing wait=0.1"
            ))
        })?;
        Ok((key.to_owned(), value.to_owned()))
    });
    let given = words.collect::<Result<Vec<_>, Usage>>()?;
    let in_force = operator::set_policy(&folder, name, &given, &defaults).map_err(as_usage)?;
    print(&format!("policy {name}\n{}", listed(&in_force)))
}

/// The policy in force with its parameters, and all policies.
fn policies(file: &AsStateFile, defaults: &scaling::Defaults) -> String {
    let name = if file.policy.is_empty() { scaling::DEFAULT } else { &file.policy };
    let mut text = format!("policy {name}\n");
    match Policy::read(name, &file.parameters, defaults) {
        Ok((_, in_force)) => text.push_str(&listed(&in_force)),
        Err(error) => {
            let _ = writeln!(text, "  {error}");
        }
    }
    text.push_str("\nall policies\n");
    for (name, help) in POLICIES {
        let _ = writeln!(text, "  {name:<16} {help}");
    }
    text
}

fn listed(parameters: &[Parameter]) -> String {
    let widest = |width: fn(&Parameter) -> usize| parameters.iter().map(width).max().unwrap_or(0);
    let (names, values) = (widest(|p| p.name.len()), widest(|p| p.value.chars().count()));
    let line = |Parameter { name, value, help }: &Parameter| {
        format!("  {name:<names$}  {value:<values$}  {help}\n")
    };
    parameters.iter().map(line).collect()
}

pub(super) fn limits(config: &Config, minimum: u32, maximum: u32) -> anyhow::Result<()> {
    operator::set_limits(&folder(config)?, minimum, maximum).map_err(as_usage)?;
    print(&format!("from now on {minimum} to {maximum} VMs\n"))
}

pub(super) fn set_desired(config: &Config, asked: u32) -> anyhow::Result<()> {
    operator::set_desired(&folder(config)?, asked).map_err(as_usage)?;
    print(&format!("{asked} VMs asked for, until the policy decides otherwise\n"))
}

/// A wish that makes no sense is wrong usage.
fn as_usage(error: operator::Error) -> anyhow::Error {
    match error {
        operator::Error::Policy(_)
        | operator::Error::Limits { .. }
        | operator::Error::Desired { .. } => Usage(error.to_string()).into(),
        other => other.into(),
    }
}

/// Prints the last decisions, the newest first, with every number they were made from.
pub(super) fn why(config: &Config, as_json: bool) -> anyhow::Result<()> {
    let file = folder(config)?.read::<AsStateFile>()?.unwrap_or_default();
    let decisions = file.decisions.iter().rev();
    if as_json {
        let decisions = decisions.map(decision_json).collect::<Vec<_>>();
        let whole = json!({
            "policy": file.policy,
            "minimum": file.minimum,
            "maximum": Some(file.maximum).filter(|most| *most != u32::MAX),
            "desired": file.desired,
            "paused": file.paused,
            "decisions": decisions,
        });
        return print(&format!("{whole:#}\n"));
    }
    let told = decisions.map(decision_text).collect::<Vec<_>>();
    if told.is_empty() {
        return print("the autoscaler has decided nothing yet\n");
    }
    print(&format!("{}\n\n{}", in_force(&file), told.join("\n")))
}

/// The policy and the bounds in force, in a line.
fn in_force(file: &AsStateFile) -> String {
    let AsStateFile { policy, parameters, minimum, desired, .. } = file;
    let given = parameters.iter().flat_map(|(key, value)| [" ", key, "=", value]);
    let given = given.collect::<String>();
    let most = match file.maximum {
        u32::MAX => "any number of".to_owned(),
        most => most.to_string(),
    };
    let paused = if file.paused { ", paused" } else { "" };
    format!("policy {policy}{given}, {minimum} to {most} VMs, {desired} desired{paused}")
}

fn decision_json(decision: &Decision) -> serde_json::Value {
    let check = |check: &Check| {
        json!({
            "name": check.name,
            "value": check.value,
            "limit": check.limit,
            "holds": check.holds,
        })
    };
    json!({
        "at": format!("{:.3}", decision.at),
        "action": decision.action.as_str(),
        "from": decision.from,
        "to": decision.to,
        "reason": decision.reason,
        "checks": decision.checks.iter().map(check).collect::<Vec<_>>(),
    })
}

fn decision_text(decision: &Decision) -> String {
    let Decision { at, action, from, to, reason, checks } = decision;
    let mut text = format!("{at:.3} {action} {from} to {to}: {reason}\n");
    let widest = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    for Check { name, value, limit, holds } in checks {
        let limit = limit.map(|limit| format!("  against {limit}")).unwrap_or_default();
        let verdict = match holds {
            Some(true) => "  yes",
            Some(false) => "  no",
            None => "",
        };
        let _ = writeln!(text, "  {name:<widest$}  {value}{limit}{verdict}");
    }
    text
}
