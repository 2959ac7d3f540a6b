//! Reading the body of a request, within bounds of size, time and memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::EXPECT;
use hyper::{HeaderMap, Request, StatusCode};

use crate::http::Problem;

/// Every body may take this long, however small.
const PATIENCE: Duration = Duration::from_mins(1);
/// And as much longer as it takes at this speed, in bytes per second: a slow mobile network.
const SLOWEST: u64 = 64 << 10;
/// Of a body that is refused, so much is read and thrown away, for so long, so that the client
/// gets to read why: many send everything before they look at the answer.
const DISCARDED_BYTES: u64 = 256 << 20;
const DISCARDING_TIME: Duration = Duration::from_secs(30);

/// Bounds on bodies.
#[derive(Debug)]
pub(super) struct Bounds {
    /// Bytes of one body.
    each: u64,
    /// Bytes of all bodies held at once.
    together: u64,
    held: Arc<AtomicU64>,
}

/// A body, whole.
#[derive(Debug)]
pub(super) struct Received {
    /// Its bytes.
    pub(super) bytes: Bytes,
    /// That they are held.
    pub(super) held: Held,
}

/// Bytes of one body in the sum over all, until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    sum: Arc<AtomicU64>,
    own: u64,
}

impl Held {
    /// Adds to this body's bytes and returns the sum over all bodies.
    fn grow(&mut self, bytes: u64) -> u64 {
        self.own += bytes;
        self.sum.fetch_add(bytes, Ordering::Relaxed) + bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.sum.fetch_sub(self.own, Ordering::Relaxed);
    }
}

impl Bounds {
    /// At most `each` bytes in one body and `together` in all that are held at once.
    pub(super) fn new(each: u64, together: u64) -> Self {
        Self { each, together, held: Arc::new(AtomicU64::new(0)) }
    }

    /// Reads a body to its end.
    ///
    /// # Errors
    /// 413 beyond the limit, 408 for one that takes too long, 503 when all that are held would be
    /// too much, 400 for one that breaks off.
    pub(super) async fn receive(
        &self,
        headers: &HeaderMap,
        mut body: Incoming,
    ) -> Result<Received, Problem> {
        let announced = body.size_hint().exact();
        let time = patience(announced.unwrap_or(self.each).min(self.each));
        let received = tokio::time::timeout(time, self.collect(&mut body, announced)).await;
        let problem = match received {
            Ok(Ok(received)) => return Ok(received),
            Ok(Err(problem)) => problem,
            Err(_) => Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                format!("the body took longer than {} s", time.as_secs()),
            ),
        };
        discard_rest(headers, body);
        Err(problem)
    }

    async fn collect(
        &self,
        body: &mut Incoming,
        announced: Option<u64>,
    ) -> Result<Received, Problem> {
        if let Some(length) = announced.filter(|length| *length > self.each) {
            return Err(self.too_large(&format!("{length} bytes long")));
        }
        let mut held = Held { sum: Arc::clone(&self.held), own: 0 };
        let mut only = Bytes::new();
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                Problem::new(StatusCode::BAD_REQUEST, format!("the body broke off: {error}"))
            })?;
            let Ok(data) = frame.into_data() else { continue };
            if held.grow(data.len() as u64) > self.together {
                let detail = "the VM holds as many requests as its memory allows";
                return Err(Problem::retry_later(StatusCode::SERVICE_UNAVAILABLE, 1, detail));
            }
            if held.own > self.each {
                return Err(self.too_large("longer"));
            }
            // A body in one piece, as small ones are, is never copied.
            if held.own == data.len() as u64 {
                only = data;
                continue;
            }
            if bytes.is_empty() {
                let length = usize::try_from(announced.unwrap_or(0)).unwrap_or(0);
                bytes.reserve(length.max(only.len() + data.len()));
                bytes.extend_from_slice(&only);
                only = Bytes::new();
            }
            bytes.extend_from_slice(&data);
        }
        let bytes = if bytes.is_empty() { only } else { bytes.freeze() };
        Ok(Received { bytes, held })
    }

    fn too_large(&self, found: &str) -> Problem {
        let detail = format!("the body is {found}, the limit `body_bytes` is {}", self.each);
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }
}

/// How long a body of so many bytes may take.
fn patience(bytes: u64) -> Duration {
    PATIENCE + Duration::from_secs(bytes / SLOWEST)
}

/// Reads the body of a request that is answered without it, beside the answer, within bounds.
pub(super) fn discard(request: Request<Incoming>) {
    let (head, body) = request.into_parts();
    discard_rest(&head.headers, body);
}

fn discard_rest(headers: &HeaderMap, mut body: Incoming) {
    // A client that waits for our word to send its body gets the answer instead.
    if body.is_end_stream() || headers.contains_key(EXPECT) {
        return;
    }
    tokio::spawn(tokio::time::timeout(DISCARDING_TIME, async move {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            if bytes > DISCARDED_BYTES {
                break;
            }
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_body_may_take_longer_than_a_small_one() {
        assert_eq!(patience(0), Duration::from_mins(1));
        assert_eq!(patience(64 << 20), Duration::from_secs(60 + 1_024));
    }

    #[test]
    fn a_body_that_is_dropped_is_held_no_more() {
        let sum = Arc::new(AtomicU64::new(0));
        let mut first = Held { sum: Arc::clone(&sum), own: 0 };
        let mut second = Held { sum: Arc::clone(&sum), own: 0 };
        assert_eq!((first.grow(10), second.grow(5), first.grow(1)), (10, 15, 16));
        drop(first);
        assert_eq!(sum.load(Ordering::Relaxed), 5);
    }
}
