//! What the client gets: a VM's answer, a problem, or a word of the balancer's own.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue,
};

use super::answer::{self, AnswerBody, Held, Reply, Whole};
use super::finish::Finish;
use super::headers;
use super::journal::Pace;
use super::lease::Lease;
use super::message::{AnswerHead, Fields};
use super::record::Record;
use super::signature::{NOBODY, sign};
use super::tape::Tape;
use super::tunnel::Tunnel;
use crate::http::{self, Problem};

/// After an answer of these the connection is closed: where the next request would begin is not
/// certain, or its client is not to be waited for.
const CLOSING: [StatusCode; 3] = [
    StatusCode::BAD_REQUEST,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
];

/// A VM's answer, as much of it as was to be waited for.
pub(super) struct Taken {
    pub(super) head: AnswerHead,
    pub(super) body: Held,
    pub(super) lease: Lease,
    /// How long the VM took until it began its answer.
    pub(super) pace: Pace,
    /// When it was taken.
    pub(super) done: Instant,
}

/// Gives a VM's answer to the client.
pub(super) fn deliver(taken: Taken, mut record: Record, id: &HeaderValue, tape: Tape) -> Reply {
    let Taken { mut head, body, lease, pace, done } = taken;
    record.came_from(&lease.target.id);
    record.answering(pace);
    let switched = head.status == StatusCode::SWITCHING_PROTOCOLS;
    headers::towards_client(&mut head.fields, switched);
    head.fields.add_missing(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let at_vm = done.saturating_duration_since(lease.begun);
    sign(&mut head.fields, lease.target.name.clone(), &record, id, (done, at_vm));
    let status = head.status.as_u16();
    let body = match body {
        Held::Part(_, body) if switched => {
            lease.answered(status, done);
            let tunnel = Tunnel::new(body.into_stream(), lease, record);
            AnswerBody::Switched(Some(Box::new(tunnel)))
        }
        Held::Whole(whole, connection) => {
            lease.answered(status, done);
            record.answered(status, whole.length(), done);
            if let Some(connection) = connection {
                lease.target.put_back(connection, done);
            }
            if tape.is_over() {
                AnswerBody::Held(whole)
            } else {
                answer_early(&mut head.fields, whole, tape)
            }
        }
        Held::Part(chunks, rest) => {
            AnswerBody::streamed(chunks, rest, Finish { lease, record, status, bytes: 0 })
        }
    };
    Reply { head, body }
}

/// Answers with a problem.
pub(super) async fn refuse(
    problem: Problem,
    record: Record,
    id: &HeaderValue,
    tape: Tape,
) -> Reply {
    let (status, detail) = (problem.status, problem.detail.clone());
    let (parts, body) = problem.into_response().into_parts();
    let mut head = AnswerHead::from(parts);
    sign(&mut head.fields, NOBODY, &record, id, (Instant::now(), Duration::ZERO));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        head.fields.set(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS"));
    }
    let whole = Whole::from(VecDeque::from([answer::text_of(body).await]));
    let body = if tape.is_over() {
        AnswerBody::Held(whole)
    } else {
        answer_early(&mut head.fields, whole, tape)
    };
    if CLOSING.contains(&status) {
        head.fields.set(CONNECTION, HeaderValue::from_static("close"));
    }
    record.refused(status.as_u16(), detail);
    Reply { head, body }
}

/// An answer to a request of which the client still sends the body. What follows on this
/// connection is the rest of that body, so it takes no other request.
fn answer_early(fields: &mut Fields, answer: Whole, tape: Tape) -> AnswerBody {
    fields.set(CONNECTION, HeaderValue::from_static("close"));
    if answer.length() == 0 {
        // Perhaps an answer that may not have a body, such as one to HEAD: its length stays.
        return AnswerBody::Held(answer);
    }
    fields.remove(&CONTENT_LENGTH);
    AnswerBody::early(answer, tape)
}

/// The answer to an `OPTIONS` that may not be forwarded any further.
pub(super) fn preflight(record: Record, id: &HeaderValue) -> Reply {
    let mut allowed = HeaderMap::new();
    http::preflight(&mut allowed);
    let mut fields = Fields::from(allowed);
    sign(&mut fields, NOBODY, &record, id, (Instant::now(), Duration::ZERO));
    record.refused(204, "it was not to be forwarded".to_owned());
    let head = AnswerHead { status: StatusCode::NO_CONTENT, fields };
    Reply { head, body: AnswerBody::Held(Whole::default()) }
}
