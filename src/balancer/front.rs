//! Where clients come in: which version of HTTP they speak, and how their connections end.
//!
//! HTTP/1 and, by prior knowledge, HTTP/2 (RFC 9113, section 3.3) share the port: the first bytes
//! tell them apart. They are read only once, so that costs HTTP/1 nothing.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::answer::AnswerBody;
use super::buffers;
use super::lane::{self, Patient};
use super::message::Peer;
use super::patience::Alarm;
use super::proxy::Proxy;
use super::strict::{Arrival, Limits, Notes, Strict};
use super::tape::Source;
use super::tunnel::Tunnel;
use crate::http::server;

/// A connection without a request is closed after this time.
const IDLE: Duration = Duration::from_mins(1);
/// After a stop, a connection without a request is closed after this time. Until then its client
/// may send one more, and learns from the answer that it is the last: a request never meets a
/// connection that is just being closed, unless its client leaves long pauses.
const LAST_WORD: Duration = Duration::from_secs(1);
/// What a client sends first that speaks HTTP/2 (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The parser's own limits, which the scanner before it never lets a head reach.
const PARSED_HEAD: usize = 128 << 10;
const PARSED_HEADERS: usize = 128;

/// Bounds on an HTTP/2 connection. A client that opens streams only to reset them, or that has us
/// do so, is cut off (CVE-2023-44487, CVE-2025-8671); headers without end are cut off by the crate
/// (CVE-2024-27316).
const STREAMS: u32 = 128;
const RESETS: usize = 64;
const HEADER_LIST: u32 = 64 << 10;
const WINDOW: u32 = 1 << 20;

/// What every connection needs.
#[derive(Clone)]
struct Door {
    proxy: Arc<Proxy>,
    limits: Limits,
    stop: CancellationToken,
}

/// Serves every connection of `listener` until `stop`, then waits up to `grace` for the requests in
/// progress. Returns whether all of them finished.
pub(super) async fn serve(
    proxy: Arc<Proxy>,
    listener: TcpListener,
    limits: Limits,
    stop: CancellationToken,
    grace: Duration,
) -> bool {
    let door = Door { proxy, limits, stop: stop.clone() };
    let each = |stream, peer| door.clone().connection(stream, peer);
    server::serve_each(listener, each, &stop, grace).await
}

impl Door {
    async fn connection(self, mut stream: TcpStream, peer: SocketAddr) {
        let peer = Peer::new(peer.ip());
        let first = tokio::select! {
            first = tokio::time::timeout(IDLE, first_bytes(&mut stream, self.limits.head)) => first,
            () = self.last_word() => return,
        };
        match first {
            Ok(Ok(first)) if first.starts_with(PREFACE) => {
                Box::pin(self.http2(stream, first, &peer)).await;
            }
            Ok(Ok(first)) if !first.is_empty() => self.http1(stream, first, &peer).await,
            _ => tracing::debug!(peer = %peer.ip, "a connection on which nothing was said"),
        }
    }

    /// HTTP/1: on the short way as long as that will do.
    async fn http1(self, stream: TcpStream, first: BytesMut, peer: &Peer) {
        let last_word = std::pin::pin!(self.last_word());
        let is_last = || self.stop.is_cancelled();
        let patient = Patient { last_word, idle: IDLE, is_last: &is_last };
        let served = lane::serve(&self.proxy, peer, stream, first, self.limits, patient).await;
        if let Some((stream, read)) = served {
            Box::pin(self.parsed(stream, &read, peer)).await;
        }
    }

    /// HTTP/1 by the parser, behind the scanner.
    async fn parsed(&self, stream: TcpStream, first: &[u8], peer: &Peer) {
        let notes = Notes::default();
        let stream = Strict::new(stream, first, self.limits, notes.clone());
        let switched = Arc::new(Mutex::new(None));
        let service = service_fn(|request| self.answer(peer, notes.next(), request, &switched));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE + self.limits.head)
            .max_header_size(PARSED_HEAD)
            .max_headers(PARSED_HEADERS)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.last_word() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, peer = %peer.ip, "a connection ended early");
        }
        let switched = switched.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((client, tunnel)) = switched {
            tunnel.run(client).await;
        }
    }

    async fn http2(self, stream: TcpStream, first: BytesMut, peer: &Peer) {
        let stream = Strict::transparent(stream, first.into(), self.limits);
        let proxy = self.proxy.clone();
        let service = service_fn(|request: Request<Incoming>| {
            let (proxy, peer) = (proxy.clone(), peer.clone());
            async move {
                let (head, body) = request.into_parts();
                let (head, body) = (head.into(), Source::Stream(body));
                let mut reply =
                    proxy.serve(&peer, Arrival::default(), head, body, &mut Alarm::default()).await;
                // HTTP/2 has other means to say so.
                reply.head.fields.remove(&CONNECTION);
                Ok::<_, Infallible>(Response::from(reply))
            }
        });
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(IDLE / 2)
            .max_concurrent_streams(STREAMS)
            .max_pending_accept_reset_streams(RESETS)
            .max_local_error_reset_streams(RESETS)
            .max_header_list_size(HEADER_LIST)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, peer = %peer.ip, "a connection ended early");
        }
    }

    /// Answers a request of HTTP/1. If another protocol begins, what is to be done then is left in
    /// `switched`.
    async fn answer(
        &self,
        peer: &Peer,
        arrival: Arrival,
        mut request: Request<Incoming>,
        switched: &Mutex<Option<(OnUpgrade, Box<Tunnel>)>>,
    ) -> Result<Response<AnswerBody>, Infallible> {
        let client = arrival.asks_for_upgrade.then(|| hyper::upgrade::on(&mut request));
        let (head, body) = request.into_parts();
        let (head, body) = (head.into(), Source::Parsed(body));
        let mut reply = self.proxy.serve(peer, arrival, head, body, &mut Alarm::default()).await;
        let tunnel = reply.body.take_tunnel();
        // Where an upgrade was asked for in vain, what follows may be in either protocol.
        let in_vain = client.is_some() && tunnel.is_none();
        if let (Some(client), Some(tunnel)) = (client, tunnel) {
            *switched.lock().unwrap_or_else(PoisonError::into_inner) = Some((client, tunnel));
        } else if in_vain || self.stop.is_cancelled() {
            reply.head.fields.set(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(reply.into())
    }

    /// The end of the time in which a client may send one more request after a stop.
    async fn last_word(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(LAST_WORD).await;
    }
}

/// Reads until it is certain whether the client begins with the preface of HTTP/2, for up to
/// `limit` after its first byte; no bytes if it has closed the connection.
async fn first_bytes(stream: &mut TcpStream, limit: Duration) -> std::io::Result<BytesMut> {
    let mut first = BytesMut::new();
    std::future::poll_fn(|cx| buffers::poll_fill(stream, &mut first, cx)).await?;
    let undecided = async {
        while !first.is_empty() && first.len() < PREFACE.len() && PREFACE.starts_with(&first) {
            if stream.read_buf(&mut first).await? == 0 {
                break;
            }
        }
        Ok::<_, std::io::Error>(())
    };
    // What is still the beginning of both is HTTP/1's to wait for.
    tokio::time::timeout(limit, undecided).await.unwrap_or(Ok(()))?;
    Ok(first)
}
