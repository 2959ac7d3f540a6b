//! The short way through the balancer, for what nearly all clients send: HTTP/1.1 requests that come
//! with a whole head in one piece and a body of declared length, or none.
//!
//! One task reads the request, has it answered and writes the answer, with a buffer of its own and
//! no parser's machinery in between. A connection on which anything else comes (an odd head, chunks,
//! another protocol, a client that wants to be asked for its body) is given back with what was read,
//! and goes through the parser behind [`super::strict`] from then on: so each rule about such heads
//! stands in one place.

mod head;
mod reply;

use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use hyper::Method;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::buffers;
use super::headers::says_close;
use super::message::{Peer, RequestHead};
use super::patience::{Alarm, Patience};
use super::proxy::Proxy;
use super::strict::{Arrival, Limits};
use super::tape::{Fault, Source};
use super::upstream::Interim;
use head::Found;

/// So much is thrown away at once.
const READ: usize = 8 << 10;
/// What a client sends ahead is read up to here while its request is being answered.
const READ_AHEAD: usize = 64 << 10;
/// After an answer that cut a client short, its connection stays for so long, and what it still
/// sends is thrown away: closed at once, it could lose the answer (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(2);

/// What goes on at the client's end of a connection.
struct Client {
    stream: TcpStream,
    /// Read and not used yet.
    buffer: BytesMut,
    /// To be written before anything else.
    ahead: BytesMut,
    interim: Interim,
    /// Its end was read after requests that are not answered yet.
    ended: bool,
    /// Bytes of the present request's body that are not used yet.
    left: u64,
    reading: Patience,
    limit: Duration,
}

/// A connection on the short way.
#[derive(Clone)]
pub(super) struct Lane(Arc<Mutex<Client>>);

/// The body of a request on the short way.
pub(super) struct PlainBody(Lane);

/// What comes next on a connection.
enum Next {
    Request(RequestHead, u64),
    /// Something for the parser.
    Strange,
    End,
}

/// When the connection is over although its client has not closed it.
pub(super) struct Patient<'a, S> {
    /// The end of the time after a stop in which a client may send one more request.
    pub(super) last_word: Pin<&'a mut S>,
    /// A connection without a request is closed after this time.
    pub(super) idle: Duration,
    /// Whether this is the last request, as the balancer stops.
    pub(super) is_last: &'a (dyn Fn() -> bool + Sync),
}

/// Serves the requests on `stream` after these `first` bytes until it ends; gives back a connection
/// that is not for the short way, and what was read from it.
pub(super) async fn serve(
    proxy: &Proxy,
    peer: &Peer,
    stream: TcpStream,
    first: BytesMut,
    limits: Limits,
    mut patient: Patient<'_, impl Future<Output = ()>>,
) -> Option<(TcpStream, BytesMut)> {
    let interim = Interim::default();
    let client = Client {
        stream,
        buffer: first,
        ahead: BytesMut::new(),
        interim: interim.clone(),
        ended: false,
        left: 0,
        reading: Patience::new(limits.body),
        limit: limits.body,
    };
    let lane = Lane(Arc::new(Mutex::new(client)));
    let mut alarm = Alarm::default();
    let mut writing = Patience::new(limits.answer);
    let mut out = Vec::new();
    loop {
        alarm.set(Instant::now() + patient.idle);
        let (head, length) = match lane.next(&mut patient.last_word, &mut alarm).await {
            Next::Request(head, length) => (head, length),
            Next::Strange => return lane.into_inner(),
            Next::End => return None,
        };
        let is_head = head.method == Method::HEAD;
        let mut close = says_close(&head.fields);
        let source = if length > 0 { Source::Plain(lane.body(length)) } else { Source::Nothing };
        let arrival = Arrival { interim: Some(interim.clone()), ..Arrival::default() };
        // Pinned here, for to move it would be to copy all that it will ever hold.
        let mut serving = pin!(proxy.serve(peer, arrival, head, source, &mut alarm));
        // None if the client has left.
        let reply = lane.while_it_stays(serving.as_mut()).await?;
        close |= (patient.is_last)();
        writing.renew(limits.answer);
        let written = reply::write(&lane, reply, &mut out, &mut close, is_head, &mut writing);
        if let Err(error) = written.await {
            tracing::debug!(%error, peer = %peer.ip, "a connection ended early");
            return None;
        }
        if close || lane.lock().left > 0 {
            lane.end().await;
            return None;
        }
    }
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, Client> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body of so many bytes that comes next.
    fn body(&self, length: u64) -> PlainBody {
        let mut client = self.lock();
        client.left = length;
        let limit = client.limit;
        client.reading.renew(limit);
        drop(client);
        PlainBody(self.clone())
    }

    fn into_inner(self) -> Option<(TcpStream, BytesMut)> {
        let client = Arc::into_inner(self.0)?.into_inner().unwrap_or_else(PoisonError::into_inner);
        Some((client.stream, client.buffer))
    }

    /// Waits for the next request.
    async fn next(
        &self,
        last_word: &mut Pin<&mut impl Future<Output = ()>>,
        idle: &mut Alarm,
    ) -> Next {
        std::future::poll_fn(|cx| {
            let mut client = self.lock();
            loop {
                match head::take(&mut client.buffer) {
                    Found::Whole(head, length) => return Poll::Ready(Next::Request(head, length)),
                    Found::Strange => return Poll::Ready(Next::Strange),
                    Found::Nothing => {}
                }
                match client.poll_fill(cx) {
                    Poll::Ready(Ok(1..)) => {}
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Next::End),
                    Poll::Pending => break,
                }
            }
            if last_word.as_mut().poll(cx).is_ready() || idle.poll(cx).is_ready() {
                return Poll::Ready(Next::End);
            }
            Poll::Pending
        })
        .await
    }

    /// What comes of `serving`; none if the client closes its connection before.
    async fn while_it_stays<T>(&self, mut serving: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        std::future::poll_fn(|cx| {
            if let Poll::Ready(response) = serving.as_mut().poll(cx) {
                return Poll::Ready(Some(response));
            }
            let mut client = self.lock();
            if client.poll_write_ahead(cx).is_err() {
                return Poll::Ready(None);
            }
            // As long as its body comes, whoever reads that sees it leave.
            while client.left == 0 && client.buffer.len() < READ_AHEAD && !client.ended {
                match ready!(client.poll_fill(cx)) {
                    Ok(1..) => {}
                    // It has sent its last request and waits for this answer and perhaps more.
                    Ok(0) if !client.buffer.is_empty() => client.ended = true,
                    Ok(0) | Err(_) => return Poll::Ready(None),
                }
            }
            if client.ended && client.buffer.is_empty() { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }

    /// Ends the connection so that the client surely gets what was written last.
    async fn end(self) {
        // Nobody else has it any more once its request is answered.
        let Some((mut stream, _)) = self.into_inner() else { return };
        if stream.shutdown().await.is_err() {
            return;
        }
        let drained = async {
            let mut unwanted = BytesMut::with_capacity(READ);
            let mut read = async || {
                unwanted.clear();
                tokio::io::AsyncReadExt::read_buf(&mut stream, &mut unwanted).await
            };
            while matches!(read().await, Ok(1..)) {}
        };
        // Either way it is over.
        let _ = tokio::time::timeout(LINGER, drained).await;
    }
}

impl Client {
    /// Reads at least a byte, unless the connection has ended.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        buffers::poll_fill(&mut self.stream, &mut self.buffer, cx)
    }
}

impl Client {
    /// What a VM has told of its progress and the client does not have yet.
    fn take_ahead(&mut self) -> BytesMut {
        self.ahead.unsplit(self.interim.take());
        std::mem::take(&mut self.ahead)
    }

    /// Writes of that as much as the client takes.
    fn poll_write_ahead(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.ahead.is_empty() {
            self.ahead = self.interim.take();
        }
        while !self.ahead.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.ahead) {
                Poll::Ready(written) => self.ahead.advance(written?),
                Poll::Pending => break,
            }
        }
        Ok(())
    }
}

impl PlainBody {
    /// The bytes to come.
    pub(super) fn left(&self) -> u64 {
        self.0.lock().left
    }

    /// The next bytes; none at the end.
    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        let client = &mut *self.0.lock();
        if client.left == 0 {
            return Poll::Ready(None);
        }
        if client.buffer.is_empty() {
            let fault = match buffers::poll_read(&mut client.stream, cx, client.left) {
                Poll::Ready(Ok(bytes)) if !bytes.is_empty() => {
                    client.reading.moved();
                    client.left -= bytes.len() as u64;
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Poll::Ready(Ok(_)) => {
                    Fault::Broken("the connection ended before the body did".to_owned())
                }
                Poll::Ready(Err(error)) => Fault::Broken(error.to_string()),
                Poll::Pending => {
                    ready!(client.reading.poll_wait(cx));
                    let limit = client.limit;
                    let why = format!("the body of the request did not come within {limit:?}");
                    Fault::TooSlow(why)
                }
            };
            return Poll::Ready(Some(Err(fault)));
        }
        let buffered = client.buffer.len();
        let now = usize::try_from(client.left).map_or(buffered, |left| left.min(buffered));
        client.left -= now as u64;
        Poll::Ready(Some(Ok(client.buffer.split_to(now).freeze())))
    }
}
