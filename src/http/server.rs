//! An accept loop: takes connections until told to stop, then lets those that are busy finish.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::socket;

/// A client that has not sent its request's head after this time is cut off.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest head of a request, in bytes; a longer one is answered with 431.
const HEAD_BYTES: usize = 64 << 10;
/// After a failed accept (no file descriptors left) the loop rests, so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What connections come in at.
pub trait Listen: Send {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Who is at its other end.
    type Peer;

    /// The next connection.
    ///
    /// # Errors
    /// Those of the system; the next call may succeed.
    fn next(&self) -> impl Future<Output = io::Result<(Self::Stream, Self::Peer)>> + Send;
}

impl Listen for TcpListener {
    type Stream = TcpStream;
    type Peer = SocketAddr;

    async fn next(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.accept().await?;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection without TCP_NODELAY");
        }
        Ok((stream, peer))
    }
}

impl Listen for UnixListener {
    type Stream = UnixStream;
    type Peer = ();

    async fn next(&self) -> io::Result<(UnixStream, ())> {
        let (stream, _nameless) = self.accept().await?;
        socket::widen(&stream);
        Ok((stream, ()))
    }
}

/// Serves every connection of `listener` with a clone of `service` until `stop` is cancelled,
/// then waits up to `grace` for the requests in progress. Returns whether all of them finished.
pub async fn serve<S, B>(
    listener: impl Listen,
    service: S,
    stop: CancellationToken,
    grace: Duration,
) -> bool
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let each = |stream, _| connection(stream, service.clone(), stop.clone());
    serve_each(listener, each, &stop, grace).await
}

/// As [`serve`], for whoever has a way of their own with a connection: `each` makes of it what is
/// to be done until its end, or until `stop` and the end of the request it is busy with.
pub async fn serve_each<L, F, C>(
    listener: L,
    each: F,
    stop: &CancellationToken,
    grace: Duration,
) -> bool
where
    L: Listen,
    F: Fn(L::Stream, L::Peer) -> C,
    C: Future<Output = ()> + Send + 'static,
{
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.next() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                connections.spawn(each(stream, peer));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    tokio::time::timeout(grace, connections.wait()).await.is_ok()
}

/// One connection, until it ends, or until `stop` and the end of the request it is busy with.
async fn connection<T, S, B>(stream: T, service: S, stop: CancellationToken)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_header_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
