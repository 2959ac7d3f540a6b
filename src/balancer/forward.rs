//! One attempt: a request to one VM and the head of its answer back.

mod error;

use std::io;
use std::pin::pin;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, RETRY_AFTER, UPGRADE};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::journal::Pace;
use super::lease::Lease;
use super::tape::Tape;
use super::target::{Connection, Target};
use crate::domain::health::Event;
use crate::domain::vm::VmId;
use crate::http::X_CUMULET_ATTEMPTS;
pub(super) use error::{Blame, ForwardError};

/// Whether doing this request twice does no harm: its method promises that (RFC 9110, section
/// 9.2.2), or its path is one whose work is a pure function of the request.
pub(super) fn is_repeatable(method: &Method, path: &str) -> bool {
    const PURE: [&str; 3] = ["/blurimage", "/enhanceimage", "/raytracer"];
    method.is_idempotent() || (method == Method::POST && PURE.iter().any(|p| path.starts_with(p)))
}

/// What every attempt at one request has in common.
pub(super) struct Attempt<'a> {
    /// Its head, ready for a VM.
    pub(super) head: &'a Parts,
    /// Its body.
    pub(super) tape: &'a Tape,
    /// When the whole request must be done, and the limit that led to it.
    pub(super) deadline: (Instant, Duration),
    /// How long to wait for a connection.
    pub(super) connect_timeout: Duration,
    /// After what time without an answer something is odd about the VM.
    pub(super) overdue_after: Duration,
}

/// An answer of which the head is there.
pub(super) struct Answer {
    /// The head, and the body to come.
    pub(super) response: Response<Incoming>,
    /// The connection, to be kept once the body has come.
    pub(super) connection: Connection,
    /// How long the VM took.
    pub(super) pace: Pace,
}

impl Attempt<'_> {
    /// Sends the request to the VM of `lease`, as the attempt of this `number`, and waits for the
    /// head of the answer.
    pub(super) async fn run(&self, lease: &Lease, number: u32) -> Result<Answer, ForwardError> {
        let target = &lease.target;
        let hung = target.state().hung.clone();
        let exchange = async {
            if let Some(connection) = target.take_idle(std::time::Instant::now()) {
                match self.exchange(target, connection, None, number).await {
                    Err(ForwardError::Unsent { .. }) => {}
                    outcome => return outcome,
                }
            }
            let began = Instant::now();
            let connection = connect(target, self.connect_timeout).await?;
            match self.exchange(target, connection, Some(began.elapsed()), number).await {
                Err(ForwardError::Unsent { .. }) => Err(closed_at_once(target)),
                outcome => outcome,
            }
        };
        let (exchange, overdue) = (pin!(exchange), tokio::time::sleep(self.overdue_after));
        let (mut exchange, mut overdue) = (exchange, pin!(overdue));
        let mut is_overdue = false;
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut exchange => break answer,
                () = hung.cancelled() => break Err(ForwardError::Hangs { vm: target.id.clone() }),
                () = &mut overdue, if !is_overdue => {
                    is_overdue = true;
                    lease.tell(Event::Overdue);
                }
                () = tokio::time::sleep_until(self.deadline.0) => {
                    break Err(ForwardError::TooLate { after: self.deadline.1 });
                }
            }
        };
        answer.map_err(|error| match self.tape.fault() {
            Some(fault) => ForwardError::Body(fault),
            None => error,
        })
    }

    /// Sends the request over a connection that took so long to be made, or was kept.
    async fn exchange(
        &self,
        target: &Target,
        mut connection: Connection,
        connect: Option<Duration>,
        number: u32,
    ) -> Result<Answer, ForwardError> {
        let vm = || target.id.clone();
        let mut request = Request::new(self.tape.reader());
        request.method_mut().clone_from(&self.head.method);
        request.uri_mut().clone_from(&self.head.uri);
        request.headers_mut().clone_from(&self.head.headers);
        request.headers_mut().insert(X_CUMULET_ATTEMPTS, number.into());
        if !request.headers().contains_key(HOST)
            && let Ok(host) = HeaderValue::from_str(&target.address)
        {
            // HTTP/1.0 knows no Host, and the VM is spoken to in HTTP/1.1, which demands it.
            request.headers_mut().insert(HOST, host);
        }
        let began = Instant::now();
        let response = match connection.try_send_request(request).await {
            Ok(response) => response,
            Err(failure) if failure.message().is_some() => {
                return Err(ForwardError::Unsent { vm: vm() });
            }
            Err(failure) => return Err(broken(vm(), &failure.into_error(), connect.is_none())),
        };
        match response.status() {
            StatusCode::SERVICE_UNAVAILABLE => {
                let after = response.headers().get(RETRY_AFTER);
                let retry_after = after.and_then(|s| s.to_str().ok()?.parse().ok()).unwrap_or(1);
                if response.body().is_end_stream() {
                    target.put_back(connection, std::time::Instant::now());
                }
                Err(ForwardError::Declined { vm: vm(), retry_after })
            }
            StatusCode::SWITCHING_PROTOCOLS if !self.head.headers.contains_key(UPGRADE) => {
                Err(ForwardError::BadAnswer {
                    vm: vm(),
                    detail: "it switched protocols, which nobody had asked for".to_owned(),
                })
            }
            _ => {
                let connect = connect.unwrap_or_default();
                let pace = Pace { connect, answer: began.elapsed() };
                Ok(Answer { response, connection, pace })
            }
        }
    }
}

fn broken(vm: VmId, error: &hyper::Error, reused: bool) -> ForwardError {
    let detail = with_cause(error);
    if error.is_parse() {
        ForwardError::BadAnswer { vm, detail }
    } else if reused {
        ForwardError::ReusedClosed { vm, detail }
    } else {
        ForwardError::CutShort { vm, when: "before its answer", detail }
    }
}

/// The VM stopped amid its answer, or sent something that is not one.
pub(super) fn broken_answer(vm: VmId, error: &hyper::Error) -> ForwardError {
    let detail = with_cause(error);
    if error.is_parse() {
        ForwardError::BadAnswer { vm, detail }
    } else {
        ForwardError::CutShort { vm, when: "amid its answer", detail }
    }
}

fn with_cause(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// A fresh connection to a VM.
async fn connect(target: &Target, timeout: Duration) -> Result<Connection, ForwardError> {
    let failed = |source| not_connected(target, source);
    let stream = tokio::time::timeout(timeout, TcpStream::connect(&target.address))
        .await
        .map_err(|_| ForwardError::NotTakenUp {
            vm: target.id.clone(),
            address: target.address.clone(),
            after: timeout,
        })?
        .map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|_| closed_at_once(target))?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection to a VM ended early");
        }
    });
    // The task above must have run once before the sender takes a request.
    sender.ready().await.map_err(|_| closed_at_once(target))?;
    Ok(sender)
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
