//! A fleet in virtual time: what a policy would have made of a demand.
//!
//! The model is a fluid: the demand of a step is served up to what the ready VMs can compute, and
//! the rest overflows at once, to whoever sells computing by the second. VMs are paid for from
//! their order on and serve after the boot time. The policy is the one that the autoscaler runs.

use std::time::Duration;

use crate::domain::decision::Direction;
use crate::domain::elasticity::Interval;
use crate::domain::scaling::{self, Change, History, Member, Observation, Policy, Situation};
use crate::domain::vm::VmId;
use crate::units::Share;

/// What the simulated cluster is like.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// What a VM computes, in vCPUs.
    pub vcpus_per_vm: f64,
    /// From an order to a VM that serves.
    pub boot: Duration,
    /// Between two decisions: the length of a step of the demand.
    pub period: Duration,
    /// Fewest VMs.
    pub minimum: u32,
    /// Most VMs.
    pub maximum: u32,
    /// VMs that serve at the start.
    pub start: u32,
    /// Work of a mean request, in seconds of one vCPU.
    pub work_per_request: f64,
}

/// A fleet at a moment of virtual time.
struct Fleet {
    situation: Situation,
    /// When each member serves or served from on, in the order of the members.
    ready_at: Vec<Duration>,
    changes: Vec<(Duration, u32, u32)>,
    launched: u64,
}

/// Runs a policy over a demand: vCPUs that each step would keep busy.
pub fn run(policy: &Policy, demand: &[f64], terms: &Terms) -> Vec<Interval> {
    let mut fleet = Fleet::new(terms);
    let mut history = History::default();
    let mut intervals = Vec::with_capacity(demand.len());
    let (mut now, mut before) = (Duration::ZERO, None);
    for &vcpus in demand {
        let ready = fleet.ready(now);
        let paid = fleet.size();
        now += terms.period;
        // The balancer's figure is a mean over two steps.
        let offered = f64::midpoint(vcpus, before.unwrap_or(vcpus));
        before = Some(vcpus);
        fleet.observe(now, (vcpus, offered), terms);
        let verdict = scaling::decide(Ok(policy), &fleet.situation, &history);
        history.push(Observation { advice: verdict.advice, ..fleet.situation.now });
        intervals.push(Interval { length: terms.period, demand: vcpus, ready, paid, wanted: paid });
        if verdict.direction != Direction::Hold {
            fleet.change(&verdict.victims, verdict.to, now, terms);
            fleet.changes.push((now, verdict.from, verdict.to));
        }
    }
    intervals
}

/// The bound: a fleet that is ordered knowing the demand until a VM ordered now would serve, and
/// never overflows.
pub fn oracle(demand: &[f64], terms: &Terms) -> Vec<Interval> {
    let steps = |time: Duration| time.as_secs_f64() / terms.period.as_secs_f64();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few steps")]
    let ahead = steps(terms.boot).ceil() as usize;
    let needed = |vcpus: f64| (vcpus / terms.vcpus_per_vm - 1e-9).ceil().max(0.0);
    let most = |from: usize, to: usize| {
        let seen = demand.get(from..to.min(demand.len())).unwrap_or_default();
        let most = seen.iter().map(|vcpus| needed(*vcpus)).fold(0.0, f64::max);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "VMs")]
        {
            (most as u32).clamp(terms.minimum, terms.maximum)
        }
    };
    let interval = |(step, &demand): (usize, &f64)| Interval {
        length: terms.period,
        demand,
        // A VM that is needed again before it could be had again is kept.
        ready: most(step, step + ahead + 1),
        paid: most(step, step + ahead + 1).max(most(step + ahead, step + ahead + 1)),
        wanted: most(step, step + ahead + 1),
    };
    demand.iter().enumerate().map(interval).collect()
}

impl Fleet {
    fn new(terms: &Terms) -> Self {
        let situation = Situation {
            minimum: terms.minimum,
            maximum: terms.maximum,
            boot: terms.boot,
            period: terms.period,
            ..Situation::default()
        };
        let mut fleet = Self { situation, ready_at: Vec::new(), changes: Vec::new(), launched: 0 };
        (0..terms.start).for_each(|_| fleet.launch(Duration::ZERO, terms));
        fleet
    }

    fn size(&self) -> u32 {
        u32::try_from(self.ready_at.len()).unwrap_or(u32::MAX)
    }

    fn ready(&self, now: Duration) -> u32 {
        let ready = self.ready_at.iter().filter(|at| **at <= now).count();
        u32::try_from(ready).unwrap_or(u32::MAX)
    }

    fn launch(&mut self, ready_at: Duration, terms: &Terms) {
        self.launched += 1;
        self.ready_at.push(ready_at);
        self.situation.members.push(Member {
            id: VmId::numbered(self.launched),
            running_for: None,
            cpu: None,
            in_flight: 0,
            vcpus: terms.vcpus_per_vm,
            disposable: true,
            protected: false,
        });
    }

    fn change(&mut self, victims: &[VmId], to: u32, now: Duration, terms: &Terms) {
        let mut stays = self.situation.members.iter().map(|m| !victims.contains(&m.id));
        self.ready_at.retain(|_| stays.next().unwrap_or(true));
        self.situation.members.retain(|member| !victims.contains(&member.id));
        while self.size() < to {
            self.launch(now + terms.boot, terms);
        }
    }

    /// What the autoscaler sees at the end of a step with this demand.
    fn observe(&mut self, now: Duration, (vcpus, offered): (f64, f64), terms: &Terms) {
        let ready = self.ready(now);
        let capacity = f64::from(ready) * terms.vcpus_per_vm;
        let busy = vcpus.min(capacity);
        let share = if capacity > 0.0 { busy / capacity } else { 0.0 };
        for (member, at) in self.situation.members.iter_mut().zip(&self.ready_at) {
            member.running_for = now.checked_sub(*at);
            member.cpu = member.running_for.map(|_| Share::saturating(share));
        }
        let wanted = self.size();
        self.situation.now = Observation {
            at: now,
            ready,
            starting: wanted - ready,
            wanted,
            cpu: (ready > 0).then_some(share),
            busy,
            memory: None,
            // One request keeps one vCPU busy.
            in_flight: vcpus,
            queued: (vcpus - capacity).max(0.0),
            rate: Some(vcpus / terms.work_per_request),
            offered: Some(offered),
            backlog: None,
            advice: None,
        };
        let ago = |at: Duration| now.saturating_sub(at);
        let forgotten = self.changes.iter().take_while(|(at, ..)| ago(*at) > scaling::KEPT).count();
        self.changes.drain(..forgotten);
        let changes = self.changes.iter();
        self.situation.changes =
            changes.map(|&(at, from, to)| Change { ago: ago(at), from, to }).collect();
        let since = |grew: bool| {
            let last = self.changes.iter().rev().find(|(_, from, to)| (to > from) == grew);
            last.map(|(at, ..)| ago(*at))
        };
        (self.situation.since_out, self.situation.since_in) = (since(true), since(false));
    }
}
