//! Diagnostics: for people on stderr, for programs as JSON lines in `state/log/ROLE.jsonl`.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// A log that has grown beyond this is set aside as `ROLE.jsonl.1` when the role starts, so that
/// at most two such files exist for a role.
const SET_ASIDE_AT_BYTES: u64 = 8 << 20;

/// Starts logging for this process: to `file`, a JSON object a line, and to stderr from `level`.
///
/// # Errors
/// If the file cannot be opened.
pub fn start(file: Option<&Path>, stderr_level: LevelFilter) -> io::Result<()> {
    let stderr = fmt::layer()
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(colours())
        .compact()
        .with_filter(stderr_level);
    let json = match file {
        None => None,
        Some(path) => {
            let opened = open(path)?;
            let layer = fmt::layer().json().flatten_event(true).with_writer(Arc::new(opened));
            Some(layer.with_filter(LevelFilter::INFO))
        }
    };
    // A second start in one process (tests) leaves the first in force.
    let _already_started = tracing_subscriber::registry().with(stderr).with(json).try_init();
    Ok(())
}

/// Whether stderr may be coloured: <https://no-color.org>.
fn colours() -> bool {
    use std::io::IsTerminal;
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && io::stderr().is_terminal()
}

fn open(path: &Path) -> io::Result<File> {
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > SET_ASIDE_AT_BYTES) {
        std::fs::rename(path, path.with_extension("jsonl.1"))?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}
