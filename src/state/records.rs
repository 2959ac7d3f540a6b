//! records/: what metrics.txt, samples.txt and events.log were before. Such a file is closed by
//! moving it there under the time at which that was done, and the next line starts it anew. Writers
//! open the file for each line, so one that is moved at that moment gets the line all the same.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::error::Error;
use super::events::Event;
use super::folder::{StateFolder, files};
use super::logfmt::Line;
use super::metrics::Metric;
use super::samples::Sample;
use crate::domain::retention::{Part, Retention};

/// The folder of the parts that are closed.
const FOLDER: &str = "records";
/// The files that are closed in parts.
const KINDS: [&str; 3] = [Metric::FILE, Sample::FILE, Event::FILE];
/// A log that was written to within this time is in use.
const IN_USE: Duration = Duration::from_hours(1);
/// In so many bytes a first line ends.
const FIRST_LINE_BYTES: u64 = 4 << 10;

/// A part of the lines of one kind, opened.
#[derive(Debug)]
pub(in crate::state) struct Opened {
    /// Its name: that of the file, or of a closed part, which it keeps.
    pub(in crate::state) name: String,
    pub(in crate::state) path: PathBuf,
    pub(in crate::state) file: File,
    pub(in crate::state) length: u64,
}

impl StateFolder {
    /// The lines of a kind: the parts that are closed, oldest first, and then those since. What is
    /// closed meanwhile is there once.
    pub(in crate::state) fn parts<L: Line>(&self) -> Result<Vec<Opened>, Error> {
        // First the file itself: if it is closed now, it is found among the parts and passed over.
        let current = open(self.path().join(L::FILE), L::FILE)?;
        let mut parts = Vec::new();
        for name in self.closed(L::FILE)? {
            // One that is gone was too old.
            let path = self.path().join(FOLDER).join(&name);
            let is_current = |path: &Path| {
                current.as_ref().is_some_and(|current| files::is_still_at(&current.file, path))
            };
            if !is_current(&path) {
                parts.extend(open(path, &name)?);
            }
        }
        parts.extend(current);
        Ok(parts)
    }

    /// The last lines of a kind, oldest first: those that lie in the last `bytes` bytes of what is
    /// kept of them.
    /// Lines that are not understood, and a last one that is not finished, are passed over.
    ///
    /// # Errors
    /// If the file cannot be read. A missing file has no lines.
    pub fn tail<L: Line>(&self, bytes: u64) -> Result<Vec<L>, Error> {
        Self::tail_of(self.parts::<L>()?, bytes)
    }

    /// As [`tail`](Self::tail), of the parts that are closed alone.
    pub(in crate::state) fn tail_of_closed<L: Line>(&self, bytes: u64) -> Result<Vec<L>, Error> {
        let mut parts = self.parts::<L>()?;
        parts.retain(|part| part.name != L::FILE);
        Self::tail_of(parts, bytes)
    }

    fn tail_of<L: Line>(parts: Vec<Opened>, bytes: u64) -> Result<Vec<L>, Error> {
        let (mut texts, mut left) = (Vec::new(), bytes);
        for part in parts.into_iter().rev() {
            let text = files::end_of(&part.file, part.length, left);
            texts.push(text.map_err(Error::io("read", &part.path))?);
            left = left.saturating_sub(part.length);
            if left == 0 {
                break;
            }
        }
        let whole = |text: &str| text.rfind('\n').map_or(0, |end| end + 1);
        let texts = texts.iter().rev().map(|text| text.get(..whole(text)).unwrap_or_default());
        Ok(texts.flat_map(str::lines).filter_map(|line| line.parse().ok()).collect())
    }

    /// The names of the parts of a file that are closed, oldest first.
    fn closed(&self, file: &str) -> Result<Vec<String>, Error> {
        let path = self.path().join(FOLDER);
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(Error::io("read", &path))?,
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let is_part =
            |name: &String| name.strip_prefix(file).is_some_and(|time| time.starts_with('.'));
        let mut names = names.filter(is_part).collect::<Vec<_>>();
        names.sort();
        Ok(names)
    }

    /// Closes the files that are full, and removes what is too old or too much. One process of a
    /// cluster does this, now and then.
    ///
    /// # Errors
    /// If a file cannot be moved or removed.
    pub fn tidy_records(&self, kept: Retention, now: Timestamp) -> Result<(), Error> {
        for file in KINDS {
            let path = self.path().join(file);
            let mut current = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            if kept.is_full(current, first_age(&path, now)) {
                self.close(file, now)?;
                current = 0;
            }
            let parts = self.closed(file)?.into_iter();
            let parts = parts.map(|name| self.path().join(FOLDER).join(name)).collect::<Vec<_>>();
            remove_oldest(&parts, kept, current, now)?;
        }
        self.tidy_logs(kept, now)
    }

    /// Moves a file to the closed ones.
    fn close(&self, file: &str, now: Timestamp) -> Result<(), Error> {
        let folder = self.path().join(FOLDER);
        fs::create_dir_all(&folder).map_err(Error::io("make the folder", &folder))?;
        let part = folder.join(format!("{file}.{}", now.strftime("%Y-%m-%dT%H-%M-%S.%3fZ")));
        let path = self.path().join(file);
        if part.exists() {
            // The clock was set back by chance to that very moment: the next time will do.
            return Ok(());
        }
        fs::rename(&path, part).map_err(Error::io("move", &path))
    }

    /// Logs are set aside by their writers; those of VMs that are gone would stay for ever.
    fn tidy_logs(&self, kept: Retention, now: Timestamp) -> Result<(), Error> {
        let folder = self.path().join("log");
        let Ok(entries) = fs::read_dir(&folder) else { return Ok(()) };
        let (mut logs, mut in_use) = (Vec::new(), 0);
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            match age(&metadata, now) {
                _ if !metadata.is_file() => {}
                age if age < IN_USE => in_use += metadata.len(),
                age => logs.push((age, entry.path())),
            }
        }
        logs.sort_by_key(|(age, _)| std::cmp::Reverse(*age));
        let logs = logs.into_iter().map(|(_, path)| path).collect::<Vec<_>>();
        remove_oldest(&logs, kept, in_use, now)
    }
}

fn open(path: PathBuf, name: &str) -> Result<Option<Opened>, Error> {
    let opened = files::open(&path)?;
    Ok(opened.map(|(file, length)| Opened { name: name.to_owned(), path, file, length }))
}

/// Removes the oldest files, which come first, as far as they are too old or too much.
fn remove_oldest(
    paths: &[PathBuf],
    kept: Retention,
    current: u64,
    now: Timestamp,
) -> Result<(), Error> {
    let (mut there, mut parts) = (Vec::new(), Vec::new());
    for path in paths {
        if let Ok(metadata) = fs::metadata(path) {
            there.push(path);
            parts.push(Part { bytes: metadata.len(), age: age(&metadata, now) });
        }
    }
    for path in there.into_iter().take(kept.to_remove(&parts, current)) {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove", path)(error));
            }
            _ => tracing::info!("{} was too old, or too much was there", path.display()),
        }
    }
    Ok(())
}

/// How long ago a file was written to.
fn age(metadata: &fs::Metadata, now: Timestamp) -> Duration {
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    SystemTime::from(now).duration_since(modified).unwrap_or_default()
}

/// How long ago the first line of a file was written, as far as it says so.
fn first_age(path: &Path, now: Timestamp) -> Duration {
    let start = files::read_start(path, FIRST_LINE_BYTES).unwrap_or_default();
    let at = start.strip_prefix("at=").and_then(|rest| rest.split([' ', '\n']).next());
    let at = at.and_then(|at| at.parse::<Timestamp>().ok());
    at.and_then(|at| Duration::try_from(now.duration_since(at)).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::events::EventKind;
    use jiff::SignedDuration;

    fn event(number: u32) -> Event {
        Event::now(EventKind::Role, "cluster", None, format!("{number:04}"))
    }

    fn numbers(folder: &StateFolder) -> Vec<u32> {
        let events = folder.tail::<Event>(u64::MAX).unwrap();
        events.iter().map(|event| event.detail.parse().unwrap()).collect()
    }

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn readers_see_all_that_is_kept_and_the_oldest_goes() {
        let place = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(place.path()).unwrap();
        let line = event(0).to_string().len() as u64 + 1;
        let kept = Retention { keep: HOUR, most_bytes: 80 * line };
        let start = Timestamp::now();
        for number in 0..400 {
            folder.append_event(&event(number)).unwrap();
            let now = start + SignedDuration::from_millis(i64::from(number));
            folder.tidy_records(kept, now).unwrap();
            let there = numbers(&folder);
            assert_eq!(there.last(), Some(&number));
            assert!(there.is_sorted() && there.len() <= 81, "{there:?}");
            assert!(there.len() == number as usize + 1 || there.len() >= 70, "{there:?}");
        }
        let last = folder.tail::<Event>(25 * line).unwrap();
        let last = last.iter().map(|event| event.detail.clone()).collect::<Vec<_>>();
        assert_eq!((last.len(), last[0].as_str()), (25, "0375"));
    }

    #[test]
    fn what_is_too_old_goes_and_old_lines_close_their_file() {
        let place = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(place.path()).unwrap();
        let kept = Retention { keep: HOUR, most_bytes: 1 << 20 };
        folder.append_event(&event(1)).unwrap();
        let later = |minutes| Timestamp::now() + SignedDuration::from_mins(minutes);
        folder.tidy_records(kept, later(1)).unwrap();
        assert!(place.path().join("events.log").exists());
        folder.tidy_records(kept, later(10)).unwrap();
        assert!(!place.path().join("events.log").exists());
        assert_eq!(numbers(&folder), [1]);
        folder.tidy_records(kept, later(61)).unwrap();
        assert!(numbers(&folder).is_empty());
    }

    #[test]
    fn logs_of_those_who_are_gone_go_and_those_in_use_stay() {
        let place = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(place.path()).unwrap();
        for name in ["vm-1.jsonl", "vm-2.jsonl"] {
            fs::write(folder.log_path(name), "x\n").unwrap();
        }
        let old = SystemTime::now() - 3 * HOUR;
        File::options()
            .append(true)
            .open(folder.log_path("vm-1.jsonl"))
            .unwrap()
            .set_modified(old)
            .unwrap();
        let kept = Retention { keep: 2 * HOUR, most_bytes: 1 << 20 };
        folder.tidy_records(kept, Timestamp::now()).unwrap();
        assert!(!folder.log_path("vm-1.jsonl").exists() && folder.log_path("vm-2.jsonl").exists());
    }

    #[test]
    fn no_line_is_lost_while_files_are_closed_under_their_writers() {
        let place = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(place.path()).unwrap();
        let kept = Retention { keep: HOUR, most_bytes: u64::MAX };
        let busy = std::sync::atomic::AtomicU32::new(2);
        std::thread::scope(|scope| {
            for writer in 0..2 {
                let (folder, busy) = (folder.clone(), &busy);
                scope.spawn(move || {
                    for number in 0..500 {
                        folder.append_event(&event(writer * 500 + number)).unwrap();
                    }
                    busy.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
                });
            }
            while busy.load(std::sync::atomic::Ordering::Relaxed) > 0 {
                if place.path().join("events.log").exists() {
                    folder.close("events.log", Timestamp::now()).unwrap();
                }
                assert!(numbers(&folder).len() <= 1_000);
            }
        });
        let mut all = numbers(&folder);
        all.sort_unstable();
        assert_eq!(all, (0..1_000).collect::<Vec<_>>());
        assert!(folder.tidy_records(kept, Timestamp::now()).is_ok());
    }
}
