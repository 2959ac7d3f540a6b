//! Diagnostics: for people on stderr, for programs as JSON lines in `state/log/ROLE.jsonl`.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// A log that has grown to this is set aside as `NAME.1`, in the place of the one before: a
/// role's logs take at most twice this.
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
            let log = Arc::new(Log::open(path, SET_ASIDE_AT_BYTES)?);
            let layer = fmt::layer().json().flatten_event(true).with_writer(log);
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

/// A file of lines that is set aside when it has grown. Another process may write to it as well, as
/// two balancers do while one takes over from the other.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    limit: u64,
    /// The file, and which one it is.
    open: Mutex<(File, FileId)>,
}

/// The device and the number of a file.
type FileId = (u64, u64);

impl Log {
    /// Opens the log at `path`, to be set aside before it is longer than `limit` bytes.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn open(path: &Path, limit: u64) -> io::Result<Self> {
        Ok(Self { path: path.to_path_buf(), limit, open: Mutex::new(append_to(path)?) })
    }
}

impl Write for &Log {
    /// Writes a whole line, or as much of it as the system takes.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let there = std::fs::metadata(&self.path).ok().map(|file| (id_of(&file), file.len()));
        let length = match there {
            Some((id, length)) if id == open.1 => length,
            // It was removed as too old while nothing was written to it, or set aside by another.
            other => {
                *open = append_to(&self.path)?;
                other.map_or(0, |(_, length)| length)
            }
        };
        if length > 0 && length + line.len() as u64 > self.limit {
            let mut aside = self.path.clone().into_os_string();
            aside.push(".1");
            std::fs::rename(&self.path, aside)?;
            *open = append_to(&self.path)?;
        }
        open.0.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<(File, FileId)> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let id = id_of(&file.metadata()?);
    Ok((file, id))
}

fn id_of(file: &Metadata) -> FileId {
    (file.dev(), file.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_was_removed_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vm-1.jsonl");
        let log = Log::open(&path, 100).unwrap();
        (&log).write_all(b"one\n").unwrap();
        std::fs::remove_file(&path).unwrap();
        (&log).write_all(b"two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
    }

    #[test]
    fn two_that_write_to_the_same_log_lose_no_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let both = [(); 2].map(|()| Log::open(&path, 100).unwrap());
        for number in 0..9 {
            let mut log = &both[number % 2];
            log.write_all(format!("{number:19}\n").as_bytes()).unwrap();
        }
        let aside = std::fs::read_to_string(folder.path().join("access.log.1")).unwrap();
        let now = std::fs::read_to_string(&path).unwrap();
        assert_eq!((aside.lines().count(), now.lines().count()), (5, 4));
        let numbers: Vec<_> = aside.lines().chain(now.lines()).map(str::trim).collect();
        assert_eq!(numbers, ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
    }

    #[test]
    fn a_log_and_the_one_before_are_all_that_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vm-1.jsonl");
        for _ in 0..3 {
            let log = Log::open(&path, 100).unwrap();
            for _ in 0..40 {
                (&log).write_all(b"{\"twenty\": \"bytes\"}\n").unwrap();
            }
        }
        let mut lengths = Vec::new();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            assert!(text.ends_with("}\n"), "whole lines: {text}");
            lengths.push(text.len());
        }
        assert!(lengths.len() == 2 && lengths.iter().all(|length| *length <= 100), "{lengths:?}");
    }
}
