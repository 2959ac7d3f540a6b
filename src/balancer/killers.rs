//! Refuses requests that have killed VMs, and the same bytes again for a while.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::StatusCode;

use super::message::RequestHead;
use super::tape::{Tape, fingerprint};
use crate::domain::quarantine::{Quarantine, REFUSED_FOR, Suspicion};
use crate::http::{Problem, X_REQUEST_ID};

/// Where FNV-1a begins.
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// The requests known to kill.
pub(super) struct Killers {
    born: Instant,
    quarantine: Mutex<Quarantine>,
}

impl Default for Killers {
    fn default() -> Self {
        Self { born: Instant::now(), quarantine: Mutex::default() }
    }
}

impl Killers {
    /// Why this request is not to be sent to any VM, if the same has killed before. As long as
    /// nothing is in quarantine this costs nothing; while something is, bodies are read whole
    /// before they are sent on.
    pub(super) async fn refuse(&self, head: &RequestHead, tape: &Tape) -> Option<Problem> {
        if self.lock().is_unused() || self.lock().is_empty(self.born.elapsed()) {
            return None;
        }
        let hash = tape.fingerprint(seed(head)).await?;
        let left = self.lock().refuses(hash, self.born.elapsed())?;
        Some(problem("the same request was alone on VMs that died, just now", left))
    }

    /// Puts a condemned request into quarantine, and says so.
    pub(super) async fn condemn(&self, it: &Suspicion, head: &RequestHead, tape: &Tape) -> Problem {
        if tape.is_over()
            && let Some(hash) = tape.fingerprint(seed(head)).await
        {
            self.lock().add(hash, self.born.elapsed());
        }
        let request = head.fields.get(&X_REQUEST_ID).and_then(|id| id.to_str().ok());
        tracing::warn!(
            request,
            deaths = it.deaths(),
            "a request is not sent again: VMs died of it"
        );
        problem(&format!("{} VMs died while they had this request alone", it.deaths()), REFUSED_FOR)
    }

    fn lock(&self) -> MutexGuard<'_, Quarantine> {
        self.quarantine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn problem(what: &str, refused_for: Duration) -> Problem {
    let detail = format!(
        "{what}; so that it does not take the others too, it is not sent to any more VMs. Change \
         the picture or the scene, or try again in {} s",
        refused_for.as_secs().max(1)
    );
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
}

/// The hash of what comes before the body.
fn seed(head: &RequestHead) -> u64 {
    let target = head.uri.path_and_query().map_or("", |target| target.as_str());
    let hash = fingerprint(FNV_BASIS, head.method.as_str().as_bytes());
    fingerprint(fingerprint(hash, b" "), target.as_bytes())
}
