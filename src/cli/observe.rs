//! Commands that only look.

use std::fmt::Write as _;
use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use jiff::Timestamp;

use super::arguments::Top;
use super::{fire, operate, print, roles};
use crate::config::Config;
use crate::state::events::Event;
use crate::tui::{self, Theme, overview, stream};

/// The width of text that goes to a file or another program.
const TEXT_WIDTH: usize = 120;

/// Shows a cluster. Where it is printed once, the exit code says how it is.
pub(super) fn top(config: &Config, top: &Top) -> anyhow::Result<ExitCode> {
    if let Some(file) = &top.replay {
        let settings = screen(config, top);
        return roles::run(|stop, _| async move {
            tui::replay(settings, file, stop).await?;
            Ok(ExitCode::SUCCESS)
        });
    }
    let folder = operate::folder(config)?;
    if top.watch {
        let settings = &config.settings;
        return roles::run(|stop, _| async move {
            stream::watch(&folder, settings, &stop, |now| print_or_end(&format!("{now}\n"))).await?;
            Ok(ExitCode::SUCCESS)
        });
    }
    if !top.once && !top.json && std::io::stdout().is_terminal() {
        let settings = screen(config, top);
        return roles::run(|stop, _| async move {
            tui::run(settings, folder, stop).await?;
            Ok(ExitCode::SUCCESS)
        });
    }
    let snapshot = overview::Snapshot::read(&folder, &config.settings, Timestamp::now())?;
    if top.json {
        print(&format!("{:#}\n", snapshot.to_json()))?;
    } else {
        print(&overview::text(&snapshot, TEXT_WIDTH))?;
    }
    Ok(ExitCode::from(snapshot.verdict().condition.exit_code()))
}

pub(super) fn events(config: &Config, follow: bool, json: bool) -> anyhow::Result<()> {
    let folder = operate::folder(config)?;
    roles::run(|stop, _| async move {
        let told = |event: &Event| {
            let line = if json {
                stream::event_json(event).to_string()
            } else {
                stream::event_text(event)
            };
            print_or_end(&format!("{line}\n"))
        };
        stream::events(&folder, follow, &stop, told).await
    })
}

/// Prints what goes on and on. A reader that has gone away ends it, as it ends any such program.
fn print_or_end(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        result => Ok(result?),
    }
}

fn screen(config: &Config, top: &Top) -> tui::Settings {
    let record = top.record.clone();
    tui::Settings { read_only: top.read_only, record, ..plain_screen(config) }
}

/// The screen as it is without any wish.
pub(super) fn plain_screen(config: &Config) -> tui::Settings {
    tui::Settings {
        config: config.settings.clone(),
        read_only: false,
        in_up: false,
        theme: Theme::of_environment(|name| std::env::var(name).ok()),
        record: None,
        fire: fire::at_cluster(&config.settings.state),
    }
}

pub(super) fn config(config: &Config, json: bool) -> anyhow::Result<()> {
    if json {
        let rows = config.rows().map(|(key, value, source)| {
            let source = source.to_string();
            (key.name.to_owned(), serde_json::json!({ "value": value, "source": source }))
        });
        let all = serde_json::Value::Object(rows.collect());
        return print(&format!("{all:#}\n"));
    }
    let rows = config.rows().map(|(key, value, source)| (key, value, source.to_string()));
    let rows = rows.collect::<Vec<_>>();
    let width = rows.iter().map(|(_, _, source)| source.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (key, value, source) in rows {
        writeln!(text, "{:<32} {value:<14} {source:<width$}  {}", key.name, key.help)?;
    }
    print(&text)
}
