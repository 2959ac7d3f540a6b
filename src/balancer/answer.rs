//! The bodies that go to clients.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, SizeHint};
use hyper::{HeaderMap, Response};
use tokio::time::Sleep;

use super::finish::Finish;
use super::message::AnswerHead;
use super::tape::Tape;
use super::tunnel::Tunnel;
use super::upstream::{self, AnswerError, Connection};

/// An answer on its way to a client.
pub(super) struct Reply {
    /// Its head.
    pub(super) head: AnswerHead,
    /// Its body.
    pub(super) body: AnswerBody,
}

impl From<Reply> for Response<AnswerBody> {
    fn from(Reply { head, body }: Reply) -> Self {
        let mut response = Self::new(body);
        *response.status_mut() = head.status;
        *response.headers_mut() = head.fields.into();
        response
    }
}

/// The body of an answer.
pub(super) enum AnswerBody {
    /// All of it is here.
    Held(Whole),
    /// The first part is here, the rest is on its way.
    Streamed(Box<Streamed>),
    /// All of it is here; then the rest of the request is read and thrown away.
    Early(Early),
    /// Nothing: another protocol begins.
    Switched(Option<Box<Tunnel>>),
}

/// A body that is all here.
#[derive(Debug, Default)]
pub(super) struct Whole {
    chunks: VecDeque<Bytes>,
    trailers: Option<Box<HeaderMap>>,
}

impl From<VecDeque<Bytes>> for Whole {
    fn from(chunks: VecDeque<Bytes>) -> Self {
        Self { chunks, trailers: None }
    }
}

impl Whole {
    /// Bytes of all chunks together.
    pub(super) fn length(&self) -> u64 {
        length(&self.chunks)
    }

    /// The bytes alone, for whoever does not want to know of trailers.
    pub(super) fn into_chunks(self) -> VecDeque<Bytes> {
        self.chunks
    }

    fn next(&mut self) -> Option<Frame<Bytes>> {
        let chunk = self.chunks.pop_front().map(Frame::data);
        chunk.or_else(|| self.trailers.take().map(|trailers| Frame::trailers(*trailers)))
    }

    fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.trailers.is_none()
    }

    /// A body with trailers has no length beforehand: it goes out in chunks.
    fn size_hint(&self) -> SizeHint {
        match self.trailers {
            None => SizeHint::with_exact(self.length()),
            Some(_) => SizeHint::default(),
        }
    }
}

/// An answer too long to be held.
pub(super) struct Streamed {
    first: VecDeque<Bytes>,
    /// None once it has ended.
    rest: Option<upstream::Body>,
    /// What is to be done when it has all gone out.
    finish: Option<Finish>,
}

/// An answer to a request whose body nobody wants.
pub(super) struct Early {
    answer: Whole,
    unwanted: Tape,
    most: u64,
    patience: Pin<Box<Sleep>>,
}

/// So much of an unwanted body is read, so that its sender comes to look at the answer.
const UNWANTED_BYTES: u64 = 256 << 20;
/// And for so long.
const UNWANTED_TIME: Duration = Duration::from_secs(10);

impl AnswerBody {
    /// An answer that streams.
    pub(super) fn streamed(first: VecDeque<Bytes>, rest: upstream::Body, finish: Finish) -> Self {
        let (rest, finish) = (Some(rest), Some(finish));
        Self::Streamed(Box::new(Streamed { first, rest, finish }))
    }

    /// An answer to a client that still sends. It goes out at once, but its end does not, so the
    /// head must not declare its length.
    pub(super) fn early(answer: Whole, unwanted: Tape) -> Self {
        let patience = Box::pin(tokio::time::sleep(UNWANTED_TIME));
        Self::Early(Early { answer, unwanted, most: UNWANTED_BYTES, patience })
    }

    /// The connection to the VM, if another protocol begins on it.
    pub(super) fn take_tunnel(&mut self) -> Option<Box<Tunnel>> {
        match self {
            Self::Switched(tunnel) => tunnel.take(),
            Self::Held(_) | Self::Streamed(_) | Self::Early(_) => None,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        match self.get_mut() {
            Self::Held(whole) => Poll::Ready(whole.next().map(Ok)),
            Self::Switched(_) => Poll::Ready(None),
            Self::Streamed(streamed) => streamed.poll(cx),
            Self::Early(early) => match early.answer.next() {
                Some(frame) => Poll::Ready(Some(Ok(frame))),
                None if early.patience.as_mut().poll(cx).is_ready() => Poll::Ready(None),
                None => early.unwanted.poll_discard(cx, &mut early.most).map(|()| None),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Held(whole) => whole.is_empty(),
            Self::Switched(_) => true,
            Self::Streamed(_) | Self::Early(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Held(whole) => whole.size_hint(),
            Self::Switched(_) => SizeHint::with_exact(0),
            Self::Streamed(streamed) => {
                let rest = streamed.rest.as_ref().map_or(Some(0), upstream::Body::length);
                rest.map_or_else(SizeHint::default, |rest| {
                    SizeHint::with_exact(rest + length(&streamed.first))
                })
            }
            Self::Early(_) => SizeHint::default(),
        }
    }
}

impl Streamed {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        if let Some(chunk) = self.first.pop_front() {
            self.sent(chunk.len());
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let frame = ready!(rest.poll_part(cx));
        match &frame {
            Some(Ok(frame)) => self.sent(frame.data_ref().map_or(0, Bytes::len)),
            Some(Err(error)) => self.finish.take().into_iter().for_each(|f| f.cut_short(error)),
            None => self.end(),
        }
        Poll::Ready(frame)
    }

    fn sent(&mut self, bytes: usize) {
        if let Some(finish) = &mut self.finish {
            finish.sent(bytes as u64);
        }
        // A body of declared length is not asked for its end after its last byte.
        if self.first.is_empty() && self.rest.as_ref().is_some_and(|rest| rest.length() == Some(0))
        {
            self.end();
        }
    }

    fn end(&mut self) {
        let connection = self.rest.take().and_then(upstream::Body::into_connection);
        if let Some(finish) = self.finish.take() {
            finish.whole(connection);
        }
    }
}

fn length(chunks: &VecDeque<Bytes>) -> u64 {
    chunks.iter().map(|chunk| chunk.len() as u64).sum()
}

/// An answer's body as far as it was to be held.
pub(super) enum Held {
    /// All of it; and the connection that it came over, if it can be used again.
    Whole(Whole, Option<Connection>),
    /// It is longer; this much was held.
    Part(VecDeque<Bytes>, upstream::Body),
}

/// Takes an answer's body if it is all here already, or nothing of it.
pub(super) fn take_all(mut body: upstream::Body) -> Held {
    let Some(bytes) = body.take_all() else { return Held::Part(VecDeque::new(), body) };
    let chunks = if bytes.is_empty() { VecDeque::new() } else { VecDeque::from([bytes]) };
    Held::Whole(chunks.into(), body.into_connection())
}

/// Takes an answer's body until it is whole or longer than `limit` bytes.
pub(super) async fn hold(mut body: upstream::Body, limit: u64) -> Result<Held, AnswerError> {
    let (mut chunks, mut trailers) = (VecDeque::new(), None);
    let mut bytes = 0;
    while let Some(part) = body.part().await {
        let chunk = match part?.into_data() {
            Ok(chunk) => chunk,
            Err(frame) => {
                trailers = frame.into_trailers().ok().map(Box::new);
                continue;
            }
        };
        bytes += chunk.len() as u64;
        chunks.push_back(chunk);
        if bytes > limit {
            return Ok(Held::Part(chunks, body));
        }
    }
    Ok(Held::Whole(Whole { chunks, trailers }, body.into_connection()))
}

/// The whole text of a short body.
pub(super) async fn text_of(body: Full<Bytes>) -> Bytes {
    match body.collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(never) => match never {},
    }
}
