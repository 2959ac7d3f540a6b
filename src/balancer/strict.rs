//! Reads along with the HTTP parser and stops what two servers could understand differently.
//!
//! A parser that is lenient about where a message ends lets an attacker hide one request inside
//! another (request smuggling, RFC 9112, section 11.2). The parser used here accepts lines that end
//! with a bare LF, and drops `Content-Length` beside `Transfer-Encoding` without a trace. So every
//! byte from a client passes a scanner first that knows only one way to frame a message. A head
//! goes on to the parser only when it is whole and sound. In the place of one that is not, the
//! parser gets a head of our own, and its service a note of what to answer: so a client that made
//! a mistake is told which, in the order of its requests, and the request is accounted for.
//!
//! The same place bounds how long a client may take to send a head or a body, and to read an
//! answer, in all.

mod chunks;
mod head;
mod notes;
mod scanner;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::patience::Patience;
use head::Refused;
use scanner::{Fault, LONGEST_HEAD, Scanner};

pub(super) use chunks::{Chunks, Piece};
pub(super) use head::{After, Lines, RequestLine, read as read_head};
pub(super) use notes::{Arrival, Notes};

/// How long a client may take, in all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// To send a head, from its first byte.
    pub(super) head: Duration,
    /// To send a body; time in which nobody wanted more of it does not count.
    pub(super) body: Duration,
    /// To read an answer; time in which there was nothing to read does not count.
    pub(super) answer: Duration,
}

/// After an answer that cut a client short, its connection stays for so long, and what it still
/// sends is thrown away: closed at once, it could lose the answer (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(2);

/// A connection of which every byte that is read has been scanned.
pub(super) struct Strict<S> {
    stream: S,
    limits: Limits,
    notes: Notes,
    /// None: what comes is not HTTP/1 and passes as it is.
    scanner: Option<Scanner>,
    /// May go on to the parser, from this place on.
    ready: (Vec<u8>, usize),
    /// Must not, so far: the beginning of a head.
    held: Vec<u8>,
    /// When that began.
    head_began: Option<Instant>,
    /// A head was refused: nothing more is read.
    refused: bool,
    /// What is wrong with the body.
    broken: Option<(io::ErrorKind, String)>,
    reading: Patience,
    writing: Patience,
    lingering: Option<Patience>,
}

impl<S> Strict<S> {
    /// Scans what is read from `stream` after these `first` bytes, and them too.
    pub(super) fn new(stream: S, first: &[u8], limits: Limits, notes: Notes) -> Self {
        let mut this = Self::with(stream, limits, notes, Some(Scanner::default()));
        this.hold_and_scan(first);
        this
    }

    /// Passes everything as it is, and only looks at the time that the client takes to read.
    pub(super) fn transparent(stream: S, first: Vec<u8>, limits: Limits) -> Self {
        let mut this = Self::with(stream, limits, Notes::default(), None);
        this.ready = (first, 0);
        this
    }

    fn with(stream: S, limits: Limits, notes: Notes, scanner: Option<Scanner>) -> Self {
        Self {
            stream,
            limits,
            notes,
            scanner,
            ready: (Vec::new(), 0),
            held: Vec::new(),
            head_began: None,
            refused: false,
            broken: None,
            reading: Patience::new(limits.head),
            writing: Patience::new(limits.answer),
            lingering: None,
        }
    }

    /// The connection, and what was read from it and not understood as HTTP.
    pub(super) fn into_inner(self) -> (S, Vec<u8>) {
        let (mut rest, given) = self.ready;
        rest.drain(..given);
        rest.extend_from_slice(&self.held);
        (self.stream, rest)
    }

    /// Gives what is ready. Whether there was any.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let (bytes, given) = &mut self.ready;
        let rest = bytes.get(*given..).unwrap_or_default();
        let now = rest.get(..buf.remaining()).unwrap_or(rest);
        buf.put_slice(now);
        *given += now.len();
        let any = !now.is_empty();
        if *given == bytes.len() {
            self.ready = (Vec::new(), 0);
        }
        any
    }

    /// Scans what came into `buf` after its first `before` bytes, and leaves there what may go on.
    fn scan(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let new = buf.filled().get(before..).unwrap_or_default();
        let Some(scanner) = &mut self.scanner else { return };
        if !self.held.is_empty() || scanner.is_undecided() {
            let new = new.to_vec();
            buf.set_filled(before);
            return self.hold_and_scan(&new);
        }
        let heads = scanner.heads;
        let verdict = scanner.scan(new);
        let rest = new.get(verdict.passed..).unwrap_or_default();
        self.held.extend_from_slice(rest);
        buf.set_filled(before + verdict.passed);
        self.settle(heads, verdict.fault);
    }

    /// As [`Self::scan`], for bytes that follow others which are held back.
    fn hold_and_scan(&mut self, new: &[u8]) {
        let Some(scanner) = &mut self.scanner else { return };
        self.held.extend_from_slice(new);
        let heads = scanner.heads;
        let verdict = scanner.scan(&self.held);
        self.ready.0.extend(self.held.drain(..verdict.passed));
        self.settle(heads, verdict.fault);
    }

    /// After a scan before which so many heads had passed.
    fn settle(&mut self, heads_before: u64, fault: Option<Fault>) {
        let Some(scanner) = &self.scanner else { return };
        let (heads, at_head) = (scanner.heads, scanner.is_at_head());
        if heads > heads_before {
            if let Some(began) = self.head_began.take() {
                self.notes.slow(heads_before + 1, began.elapsed());
            }
            if scanner.asks_for_upgrade {
                self.notes.asks_for_upgrade(heads);
            }
            self.reading.renew(self.limits.body);
            self.writing.renew(self.limits.answer);
        }
        match fault {
            Some(Fault::Head(refused)) => self.refuse(refused),
            Some(Fault::Body(why)) => self.broken = Some((io::ErrorKind::InvalidData, why.into())),
            None if at_head && !self.held.is_empty() && self.head_began.is_none() => {
                self.head_began = Some(Instant::now());
                self.reading.renew(self.limits.head);
            }
            None => {}
        }
        if self.held.is_empty() {
            self.held = Vec::new();
        }
    }

    /// Puts a head of our own in the place of the one that is held back.
    fn refuse(&mut self, refused: Refused) {
        let heads = self.scanner.as_ref().map_or(0, |scanner| scanner.heads);
        self.notes.refused(heads + 1, refused.problem());
        let (method, path) = head::method_and_path(&self.held).unwrap_or(("-", "/"));
        let head = format!("{method} {path} HTTP/1.1\r\nHost: -\r\nConnection: close\r\n\r\n");
        self.ready.0.extend_from_slice(head.as_bytes());
        self.held = Vec::new();
        self.refused = true;
    }

    /// Nothing has come. Ready if the client has taken too long, and that was made a fault.
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(scanner) = &self.scanner else { return Poll::Pending };
        if scanner.is_undecided() || (scanner.is_at_head() && self.held.is_empty()) {
            return Poll::Pending;
        }
        let at_head = scanner.is_at_head();
        ready!(self.reading.poll_wait(cx));
        let limit = if at_head { self.limits.head } else { self.limits.body };
        let part = if at_head { "head" } else { "body" };
        let why = format!("the {part} of the request did not come within {limit:?}");
        if at_head {
            self.refuse(Refused { status: StatusCode::REQUEST_TIMEOUT, why });
        } else {
            self.broken = Some((io::ErrorKind::TimedOut, why));
        }
        Poll::Ready(())
    }

    /// The outcome of a try to write.
    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_pending() {
            ready!(self.writing.poll_wait(cx));
            let why = format!("the client did not read its answer within {:?}", self.limits.answer);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)));
        }
        if self.scanner.is_some() {
            self.writing.moved();
        } else {
            self.writing.renew(self.limits.answer);
        }
        outcome
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.give(buf) {
                return Poll::Ready(Ok(()));
            }
            if let Some((kind, why)) = &this.broken {
                return Poll::Ready(Err(io::Error::new(*kind, why.clone())));
            }
            if this.refused || this.held.len() > LONGEST_HEAD {
                // Wait for the answer, which is on its way.
                return Poll::Pending;
            }
            let before = buf.filled().len();
            match Pin::new(&mut this.stream).poll_read(cx, buf) {
                Poll::Ready(outcome) => outcome?,
                Poll::Pending => {
                    ready!(this.poll_wait(cx));
                    continue;
                }
            }
            this.reading.moved();
            if buf.filled().len() == before {
                let at_head = this.scanner.as_ref().is_some_and(Scanner::is_at_head);
                if this.held.is_empty() || !at_head {
                    return Poll::Ready(Ok(()));
                }
                this.refuse(Refused::bad("the connection ended before the head did"));
                continue;
            }
            this.scan(buf, before);
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(cx, outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        if !this.refused && this.broken.is_none() {
            return Poll::Ready(Ok(()));
        }
        let lingering = this.lingering.get_or_insert_with(|| Patience::new(LINGER));
        loop {
            let mut unwanted = [0; 4096];
            let mut unwanted = ReadBuf::new(&mut unwanted);
            let read = Pin::new(&mut this.stream).poll_read(cx, &mut unwanted);
            let over = lingering.poll_wait(cx).is_ready();
            match read {
                Poll::Ready(Ok(())) if !unwanted.filled().is_empty() && !over => {}
                Poll::Pending if !over => return Poll::Pending,
                _ => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
