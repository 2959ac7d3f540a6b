//! The lists that grow at their end: they follow it, unless the reader has gone back.

use super::acts::{Level, level};
use super::filter;
use super::model::Model;
use super::sort::RequestSort;
use crate::state::events::Event;
use crate::state::metrics::Metric;

/// The events that pass the filter, each with its number since the beginning, oldest first.
pub(crate) fn events(model: &Model) -> Vec<(usize, &Event)> {
    let data = model.shown();
    let first = data.events_ever.saturating_sub(data.events.len());
    let words = model.event_filter.to_lowercase();
    let words = words.split_whitespace().collect::<Vec<_>>();
    let fits = |event: &Event| {
        let level_fits = model.level == Level::All || level(event.kind) >= model.level;
        level_fits && words.iter().all(|word| contains(event, word))
    };
    data.events
        .iter()
        .enumerate()
        .filter(|(_, event)| fits(event))
        .map(|(index, event)| (first + index, event))
        .collect()
}

fn contains(event: &Event, word: &str) -> bool {
    let (word, wanted) = word.strip_prefix('!').map_or((word, true), |word| (word, false));
    let vm = event.vm.as_ref().is_some_and(|vm| vm.as_str().contains(word));
    let found = vm
        || event.kind.as_str().contains(word)
        || event.role.to_lowercase().contains(word)
        || event.detail.to_lowercase().contains(word);
    found == wanted
}

/// The requests that pass the filter, each with its number since the beginning: oldest first, or in
/// the order that they are sorted by.
fn requests(model: &Model) -> Vec<(usize, &Metric)> {
    let data = model.shown();
    let first = data.requests_ever.saturating_sub(data.requests.len());
    let words = model.request_filter.to_lowercase();
    let words = words.split_whitespace().collect::<Vec<_>>();
    let fits = |metric: &Metric| words.iter().all(|word| tells_of(metric, word));
    let numbered = data.requests.iter().enumerate();
    let mut requests = numbered
        .filter(|(_, metric)| fits(metric))
        .map(|(index, metric)| (first + index, metric))
        .collect::<Vec<_>>();
    if model.request_sort != RequestSort::At {
        requests.sort_by(|a, b| model.request_sort.compare(a.1, b.1));
    }
    if model.request_ascending {
        requests.reverse();
    }
    requests
}

/// The request has to do with the word: a workload, a VM, a status or its beginning, an id; or a
/// number of it lies where a comparison says.
fn tells_of(metric: &Metric, word: &str) -> bool {
    let number = |name: &str| match name {
        "took" => Some(metric.wall_us as f64 / 1e3),
        "queue" => metric.queue_us.map(|us| us as f64 / 1e3),
        "tries" => Some(f64::from(metric.attempts)),
        "code" => Some(f64::from(metric.status)),
        "size" => metric.width.zip(metric.height).map(|(w, h)| f64::from(w) * f64::from(h) / 1e6),
        _ => None,
    };
    if let Some(comparison) = filter::comparison(word) {
        return number(comparison.name).is_some_and(|value| comparison.holds(value));
    }
    let (word, wanted) = word.strip_prefix('!').map_or((word, true), |word| (word, false));
    let found = metric.workload.contains(word)
        || metric.vm.as_ref().is_some_and(|vm| vm.as_str() == word)
        || metric.status.to_string().starts_with(word)
        || metric.request.to_lowercase().contains(word);
    found == wanted
}

/// The requests from the place on where the reader is: newest first, or the largest by what they
/// are sorted by.
pub(crate) fn shown_requests(model: &Model) -> impl Iterator<Item = &Metric> {
    let mut requests = requests(model);
    if let Some(end) = end(&requests, model.places.request, model.requests_in_time()) {
        requests.truncate(end + 1);
    }
    requests.into_iter().rev().map(|(_, metric)| metric)
}

/// The events up to the place where the reader is, newest first.
pub(crate) fn shown_events(model: &Model) -> impl Iterator<Item = &Event> {
    let place = model.places.event.unwrap_or(usize::MAX);
    events(model).into_iter().rev().filter(move |(number, _)| *number <= place).map(|(_, e)| e)
}

pub(crate) fn last_shown_event(model: &Model) -> Option<&Event> {
    shown_events(model).next()
}

pub(crate) fn last_shown_request(model: &Model) -> Option<&Metric> {
    shown_requests(model).next()
}

/// The place so many rows further on; none at the end, which is followed.
pub(crate) fn step_events(model: &Model, by: isize) -> Option<usize> {
    step(&events(model), model.places.event, by, true)
}

/// As [`step_events`], among the requests.
pub(crate) fn step_requests(model: &Model, by: isize) -> Option<usize> {
    let requests = requests(model);
    // In time one goes back and forth; in any other order, down and up.
    let in_time = model.requests_in_time();
    let by = if in_time { by } else { by.saturating_neg() };
    step(&requests, model.places.request, by, in_time)
}

fn step<T>(rows: &[(usize, T)], place: Option<usize>, by: isize, in_time: bool) -> Option<usize> {
    let last = rows.len().checked_sub(1)?;
    let index = end(rows, place, in_time).unwrap_or(last);
    let index = super::update::moved(index, by, rows.len());
    (index < last).then(|| rows.get(index).map(|(number, _)| *number)).flatten()
}

/// Where the place is in a list that ends with what is shown first; none for its end. A row that is
/// gone from a list in time leaves its place to the one before it.
fn end<T>(list: &[(usize, T)], place: Option<usize>, in_time: bool) -> Option<usize> {
    let place = place?;
    if in_time {
        let after = list.partition_point(|(number, _)| *number <= place);
        return Some(after.saturating_sub(1));
    }
    list.iter().position(|(number, _)| *number == place)
}
