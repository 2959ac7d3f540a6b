//! Connections to VMs: HTTP/1.1 as a client speaks it.
//!
//! Everything happens in the task of the request: its body goes out and the answer comes in without
//! another task, queue or lock between them, and dropping either closes the connection, which tells
//! the VM to stop.

mod answer;
mod interim;
mod sending;
mod wire;

use std::io;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;

use super::buffers;
use super::message::AnswerHead;
use super::tape::{Fault, Reader};
use answer::Rest;
pub(super) use answer::{AnswerError, Body};
pub(super) use interim::Interim;
pub(super) use sending::Framing;
use sending::Sending;
pub(super) use wire::Wire;

/// A connection to a VM that takes the next request. In a box, for with each request it is handed on a
/// dozen times.
pub(super) struct Connection(Box<Exchange>);

/// A request in bytes.
pub(super) struct Request {
    /// The head, with the empty line that ends it.
    pub(super) head: Vec<u8>,
    /// How its body is framed.
    pub(super) framing: Framing,
    /// The body.
    pub(super) body: Reader,
    /// Whether the answer has no body whatever its head says, as to HEAD.
    pub(super) is_head: bool,
    /// Takes answers that only tell of progress to the client.
    pub(super) interim: Option<Interim>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum AskError {
    /// The connection was closed before any byte of the request went out.
    Unsent,
    /// The connection ended before the answer's head did.
    Closed(String),
    /// What came is no head of an answer.
    Garbled(String),
    /// The body of the request cannot be sent.
    Body(Fault),
}

/// A request on its way out and its answer on its way in.
struct Exchange {
    stream: Wire,
    /// Read and not understood yet.
    buffer: BytesMut,
    sending: Option<Sending>,
    /// What follows the head of the answer.
    rest: Rest,
}

impl Connection {
    /// A connection that was just made.
    pub(super) fn new(stream: Wire) -> Self {
        let (buffer, sending, rest) = (BytesMut::new(), None, Rest::default());
        Self(Box::new(Exchange { stream, buffer, sending, rest }))
    }

    /// Whether nothing has been heard on it since its last answer, as far as is known here: neither
    /// its end nor bytes that nobody asked for.
    pub(super) fn is_silent(&self) -> bool {
        let heard = self.0.stream.try_read(&mut [0]);
        self.0.buffer.is_empty()
            && heard.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends `request` and waits for the head of the answer. Answers that only tell of progress
    /// (100 to 199, but for 101) come before it.
    pub(super) async fn ask(self, request: Request) -> Result<(AnswerHead, Body), AskError> {
        let Request { head, framing, body, is_head, interim } = request;
        let mut exchange = self.0;
        exchange.sending = Some(Sending::new(head, framing, body));
        let head =
            std::future::poll_fn(|cx| exchange.poll_head(cx, is_head, interim.as_ref())).await?;
        Ok((head, Body::new(exchange)))
    }
}

impl Exchange {
    /// Reads at least a byte, unless the connection has ended.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        buffers::poll_fill(&mut self.stream, &mut self.buffer, cx)
    }

    /// Sends what can be sent. Pending is no reason to wait: the answer may come first.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AskError>> {
        let Some(sending) = &mut self.sending else { return Poll::Ready(Ok(())) };
        match ready!(sending.poll(cx, &mut self.stream)) {
            Ok(()) => self.sending = None,
            Err(sending::Error::Body(fault)) => return Poll::Ready(Err(AskError::Body(fault))),
            Err(sending::Error::Unsent) => return Poll::Ready(Err(AskError::Unsent)),
            // The VM may have answered before it closed.
            Err(sending::Error::Closed) => {}
        }
        Poll::Ready(Ok(()))
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        is_head: bool,
        interim: Option<&Interim>,
    ) -> Poll<Result<AnswerHead, AskError>> {
        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        loop {
            match answer::head(&mut self.buffer, is_head) {
                Ok(Some((mut head, _))) if answer::is_interim(head.status) => {
                    if let Some(interim) = interim {
                        interim.tell(&mut head);
                    }
                    continue;
                }
                Ok(Some((head, rest))) => {
                    self.rest = rest;
                    return Poll::Ready(Ok(head));
                }
                Ok(None) => {}
                Err(why) => return Poll::Ready(Err(AskError::Garbled(why))),
            }
            let closed = |why: String| Poll::Ready(Err(AskError::Closed(why)));
            match ready!(self.poll_fill(cx)) {
                Ok(0) => return closed("the connection ended before the head did".to_owned()),
                Ok(_) => {}
                Err(error) => return closed(error.to_string()),
            }
        }
    }
}
