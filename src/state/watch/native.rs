//! The operating system's own reports of changes.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::{Bells, SLOW_POLL};

/// Watches the folder and not the files in it: a file that is replaced is another file, and a
/// watch on the old one would never report again.
pub(super) struct Watch {
    path: PathBuf,
    bells: Arc<Bells>,
    /// The watcher, and the number of the folder that it watches.
    armed: Option<(RecommendedWatcher, u64)>,
    /// It has been said that there are no reports.
    said: bool,
}

impl Watch {
    pub(super) fn start(path: &Path, bells: Arc<Bells>) -> Self {
        let mut watch = Self { path: path.to_owned(), bells, armed: None, said: false };
        watch.arm();
        watch
    }

    /// Arms the watch again whenever the folder has been removed and made anew.
    pub(super) async fn keep_armed(mut self) {
        let bells = Arc::clone(&self.bells);
        loop {
            tokio::select! {
                () = bells.folder.notified() => {}
                () = tokio::time::sleep(SLOW_POLL) => {}
            }
            let armed = tokio::task::spawn_blocking(move || {
                self.arm();
                self
            });
            // An error means that the runtime shuts down.
            let Ok(watch) = armed.await else { return };
            self = watch;
        }
    }

    /// Watches the folder that is there now, unless that is done already.
    pub(super) fn arm(&mut self) {
        let folder = fs::metadata(&self.path).ok().map(|metadata| file_number(&metadata));
        if folder.is_some() && folder == self.armed.as_ref().map(|(_, number)| *number) {
            return;
        }
        self.armed = None;
        if let Some(number) = folder {
            match self.watcher() {
                Ok(watcher) => self.armed = Some((watcher, number)),
                Err(error) => self.say(&error),
            }
        }
        self.bells.reported.store(self.armed.is_some(), Ordering::Relaxed);
        // What happened before the watch was armed has been reported to nobody.
        self.bells.ring(|_| true);
    }

    fn watcher(&self) -> notify::Result<RecommendedWatcher> {
        let bells = Arc::clone(&self.bells);
        let folder = self.path.clone();
        let mut watcher =
            notify::recommended_watcher(move |report: notify::Result<Event>| match report {
                Ok(report) => pass_on(&report, &folder, &bells),
                Err(_) => bells.ring(|_| true),
            })?;
        watcher.watch(&self.path, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    }

    fn say(&mut self, error: &notify::Error) {
        if std::mem::replace(&mut self.said, true) {
            return;
        }
        let advice = advice(error);
        tracing::warn!(
            folder = %self.path.display(),
            "the system does not report changes of files ({error}), so they are looked at four \
             times a second{advice}"
        );
    }
}

/// What can be changed so that the system reports again.
pub(super) fn advice(error: &notify::Error) -> &'static str {
    match &error.kind {
        ErrorKind::MaxFilesWatch => "; raise the sysctl fs.inotify.max_user_watches",
        ErrorKind::Io(error) => match error.raw_os_error() {
            // EMFILE and ENOSPC, the same numbers on every Linux.
            Some(24) => "; raise the sysctl fs.inotify.max_user_instances, or `ulimit -n`",
            Some(28) => "; raise the sysctl fs.inotify.max_user_watches",
            _ => "",
        },
        _ => "",
    }
}

/// Rings the bells of the files that a report is about.
pub(super) fn pass_on(report: &Event, folder: &Path, bells: &Bells) {
    // Reading a file is reported too. A reader that looks whenever somebody has looked would never
    // rest, and would keep all others awake.
    if matches!(report.kind, EventKind::Access(_)) {
        return;
    }
    if report.need_rescan() || report.paths.is_empty() {
        bells.ring(|_| true);
        return;
    }
    bells.ring(|file| {
        report.paths.iter().any(|path| path.file_name().is_some_and(|name| name == file))
    });
    if report.paths.iter().any(|path| path == folder) {
        bells.folder.notify_one();
    }
}

/// What tells two files of the same name apart, if the system has it.
#[cfg(unix)]
pub(super) fn file_number(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
pub(super) fn file_number(_: &Metadata) -> u64 {
    0
}
