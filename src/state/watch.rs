//! Tells readers when a document says something new.
//!
//! The operating system reports changes in the folder, and a slow poll stands behind it. A report
//! only says "look": the whole file is read again, and readers wake if it says something else. So
//! it does not matter that one write makes seven reports, that reports get lost when there are too
//! many, or that a file system has none.

mod follower;
mod native;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::document::Document;
use super::error::Error;
use super::folder::StateFolder;
use follower::Follower;

/// How often files are looked at when the operating system reports changes.
const SLOW_POLL: Duration = Duration::from_secs(1);
/// How often files are looked at when it does not.
const FAST_POLL: Duration = Duration::from_millis(250);

/// What a reader knows of a document.
#[derive(Debug)]
pub struct View<D> {
    /// The last good document; none if there never was one.
    pub document: Option<Arc<D>>,
    /// Why the file as it stands is not used: it is broken, it cannot be read, or it is gone. The
    /// last good document stays in force meanwhile.
    pub problem: Option<Arc<Error>>,
}

impl<D> Clone for View<D> {
    fn clone(&self) -> Self {
        Self { document: self.document.clone(), problem: self.problem.clone() }
    }
}

impl<D: PartialEq> PartialEq for View<D> {
    /// Problems are equal if they read the same.
    fn eq(&self, other: &Self) -> bool {
        let words = |view: &Self| view.problem.as_ref().map(ToString::to_string);
        self.document == other.document && words(self) == words(other)
    }
}

/// Watches a state folder. Receivers get nothing new once it is dropped.
#[derive(Debug)]
pub struct Watcher {
    folder: StateFolder,
    bells: Arc<Bells>,
    runtime: Handle,
    tasks: Mutex<JoinSet<()>>,
}

/// What is rung when something may have changed.
#[derive(Debug, Default)]
struct Bells {
    /// By the name of the file that each follower follows.
    files: Mutex<Vec<(&'static str, Arc<Notify>)>>,
    /// For the folder itself.
    folder: Notify,
    /// True while the operating system reports changes.
    reported: AtomicBool,
}

impl Bells {
    /// Adds one for a follower of this file.
    fn hang(&self, file: &'static str) -> Arc<Notify> {
        let bell = Arc::new(Notify::new());
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        // A bell that nobody else holds belonged to a follower that has ended.
        files.retain(|(_, bell)| Arc::strong_count(bell) > 1);
        files.push((file, Arc::clone(&bell)));
        bell
    }

    /// Rings those for the files that `concerns` names.
    fn ring(&self, concerns: impl Fn(&str) -> bool) {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, bell) in files.iter().filter(|(file, _)| concerns(file)) {
            bell.notify_one();
        }
    }

    fn poll_every(&self) -> Duration {
        if self.reported.load(Ordering::Relaxed) { SLOW_POLL } else { FAST_POLL }
    }
}

impl Watcher {
    /// Starts to watch. Where the operating system cannot report changes, files are looked at four
    /// times a second, and the log says so once.
    ///
    /// # Errors
    /// If there is no tokio runtime to run in.
    pub fn start(folder: &StateFolder) -> Result<Self, Error> {
        let watcher = Self::without_reports(folder)?;
        let watch = native::Watch::start(folder.path(), Arc::clone(&watcher.bells));
        let runtime = watcher.runtime.clone();
        watcher.lock_tasks().spawn_on(watch.keep_armed(), &runtime);
        Ok(watcher)
    }

    /// A watcher that only polls.
    fn without_reports(folder: &StateFolder) -> Result<Self, Error> {
        let runtime = Handle::try_current()
            .map_err(|error| Error::io("watch", folder.path())(std::io::Error::other(error)))?;
        Ok(Self { folder: folder.clone(), bells: Arc::default(), runtime, tasks: Mutex::default() })
    }

    /// The document as it is now and whenever it changes. The file is read once before this
    /// returns.
    pub fn follow<D: Document>(&self) -> watch::Receiver<View<D>> {
        let bell = self.bells.hang(D::FILE);
        let mut follower = Follower::<D>::new(self.folder.clone());
        follower.look(true);
        let (sender, receiver) = watch::channel(follower.view());
        let task = follower.run(sender, bell, Arc::clone(&self.bells));
        self.lock_tasks().spawn_on(task, &self.runtime);
        receiver
    }

    fn lock_tasks(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
