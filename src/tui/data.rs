//! All that is known of a cluster, put together from [`News`]. Pure: no clock, no files.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::format::since;
use super::history::History;
use super::news::{ClusterWord, News, Word};
use crate::config;
use crate::domain::decision::{Check, Direction};
use crate::domain::instance_type::InstanceType;
use crate::state::as_state::AsStateFile;
use crate::state::events::Event;
use crate::state::function_state::FunctionStateFile;
use crate::state::lb_state::{CHOICES_KEPT, LbChoice, LbStateFile};
use crate::state::metrics::Metric;
use crate::state::samples::Sample;
use crate::state::vm_state::{VmReport, VmStateFile};

/// A report is late after so many periods, as the balancer and the autoscaler see it.
pub(crate) const LATE_AFTER_PERIODS: u32 = 3;
/// The balancer replaces LBState.xml every second; it is late after this.
pub(crate) const BALANCER_LATE: Duration = Duration::from_secs(5);
/// How many events are kept.
const EVENTS: usize = 5_000;
/// How many requests are kept.
const REQUESTS: usize = 20_000;
/// How many decisions are kept.
const DECISIONS: usize = 2_000;

/// What is known beforehand: settings that give the files their meaning.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Known {
    /// How often a VM reports.
    pub(crate) report_every: Duration,
    /// The autoscaler's settings.
    pub(crate) autoscaler: config::Autoscaler,
    /// Instance types by name, with their prices.
    pub(crate) types: BTreeMap<String, InstanceType>,
    /// The type of a VM of which nothing else is said.
    pub(crate) default_type: String,
    /// What the boot time of a type is multiplied with.
    pub(crate) boot_scale: f64,
    /// Cores of this machine: what a VM has whose type does not say.
    pub(crate) cores: u32,
    /// The reader's time zone.
    pub(crate) zone: TimeZone,
}

impl Known {
    /// What the settings in force say.
    pub(crate) fn of(settings: &config::Settings, zone: TimeZone) -> Self {
        Self {
            report_every: settings.report_every,
            autoscaler: settings.autoscaler.clone(),
            types: settings.instance_types.clone(),
            default_type: settings.instance_type.clone(),
            boot_scale: settings.boot_scale,
            cores: std::thread::available_parallelism()
                .map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
            zone,
        }
    }

    /// After how long a report is late.
    pub(crate) fn late_after(&self) -> Duration {
        self.report_every.saturating_mul(LATE_AFTER_PERIODS)
    }
}

/// A decision of the autoscaler with what it saw then.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decided {
    /// When.
    pub(crate) at: Timestamp,
    /// Which way.
    pub(crate) action: Direction,
    /// VMs wanted before, as far as it is known.
    pub(crate) from: Option<u32>,
    /// VMs wanted after.
    pub(crate) to: u32,
    /// Why.
    pub(crate) reason: String,
    /// The numbers it was made from, as ASState.xml tells them; empty for what only samples.txt
    /// tells.
    pub(crate) checks: Vec<Check>,
    /// What there was, as samples.txt tells it; none for what only ASState.xml tells.
    pub(crate) seen: Option<Seen>,
}

/// What the autoscaler saw when it decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Seen {
    /// VMs that served.
    pub(crate) running: u32,
    /// VMs that booted.
    pub(crate) booting: u32,
    /// VMs that drained.
    pub(crate) draining: u32,
    /// CPU seconds of work that arrived per second.
    pub(crate) offered_load: Option<f64>,
    /// Seconds of work that waited.
    pub(crate) queue_seconds: Option<f64>,
    /// vCPUs in use.
    pub(crate) busy: Option<f64>,
}

/// All that is known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Data {
    /// Known beforehand.
    pub(crate) known: Arc<Known>,
    /// The time of the last look.
    pub(crate) now: Timestamp,
    /// VMState.xml.
    pub(crate) vm_state: Word<VmStateFile>,
    /// ASState.xml.
    pub(crate) as_state: Word<AsStateFile>,
    /// LBState.xml.
    pub(crate) lb_state: Word<LbStateFile>,
    /// FunctionState.xml.
    pub(crate) functions: Word<FunctionStateFile>,
    /// cluster.toml and its process.
    pub(crate) cluster: ClusterWord,
    /// Processes that are gone.
    pub(crate) gone: BTreeSet<u32>,
    /// What the VMs reported.
    pub(crate) history: History,
    /// What the autoscaler decided, oldest first.
    pub(crate) decisions: VecDeque<Decided>,
    /// What happened, oldest first.
    pub(crate) events: VecDeque<Event>,
    /// How many events were ever taken in: tells one place in the list from another.
    pub(crate) events_ever: usize,
    /// Requests that were finished, oldest first.
    pub(crate) requests: VecDeque<Metric>,
    /// How many requests were ever taken in.
    pub(crate) requests_ever: usize,
    /// The balancer's choices, oldest first. It tells the last of each second, not all.
    pub(crate) choices: VecDeque<LbChoice>,
}

impl Data {
    /// Nothing is known yet.
    pub(crate) fn new(known: Arc<Known>, now: Timestamp) -> Self {
        Self {
            known,
            now,
            vm_state: Word::default(),
            as_state: Word::default(),
            lb_state: Word::default(),
            functions: Word::default(),
            cluster: ClusterWord::default(),
            gone: BTreeSet::new(),
            history: History::default(),
            decisions: VecDeque::new(),
            events: VecDeque::new(),
            events_ever: 0,
            requests: VecDeque::new(),
            requests_ever: 0,
            choices: VecDeque::new(),
        }
    }

    /// Takes in what a look brought.
    pub(crate) fn take_in(&mut self, news: News) {
        self.now = news.at;
        // Lines first: they reach further back than the documents, and time runs one way.
        for sample in &news.samples {
            self.history.take_in(sample);
            self.take_in_decision(sample);
        }
        if let Some(word) = news.vm_state {
            for report in word.document.iter().flat_map(|document| &document.vms) {
                self.history.take_in(&Sample::from(report));
            }
            self.vm_state = word;
        }
        if let Some(word) = news.as_state {
            self.as_state = word;
            self.take_in_decisions_of_the_file();
        }
        if let Some(word) = news.lb_state {
            self.lb_state = word;
            self.take_in_choices();
        }
        self.functions = news.functions.unwrap_or_else(|| std::mem::take(&mut self.functions));
        self.cluster = news.cluster.unwrap_or_else(|| std::mem::take(&mut self.cluster));
        self.gone = news.gone.unwrap_or_else(|| std::mem::take(&mut self.gone));
        self.events_ever += news.events.len();
        self.requests_ever += news.metrics.len();
        append(&mut self.events, news.events, EVENTS);
        append(&mut self.requests, news.metrics, REQUESTS);
    }

    fn take_in_decision(&mut self, sample: &Sample) {
        let Sample::Decision {
            at,
            running,
            booting,
            draining,
            desired,
            offered_load,
            queue_seconds,
            action,
            reason,
            seen,
            ..
        } = sample
        else {
            return;
        };
        let from = match action {
            Direction::Hold => Some(*desired),
            Direction::Out | Direction::In => self.decisions.back().map(|before| before.to),
        };
        self.decide(Decided {
            at: *at,
            action: *action,
            from,
            to: *desired,
            reason: reason.clone(),
            checks: Vec::new(),
            seen: Some(Seen {
                running: *running,
                booting: *booting,
                draining: *draining,
                offered_load: *offered_load,
                queue_seconds: *queue_seconds,
                busy: seen.busy,
            }),
        });
    }

    fn take_in_decisions_of_the_file(&mut self) {
        let Some(file) = self.as_state.document.clone() else { return };
        for decision in &file.decisions {
            self.decide(Decided {
                at: decision.at,
                action: decision.action,
                from: Some(decision.from),
                to: decision.to,
                reason: decision.reason.clone(),
                checks: decision.checks.clone(),
                seen: None,
            });
        }
    }

    fn take_in_choices(&mut self) {
        let Some(file) = self.lb_state.document.clone() else { return };
        // Few overlap, and those stand at the end.
        let known = self.choices.len().saturating_sub(2 * CHOICES_KEPT);
        for choice in &file.choices {
            if !self.choices.range(known.min(self.choices.len())..).any(|old| old == choice) {
                self.choices.push_back(choice.clone());
            }
        }
        let surplus = self.choices.len().saturating_sub(REQUESTS);
        self.choices.drain(..surplus);
    }

    /// The balancer's choices for a request, as far as they were seen, the last attempt first.
    pub(crate) fn choices_for(&self, request: &str) -> impl Iterator<Item = &LbChoice> {
        self.choices.iter().rev().filter(move |choice| choice.request == request)
    }

    /// Adds a decision in its place. The file and the history tell of the same one with slightly
    /// different times; together they know more than each alone.
    fn decide(&mut self, new: Decided) {
        /// The same decision stands in both within this time.
        const SAME_WITHIN: Duration = Duration::from_secs(2);
        let earliest = new.at.checked_sub(SAME_WITHIN).unwrap_or(Timestamp::MIN);
        let first = self.decisions.partition_point(|old| old.at < earliest);
        let same = |old: &&mut Decided| old.action == new.action && old.reason == new.reason;
        let near = self.decisions.iter_mut().skip(first);
        let mut near = near.take_while(|old| since(old.at, new.at) < SAME_WITHIN);
        if let Some(old) = near.find(same) {
            old.seen = old.seen.or(new.seen);
            // Only the file knows for sure what was wanted before.
            if new.seen.is_none() {
                old.from = new.from;
                old.checks = new.checks;
            }
            return;
        }
        let place = self.decisions.partition_point(|old| old.at <= new.at);
        self.decisions.insert(place, new);
        if self.decisions.len() > DECISIONS {
            self.decisions.pop_front();
        }
    }

    /// What the VMs say.
    pub(crate) fn reports(&self) -> &[VmReport] {
        self.vm_state.document.as_ref().map_or(&[], |document| &document.vms)
    }

    /// How old the last word of any VM is.
    pub(crate) fn vm_state_age(&self) -> Option<Duration> {
        let last = self.reports().iter().map(|report| report.reported_at).max()?;
        Some(since(self.now, last))
    }

    /// How old the last word of the autoscaler is, or of whoever wrote an order last.
    pub(crate) fn as_state_age(&self) -> Option<Duration> {
        let document = self.as_state.document.as_ref()?;
        let orders = document.vms.iter().filter_map(|order| order.since);
        let last = orders.chain(document.decided_at).max()?;
        Some(since(self.now, last))
    }

    /// How old the last word of the balancer is.
    pub(crate) fn lb_state_age(&self) -> Option<Duration> {
        Some(since(self.now, self.lb_state.document.as_ref()?.reported_at?))
    }

    /// How long the cluster has been up, if it is.
    pub(crate) fn uptime(&self) -> Option<Duration> {
        self.cluster.alive.then_some(())?;
        Some(since(self.now, self.cluster.file.as_ref()?.started_at))
    }

    /// The balancer's word, while it is fresh enough to be shown as if it were now.
    pub(crate) fn balancer(&self) -> Option<&LbStateFile> {
        self.lb_state.document.as_deref()
    }

    /// The requests finished within `window`, newest first.
    pub(crate) fn recent(&self, window: Duration) -> impl Iterator<Item = &Metric> {
        // Lines are appended as requests finish: the order is that of time but for a few
        // milliseconds.
        self.requests.iter().rev().take_while(move |metric| since(self.now, metric.at) <= window)
    }
}

fn append<T>(list: &mut VecDeque<T>, new: Vec<T>, most: usize) {
    list.extend(new);
    let surplus = list.len().saturating_sub(most);
    list.drain(..surplus);
}
