//! Sizes that do not depend on the load: by the clock, or always the same.

use jiff::civil::{DateTime, Time};

use super::parameters::{BadPolicy, Parameters};
use super::{Advice, Situation};
use crate::domain::decision::Check;

/// A size from each of some moments of the week until the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule(Vec<Entry>);

/// From when on which size holds.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    /// Days of the week on which it begins, Monday first.
    days: [bool; 7],
    time: Time,
    size: u32,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const EXAMPLE: &str = "for example `mon-fri 08:00 6, 20:00 2`";

impl Schedule {
    pub(super) fn read(from: &mut Parameters) -> Result<Self, BadPolicy> {
        let help = "sizes from a time on: [DAYS] HH:MM SIZE, …";
        from.text("times", "", help, Self::parse)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let entries = entries.map(Entry::parse).collect::<Result<Vec<_>, _>>()?;
        if entries.is_empty() {
            return Err(format!("at least one time is needed, {EXAMPLE}"));
        }
        Ok(Self(entries))
    }

    /// The size in force at a moment, and when it began: the last entry that has begun.
    fn at(&self, now: DateTime) -> Option<(u32, DateTime)> {
        let days = (0..=7_i32).filter_map(|back| now.date().checked_sub(days(back)).ok());
        let begun = days.flat_map(|date| {
            let day = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0);
            let today = self.0.iter().filter(move |entry| entry.days[day]);
            today.map(move |entry| (entry.size, DateTime::from_parts(date, entry.time)))
        });
        begun.filter(|(_, begin)| *begin <= now).max_by_key(|(_, begin)| *begin)
    }

    pub(super) fn advise(&self, situation: &Situation) -> Advice {
        let Some((size, since)) = situation.local.and_then(|now| self.at(now)) else {
            return Advice::hold(situation, "no time of the schedule has begun".to_owned());
        };
        let day = DAYS[usize::try_from(since.weekday().to_monday_zero_offset()).unwrap_or(0)];
        let begin = since.time().strftime("%H:%M");
        let reason = format!("{size} from {day} {begin} on by the schedule");
        Advice::new(size, reason, vec![Check::input("VMs by the schedule", size.into())])
    }
}

fn days(number: i32) -> jiff::Span {
    jiff::Span::new().days(number)
}

impl Entry {
    fn parse(text: &str) -> Result<Self, String> {
        let shown: String = text.chars().take(60).collect();
        let bad = || format!("`{shown}` is not [DAYS] HH:MM SIZE, {EXAMPLE}");
        let words = text.split_whitespace().collect::<Vec<_>>();
        let (days, time, size) = match words[..] {
            [time, size] => ([true; 7], time, size),
            [days, time, size] => (weekdays(days).ok_or_else(bad)?, time, size),
            _ => return Err(bad()),
        };
        let size = size.parse().ok().filter(|size: &u32| *size <= 1_000_000).ok_or_else(bad)?;
        let time = Time::strptime("%H:%M", time).map_err(|_| bad())?;
        Ok(Self { days, time, size })
    }
}

/// `mon`, `mon-fri`, `sat-sun`, `fri-mon`.
fn weekdays(text: &str) -> Option<[bool; 7]> {
    let day = |name: &str| DAYS.iter().position(|known| *known == name);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (day(first)?, day(last)?);
    let mut days = [false; 7];
    for step in 0..=(last + 7 - first) % 7 {
        days[(first + step) % 7] = true;
    }
    Some(days)
}

/// Always the same size.
#[derive(Debug, Clone, PartialEq)]
pub struct Static {
    size: Option<u32>,
}

impl Static {
    pub(super) fn read(from: &mut Parameters) -> Result<Self, BadPolicy> {
        let size = from.text("size", "as-it-is", "VMs; as-it-is leaves them", |text| {
            if text == "as-it-is" {
                return Ok(None);
            }
            let size = text.parse().ok().filter(|size: &u32| *size <= 1_000_000);
            size.map(Some).ok_or_else(|| {
                let text: String = text.chars().take(40).collect();
                format!("`{text}` is neither a number of VMs nor as-it-is")
            })
        })?;
        Ok(Self { size })
    }

    pub(super) fn advise(&self, situation: &Situation) -> Advice {
        let size = self.size.unwrap_or_else(|| situation.wanted());
        let checks = vec![Check::input("VMs by the policy", size.into())];
        Advice::new(size, format!("the policy is to have {size}"), checks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::{Weekday, date};

    #[test]
    fn the_last_entry_that_has_begun_is_in_force() {
        let schedule = Schedule::parse("mon-fri 08:00 6, mon-fri 20:00 2, sat 10:00 3").unwrap();
        // 2026-11-20 is a Friday.
        let size = |day, hour, minute| schedule.at(date(2026, 11, day).at(hour, minute, 0, 0));
        let sizes = [(20, 7, 59), (20, 8, 0), (20, 23, 0), (21, 9, 0), (21, 10, 0), (23, 7, 0)];
        let sizes = sizes.map(|(day, hour, minute)| size(day, hour, minute).map(|(size, _)| size));
        assert_eq!(sizes, [Some(2), Some(6), Some(2), Some(2), Some(3), Some(3)]);
        assert_eq!(date(2026, 11, 20).weekday(), Weekday::Friday);
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_an_example() {
        for bad in
            ["", "8:00", "25:00 3", "mon-xyz 08:00 3", "08:00 -1", "08:00 9999999", "a b c d"]
        {
            let refused = Schedule::parse(bad).unwrap_err();
            assert!(refused.contains("mon-fri 08:00 6"), "{bad}: {refused}");
        }
        assert_eq!(weekdays("fri-mon"), Some([true, false, false, false, true, true, true]));
    }
}
