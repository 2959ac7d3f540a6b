//! Answers that only tell of progress, such as 103 (Early Hints, RFC 8297), on their way to a client.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;
use hyper::StatusCode;
use hyper::header::CONTENT_LENGTH;

use crate::balancer::headers;
use crate::balancer::message::AnswerHead;

/// So many bytes of them may wait for a client; more are dropped, as nobody depends on them.
const MOST_BYTES: usize = 64 << 10;

/// Takes them from a VM to the client.
#[derive(Debug, Clone, Default)]
pub(in crate::balancer) struct Interim(Arc<Mutex<BytesMut>>);

impl Interim {
    /// A VM has sent this one. `100 Continue` is for this side alone.
    pub(super) fn tell(&self, head: &mut AnswerHead) {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if head.status == StatusCode::CONTINUE || bytes.len() > MOST_BYTES {
            return;
        }
        headers::towards_client(&mut head.fields, false);
        // It has no body, and so no length (RFC 9110, section 8.6).
        head.fields.remove(&CONTENT_LENGTH);
        let reason = head.status.canonical_reason().unwrap_or_default();
        let status = head.status.as_str().as_bytes();
        let line: [&[u8]; 4] = [b"HTTP/1.1 ", status, b" ", reason.as_bytes()];
        headers::write_line(&mut *bytes, &line);
        headers::write(&mut *bytes, head.fields.iter());
        headers::write_line(&mut *bytes, &[]);
    }

    /// What has come since the last time, in bytes for the client.
    pub(in crate::balancer) fn take(&self) -> BytesMut {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
