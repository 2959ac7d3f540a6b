//! The lists that grow at their end: they follow it, unless the reader has gone back.

use super::acts::{Level, level};
use super::model::Model;
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

/// The requests that pass the filter, each with its number since the beginning, oldest first.
fn requests(model: &Model) -> impl DoubleEndedIterator<Item = (usize, &Metric)> {
    let data = model.shown();
    let first = data.requests_ever.saturating_sub(data.requests.len());
    let words = model.request_filter.to_lowercase();
    let words = words.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    data.requests
        .iter()
        .enumerate()
        .filter(move |(_, metric)| words.iter().all(|word| tells_of(metric, word)))
        .map(move |(index, metric)| (first + index, metric))
}

/// The request has to do with the word: a workload, a VM, a status or its beginning, an id.
fn tells_of(metric: &Metric, word: &str) -> bool {
    let (word, wanted) = word.strip_prefix('!').map_or((word, true), |word| (word, false));
    let found = metric.workload.contains(word)
        || metric.vm.as_ref().is_some_and(|vm| vm.as_str() == word)
        || metric.status.to_string().starts_with(word)
        || metric.request.to_lowercase().contains(word);
    found == wanted
}

/// The requests up to the place where the reader is, newest first.
pub(crate) fn shown_requests(model: &Model) -> impl Iterator<Item = &Metric> {
    let place = model.places.request.unwrap_or(usize::MAX);
    requests(model).rev().filter(move |(number, _)| *number <= place).map(|(_, metric)| metric)
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
    let numbers = events(model).into_iter().map(|(number, _)| number).collect::<Vec<_>>();
    step(&numbers, model.places.event, by)
}

/// As [`step_events`], among the requests.
pub(crate) fn step_requests(model: &Model, by: isize) -> Option<usize> {
    let numbers = requests(model).map(|(number, _)| number).collect::<Vec<_>>();
    step(&numbers, model.places.request, by)
}

fn step(numbers: &[usize], place: Option<usize>, by: isize) -> Option<usize> {
    let last = numbers.len().checked_sub(1)?;
    let index = match place {
        None => last,
        Some(place) => numbers.partition_point(|number| *number <= place).saturating_sub(1),
    };
    let index = super::update::moved(index, by, numbers.len());
    (index < last).then(|| numbers.get(index).copied()).flatten()
}
