//! Answers on the short way.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use hyper::StatusCode;
use hyper::body::Body;
use hyper::header::{CONNECTION, CONTENT_LENGTH, DATE};
use tokio::io::AsyncWrite;

use super::Lane;
use crate::balancer::answer::{AnswerBody, Reply};
use crate::balancer::headers::{self, says_close};
use crate::balancer::message::AnswerHead;
use crate::balancer::patience::Patience;

/// So many pieces are written with one call.
const PIECES: usize = 32;
/// A body up to so many bytes is copied behind its head: that takes less time than to have the
/// system gather the two.
const COPIED: u64 = 4 << 10;

/// How the end of an answer's body is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It has none, or its length stands in the head already.
    Known,
    /// By this length.
    Length(u64),
    /// It goes out in chunks.
    Chunks,
}

/// Writes an answer. Sets `close` if the connection cannot be used after it.
pub(super) async fn write(
    lane: &Lane,
    reply: Reply,
    out: &mut Vec<u8>,
    close: &mut bool,
    is_head: bool,
    patience: &mut Patience,
) -> io::Result<()> {
    let Reply { head, mut body } = reply;
    *close |= says_close(&head.fields);
    let has_none =
        is_head || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&head.status);
    let whole = match &mut body {
        AnswerBody::Held(whole) => Some(std::mem::take(whole).into_chunks()),
        _ => None,
    };
    let length = match &whole {
        Some(chunks) => Some(chunks.iter().map(|chunk| chunk.len() as u64).sum()),
        None => body.size_hint().exact(),
    };
    let ending = match length {
        _ if has_none || head.fields.has(&CONTENT_LENGTH) => Ending::Known,
        Some(length) => Ending::Length(length),
        None => Ending::Chunks,
    };
    out.clear();
    out.extend_from_slice(&lane.lock().take_ahead());
    write_head(out, &head, ending, *close);
    let is_all = whole.is_some() || has_none;
    let mut pieces = whole.filter(|_| !has_none).unwrap_or_default();
    if length.is_some_and(|length| length <= COPIED) {
        pieces.drain(..).for_each(|piece| out.extend_from_slice(&piece));
    }
    send(lane, out, pieces, patience).await?;
    if is_all {
        return Ok(());
    }
    rest(lane, out, body, ending == Ending::Chunks, patience).await
}

fn write_head(out: &mut Vec<u8>, head: &AnswerHead, ending: Ending, close: bool) {
    let reason = head.status.canonical_reason().unwrap_or_default();
    headers::write_line(
        out,
        &[b"HTTP/1.1 ", head.status.as_str().as_bytes(), b" ", reason.as_bytes()],
    );
    headers::write(out, head.fields.iter());
    match ending {
        Ending::Known => {}
        Ending::Length(length) => {
            headers::write_line(out, &[b"content-length: ", length.to_string().as_bytes()]);
        }
        Ending::Chunks => headers::write_line(out, &[b"transfer-encoding: chunked"]),
    }
    if !head.fields.has(&DATE) {
        let now = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        headers::write_line(out, &[b"date: ", now.as_bytes()]);
    }
    if close && !head.fields.has(&CONNECTION) {
        headers::write_line(out, &[b"connection: close"]);
    }
    headers::write_line(out, &[]);
}

/// Writes a body that is not all there yet.
async fn rest(
    lane: &Lane,
    out: &mut Vec<u8>,
    mut body: AnswerBody,
    chunked: bool,
    patience: &mut Patience,
) -> io::Result<()> {
    loop {
        let next = pin!(std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)));
        let frame = match lane.while_it_stays(next).await {
            None => return Err(io::Error::other("the client left amid its answer")),
            Some(None) => break,
            Some(Some(frame)) => frame,
        };
        // A client that did not say so does not want to know of trailers.
        let Ok(data) = frame.map_err(io::Error::other)?.into_data() else { continue };
        if data.is_empty() {
            continue;
        }
        out.clear();
        if chunked {
            out.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
        }
        let end = chunked.then_some(Bytes::from_static(b"\r\n"));
        send(lane, out, [Some(data), end].into_iter().flatten().collect(), patience).await?;
    }
    out.clear();
    if chunked {
        out.extend_from_slice(b"0\r\n\r\n");
    }
    send(lane, out, VecDeque::new(), patience).await
}

/// Writes `text` and then the pieces.
async fn send(
    lane: &Lane,
    text: &[u8],
    mut pieces: VecDeque<Bytes>,
    patience: &mut Patience,
) -> io::Result<()> {
    let mut text = text;
    std::future::poll_fn(|cx| {
        while !text.is_empty() || !pieces.is_empty() {
            let mut written = ready!(poll_write(lane, text, &pieces, patience, cx))?;
            let of_text = written.min(text.len());
            text.advance(of_text);
            written -= of_text;
            while let Some(first) = pieces.front_mut() {
                let of_piece = written.min(first.len());
                first.advance(of_piece);
                written -= of_piece;
                if !first.is_empty() {
                    break;
                }
                pieces.pop_front();
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
}

fn poll_write(
    lane: &Lane,
    text: &[u8],
    pieces: &VecDeque<Bytes>,
    patience: &mut Patience,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut client = lane.lock();
    let stream = Pin::new(&mut client.stream);
    let outcome = if pieces.is_empty() {
        stream.poll_write(cx, text)
    } else {
        let mut slices = [IoSlice::new(&[]); PIECES];
        slices[0] = IoSlice::new(text);
        for (slice, piece) in slices[1..].iter_mut().zip(pieces) {
            *slice = IoSlice::new(piece);
        }
        let used = (pieces.len() + 1).min(PIECES);
        stream.poll_write_vectored(cx, slices.get(..used).unwrap_or_default())
    };
    match outcome {
        Poll::Pending => {
            ready!(patience.poll_wait(cx));
            let why = format!("the client did not read its answer within {:?}", patience.limit());
            Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)))
        }
        Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        Poll::Ready(outcome) => {
            patience.moved();
            Poll::Ready(outcome)
        }
    }
}
