//! One attempt: a request to one VM and the head of its answer back.

use std::io;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, RETRY_AFTER, UPGRADE};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::lease::Lease;
use super::tape::{Fault as BodyFault, Tape};
use super::target::{Connection, Target};
use crate::domain::health::Event;
use crate::domain::vm::VmId;
use crate::http::X_CUMULET_ATTEMPTS;

/// Why a VM gave no answer that could be passed on.
#[derive(Debug, thiserror::Error)]
pub(super) enum ForwardError {
    /// Nobody listens, or the network does not lead there.
    #[error("{vm} at {address} takes no connection: {source}")]
    Refused {
        /// The VM.
        vm: VmId,
        /// Where it should listen.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// This process has no means to connect: no file descriptor, no port, no memory.
    #[error("cannot connect to {vm}: {source}")]
    NoMeans {
        /// The VM.
        vm: VmId,
        /// What the operating system said.
        source: io::Error,
    },
    /// The connection was not taken up in time.
    #[error("{vm} at {address} did not take up a connection within {after:?}")]
    NotTakenUp {
        /// The VM.
        vm: VmId,
        /// Where it listens.
        address: String,
        /// The limit.
        after: Duration,
    },
    /// A kept connection turned out to be closed before anything was written to it.
    #[error("{vm} had closed an idle connection")]
    Unsent {
        /// The VM.
        vm: VmId,
    },
    /// A kept connection closed before any byte of an answer came.
    #[error("{vm} closed a kept connection without an answer: {detail}")]
    ReusedClosed {
        /// The VM.
        vm: VmId,
        /// What happened.
        detail: String,
    },
    /// A fresh connection closed without an answer, or any connection amid an answer.
    #[error("{vm} closed the connection {when}: {detail}")]
    CutShort {
        /// The VM.
        vm: VmId,
        /// Before or amid the answer.
        when: &'static str,
        /// What happened.
        detail: String,
    },
    /// What came is not an answer in HTTP.
    #[error("{vm} answered in a way that is not HTTP: {detail}")]
    BadAnswer {
        /// The VM.
        vm: VmId,
        /// What is wrong with it.
        detail: String,
    },
    /// It is full or drains (503).
    #[error("{vm} would not take the request (503)")]
    Declined {
        /// The VM.
        vm: VmId,
        /// Whole seconds after which it is worth asking again.
        retry_after: u32,
    },
    /// It neither reports nor answers probes.
    #[error("{vm} hangs")]
    Hangs {
        /// The VM.
        vm: VmId,
    },
    /// There is no time left.
    #[error("no answer came within {after:?}")]
    TooLate {
        /// The limit for the whole request.
        after: Duration,
    },
    /// The client's body is too long or could not be read.
    #[error("{0}")]
    Body(BodyFault),
}

/// Who is to blame for a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// The client: its request is at fault.
    Client,
    /// The VM.
    Vm,
    /// Nobody: two sides closed or gave up at the same time.
    Nobody,
}

/// Whether an attempt may be followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// Never: it would fail in the same way, or there is no time.
    No,
    /// Always: the VM has not begun with it.
    Yes,
    /// If doing the work twice does no harm: the VM may have begun with it.
    IfRepeatable,
}

impl ForwardError {
    /// Whose fault it is.
    pub(super) fn blame(&self) -> Blame {
        match self {
            Self::Body(_) => Blame::Client,
            Self::NoMeans { .. }
            | Self::Unsent { .. }
            | Self::ReusedClosed { .. }
            | Self::Declined { .. } => Blame::Nobody,
            Self::Refused { .. }
            | Self::NotTakenUp { .. }
            | Self::CutShort { .. }
            | Self::BadAnswer { .. }
            | Self::Hangs { .. }
            | Self::TooLate { .. } => Blame::Vm,
        }
    }

    /// Whether the request may be sent again.
    pub(super) fn again(&self) -> Again {
        match self {
            Self::Body(_) | Self::TooLate { .. } => Again::No,
            Self::Refused { .. }
            | Self::NoMeans { .. }
            | Self::NotTakenUp { .. }
            | Self::Unsent { .. }
            | Self::Declined { .. } => Again::Yes,
            Self::ReusedClosed { .. }
            | Self::CutShort { .. }
            | Self::BadAnswer { .. }
            | Self::Hangs { .. } => Again::IfRepeatable,
        }
    }

    /// Whether the attempt counts against the limit: the VM may have begun with the request, or
    /// nothing keeps the next attempt from ending in the same way. A VM that takes up no connection
    /// is out of rotation afterwards.
    pub(super) fn counts(&self) -> bool {
        !matches!(
            self,
            Self::Refused { .. } | Self::NotTakenUp { .. } | Self::Unsent { .. } | Self::Body(_)
        )
    }

    /// What it says about the health of the VM.
    pub(super) fn symptom(&self) -> Option<Event> {
        match self {
            Self::Refused { .. } => Some(Event::Refused),
            Self::NotTakenUp { .. } => Some(Event::NotTakenUp),
            Self::ReusedClosed { .. } => Some(Event::ReusedClosed),
            Self::CutShort { .. } => Some(Event::CutShort),
            Self::NoMeans { .. }
            | Self::Unsent { .. }
            | Self::BadAnswer { .. }
            | Self::Declined { .. }
            | Self::Hangs { .. }
            | Self::TooLate { .. }
            | Self::Body(_) => None,
        }
    }
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
    pub(super) head: &'a Parts,
    /// Its body.
    pub(super) tape: &'a Tape,
    /// When the whole request must be done, and the limit that led to it.
    pub(super) deadline: (Instant, Duration),
    /// How long to wait for a connection.
    pub(super) connect_timeout: Duration,
}

/// An answer of which the head is there.
pub(super) struct Answer {
    /// The head, and the body to come.
    pub(super) response: Response<Incoming>,
    /// The connection, to be kept once the body has come.
    pub(super) connection: Connection,
}

impl Attempt<'_> {
    /// Sends the request to the VM of `lease`, as the attempt of this `number`, and waits for the
    /// head of the answer.
    pub(super) async fn run(&self, lease: &Lease, number: u32) -> Result<Answer, ForwardError> {
        let target = &lease.target;
        let hung = target.state().hung.clone();
        let exchange = async {
            if let Some(connection) = target.take_idle(std::time::Instant::now()) {
                match self.exchange(target, connection, true, number).await {
                    Err(ForwardError::Unsent { .. }) => {}
                    outcome => return outcome,
                }
            }
            let connection = connect(target, self.connect_timeout).await?;
            match self.exchange(target, connection, false, number).await {
                Err(ForwardError::Unsent { .. }) => Err(closed_at_once(target)),
                outcome => outcome,
            }
        };
        let answer = tokio::select! {
            biased;
            answer = exchange => answer,
            () = hung.cancelled() => Err(ForwardError::Hangs { vm: target.id.clone() }),
            () = tokio::time::sleep_until(self.deadline.0) => {
                Err(ForwardError::TooLate { after: self.deadline.1 })
            }
        };
        answer.map_err(|error| match self.tape.fault() {
            Some(fault) => ForwardError::Body(fault),
            None => error,
        })
    }

    async fn exchange(
        &self,
        target: &Target,
        mut connection: Connection,
        reused: bool,
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
        let response = match connection.try_send_request(request).await {
            Ok(response) => response,
            Err(failure) if failure.message().is_some() => {
                return Err(ForwardError::Unsent { vm: vm() });
            }
            Err(failure) => return Err(broken(vm(), &failure.into_error(), reused)),
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
            StatusCode::SWITCHING_PROTOCOLS if !self.head.headers.contains_key(UPGRADE) => Err(ForwardError::BadAnswer {
                vm: vm(),
                detail: "it switched protocols, which nobody had asked for".to_owned(),
            }),
            _ => Ok(Answer { response, connection }),
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

    #[test]
    fn an_attempt_that_does_not_count_may_always_be_followed_by_another() {
        let vm = || VmId::numbered(1);
        let errors = [
            ForwardError::NotTakenUp {
                vm: vm(),
                address: "127.0.0.1:1".to_owned(),
                after: Duration::from_secs(2),
            },
            ForwardError::Unsent { vm: vm() },
            ForwardError::ReusedClosed { vm: vm(), detail: String::new() },
            ForwardError::CutShort { vm: vm(), when: "amid its answer", detail: String::new() },
            ForwardError::Hangs { vm: vm() },
            ForwardError::TooLate { after: Duration::from_mins(5) },
            ForwardError::Body(BodyFault::TooLong { limit: 1 }),
        ];
        for error in errors {
            if !error.counts() && error.blame() != Blame::Client {
                assert_eq!(error.again(), Again::Yes, "{error}");
            } else {
                assert_ne!(error.again(), Again::Yes, "{error}");
            }
        }
    }
}
