//! A second VM is asked when the first one is late: see [`crate::domain::hedging`].

use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};

use super::delivery::Taken;
use super::fleet::Assignment;
use super::forward::{Attempt, ForwardError};
use super::lease::{Lease, Visits};
use super::patience::Alarm;
use super::proxy::{Proxy, note_failure};
use super::record::Record;
use crate::domain::balancing::Demand;

impl Proxy {
    /// After what time a second VM is to be asked for this request; none if that is not wanted, or
    /// if the request may not be done twice.
    pub(super) fn late_after(&self, demand: Demand, repeatable: bool) -> Option<Duration> {
        let may = self.settings.hedge && repeatable && demand.takes_place();
        may.then(|| self.fleet.late_after(demand))
    }

    /// Asks the VM of `lease`, and if it is late an idle one besides; the first whole answer is
    /// taken, and the other VM is told to stop by closing the connection to it.
    pub(super) async fn hedged(
        &self,
        attempt: &Attempt<'_>,
        lease: Lease,
        late: Duration,
        (visits, demand): (&Visits, Demand),
        record: &mut Record,
    ) -> Result<Taken, (ForwardError, Lease)> {
        let mut both = visits.clone();
        both.note(&lease.target);
        let [first_alarm, second_alarm] = &mut <[Alarm; 2]>::default();
        let mut first = pin!(self.attempt(attempt, lease, record.attempts(), first_alarm));
        if let Ok(outcome) = tokio::time::timeout(late, &mut first).await {
            return outcome;
        }
        if !attempt.tape.is_over() {
            // It is not the VM that is late, but the client, whose body is still on its way.
            return first.await;
        }
        let Some(second) = self.fleet.idle_vm(&both, demand, Instant::now()) else {
            return first.await;
        };
        let Assignment { lease, reason } = second;
        record.hedged(&lease.target.id, reason);
        let second = pin!(self.attempt(attempt, lease, record.attempts(), second_alarm));
        match select(first, second).await {
            Either::Left((Ok(taken), _)) | Either::Right((Ok(taken), _)) => Ok(taken),
            Either::Left((Err((error, lease)), other))
            | Either::Right((Err((error, lease)), other)) => {
                note_failure(&error, &lease, true);
                drop(lease);
                other.await
            }
        }
    }
}
