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

#[cfg(test)]
mod tests {
    use std::fs;

    use futures_util::FutureExt;
    use notify::event::{AccessKind, AccessMode, DataChange, Event, EventKind, Flag, ModifyKind};

    use super::*;
    use crate::state::as_state::AsStateFile;

    const LONG: Duration = Duration::from_secs(30);

    fn folder() -> (tempfile::TempDir, StateFolder) {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::open(&folder.path().join("state")).unwrap();
        (folder, state)
    }

    #[test]
    fn only_what_may_have_changed_the_file_rings() {
        let bells = Bells::default();
        let bell = bells.hang("ASState.xml");
        let rings = |event: Event| {
            native::pass_on(&event, std::path::Path::new("/s"), &bells);
            bell.notified().now_or_never().is_some()
        };
        let modified = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        assert!(rings(Event::new(modified).add_path("/s/ASState.xml".into())));
        assert!(rings(Event::new(EventKind::Other).set_flag(Flag::Rescan)));
        assert!(!rings(Event::new(modified).add_path("/s/VMState.xml".into())));
        assert!(!rings(Event::new(modified).add_path("/s/ASState.xml.lock".into())));
        for access in [
            AccessKind::Read,
            AccessKind::Open(AccessMode::Any),
            AccessKind::Close(AccessMode::Write),
            AccessKind::Close(AccessMode::Read),
        ] {
            let event = Event::new(EventKind::Access(access));
            assert!(!rings(event.add_path("/s/ASState.xml".into())), "{access:?}");
        }
    }

    #[test]
    fn a_system_at_its_limit_is_told_which_limit_to_raise() {
        let advice =
            |code| native::advice(&notify::Error::io(std::io::Error::from_raw_os_error(code)));
        assert!(advice(24).contains("max_user_instances"));
        assert!(advice(28).contains("max_user_watches"));
        assert_eq!(advice(2), "");
        let many = notify::Error::new(notify::ErrorKind::MaxFilesWatch);
        assert!(native::advice(&many).contains("max_user_watches"));
    }

    #[tokio::test]
    async fn reports_alone_suffice_also_after_the_folder_was_made_again() {
        let (_folder, state) = folder();
        let bells = Arc::<Bells>::default();
        let mut watch = native::Watch::start(state.path(), Arc::clone(&bells));
        let bell = bells.hang("ASState.xml");
        for _ in 0..3 {
            // Nothing polls here: only a report can ring.
            state.update(|_: &mut AsStateFile| ()).unwrap();
            tokio::time::timeout(LONG, bell.notified()).await.unwrap();
            fs::remove_dir_all(state.path()).unwrap();
            tokio::time::timeout(LONG, bells.folder.notified()).await.unwrap();
            watch.arm();
            assert_eq!(bells.poll_every(), FAST_POLL);
            StateFolder::open(state.path()).unwrap();
            watch.arm();
            assert_eq!(bells.poll_every(), SLOW_POLL);
            while bell.notified().now_or_never().is_some() {}
        }
    }

    #[tokio::test]
    async fn polling_alone_suffices() {
        let (_folder, state) = folder();
        let watcher = Watcher::without_reports(&state).unwrap();
        let mut views = watcher.follow::<AsStateFile>();
        for seq in 1..4 {
            state.update(|_: &mut AsStateFile| ()).unwrap();
            let seen = views.wait_for(|view| view.document.as_ref().is_some_and(|d| d.seq == seq));
            tokio::time::timeout(LONG, seen).await.unwrap().unwrap();
        }
    }

    #[test]
    fn a_file_caught_while_it_is_written_is_given_a_moment() {
        let (_folder, state) = folder();
        let path = state.path().join(AsStateFile::FILE);
        fs::write(&path, "<ASState version=\"1\" seq=\"1\"/>").unwrap();
        let mut follower = Follower::<AsStateFile>::new(state.clone());
        follower.look(true);
        let before = follower.view();
        fs::write(&path, "").unwrap();
        follower.look(true);
        assert_eq!(follower.view(), before);
        fs::write(&path, "<ASState version=\"1\" seq=\"2\"/>").unwrap();
        follower.look(true);
        assert_eq!(follower.view().document.unwrap().seq, 2);
        let copies = fs::read_dir(state.path()).unwrap().flatten();
        let is_copy = |name: std::ffi::OsString| name.to_string_lossy().contains("broken");
        assert!(!copies.map(|entry| entry.file_name()).any(is_copy));
    }

    #[test]
    fn a_file_that_looks_untouched_is_read_now_and_then_all_the_same() {
        let (_folder, state) = folder();
        let path = state.path().join(AsStateFile::FILE);
        fs::write(&path, "<ASState version=\"1\" seq=\"1\"/>").unwrap();
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let mut follower = Follower::<AsStateFile>::new(state);
        follower.look(true);
        // The same length, the same time, the same file: only reading it tells.
        fs::write(&path, "<ASState version=\"1\" seq=\"2\"/>").unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        let mut looks = 0;
        while follower.view().document.unwrap().seq == 1 {
            follower.look(false);
            looks += 1;
            assert!(looks <= 5);
        }
        assert!(looks > 1);
    }
}
