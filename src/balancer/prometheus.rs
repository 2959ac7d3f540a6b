//! The cluster's numbers in Prometheus' text format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>), named as
//! <https://prometheus.io/docs/practices/naming/> asks.

mod files;
mod functions;

use std::fmt::{Display, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fleet::Fleet;
use super::latency::{BOUNDS_MS, Buckets};
use super::learner::Learner;
use super::pulse::Pulse;
use super::target::{State, Target};
use crate::domain::cost::Kind;
use crate::state::function_state::FunctionStateFile;

/// All metrics.
pub(super) fn render(
    fleet: &Fleet,
    learner: &Learner,
    pulse: &Pulse,
    functions: Option<&FunctionStateFile>,
) -> String {
    let mut page = Page::default();
    let targets = fleet.targets();
    requests(&mut page, fleet, &targets);
    own_health(&mut page, pulse);
    each_vm(&mut page, &targets);
    capacities(&mut page, &targets, fleet.age(Instant::now()));
    page.predictions(learner);
    times(&mut page, &targets);
    let (vm_state, as_state) = fleet.files();
    files::render(&mut page, &vm_state, &as_state);
    if let Some(functions) = functions {
        functions::render(&mut page, functions);
    }
    page.text
}

/// What became of the requests.
fn requests(page: &mut Page, fleet: &Fleet, targets: &[Arc<Target>]) {
    let totals = fleet.count(|totals| totals.clone());
    let (queued, queued_work) = fleet.queue();
    page.family(
        "cumulet_requests_total",
        "counter",
        "Requests answered, by VM and class of status.",
    );
    for target in targets {
        page.classes(target.id.as_str(), target.state().tally.answered);
    }
    page.classes("-", totals.own_answers);
    page.whole("cumulet_taken_total", "counter", "Requests taken.", totals.requests);
    page.whole(
        "cumulet_cancelled_total",
        "counter",
        "Requests whose client left.",
        totals.cancelled,
    );
    page.whole("cumulet_retries_total", "counter", "Attempts beyond the first.", totals.retries);
    page.whole(
        "cumulet_overflowed_total",
        "counter",
        "Requests sent to a function because no VM could take them in time.",
        totals.overflowed,
    );
    page.whole(
        "cumulet_hedges_total",
        "counter",
        "Requests for which a second VM was asked because the first was late.",
        totals.hedges,
    );
    page.whole("cumulet_queue_length", "gauge", "Requests that wait for a VM.", queued);
    page.whole(
        "cumulet_queue_seconds",
        "gauge",
        "Predicted work of the requests that wait, in seconds of one vCPU.",
        queued_work.seconds(),
    );
    page.whole(
        "cumulet_requests_in_flight",
        "gauge",
        "Requests in the balancer.",
        totals.in_flight,
    );
}

/// How the VMs fare.
fn each_vm(page: &mut Page, targets: &[Arc<Target>]) {
    let each = |read: &dyn Fn(&State) -> u64| -> Vec<(String, u64)> {
        let labelled =
            |target: &Arc<Target>| (format!("vm=\"{}\"", target.id), read(&target.state()));
        targets.iter().map(labelled).collect()
    };
    page.each(
        "cumulet_in_flight",
        "gauge",
        "Requests sent to a VM and not answered yet.",
        each(&|state| u64::from(state.in_flight)),
    );
    page.each(
        "cumulet_in_rotation",
        "gauge",
        "1 if a VM gets requests.",
        each(&|state| u64::from(state.standing().is_in_rotation())),
    );
    page.each(
        "cumulet_attempt_failures_total",
        "counter",
        "Attempts that a VM failed.",
        each(&|state| state.tally.failures),
    );
    page.each(
        "cumulet_retried_total",
        "counter",
        "Requests that failed at a VM and were sent elsewhere.",
        each(&|state| state.tally.retries),
    );
    page.each(
        "cumulet_ejections_total",
        "counter",
        "Times a VM was taken out of rotation.",
        each(&|state| state.tally.ejections),
    );
}

/// What the balancer takes each VM to be able to, and what it holds besides. `now` is the fleet's
/// age.
fn capacities(page: &mut Page, targets: &[Arc<Target>], now: Duration) {
    let labelled = |target: &Target| format!("vm=\"{}\"", target.id);
    page.each(
        "cumulet_speed_ratio",
        "gauge",
        "Speed of a VM as learned from its answers, in that of one vCPU.",
        targets.iter().map(|it| (labelled(it), it.speed_of(&it.state(), now))),
    );
    page.each(
        "cumulet_requests_cap",
        "gauge",
        "Requests that a VM works on at once, at most; none where there is no limit.",
        targets.iter().filter_map(|it| Some((labelled(it), it.cap?))),
    );
    page.each(
        "cumulet_foreign_requests",
        "gauge",
        "Requests in a VM that did not come through this balancer, as it reports them.",
        targets.iter().map(|it| (labelled(it), it.state().foreign.at(now))),
    );
}

/// How long requests take.
fn times(page: &mut Page, targets: &[Arc<Target>]) {
    page.family(
        "cumulet_request_duration_seconds",
        "histogram",
        "Time to answer, by VM and workload.",
    );
    for target in targets {
        let by_kind = target.state().tally.by_kind;
        for (kind, buckets) in Kind::ALL.iter().zip(&by_kind).filter(|(_, it)| it.count > 0) {
            page.histogram(
                &format!("vm=\"{}\",workload=\"{}\"", target.id, kind.as_str()),
                buckets,
            );
        }
    }
}

fn own_health(page: &mut Page, pulse: &Pulse) {
    page.whole(
        "cumulet_run_queue_seconds_total",
        "counter",
        "Time that the balancer's threads have waited for a core.",
        pulse.waited().as_secs_f64(),
    );
    page.whole(
        "cumulet_run_queue_delay_seconds",
        "gauge",
        "Mean wait of the balancer's threads for a core before each turn, over the last second.",
        pulse.delay().as_secs_f64(),
    );
}

/// A label's value, as the format wants it escaped.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        self.line(format_args!("{name}{{{labels}}} {value}"));
    }

    fn classes(&mut self, vm: &str, counts: [u64; 5]) {
        for (class, count) in (1..).zip(counts) {
            let labels = format!("vm=\"{vm}\",class=\"{class}xx\"");
            self.sample("cumulet_requests_total", &labels, count);
        }
    }

    fn whole(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.line(format_args!("{name} {value}"));
    }

    fn each<V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        values: impl IntoIterator<Item = (String, V)>,
    ) {
        self.family(name, kind, help);
        for (labels, value) in values {
            self.sample(name, &labels, value);
        }
    }

    fn predictions(&mut self, learner: &Learner) {
        let kinds = learner.accuracy();
        self.family(
            "cumulet_prediction_error_ratio",
            "gauge",
            "Mean absolute error of the predicted CPU time, as a share of the actual one.",
        );
        for (kind, accuracy) in &kinds {
            let labels = format!("workload=\"{}\"", kind.as_str());
            self.sample("cumulet_prediction_error_ratio", &labels, accuracy.error);
        }
        self.family(
            "cumulet_predictions_total",
            "counter",
            "Answers that a prediction was compared with.",
        );
        for (kind, accuracy) in &kinds {
            let labels = format!("workload=\"{}\"", kind.as_str());
            self.sample("cumulet_predictions_total", &labels, accuracy.answers);
        }
    }

    fn histogram(&mut self, labels: &str, times: &Buckets) {
        let mut at_most = 0;
        for (bound, count) in BOUNDS_MS.iter().zip(times.at_most) {
            at_most += count;
            let labels = format!("{labels},le=\"{}\"", *bound as f64 / 1e3);
            self.sample("cumulet_request_duration_seconds_bucket", &labels, at_most);
        }
        let all = format!("{labels},le=\"+Inf\"");
        self.sample("cumulet_request_duration_seconds_bucket", &all, times.count);
        let sum = times.sum.as_secs_f64();
        self.sample("cumulet_request_duration_seconds_sum", labels, sum);
        self.sample("cumulet_request_duration_seconds_count", labels, times.count);
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Cannot fail: writing to a String never does.
        let _ = writeln!(self.text, "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_end_its_line_or_its_quotes() {
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
