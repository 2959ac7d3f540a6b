//! The files of a state folder that are no documents: logs of lines, and the two small files that
//! one role writes and others read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{StateFolder, files};
use crate::state::Error;
use crate::state::alerts::AlertsFile;
use crate::state::cluster_file::ClusterFile;
use crate::state::events::Event;
use crate::state::logfmt::Line;
use crate::state::metrics::Metric;
use crate::state::samples::Sample;
use crate::state::xml::MAX_BYTES;

/// The largest `cluster.toml` that is read, in bytes.
const CLUSTER_FILE_BYTES: u64 = 64 << 10;

impl StateFolder {
    /// Appends to `events.log`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn append_event(&self, event: &Event) -> Result<(), Error> {
        self.append(event)
    }

    /// Appends to `metrics.txt`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn append_metric(&self, line: &Metric) -> Result<(), Error> {
        self.append(line)
    }

    /// Appends to `samples.txt`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn append_sample(&self, line: &Sample) -> Result<(), Error> {
        self.append(line)
    }

    fn append<L: Line>(&self, line: &L) -> Result<(), Error> {
        let path = self.path().join(L::FILE);
        let line = line.to_string();
        self.again_in_a_new_folder(|| files::append_line(&path, &line))
    }

    /// Where the diagnostics of a role are, `log/NAME`.
    pub fn log_path(&self, name: &str) -> PathBuf {
        self.path().join("log").join(name)
    }

    /// The lines in the last `bytes` bytes of a log; none if there is no such file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn end_of_log(path: &Path, bytes: u64) -> Result<String, Error> {
        files::read_end(path, bytes)
    }

    /// What `cluster.toml` says; nothing if no cluster runs here.
    ///
    /// # Errors
    /// [`Error::ClusterFile`] if it does not say what it should.
    pub fn read_cluster_file(&self) -> Result<Option<ClusterFile>, Error> {
        let path = self.path().join(ClusterFile::FILE);
        let Some(bytes) = files::read_bounded(&path, CLUSTER_FILE_BYTES)? else { return Ok(None) };
        toml::from_slice(&bytes)
            .map(Some)
            .map_err(|error| Error::ClusterFile { path, source: Box::new(error) })
    }

    /// Replaces `cluster.toml`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_cluster_file(&self, file: &ClusterFile) -> Result<(), Error> {
        let path = self.path().join(ClusterFile::FILE);
        let text = toml::to_string(file)
            .map_err(|error| Error::io("put into words", &path)(io::Error::other(error)))?;
        self.again_in_a_new_folder(|| files::replace(&path, text.as_bytes()))
    }

    /// Removes `cluster.toml`, if it is there.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub fn remove_cluster_file(&self) -> Result<(), Error> {
        let path = self.path().join(ClusterFile::FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// What `alerts.json` says; nothing if no cluster has had alerts here.
    ///
    /// # Errors
    /// [`Error::Alerts`] if it does not say what it should.
    pub fn read_alerts(&self) -> Result<Option<AlertsFile>, Error> {
        let path = self.path().join(AlertsFile::FILE);
        let Some(bytes) = files::read_bounded(&path, MAX_BYTES)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|source| Error::Alerts { path, source })
    }

    /// Replaces `alerts.json`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_alerts(&self, file: &AlertsFile) -> Result<(), Error> {
        let path = self.path().join(AlertsFile::FILE);
        let text = serde_json::to_string_pretty(file)
            .map_err(|error| Error::io("put into words", &path)(error.into()))?;
        self.again_in_a_new_folder(|| files::replace(&path, text.as_bytes()))
    }
}
