//! Commands about triggers: what invokes functions, and what became of their events.

use std::fmt::Write as _;
use std::path::{PathBuf, absolute};

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::operate::folder;
use super::{Usage, print};
use crate::config::{self, Config};
use crate::domain::function::FunctionName;
use crate::domain::trigger::{Files, Schedule, Source, Trigger};
use crate::state::StateFolder;
use crate::state::deliveries::{Delivery, Stage};
use crate::state::functions::FunctionsFile;
use crate::state::xml::Foreign;

/// What is wanted of triggers.
#[derive(Debug, Subcommand)]
pub(super) enum TriggerWish {
    /// Have a function invoked for each new file in a folder, or at times.
    #[command(after_help = "Examples:\n  \
        cumulet function trigger add thumbs --function small --folder inbox --output outbox\n  \
        cumulet function trigger add nightly --function stamp --schedule '0 3 * * *'")]
    Add(Wanted),
    /// Have it invoked no longer. Its events stay where they are.
    #[command(after_help = "Example: cumulet function trigger remove thumbs")]
    Remove {
        /// The trigger.
        name: FunctionName,
    },
    /// List the triggers and how many of their events are pending, done and dead.
    #[command(after_help = "Example: cumulet function trigger list")]
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Tell what became of a trigger's events: those that are dead, if nothing else is said.
    #[command(after_help = "Example: cumulet function trigger events thumbs --done")]
    Events {
        /// The trigger.
        name: FunctionName,
        /// Those that are to be tried, instead.
        #[arg(long, conflicts_with = "done")]
        pending: bool,
        /// Those that were answered, instead.
        #[arg(long)]
        done: bool,
        /// As JSON: all that is known of each.
        #[arg(long)]
        json: bool,
    },
    /// Try dead events again, as if they had never been tried.
    #[command(after_help = "Example: cumulet function trigger retry thumbs")]
    Retry {
        /// The trigger.
        name: FunctionName,
        /// Only this event, by its key.
        key: Option<String>,
    },
}

/// A trigger, as it is typed.
#[derive(Debug, Args)]
pub(super) struct Wanted {
    /// Its name.
    name: FunctionName,
    /// The function.
    #[arg(long, value_name = "NAME")]
    function: FunctionName,
    /// The folder whose new files are events; it is made if it is missing.
    #[arg(long, value_name = "DIR", required_unless_present = "schedule")]
    folder: Option<PathBuf>,
    /// The folder where the function is to leave what it makes.
    #[arg(long, value_name = "DIR", requires = "folder")]
    output: Option<PathBuf>,
    /// How long a file must have been left alone before it is taken.
    #[arg(long, value_name = "TIME", requires = "folder", default_value = "1s")]
    settle: String,
    /// A cron expression: minute, hour, day, month, day of the week.
    #[arg(long, value_name = "CRON", conflicts_with = "folder")]
    schedule: Option<String>,
    /// The time zone of the schedule.
    #[arg(long, value_name = "ZONE", requires = "schedule", default_value = "UTC")]
    zone: String,
    /// How often an event is tried before it is given up.
    #[arg(long, value_name = "N", default_value_t = 5)]
    attempts: u32,
    /// The pause after a first failure; it doubles with each further one, up to five minutes.
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pause: String,
}

pub(super) fn trigger(config: &Config, wish: TriggerWish) -> anyhow::Result<()> {
    let folder = folder(config)?;
    match wish {
        TriggerWish::Add(wanted) => add(&folder, &wanted),
        TriggerWish::Remove { name } => remove(&folder, &name),
        TriggerWish::List { json } => list(&folder, json),
        TriggerWish::Events { name, pending, done, json } => {
            let stage = match (pending, done) {
                (true, _) => Stage::Pending,
                (_, true) => Stage::Done,
                _ => Stage::Dead,
            };
            events(&folder, &name, stage, json)
        }
        TriggerWish::Retry { name, key } => retry(&folder, &name, key),
    }
}

impl Wanted {
    fn trigger(&self) -> Result<Trigger, Usage> {
        let time = |flag: &str, text: &str| {
            config::time(text).map_err(|error| Usage(format!("{flag} {text}: {error}")))
        };
        let place = |path: &PathBuf| {
            absolute(path).map_err(|error| Usage(format!("{}: {error}", path.display())))
        };
        let source = match (&self.folder, &self.schedule) {
            (Some(folder), _) => Source::Files(Files {
                folder: place(folder)?,
                output: self.output.as_ref().map(place).transpose()?,
                settle: time("--settle", &self.settle)?,
            }),
            (None, Some(schedule)) => {
                let zone = TimeZone::get(&self.zone)
                    .map_err(|error| Usage(format!("--zone {}: {error}", self.zone)))?;
                let schedule = Schedule::new(schedule, zone);
                Source::Schedule(schedule.map_err(|bad| Usage(format!("--schedule: {bad}")))?)
            }
            (None, None) => return Err(Usage("one of --folder and --schedule is needed".into())),
        };
        let usual = Trigger::new(self.name.clone(), self.function.clone(), source);
        let pause = time("--pause", &self.pause)?;
        let trigger = Trigger { attempts: self.attempts, pause, ..usual };
        trigger.check().map_err(|bad| Usage(bad.to_string()))?;
        Ok(trigger)
    }
}

fn add(folder: &StateFolder, wanted: &Wanted) -> anyhow::Result<()> {
    let trigger = wanted.trigger()?;
    let told = format!("{}: {} for {}\n", trigger.name, trigger.function, when(&trigger));
    super::function::change(folder, |file| {
        anyhow::ensure!(
            file.function(trigger.function.as_str()).is_some(),
            "there is no function {}; cumulet function list names those that are there",
            trigger.function
        );
        anyhow::ensure!(
            !file.triggers.iter().any(|(it, _)| it.name == trigger.name),
            "there is a trigger {} already; cumulet function trigger remove takes it away",
            trigger.name
        );
        file.triggers.push((trigger, Foreign::default()));
        Ok(())
    })?;
    print(&told)
}

fn remove(folder: &StateFolder, name: &FunctionName) -> anyhow::Result<()> {
    super::function::change(folder, |file| {
        let before = file.triggers.len();
        file.triggers.retain(|(trigger, _)| trigger.name != *name);
        anyhow::ensure!(file.triggers.len() < before, "there is no trigger {name}");
        Ok(())
    })?;
    let path = folder.trigger_path(name);
    print(&format!("{name} is removed; its events stay in {}\n", path.display()))
}

/// What a trigger waits for, in words.
fn when(trigger: &Trigger) -> String {
    match &trigger.source {
        Source::Files(files) => format!("files in {}", files.folder.display()),
        Source::Schedule(schedule) => format!("`{}` {}", schedule.text(), schedule.zone()),
    }
}

fn list(folder: &StateFolder, as_json: bool) -> anyhow::Result<()> {
    let file = folder.read::<FunctionsFile>()?.unwrap_or_default();
    let mut rows = Vec::new();
    for (trigger, _) in &file.triggers {
        let count = |stage| anyhow::Ok(folder.delivery_keys(&trigger.name, stage)?.len());
        let counts = [count(Stage::Pending)?, count(Stage::Done)?, count(Stage::Dead)?];
        let next = match &trigger.source {
            Source::Schedule(schedule) => schedule.next_after(Timestamp::now()),
            Source::Files(_) => None,
        };
        rows.push((trigger, counts, next));
    }
    if as_json {
        let rows = rows.iter().map(|(trigger, [pending, done, dead], next)| {
            json!({
                "name": trigger.name.as_str(),
                "function": trigger.function.as_str(),
                "when": when(trigger),
                "pending": pending,
                "done": done,
                "dead": dead,
                "next": next,
            })
        });
        return print(&format!("{:#}\n", Value::Array(rows.collect())));
    }
    let mut text = format!(
        "{:<16} {:<14} {:>7} {:>7} {:>5}  {:<22} FOR\n",
        "NAME", "FUNCTION", "PENDING", "DONE", "DEAD", "NEXT"
    );
    for (trigger, [pending, done, dead], next) in &rows {
        let next = next.map_or_else(|| "-".to_owned(), |at| at.to_string());
        let (name, function) = (&trigger.name, &trigger.function);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{name:<16} {function:<14} {pending:>7} {done:>7} {dead:>5}  {next:<22} {}",
            when(trigger)
        );
    }
    print(&text)
}

fn events(
    folder: &StateFolder,
    name: &FunctionName,
    stage: Stage,
    as_json: bool,
) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for key in folder.delivery_keys(name, stage)? {
        // One that moved on meanwhile is not there any more.
        all.extend(folder.read_delivery(name, stage, &key)?);
    }
    all.sort_by_key(|delivery| delivery.at);
    if as_json {
        return print(&format!("{:#}\n", json!(all)));
    }
    let mut text = String::new();
    for delivery in &all {
        let _ = writeln!(text, "{}", line(delivery));
    }
    print(&text)
}

/// `2026-11-22T12:00:00.000Z  KEY  cat.png  3 attempts: exit status 1`
fn line(delivery: &Delivery) -> String {
    let outcome = match (&delivery.answer, &delivery.error) {
        (Some(answer), _) => format!(": {answer}"),
        (None, Some(error)) => format!(": {error}"),
        (None, None) => String::new(),
    };
    let (key, subject, attempts) = (&delivery.key, &delivery.subject, delivery.attempts);
    let times = if attempts == 1 { "attempt" } else { "attempts" };
    let at = delivery.at.strftime("%Y-%m-%dT%H:%M:%SZ");
    format!("{at}  {key}  {subject}  {attempts} {times}{outcome}")
}

fn retry(folder: &StateFolder, name: &FunctionName, key: Option<String>) -> anyhow::Result<()> {
    let dead = folder.delivery_keys(name, Stage::Dead)?;
    let wanted = match key {
        Some(key) => {
            anyhow::ensure!(dead.contains(&key), "{name} has no dead event {key}");
            vec![key]
        }
        None => dead.into_iter().collect(),
    };
    for key in &wanted {
        let delivery = folder.read_delivery(name, Stage::Dead, key)?;
        let delivery = delivery.with_context(|| format!("{key} is no longer there"))?;
        let fresh = Delivery { attempts: 0, tried_at: None, error: None, ..delivery };
        folder.put_delivery(name, Stage::Dead, &fresh)?;
        folder.move_delivery(name, key, (Stage::Dead, Stage::Pending))?;
    }
    let events = if wanted.len() == 1 { "event is" } else { "events are" };
    print(&format!("{} {events} tried again\n", wanted.len()))
}
