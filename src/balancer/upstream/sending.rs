//! A request on its way to a VM.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use hyper::HeaderMap;
use hyper::body::Body;
use tokio::io::AsyncWrite;

use super::Wire;
use crate::balancer::headers;
use crate::balancer::tape::{Fault, Reader};

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::balancer) enum Framing {
    /// By its length, or there is none.
    Length,
    /// It goes out in chunks.
    Chunks,
}

/// What is left of a request to be sent.
pub(super) struct Sending {
    /// Head, sizes of chunks, trailers.
    text: Vec<u8>,
    /// So much of that has gone out.
    text_sent: usize,
    /// Goes out after that.
    chunk: Bytes,
    body: Reader,
    framing: Framing,
    /// A chunk has gone out or is about to, and the line end after it has not.
    in_chunk: bool,
    /// Nothing comes after `text` and `chunk`.
    is_last: bool,
    /// A byte has gone out.
    begun: bool,
}

/// Why it cannot be sent.
pub(super) enum Error {
    /// The connection was closed before anything went out.
    Unsent,
    /// The connection was closed.
    Closed,
    /// The body cannot be had.
    Body(Fault),
}

impl Sending {
    pub(super) fn new(head: Vec<u8>, framing: Framing, body: Reader) -> Self {
        let (text, text_sent, chunk) = (head, 0, Bytes::new());
        Self {
            text,
            text_sent,
            chunk,
            body,
            framing,
            in_chunk: false,
            is_last: false,
            begun: false,
        }
    }

    /// Sends until all is sent.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Wire,
    ) -> Poll<Result<(), Error>> {
        loop {
            if self.chunk.is_empty() && !self.is_last {
                // The beginning of the body goes out with the head, if it is there.
                let gathered = self.gather(cx)?;
                if self.text.is_empty() {
                    ready!(gathered);
                }
            }
            if self.text.is_empty() && self.chunk.is_empty() {
                if self.is_last {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            match ready!(self.write(cx, stream)) {
                Ok(written @ 1..) => self.advance(written),
                Ok(_) | Err(_) if self.begun => return Poll::Ready(Err(Error::Closed)),
                Ok(_) | Err(_) => return Poll::Ready(Err(Error::Unsent)),
            }
        }
    }

    fn write(&self, cx: &mut Context<'_>, stream: &mut Wire) -> Poll<io::Result<usize>> {
        let stream = Pin::new(stream);
        let text = self.text.get(self.text_sent..).unwrap_or_default();
        if self.chunk.is_empty() {
            return stream.poll_write(cx, text);
        }
        let both = [IoSlice::new(text), IoSlice::new(&self.chunk)];
        stream.poll_write_vectored(cx, &both)
    }

    fn advance(&mut self, written: usize) {
        self.begun = true;
        let of_text = written.min(self.text.len() - self.text_sent);
        self.text_sent += of_text;
        if self.text_sent == self.text.len() {
            self.text.clear();
            self.text_sent = 0;
        }
        self.chunk.advance((written - of_text).min(self.chunk.len()));
    }

    /// Takes the next part of the body.
    fn gather(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(fault)) => return Poll::Ready(Err(Error::Body(fault))),
            None => {
                self.end(None);
                return Poll::Ready(Ok(()));
            }
        };
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => {
                if self.framing == Framing::Chunks {
                    let before = if self.in_chunk { "\r\n" } else { "" };
                    let size = format!("{before}{:x}\r\n", data.len());
                    self.text.extend_from_slice(size.as_bytes());
                    self.in_chunk = true;
                }
                self.chunk = data;
            }
            Err(frame) => self.end(frame.into_trailers().ok().as_ref()),
        }
        Poll::Ready(Ok(()))
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) {
        self.is_last = true;
        if self.framing == Framing::Length {
            return;
        }
        let end = if self.in_chunk { &b"\r\n0\r\n"[..] } else { b"0\r\n" };
        self.text.extend_from_slice(end);
        let trailers = trailers.into_iter().flatten().filter(|(name, _)| headers::may_trail(name));
        headers::write(&mut self.text, trailers);
        headers::write_line(&mut self.text, &[]);
    }
}
