//! The room and the patience that would have cost least in the last hour.
//!
//! A fleet that follows forecasts is short of what came where they were too low. Room above them
//! costs VMs all the time and saves work that finds none some of the time. The cheapest room is
//! that of the newsvendor (K. J. Arrow, T. Harris and J. Marschak, Econometrica 19, 1951): what is
//! missing without it exceeds it in a share of the time that is the price of a VM over that of the
//! work that finds none. What is missing is taken from the forecasts that were made and what came,
//! so whatever waves the load makes count, and a single jump in an hour does not.
//!
//! For how long a VM that is not needed is kept is found in the same way: each of some patiences is
//! tried on the same hour.

use std::collections::VecDeque;

use super::outlook::Step;

/// Fewest steps that say something.
const FEWEST: usize = 12;
/// Room by chance is reckoned for no less than so many vCPUs: there is no chance at all in none.
const LEAST: f64 = 0.25;

/// Room above what is expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Room {
    /// So many vCPUs.
    Fixed(f64),
    /// So many standard deviations of what chance makes of the load.
    Deviations(f64),
}

/// What would have cost least.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Choice {
    pub(super) room: Room,
    /// Steps for which VMs are kept.
    pub(super) patience: usize,
    /// What it would have cost, in vCPUs on average.
    pub(super) cost: f64,
    /// Steps that had a load.
    pub(super) learned_from: usize,
}

/// What the choice is made for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// Steps from an order to a VM that serves.
    pub(super) horizon: usize,
    /// What work that finds no VM costs, in that of a VM that does the same.
    pub(super) price: f64,
    /// vCPUs of a VM.
    pub(super) vcpus: f64,
}

impl Room {
    /// Its vCPUs above a load, of which one vCPU has this variance by chance.
    pub(super) fn above(self, load: f64, chance: f64) -> f64 {
        match self {
            Self::Fixed(vcpus) => vcpus,
            Self::Deviations(number) => number * deviation(load, chance),
        }
    }
}

fn deviation(load: f64, chance: f64) -> f64 {
    (load.max(LEAST) * chance).sqrt()
}

/// The cheapest of the patiences with its cheapest room; none where too little is known.
pub(super) fn choose(steps: &[Step], patiences: &[usize], terms: Terms) -> Option<Choice> {
    // Before the horizon there was nobody to order.
    let known = steps.get(terms.horizon..)?;
    if known.len() < FEWEST {
        return None;
    }
    let ahead = steps.iter().map(|step| step.ahead).collect::<Vec<_>>();
    let cheapest = |patience: &usize| {
        let ordered = extremes(&ahead, *patience, f64::gt);
        // What serves is what was wanted all the time since it could have been ordered.
        let serving = extremes(&ordered, terms.horizon, f64::lt);
        let past = Past {
            steps: known,
            ordered: &ordered[terms.horizon..],
            serving: &serving[terms.horizon..],
            terms,
        };
        let rooms = [Room::Fixed(1.0), Room::Deviations(1.0)].map(|unit| past.room(unit));
        rooms.map(|room| (room, past.cost(room))).map(|(room, cost)| Choice {
            room,
            patience: *patience,
            cost,
            learned_from: known.iter().filter(|step| step.load > 0.0).count(),
        })
    };
    patiences.iter().flat_map(cheapest).min_by(|one, other| one.cost.total_cmp(&other.cost))
}

/// An hour with one patience.
struct Past<'a> {
    steps: &'a [Step],
    /// The load for which VMs were ordered at each step.
    ordered: &'a [f64],
    /// The load for which VMs served.
    serving: &'a [f64],
    terms: Terms,
}

impl Past<'_> {
    /// The cheapest room of a kind, of which one unit is given.
    fn room(&self, unit: Room) -> Room {
        let all = self.steps.iter().zip(self.serving).zip(self.ordered);
        let mut paid = 0.0;
        let mut missing = Vec::with_capacity(self.steps.len());
        for ((step, serving), ordered) in all {
            paid += unit.above(*ordered, step.chance);
            let unit = unit.above(*serving, step.chance);
            missing.push(((step.load - serving) / unit.max(1e-9), unit));
        }
        missing.sort_unstable_by(|one, other| other.0.total_cmp(&one.0));
        // One unit more is worth it while what it saves is more than what it costs.
        let mut saved = 0.0;
        let enough = missing.iter().find(|(_, unit)| {
            saved += unit * self.terms.price;
            saved >= paid
        });
        let units = enough.map_or(0.0, |(units, _)| units.max(0.0));
        match unit {
            Room::Fixed(_) => Room::Fixed(units),
            Room::Deviations(_) => Room::Deviations(units),
        }
    }

    /// What that room would have cost, in vCPUs on average.
    fn cost(&self, room: Room) -> f64 {
        let Terms { price, vcpus, .. } = self.terms;
        let fleet = |load: f64, step: &Step| {
            ((load + room.above(load, step.chance)) / vcpus).ceil() * vcpus
        };
        let all = self.steps.iter().zip(self.serving).zip(self.ordered);
        let costs = all.map(|((step, serving), ordered)| {
            fleet(*ordered, step) + price * (step.load - fleet(*serving, step)).max(0.0)
        });
        costs.sum::<f64>() / self.steps.len() as f64
    }
}

/// The value of the last `window` steps, and of each step itself, that stands out by `beyond`.
fn extremes(values: &[f64], window: usize, beyond: fn(&f64, &f64) -> bool) -> Vec<f64> {
    let mut best = VecDeque::<(usize, f64)>::new();
    let mut found = Vec::with_capacity(values.len());
    for (number, value) in values.iter().enumerate() {
        while best.back().is_some_and(|(_, last)| !beyond(last, value)) {
            best.pop_back();
        }
        best.push_back((number, *value));
        while best.front().is_some_and(|(first, _)| first + window < number) {
            best.pop_front();
        }
        found.push(best.front().map_or(*value, |(_, best)| *best));
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TERMS: Terms = Terms { horizon: 12, price: 10.0, vcpus: 0.001 };

    /// Steps of which each was expected to be like the last.
    fn steps(load: impl Fn(usize) -> f64) -> Vec<Step> {
        (0..720).map(|at| Step { load: load(at), ahead: load(at), chance: 0.1 }).collect()
    }

    fn vcpus(choice: Choice) -> f64 {
        choice.room.above(10.0, 0.1)
    }

    #[test]
    fn a_jump_once_in_an_hour_does_not_make_room_for_another() {
        let once = steps(|at| if at < 300 { 10.0 } else { 100.0 });
        let choice = choose(&once, &[3], TERMS).unwrap();
        assert!(vcpus(choice) < 0.01, "{choice:?}");
        // Work that finds no VM is so dear that it does.
        let choice = choose(&once, &[3], Terms { price: 200.0, ..TERMS }).unwrap();
        assert!(vcpus(choice) > 80.0, "{choice:?}");
    }

    #[test]
    fn vms_are_kept_over_short_gaps_and_let_go_in_long_ones() {
        let gaps =
            |on: usize, off: usize| steps(move |at| if at % (on + off) < on { 10.0 } else { 0.0 });
        let patience = |steps: &[Step]| choose(steps, &[3, 40], TERMS).unwrap().patience;
        assert_eq!(patience(&gaps(60, 30)), 40);
        assert_eq!(patience(&gaps(60, 240)), 3);
    }

    #[test]
    fn too_little_says_nothing() {
        assert_eq!(choose(&[], &[3], TERMS), None);
        assert_eq!(choose(&steps(|_| 1.0)[..23], &[3], TERMS), None);
        assert!(choose(&steps(|_| 1.0)[..24], &[3], TERMS).is_some());
        assert_eq!(choose(&steps(|_| 0.0), &[3], TERMS).unwrap().learned_from, 0);
    }

    proptest! {
        #[test]
        fn no_other_room_would_have_cost_less(
            loads in prop::collection::vec(0.0..50.0_f64, 60..200),
            other in 0.0..40.0_f64,
            price in 1.5..30.0_f64,
            patience in 0..20_usize,
        ) {
            let load = |at: usize| loads[at % loads.len()];
            let all = &steps(load)[..loads.len()];
            let terms = Terms { price, ..TERMS };
            let choice = choose(all, &[patience], terms).unwrap();
            let ahead = all.iter().map(|step| step.ahead).collect::<Vec<_>>();
            let ordered = extremes(&ahead, patience, f64::gt);
            let serving = extremes(&ordered, 12, f64::lt);
            let past = Past {
                steps: &all[12..], ordered: &ordered[12..], serving: &serving[12..], terms,
            };
            for room in [Room::Fixed(other), Room::Deviations(other)] {
                // VMs come in thousandths of a vCPU.
                prop_assert!(choice.cost <= past.cost(room) + 0.05, "{choice:?} {room:?}");
            }
        }

        #[test]
        fn extremes_are_those_of_the_window(
            values in prop::collection::vec(0.0..9.0_f64, 1..50), window in 0..9_usize,
        ) {
            for (number, found) in extremes(&values, window, f64::gt).iter().enumerate() {
                let seen = &values[number.saturating_sub(window)..=number];
                prop_assert!(seen.contains(found) && seen.iter().all(|value| value <= found));
            }
        }
    }
}
