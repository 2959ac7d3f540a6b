//! The command line: arguments to a role or to an operator's wish, exit codes, and how an error
//! is shown.

mod alerts;
mod arguments;
mod balance;
mod cost;
mod fire;
mod function;
mod image;
mod list;
mod load;
mod metrics;
mod observe;
mod operate;
mod report;
mod roles;
mod scale;
mod send;
mod thumbnail;
mod trigger;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::config::{self, Config, Flag};
use arguments::{Arguments, AutoscalerWish, Command};

/// Exit code of a command line or settings that make no sense.
const USAGE: u8 = 2;

/// Runs the program: 0 done, 1 failed, 2 wrong usage; `top --once` says how the cluster is.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            // With stderr closed there is nobody to tell; the exit code still says it.
            let _told = writeln!(std::io::stderr(), "error: {error:#}");
            let usage = error.is::<config::Error>() || error.is::<Usage>();
            ExitCode::from(if usage { USAGE } else { 1 })
        }
    }
}

/// A command line that makes no sense, beyond what the parser sees.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let flags = arguments.flags()?;
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let config = Config::load(arguments.config.as_deref(), environment, &flags)?;
    let done = match arguments.command {
        Command::Up { no_tui, .. } => roles::up(&config, no_tui),
        Command::Balancer { wish: Some(wish), .. } => balance::change(&config, &wish),
        Command::Balancer { listeners_inherited, .. } => {
            roles::balancer(&config, listeners_inherited)
        }
        Command::Autoscaler { wish: None } => roles::autoscaler(&config),
        Command::Autoscaler { wish: Some(wish) } => {
            operate::pause_autoscaler(&config, wish == AutoscalerWish::Pause)
        }
        Command::Vm { id, instance_type, image, listen } => {
            roles::vm(config, id, instance_type.as_deref(), image.as_ref(), listen)
        }
        Command::Top(top) => return observe::top(&config, &top),
        Command::Events { follow, json } => observe::events(&config, follow, json),
        Command::List { json } => list::list(&config, json),
        Command::Launch { instance_type, image } => {
            operate::launch(&config, instance_type.as_deref(), image.as_ref())
        }
        Command::Image { wish } => image::image(&config, wish),
        Command::Protect { id, off } => operate::protect(&config, &id, !off),
        Command::Refresh { share, stop } => operate::refresh(&config, &share, stop),
        Command::Terminate { id } => operate::terminate(&config, &id),
        Command::Kill { id } => operate::kill(&config, &id),
        Command::Pause { id } => operate::pause(&config, &id),
        Command::Resume { id } => operate::resume(&config, &id),
        Command::Functions => roles::functions(&config),
        Command::Function { wish } => function::function(&config, wish),
        Command::Load(wanting) => load::load(&config, &wanting),
        Command::Policy(wish) => scale::policy(&config, &wish),
        Command::Limits { minimum, maximum } => scale::limits(&config, minimum, maximum),
        Command::SetDesired { number } => scale::set_desired(&config, number),
        Command::Why { json } => scale::why(&config, json),
        Command::Cost { json } => cost::cost(&config, json),
        Command::ScaleReport(wish) => report::scale_report(&config, &wish),
        Command::Send(wanted) => send::send(&config, wanted),
        Command::Alerts { json } => alerts::alerts(&config, json),
        Command::Metrics(question) => metrics::metrics(&config, &question),
        Command::Config { json } => observe::config(&config, json),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Prints to stdout. A reader that has gone away (`cumulet config | head -1`) is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// A `--set name=value` as a flag.
fn parse_setting(text: &str) -> Result<Flag, Usage> {
    let (key, value) = text.split_once('=').ok_or_else(|| {
        Usage(format!("--set {text}: name=value is needed, for example --set boot_scale=0"))
    })?;
    Ok(Flag { key: key.trim().to_owned(), value: value.trim().to_owned(), typed: "--set".into() })
}
