//! Copies of broken documents, for the person who broke them.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::files;
use crate::state::Error;

/// How many copies are kept of each document; the oldest go first.
const COPIES_KEPT: usize = 10;

/// Keeps a copy of a broken document beside it, once for each content. `modified` is when the
/// document was last written: all processes that see the same broken document name its copy alike.
pub(super) fn keep_copy(path: &Path, bytes: &[u8], modified: Timestamp) -> Result<PathBuf, Error> {
    let copies = copies_of(path);
    let same = copies.iter().find(|copy| {
        fs::metadata(copy).is_ok_and(|metadata| metadata.len() == bytes.len() as u64)
            && fs::read(copy).is_ok_and(|content| content == bytes)
    });
    if let Some(copy) = same {
        return Ok(copy.clone());
    }
    let copy = name_of_copy(path, modified);
    files::replace(&copy, bytes)?;
    forget_oldest(path);
    Ok(copy)
}

/// Moves a document away that is too large to be copied.
pub(super) fn move_away(path: &Path, modified: Timestamp) -> Result<PathBuf, Error> {
    let copy = name_of_copy(path, modified);
    fs::rename(path, &copy).map_err(Error::io("move away", path))?;
    forget_oldest(path);
    Ok(copy)
}

/// `NAME.broken-2026-11-21T22-41-05.130Z`: no colons, which some systems do not take in names.
fn name_of_copy(path: &Path, modified: Timestamp) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let time = format!("{modified:.3}").replace(':', "-");
    path.with_file_name(format!("{name}.broken-{time}"))
}

/// The copies there are, oldest first.
fn copies_of(path: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Vec::new() };
    let prefix = format!("{}.broken-", name.to_string_lossy());
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut copies: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
        .collect();
    copies.sort();
    copies
}

fn forget_oldest(path: &Path) {
    let copies = copies_of(path);
    for copy in copies.iter().take(copies.len().saturating_sub(COPIES_KEPT)) {
        // One that cannot be removed stays: copies are for people, nothing depends on them.
        let _ = fs::remove_file(copy);
    }
}
