//! Keeps what happened within its bounds.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::domain::retention::Retention;
use crate::state::StateFolder;

/// How often it is looked whether there is too much.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Closes files that are full and removes what is too old or too much, until `stop`.
pub(super) async fn tidy(kept: Retention, folder: StateFolder, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let folder = folder.clone();
        let tidied =
            tokio::task::spawn_blocking(move || folder.tidy_records(kept, Timestamp::now()));
        match tidied.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "records are not kept within their bounds"),
            Err(error) => tracing::error!(%error, "keeping records within bounds ended badly"),
        }
    }
}
