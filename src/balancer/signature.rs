//! What every answer says of its way: who answered which request, after how many attempts, and where
//! the time went.

use std::fmt;
use std::time::{Duration, Instant};

use hyper::header::HeaderValue;

use super::message::Fields;
use super::record::Record;
use crate::http::{SERVER_TIMING, X_CUMULET_ATTEMPTS, X_CUMULET_ROUTE, X_CUMULET_VM, X_REQUEST_ID};

/// Stands in an answer where its VM would, if no VM has made it.
pub(super) const NOBODY: HeaderValue = HeaderValue::from_static("-");

/// Says who answered which request, after how many attempts, and where the time went.
pub(super) fn sign(
    fields: &mut Fields,
    vm: HeaderValue,
    record: &Record,
    id: &HeaderValue,
    (now, at_vm): (Instant, Duration),
) {
    fields.set(X_CUMULET_VM, vm);
    fields.set(X_CUMULET_ATTEMPTS, number(record.attempts()));
    fields.set(X_REQUEST_ID, id.clone());
    if let Some(route) = record.explanation()
        && let Ok(route) = HeaderValue::try_from(route.to_string())
    {
        fields.set(X_CUMULET_ROUTE, route);
    }
    let age = now.saturating_duration_since(record.begun());
    let own = age.saturating_sub(at_vm);
    let timing = format!("lb;dur={}, lb-queue;dur={}", Millis(own), Millis(record.queued()));
    if let Ok(timing) = HeaderValue::try_from(timing) {
        fields.add(SERVER_TIMING, timing);
    }
}

/// Shown in milliseconds with two decimals.
struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = self.0.as_secs() * 100_000 + u64::from((self.0.subsec_micros() + 5) / 10);
        write!(f, "{}.{:02}", hundredths / 100, hundredths % 100)
    }
}

/// A number of attempts, of which nearly all requests need one.
fn number(attempts: u32) -> HeaderValue {
    if attempts == 1 { HeaderValue::from_static("1") } else { attempts.into() }
}
