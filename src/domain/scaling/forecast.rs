//! What the load was at the same time on earlier days.

use std::collections::VecDeque;

use jiff::Timestamp;

/// Days that are remembered, one more than the week that a pattern may have.
const DAYS: i64 = 8;
const MINUTES_A_DAY: i64 = 24 * 60;
/// Minutes over which yesterday must have resembled today to be trusted.
const COMPARED: i64 = 30;
/// How far yesterday may be off, as a share of the load, to be trusted.
const TRUSTED: f64 = 0.25;

/// Mean loads by the minute, over some days.
#[derive(Debug, Clone, Default)]
pub struct Daybook(VecDeque<Minute>);

#[derive(Debug, Clone, Copy)]
struct Minute {
    /// Minutes since 1970.
    number: i64,
    sum: f64,
    observations: u32,
}

impl Daybook {
    /// Takes in a load in vCPUs. Minutes that are still to come are forgotten: the clock was set
    /// back, and they will come again.
    pub fn push(&mut self, at: Timestamp, load: f64) {
        let number = minute(at);
        while self.0.back().is_some_and(|last| last.number > number) {
            self.0.pop_back();
        }
        match self.0.back_mut() {
            Some(last) if last.number == number => {
                last.sum += load;
                last.observations = last.observations.saturating_add(1);
            }
            _ => self.0.push_back(Minute { number, sum: load, observations: 1 }),
        }
        let oldest = number - DAYS * MINUTES_A_DAY;
        while self.0.front().is_some_and(|first| first.number < oldest) {
            self.0.pop_front();
        }
    }

    /// The largest load of yesterday between this time of day and `ahead` minutes later. None where
    /// that is not known, and where the last half hour did not resemble that of yesterday: a
    /// pattern that has broken says nothing.
    pub fn expected(&self, now: Timestamp, ahead: i64) -> Option<f64> {
        let now = minute(now);
        let yesterday = now - MINUTES_A_DAY;
        let (mut off, mut sum, mut compared) = (0.0, 0.0, 0);
        for back in 1..=COMPARED {
            if let (Some(then), Some(today)) = (self.load(yesterday - back), self.load(now - back))
            {
                off += (then - today).abs();
                sum += today;
                compared += 1;
            }
        }
        if compared < COMPARED / 2 || off > TRUSTED * sum {
            return None;
        }
        (0..=ahead).filter_map(|minute| self.load(yesterday + minute)).reduce(f64::max)
    }

    fn load(&self, number: i64) -> Option<f64> {
        let at = self.0.binary_search_by_key(&number, |minute| minute.number).ok()?;
        let minute = self.0.get(at)?;
        Some(minute.sum / f64::from(minute.observations))
    }
}

fn minute(at: Timestamp) -> i64 {
    at.as_second().div_euclid(60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    /// A day whose load rises by one vCPU an hour, and `minutes` of the next.
    fn book(minutes: i64, next_day: f64) -> Daybook {
        let mut book = Daybook::default();
        for minute in 0..MINUTES_A_DAY + minutes {
            let factor = if minute < MINUTES_A_DAY { 1.0 } else { next_day };
            book.push(at(minute), factor * (minute % MINUTES_A_DAY) as f64 / 60.0);
        }
        book
    }

    #[test]
    fn a_day_like_yesterday_is_expected_to_go_on_like_it() {
        let noon = 12 * 60;
        let expected = book(noon, 1.0).expected(at(MINUTES_A_DAY + noon), 6).unwrap();
        assert!((expected - 12.1).abs() < 1e-9, "{expected}");
    }

    #[test]
    fn a_clock_that_jumps_ahead_and_back_costs_no_more_than_the_days_before() {
        let mut book = book(0, 1.0);
        book.push(at(MINUTES_A_DAY + 30), 5.0);
        for number in MINUTES_A_DAY..=MINUTES_A_DAY + 20 {
            book.push(at(number), (number - MINUTES_A_DAY) as f64 / 60.0);
        }
        let expected = book.expected(at(MINUTES_A_DAY + 20), 5).unwrap();
        assert!((expected - 25.0 / 60.0).abs() < 1e-9, "{expected}");
    }

    #[test]
    fn a_day_unlike_yesterday_and_a_first_day_are_not_forecast() {
        let noon = 12 * 60;
        assert_eq!(book(noon, 2.0).expected(at(MINUTES_A_DAY + noon), 6), None);
        assert_eq!(book(0, 1.0).expected(at(noon), 6), None);
    }
}
