//! One attempt: a request to one VM and the head of its answer back.

mod error;

use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use hyper::header::{CONTENT_LENGTH, HOST, RETRY_AFTER, UPGRADE};
use hyper::{Method, StatusCode};
use tokio_util::sync::CancellationToken;

use super::headers;
use super::journal::Pace;
use super::lease::Lease;
use super::message::{AnswerHead, RequestHead};
use super::patience::Alarm;
use super::tape::Tape;
use super::target::Target;
use super::upstream::{self, AnswerError, AskError, Connection, Framing, Interim, Wire};
use crate::domain::health::Event;
use crate::domain::vm::VmId;
use crate::http::X_CUMULET_ATTEMPTS;
pub(super) use error::{Blame, ForwardError};

/// Before this time nobody listens for the VM being found hanging, which takes seconds: most answers
/// are there by then.
const EARLY: Duration = Duration::from_millis(250);

/// How long an answer has been waited for.
enum Stage {
    /// Less than [`EARLY`].
    Early,
    /// No longer than can be.
    Usual,
    /// So long that something is odd about the VM.
    Overdue,
}

/// Whether doing this request twice does no harm: its method promises that (RFC 9110, section
/// 9.2.2), or its path is one whose work is a pure function of the request.
pub(super) fn is_repeatable(method: &Method, path: &str) -> bool {
    const PURE: [&str; 3] = ["/blurimage", "/enhanceimage", "/raytracer"];
    method.is_idempotent() || (method == Method::POST && PURE.iter().any(|p| path.starts_with(p)))
}

/// What every attempt at one request has in common.
pub(super) struct Attempt<'a> {
    /// Its head, ready for a VM.
    pub(super) head: &'a RequestHead,
    /// Its body.
    pub(super) tape: &'a Tape,
    /// Takes answers that only tell of progress to the client.
    pub(super) interim: Option<Interim>,
    /// When the whole request must be done, and the limit that led to it.
    pub(super) deadline: (Instant, Duration),
    /// How long to wait for a connection.
    pub(super) connect_timeout: Duration,
    /// After what time without an answer something is odd about the VM.
    pub(super) overdue_after: Duration,
}

/// An answer of which the head is there.
pub(super) struct Answer {
    /// The head.
    pub(super) head: AnswerHead,
    /// The body to come, and the connection that it comes over.
    pub(super) body: upstream::Body,
    /// How long the VM took.
    pub(super) pace: Pace,
}

impl Attempt<'_> {
    /// Sends the request to the VM of `lease`, as the attempt of this `number`, and waits for the
    /// head of the answer.
    pub(super) async fn run(
        &self,
        lease: &Lease,
        number: u32,
        alarm: &mut Alarm,
    ) -> Result<Answer, ForwardError> {
        let target = &lease.target;
        let exchange = async {
            if let Some(connection) = target.take_idle(lease.begun) {
                match self.exchange(lease, connection, None, number).await {
                    Err(ForwardError::Unsent { .. }) => {}
                    outcome => return outcome,
                }
            }
            let began = Instant::now();
            let connection = connect(target, self.connect_timeout).await?;
            let connected = Instant::now();
            match self.exchange(lease, connection, Some((began, connected)), number).await {
                Err(ForwardError::Unsent { .. }) => Err(closed_at_once(target)),
                outcome => outcome,
            }
        };
        let (deadline, limit) = self.deadline;
        let mut exchange = pin!(exchange);
        let mut stage = Stage::Early;
        let mut hung = None;
        alarm.set(deadline.min(lease.begun + EARLY).into());
        let answer = loop {
            let rings = std::future::poll_fn(|cx| alarm.poll(cx));
            let hangs = async {
                match &hung {
                    Some(hung) => CancellationToken::cancelled(hung).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                answer = &mut exchange => break answer,
                () = hangs => break Err(ForwardError::Hangs { vm: target.id.clone() }),
                () = rings => {}
            }
            if deadline <= Instant::now() {
                break Err(ForwardError::TooLate { after: limit });
            }
            let next = match stage {
                Stage::Early => {
                    hung = Some(lease.hung());
                    stage = Stage::Usual;
                    deadline.min(lease.begun + self.overdue_after)
                }
                Stage::Usual => {
                    lease.tell(Event::Overdue);
                    stage = Stage::Overdue;
                    deadline
                }
                Stage::Overdue => deadline,
            };
            alarm.set(next.into());
        };
        answer.map_err(|error| match self.tape.fault() {
            Some(fault) => ForwardError::Body(fault),
            None => error,
        })
    }

    /// Sends the request over a connection that was made between these two moments, or was kept.
    async fn exchange(
        &self,
        lease: &Lease,
        connection: Connection,
        made: Option<(Instant, Instant)>,
        number: u32,
    ) -> Result<Answer, ForwardError> {
        let target = &lease.target;
        let (head, body) = match connection.ask(self.request(target, number)).await {
            Ok(answer) => answer,
            Err(error) => return Err(no_answer(target.id.clone(), error, made.is_none())),
        };
        match head.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                let after = head.fields.get(&RETRY_AFTER);
                let retry_after = after.and_then(|s| s.to_str().ok()?.parse().ok()).unwrap_or(1);
                if let Some(connection) = body.into_connection() {
                    target.put_back(connection, Instant::now());
                }
                Err(ForwardError::Declined { vm: target.id.clone(), retry_after })
            }
            StatusCode::SWITCHING_PROTOCOLS if !self.head.fields.has(&UPGRADE) => {
                Err(ForwardError::BadAnswer {
                    vm: target.id.clone(),
                    detail: "it switched protocols, which nobody had asked for".to_owned(),
                })
            }
            _ => {
                let (began, connected) = made.unwrap_or((lease.begun, lease.begun));
                let connect = connected.saturating_duration_since(began);
                Ok(Answer { head, body, pace: Pace { connect, answer: connected.elapsed() } })
            }
        }
    }

    /// The request as the VM is to get it, in the attempt of this `number`.
    fn request(&self, target: &Target, number: u32) -> upstream::Request {
        let RequestHead { method, uri, fields, .. } = self.head;
        let mut head = Vec::with_capacity(512);
        let mut line = |parts: &[&[u8]]| headers::write_line(&mut head, parts);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        line(&[method.as_str().as_bytes(), b" ", path.as_bytes(), b" HTTP/1.1"]);
        for (name, value) in fields.iter().filter(|(name, _)| *name != X_CUMULET_ATTEMPTS) {
            line(&[name.as_str().as_bytes(), b": ", value.as_bytes()]);
        }
        line(&[X_CUMULET_ATTEMPTS.as_str().as_bytes(), b": ", number.to_string().as_bytes()]);
        if !fields.has(&HOST) {
            // HTTP/1.0 knows no Host, and the VM is spoken to in HTTP/1.1, which demands it.
            line(&[b"host: ", target.address.as_bytes()]);
        }
        let mut framing = Framing::Length;
        if headers::is_chunked(fields) {
            framing = Framing::Chunks;
        } else if !fields.has(&CONTENT_LENGTH) {
            match self.tape.declared() {
                Some(0) if !may_have_body(method) => {}
                Some(length) => line(&[b"content-length: ", length.to_string().as_bytes()]),
                None => {
                    line(&[b"transfer-encoding: chunked"]);
                    framing = Framing::Chunks;
                }
            }
        }
        line(&[]);
        let is_head = method == Method::HEAD;
        let (body, interim) = (self.tape.reader(), self.interim.clone());
        upstream::Request { head, framing, body, is_head, interim }
    }
}

/// Whether a request of this method is expected to have a body, so that one without says so
/// (RFC 9110, section 8.6).
fn may_have_body(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

/// What it means that no answer has come on a connection that was `reused` or not.
fn no_answer(vm: VmId, error: AskError, reused: bool) -> ForwardError {
    match error {
        AskError::Unsent => ForwardError::Unsent { vm },
        AskError::Garbled(detail) => ForwardError::BadAnswer { vm, detail },
        AskError::Closed(detail) if reused => ForwardError::ReusedClosed { vm, detail },
        AskError::Closed(detail) => {
            ForwardError::CutShort { vm, when: "before its answer", detail }
        }
        AskError::Body(fault) => ForwardError::Body(fault),
    }
}

/// The VM stopped amid its answer, or sent something that is not one.
pub(super) fn broken_answer(vm: VmId, error: &AnswerError) -> ForwardError {
    let detail = error.to_string();
    match error {
        AnswerError::Garbled(_) => ForwardError::BadAnswer { vm, detail },
        AnswerError::Cut(_) => ForwardError::CutShort { vm, when: "amid its answer", detail },
        AnswerError::Request(fault) => ForwardError::Body(fault.clone()),
    }
}

/// A fresh connection to a VM.
async fn connect(target: &Target, timeout: Duration) -> Result<Connection, ForwardError> {
    let wire = tokio::time::timeout(timeout, Wire::to(target))
        .await
        .map_err(|_| ForwardError::NotTakenUp {
            vm: target.id.clone(),
            address: target.address.clone(),
            after: timeout,
        })?
        .map_err(|source| not_connected(target, source))?;
    Ok(Connection::new(wire))
}

fn not_connected(target: &Target, source: io::Error) -> ForwardError {
    let vm = target.id.clone();
    if is_own_lack(&source) {
        ForwardError::NoMeans { vm, source }
    } else {
        ForwardError::Refused { vm, address: target.address.clone(), source }
    }
}

/// Whoever listens there closed a fresh connection before anything was written to it.
fn closed_at_once(target: &Target) -> ForwardError {
    let source = io::Error::new(io::ErrorKind::ConnectionAborted, "it closed a fresh connection");
    ForwardError::Refused { vm: target.id.clone(), address: target.address.clone(), source }
}

/// Whether a connection failed for want of something on this side, which says nothing about the
/// other one.
pub(super) fn is_own_lack(error: &io::Error) -> bool {
    use rustix::io::Errno;
    Errno::from_io_error(error).is_some_and(|errno| {
        [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM]
            .contains(&errno)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_done_twice_is_repeatable() {
        let cases = [
            ("GET", "/", true),
            ("HEAD", "/x", true),
            ("OPTIONS", "/x", true),
            ("PUT", "/x", true),
            ("DELETE", "/x", true),
            ("POST", "/blurimage", true),
            ("POST", "/raytracer", true),
            ("POST", "/enhanceimage/", true),
            ("POST", "/orders", false),
            ("PATCH", "/blurimage", false),
        ];
        for (method, path, expected) in cases {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(is_repeatable(&method, path), expected, "{method} {path}");
        }
    }
}
