//! The edge between the state folder and the screen: looks, and tells what is new.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch::Receiver;

use super::news::{ClusterWord, News, Word};
use crate::process;
use crate::state::as_state::AsStateFile;
use crate::state::events::Event;
use crate::state::follow::Follow;
use crate::state::function_state::FunctionStateFile;
use crate::state::lb_state::LbStateFile;
use crate::state::metrics::Metric;
use crate::state::samples::Sample;
use crate::state::vm_state::VmStateFile;
use crate::state::{Document, Error, StateFolder, View, Watcher};

/// How much of the end of samples.txt is read at first: half an hour of twenty VMs.
const SAMPLES_BYTES: u64 = 1 << 20;
/// How much of the end of events.log is read at first.
const EVENTS_BYTES: u64 = 256 << 10;
/// How much of the end of metrics.txt is read at first: some 4000 requests.
const METRICS_BYTES: u64 = 1 << 20;

/// Reads everything once.
///
/// # Errors
/// If a file of lines cannot be read. A document that cannot be read is news, not an error.
pub(crate) fn read_once(folder: &StateFolder, now: Timestamp) -> Result<News, Error> {
    let vm_state = word::<VmStateFile>(folder);
    let gone = gone(vm_state.document.as_deref());
    Ok(News {
        at: now,
        gone: Some(gone),
        vm_state: Some(vm_state),
        as_state: Some(word::<AsStateFile>(folder)),
        lb_state: Some(word::<LbStateFile>(folder)),
        functions: Some(word::<FunctionStateFile>(folder)),
        cluster: Some(cluster(folder)),
        samples: Follow::<Sample>::from_last(folder, SAMPLES_BYTES).look()?,
        events: Follow::<Event>::from_last(folder, EVENTS_BYTES).look()?,
        metrics: Follow::<Metric>::from_last(folder, METRICS_BYTES).look()?,
    })
}

fn word<D: Document>(folder: &StateFolder) -> Word<D> {
    match folder.read::<D>() {
        Ok(document) => Word { document: document.map(std::sync::Arc::new), problem: None },
        Err(error) => Word { document: None, problem: Some(error.to_string()) },
    }
}

/// A cluster.toml that cannot be read says as little as none.
fn cluster(folder: &StateFolder) -> ClusterWord {
    let file = folder.read_cluster_file().ok().flatten();
    let alive = file.as_ref().is_some_and(|file| process::is_alive(file.pid));
    ClusterWord { file, alive }
}

fn gone(document: Option<&VmStateFile>) -> BTreeSet<u32> {
    let pids = document.into_iter().flat_map(|document| &document.vms).map(|vm| vm.pid);
    pids.filter(|pid| !process::is_alive(*pid)).collect()
}

/// Watches a state folder.
pub(crate) struct Source {
    folder: StateFolder,
    vm_state: Receiver<View<VmStateFile>>,
    as_state: Receiver<View<AsStateFile>>,
    lb_state: Receiver<View<LbStateFile>>,
    functions: Receiver<View<FunctionStateFile>>,
    samples: Follow<Sample>,
    events: Follow<Event>,
    metrics: Follow<Metric>,
    cluster: Option<ClusterWord>,
    gone: Option<BTreeSet<u32>>,
    _watcher: Watcher,
}

/// How often what no watcher reports is looked at: lines, processes, cluster.toml.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(250);

impl Source {
    /// Starts to watch.
    ///
    /// # Errors
    /// If there is no tokio runtime to run in.
    pub(crate) fn start(folder: &StateFolder) -> Result<Self, Error> {
        let watcher = Watcher::start(folder)?;
        let mut source = Self {
            folder: folder.clone(),
            vm_state: watcher.follow(),
            as_state: watcher.follow(),
            lb_state: watcher.follow(),
            functions: watcher.follow(),
            samples: Follow::from_last(folder, SAMPLES_BYTES),
            events: Follow::from_last(folder, EVENTS_BYTES),
            metrics: Follow::from_last(folder, METRICS_BYTES),
            cluster: None,
            gone: None,
            _watcher: watcher,
        };
        source.vm_state.mark_changed();
        source.as_state.mark_changed();
        source.lb_state.mark_changed();
        source.functions.mark_changed();
        Ok(source)
    }

    /// Waits until there may be something new.
    pub(crate) async fn changed(&mut self) {
        tokio::select! {
            _ = self.vm_state.changed() => self.vm_state.mark_changed(),
            _ = self.as_state.changed() => self.as_state.mark_changed(),
            _ = self.lb_state.changed() => self.lb_state.mark_changed(),
            _ = self.functions.changed() => self.functions.mark_changed(),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }

    /// What is new since the last look.
    pub(crate) fn look(&mut self, now: Timestamp) -> News {
        let vm_state = fresh(&mut self.vm_state);
        let cluster = cluster(&self.folder);
        let gone = gone(self.vm_state.borrow().document.as_deref());
        News {
            at: now,
            vm_state,
            as_state: fresh(&mut self.as_state),
            lb_state: fresh(&mut self.lb_state),
            functions: fresh(&mut self.functions),
            cluster: differs(&mut self.cluster, cluster),
            gone: differs(&mut self.gone, gone),
            samples: lines(&mut self.samples),
            events: lines(&mut self.events),
            metrics: lines(&mut self.metrics),
        }
    }
}

fn fresh<D>(receiver: &mut Receiver<View<D>>) -> Option<Word<D>> {
    let changed = receiver.has_changed().unwrap_or(false);
    changed.then(|| Word::from(&*receiver.borrow_and_update()))
}

fn differs<T: PartialEq + Clone>(before: &mut Option<T>, now: T) -> Option<T> {
    if before.as_ref() == Some(&now) {
        return None;
    }
    *before = Some(now.clone());
    Some(now)
}

/// A file of lines that cannot be read now is tried again at the next look.
fn lines<L: crate::state::logfmt::Line>(follow: &mut Follow<L>) -> Vec<L> {
    follow.look().unwrap_or_else(|error| {
        tracing::debug!(%error, "cannot follow the lines");
        Vec::new()
    })
}
