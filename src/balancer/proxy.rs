//! The life of a request in the balancer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};

use super::Settings;
use super::answer::{self, Held, Reply};
use super::delivery::{Taken, deliver, preflight, refuse};
use super::features::{self, Foretold};
use super::fleet::{Assignment, Fleet, NoVm};
use super::forward::{self, Answer, Attempt, ForwardError};
use super::headers;
use super::journal::Journal;
use super::killers::Killers;
use super::learner::Learner;
use super::lease::{Lease, Visits};
use super::message::{AnswerHead, Peer, RequestHead};
use super::overflow::{Overflow, Place};
use super::patience::Alarm;
use super::problems::{no_vm_problem, problem_of, too_long};
use super::record::Record;
use super::sampler::Sampler;
use super::strict::Arrival;
use super::tape::{Source, Tape};
use super::upstream::{self, Interim};
use crate::domain::balancing::Demand;
use crate::domain::cost::Work;
use crate::domain::quarantine::Suspicion;
use crate::http::{self, Problem, TRACEPARENT, X_REQUEST_ID};

/// Takes requests and has VMs answer them.
pub(super) struct Proxy {
    pub(super) settings: Settings,
    pub(super) fleet: Arc<Fleet>,
    journal: Journal,
    learner: Arc<Learner>,
    sampler: Sampler,
    overflow: Arc<Overflow>,
    killers: Killers,
}

impl Proxy {
    /// A proxy for this fleet.
    pub(super) fn new(
        settings: Settings,
        fleet: Arc<Fleet>,
        journal: Journal,
        learner: Arc<Learner>,
        sampler: Sampler,
        overflow: Arc<Overflow>,
    ) -> Self {
        let killers = Killers::default();
        Self { settings, fleet, journal, learner, sampler, overflow, killers }
    }

    /// Has a request answered, by a VM or, if none can, with a problem. The `alarm` is for waiting;
    /// one that served the last request on the same connection costs nothing.
    pub(super) async fn serve(
        &self,
        peer: &Peer,
        arrival: Arrival,
        mut head: RequestHead,
        body: Source,
        alarm: &mut Alarm,
    ) -> Reply {
        let begun = Instant::now();
        let id = http::name_of(head.fields.get(&X_REQUEST_ID), head.fields.all(TRACEPARENT));
        let tape = Tape::new(body, self.settings.body_limit);
        let refused = arrival.refusal.map_or(Ok(()), Err);
        let checked =
            refused.and_then(|()| headers::check(&head)).and_then(|()| self.check_length(&tape));
        let foretold = match &checked {
            Ok(()) => features::foretell(&head, &tape, &self.learner, &self.sampler).await,
            Err(_) => Foretold::default(),
        };
        let (fleet, journal) = (self.fleet.clone(), self.journal.clone());
        let origin = (peer.name.clone(), arrival.head_time, begun);
        let record =
            Record::open(fleet, journal, tape.clone(), &head, id.clone(), foretold, origin);
        if let Err(problem) = checked {
            return refuse(problem, record, &id, tape).await;
        }
        if headers::ends_here(&head) {
            return preflight(record, &id);
        }
        if let Some(problem) = self.killers.refuse(&head, &tape).await {
            return refuse(problem, record, &id, tape).await;
        }
        headers::towards_vm(&mut head, peer, &id, arrival.asks_for_upgrade);
        self.forward(&head, tape, record, &foretold, (&id, arrival.interim), alarm).await
    }

    fn check_length(&self, tape: &Tape) -> Result<(), Problem> {
        let limit = self.settings.body_limit;
        match tape.declared() {
            Some(length) if length > limit => Err(too_long(&format!("{length} bytes"), limit)),
            _ => Ok(()),
        }
    }

    /// Sends the request to one VM after the other until one has answered, or nobody may try any
    /// more.
    async fn forward(
        &self,
        head: &RequestHead,
        tape: Tape,
        mut record: Record,
        foretold: &Foretold,
        (id, interim): (&HeaderValue, Option<Interim>),
        alarm: &mut Alarm,
    ) -> Reply {
        let demand = Demand { kind: foretold.features.kind, work: foretold.work };
        let limit = self.settings.request_deadline;
        let attempt = Attempt {
            head,
            tape: &tape,
            interim,
            deadline: (record.begun() + limit, limit),
            connect_timeout: self.settings.connect_timeout,
            overdue_after: overdue_after(demand.work),
        };
        let repeatable = forward::is_repeatable(&head.method, head.uri.path());
        let mut visits = Visits::default();
        let mut sent = 0;
        let mut last = None;
        let mut suspicion = Suspicion::default();
        let problem = loop {
            let next = self.next(&visits, demand, &attempt, last.take(), &mut record);
            let lease = match next.await {
                Ok(lease) => lease,
                Err(problem) => break problem,
            };
            let is_function = lease.target.is_function;
            let late = self.late_after(demand, repeatable && !is_function);
            let wanted = (&visits, demand);
            let tried = self.tried(&attempt, lease, late, wanted, &mut record, alarm).await;
            let (error, lease) = match tried {
                Ok(taken) => {
                    let (age, vm) = (self.fleet.age(taken.done), &taken.lease.target);
                    self.learner.hear(foretold, &taken.head.fields, vm, age);
                    return deliver(taken, record, id, tape);
                }
                Err(failure) => failure,
            };
            // What a function does not answer, a VM does: that takes nothing from its tries.
            let counts = error.counts() && !is_function;
            sent += u32::from(counts);
            let may = error.again().allows(repeatable);
            if error.may_be_a_death() && !is_function {
                let target = &lease.target;
                suspicion.add_death(&target.id, target.pid, lease.company());
            }
            let may = may && sent < self.settings.attempts && !suspicion.is_condemned();
            let again = may && (!counts || self.fleet.may_repeat(Instant::now()));
            note_failure(&error, &lease, again);
            if suspicion.is_condemned() {
                break self.killers.condemn(&suspicion, head, &tape).await;
            }
            if !again {
                let mut problem = problem_of(&error);
                if may {
                    problem.detail += "; it is not sent again, for too many others are already";
                }
                break problem;
            }
            visits.note(&lease.target);
            if matches!(error, ForwardError::Declined { .. }) {
                visits.note_declined(&lease.target);
            }
            last = Some(error);
        };
        refuse(problem, record, id, tape).await
    }

    /// What comes of one attempt, and of a second one beside it if its answer is `late`.
    async fn tried(
        &self,
        attempt: &Attempt<'_>,
        lease: Lease,
        late: Option<Duration>,
        wanted: (&Visits, Demand),
        record: &mut Record,
        alarm: &mut Alarm,
    ) -> Result<Taken, (ForwardError, Lease)> {
        match late {
            Some(late) => self.hedged(attempt, lease, late, wanted, record).await,
            None => self.attempt(attempt, lease, record.attempts(), alarm).await,
        }
    }

    /// The VM or the function for the next attempt, after the last one failed with `last`.
    async fn next(
        &self,
        visits: &Visits,
        demand: Demand,
        attempt: &Attempt<'_>,
        last: Option<ForwardError>,
        record: &mut Record,
    ) -> Result<Lease, Problem> {
        let began = Instant::now();
        let (deadline, limit) = attempt.deadline;
        // Nearly always one is free, and there is nothing to wait for.
        if let Some(Assignment { lease, reason }) = self.fleet.free_vm(visits, demand, began) {
            record.assigned(&lease.target.id, reason, Duration::ZERO);
            return Ok(lease);
        }
        let place = self.overflow.place(&self.fleet, visits, demand);
        match tokio::time::timeout_at(deadline.into(), place).await {
            Ok(Ok(Place::Vm(Assignment { lease, reason }))) => {
                record.assigned(&lease.target.id, reason, began.elapsed());
                Ok(lease)
            }
            Ok(Ok(Place::Function(lease, because))) => {
                record.overflowed(&lease.target.id, because, began.elapsed());
                Ok(lease)
            }
            Ok(Err(no_vm)) => Err(match (&no_vm, last) {
                (NoVm::AtAll(_), Some(declined @ ForwardError::Declined { .. })) => {
                    problem_of(&declined)
                }
                (_, last) => no_vm_problem(&no_vm, last.as_ref(), self.fleet.retry_after()),
            }),
            Err(_) => Err(problem_of(&ForwardError::TooLate { after: limit })),
        }
    }

    /// One attempt: sends the request to the VM of `lease` and takes its answer, whole if it is
    /// not too long.
    pub(super) async fn attempt(
        &self,
        attempt: &Attempt<'_>,
        lease: Lease,
        number: u32,
        alarm: &mut Alarm,
    ) -> Result<Taken, (ForwardError, Lease)> {
        let Answer { head, body, pace } = match attempt.run(&lease, number, alarm).await {
            Ok(answer) => answer,
            Err(error) => return Err((error, lease)),
        };
        lease.hear_load(&head.fields);
        match self.hold(attempt, &head, body, &lease).await {
            Ok(body) => Ok(Taken { head, body, lease, pace, done: Instant::now() }),
            Err(error) => Err((error, lease)),
        }
    }

    /// Takes the body of an answer, if it is to be held; then a VM that dies amid it does no harm.
    async fn hold(
        &self,
        attempt: &Attempt<'_>,
        head: &AnswerHead,
        body: upstream::Body,
        lease: &Lease,
    ) -> Result<Held, ForwardError> {
        let vm = || lease.target.id.clone();
        let limit = self.settings.held_answer_limit;
        let is_long = body.length().is_some_and(|length| length > limit);
        let is_live = head
            .fields
            .get(&CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let streams = (is_long || is_live) && body.length() != Some(0);
        if streams || head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Held::Part(VecDeque::new(), body));
        }
        let body = match answer::take_all(body) {
            Held::Part(_, rest) => rest,
            whole @ Held::Whole(..) => return Ok(whole),
        };
        let hung = lease.hung();
        tokio::select! {
            biased;
            outcome = answer::hold(body, limit) => {
                outcome.map_err(|error| forward::broken_answer(vm(), &error))
            }
            () = hung.cancelled() => Err(ForwardError::Hangs { vm: vm() }),
            () = tokio::time::sleep_until(attempt.deadline.0.into()) => {
                Err(ForwardError::TooLate { after: attempt.deadline.1 })
            }
        }
    }
}

/// An answer that takes so many times as long as was predicted is overdue: a VM shares its vCPUs
/// among several requests, and predictions err.
const OVERDUE: u32 = 10;
/// None is overdue before this time.
const OVERDUE_AT_LEAST: Duration = Duration::from_secs(5);

fn overdue_after(work: Work) -> Duration {
    Duration::from_nanos(work.nanos()).saturating_mul(OVERDUE).max(OVERDUE_AT_LEAST)
}

/// Takes in that an attempt has failed, and whether there will be another.
pub(super) fn note_failure(error: &ForwardError, lease: &Lease, again: bool) {
    tracing::debug!(vm = %lease.target.id, %error, again, blame = ?error.blame(), "an attempt failed");
    if let Some(symptom) = error.symptom() {
        lease.tell(symptom);
    }
    if error.blame() != forward::Blame::Client {
        lease.failed(again);
    }
}
