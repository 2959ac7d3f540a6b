//! Follows a file of lines as it grows.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::state::logfmt::Line;
use crate::state::{Error, StateFolder};

/// The most that one look reads: what a backlog holds beyond it comes with the next look.
const BITE: u64 = 1 << 20;

/// Reads what has been appended to a file of lines since it last looked.
///
/// Lines that are not understood are passed over, and so is a last one that is not finished yet;
/// it comes once it is. A file that was removed or cut off is read from its start again.
#[derive(Debug)]
pub(crate) struct Follow<L> {
    path: PathBuf,
    offset: u64,
    /// The beginning of the first line was not read: it is passed over.
    torn: bool,
    lines: std::marker::PhantomData<fn() -> L>,
}

impl<L: Line> Follow<L> {
    /// Follows the lines of this kind in a state folder, from those in its last `bytes` bytes on.
    pub(crate) fn from_last(folder: &StateFolder, bytes: u64) -> Self {
        let path = folder.path().join(L::FILE);
        let length = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        let offset = length.saturating_sub(bytes);
        Self { path, offset, torn: offset > 0, lines: std::marker::PhantomData }
    }

    /// The lines since the last look, oldest first; at most a mebibyte of them.
    ///
    /// # Errors
    /// If the file cannot be read. A missing file has no lines.
    pub(crate) fn look(&mut self) -> Result<Vec<L>, Error> {
        let failed =
            |path: &PathBuf, source| Error::Io { doing: "read", path: path.clone(), source };
        let length = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(failed(&self.path, error)),
        };
        if length < self.offset {
            self.offset = 0;
            self.torn = false;
        }
        if length == self.offset {
            return Ok(Vec::new());
        }
        let bytes = self.read().map_err(|error| failed(&self.path, error))?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        // A line longer than a bite is nobody's: skip it rather than wait for its end for ever.
        let skip = whole == 0 && bytes.len() as u64 == BITE;
        self.offset += if skip { BITE } else { whole as u64 };
        let text = String::from_utf8_lossy(bytes.get(..whole).unwrap_or_default());
        let first = usize::from(self.torn && whole > 0);
        self.torn = skip || (self.torn && whole == 0);
        Ok(text.lines().skip(first).filter_map(|line| line.parse().ok()).collect())
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.take(BITE).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::state::events::{Event, EventKind};

    fn event(detail: &str) -> Event {
        Event {
            at: "2026-11-21T14:02:34Z".parse().unwrap(),
            kind: EventKind::Role,
            role: "cluster".to_owned(),
            vm: None,
            detail: detail.to_owned(),
        }
    }

    fn append(path: &std::path::Path, text: &str) {
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn each_line_comes_once_and_only_when_it_is_whole() {
        let home = tempfile::tempdir().unwrap();
        let folder = StateFolder::existing(home.path()).unwrap();
        let path = home.path().join(Event::FILE);
        let mut follow = Follow::<Event>::from_last(&folder, 1 << 20);
        assert_eq!(follow.look().unwrap(), []);
        let (one, two) = (event("one").to_string(), event("two").to_string());
        append(&path, &format!("{one}\n{}", &two[..20]));
        assert_eq!(follow.look().unwrap(), [event("one")]);
        assert_eq!(follow.look().unwrap(), []);
        append(&path, &format!("{}\nnonsense\n", &two[20..]));
        assert_eq!(follow.look().unwrap(), [event("two")]);
    }

    #[test]
    fn a_file_that_starts_anew_is_read_from_its_start() {
        let home = tempfile::tempdir().unwrap();
        let folder = StateFolder::existing(home.path()).unwrap();
        let path = home.path().join(Event::FILE);
        append(&path, &format!("{}\n{}\n", event("one"), event("two")));
        let mut follow = Follow::<Event>::from_last(&folder, 1 << 20);
        assert_eq!(follow.look().unwrap().len(), 2);
        std::fs::remove_file(&path).unwrap();
        append(&path, &format!("{}\n", event("three")));
        assert_eq!(follow.look().unwrap(), [event("three")]);
    }

    #[test]
    fn a_line_whose_beginning_lies_before_the_tail_is_passed_over() {
        let home = tempfile::tempdir().unwrap();
        let folder = StateFolder::existing(home.path()).unwrap();
        let (one, two) = (event("one").to_string(), event("two").to_string());
        append(&home.path().join(Event::FILE), &format!("{one}\n{two}\n"));
        let tail = two.len() as u64 + 10;
        let mut follow = Follow::<Event>::from_last(&folder, tail);
        assert_eq!(follow.look().unwrap(), [event("two")]);
    }
}
