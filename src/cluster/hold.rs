//! The right to run a cluster on a state folder.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// A lock on `cluster.lock`. The kernel gives it back when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Hold {
    file: File,
    path: PathBuf,
}

impl Hold {
    /// Takes the folder.
    ///
    /// # Errors
    /// If a cluster runs on it already, or the file cannot be opened or written.
    pub(super) fn take(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("cluster.lock");
        let said = || format!("cannot lock {}", path.display());
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true);
        let mut file = options.open(&path).with_context(said)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).with_context(said)?;
                bail!(
                    "a cluster runs on {} already (process {}): stop it, or choose another folder \
                     with --state",
                    folder.display(),
                    holder.trim()
                );
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(said),
        }
        file.set_len(0).with_context(said)?;
        file.rewind().with_context(said)?;
        writeln!(file, "{}", std::process::id()).with_context(said)?;
        Ok(Self { file, path })
    }

    /// Whether the lock is still on the file of this name: not if the folder was removed.
    pub(super) fn is_in_force(&self) -> bool {
        let number = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        match (self.file.metadata(), std::fs::metadata(&self.path)) {
            (Ok(held), Ok(there)) => number(held) == number(there),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_once_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let hold = Hold::take(folder.path()).unwrap();
        let refused = Hold::take(folder.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("(process {})", std::process::id())), "{refused}");
        assert!(hold.is_in_force());
        std::fs::remove_file(folder.path().join("cluster.lock")).unwrap();
        assert!(!hold.is_in_force());
        let again = Hold::take(folder.path()).unwrap();
        assert!(again.is_in_force() && !hold.is_in_force());
    }
}
