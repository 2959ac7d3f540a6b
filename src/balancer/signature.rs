//! What every answer says of its way: who answered which request, after how many attempts, and where
//! the time went.

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
    let mut timing = String::with_capacity(64);
    timing.push_str("lb;dur=");
    push_milliseconds(&mut timing, own);
    timing.push_str(", lb-queue;dur=");
    push_milliseconds(&mut timing, record.queued());
    if let Ok(timing) = HeaderValue::from_str(&timing) {
        fields.add(SERVER_TIMING, timing);
    }
}

/// Adds a time in milliseconds with two decimals.
fn push_milliseconds(text: &mut String, time: Duration) {
    let hundredths = time.as_secs() * 100_000 + u64::from((time.subsec_micros() + 5) / 10);
    let mut digits = itoa::Buffer::new();
    text.push_str(digits.format(hundredths / 100));
    text.push('.');
    text.push_str(digits.format(hundredths / 10 % 10));
    text.push_str(digits.format(hundredths % 10));
}

/// A number of attempts, of which nearly all requests need one.
fn number(attempts: u32) -> HeaderValue {
    if attempts == 1 { HeaderValue::from_static("1") } else { attempts.into() }
}
