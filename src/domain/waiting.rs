//! The order in which requests wait for a VM: shortest predicted first, with ageing.
//!
//! Of two waiting requests the one with the smaller key goes first:
//!
//! ```text
//! key(t) = predicted work / speed − (time waited until t) / 2
//! ```
//!
//! Short ones first is what keeps the mean time to an answer lowest (Smith's rule, 1956), and the
//! second term sees to it that no long one waits for ever: one of 10 s is overtaken by nothing that
//! comes 20 s later. All keys fall by the same half second each second, so their order never
//! changes, and the queue is a sorted map: entering and leaving take logarithmic time.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::cost::Work;

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    /// The key as it was at time zero, in nanoseconds.
    key: u64,
    /// Tells those of the same key apart; the earlier one is the smaller.
    number: u64,
}

/// Requests that wait, each an item of type `T`. Times are since any one moment.
#[derive(Debug)]
pub struct Waiting<T> {
    entries: BTreeMap<Ticket, (Work, T)>,
    work: Work,
    entered: u64,
    limit: u64,
}

/// As many wait as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFull {
    /// How many that is.
    pub limit: u64,
}

/// What becomes of one that waits, when it is asked for.
#[derive(Debug)]
pub enum Fate<R> {
    /// It leaves the queue, with this.
    Leaves(R),
    /// It stays, and the next one is asked for.
    Stays,
    /// It stays, and so do all after it.
    Stop,
}

impl<T> Waiting<T> {
    /// An empty queue, for at most `limit`.
    pub fn new(limit: u64) -> Self {
        Self { entries: BTreeMap::new(), work: Work::NONE, entered: 0, limit }
    }

    /// How many wait.
    pub fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The predicted work of all that wait.
    pub fn work(&self) -> Work {
        self.work
    }

    /// A request of so much `work` begins to wait at `now`; a VM does `speed` vCPUs' worth of work
    /// in a second.
    ///
    /// # Errors
    /// [`QueueFull`].
    pub fn enter(
        &mut self,
        work: Work,
        speed: f64,
        now: Duration,
        item: T,
    ) -> Result<Ticket, QueueFull> {
        if self.len() >= self.limit {
            return Err(QueueFull { limit: self.limit });
        }
        let speed = if speed > 0.0 { speed } else { 1.0 };
        let lasts = Duration::try_from_secs_f64(work.seconds() / speed).unwrap_or(Duration::MAX);
        let key = lasts.saturating_add(now / 2).as_nanos();
        self.entered += 1;
        let key = u64::try_from(key).unwrap_or(u64::MAX);
        let ticket = Ticket { key, number: self.entered };
        self.work = self.work + work;
        self.entries.insert(ticket, (work, item));
        Ok(ticket)
    }

    /// One leaves without having been served; nothing if it has left already.
    pub fn leave(&mut self, ticket: Ticket) -> Option<T> {
        let (work, item) = self.entries.remove(&ticket)?;
        self.subtract(work);
        Some(item)
    }

    /// Asks for each in turn what becomes of it, and takes out those that leave.
    pub fn serve<R>(&mut self, mut ask: impl FnMut(&T, Work) -> Fate<R>) -> Vec<(T, R)> {
        let mut leaving = Vec::new();
        for (ticket, (work, item)) in &self.entries {
            match ask(item, *work) {
                Fate::Leaves(outcome) => leaving.push((*ticket, outcome)),
                Fate::Stays => {}
                Fate::Stop => break,
            }
        }
        let served = leaving.into_iter();
        served.filter_map(|(ticket, outcome)| Some((self.leave(ticket)?, outcome))).collect()
    }

    fn subtract(&mut self, work: Work) {
        // Sums saturate, so what is left is counted anew when it may be wrong.
        self.work = match self.work.nanos() {
            u64::MAX => self.entries.values().map(|(work, _)| *work).sum(),
            _ => self.work - work,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn ms(ms: u64) -> Work {
        Work::from_nanos(ms * 1_000_000)
    }

    fn order(waiting: &mut Waiting<u32>) -> Vec<u32> {
        waiting.serve(|_, _| Fate::Leaves(())).into_iter().map(|(item, ())| item).collect()
    }

    #[test]
    fn the_shortest_goes_first_and_equals_in_the_order_they_came() {
        let mut waiting = Waiting::new(9);
        for (item, work) in [(1, 500), (2, 20), (3, 500), (4, 1)] {
            waiting.enter(ms(work), 1.0, Duration::ZERO, item).unwrap();
        }
        assert_eq!(waiting.work(), ms(1_021));
        assert_eq!(order(&mut waiting), [4, 2, 1, 3]);
        assert!(waiting.is_empty() && waiting.work() == Work::NONE);
    }

    #[test]
    fn a_long_one_is_overtaken_for_twice_its_length_and_no_longer() {
        let mut waiting = Waiting::new(9);
        waiting.enter(ms(10_000), 1.0, Duration::ZERO, 1).unwrap();
        waiting.enter(ms(1), 1.0, Duration::from_secs(19), 2).unwrap();
        waiting.enter(ms(1), 1.0, Duration::from_secs(21), 3).unwrap();
        assert_eq!(order(&mut waiting), [2, 1, 3]);
    }

    #[test]
    fn the_limit_holds_and_a_place_that_is_left_is_free() {
        let mut waiting = Waiting::new(1);
        let ticket = waiting.enter(ms(1), 1.0, Duration::ZERO, 1).unwrap();
        let full = waiting.enter(ms(1), 1.0, Duration::ZERO, 2);
        assert_eq!(full, Err(QueueFull { limit: 1 }));
        assert_eq!(waiting.leave(ticket), Some(1));
        assert_eq!(waiting.leave(ticket), None);
        assert!(waiting.enter(ms(1), 1.0, Duration::ZERO, 3).is_ok());
    }

    #[test]
    fn whoever_cannot_be_served_stays_in_its_place() {
        let mut waiting = Waiting::new(9);
        for item in 1..=4 {
            waiting.enter(ms(item), 1.0, Duration::ZERO, item).unwrap();
        }
        let served = waiting.serve(|item, _| match item {
            1 => Fate::Stays,
            2 => Fate::Leaves("two"),
            _ => Fate::Stop,
        });
        assert_eq!(served, [(2, "two")]);
        let left: Vec<_> =
            waiting.serve(|_, _| Fate::Leaves(())).into_iter().map(|x| x.0).collect();
        assert_eq!(left, [1, 3, 4]);
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_the_keys_at_any_moment(
            requests in proptest::collection::vec((0_u64..30_000, 0_u64..60_000), 0..40),
            speed in 0.1..8.0_f64,
            later in 60_u64..600,
        ) {
            let mut waiting = Waiting::new(100);
            for (index, (work, at)) in requests.iter().enumerate() {
                waiting.enter(ms(*work), speed, Duration::from_millis(*at), index).unwrap();
            }
            let key = |index: usize| {
                let (work, at) = requests[index];
                let waited = later as f64 - at as f64 / 1e3;
                work as f64 / 1e3 / speed - 0.5 * waited
            };
            let total: u64 = requests.iter().map(|(work, _)| work).sum();
            prop_assert_eq!(waiting.work(), ms(total));
            let served = waiting.serve(|_, _| Fate::Leaves(()));
            for pair in served.windows(2) {
                prop_assert!(key(pair[0].0) <= key(pair[1].0) + 1e-6);
            }
            prop_assert_eq!(waiting.work(), Work::NONE);
        }
    }
}
