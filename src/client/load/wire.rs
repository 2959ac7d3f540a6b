//! Sending and receiving: one pool of connections, and what an answer says of itself.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::ask::Ready;
use crate::client::send::refusal;
use crate::http::{SERVER_TIMING, X_CUMULET_ATTEMPTS, X_CUMULET_VM, X_REQUEST_ID};

/// The connections to a server. One that is not in use is used again, the one used last first.
pub(super) struct Pool {
    address: String,
    host: HeaderValue,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

/// An answer that came whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// When its last byte came.
    pub(super) at: Instant,
    pub(super) vm: Option<String>,
    pub(super) attempts: u32,
    pub(super) timing: Timing,
    pub(super) bytes: u64,
    pub(super) body: Body,
}

/// What is known of an answer's body.
#[derive(Debug)]
pub(super) enum Body {
    /// All of it.
    Whole(Bytes),
    /// It is equal to the one expected, or it is not.
    Compared(bool),
    /// For an answer that is a refusal: the sentence in it.
    Refusal(String),
}

/// What a server says about where the time went, from `Server-Timing`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Timing {
    /// CPU time that the work took.
    pub(super) cpu: Option<Duration>,
    /// Time in queues.
    pub(super) queued: Option<Duration>,
}

/// Why no whole answer came.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("no connection")]
    NoConnection(#[source] std::io::Error),
    #[error("the connection ended before an answer came")]
    NoAnswer(#[source] hyper::Error),
    #[error("the answer broke off")]
    BrokeOff(#[source] hyper::Error),
    #[error("no answer came in time")]
    TooLate,
}

impl Pool {
    /// Connections to `address`, `host:port`; none is made yet.
    pub(super) fn new(address: &str) -> anyhow::Result<Self> {
        let host = HeaderValue::from_str(address)?;
        Ok(Self { address: address.to_owned(), host, idle: Mutex::default() })
    }

    /// Sends a request and takes its answer, of which `known` is the body if it is known before.
    pub(super) async fn exchange(
        &self,
        ready: &Ready,
        id: &str,
        known: Option<&Bytes>,
    ) -> Result<Answer, Lost> {
        let mut sender = self.connection().await?;
        let mut request = Request::new(Full::new(ready.body.clone()));
        *request.method_mut() = ready.method.clone();
        *request.uri_mut() = ready.path.clone().into();
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        if let Some(content_type) = &ready.content_type {
            headers.insert(CONTENT_TYPE, content_type.clone());
        }
        if let Ok(id) = HeaderValue::from_str(id) {
            headers.insert(X_REQUEST_ID, id);
        }
        let (head, body) = sender.send_request(request).await.map_err(Lost::NoAnswer)?.into_parts();
        let (body, bytes) = receive(body, head.status, &head.headers, known).await?;
        let answer = Answer {
            status: head.status,
            at: Instant::now(),
            vm: text(&head.headers, &X_CUMULET_VM).map(str::to_owned),
            attempts: text(&head.headers, &X_CUMULET_ATTEMPTS)
                .and_then(|number| number.parse().ok())
                .unwrap_or(1),
            timing: Timing::of(&head.headers),
            bytes,
            body,
        };
        if !sender.is_closed() {
            self.lock().push(sender);
        }
        Ok(answer)
    }

    async fn connection(&self) -> Result<SendRequest<Full<Bytes>>, Lost> {
        loop {
            // In a statement of its own, so that nothing is locked while it is waited for.
            let idle = self.lock().pop();
            let Some(mut sender) = idle else { break };
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let stream = TcpStream::connect(&self.address).await.map_err(Lost::NoConnection)?;
        stream.set_nodelay(true).map_err(Lost::NoConnection)?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(Lost::NoAnswer)?;
        // Its errors reach whoever waits for the answer.
        tokio::spawn(connection);
        Ok(sender)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<SendRequest<Full<Bytes>>>> {
        self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Takes a body to its end. Only what has to be looked at later is kept.
async fn receive(
    mut body: Incoming,
    status: StatusCode,
    headers: &HeaderMap,
    known: Option<&Bytes>,
) -> Result<(Body, u64), Lost> {
    let Some(known) = known.filter(|_| status.is_success()) else {
        let whole = body.collect().await.map_err(Lost::BrokeOff)?.to_bytes();
        let bytes = whole.len() as u64;
        let refused = || Body::Refusal(refusal(status, headers, &whole));
        let body = if status.is_success() { Body::Whole(whole) } else { refused() };
        return Ok((body, bytes));
    };
    let (mut bytes, mut equal) = (0, true);
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.map_err(Lost::BrokeOff)?.into_data() else { continue };
        equal = equal && known.get(bytes..bytes + chunk.len()) == Some(&*chunk);
        bytes += chunk.len();
    }
    Ok((Body::Compared(equal && bytes == known.len()), bytes as u64))
}

fn text<'a>(headers: &'a HeaderMap, name: &hyper::header::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

impl Timing {
    /// Adds up the metrics of all `Server-Timing` headers: `cpu` is the work, and whatever has
    /// `queue` in its name is waiting, wherever it was.
    fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(SERVER_TIMING).into_iter().filter_map(|it| it.to_str().ok());
        let mut timing = Self::default();
        for metric in values.flat_map(|value| value.split(',')) {
            let mut parts = metric.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let duration = parts
                .find_map(|part| part.strip_prefix("dur=")?.parse::<f64>().ok())
                .and_then(|ms| Duration::try_from_secs_f64(ms / 1e3).ok());
            let Some(duration) = duration else { continue };
            let sum = |before: Option<Duration>| Some(before.unwrap_or_default() + duration);
            if name == "cpu" {
                timing.cpu = sum(timing.cpu);
            } else if name.contains("queue") {
                timing.queued = sum(timing.queued);
            }
        }
        timing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_timings_are_added_up() {
        let mut headers = HeaderMap::new();
        assert_eq!(Timing::of(&headers), Timing::default());
        let vm = "receive;dur=0.1, queue;dur=2, cpu;dur=7.5, total;dur=11";
        headers.append(SERVER_TIMING, vm.parse().unwrap());
        headers.append(
            SERVER_TIMING,
            "lb-queue;desc=\"x\";dur=0.5, cpu, queue;dur=-1".parse().unwrap(),
        );
        let timing = Timing::of(&headers);
        assert_eq!(timing.cpu, Some(Duration::from_micros(7500)));
        assert_eq!(timing.queued, Some(Duration::from_micros(2500)));
    }
}
