//! What can go wrong with the state folder, in words for the person whose folder it is.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::xml::Problem;

/// Why the state folder could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {doing} {}: {source}{}", .path.display(), hint(.source))]
    Io {
        /// What was tried: a verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no state folder.
    #[error(
        "there is no state folder at {}; start a cluster with `cumulet up`, or name its folder \
         with --state", .path.display()
    )]
    NoFolder {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A document does not say what it should.
    #[error("{}:{problem}{}", .path.display(), kept(.copy.as_deref()))]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        problem: Problem,
        /// The copy that was kept of it.
        copy: Option<PathBuf>,
    },
    /// A document that was there is there no more.
    #[error("{} is gone; what it said last stays in force until it is back", .path.display())]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// A document is too large to be read.
    #[error(
        "{} has {bytes} bytes, at most {limit} are read; remove what does not belong there",
        .path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The largest size that is read.
        limit: u64,
    },
    /// Somebody saved a document without taking its lock while it was about to be replaced.
    #[error(
        "{} was edited at the very same moment; nothing was written over it, try again",
        .path.display()
    )]
    Edited {
        /// The file.
        path: PathBuf,
    },
    /// Another process holds the lock for too long.
    #[error(
        "{} has been locked by another process for {:.1} s; if that process is stopped, resume or \
         kill it: the lock goes with it", .path.display(), .waited.as_secs_f64()
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// A change would have made a document that nobody can read, so it was not written.
    #[error("the change to {} was not written, because it would read: {problem}", .path.display())]
    Nonsense {
        /// The file.
        path: PathBuf,
        /// What a reader would have said.
        problem: Problem,
    },
    /// The file with the addresses in force does not say what it should.
    #[error("{}: {source}", .path.display())]
    ClusterFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: Box<toml::de::Error>,
    },
    /// The file of the alerts does not say what it should.
    #[error("{}: {source}; it may be removed", .path.display())]
    Alerts {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// A record of a trigger does not say what it should.
    #[error("{}: {source}", .path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// There is no image of this name.
    #[error("there is no image called {name}; there is {known}")]
    NoImage {
        /// The name that was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// An image does not say what it should.
    #[error("{}: {source}", .path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: Box<toml::de::Error>,
    },
}

impl Error {
    /// For `map_err`: the operating system refused to do something to a path.
    pub(in crate::state) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }
}

/// What a person can do about it.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; the disk is full: make room, or put the state folder elsewhere with --state"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "; the file system is read-only: put the state folder elsewhere with --state"
        }
        io::ErrorKind::PermissionDenied => {
            "; make it yours with chown or chmod, or put the state folder elsewhere with --state"
        }
        io::ErrorKind::IsADirectory => "; move that folder away, a file belongs there",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "; a file stands where the state folder belongs: move it away"
        }
        _ => "",
    }
}

fn kept(copy: Option<&Path>) -> String {
    copy.map(|copy| format!(" (a copy is kept as {})", copy.display())).unwrap_or_default()
}
