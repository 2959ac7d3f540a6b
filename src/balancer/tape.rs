//! A request's body that is sent on while it arrives and kept, so that it can be sent again.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::lane::PlainBody;

/// A body comes in at most so many pieces: each costs memory beside its bytes.
const MOST_CHUNKS: usize = 1 << 20;

/// A body from the client, played to one VM at a time, from its start each time.
///
/// Holds the chunks as they came, without copying them. Asks the client for more only when the VM
/// has taken what there is, so a slow VM slows the client down.
#[derive(Clone)]
pub(super) struct Tape(Arc<Mutex<Recording>>);

/// Where a body comes from.
pub(super) enum Source {
    /// There is none.
    Nothing,
    /// A connection on the short way.
    Plain(PlainBody),
    /// The parser.
    Parsed(Incoming),
    /// A stream of HTTP/2.
    Stream(Incoming),
}

impl Source {
    fn is_over(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Plain(body) => body.left() == 0,
            Self::Parsed(body) | Self::Stream(body) => body.is_end_stream(),
        }
    }

    /// Bytes to come, if that is known.
    fn length(&self) -> Option<u64> {
        match self {
            Self::Nothing => Some(0),
            Self::Plain(body) => Some(body.left()),
            Self::Parsed(body) | Self::Stream(body) => body.size_hint().exact(),
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match self {
            Self::Nothing => Poll::Ready(None),
            Self::Plain(body) => body.poll_data(cx).map(|data| Some(data?.map(Frame::data))),
            Self::Parsed(body) | Self::Stream(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(|error| fault_of(&error))))
            }
        }
    }
}

struct Recording {
    source: Source,
    chunks: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    bytes: u64,
    limit: u64,
    declared: Option<u64>,
    end: End,
    /// Which reader may take from the source: the youngest. An older one belongs to an attempt
    /// that was given up; it would take the wake-up away from the one that counts. Once the body
    /// is whole nobody takes from the source, and several may play at once.
    reader: u64,
}

/// How far a recording has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Open,
    Whole,
    Failed(Fault),
}

/// The beginning of a body.
pub(super) struct Start {
    /// What has come.
    pub(super) bytes: Bytes,
    /// Whether that is the whole body.
    pub(super) is_all: bool,
}

/// Why a body cannot be sent on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// It is longer than the limit.
    #[error("the body is longer than the limit of {limit} bytes")]
    TooLong {
        /// The most that is taken, in bytes.
        limit: u64,
    },
    /// It does not follow HTTP, or ended early.
    #[error("the body could not be read: {0}")]
    Broken(String),
    /// The client took too long to send it.
    #[error("{0}")]
    TooSlow(String),
    /// This attempt was given up for another one.
    #[error("the request was sent elsewhere")]
    GivenUp,
}

impl Tape {
    /// A tape that takes up to `limit` bytes.
    pub(super) fn new(source: Source, limit: u64) -> Self {
        /// All requests without a body have the same one: nothing ever changes on it.
        static EMPTY: LazyLock<Tape> = LazyLock::new(|| Tape::recording(Source::Nothing, 0));
        match source {
            Source::Nothing => EMPTY.clone(),
            source => Self::recording(source, limit),
        }
    }

    fn recording(source: Source, limit: u64) -> Self {
        let end = if source.is_over() { End::Whole } else { End::Open };
        let declared = source.length();
        let (chunks, bytes, reader) = (Vec::new(), 0, 0);
        let recording =
            Recording { source, chunks, trailers: None, bytes, limit, declared, end, reader };
        Self(Arc::new(Mutex::new(recording)))
    }

    /// A reader that begins at the start. The readers before it get no more.
    pub(super) fn reader(&self) -> Reader {
        let mut recording = self.lock();
        recording.reader += 1;
        Reader { tape: self.clone(), number: recording.reader, next: 0, sent: 0, ended: false }
    }

    /// What was wrong with the body so far.
    pub(super) fn fault(&self) -> Option<Fault> {
        match &self.lock().end {
            End::Failed(fault) => Some(fault.clone()),
            End::Open | End::Whole => None,
        }
    }

    /// Whether the client has nothing more to send.
    pub(super) fn is_over(&self) -> bool {
        self.lock().end == End::Whole
    }

    /// Bytes taken so far.
    pub(super) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// The length that was declared.
    pub(super) fn declared(&self) -> Option<u64> {
        self.lock().declared
    }

    /// The first bytes of the body: at least `least` of them, or what arrives within `patience`.
    /// They stay on the tape.
    pub(super) async fn start(&self, least: usize, patience: Duration) -> Start {
        let enough = std::future::poll_fn(|cx| {
            let mut recording = self.lock();
            while recording.bytes < least as u64 && recording.end == End::Open {
                ready!(recording.record(cx));
            }
            Poll::Ready(())
        });
        // Whatever came in time is what there is.
        let _ = tokio::time::timeout(patience, enough).await;
        let recording = self.lock();
        let bytes = match recording.chunks.as_slice() {
            [] => Bytes::new(),
            [only] => only.clone(),
            chunks => chunks.concat().into(),
        };
        Start { bytes, is_all: recording.end == End::Whole }
    }

    /// Waits for the whole body, and computes a fingerprint of it that begins with `seed`; none if
    /// it cannot be read. It stays on the tape.
    pub(super) async fn fingerprint(&self, seed: u64) -> Option<u64> {
        std::future::poll_fn(|cx| {
            let mut recording = self.lock();
            while recording.end == End::Open {
                ready!(recording.record(cx));
            }
            Poll::Ready(())
        })
        .await;
        let recording = self.lock();
        let whole = recording.end == End::Whole;
        whole.then(|| recording.chunks.iter().fold(seed, |hash, chunk| fingerprint(hash, chunk)))
    }

    /// Reads on and throws away: a client that sends a body which nobody wants may look for the
    /// answer only after it has sent it all. Ready at the end of the body, or after `most` bytes.
    pub(super) fn poll_discard(&self, cx: &mut Context<'_>, most: &mut u64) -> Poll<()> {
        let mut recording = self.lock();
        recording.reader += 1;
        recording.chunks.clear();
        while !recording.source.is_over() {
            match ready!(recording.source.poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                    match most.checked_sub(length) {
                        Some(left) => *most = left,
                        None => return Poll::Ready(()),
                    }
                }
                Some(Err(_)) | None => return Poll::Ready(()),
            }
        }
        Poll::Ready(())
    }

    fn lock(&self) -> MutexGuard<'_, Recording> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recording {
    /// Takes the next chunk from the client.
    fn record(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match ready!(self.source.poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let chunk = match frame.into_data() {
                        Ok(chunk) => chunk,
                        Err(frame) => {
                            self.trailers = frame.into_trailers().ok();
                            continue;
                        }
                    };
                    self.bytes += chunk.len() as u64;
                    if self.bytes > self.limit {
                        self.end = End::Failed(Fault::TooLong { limit: self.limit });
                    } else if self.chunks.len() == MOST_CHUNKS {
                        let sentence = format!("it comes in more than {MOST_CHUNKS} chunks");
                        self.end = End::Failed(Fault::Broken(sentence));
                    } else if !chunk.is_empty() {
                        self.chunks.push(chunk);
                    } else {
                        continue;
                    }
                }
                Some(Err(fault)) => self.end = End::Failed(fault),
                None => self.end = self.end_of_source(),
            }
            if self.end == End::Open && self.source.is_over() {
                self.end = End::Whole;
            }
            return Poll::Ready(());
        }
    }
}

impl Recording {
    /// What it means that the source has nothing more. A body that ended too early must never pass
    /// for a whole one: the VM would take the next request on its connection for the rest.
    fn end_of_source(&self) -> End {
        let is_short = self.declared.is_some_and(|declared| declared != self.bytes);
        // A client may reset its stream as if there were nothing wrong (RFC 9113, section 8.1).
        let is_reset = matches!(&self.source, Source::Stream(body) if !body.is_end_stream());
        if is_short || is_reset {
            let bytes = self.bytes;
            return End::Failed(Fault::Broken(format!("it was broken off after {bytes} bytes")));
        }
        End::Whole
    }
}

/// Adds `bytes` to a hash: FNV-1a, which does not mind in what pieces they come
/// (<http://www.isthe.com/chongo/tech/comp/fnv/>).
pub(super) fn fingerprint(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

fn fault_of(error: &hyper::Error) -> Fault {
    let cause = std::error::Error::source(error);
    match cause.and_then(|cause| cause.downcast_ref::<io::Error>()) {
        Some(cause) if cause.kind() == io::ErrorKind::TimedOut => Fault::TooSlow(cause.to_string()),
        Some(cause) => Fault::Broken(cause.to_string()),
        None => Fault::Broken(error.to_string()),
    }
}

/// Plays a tape from its start to one VM.
pub(super) struct Reader {
    tape: Tape,
    number: u64,
    next: usize,
    sent: u64,
    /// The trailers have gone out, or there are none.
    ended: bool,
}

impl Body for Reader {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let this = &mut *self;
        let mut recording = this.tape.lock();
        if recording.reader != this.number && recording.end == End::Open {
            return Poll::Ready(Some(Err(Fault::GivenUp)));
        }
        if this.next == recording.chunks.len() && recording.end == End::Open {
            ready!(recording.record(cx));
        }
        if let Some(chunk) = recording.chunks.get(this.next) {
            this.next += 1;
            this.sent += chunk.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(chunk.clone()))));
        }
        Poll::Ready(match &recording.end {
            End::Failed(fault) => Some(Err(fault.clone())),
            End::Whole if !std::mem::replace(&mut this.ended, true) => {
                recording.trailers.clone().map(|trailers| Ok(Frame::trailers(trailers)))
            }
            End::Open | End::Whole => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        let recording = self.tape.lock();
        let no_trailers = self.ended || recording.trailers.is_none();
        recording.end == End::Whole && self.next == recording.chunks.len() && no_trailers
    }

    fn size_hint(&self) -> SizeHint {
        let recording = self.tape.lock();
        match (recording.declared, &recording.end) {
            (Some(declared), _) => SizeHint::with_exact(declared.saturating_sub(self.sent)),
            (None, End::Whole) => SizeHint::with_exact(recording.bytes.saturating_sub(self.sent)),
            (None, _) => SizeHint::default(),
        }
    }
}
