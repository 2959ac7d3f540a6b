//! What the VMs cost, from the price of their types and the time that they have been there.

use std::time::Duration;

use super::data::Data;
use super::format::{clock, since};
use super::history::Spent;
use super::stats::by_workload;
use crate::domain::vm::VmId;

/// What has been spent and what is being spent, in US dollars.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bill<'a> {
    /// Spent by all VMs that are known of.
    pub(crate) total: f64,
    /// Spent per hour by those that are there.
    pub(crate) hourly: f64,
    /// Requests that they answered.
    pub(crate) served: u64,
    /// Dollars for a thousand requests at the prices and the rate of the last minute; none where
    /// nothing was answered.
    pub(crate) per_thousand_now: Option<f64>,
    /// What fleets of a fixed size, the smallest and largest that the autoscaler may choose, would
    /// have cost since the cluster started.
    pub(crate) fixed: Vec<(u32, f64)>,
    /// Shares of the paid time: idle, and booting.
    pub(crate) wasted: Option<(f64, f64)>,
    /// What the figures do not cover.
    pub(crate) caveat: String,
    /// Each VM.
    pub(crate) items: Vec<Item<'a>>,
}

/// What one VM costs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item<'a> {
    pub(crate) id: &'a VmId,
    pub(crate) instance_type: &'a str,
    /// Dollars per hour; none for a type that is not known here.
    pub(crate) price: Option<f64>,
    pub(crate) billed: Duration,
    pub(crate) cost: Option<f64>,
    pub(crate) served: u64,
    /// Mean share of its CPU in use.
    pub(crate) used: Option<f64>,
    pub(crate) gone: bool,
}

impl Bill<'_> {
    /// Dollars for a thousand requests.
    pub(crate) fn per_thousand(&self) -> Option<f64> {
        (self.served > 0).then(|| self.total / self.served as f64 * 1000.0)
    }
}

/// Adds it all up.
pub(crate) fn bill(data: &Data) -> Bill<'_> {
    let mut items = present(data);
    let here = items.len();
    items.extend(gone(data));
    let mut spent = Spent::default();
    for (_, track) in data.history.tracks() {
        spent.total += track.spent.total;
        spent.idle += track.spent.idle;
        spent.booting += track.spent.booting;
    }
    let hourly = items.iter().take(here).filter_map(|item| item.price).sum::<f64>();
    let (last_minute, _) = by_workload(data, Duration::from_mins(1));
    let per_hour = last_minute.rate * 3600.0;
    let share = |time: Duration| time.as_secs_f64() / spent.total.as_secs_f64();
    Bill {
        total: items.iter().filter_map(|item| item.cost).sum(),
        hourly,
        per_thousand_now: (per_hour > 0.0).then(|| hourly / per_hour * 1000.0),
        served: items.iter().map(|item| item.served).sum(),
        fixed: fixed(data),
        wasted: (!spent.total.is_zero()).then(|| (share(spent.idle), share(spent.booting))),
        caveat: caveat(data, &items),
        items,
    }
}

fn price(data: &Data, instance_type: &str) -> Option<f64> {
    data.known.types.get(instance_type).map(|known| known.price_per_hour)
}

fn cost(price: Option<f64>, time: Duration) -> Option<f64> {
    price.map(|price| price * time.as_secs_f64() / 3600.0)
}

fn used(spent: Spent) -> Option<f64> {
    let seconds = spent.total.as_secs_f64();
    (seconds > 0.0).then(|| spent.busy_seconds / seconds)
}

/// The VMs that are there, from the moment they were launched.
fn present(data: &Data) -> Vec<Item<'_>> {
    let item = |report: &'_ crate::state::vm_state::VmReport| {
        let price = price(data, &report.instance_type);
        let billed = since(data.now, report.launched_at);
        (price, billed, cost(price, billed))
    };
    data.reports()
        .iter()
        .map(|report| {
            let (price, billed, cost) = item(report);
            let used = data.history.track(&report.id).and_then(|track| used(track.spent));
            Item {
                id: &report.id,
                instance_type: &report.instance_type,
                price,
                billed,
                cost,
                served: report.served.requests,
                used,
                gone: false,
            }
        })
        .collect()
}

/// The VMs that have left, from their first report to their last.
fn gone(data: &Data) -> impl Iterator<Item = Item<'_>> {
    let here = |id: &VmId| data.reports().iter().any(|report| &report.id == id);
    data.history.tracks().filter(move |(id, _)| !here(id)).map(|(id, track)| {
        let price = price(data, &track.instance_type);
        let billed = track.spent.total;
        Item {
            id,
            instance_type: &track.instance_type,
            price,
            billed,
            cost: cost(price, billed),
            served: track.points.back().map_or(0, |point| point.requests),
            used: used(track.spent),
            gone: true,
        }
    })
}

fn fixed(data: &Data) -> Vec<(u32, f64)> {
    let Some(document) = &data.as_state.document else { return Vec::new() };
    let (Some(uptime), Some(price)) = (data.uptime(), price(data, &data.known.default_type)) else {
        return Vec::new();
    };
    [document.maximum, document.minimum.max(1)]
        .into_iter()
        .filter(|size| *size != u32::MAX)
        .map(|size| (size, price * f64::from(size) * uptime.as_secs_f64() / 3600.0))
        .collect()
}

/// What is not known is said, not guessed.
fn caveat(data: &Data, items: &[Item<'_>]) -> String {
    let mut unpriced: Vec<_> =
        items.iter().filter(|i| i.price.is_none()).map(|i| i.instance_type).collect();
    unpriced.sort_unstable();
    unpriced.dedup();
    if !unpriced.is_empty() {
        return format!("not counted, no price is known here: {}", unpriced.join(", "));
    }
    match data.history.begins {
        Some(begins) => {
            let at = clock(begins, &data.known.zone);
            format!("VMs that left are counted from {at} on, between their reports")
        }
        None => "no VM has reported yet".to_owned(),
    }
}
