//! What a policy would have made of the load of the last minutes: the policy that the autoscaler
//! runs, over a simulated fleet.

use std::time::Duration;

use jiff::Timestamp;

use super::data::Data;
use super::format::since;
use crate::domain::elasticity::Elasticity;
use crate::domain::scaling::Policy;
use crate::domain::simulation::{self, Terms};
use crate::domain::vm::VmState;

/// How far back the load goes that is thought through.
pub(crate) const WINDOW: Duration = Duration::from_mins(10);
/// The most steps; where reports come more often, several make one.
const STEPS: u32 = 240;

/// What would have become of the fleet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Replayed {
    /// VMs wanted, step by step.
    pub(crate) sizes: Vec<u32>,
    /// How often that number changed.
    pub(crate) changes: usize,
    /// Time that VMs would have been paid for.
    pub(crate) vm_time: Duration,
    /// Share of the work that was more than the VMs of its time could do.
    pub(crate) overflow: f64,
}

/// Thinks the load of the last minutes through; none where less than two decisions tell of one.
pub(crate) fn replay(
    data: &Data,
    policy: &Policy,
    (minimum, maximum): (u32, u32),
) -> Option<Replayed> {
    let (demand, period) = demand(data)?;
    let (vcpus_per_vm, boot) = machine(data);
    let terms = Terms {
        vcpus_per_vm,
        boot,
        period,
        minimum,
        maximum,
        start: size_at_start(data).clamp(minimum, maximum).max(1),
        work_per_request: work_per_request(data, demand.iter().sum::<f64>(), period),
    };
    let intervals = simulation::run(policy, &demand, &terms);
    let elasticity = Elasticity::of(&intervals, vcpus_per_vm);
    let sizes = intervals.iter().map(|interval| interval.wanted).collect::<Vec<_>>();
    Some(Replayed {
        changes: sizes.windows(2).filter(|pair| pair[0] != pair[1]).count(),
        sizes,
        vm_time: Duration::try_from_secs_f64(elasticity.vm_seconds).unwrap_or_default(),
        overflow: elasticity.overflow(),
    })
}

/// The decisions of the window with the vCPUs that were asked for then, oldest first.
fn seen(data: &Data) -> impl Iterator<Item = (Timestamp, f64, u32)> {
    let lately = data.decisions.iter().filter(|decided| since(data.now, decided.at) <= WINDOW);
    lately.filter_map(|decided| {
        let seen = decided.seen?;
        let demand = seen.offered_load.or(seen.busy)?;
        Some((decided.at, demand.max(0.0), seen.running))
    })
}

/// The vCPUs asked for at the end of each step, and the length of a step.
fn demand(data: &Data) -> Option<(Vec<f64>, Duration)> {
    let seen = seen(data).collect::<Vec<_>>();
    let (first, last) = (seen.first()?.0, seen.last()?.0);
    let span = since(last, first);
    let period = data.known.report_every.max(span / STEPS);
    if period.is_zero() || span < period {
        return None;
    }
    let mut demand = Vec::new();
    let mut at = first;
    while at < last {
        at = at.checked_add(period).ok()?;
        let known = seen.partition_point(|(then, ..)| *then <= at);
        demand.push(seen.get(known.checked_sub(1)?)?.1);
    }
    Some((demand, period))
}

fn size_at_start(data: &Data) -> u32 {
    seen(data).next().map_or(1, |(.., running)| running)
}

/// What a VM of this cluster computes, in vCPUs, and how long it takes to boot: as the one that has
/// run longest.
fn machine(data: &Data) -> (f64, Duration) {
    let running = data.reports().iter().filter(|report| report.state == VmState::Running);
    let oldest = running.min_by_key(|report| report.launched_at);
    let name = oldest.map_or(&data.known.default_type, |report| &report.instance_type);
    let Some(known) = data.known.types.get(name) else { return (1.0, Duration::ZERO) };
    let vcpus = known.vcpus.unwrap_or(data.known.cores).max(1);
    (f64::from(vcpus), known.boot.mul_f64(data.known.boot_scale))
}

/// Work of a mean request, in seconds of one vCPU.
fn work_per_request(data: &Data, vcpus: f64, period: Duration) -> f64 {
    let requests = data.recent(WINDOW).count().max(1);
    (vcpus * period.as_secs_f64() / requests as f64).max(1e-6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::fixture::{loaded, model};

    fn policy(text: &str) -> Policy {
        let (name, parameters) = crate::domain::scaling::named(text);
        let defaults = crate::config::Settings::default().autoscaler.policy_defaults();
        Policy::read(&name, &parameters, &defaults).unwrap().0
    }

    #[test]
    fn a_fixed_size_stays_and_more_vms_leave_less_work_undone() {
        let data = model(loaded(120, 4.0)).live;
        let one = replay(&data, &policy("static size=1"), (1, 8)).unwrap();
        let four = replay(&data, &policy("static size=4"), (1, 8)).unwrap();
        assert!(one.overflow > four.overflow, "{one:?} {four:?}");
        assert!(one.vm_time < four.vm_time);
        assert!(four.changes <= 1, "{four:?}");
        assert_eq!(four.sizes.last(), Some(&4));
    }

    #[test]
    fn the_limits_hold_in_a_replay_too() {
        let data = model(loaded(120, 9.0)).live;
        let replayed = replay(&data, &policy("staffing"), (2, 3)).unwrap();
        assert!(replayed.sizes.iter().all(|size| (2..=3).contains(size)), "{replayed:?}");
    }

    #[test]
    fn without_a_load_nothing_is_claimed() {
        let data = Data::new(crate::tui::fixture::known(), crate::tui::fixture::now());
        assert_eq!(replay(&data, &policy("staffing"), (1, 8)), None);
    }
}
