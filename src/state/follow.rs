//! Follows the lines of one kind as they are written.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::marker::PhantomData;
use std::path::PathBuf;

use super::folder::files;
use super::logfmt::Line;
use super::{Error, StateFolder};

/// The most that one look reads: what a backlog holds beyond it comes with the next look.
const BITE: u64 = 1 << 20;

/// Reads what has been appended to a file of lines since it last looked.
///
/// Lines that are not understood are passed over, and so is a last one that is not finished yet;
/// it comes once it is. A file that was moved away is read to its end, and the one in its place
/// from its start; one that was cut off is read from its start again.
#[derive(Debug)]
pub struct Follow<L> {
    path: PathBuf,
    /// The file that is read: not always the one that is at its place by now.
    file: Option<File>,
    offset: u64,
    /// The beginning of the first line was not read: it is passed over.
    torn: bool,
    /// What was written before that file began, and is not told yet.
    before: Vec<L>,
    lines: PhantomData<fn() -> L>,
}

impl<L: Line> Follow<L> {
    /// Follows the lines of this kind in a state folder, from those in its last `bytes` bytes on.
    pub fn from_last(folder: &StateFolder, bytes: u64) -> Self {
        let path = folder.path().join(L::FILE);
        let opened = files::open(&path).ok().flatten();
        let length = opened.as_ref().map_or(0, |(_, length)| *length);
        let offset = length.saturating_sub(bytes);
        let before = match bytes.saturating_sub(length) {
            0 => Vec::new(),
            // Older lines help a picture; without them there is one too.
            left => folder.tail_of_closed(left).unwrap_or_default(),
        };
        let file = opened.map(|(file, _)| file);
        let torn = file.as_ref().is_some_and(|file| !begins_a_line(file, offset));
        Self { path, file, offset, torn, before, lines: PhantomData }
    }

    /// The lines since the last look, oldest first; at most a mebibyte of them, and none only if
    /// there are none.
    ///
    /// # Errors
    /// If the file cannot be read. A missing file has no lines.
    pub fn look(&mut self) -> Result<Vec<L>, Error> {
        let mut lines = std::mem::take(&mut self.before);
        lines.extend(self.look_at_file()?);
        let is_elsewhere =
            self.file.as_ref().is_none_or(|file| !files::is_still_at(file, &self.path));
        if lines.is_empty()
            && is_elsewhere
            && let Some((file, _)) = files::open(&self.path)?
        {
            (self.file, self.offset, self.torn) = (Some(file), 0, false);
            lines = self.look_at_file()?;
        }
        Ok(lines)
    }

    fn look_at_file(&mut self) -> Result<Vec<L>, Error> {
        let bytes = self.read().map_err(Error::io("read", &self.path))?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        // A line longer than a bite is nobody's: skip it rather than wait for its end for ever.
        let skip = whole == 0 && bytes.len() as u64 == BITE;
        self.offset += if skip { BITE } else { whole as u64 };
        let text = String::from_utf8_lossy(bytes.get(..whole).unwrap_or_default());
        let first = usize::from(self.torn && whole > 0);
        self.torn = skip || (self.torn && whole == 0);
        Ok(text.lines().skip(first).filter_map(|line| line.parse().ok()).collect())
    }

    fn read(&mut self) -> io::Result<Vec<u8>> {
        let Some(mut file) = self.file.as_ref() else { return Ok(Vec::new()) };
        let length = file.metadata()?.len();
        if length < self.offset {
            (self.offset, self.torn) = (0, false);
        }
        let mut bytes = Vec::new();
        if length > self.offset {
            file.seek(SeekFrom::Start(self.offset))?;
            file.take(BITE).read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    }
}

/// Whether a line begins at this place of a file.
fn begins_a_line(mut file: &File, offset: u64) -> bool {
    let Some(before) = offset.checked_sub(1) else { return true };
    let mut byte = [0];
    let read = file.seek(SeekFrom::Start(before)).and_then(|_| file.read_exact(&mut byte));
    read.is_ok() && byte == *b"\n"
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
    fn a_file_that_is_moved_away_is_read_to_its_end_before_the_next() {
        let home = tempfile::tempdir().unwrap();
        let folder = StateFolder::existing(home.path()).unwrap();
        let path = home.path().join(Event::FILE);
        append(&path, &format!("{}\n", event("one")));
        let mut follow = Follow::<Event>::from_last(&folder, 0);
        assert_eq!(follow.look().unwrap(), []);
        append(&path, &format!("{}\n", event("two")));
        std::fs::rename(&path, home.path().join("elsewhere")).unwrap();
        // Longer than the one before, so that its length tells nothing.
        append(&path, &format!("{}\n{}\n{}\n", event("3"), event("4"), event("5")));
        assert_eq!(follow.look().unwrap(), [event("two")]);
        assert_eq!(follow.look().unwrap(), ["3", "4", "5"].map(event));
        assert_eq!(follow.look().unwrap(), []);
    }

    #[test]
    fn who_wants_more_than_the_file_has_gets_it_from_those_before() {
        let home = tempfile::tempdir().unwrap();
        let folder = StateFolder::existing(home.path()).unwrap();
        let closed = home.path().join("records");
        std::fs::create_dir(&closed).unwrap();
        append(&closed.join("events.log.2026-11-22"), &format!("{}\n", event("one")));
        append(&home.path().join(Event::FILE), &format!("{}\n", event("two")));
        let mut follow = Follow::<Event>::from_last(&folder, 1 << 20);
        assert_eq!(follow.look().unwrap(), ["one", "two"].map(event));
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
