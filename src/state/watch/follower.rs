//! Follows one document for the receivers of one channel.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::{Notify, watch};

use super::super::document::Document;
use super::super::error::Error;
use super::super::folder::{Found, StateFolder, TORN_FOR};
use super::{Bells, View};

/// Each how many looks the file is read although it seems untouched: time stamps are coarse, and a
/// second write in the same tick leaves no trace in them.
const READ_EACH: u32 = 5;

/// What is known of a document, and of its file when it was last read.
pub(super) struct Follower<D> {
    folder: StateFolder,
    view: View<D>,
    stamp: Option<Stamp>,
    /// Since when the file has been broken without that having been told: it may have been caught
    /// while an editor wrote it.
    torn_since: Option<Instant>,
    looks: u32,
}

impl<D: Document> Follower<D> {
    pub(super) fn new(folder: StateFolder) -> Self {
        let view = View { document: folder.last_good(), problem: None };
        Self { folder, view, stamp: None, torn_since: None, looks: 0 }
    }

    pub(super) fn view(&self) -> View<D> {
        self.view.clone()
    }

    /// Looks at the file, and reads it if it may have changed or if `read` says so.
    pub(super) fn look(&mut self, read: bool) {
        let stamp = Stamp::of(&self.folder.path().join(D::FILE));
        self.looks = self.looks.wrapping_add(1);
        let untouched = stamp == self.stamp && !self.looks.is_multiple_of(READ_EACH);
        if untouched && !read && self.torn_since.is_none() {
            return;
        }
        self.stamp = stamp;
        let problem = match self.folder.look::<D>() {
            Ok(Found::Good(document)) => {
                // The same content keeps its place in memory: readers may compare pointers.
                if self.view.document.as_ref() != Some(&document) {
                    self.view.document = Some(document);
                }
                None
            }
            Ok(Found::Missing) if self.view.document.is_none() => None,
            Ok(Found::Missing) => Some(Error::Gone { path: self.folder.path().join(D::FILE) }),
            Ok(Found::Broken(broken)) => {
                let since = *self.torn_since.get_or_insert_with(Instant::now);
                if since.elapsed() < TORN_FOR {
                    return;
                }
                Some(self.folder.report::<D>(broken))
            }
            Err(error) => Some(error),
        };
        self.torn_since = None;
        self.view.problem = problem.map(Arc::new);
    }

    /// Looks whenever the bell rings and once per poll, until nobody listens.
    pub(super) async fn run(
        mut self,
        sender: watch::Sender<View<D>>,
        bell: Arc<Notify>,
        bells: Arc<Bells>,
    ) {
        loop {
            let pause = if self.torn_since.is_some() { TORN_FOR } else { bells.poll_every() };
            let rung = tokio::select! {
                () = bell.notified() => true,
                () = tokio::time::sleep(pause) => false,
                () = sender.closed() => return,
            };
            let looked = tokio::task::spawn_blocking(move || {
                self.look(rung);
                self
            });
            // An error means that the runtime shuts down.
            let Ok(follower) = looked.await else { return };
            self = follower;
            sender.send_if_modified(|view| {
                let changed = *view != self.view;
                if changed {
                    *view = self.view.clone();
                }
                changed
            });
        }
    }
}

/// What tells cheaply that a file was touched.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    number: u64,
}

impl Stamp {
    /// Nothing if there is no file.
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            number: super::native::file_number(&metadata),
        })
    }
}
