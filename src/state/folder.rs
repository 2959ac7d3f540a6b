//! The folder itself: reading documents, and replacing them so that no reader sees half a file and
//! no update is lost.
//!
//! Everything here blocks, on files or on a lock: call it from plain threads or `spawn_blocking`.

mod broken;
pub(in crate::state) mod files;
mod images;
mod lock;
mod plain;
mod sockets;

use std::any::Any;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;

use super::document::Document;
use super::error::Error;
use super::xml::{MAX_BYTES, Problem};
use lock::Lock;
pub use sockets::{SocketPlace, socket_name};

/// How long a broken file is given to become whole: an editor that empties a file and then writes
/// it needs far less.
pub(in crate::state) const TORN_FOR: Duration = Duration::from_millis(50);

/// The schemas of the documents, so that a folder that is copied elsewhere explains itself.
const SCHEMAS: [(&str, &str); 6] = [
    ("VMState.xsd", include_str!("../../state/schema/VMState.xsd")),
    ("ASState.xsd", include_str!("../../state/schema/ASState.xsd")),
    ("LBState.xsd", include_str!("../../state/schema/LBState.xsd")),
    ("CostModel.xsd", include_str!("../../state/schema/CostModel.xsd")),
    ("Functions.xsd", include_str!("../../state/schema/Functions.xsd")),
    ("FunctionState.xsd", include_str!("../../state/schema/FunctionState.xsd")),
];

/// A state folder. Clones are the same folder and share what has been seen in it.
#[derive(Debug, Clone)]
pub struct StateFolder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    seen: Mutex<HashMap<&'static str, Seen>>,
}

/// What this process has seen of a document.
#[derive(Debug, Default)]
struct Seen {
    /// The highest number of a write.
    seq: u64,
    /// When its lock was last let go of.
    unlocked: Option<Instant>,
    /// The last good document, an `Arc<D>`.
    good: Option<Arc<dyn Any + Send + Sync>>,
}

/// What a document's file holds at one instant.
pub(in crate::state) enum Found<D> {
    /// There is no file.
    Missing,
    /// A good document.
    Good(Arc<D>),
    /// Something else.
    Broken(Broken),
}

/// A file that is not the document it should be.
pub(in crate::state) enum Broken {
    /// It was read.
    Read { bytes: Vec<u8>, problem: Problem },
    /// It is too large to be read.
    TooLarge(Error),
}

impl StateFolder {
    /// Opens a state folder for a role: makes it if it is missing, lays the schemas beside the
    /// documents, and removes temporary files that died with their writers.
    ///
    /// # Errors
    /// If the folder cannot be made or written to.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let folder = Self::at(path);
        folder.create()?;
        files::sweep(path, SystemTime::now());
        Ok(folder)
    }

    /// Opens a state folder that must be there already, and changes nothing in it: for observers
    /// and for an operator's commands.
    ///
    /// # Errors
    /// [`Error::NoFolder`] if there is none.
    pub fn existing(path: &Path) -> Result<Self, Error> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Ok(Self::at(path)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("open", path)(error))
            }
            _ => Err(Error::NoFolder { path: path.to_owned() }),
        }
    }

    fn at(path: &Path) -> Self {
        Self(Arc::new(Inner { path: path.to_owned(), seen: Mutex::default() }))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    fn create(&self) -> Result<(), Error> {
        for folder in ["log", "schema"] {
            let path = self.path().join(folder);
            fs::create_dir_all(&path).map_err(Error::io("make the folder", &path))?;
        }
        for (name, text) in SCHEMAS {
            let path = self.path().join("schema").join(name);
            if fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
                files::replace(&path, text.as_bytes())?;
            }
        }
        Ok(())
    }

    /// What a document says now; nothing if there is no file.
    ///
    /// # Errors
    /// [`Error::Broken`] for a file that does not parse, also after a moment: it may have been
    /// caught while an editor wrote it. It is copied beside, once for each content.
    pub fn read<D: Document>(&self) -> Result<Option<D>, Error> {
        match self.look_patiently()? {
            Found::Missing => Ok(None),
            Found::Good(document) => Ok(Some(Arc::unwrap_or_clone(document))),
            Found::Broken(broken) => Err(self.report::<D>(broken)),
        }
    }

    /// Changes a document: waits for its lock, reads it, changes it, counts up `seq` and replaces
    /// the file. What `change` answers comes back.
    ///
    /// A missing file starts from the default. A broken one is copied beside and then replaced,
    /// starting from the last good document that this process has seen. The new `seq` is one more
    /// than the file's, and more than any that this process has seen: a person who set it back or
    /// left it out does not make readers see an older number.
    ///
    /// # Errors
    /// [`Error::Broken`] if the file is broken and this process has never seen a good one;
    /// [`Error::Locked`] if another process holds the lock for two seconds; [`Error::Nonsense`] if
    /// the changed document would not be readable; [`Error::Edited`] if an editor saved the file
    /// meanwhile. Nothing is written then.
    pub fn update<D: Document, R>(&self, change: impl FnOnce(&mut D) -> R) -> Result<R, Error> {
        self.replace(None::<fn() -> D>, change, true)
    }

    /// As [`update`](Self::update), but a broken file of which nothing good is known is replaced
    /// too, starting from `fallback`.
    ///
    /// # Errors
    /// As [`update`](Self::update), except [`Error::Broken`].
    pub fn update_or<D: Document, R>(
        &self,
        fallback: impl FnOnce() -> D,
        change: impl FnOnce(&mut D) -> R,
    ) -> Result<R, Error> {
        self.replace(Some(fallback), change, true)
    }

    /// As [`update_or`](Self::update_or), for callers that may find nothing to change: the file is
    /// written only if it would say something else, `seq` aside.
    ///
    /// # Errors
    /// As [`update_or`](Self::update_or).
    pub fn update_if_changed<D: Document, R>(
        &self,
        fallback: impl FnOnce() -> D,
        change: impl FnOnce(&mut D) -> R,
    ) -> Result<R, Error> {
        self.replace(Some(fallback), change, false)
    }

    fn replace<D: Document, R>(
        &self,
        fallback: Option<impl FnOnce() -> D>,
        change: impl FnOnce(&mut D) -> R,
        always: bool,
    ) -> Result<R, Error> {
        let lock = self.lock::<D>()?;
        let answer = self.replace_locked(fallback, change, always);
        drop(lock);
        self.seen(|seen| seen.unlocked = Some(Instant::now()), D::FILE);
        answer
    }

    fn replace_locked<D: Document, R>(
        &self,
        fallback: Option<impl FnOnce() -> D>,
        change: impl FnOnce(&mut D) -> R,
        always: bool,
    ) -> Result<R, Error> {
        let path = self.file::<D>();
        let on_disk = || files::read_bounded(&path, MAX_BYTES).ok().flatten();
        let bytes = on_disk();
        let (mut document, before) = match self.look_patiently::<D>()? {
            Found::Missing => (D::default(), Some(D::default().render())),
            Found::Good(document) => {
                let before = (!always).then(|| document.render());
                (Arc::unwrap_or_clone(document), before)
            }
            Found::Broken(broken) => (self.replacement(broken, fallback)?, None),
        };
        let seq = document.seq();
        let answer = change(&mut document);
        document.set_seq(seq);
        if !always && before.is_some_and(|before| before == document.render()) {
            return Ok(answer);
        }
        document.set_seq(seq.max(self.seen(|seen| seen.seq, D::FILE)).saturating_add(1));
        let text = document.render();
        // What is written must be readable: better no write than a file that stops every reader.
        let written = D::parse(text.as_bytes())
            .map_err(|problem| Error::Nonsense { path: path.clone(), problem })?;
        // An editor knows nothing of the lock: what it saved since the file was read must not be
        // lost. What is left is the moment between this look and the rename.
        if on_disk() != bytes {
            return Err(Error::Edited { path });
        }
        self.again_in_a_new_folder(|| files::replace(&path, text.as_bytes()))?;
        self.remember(Arc::new(written));
        Ok(answer)
    }

    /// Where an update starts if the file is broken. The file has been copied beside by then.
    fn replacement<D: Document>(
        &self,
        broken: Broken,
        fallback: Option<impl FnOnce() -> D>,
    ) -> Result<D, Error> {
        let good = self.last_good::<D>().map(Arc::unwrap_or_clone);
        let Some(start) = good.or_else(|| fallback.map(|fallback| fallback())) else {
            return Err(self.report::<D>(broken));
        };
        self.keep::<D>(&broken, true)?;
        Ok(start)
    }

    fn lock<D: Document>(&self) -> Result<Lock, Error> {
        let path = self.path().join(format!("{}.lock", D::FILE));
        let last_had = self.seen(|seen| seen.unlocked, D::FILE);
        self.again_in_a_new_folder(|| Lock::take(&path, last_had))
    }

    /// The right to change a file that is no document, until dropped.
    ///
    /// # Errors
    /// [`Error::Locked`] after two seconds, [`Error::Io`] if the folder cannot be written to.
    #[cfg(feature = "database")]
    pub(in crate::state) fn lock_beside(&self, name: &str) -> Result<impl Sized, Error> {
        Lock::take(&self.path().join(format!("{name}.lock")), None)
    }

    /// Does it, and does it again if the folder was gone, in a new one.
    fn again_in_a_new_folder<R>(&self, act: impl Fn() -> Result<R, Error>) -> Result<R, Error> {
        match act() {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.create()?;
                act()
            }
            result => result,
        }
    }

    fn file<D: Document>(&self) -> PathBuf {
        self.path().join(D::FILE)
    }

    /// What the file holds now. A good document is remembered.
    pub(in crate::state) fn look<D: Document>(&self) -> Result<Found<D>, Error> {
        let bytes = match files::read_bounded(&self.file::<D>(), MAX_BYTES) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(Found::Missing),
            Err(error @ Error::TooLarge { .. }) => {
                return Ok(Found::Broken(Broken::TooLarge(error)));
            }
            Err(error) => return Err(error),
        };
        Ok(match D::parse(&bytes) {
            Ok(document) => {
                let document = Arc::new(document);
                self.remember(Arc::clone(&document));
                Found::Good(document)
            }
            Err(problem) => Found::Broken(Broken::Read { bytes, problem }),
        })
    }

    /// What the file holds now, or in a moment if it is broken now.
    fn look_patiently<D: Document>(&self) -> Result<Found<D>, Error> {
        match self.look()? {
            Found::Broken(_) => {
                std::thread::sleep(TORN_FOR);
                self.look()
            }
            found => Ok(found),
        }
    }

    /// Copies a broken file beside, and says what is wrong with it.
    pub(in crate::state) fn report<D: Document>(&self, broken: Broken) -> Error {
        // A copy that cannot be made must not hide what is wrong with the file.
        let copy = self.keep::<D>(&broken, false).ok().flatten();
        match broken {
            Broken::Read { problem, .. } => Error::Broken { path: self.file::<D>(), problem, copy },
            Broken::TooLarge(error) => error,
        }
    }

    /// Keeps what a broken file holds. One that is too large to copy is moved out of the way, if
    /// its place is about to be taken.
    fn keep<D: Document>(&self, broken: &Broken, replaced: bool) -> Result<Option<PathBuf>, Error> {
        let path = self.file::<D>();
        let modified = fs::metadata(&path)
            .and_then(|metadata| metadata.modified())
            .ok()
            .and_then(|modified| Timestamp::try_from(modified).ok())
            .unwrap_or(Timestamp::UNIX_EPOCH);
        match broken {
            Broken::Read { bytes, .. } => broken::keep_copy(&path, bytes, modified).map(Some),
            Broken::TooLarge(_) if replaced => broken::move_away(&path, modified).map(Some),
            Broken::TooLarge(_) => Ok(None),
        }
    }

    /// The last good document that this process has seen.
    pub(in crate::state) fn last_good<D: Document>(&self) -> Option<Arc<D>> {
        self.seen(|seen| seen.good.clone(), D::FILE)?.downcast().ok()
    }

    fn remember<D: Document>(&self, document: Arc<D>) {
        let seq = document.seq();
        self.seen(
            move |seen| {
                seen.seq = seen.seq.max(seq);
                seen.good = Some(document);
            },
            D::FILE,
        );
    }

    fn seen<R>(&self, look: impl FnOnce(&mut Seen) -> R, file: &'static str) -> R {
        let mut seen: MutexGuard<'_, _> =
            self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        look(seen.entry(file).or_default())
    }
}
