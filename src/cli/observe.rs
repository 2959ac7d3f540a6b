//! Commands that only look.

use std::fmt::Write as _;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;

use super::arguments::Top;
use super::{Usage, fire, image, operate, print, roles};
use crate::config::Config;
use crate::state::StateFolder;
use crate::state::events::Event;
use crate::tui::picture::{self, Shot};
use crate::tui::{self, MakeImage, Rebound, Theme, overview, stream};

/// The width of text that goes to a file or another program.
const TEXT_WIDTH: usize = 120;

/// Shows a cluster. Where it is printed once, the exit code says how it is.
pub(super) fn top(config: &Config, top: &Top) -> anyhow::Result<ExitCode> {
    if let Some(screen) = &top.svg {
        return picture(config, top, screen);
    }
    if let Some(file) = &top.replay {
        let settings = screen(config, top)?;
        return roles::run_light(|stop| async move {
            tui::replay(settings, file, stop).await?;
            Ok(ExitCode::SUCCESS)
        });
    }
    // What does not run has exit code 2 here, whether or not it ever ran.
    let folder = operate::folder(config).map_err(|error| Usage(error.to_string()))?;
    if top.watch {
        let settings = &config.settings;
        return roles::run_light(|stop| async move {
            stream::watch(&folder, settings, &stop, |now| print_or_end(&format!("{now}\n")))
                .await?;
            Ok(ExitCode::SUCCESS)
        });
    }
    if !top.once && !top.json && std::io::stdout().is_terminal() {
        let settings = screen(config, top)?;
        return roles::run_light(|stop| async move {
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

fn picture(config: &Config, top: &Top, screen: &str) -> anyhow::Result<ExitCode> {
    let size = top.size.split_once(['x', 'X']);
    let size = size.and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    let size = size.ok_or_else(|| Usage(format!("--size {}: WxH is needed, 120x40", top.size)))?;
    let shot = Shot::of(screen, size).map_err(Usage)?;
    let settings = plain_screen(config)?;
    let svg = match &top.replay {
        Some(file) => picture::of_recording(&settings, file, shot)?,
        None => picture::of_cluster(&settings, &operate::folder(config)?, shot)?,
    };
    print(&svg)?;
    Ok(ExitCode::SUCCESS)
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

fn screen(config: &Config, top: &Top) -> Result<tui::Settings, Usage> {
    let record = top.record.clone();
    Ok(tui::Settings { read_only: top.read_only, record, ..plain_screen(config)? })
}

/// The screen as the settings say.
///
/// # Errors
/// If they say what makes no sense.
pub(super) fn plain_screen(config: &Config) -> Result<tui::Settings, Usage> {
    let wanted = &config.settings.screen;
    let theme = Theme::of_environment(|name| std::env::var(name).ok());
    Ok(tui::Settings {
        config: config.settings.clone(),
        read_only: false,
        in_up: false,
        theme: theme.chosen(&wanted.theme, &wanted.symbols).map_err(Usage)?,
        keys: Rebound::read(wanted.keys.as_deref().unwrap_or_default()).map_err(Usage)?,
        record: None,
        fire: fire::at_cluster(&config.settings.state),
        make_image: image_maker(config.settings.state.clone()),
    })
}

fn image_maker(state: PathBuf) -> MakeImage {
    MakeImage::by(move |name, from| {
        let folder = StateFolder::existing(&state).map_err(|error| error.to_string())?;
        image::create(&folder, name, from).map_err(|error| format!("{error:#}"))
    })
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
