//! triggers/NAME/: the events of a trigger, a file each. What is pending stands in `pending/`, what
//! was answered in `done/`, what was given up in `dead/`. What became of an event is written into
//! its file first, and then the file is moved: whoever is killed in between is followed by one who
//! sees from the file what is left to do.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::Error;
use super::folder::{StateFolder, files};
use crate::domain::function::FunctionName;

/// The folder of all triggers.
const FOLDER: &str = "triggers";
/// What a trigger remembers of its schedule.
const SCHEDULE: &str = "schedule.json";
/// The largest record that is read, in bytes: an event with the longest answer that is kept.
const RECORD_BYTES: u64 = 1 << 20;

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It is to be tried.
    Pending,
    /// Its function has answered.
    Done,
    /// It was tried as often as it may.
    Dead,
}

impl Stage {
    /// All of them, the way an event goes.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Done, Self::Dead];

    /// The name of its folder.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }
}

/// An event and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// Which event it is: the name of its file, without `.json`.
    pub key: String,
    /// When it was found.
    pub at: Timestamp,
    /// What it is about, for people: a file's name or a time.
    pub subject: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was tried last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried_at: Option<Timestamp>,
    /// Why it was not answered then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the function gets.
    pub event: Value,
    /// What it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
}

/// What a trigger remembers of its schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticks {
    /// The expression that it is about.
    pub schedule: String,
    /// Its time zone.
    pub zone: String,
    /// Up to when the times have been seen to.
    pub since: Timestamp,
}

impl StateFolder {
    /// Makes the folders of a trigger's events, and removes what a writer that died left in them.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn prepare_trigger(&self, trigger: &FunctionName) -> Result<(), Error> {
        for stage in Stage::ALL {
            let path = self.stage_path(trigger, stage);
            fs::create_dir_all(&path).map_err(Error::io("make the folder", &path))?;
            files::sweep(&path, SystemTime::now());
        }
        Ok(())
    }

    /// The keys of a trigger's events that stand there.
    ///
    /// # Errors
    /// If the folder cannot be read. A missing one has none.
    pub fn delivery_keys(
        &self,
        trigger: &FunctionName,
        stage: Stage,
    ) -> Result<BTreeSet<String>, Error> {
        let path = self.stage_path(trigger, stage);
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            entries => entries.map_err(Error::io("read", &path))?,
        };
        let mut keys = BTreeSet::new();
        for entry in entries {
            let name = entry.map_err(Error::io("read", &path))?.file_name();
            let key = name.to_str().and_then(|name| name.strip_suffix(".json"));
            keys.extend(key.filter(|key| !key.starts_with('.')).map(str::to_owned));
        }
        Ok(keys)
    }

    /// An event; none if it stands there no longer.
    ///
    /// # Errors
    /// [`Error::Record`] if it does not say what it should.
    pub fn read_delivery(
        &self,
        trigger: &FunctionName,
        stage: Stage,
        key: &str,
    ) -> Result<Option<Delivery>, Error> {
        let path = self.delivery_path(trigger, stage, key);
        read_json(&path)
    }

    /// Writes an event down where it stands.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn put_delivery(
        &self,
        trigger: &FunctionName,
        stage: Stage,
        delivery: &Delivery,
    ) -> Result<(), Error> {
        write_json(&self.delivery_path(trigger, stage, &delivery.key), delivery)
    }

    /// Moves an event on, in one step.
    ///
    /// # Errors
    /// If it cannot be moved.
    pub fn move_delivery(
        &self,
        trigger: &FunctionName,
        key: &str,
        (from, to): (Stage, Stage),
    ) -> Result<(), Error> {
        let from = self.delivery_path(trigger, from, key);
        let to = self.delivery_path(trigger, to, key);
        fs::rename(&from, to).map_err(Error::io("move", &from))
    }

    /// Takes an event that was answered out of memory.
    ///
    /// # Errors
    /// If that cannot be done. One that is not there is no error.
    pub fn forget_delivery(&self, trigger: &FunctionName, key: &str) -> Result<(), Error> {
        let path = self.delivery_path(trigger, Stage::Done, key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// When a record was written last; none if it is not there.
    pub fn delivery_written(
        &self,
        trigger: &FunctionName,
        stage: Stage,
        key: &str,
    ) -> Option<SystemTime> {
        fs::metadata(self.delivery_path(trigger, stage, key)).ok()?.modified().ok()
    }

    /// What a trigger remembers of its schedule; nothing if it has none yet.
    ///
    /// # Errors
    /// [`Error::Record`] if it does not say what it should.
    pub fn read_ticks(&self, trigger: &FunctionName) -> Result<Option<Ticks>, Error> {
        read_json(&self.trigger_path(trigger).join(SCHEDULE))
    }

    /// Replaces that.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn write_ticks(&self, trigger: &FunctionName, ticks: &Ticks) -> Result<(), Error> {
        write_json(&self.trigger_path(trigger).join(SCHEDULE), ticks)
    }

    /// Where a trigger keeps its events.
    pub fn trigger_path(&self, trigger: &FunctionName) -> PathBuf {
        self.path().join(FOLDER).join(trigger.as_str())
    }

    fn stage_path(&self, trigger: &FunctionName, stage: Stage) -> PathBuf {
        self.trigger_path(trigger).join(stage.as_str())
    }

    fn delivery_path(&self, trigger: &FunctionName, stage: Stage, key: &str) -> PathBuf {
        self.stage_path(trigger, stage).join(format!("{key}.json"))
    }
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, Error> {
    let Some(bytes) = files::read_bounded(path, RECORD_BYTES)? else { return Ok(None) };
    let read = serde_json::from_slice(&bytes);
    read.map(Some).map_err(|source| Error::Record { path: path.to_owned(), source })
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::io("put into words", path)(error.into()))?;
    files::replace(path, format!("{text}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(key: &str) -> Delivery {
        Delivery {
            key: key.to_owned(),
            at: Timestamp::UNIX_EPOCH,
            subject: "cat.png".to_owned(),
            attempts: 1,
            tried_at: None,
            error: None,
            event: serde_json::json!({"a": 1}),
            answer: None,
        }
    }

    #[test]
    fn an_event_stands_in_one_place_and_is_found_as_it_was() {
        let place = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(place.path()).unwrap();
        let name: FunctionName = "t".parse().unwrap();
        assert!(folder.delivery_keys(&name, Stage::Pending).unwrap().is_empty());
        folder.prepare_trigger(&name).unwrap();
        folder.put_delivery(&name, Stage::Pending, &delivery("k")).unwrap();
        let done = Delivery { answer: Some("x".into()), attempts: 2, ..delivery("k") };
        folder.put_delivery(&name, Stage::Pending, &done).unwrap();
        folder.move_delivery(&name, "k", (Stage::Pending, Stage::Done)).unwrap();
        assert_eq!(folder.read_delivery(&name, Stage::Pending, "k").unwrap(), None);
        assert_eq!(folder.read_delivery(&name, Stage::Done, "k").unwrap(), Some(done));
        let keys = Stage::ALL.map(|stage| folder.delivery_keys(&name, stage).unwrap().len());
        assert_eq!(keys, [0, 1, 0]);
        folder.forget_delivery(&name, "k").unwrap();
        folder.forget_delivery(&name, "k").unwrap();
        assert!(folder.delivery_keys(&name, Stage::Done).unwrap().is_empty());
    }

    #[test]
    fn a_record_that_cannot_be_read_is_named_and_set_aside_whole() {
        let place = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(place.path()).unwrap();
        let name: FunctionName = "t".parse().unwrap();
        folder.prepare_trigger(&name).unwrap();
        let path = folder.trigger_path(&name).join("pending/k.json");
        fs::write(&path, "{ half").unwrap();
        let error = folder.read_delivery(&name, Stage::Pending, "k").unwrap_err().to_string();
        assert!(error.contains("k.json"), "{error}");
        folder.move_delivery(&name, "k", (Stage::Pending, Stage::Dead)).unwrap();
        let buried = folder.trigger_path(&name).join("dead/k.json");
        assert_eq!(fs::read_to_string(buried).unwrap(), "{ half");
    }
}
