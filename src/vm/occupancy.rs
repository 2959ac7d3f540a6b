//! How busy the emulated vCPUs are.
//!
//! What counts is how many of a VM's own vCPUs have work, not how much of the host it gets: of
//! twenty VMs on a laptop with two cores none could ever show more than a tenth, however busy.

use std::collections::VecDeque;
use std::time::Duration;

use crate::units::Share;

/// The window is remembered in this many slices; inside a slice the load counts as even.
const SLICES: u32 = 20;

/// The share of the vCPUs in use over a sliding window: the integral over time of
/// `min(threads of work in progress, vCPUs) / vCPUs`, by the length of the window.
///
/// A thread that is held back by the emulated CPU or still decodes its input counts as one in use.
/// All times are since any one moment, and never go back.
#[derive(Debug)]
pub(super) struct Occupancy {
    vcpus: u32,
    window: Duration,
    threads: u32,
    last: Mark,
    marks: VecDeque<Mark>,
}

/// Seconds for which all vCPUs would have been busy, from the beginning until a time.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: Duration,
    busy: f64,
}

impl Occupancy {
    /// An idle VM with that many vCPUs, seen through a window of that length.
    pub(super) fn new(vcpus: u32, window: Duration, now: Duration) -> Self {
        let start = Mark { at: now, busy: 0.0 };
        Self { vcpus: vcpus.max(1), window, threads: 0, last: start, marks: [start].into() }
    }

    /// Work on `threads` threads begins.
    pub(super) fn begin(&mut self, threads: u32, now: Duration) {
        self.advance(now);
        self.threads = self.threads.saturating_add(threads);
    }

    /// Work on `threads` threads ends.
    pub(super) fn end(&mut self, threads: u32, now: Duration) {
        self.advance(now);
        self.threads = self.threads.saturating_sub(threads);
    }

    /// The share in use over the window that ends now, or over all the time there has been.
    pub(super) fn share(&mut self, now: Duration) -> Share {
        self.advance(now);
        let from = self.last.at.saturating_sub(self.window);
        let start = self.mark_at(from);
        let seconds = self.last.at.saturating_sub(start.at).as_secs_f64();
        Share::saturating((self.last.busy - start.busy) / seconds)
    }

    fn advance(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.last.at);
        let before = self.last;
        self.last.at += elapsed;
        let level = f64::from(self.threads.min(self.vcpus)) / f64::from(self.vcpus);
        self.last.busy += level * elapsed.as_secs_f64();
        let newest = self.marks.back().map_or(Duration::ZERO, |mark| mark.at);
        if self.last.at.saturating_sub(newest) >= self.window / SLICES {
            // The last change too, so that a long quiet time after it does not blur it.
            self.marks.extend([before, self.last]);
        }
        let from = self.last.at.saturating_sub(self.window);
        while self.marks.get(1).is_some_and(|mark| mark.at <= from) {
            self.marks.pop_front();
        }
    }

    /// The mark at a time not before the oldest one, between two marks on the line through them.
    fn mark_at(&self, at: Duration) -> Mark {
        let mut before = self.marks.front().copied().unwrap_or(self.last);
        for after in self.marks.iter().skip(1).chain([&self.last]).copied() {
            if after.at >= at {
                let span = after.at.saturating_sub(before.at).as_secs_f64();
                let offset = at.saturating_sub(before.at);
                let slope = if span > 0.0 { (after.busy - before.busy) / span } else { 0.0 };
                return Mark {
                    at: before.at + offset,
                    busy: before.busy + slope * offset.as_secs_f64(),
                };
            }
            before = after;
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WINDOW: Duration = Duration::from_secs(5);

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn an_idle_vm_is_at_nothing_and_a_full_one_at_all() {
        let mut occupancy = Occupancy::new(2, WINDOW, at(0));
        assert_eq!(occupancy.share(at(0)), Share::NONE);
        assert_eq!(occupancy.share(at(60_000)), Share::NONE);
        occupancy.begin(2, at(60_000));
        assert_eq!(occupancy.share(at(90_000)), Share::ALL);
    }

    #[test]
    fn more_threads_than_vcpus_are_all_of_them_and_no_more() {
        let mut occupancy = Occupancy::new(2, WINDOW, at(0));
        occupancy.begin(8, at(0));
        assert_eq!(occupancy.share(at(5_000)), Share::ALL);
        occupancy.end(7, at(5_000));
        let half_the_time_half_busy = occupancy.share(at(7_500)).get();
        assert!((half_the_time_half_busy - 0.75).abs() < 1e-9, "{half_the_time_half_busy}");
    }

    #[test]
    fn a_young_vm_is_judged_over_its_own_life() {
        let mut occupancy = Occupancy::new(1, WINDOW, at(0));
        occupancy.begin(1, at(900));
        let share = occupancy.share(at(1_000)).get();
        assert!((share - 0.1).abs() < 1e-9, "{share}");
    }

    #[test]
    fn work_that_ended_a_window_ago_no_longer_counts() {
        let mut occupancy = Occupancy::new(1, WINDOW, at(0));
        occupancy.begin(1, at(10));
        occupancy.end(1, at(200));
        assert_eq!(occupancy.share(at(10_200)), Share::NONE);
    }

    /// The same integral, in steps of a millisecond.
    fn by_steps(changes: &[(u64, i64)], vcpus: u32, now: u64) -> f64 {
        let window = u64::try_from(WINDOW.as_millis()).unwrap();
        let from = now.saturating_sub(window);
        let level = |time: u64| {
            let threads: i64 =
                changes.iter().filter(|(at, _)| *at <= time).map(|(_, change)| change).sum();
            u32::try_from(threads).unwrap().min(vcpus)
        };
        let busy: u32 = (from..now).map(level).sum();
        f64::from(busy) / f64::from(vcpus) / (now - from) as f64
    }

    proptest! {
        #[test]
        fn it_is_the_integral_to_within_a_slice(
            jobs in prop::collection::vec((0u64..20_000, 1u64..3_000, 1u32..5), 0..30),
            vcpus in 1u32..5,
            now in 100u64..25_000,
        ) {
            let mut changes: Vec<(u64, i64)> = jobs
                .iter()
                .flat_map(|(start, length, threads)| {
                    [(*start, i64::from(*threads)), (start + length, -i64::from(*threads))]
                })
                .collect();
            changes.sort_by_key(|(at, change)| (*at, -change));
            changes.retain(|(at, _)| *at <= now);
            let mut occupancy = Occupancy::new(vcpus, WINDOW, at(0));
            for (time, change) in &changes {
                let threads = u32::try_from(change.abs()).unwrap();
                if *change > 0 {
                    occupancy.begin(threads, at(*time));
                } else {
                    occupancy.end(threads, at(*time));
                }
            }
            let share = occupancy.share(at(now)).get();
            let exact = by_steps(&changes, vcpus, now);
            prop_assert!((share - exact).abs() <= 1.0 / f64::from(SLICES), "{share} for {exact}");
            prop_assert!(occupancy.marks.len() <= 2 * SLICES as usize + 2);
        }
    }
}
