//! Whether a file of `SQLite`'s can be trusted without being looked through, which takes the longer
//! the larger it is. Who closes it notes its size and time; who opens it with another size or time,
//! with a log that nobody wrote back, or a day after it was looked through, is in doubt.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

/// The name of the note.
pub(super) const FILE: &str = "metrics.db-checked";
/// After so long a file is looked through again, whatever is noted.
const FOR_A_DAY: Duration = Duration::from_hours(24);

/// What is noted of a file, and whether that is enough.
#[derive(Debug)]
pub(super) struct Soundness {
    noted: Option<String>,
    /// When it was looked through; none if that is to be done.
    checked: Option<Timestamp>,
}

impl Soundness {
    /// That of a file which is not open yet.
    pub(super) fn of(folder: &Path, name: &str, now: Timestamp) -> Self {
        let noted = fs::read_to_string(folder.join(FILE)).ok();
        let log = folder.join(format!("{name}-wal"));
        let was_closed = fs::metadata(log).map_or(true, |log| log.len() == 0);
        let checked = noted.as_deref().filter(|_| was_closed).and_then(|noted| {
            let (state, checked) = noted.trim_end().rsplit_once(' ')?;
            let checked = checked.parse::<Timestamp>().ok()?;
            let age = Duration::try_from(now.duration_since(checked)).ok()?;
            let is_that = state_of(folder, name).is_some_and(|now| now == state);
            (is_that && age < FOR_A_DAY).then_some(checked)
        });
        Self { noted, checked }
    }

    /// Whether the file is to be looked through.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.checked.is_none()
    }

    /// It was looked through, and is sound.
    pub(super) fn checked(&mut self, now: Timestamp) {
        self.checked = Some(now);
    }

    /// Notes how the file is after it was closed. Without a note it is looked through next time.
    pub(super) fn note(self, folder: &Path, name: &str) {
        let (Some(state), Some(checked)) = (state_of(folder, name), self.checked) else { return };
        let note = format!("{state} {checked}\n");
        if self.noted.as_deref() != Some(&note)
            && let Err(error) = fs::write(folder.join(FILE), note)
        {
            tracing::debug!(%error, "how {name} was left is not noted");
        }
    }
}

/// Its size and when it was changed.
fn state_of(folder: &Path, name: &str) -> Option<String> {
    let metadata = fs::metadata(folder.join(name)).ok()?;
    let since = metadata.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(format!("{} {}", metadata.len(), since.as_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_as_it_is_is_trusted_for_a_day() {
        let place = tempfile::tempdir().unwrap();
        let (folder, now) = (place.path(), Timestamp::now());
        let doubt = |now| Soundness::of(folder, "db", now).is_in_doubt();
        fs::write(folder.join("db"), "abc").unwrap();
        assert!(doubt(now));
        let mut sound = Soundness::of(folder, "db", now);
        sound.checked(now);
        sound.note(folder, "db");
        assert!(!doubt(now));
        assert!(doubt(now + jiff::SignedDuration::from_hours(24)));
        fs::write(folder.join("db-wal"), "left behind").unwrap();
        assert!(doubt(now));
        fs::write(folder.join("db-wal"), "").unwrap();
        assert!(!doubt(now));
        fs::write(folder.join("db"), "abcd").unwrap();
        assert!(doubt(now));
    }
}
