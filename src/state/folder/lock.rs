//! The lock that makes reading, changing and replacing a document one step.
//!
//! A lock of the operating system's (`flock`) on a file beside the document: the document itself
//! is another file after each write, so a lock on it would protect nothing. The kernel lets go of
//! the lock when its holder dies, however it dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use super::files;
use crate::state::Error;

/// How long a writer waits for its turn. An update holds the lock for about a millisecond, so
/// whoever waits this long waits for a process that was stopped in the middle.
const PATIENCE: Duration = Duration::from_secs(2);
const SHORTEST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(2);

/// The right to replace a document, until dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock. Who had it a moment ago steps back first: waiting is by trying again,
    /// so a process that took the lock again at once, over and over, would leave no gap in which
    /// another's try could succeed.
    ///
    /// # Errors
    /// [`Error::Locked`] after two seconds, [`Error::Io`] if the lock file cannot be made.
    pub(super) fn take(path: &Path, last_had: Option<Instant>) -> Result<Self, Error> {
        let start = Instant::now();
        if last_had.is_some_and(|last_had| last_had.elapsed() < LONGEST_PAUSE) {
            rest(LONGEST_PAUSE);
        }
        let mut pause = SHORTEST_PAUSE;
        loop {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
                .map_err(Error::io("open the lock", path))?;
            match file.try_lock() {
                Ok(()) if files::is_still_at(&file, path) => return Ok(Self { _file: file }),
                // The folder was removed and made again meanwhile: the lock is on a file that
                // nobody else will ever open.
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    return Err(Error::io("lock", path)(error));
                }
            }
            let waited = start.elapsed();
            if waited >= PATIENCE {
                return Err(Error::Locked { path: path.to_owned(), waited });
            }
            rest(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Sleeps for about so long: unevenly, so that writers who met once do not meet at each try.
fn rest(pause: Duration) {
    std::thread::sleep(pause.mul_f64(0.5 + fastrand::f64()));
}
