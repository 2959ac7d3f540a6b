//! The account of one request, from its arrival to its end, however that comes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use jiff::Timestamp;

use super::features::Foretold;
use super::fleet::{Chosen, Fleet};
use super::journal::{Account, End, Journal, Pace, Why};
use super::message::RequestHead;
use super::tape::Tape;
use crate::domain::balancing::Reason;
use crate::domain::vm::VmId;
use crate::http::X_CUMULET_EXPLAIN;

/// What stands in the account of a request whose client left before it was answered; nginx has
/// made the number common.
pub(super) const CLIENT_LEFT: u16 = 499;

/// The account of one request. Dropped before its end it tells that the client has left.
pub(super) struct Record {
    fleet: Arc<Fleet>,
    journal: Journal,
    tape: Tape,
    begun: Instant,
    /// Whether the client wants to know why its request went where it went.
    explains: bool,
    open: Option<Box<Account>>,
}

impl Record {
    /// A request has come.
    pub(super) fn open(
        fleet: Arc<Fleet>,
        journal: Journal,
        tape: Tape,
        head: &RequestHead,
        request: HeaderValue,
        Foretold { features, work }: Foretold,
        (client, head_time, begun): (HeaderValue, Duration, Instant),
    ) -> Self {
        let waiting = fleet.arrived(work, begun);
        let account = Account {
            at: Timestamp::now(),
            request,
            method: head.method.clone(),
            path: head.uri.path_and_query().cloned(),
            kind: features.kind,
            work,
            waiting,
            client,
            version: head.version,
            head_time,
            pace: Pace::default(),
            end: End::ClientLeft,
            vm: None,
            attempts: 0,
            queued: Duration::ZERO,
            status: CLIENT_LEFT,
            total: Duration::ZERO,
            input_bytes: 0,
            output_bytes: 0,
            by_vm: false,
            why: Why::Nothing,
        };
        let explains = head.fields.get(&X_CUMULET_EXPLAIN).is_some_and(|wish| wish == "1");
        Self { fleet, journal, tape, begun, explains, open: Some(Box::new(account)) }
    }

    /// It is sent to a VM, for this reason, after it has waited so long.
    pub(super) fn assigned(&mut self, vm: &VmId, reason: Arc<Reason>, waited: Duration) {
        let Some(account) = &mut self.open else { return };
        let is_first = account.attempts == 0;
        account.vm = Some(vm.clone());
        account.attempts += 1;
        account.queued += waited;
        account.why = Why::Chosen(reason.clone());
        self.fleet.chosen(Chosen {
            // Chosen as soon as it came, mostly.
            at: if is_first && waited.is_zero() { account.at } else { Timestamp::now() },
            request: account.request.clone(),
            attempt: account.attempts,
            kind: account.kind,
            work: account.work,
            waited,
            reason,
        });
    }

    /// It is sent to an idle VM too, for this reason, because the other one is late.
    pub(super) fn hedged(&mut self, vm: &VmId, reason: Arc<Reason>) {
        self.assigned(vm, reason, Duration::ZERO);
        self.fleet.count(|totals| totals.hedges += 1);
    }

    /// It is sent to a function, for this reason, after it has waited so long.
    pub(super) fn overflowed(&mut self, function: &VmId, because: String, waited: Duration) {
        let Some(account) = &mut self.open else { return };
        account.vm = Some(function.clone());
        account.attempts += 1;
        account.queued += waited;
        account.why = Why::Because(because);
        self.fleet.count(|totals| totals.overflowed += 1);
    }

    /// Of the VMs that it was sent to, this one has answered.
    pub(super) fn came_from(&mut self, vm: &VmId) {
        if let Some(account) = &mut self.open
            && account.vm.as_ref() != Some(vm)
        {
            account.vm = Some(vm.clone());
        }
    }

    /// Why it was sent where it was sent last; none if it was sent nowhere, or nobody has asked.
    pub(super) fn explanation(&self) -> Option<&Why> {
        let account = self.open.as_ref().filter(|account| self.explains && account.attempts > 0)?;
        Some(&account.why)
    }

    /// The VM has begun its answer, at this pace.
    pub(super) fn answering(&mut self, pace: Pace) {
        if let Some(account) = &mut self.open {
            account.pace = pace;
        }
    }

    /// Times it was sent to a VM.
    pub(super) fn attempts(&self) -> u32 {
        self.open.as_ref().map_or(0, |account| account.attempts)
    }

    /// How long it waited for VMs.
    pub(super) fn queued(&self) -> Duration {
        self.open.as_ref().map_or(Duration::ZERO, |account| account.queued)
    }

    /// When it came.
    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// The VM's answer went out, `bytes` long.
    pub(super) fn answered(mut self, status: u16, bytes: u64, now: Instant) {
        self.close(now, |account| {
            account.status = status;
            account.output_bytes = bytes;
            account.by_vm = true;
            account.end = End::Whole;
        });
    }

    /// The balancer itself answered, because of this.
    pub(super) fn refused(self, status: u16, because: String) {
        self.ended(End::Refused, status, because);
    }

    /// The answer broke off after its beginning had gone out, because of this.
    pub(super) fn cut_short(self, status: u16, because: String) {
        self.ended(End::CutShort, status, because);
    }

    fn ended(mut self, end: End, status: u16, because: String) {
        self.close(Instant::now(), |account| {
            account.end = end;
            account.status = status;
            account.why = Why::Because(because);
        });
    }

    fn close(&mut self, now: Instant, how: impl FnOnce(&mut Account)) {
        let Some(mut account) = self.open.take() else { return };
        how(&mut account);
        account.total = now.saturating_duration_since(self.begun);
        account.input_bytes = self.tape.bytes();
        let (status, by_vm) = (account.status, account.by_vm);
        self.fleet.count(|totals| {
            totals.in_flight = totals.in_flight.saturating_sub(1);
            totals.failures += u64::from(status >= 500);
            totals.cancelled += u64::from(status == CLIENT_LEFT);
            let class = usize::from(status / 100).saturating_sub(1);
            if let Some(count) = totals.own_answers.get_mut(class)
                && !by_vm
                && status != CLIENT_LEFT
            {
                *count += 1;
            }
        });
        self.journal.request(&account);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.close(Instant::now(), |account| {
            account.why = Why::Because("the client left before it was answered".to_owned());
        });
    }
}
