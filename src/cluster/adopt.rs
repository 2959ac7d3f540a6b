//! Finds what an earlier cluster on the same folder left running.

use std::path::Path;

use crate::process::{self, RoleProcess};
use crate::state::StateFolder;

/// The processes on this machine whose command lines say that they work on this state folder.
///
/// # Errors
/// If the table of processes cannot be read.
pub(super) fn survivors(folder: &StateFolder) -> Result<Vec<RoleProcess>, process::Error> {
    let own = canonical(folder.path());
    let found = process::roles(None)?;
    Ok(found
        .into_iter()
        .filter(|role| role.state.as_deref().is_some_and(|path| canonical(Path::new(path)) == own))
        .collect())
}

/// The path without links and dots; as it stands where it does not exist.
fn canonical(path: &Path) -> std::path::PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}
