//! How long records are kept: by their age and by their size, whichever is reached first.
//!
//! A file of lines that grows is closed in parts, and the oldest parts are removed. A part holds at
//! most an eighth of what is kept, so what is kept is right to an eighth. Only a part that grew beyond
//! all bounds between two looks may be more: it stays until there is another part's worth after it,
//! or else nothing would be left.

use std::time::Duration;

/// Into so many parts what is kept is divided.
const PARTS: u32 = 8;

/// What is kept of one kind of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// For how long.
    pub keep: Duration,
    /// How much, in bytes.
    pub most_bytes: u64,
}

/// A part that is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its size.
    pub bytes: u64,
    /// How long ago its last line was written.
    pub age: Duration,
}

impl Retention {
    /// Whether a file is to be closed that has so many bytes, the first of them so old.
    pub fn is_full(&self, bytes: u64, age: Duration) -> bool {
        bytes > 0 && (bytes >= self.most_bytes / u64::from(PARTS) || age >= self.keep / PARTS)
    }

    /// How many of the closed parts, which come oldest first, are to be removed. The current file
    /// has `current` bytes.
    pub fn to_remove(&self, parts: &[Part], current: u64) -> usize {
        let mut kept = current;
        let nothing_after = !self.is_full(current, Duration::ZERO);
        let fits = |(place, part): &(usize, &Part)| {
            kept = kept.saturating_add(part.bytes);
            let is_all = *place == 0 && nothing_after;
            (kept <= self.most_bytes || is_all) && part.age < self.keep
        };
        parts.len() - parts.iter().rev().enumerate().take_while(fits).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEPT: Retention = Retention { keep: Duration::from_secs(800), most_bytes: 8_000 };

    #[test]
    fn a_file_is_closed_at_an_eighth_of_either_and_never_an_empty_one() {
        let secs = Duration::from_secs;
        assert!(!KEPT.is_full(999, secs(99)));
        assert!(KEPT.is_full(1_000, secs(0)) && KEPT.is_full(1, secs(100)));
        assert!(!KEPT.is_full(0, secs(1_000)));
    }

    #[test]
    fn what_grew_too_large_at_once_stays_until_there_is_more() {
        let huge = Part { bytes: 100_000, age: Duration::from_secs(9) };
        assert_eq!(KEPT.to_remove(&[huge, huge], 999), 1);
        assert_eq!(KEPT.to_remove(&[huge, huge], 1_000), 2);
        let old = Part { age: KEPT.keep, ..huge };
        assert_eq!(KEPT.to_remove(&[old], 0), 1);
    }

    proptest! {
        /// What stays is within both bounds, and one more would not be.
        #[test]
        fn the_oldest_go_and_no_more_of_them_than_must(
            sizes in prop::collection::vec((0_u64..3_000, 0_u64..300), 0..12),
            current in 0_u64..2_000,
        ) {
            let mut age = Duration::ZERO;
            let mut parts = Vec::new();
            for (bytes, step) in sizes {
                age += Duration::from_secs(step);
                parts.insert(0, Part { bytes, age });
            }
            let gone = KEPT.to_remove(&parts, current);
            let fits = |parts: &[Part]| {
                let bytes = current + parts.iter().map(|part| part.bytes).sum::<u64>();
                let least = usize::from(current < 1_000);
                parts.iter().all(|part| part.age < KEPT.keep)
                    && (parts.len() <= least || bytes <= KEPT.most_bytes)
            };
            prop_assert!(fits(&parts[gone..]));
            prop_assert!(gone == 0 || !fits(&parts[gone - 1..]));
        }
    }
}
