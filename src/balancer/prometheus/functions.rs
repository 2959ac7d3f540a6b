//! What FunctionState.xml says of the functions and of what invokes them. Its counts are of a
//! month: they begin anew with the next, as the bill does.

use super::Page;
use crate::state::function_state::{FunctionReport, FunctionStateFile, TriggerReport};

/// All of it.
pub(super) fn render(page: &mut Page, state: &FunctionStateFile) {
    page.whole(
        "cumulet_functions_up",
        "gauge",
        "1 while the functions' service runs.",
        u8::from(state.pid != 0),
    );
    functions(page, &state.functions);
    triggers(page, &state.triggers);
    page.whole(
        "cumulet_functions_bill_dollars",
        "gauge",
        "What the functions cost this month, after the free tier.",
        state.usage().price(),
    );
}

fn functions(page: &mut Page, all: &[FunctionReport]) {
    let each = |read: fn(&FunctionReport) -> f64| {
        let labelled = move |it: &FunctionReport| (format!("function=\"{}\"", it.name), read(it));
        all.iter().map(labelled).collect::<Vec<_>>()
    };
    page.each(
        "cumulet_function_running",
        "gauge",
        "Invocations that run.",
        each(|it| it.running.into()),
    );
    page.each(
        "cumulet_function_warm",
        "gauge",
        "Environments that wait for an invocation.",
        each(|it| it.warm.into()),
    );
    page.each(
        "cumulet_function_invocations_total",
        "counter",
        "Invocations that ended.",
        each(|it| it.usage.requests as f64),
    );
    page.each(
        "cumulet_function_cold_starts_total",
        "counter",
        "Invocations that waited for an environment to start.",
        each(|it| it.counts.cold_starts as f64),
    );
    page.each(
        "cumulet_function_throttled_total",
        "counter",
        "Invocations that were refused because too many ran.",
        each(|it| it.counts.throttled as f64),
    );
    page.each(
        "cumulet_function_errors_total",
        "counter",
        "Invocations that gave no answer.",
        each(|it| it.counts.errors as f64),
    );
    page.each(
        "cumulet_function_gigabyte_seconds_total",
        "counter",
        "Memory times time that is paid for, in GiB times seconds.",
        each(|it| it.usage.gb_seconds),
    );
}

fn triggers(page: &mut Page, all: &[TriggerReport]) {
    let events = all.iter().flat_map(|it| {
        [("pending", it.pending), ("done", it.done), ("dead", it.dead)]
            .map(|(stage, count)| (format!("trigger=\"{}\",stage=\"{stage}\"", it.name), count))
    });
    page.each(
        "cumulet_trigger_events",
        "gauge",
        "Events of a trigger: to be tried, answered and remembered, given up.",
        events,
    );
}
