//! The functions there are, their environments, and their counts.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::domain::cost::Kind;
use crate::domain::function::{Code, Function, FunctionName, Usage};
use crate::state::function_state::{Counts, FunctionReport, FunctionStateFile};
use crate::state::functions::FunctionsFile;

/// The functions, with environments of type `E`. Pure: times come in.
#[derive(Debug)]
pub(super) struct Pool<E> {
    month: String,
    entries: BTreeMap<FunctionName, Entry<E>>,
}

#[derive(Debug)]
struct Entry<E> {
    /// None once it has been deleted: what it cost this month stays.
    function: Option<Function>,
    /// The environments without work and since when, the one used last at the end.
    idle: Vec<(E, Instant)>,
    running: u32,
    counts: Counts,
    usage: Usage,
}

impl<E> Default for Entry<E> {
    fn default() -> Self {
        Self {
            function: None,
            idle: Vec::new(),
            running: 0,
            counts: Counts::default(),
            usage: Usage::default(),
        }
    }
}

/// Why an invocation does not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is no such function.
    Unknown,
    /// So many of it run already as may.
    Throttled(u32),
}

/// What an invocation came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    /// How long it took, the start of its environment included.
    pub(super) time: Duration,
    /// Whether an environment was started for it.
    pub(super) cold: bool,
    /// Whether it gave no answer.
    pub(super) failed: bool,
}

impl<E> Pool<E> {
    /// Nothing yet, but what `before` says of the same month.
    pub(super) fn new(month: String, before: Option<FunctionStateFile>) -> Self {
        let reports = before.filter(|file| file.month == month).map(|file| file.functions);
        let entry = |report: FunctionReport| {
            let (counts, usage) = (report.counts, report.usage);
            (report.name, Entry { counts, usage, ..Entry::default() })
        };
        let entries = reports.into_iter().flatten().map(entry).collect();
        Self { month, entries }
    }

    /// From now on there are these functions. Environments of what a function was before are of no
    /// more use and are handed out.
    #[must_use = "they are to be ended"]
    pub(super) fn define(&mut self, file: &FunctionsFile) -> Vec<E> {
        let mut useless = Vec::new();
        for (name, entry) in &mut self.entries {
            let now = file.function(name.as_str());
            if now != entry.function.as_ref() {
                useless.extend(entry.idle.drain(..).map(|(environment, _)| environment));
            }
            entry.function = now.cloned();
        }
        for (function, _) in &file.functions {
            let entry = self.entries.entry(function.name.clone()).or_default();
            entry.function = Some(function.clone());
        }
        useless
    }

    /// The first function that runs this workload.
    pub(super) fn built_in(&self, kind: Kind) -> Option<FunctionName> {
        let runs_it = |entry: &Entry<E>| {
            entry.function.as_ref().is_some_and(|function| function.code == Code::BuiltIn(kind))
        };
        self.entries.iter().find(|(_, entry)| runs_it(entry)).map(|(name, _)| name.clone())
    }

    /// How many invocations of a function may run at once; none if there is no such function.
    pub(super) fn concurrency(&self, name: &FunctionName) -> Option<u32> {
        self.entries.get(name)?.function.as_ref().map(|function| function.concurrency)
    }

    /// An invocation begins: the function, and a warm environment if there is one.
    pub(super) fn begin(&mut self, name: &FunctionName) -> Result<(Function, Option<E>), Refused> {
        let entry = self.entries.get_mut(name).ok_or(Refused::Unknown)?;
        let function = entry.function.clone().ok_or(Refused::Unknown)?;
        if entry.running >= function.concurrency {
            entry.counts.throttled += 1;
            return Err(Refused::Throttled(function.concurrency));
        }
        entry.running += 1;
        Ok((function, entry.idle.pop().map(|(environment, _)| environment)))
    }

    /// It has ended. Hands its environment back if it is of no more use.
    pub(super) fn end(
        &mut self,
        function: &Function,
        environment: Option<E>,
        outcome: Outcome,
        now: Instant,
    ) -> Option<E> {
        let entry = self.entries.entry(function.name.clone()).or_default();
        entry.running = entry.running.saturating_sub(1);
        entry.counts.cold_starts += u64::from(outcome.cold);
        entry.counts.errors += u64::from(outcome.failed);
        entry.usage = entry.usage.plus(Usage::of(function.memory_mib, outcome.time));
        if entry.function.as_ref() == Some(function) && !function.keep_warm.is_zero() {
            entry.idle.extend(environment.map(|environment| (environment, now)));
            return None;
        }
        environment
    }

    /// Takes out the environments that nobody has wanted for long enough, and begins a new bill in
    /// a new month.
    #[must_use = "they are to be ended"]
    pub(super) fn sweep(&mut self, now: Instant, month: &str) -> Vec<E> {
        if self.month != month {
            month.clone_into(&mut self.month);
            self.entries.retain(|_, entry| entry.function.is_some() || entry.running > 0);
            for entry in self.entries.values_mut() {
                (entry.counts, entry.usage) = (Counts::default(), Usage::default());
            }
        }
        let mut cold = Vec::new();
        for entry in self.entries.values_mut() {
            let kept = entry.function.as_ref().map_or(Duration::ZERO, |it| it.keep_warm);
            let is_old = |since: Instant| now.saturating_duration_since(since) >= kept;
            let old = entry.idle.extract_if(.., |(_, since)| is_old(*since));
            cold.extend(old.map(|(environment, _)| environment));
        }
        cold
    }

    /// Takes out all environments without work.
    #[must_use = "they are to be ended"]
    pub(super) fn clear(&mut self) -> Vec<E> {
        let idle = self.entries.values_mut().flat_map(|entry| entry.idle.drain(..));
        idle.map(|(environment, _)| environment).collect()
    }

    /// The month of the bill, and how each function does.
    pub(super) fn report(&self) -> (String, Vec<FunctionReport>) {
        let report = |(name, entry): (&FunctionName, &Entry<E>)| FunctionReport {
            name: name.clone(),
            running: entry.running,
            warm: u32::try_from(entry.idle.len()).unwrap_or(u32::MAX),
            counts: entry.counts,
            usage: entry.usage,
        };
        (self.month.clone(), self.entries.iter().map(report).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONTH: &str = "2026-11";

    fn pool(concurrency: u32) -> (Pool<u32>, FunctionName) {
        let mut pool = Pool::new(MONTH.to_owned(), None);
        let mut file = FunctionsFile::default();
        file.functions.iter_mut().for_each(|(it, _)| it.concurrency = concurrency);
        assert!(pool.define(&file).is_empty());
        (pool, "blur".parse().unwrap())
    }

    fn outcome(cold: bool) -> Outcome {
        Outcome { time: Duration::from_millis(100), cold, failed: false }
    }

    #[test]
    fn an_environment_is_used_again_until_nobody_wants_it() {
        let (mut pool, name) = pool(2);
        let start = Instant::now();
        let (function, warm) = pool.begin(&name).unwrap();
        assert_eq!(warm, None);
        assert_eq!(pool.end(&function, Some(7), outcome(true), start), None);
        assert_eq!(pool.begin(&name).unwrap().1, Some(7));
        assert_eq!(pool.end(&function, Some(7), outcome(false), start), None);
        assert!(pool.sweep(start + function.keep_warm / 2, MONTH).is_empty());
        assert_eq!(pool.sweep(start + function.keep_warm, MONTH), [7]);
        let (_, reports) = pool.report();
        let blur = reports.iter().find(|report| report.name == name).unwrap();
        assert_eq!((blur.usage.requests, blur.counts.cold_starts, blur.warm), (2, 1, 0));
    }

    #[test]
    fn no_more_run_than_may_and_a_place_that_falls_free_is_given_again() {
        let (mut pool, name) = pool(2);
        let (function, _) = pool.begin(&name).unwrap();
        assert!(pool.begin(&name).is_ok());
        assert_eq!(pool.begin(&name), Err(Refused::Throttled(2)));
        pool.end(&function, None, outcome(true), Instant::now());
        assert!(pool.begin(&name).is_ok());
        assert_eq!(pool.begin(&"knit".parse().unwrap()), Err(Refused::Unknown));
        assert_eq!(pool.report().1.iter().map(|it| it.counts.throttled).sum::<u64>(), 1);
    }

    #[test]
    fn what_was_changed_or_deleted_leaves_no_environment_behind() {
        let (mut pool, name) = pool(2);
        let now = Instant::now();
        let (function, _) = pool.begin(&name).unwrap();
        let _ = pool.begin(&name).unwrap();
        pool.end(&function, Some(1), outcome(true), now);
        let mut file = FunctionsFile::default();
        file.functions.retain(|(it, _)| it.name != name);
        assert_eq!(pool.define(&file), [1]);
        assert_eq!(pool.end(&function, Some(2), outcome(true), now), Some(2));
        assert_eq!(pool.begin(&name), Err(Refused::Unknown));
        assert!(pool.report().1.iter().any(|it| it.name == name && it.usage.requests == 2));
    }

    #[test]
    fn the_bill_goes_on_after_a_restart_and_begins_anew_each_month() {
        let (mut pool, name) = pool(1);
        let (function, _) = pool.begin(&name).unwrap();
        pool.end(&function, None, outcome(true), Instant::now());
        let (month, functions) = pool.report();
        let before = FunctionStateFile { month, functions, ..FunctionStateFile::default() };
        let again = Pool::<u32>::new(MONTH.to_owned(), Some(before.clone()));
        assert!(again.report().1.iter().any(|it| it.usage.requests == 1));
        let mut later = Pool::<u32>::new("2026-12".to_owned(), Some(before));
        assert!(later.report().1.is_empty());
        assert!(later.define(&FunctionsFile::default()).is_empty());
        assert!(pool.sweep(Instant::now(), "2026-12").is_empty());
        assert!(pool.report().1.iter().all(|it| it.usage.requests == 0));
    }
}
