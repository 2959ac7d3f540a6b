//! Commands about functions: those that there are, their invocations, their logs.

use std::fmt::Write as _;
use std::io::{Read, stdin, stdout};
use std::path::{Path, PathBuf, absolute};
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::json;

use super::operate::folder;
use super::thumbnail::thumbnails;
use super::trigger::{TriggerWish, trigger};
use super::{Usage, print, roles};
use crate::client::send;
use crate::config::{self, Config};
use crate::domain::cost::Kind;
use crate::domain::function::{Code, Function, FunctionName};
use crate::state::StateFolder;
use crate::state::function_log::aside;
use crate::state::function_state::{FunctionReport, FunctionStateFile};
use crate::state::functions::FunctionsFile;
use crate::state::xml::Foreign;
use crate::vm::environment::Environment;
use crate::vm::{self, job};

/// What is wanted of functions.
#[derive(Debug, Subcommand)]
pub(super) enum FunctionWish {
    /// List the functions, how each does, and what they cost this month.
    #[command(after_help = "Example: cumulet function list")]
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a function of any executable that reads an event from its input and writes its answer
    /// to its output.
    #[command(
        after_help = "Example: cumulet function create greet --memory 256 -- python3 greet.py"
    )]
    Create(Definition),
    /// Change a function; what is not named stays.
    #[command(after_help = "Example: cumulet function update blur --memory 3538 --concurrency 20")]
    Update(Definition),
    /// Remove a function.
    #[command(after_help = "Example: cumulet function delete greet")]
    Delete {
        /// The function.
        name: FunctionName,
    },
    /// Invoke a function and print its answer.
    #[command(after_help = "Example: cumulet function invoke greet --event '{\"name\": \"you\"}'")]
    Invoke {
        /// The function.
        name: FunctionName,
        /// The event; without it and without a file, it is read from the input.
        #[arg(long, value_name = "JSON")]
        event: Option<String>,
        /// A file with the event.
        #[arg(long, value_name = "FILE", conflicts_with = "event")]
        file: Option<PathBuf>,
    },
    /// Print the end of a function's log: a line for each invocation, and what its program said.
    #[command(after_help = "Example: cumulet function logs greet --lines 5")]
    Logs {
        /// The function.
        name: FunctionName,
        /// How many lines.
        #[arg(long, value_name = "N", default_value_t = 20)]
        lines: usize,
    },
    /// Have functions invoked by new files and by times, and see what became of it.
    Trigger {
        #[command(subcommand)]
        wish: TriggerWish,
    },
    /// Be a function that makes thumbnails of new files: events in, answers out, a line each.
    #[command(after_help = "Example: cumulet function create small --reused -- cumulet function \
                            thumbnail --side 160")]
    Thumbnail {
        /// The longer side of a thumbnail, in pixels.
        #[arg(long, value_name = "PIXELS", default_value_t = 256,
              value_parser = clap::value_parser!(u32).range(1..=4096))]
        side: u32,
    },
    /// Be an environment of a built-in function: events in, answers out, a line each.
    #[command(hide = true)]
    Environment {
        /// The workload.
        kind: String,
        /// Memory in MiB.
        #[arg(long)]
        memory: u32,
    },
}

/// A function, as it is typed.
#[derive(Debug, Args)]
pub(super) struct Definition {
    /// Its name.
    name: FunctionName,
    /// Memory in MiB, 128 to 10240; 1769 come with one vCPU, more or less with more or less.
    #[arg(long, value_name = "MIB")]
    memory: Option<u32>,
    /// How long one invocation may take, at most 15m.
    #[arg(long, value_name = "TIME")]
    timeout: Option<String>,
    /// How many invocations may run at once; more are refused (429).
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// For how long an environment without work is kept.
    #[arg(long, value_name = "TIME")]
    keep_warm: Option<String>,
    /// One process answers one event after the other, a line each, instead of one event each.
    #[arg(long)]
    reused: bool,
    /// The workload it runs, instead of a program: blur, enhance or raytrace.
    #[arg(long, value_name = "WORKLOAD", conflicts_with_all = ["program", "reused"])]
    built_in: Option<String>,
    /// The program and its arguments. Relative paths among the arguments are seen from where `up`
    /// was started.
    #[arg(last = true, value_name = "PROGRAM")]
    program: Vec<String>,
}

pub(super) fn function(config: &Config, wish: FunctionWish) -> anyhow::Result<()> {
    match wish {
        FunctionWish::List { json } => list(&folder(config)?, json),
        FunctionWish::Create(typed) => create(&StateFolder::open(&config.settings.state)?, &typed),
        FunctionWish::Update(typed) => update(&folder(config)?, &typed),
        FunctionWish::Delete { name } => delete(&folder(config)?, &name),
        FunctionWish::Invoke { name, event, file } => {
            invoke_it(&folder(config)?, &name, event, file.as_deref())
        }
        FunctionWish::Logs { name, lines } => logs(&folder(config)?, &name, lines),
        FunctionWish::Trigger { wish } => trigger(config, wish),
        FunctionWish::Thumbnail { side } => thumbnails(config, side),
        FunctionWish::Environment { kind, memory } => environment(config, &kind, memory),
    }
}

/// The functions as they are defined, and how they do.
fn files(folder: &StateFolder) -> anyhow::Result<(FunctionsFile, FunctionStateFile)> {
    Ok((folder.read()?.unwrap_or_default(), folder.read()?.unwrap_or_default()))
}

fn list(folder: &StateFolder, as_json: bool) -> anyhow::Result<()> {
    let (defined, state) = files(folder)?;
    if as_json {
        return print(&as_document(&defined, &state));
    }
    let mut text = format!(
        "{:<14} {:>6} {:>6} {:>6} {:>8} {:>5} {:>9} {:>6} {:>9} {:>6}  RUNS\n",
        "NAME",
        "MIB",
        "VCPUS",
        "LIMIT",
        "RUNNING",
        "WARM",
        "REQUESTS",
        "COLD",
        "THROTTLED",
        "ERRORS"
    );
    for (function, _) in &defined.functions {
        let it = report(&state, function);
        let count = |count: Option<u64>| count.unwrap_or(0);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<14} {:>6} {:>6.2} {:>5}s {:>4}/{:<3} {:>5} {:>9} {:>6} {:>9} {:>6}  {}",
            function.name,
            function.memory_mib,
            function.vcpus(),
            function.timeout.as_secs_f64(),
            it.map_or(0, |it| it.running),
            function.concurrency,
            it.map_or(0, |it| it.warm),
            count(it.map(|it| it.usage.requests)),
            count(it.map(|it| it.counts.cold_starts)),
            count(it.map(|it| it.counts.throttled)),
            count(it.map(|it| it.counts.errors)),
            runs(function),
        );
    }
    let usage = state.usage();
    let _ = writeln!(
        text,
        "{} requests, {:.3} GB-s this month: ${:.6}, ${:.6} without the free tier",
        usage.requests,
        usage.gb_seconds,
        usage.price(),
        usage.list_price()
    );
    print(&text)
}

/// How a function does; none if the service has not said it yet.
fn report<'a>(state: &'a FunctionStateFile, function: &Function) -> Option<&'a FunctionReport> {
    state.functions.iter().find(|it| it.name == function.name)
}

fn as_document(defined: &FunctionsFile, state: &FunctionStateFile) -> String {
    let functions = defined.functions.iter().map(|(function, _)| {
        let report = report(state, function);
        json!({
            "name": function.name.as_str(),
            "runs": runs(function),
            "memoryMiB": function.memory_mib,
            "vcpus": function.vcpus(),
            "timeoutSeconds": function.timeout.as_secs_f64(),
            "concurrency": function.concurrency,
            "keepWarmSeconds": function.keep_warm.as_secs_f64(),
            "running": report.map(|it| it.running),
            "warm": report.map(|it| it.warm),
            "requests": report.map(|it| it.usage.requests),
            "gbSeconds": report.map(|it| it.usage.gb_seconds),
            "coldStarts": report.map(|it| it.counts.cold_starts),
            "throttled": report.map(|it| it.counts.throttled),
            "errors": report.map(|it| it.counts.errors),
        })
    });
    let functions = functions.collect::<Vec<_>>();
    let usage = state.usage();
    let all = json!({
        "month": state.month,
        "bill": usage.price(),
        "listPrice": usage.list_price(),
        "functions": functions,
    });
    format!("{all:#}\n")
}

fn runs(function: &Function) -> String {
    match &function.code {
        Code::BuiltIn(kind) => format!("built in: {}", kind.as_str()),
        Code::Program { words, reused: false } => words.join(" "),
        Code::Program { words, reused: true } => format!("{} (reused)", words.join(" ")),
    }
}

fn create(folder: &StateFolder, typed: &Definition) -> anyhow::Result<()> {
    let code = typed.code()?.ok_or_else(|| {
        Usage(format!(
            "what is {} to run? cumulet function create {} -- PROGRAM, or --built-in WORKLOAD",
            typed.name, typed.name
        ))
    })?;
    let function = typed.apply(Function::new(typed.name.clone(), code))?;
    let (name, runs) = (function.name.clone(), runs(&function));
    change(folder, |file| {
        if file.function(name.as_str()).is_some() {
            anyhow::bail!("there is a function {name} already; cumulet function update changes it");
        }
        file.functions.push((function, Foreign::default()));
        Ok(())
    })?;
    print(&format!("{name} runs {runs}\n"))
}

fn update(folder: &StateFolder, typed: &Definition) -> anyhow::Result<()> {
    let code = typed.code()?;
    change(folder, |file| {
        let function = find(file, &typed.name)?;
        let wanted = Function { code: code.unwrap_or(function.code.clone()), ..function.clone() };
        *function = typed.apply(wanted)?;
        Ok(())
    })?;
    print(&format!("{} is changed; its warm environments are ended\n", typed.name))
}

fn delete(folder: &StateFolder, name: &FunctionName) -> anyhow::Result<()> {
    change(folder, |file| {
        find(file, name)?;
        if let Some((trigger, _)) = file.triggers.iter().find(|(it, _)| it.function == *name) {
            let trigger = &trigger.name;
            anyhow::bail!(
                "{name} is what {trigger} invokes; cumulet function trigger remove {trigger} first"
            );
        }
        file.functions.retain(|(function, _)| function.name != *name);
        Ok(())
    })?;
    print(&format!("{name} is deleted\n"))
}

/// Changes Functions.xml.
pub(super) fn change(
    folder: &StateFolder,
    change: impl FnOnce(&mut FunctionsFile) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    folder.update_if_changed(FunctionsFile::default, |file: &mut FunctionsFile| {
        outcome = change(file);
    })?;
    outcome
}

fn find<'a>(file: &'a mut FunctionsFile, name: &FunctionName) -> anyhow::Result<&'a mut Function> {
    let found = file.functions.iter_mut().map(|(it, _)| it).find(|it| it.name == *name);
    found.with_context(|| format!("there is no function {name}"))
}

impl Definition {
    /// What it is to run, if that is said.
    fn code(&self) -> Result<Option<Code>, Usage> {
        if let Some(word) = &self.built_in {
            let kind: Kind = word.parse().map_err(|error| Usage(format!("--built-in: {error}")))?;
            return Ok(Some(Code::BuiltIn(kind)));
        }
        let Some((program, arguments)) = self.program.split_first() else { return Ok(None) };
        // A path is meant as seen from here, a bare name is looked up where it runs.
        let program = match absolute(program) {
            Ok(path) if program.contains('/') => path.display().to_string(),
            _ => program.clone(),
        };
        let words = std::iter::once(program).chain(arguments.iter().cloned()).collect();
        Ok(Some(Code::Program { words, reused: self.reused }))
    }

    /// `function` with what was typed in the place of what it had.
    fn apply(&self, function: Function) -> Result<Function, Usage> {
        let time = |flag: &str, text: &Option<String>| -> Result<Option<Duration>, Usage> {
            let read = text.as_deref().map(config::time).transpose();
            read.map_err(|error| Usage(format!("{flag}: {error}")))
        };
        let wanted = Function {
            memory_mib: self.memory.unwrap_or(function.memory_mib),
            timeout: time("--timeout", &self.timeout)?.unwrap_or(function.timeout),
            concurrency: self.concurrency.unwrap_or(function.concurrency),
            keep_warm: time("--keep-warm", &self.keep_warm)?.unwrap_or(function.keep_warm),
            ..function
        };
        wanted.check().map_err(|error| Usage(error.to_string()))?;
        Ok(wanted)
    }
}

fn invoke_it(
    folder: &StateFolder,
    name: &FunctionName,
    event: Option<String>,
    file: Option<&Path>,
) -> anyhow::Result<()> {
    let event = match (event, file) {
        (Some(event), _) => event.into_bytes(),
        (None, Some(path)) => {
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?
        }
        (None, None) => {
            let mut event = Vec::new();
            stdin().read_to_end(&mut event).context("cannot read the event from the input")?;
            event
        }
    };
    let (_, state) = files(folder)?;
    anyhow::ensure!(
        state.pid != 0 && !state.address.is_empty(),
        "no functions' service runs on {}: `cumulet up` starts one",
        folder.path().display()
    );
    let path = format!("/functions/{name}/invocations");
    let answer =
        roles::run_light(|_| async { send::ask(&state.address, "POST", &path, event).await })?;
    anyhow::ensure!(answer.status == 200, "{}", answer.refusal());
    print(&format!("{}\n", String::from_utf8_lossy(&answer.body).trim_end()))
}

/// How much of the end of a log is looked through, in bytes.
const LOG_BYTES: u64 = 1 << 20;

fn logs(folder: &StateFolder, name: &FunctionName, lines: usize) -> anyhow::Result<()> {
    let path = folder.function_log_path(name);
    let end = |path: &Path| StateFolder::end_of_log(path, LOG_BYTES);
    let text = end(&aside(&path))? + &end(&path)?;
    anyhow::ensure!(!text.is_empty(), "{name} has not been invoked: it has no log");
    let all = text.lines().collect::<Vec<_>>();
    let last = all.get(all.len().saturating_sub(lines)..).unwrap_or_default();
    print(&(last.join("\n") + "\n"))
}

fn environment(config: &Config, kind: &str, memory: u32) -> anyhow::Result<()> {
    let kind = match kind.parse::<Kind>().map_err(|error| Usage(error.to_string()))? {
        Kind::Blur => job::Kind::Blur,
        Kind::Enhance => job::Kind::Enhance,
        Kind::Raytrace => job::Kind::Raytrace,
        Kind::Other => return Err(Usage("a workload is needed".to_owned()).into()),
    };
    let function = Function {
        memory_mib: memory,
        ..Function::new("environment".parse()?, Code::BuiltIn(Kind::Other))
    };
    vm::hold_to_memory(function.memory_bytes()).context("cannot limit the memory")?;
    let limits = roles::limits(&config.settings);
    let environment = Environment::new(kind, function.vcpus(), limits);
    Ok(environment.serve(stdin().lock(), stdout().lock())?)
}
