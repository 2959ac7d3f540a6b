//! What invokes a function without anybody asking: a new file in a folder, or a time.
//!
//! An event is delivered at least once: it is kept until its function has answered it, is tried
//! again after a failure with growing pauses, and is set aside as dead when it has been tried often
//! enough. Its key says which event it is, whoever finds it and however often.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::domain::function::{BadFunction, FunctionName};

/// How often an event may be tried.
pub const ATTEMPTS: RangeInclusive<u32> = 1..=100;
/// The longest pause between two attempts.
pub const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// What invokes a function.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// Its name, of the same characters as a function's.
    pub name: FunctionName,
    /// The function that it invokes.
    pub function: FunctionName,
    /// When.
    pub source: Source,
    /// How often an event is tried, one of [`ATTEMPTS`].
    pub attempts: u32,
    /// The pause after a first failure; it doubles with each further one, up to [`LONGEST_PAUSE`].
    pub pause: Duration,
}

/// When a trigger invokes its function.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// For each new file.
    Files(Files),
    /// At times.
    Schedule(Schedule),
}

/// A watched folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The folder itself; relative to the state folder, if it is relative.
    pub folder: PathBuf,
    /// Where the function is to leave what it makes, if that is said.
    pub output: Option<PathBuf>,
    /// A file that was changed within this time may be changing still: it is left alone.
    pub settle: Duration,
}

/// Times, as a cron expression in a time zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    text: String,
    zone: TimeZone,
    cron: Box<Cron>,
}

/// A time that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The latest time that has come.
    pub at: Timestamp,
    /// How many before it had come too, and are left out in its favour.
    pub missed: u64,
}

/// What is to be done with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try it now.
    Try,
    /// Try it after so long.
    Wait(Duration),
    /// It has been tried as often as it may.
    GiveUp,
}

impl Trigger {
    /// A trigger with the usual patience.
    pub fn new(name: FunctionName, function: FunctionName, source: Source) -> Self {
        Self { name, function, source, attempts: 5, pause: Duration::from_secs(1) }
    }

    /// Whether it may be.
    ///
    /// # Errors
    /// A sentence about what is out of bounds.
    pub fn check(&self) -> Result<(), BadFunction> {
        let files = match &self.source {
            Source::Files(files) => Some(files),
            Source::Schedule(_) => None,
        };
        let wrong = if !ATTEMPTS.contains(&self.attempts) {
            let (least, most) = (ATTEMPTS.start(), ATTEMPTS.end());
            format!("tries {} times; {least} to {most} are possible", self.attempts)
        } else if files.is_some_and(|files| files.folder.as_os_str().is_empty()) {
            "names no folder".to_owned()
        } else if files.is_some_and(Files::leads_to_itself) {
            "would leave what is made in the folder that it watches, and be invoked for that again"
                .to_owned()
        } else {
            return Ok(());
        };
        Err(BadFunction::new(format!("the trigger `{}` {wrong}", self.name)))
    }

    /// What is to be done with an event that was tried `attempts` times, the last time so long ago.
    pub fn next(&self, attempts: u32, ago: Duration) -> Next {
        if attempts >= self.attempts {
            return Next::GiveUp;
        }
        match self.pause_after(attempts).saturating_sub(ago) {
            Duration::ZERO => Next::Try,
            left => Next::Wait(left),
        }
    }

    /// How long it is to rest after so many failures.
    pub fn pause_after(&self, attempts: u32) -> Duration {
        match attempts {
            0 => Duration::ZERO,
            // 2^30 times a millisecond is beyond the longest already.
            attempts => self.pause.saturating_mul(1 << (attempts - 1).min(30)).min(LONGEST_PAUSE),
        }
    }
}

impl Files {
    fn leads_to_itself(&self) -> bool {
        self.output.as_ref().is_some_and(|output| {
            let parts = |path: &Path| path.components().collect::<PathBuf>();
            parts(output) == parts(&self.folder)
        })
    }
}

impl Schedule {
    /// Reads a cron expression of five fields, or of six with seconds first.
    ///
    /// # Errors
    /// A sentence about what is wrong with it.
    pub fn new(text: &str, zone: TimeZone) -> Result<Self, BadFunction> {
        let parser =
            CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| {
            BadFunction::new(format!(
                "`{text}` is no cron expression ({error}); five fields are needed, as in \
                 `*/10 8-18 * * mon-fri`: minute, hour, day, month, day of the week"
            ))
        })?;
        Ok(Self { text: text.to_owned(), zone, cron: Box::new(cron) })
    }

    /// The expression.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The name of the time zone.
    pub fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// The next time after `now`; none if none ever comes.
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let next = self.cron.find_next_occurrence(&now.to_zoned(self.zone.clone()), false);
        next.ok().map(|at| at.timestamp())
    }

    /// The time that has come after `since`, if one has; of several the latest.
    pub fn due(&self, since: Timestamp, now: Timestamp) -> Option<Due> {
        let following = |at: &Timestamp| self.next_after(*at);
        let come = std::iter::successors(self.next_after(since), following);
        let come = come.take_while(|at| *at <= now);
        come.fold(None, |due: Option<Due>, at| {
            let missed = due.map_or(0, |due| due.missed + 1);
            Some(Due { at, missed })
        })
    }
}

/// The key of a file as it is now: another file, or another content, has another one. FNV-1a of 128
/// bits (<http://www.isthe.com/chongo/tech/comp/fnv/>), so that every build finds the same.
pub fn file_key(name: &str, bytes: u64, modified: Timestamp) -> String {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let text = format!("{name}\0{bytes}\0{}", modified.as_nanosecond());
    let hash = text.bytes().fold(BASIS, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
    format!("{hash:032x}")
}

/// The key of a time of a schedule: `20261122T030000Z`.
pub fn time_key(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;
    use proptest::prelude::*;

    fn trigger(attempts: u32, pause: Duration) -> Trigger {
        let files = Files { folder: "inbox".into(), output: None, settle: Duration::from_secs(1) };
        let name: FunctionName = "thumbnails".parse().unwrap();
        Trigger { attempts, pause, ..Trigger::new(name.clone(), name, Source::Files(files)) }
    }

    fn lisbon(text: &str) -> Schedule {
        Schedule::new(text, TimeZone::get("Europe/Lisbon").unwrap()).unwrap()
    }

    fn utc(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The times from `since` on.
    fn times(schedule: &Schedule, since: &str, count: usize) -> Vec<String> {
        let following = |at: &Timestamp| schedule.next_after(*at);
        let all = std::iter::successors(schedule.next_after(utc(since)), following);
        all.take(count).map(|at| at.to_string()).collect()
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let trigger = trigger(20, Duration::from_secs(1));
        let seconds = (0..12).map(|attempts| trigger.pause_after(attempts).as_secs());
        assert_eq!(seconds.collect::<Vec<_>>(), [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert_eq!(trigger(1, Duration::ZERO).check(), Ok(()));
        assert!(trigger(0, Duration::ZERO).check().is_err());
        assert!(trigger(101, Duration::ZERO).check().is_err());
        let mut circle = trigger(1, Duration::ZERO);
        if let Source::Files(files) = &mut circle.source {
            files.output = Some("inbox/".into());
        }
        assert!(circle.check().unwrap_err().to_string().contains("that it watches"));
        for bad in ["", "* * * *", "61 * * * *", "x * * * *", "* * * * * 2027 1"] {
            assert!(Schedule::new(bad, TimeZone::UTC).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_that_does_not_exist_in_spring_comes_right_after_the_gap() {
        // 2026-03-29 01:00 is 02:00 in Lisbon.
        assert_eq!(
            times(&lisbon("30 1 * * *"), "2026-03-28T12:00:00Z", 2),
            ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
        );
        assert_eq!(
            times(&lisbon("*/30 * * * *"), "2026-03-29T00:15:00Z", 3),
            ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]
        );
    }

    #[test]
    fn a_time_that_comes_twice_in_autumn_is_taken_once_and_an_interval_goes_on() {
        // 2026-10-25 02:00 is 01:00 in Lisbon.
        assert_eq!(
            times(&lisbon("30 1 * * *"), "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        );
        assert_eq!(
            times(&lisbon("*/30 * * * *"), "2026-10-25T00:15:00Z", 3),
            ["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"]
        );
    }

    #[test]
    fn of_missed_times_the_last_one_is_due() {
        let hourly = Schedule::new("0 * * * *", TimeZone::UTC).unwrap();
        let (since, now) = (utc("2026-11-22T09:00:00Z"), utc("2026-11-22T12:34:00Z"));
        let due = hourly.due(since, now).unwrap();
        assert_eq!((due.at, due.missed), (utc("2026-11-22T12:00:00Z"), 2));
        assert_eq!(hourly.due(due.at, now), None);
    }

    #[test]
    fn a_key_tells_files_and_contents_apart() {
        let at = utc("2026-11-22T09:00:00Z");
        assert_eq!(file_key("", 0, Timestamp::UNIX_EPOCH).len(), 32);
        let all = [
            file_key("a.png", 1, at),
            file_key("b.png", 1, at),
            file_key("a.png", 2, at),
            file_key("a.png", 1, at + SignedDuration::from_nanos(1)),
        ];
        for (place, key) in all.iter().enumerate() {
            assert!(!all[..place].contains(key));
        }
        assert_eq!(all[0], file_key("a.png", 1, at));
        assert_eq!(time_key(at), "20261122T090000Z");
    }

    proptest! {
        /// However the failures fall, an event is tried as often as it may and never too early.
        #[test]
        fn an_event_is_tried_as_often_as_it_may_with_growing_pauses(
            attempts in 1_u32..=100, pause_ms in 0_u64..100_000, step_ms in 1_000_u64..400_000,
        ) {
            let trigger = trigger(attempts, Duration::from_millis(pause_ms));
            let (mut tried, mut ago, mut last) = (0, Duration::ZERO, Duration::ZERO);
            for _ in 0..100_000_u64 {
                match trigger.next(tried, ago) {
                    Next::Try => {
                        let pause = trigger.pause_after(tried);
                        prop_assert!(ago >= pause && pause >= last && pause <= LONGEST_PAUSE);
                        (tried, ago, last) = (tried + 1, Duration::ZERO, pause);
                    }
                    Next::Wait(left) => {
                        prop_assert!(left > Duration::ZERO);
                        ago += left.min(Duration::from_millis(step_ms));
                    }
                    Next::GiveUp => break,
                }
            }
            prop_assert_eq!(tried, attempts);
        }

        /// However often it is looked, each time comes up in its order, and none is left out unless
        /// a later one came before the look.
        #[test]
        fn looks_at_any_moments_find_every_time_or_count_it(
            start in 1_774_000_000_i64..1_800_000_000,
            pauses in prop::collection::vec(1_i64..30_000, 1..20),
            which in 0_usize..5,
        ) {
            let schedule = lisbon(
                ["*/7 * * * *", "30 1 * * *", "0 */2 * * *", "15 2 * * sun", "59 23 31 * *"][which],
            );
            let begin = Timestamp::from_second(start).unwrap();
            let (mut since, mut now, mut seen) = (begin, begin, 0);
            for pause in pauses {
                now += SignedDuration::from_secs(pause);
                let Some(due) = schedule.due(since, now) else { continue };
                prop_assert!(since < due.at && due.at <= now);
                prop_assert!(schedule.next_after(due.at).is_none_or(|next| next > now));
                seen += due.missed + 1;
                since = due.at;
            }
            let all = schedule.due(begin, now).map_or(0, |due| due.missed + 1);
            prop_assert_eq!(seen, all);
        }
    }
}
