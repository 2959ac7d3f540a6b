//! Finds what triggers wait for, new files and times that have come, and writes each down as an
//! event that is pending. Blocks on files.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf, absolute};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::shapes::{File, time_event};
use crate::domain::trigger::{Files, Schedule, Source, Trigger, file_key, time_key};
use crate::state::deliveries::{Delivery, Stage, Ticks};
use crate::state::{Error, StateFolder};

/// So many events that were answered are remembered beyond those whose files are there: for people,
/// and in case a file comes back.
const REMEMBERED: usize = 1_000;

/// The events of a trigger, by their keys.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) pending: BTreeSet<String>,
    pub(super) done: BTreeSet<String>,
    pub(super) dead: BTreeSet<String>,
    /// What is wrong with one of the files, if something is.
    pub(super) problem: Option<String>,
}

impl Found {
    fn knows(&self, key: &str) -> bool {
        [&self.pending, &self.done, &self.dead].iter().any(|keys| keys.contains(key))
    }
}

/// Looks for what is new, and says what there is.
pub(super) fn find(
    folder: &StateFolder,
    trigger: &Trigger,
    now: Timestamp,
) -> Result<Found, Error> {
    folder.prepare_trigger(&trigger.name)?;
    let keys = |stage| folder.delivery_keys(&trigger.name, stage);
    // In the order in which events go on: one that moves meanwhile is seen twice, not never.
    let mut found = Found {
        pending: keys(Stage::Pending)?,
        done: keys(Stage::Done)?,
        dead: keys(Stage::Dead)?,
        problem: None,
    };
    let there = match &trigger.source {
        Source::Files(files) => new_files(folder, trigger, files, &mut found, now)?,
        Source::Schedule(schedule) => {
            new_time(folder, trigger, schedule, &mut found, now)?;
            BTreeSet::new()
        }
    };
    forget(folder, trigger, &mut found, &there)?;
    Ok(found)
}

/// Forgets the oldest of the events that were answered and whose files are no longer there.
fn forget(
    folder: &StateFolder,
    trigger: &Trigger,
    found: &mut Found,
    there: &BTreeSet<String>,
) -> Result<(), Error> {
    let mut gone = found.done.difference(there).cloned().collect::<Vec<_>>();
    if gone.len() <= REMEMBERED {
        return Ok(());
    }
    gone.sort_by_cached_key(|key| folder.delivery_written(&trigger.name, Stage::Done, key));
    // Some more than need be, so that this is not done each time.
    gone.truncate(gone.len() - REMEMBERED * 9 / 10);
    for key in gone {
        folder.forget_delivery(&trigger.name, &key)?;
        found.done.remove(&key);
    }
    Ok(())
}

/// The keys of all files that are there, of which the new ones are written down.
fn new_files(
    folder: &StateFolder,
    trigger: &Trigger,
    files: &Files,
    found: &mut Found,
    now: Timestamp,
) -> Result<BTreeSet<String>, Error> {
    let place = |path: &Path| -> Result<PathBuf, Error> {
        let path = folder.path().join(path);
        let failed = |doing: &'static str| {
            let path = path.clone();
            move |source| Error::Io { doing, path, source }
        };
        let path = absolute(&path).map_err(failed("find"))?;
        fs::create_dir_all(&path).map_err(failed("make the folder"))?;
        Ok(path)
    };
    let inbox = place(&files.folder)?;
    let output = files.output.as_deref().map(place).transpose()?;
    let failed = |source| Error::Io { doing: "read", path: inbox.clone(), source };
    let mut there = BTreeSet::new();
    for entry in fs::read_dir(&inbox).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let metadata = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => metadata,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => continue,
        };
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            let path = path.display();
            found.problem = Some(format!("{path}: its name is not UTF-8, so it is left alone"));
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        let modified = moment(metadata.mtime(), metadata.mtime_nsec());
        let key = file_key(name, metadata.len(), modified);
        if !found.knows(&key) && has_settled(&metadata, files.settle, now) {
            let file = File { path: &path, name, key: &key, bytes: metadata.len(), modified };
            let event = file.event(trigger, &inbox, output.as_deref(), now);
            write_down(folder, trigger, &key, name.to_owned(), event, now)?;
            found.pending.insert(key.clone());
        }
        there.insert(key);
    }
    Ok(there)
}

/// Whether nothing has changed a file for so long: neither its content, nor its times and its name,
/// as copying and moving do at their end.
fn has_settled(metadata: &Metadata, settle: Duration, now: Timestamp) -> bool {
    let changed = moment(metadata.ctime(), metadata.ctime_nsec());
    // A change that is yet to come is one of a clock that was set back.
    changed > now || Duration::try_from(now.duration_since(changed)).is_ok_and(|age| age >= settle)
}

fn moment(seconds: i64, nanoseconds: i64) -> Timestamp {
    let nanoseconds = i32::try_from(nanoseconds).unwrap_or(0);
    // Files of other times than the calendar's are told apart by the rest.
    Timestamp::new(seconds, nanoseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Writes the last time down that has come since the one before, if one has.
fn new_time(
    folder: &StateFolder,
    trigger: &Trigger,
    schedule: &Schedule,
    found: &mut Found,
    now: Timestamp,
) -> Result<(), Error> {
    let (text, zone) = (schedule.text().to_owned(), schedule.zone().to_owned());
    let ticks = folder.read_ticks(&trigger.name).unwrap_or_else(|error| {
        tracing::warn!(%error, "the schedule begins anew");
        None
    });
    // Another schedule than before owes nothing for the time before it.
    let before = ticks.filter(|ticks| ticks.schedule == text && ticks.zone == zone);
    let since = match before {
        None => now,
        Some(ticks) => {
            let Some(due) = schedule.due(ticks.since, now) else { return Ok(()) };
            let key = time_key(due.at);
            if !found.knows(&key) {
                let event = time_event(trigger, &key, due);
                write_down(folder, trigger, &key, due.at.to_string(), event, now)?;
                found.pending.insert(key);
            }
            due.at
        }
    };
    folder.write_ticks(&trigger.name, &Ticks { schedule: text, zone, since })
}

fn write_down(
    folder: &StateFolder,
    trigger: &Trigger,
    key: &str,
    subject: String,
    event: Value,
    now: Timestamp,
) -> Result<(), Error> {
    let delivery = Delivery {
        key: key.to_owned(),
        at: now,
        subject,
        attempts: 0,
        tried_at: None,
        error: None,
        event,
        answer: None,
    };
    folder.put_delivery(&trigger.name, Stage::Pending, &delivery)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::function::FunctionName;
    use jiff::SignedDuration;
    use jiff::tz::TimeZone;
    use serde_json::json;

    struct Case {
        _place: tempfile::TempDir,
        folder: StateFolder,
        trigger: Trigger,
    }

    impl Case {
        fn new(source: Source) -> Self {
            let place = tempfile::tempdir().unwrap();
            let folder = StateFolder::open(place.path()).unwrap();
            let name: FunctionName = "t".parse().unwrap();
            Self { _place: place, folder, trigger: Trigger::new(name.clone(), name, source) }
        }

        fn watching(settle: Duration) -> Self {
            let output = Some("outbox".into());
            Self::new(Source::Files(Files { folder: "inbox".into(), output, settle }))
        }

        fn find_at(&self, now: &str) -> Found {
            find(&self.folder, &self.trigger, now.parse().unwrap()).unwrap()
        }

        fn find(&self) -> Found {
            find(&self.folder, &self.trigger, Timestamp::now()).unwrap()
        }

        fn drop_file(&self, name: &str, text: &str) -> PathBuf {
            let path = self.folder.path().join("inbox").join(name);
            fs::write(&path, text).unwrap();
            path
        }

        fn read(&self, key: &str) -> Delivery {
            let name = &self.trigger.name;
            self.folder.read_delivery(name, Stage::Pending, key).unwrap().unwrap()
        }

        fn done(&self, key: &str) {
            let step = (Stage::Pending, Stage::Done);
            self.folder.move_delivery(&self.trigger.name, key, step).unwrap();
        }
    }

    #[test]
    fn a_file_is_one_event_however_often_it_is_looked_at_and_another_once_it_changes() {
        let case = Case::watching(Duration::ZERO);
        assert!(case.find().pending.is_empty());
        let path = case.drop_file("red flower.jpg", "one");
        let first = case.find().pending.pop_first().unwrap();
        let delivery = case.read(&first);
        assert_eq!((delivery.subject.as_str(), delivery.attempts), ("red flower.jpg", 0));
        let object = &delivery.event["Records"][0]["s3"]["object"];
        assert_eq!((&object["key"], &object["size"]), (&json!("red+flower.jpg"), &json!(3)));
        assert_eq!(delivery.event["path"], absolute(&path).unwrap().display().to_string());
        assert!(delivery.event["output"].as_str().unwrap().ends_with("outbox"));
        assert_eq!(case.find().pending.len(), 1);
        case.done(&first);
        let again = case.find();
        assert!(again.pending.is_empty() && again.done.contains(&first));
        case.drop_file("red flower.jpg", "three");
        let second = case.find().pending.pop_first().unwrap();
        assert_ne!(second, first);
    }

    #[test]
    fn a_file_that_changed_a_moment_ago_is_left_alone_and_so_is_what_is_no_file() {
        let case = Case::watching(Duration::from_hours(1));
        case.find();
        case.drop_file("half.jpg", "ha");
        assert!(case.find().pending.is_empty());
        let case = Case::watching(Duration::ZERO);
        case.find();
        case.drop_file(".hidden", "x");
        fs::create_dir(case.folder.path().join("inbox/folder")).unwrap();
        assert!(case.find().pending.is_empty());
    }

    #[test]
    fn what_was_answered_and_is_gone_is_forgotten_in_the_end_and_what_is_there_never() {
        let case = Case::watching(Duration::ZERO);
        case.find();
        case.drop_file("stays.jpg", "x");
        let stays = case.find().pending.pop_first().unwrap();
        let delivery = case.read(&stays);
        case.done(&stays);
        for number in 0..=REMEMBERED {
            let other = Delivery { key: format!("{number:032x}"), ..delivery.clone() };
            case.folder.put_delivery(&case.trigger.name, Stage::Done, &other).unwrap();
        }
        let found = case.find();
        assert!(found.pending.is_empty() && found.done.contains(&stays));
        assert_eq!(found.done.len(), REMEMBERED * 9 / 10 + 1);
    }

    #[test]
    fn a_time_is_one_event_and_of_those_missed_the_last() {
        let hourly = Schedule::new("0 * * * *", TimeZone::UTC).unwrap();
        let mut case = Case::new(Source::Schedule(hourly));
        assert!(case.find_at("2026-11-22T09:10:00Z").pending.is_empty(), "it begins now");
        assert!(case.find_at("2026-11-22T09:59:59Z").pending.is_empty());
        let found = case.find_at("2026-11-22T10:00:00Z");
        assert_eq!(found.pending.into_iter().collect::<Vec<_>>(), ["20261122T100000Z"]);
        case.done("20261122T100000Z");
        assert!(case.find_at("2026-11-22T10:30:00Z").pending.is_empty());
        // Nobody looked for hours.
        let found = case.find_at("2026-11-22T13:20:00Z");
        assert_eq!(found.pending.into_iter().collect::<Vec<_>>(), ["20261122T130000Z"]);
        let event = case.read("20261122T130000Z").event;
        assert_eq!(event["detail"]["missed"], 2);
        assert_eq!(event["time"], "2026-11-22T13:00:00Z");
        // Another schedule owes nothing for the time before it.
        case.trigger.source =
            Source::Schedule(Schedule::new("*/10 * * * *", TimeZone::UTC).unwrap());
        assert_eq!(case.find_at("2026-11-22T13:25:00Z").pending.len(), 1);
        assert_eq!(case.find_at("2026-11-22T13:30:00Z").pending.len(), 2);
    }

    #[test]
    fn a_killed_finder_neither_loses_nor_repeats_a_time() {
        let hourly = Schedule::new("0 * * * *", TimeZone::UTC).unwrap();
        let case = Case::new(Source::Schedule(hourly));
        case.find_at("2026-11-22T09:10:00Z");
        let before = case.folder.read_ticks(&case.trigger.name).unwrap().unwrap();
        case.find_at("2026-11-22T10:00:00Z");
        case.done("20261122T100000Z");
        // As if it had been killed after it wrote the event and before it noted the time.
        case.folder.write_ticks(&case.trigger.name, &before).unwrap();
        let found = case.find_at("2026-11-22T10:00:01Z");
        assert!(found.pending.is_empty() && found.done.len() == 1);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_hold_a_file_up_for_ever() {
        let case = Case::watching(Duration::from_hours(1));
        case.find();
        case.drop_file("a.jpg", "x");
        let past = Timestamp::now() - SignedDuration::from_hours(24);
        assert_eq!(find(&case.folder, &case.trigger, past).unwrap().pending.len(), 1);
    }
}
