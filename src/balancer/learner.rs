//! Learns what requests cost from what VMs say of their answers, and keeps what was learned.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::features::Foretold;
use super::message::Fields;
use super::target::Target;
use crate::domain::cost::{Accuracy, CostModel, Features, Kind, Typical, Work};
use crate::http::{Cost, X_CUMULET_WORK};
use crate::state::StateFolder;
use crate::state::cost_model::CostModelFile;
use crate::state::metrics::Metric;
use crate::workload::foresight;
use crate::workload::imaging::Filter;

/// How often what was learned is written, if there is anything new.
const PERIOD: Duration = Duration::from_secs(5);
/// So much of metrics.txt is learned from when nothing was kept: about a thousand requests.
const HISTORY_BYTES: u64 = 256 << 10;

/// Foretells costs and learns from answers.
#[derive(Default)]
pub(super) struct Learner(Mutex<Learned>);

#[derive(Default)]
struct Learned {
    model: CostModel,
    /// The pace of all VMs together: the VM that costs are foretold for.
    typical: Typical,
    /// Whether something was learned since it was last written.
    is_new: bool,
}

impl Learner {
    /// A learner that goes on where the last one in this folder ended; without its file, one that
    /// has learned from the last lines of metrics.txt.
    pub(super) fn open(folder: &StateFolder) -> Self {
        let kept = folder.read::<CostModelFile>().unwrap_or_else(|error| {
            tracing::warn!(%error, "what requests cost is learned anew");
            None
        });
        // An earlier version's file holds nothing that is of use now.
        let kept = kept.filter(|file| file.model.classes().next().is_some());
        let model = kept.map_or_else(|| model_of_history(folder), |file| file.model);
        Self(Mutex::new(Learned { model, ..Learned::default() }))
    }

    /// What a request will cost on a typical VM.
    pub(super) fn predict(&self, features: &Features) -> Work {
        self.learned().model.predict(features)
    }

    /// Learns from the head of a VM's answer, if it says what the answer cost. `now` is the fleet's
    /// age.
    pub(super) fn hear(
        &self,
        foretold: &Foretold,
        fields: &Fields,
        target: &Target,
        now: Duration,
    ) {
        let cost = fields.get(&X_CUMULET_WORK).and_then(|value| value.to_str().ok()?.parse().ok());
        let Some(Cost { cpu, .. }) = cost else { return };
        let Foretold { features, work } = foretold;
        let mut learned = self.learned();
        let Some(ratio) = learned.typical.compare(*work, cpu) else { return };
        let before = {
            let mut state = target.state();
            let before = state.pace.factor(now);
            state.pace.hear(ratio, now);
            before
        };
        learned.model.learn(features, *work, cpu, before);
        learned.is_new = true;
    }

    /// How well each kind of work was foretold lately.
    pub(super) fn accuracy(&self) -> Vec<(Kind, Accuracy)> {
        self.learned().model.accuracy().collect()
    }

    fn take_new(&self) -> Option<CostModel> {
        let mut learned = self.learned();
        std::mem::take(&mut learned.is_new).then(|| learned.model.clone())
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the last lines of metrics.txt teach.
fn model_of_history(folder: &StateFolder) -> CostModel {
    let lines = folder.tail::<Metric>(HISTORY_BYTES).unwrap_or_else(|error| {
        tracing::warn!(%error, "nothing is learned of costs from before");
        Vec::new()
    });
    let mut model = CostModel::default();
    for line in lines.iter().filter(|line| line.status == 200) {
        let (Ok(kind), Some(cpu_us)) = (line.workload.parse(), line.cpu_us) else { continue };
        for features in features_of(kind, line) {
            let predicted = model.predict(&features);
            model.learn(&features, predicted, Duration::from_micros(cpu_us), 1.0);
        }
    }
    // How well the past is foretold once it is known says nothing; and the lines do not tell whether
    // a body came as base64, so neither how dense a file was.
    let classes: Vec<_> = model.classes().map(|(class, sums)| (class, *sums)).collect();
    CostModel::restored(classes, [], [])
}

/// What would have been known of a finished request before it was run, as far as its line tells.
fn features_of(kind: Kind, line: &Metric) -> Vec<Features> {
    let (Some(width), Some(height), Some(work)) = (line.width, line.height, line.work) else {
        return Vec::new();
    };
    let bytes = line.input_bytes;
    let extra = |name| line.extra.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let picture = |filter| foresight::picture_of_work(filter, [width, height], work, bytes);
    match kind {
        Kind::Raytrace => {
            let antialias = extra("antialias") == Some(1);
            let guessed = foresight::render_of([width, height], antialias, Some(bytes));
            let [tests, shapes] = ["tests", "primitives"].map(|name| extra(name).unwrap_or(0));
            let traced = foresight::render_of_work(work, tests, shapes, bytes);
            std::iter::once(guessed).chain(traced).collect()
        }
        Kind::Blur => Vec::from_iter(picture(Filter::Blur)),
        Kind::Enhance => Vec::from_iter(picture(Filter::Enhance)),
        Kind::Other => Vec::new(),
    }
}

/// Writes what was learned every few seconds until `stop`, and once more then.
pub(super) async fn keep(learner: Arc<Learner>, folder: StateFolder, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_last = tokio::select! {
            biased;
            () = stop.cancelled() => true,
            _ = ticks.tick() => false,
        };
        if let Some(model) = learner.take_new() {
            let folder = folder.clone();
            let written = tokio::task::spawn_blocking(move || {
                folder.update_or(CostModelFile::default, |file: &mut CostModelFile| {
                    file.model = model;
                })
            });
            if let Ok(Err(error)) = written.await {
                tracing::warn!(%error, "what was learned of costs was not written");
            }
        }
        if is_last {
            return;
        }
    }
}
