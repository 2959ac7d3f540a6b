//! Reading files within bounds and replacing them whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::state::Error;

/// After how long a temporary file can have no living writer: a write takes milliseconds.
const STALE_AFTER: Duration = Duration::from_mins(1);

/// The bytes of a file; nothing if there is none.
pub(in crate::state) fn read_bounded(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let too_large = |bytes| Error::TooLarge { path: path.to_owned(), bytes, limit };
    let Some((file, length)) = open(path)? else { return Ok(None) };
    if length > limit {
        return Err(too_large(length));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    // The file may grow while it is read.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    match bytes.len() as u64 {
        length if length > limit => Err(too_large(length)),
        _ => Ok(Some(bytes)),
    }
}

/// The text in the last `limit` bytes of a file, from the start of a line on; nothing if there is
/// no file.
pub(in crate::state) fn read_end(path: &Path, limit: u64) -> Result<String, Error> {
    let Some((file, length)) = open(path)? else { return Ok(String::new()) };
    end_of(&file, length, limit).map_err(Error::io("read", path))
}

/// The text in the last `limit` of the first `length` bytes of a file, from the start of a line on.
pub(in crate::state) fn end_of(mut file: &File, length: u64, limit: u64) -> io::Result<String> {
    // One byte more, to see whether what follows it starts a line.
    let skipped = length.saturating_sub(limit.saturating_add(1));
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(length - skipped).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(match text.split_once('\n') {
        Some((_, whole_lines)) if skipped > 0 => whole_lines.to_owned(),
        None if skipped > 0 => String::new(),
        _ => text.into_owned(),
    })
}

/// Opens a plain file and says how long it is; nothing if there is none. Anything else in its
/// place is an error: opening a pipe would wait for ever.
pub(in crate::state) fn open(path: &Path) -> Result<Option<(File, u64)>, Error> {
    let opened = fs::metadata(path).and_then(|metadata| {
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a plain file"));
        }
        Ok((File::open(path)?, metadata.len()))
    });
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// The text in the first bytes of a file; nothing if there is none.
pub(in crate::state) fn read_start(path: &Path, bytes: u64) -> Result<String, Error> {
    let Some((file, _)) = open(path)? else { return Ok(String::new()) };
    let mut start = Vec::new();
    file.take(bytes).read_to_end(&mut start).map_err(Error::io("read", path))?;
    Ok(String::from_utf8_lossy(&start).into_owned())
}

/// Whether a path still leads to a file that was opened there.
#[cfg(unix)]
pub(in crate::state) fn is_still_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(there)) => held.dev() == there.dev() && held.ino() == there.ino(),
        _ => false,
    }
}

#[cfg(not(unix))]
pub(in crate::state) fn is_still_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// Replaces a file whole: whoever opens it sees all of the old one or all of the new one.
///
/// Nothing is forced to disk (`fsync`): what the files say is true only while the processes live
/// that they tell of, and a power cut ends those too. Forcing it would cost every writer a flush
/// of the disk.
pub(in crate::state) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let temporary = temporary_beside(path);
    let result = write_new(&temporary, bytes)
        .map_err(Error::io("write", &temporary))
        .and_then(|()| fs::rename(&temporary, path).map_err(Error::io("replace", path)));
    if result.is_err() {
        // The first error is the one to tell of.
        let _ = fs::remove_file(&temporary);
    }
    result
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(bytes)
}

/// `.NAME.PID.COUNTER.tmp` in the same folder, so that renaming it is one step.
fn temporary_beside(path: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{}.{count}.tmp", std::process::id()))
}

/// Appends a line in one write, so that lines of several processes do not mix.
pub(in crate::state) fn append_line(path: &Path, line: &str) -> Result<(), Error> {
    let mut bytes = Vec::with_capacity(line.len() + 1);
    bytes.extend_from_slice(line.as_bytes());
    bytes.push(b'\n');
    let mut file =
        OpenOptions::new().append(true).create(true).open(path).map_err(Error::io("open", path))?;
    match file.write(&bytes).map_err(Error::io("append to", path))? {
        written if written == bytes.len() => Ok(()),
        _ => Err(Error::io("append to", path)(io::ErrorKind::StorageFull.into())),
    }
}

/// Removes temporary files whose writers died. What cannot be removed is left to the next sweep.
pub(in crate::state) fn sweep(folder: &Path, now: SystemTime) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !(name.starts_with('.') && name.ends_with(".tmp")) {
            continue;
        }
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|modified| now.duration_since(modified).ok());
        if age.is_some_and(|age| age >= STALE_AFTER) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
