//! A file of lines, from any place on, as far as whole lines go.

use std::fs::File;
use std::io::{BufRead, BufReader};
#[cfg(feature = "database")]
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::state::Error;
use crate::state::records::Opened;

/// The lines of a file, and how far they were read.
pub(super) struct Lines {
    path: PathBuf,
    file: BufReader<File>,
    line: Vec<u8>,
    /// Bytes up to the end of the last whole line that was read.
    #[cfg(feature = "database")]
    pub(super) read_to: u64,
}

impl Lines {
    /// The lines of a part.
    pub(super) fn of(part: Opened) -> Self {
        Self {
            path: part.path,
            file: BufReader::with_capacity(256 << 10, part.file),
            line: Vec::new(),
            #[cfg(feature = "database")]
            read_to: 0,
        }
    }

    /// Goes to where an earlier reader came, if the file still has what that reader saw just
    /// before. If not, it is another file by the same name: false, and it is read from its start.
    #[cfg(feature = "database")]
    pub(super) fn go_on(&mut self, read_to: u64, before: &[u8]) -> Result<bool, Error> {
        let start = read_to.saturating_sub(before.len() as u64);
        let mut there = vec![0; before.len()];
        let same = self
            .file
            .seek(SeekFrom::Start(start))
            .and_then(|_| self.file.read_exact(&mut there))
            .is_ok_and(|()| there == before);
        if !same {
            self.file.seek(SeekFrom::Start(0)).map_err(Error::io("read", &self.path))?;
        }
        self.read_to = if same { read_to } else { 0 };
        Ok(same)
    }

    /// Whether anything follows.
    #[cfg(feature = "database")]
    pub(super) fn has_more(&mut self) -> Result<bool, Error> {
        let more = self.file.fill_buf().map_err(Error::io("read", &self.path))?;
        Ok(!more.is_empty())
    }

    /// The next whole line, without its end. What is not UTF-8 is replaced by `U+FFFD`. None at the
    /// end, also before a last line that is not finished.
    pub(super) fn next_line(&mut self) -> Result<Option<String>, Error> {
        self.line.clear();
        self.file.read_until(b'\n', &mut self.line).map_err(Error::io("read", &self.path))?;
        let Some(line) = self.line.strip_suffix(b"\n") else { return Ok(None) };
        #[cfg(feature = "database")]
        {
            self.read_to += self.line.len() as u64;
        }
        Ok(Some(String::from_utf8_lossy(line).into_owned()))
    }

    /// The last bytes before `read_to`, at most `most` of them: by these the file is known again.
    #[cfg(feature = "database")]
    pub(super) fn before(&mut self, most: u64) -> Result<Vec<u8>, Error> {
        let length = self.read_to.min(most);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.file
            .seek(SeekFrom::Start(self.read_to - length))
            .and_then(|_| self.file.read_exact(&mut bytes))
            .map_err(Error::io("read", &self.path))?;
        Ok(bytes)
    }
}
