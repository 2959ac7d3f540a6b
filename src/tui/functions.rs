//! Functions as the screens tell of them.

use std::time::Duration;

use super::data::Data;
use super::format::{dollars, percent};
use crate::domain::function::Usage;
use crate::state::function_state::{Counts, FunctionReport};

/// Over how long the share of functions is counted.
const LAST_MINUTE: Duration = Duration::from_mins(1);

/// All functions together.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Sum {
    /// Invocations that run.
    pub(crate) running: u32,
    /// Environments that wait for the next one.
    pub(crate) warm: u32,
    /// What became of invocations this month.
    pub(crate) counts: Counts,
    /// What they used this month.
    pub(crate) usage: Usage,
}

/// What is known of each function; nothing where no functions' service has ever run.
pub(crate) fn reports(data: &Data) -> &[FunctionReport] {
    data.functions.document.as_ref().map_or(&[], |file| &file.functions)
}

/// All functions together; none where there are none.
pub(crate) fn sum(data: &Data) -> Option<Sum> {
    let reports = reports(data);
    let add = |sum: Sum, report: &FunctionReport| Sum {
        running: sum.running.saturating_add(report.running),
        warm: sum.warm.saturating_add(report.warm),
        counts: sum.counts.plus(report.counts),
        usage: sum.usage.plus(report.usage),
    };
    (!reports.is_empty()).then(|| reports.iter().fold(Sum::default(), add))
}

/// The share of the requests of the last minute that a function answered, because no VM could take
/// them in time; none without requests.
pub(crate) fn overflow_share(data: &Data) -> Option<f64> {
    let (mut all, mut overflowed) = (0_usize, 0_usize);
    for metric in data.recent(LAST_MINUTE) {
        all += 1;
        overflowed += usize::from(metric.vm.as_ref().is_some_and(|vm| vm.function().is_some()));
    }
    (all > 0).then(|| overflowed as f64 / all as f64)
}

/// `2 run, 3 warm, 12% of requests, 4 throttled`; none where there are no functions.
pub(crate) fn summary(data: &Data) -> Option<String> {
    let Sum { running, warm, counts, .. } = sum(data)?;
    let mut parts = vec![format!("{running} run"), format!("{warm} warm")];
    parts.extend(overflow_share(data).map(|share| format!("{} of requests", percent(share))));
    parts.extend((counts.throttled > 0).then(|| format!("{} throttled", counts.throttled)));
    Some(parts.join(", "))
}

/// What they cost this month; none where there are no functions.
pub(crate) fn bill(data: &Data) -> Option<String> {
    Some(dollars(sum(data)?.usage.price()))
}
