//! A VM's answer on its way in.

use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use hyper::StatusCode;
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING, UPGRADE};

use super::{AskError, Connection, Exchange, Wire};
use crate::balancer::buffers;
use crate::balancer::headers::says_close;
use crate::balancer::message::{AnswerHead, Fields, end_of_head, field};
use crate::balancer::strict::{Chunks, Lines, Piece};
use crate::balancer::tape::Fault;

/// The longest head of an answer, in bytes.
const LONGEST_HEAD: usize = 64 << 10;
/// What is no answer at all is known as such within so many bytes.
const KNOWN_BY: usize = 1 << 10;
/// And the most header lines in it.
const MOST_HEADERS: usize = 128;
/// How an answer begins.
const VERSIONS: [&[u8]; 2] = [b"HTTP/1.1 ", b"HTTP/1.0 "];
/// So much of a body still to come is worth a buffer of its own.
const WORTH_A_BUFFER: u64 = 16 << 10;

/// How the body of an answer ends.
#[derive(Debug, Default)]
enum Framing {
    /// After so many more bytes.
    Length(u64),
    /// It says so itself.
    Chunks(Chunks),
    /// With the connection.
    UntilClose,
    /// It has ended.
    #[default]
    Over,
}

/// What follows the head of an answer.
#[derive(Debug, Default)]
pub(super) struct Rest {
    framing: Framing,
    /// Whether the connection may be used again afterwards.
    keep: bool,
}

/// The body of an answer, and the connection that it comes over.
pub(in crate::balancer) struct Body(Box<Exchange>);

/// Why an answer cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub(in crate::balancer) enum AnswerError {
    /// The connection ended.
    #[error("{0}")]
    Cut(String),
    /// It does not follow HTTP.
    #[error("{0}")]
    Garbled(String),
    /// The rest of the request cannot be had, and the VM waits for it.
    #[error("{0}")]
    Request(Fault),
}

impl AnswerError {
    fn early() -> Self {
        Self::Cut("the connection ended before the answer did".to_owned())
    }
}

/// Whether this answer only tells of progress and another one follows.
pub(super) fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// Takes a head from the front of `buffer`; none if it is not all there. With `is_head` the answer
/// has no body, whatever it says.
///
/// # Errors
/// What is wrong with it.
pub(super) fn head(
    buffer: &mut BytesMut,
    is_head: bool,
) -> Result<Option<(AnswerHead, Rest)>, String> {
    let Some(end) = end_of_head(buffer) else {
        return still_to_come(buffer).map(|()| None);
    };
    if end > LONGEST_HEAD {
        return Err(too_long());
    }
    let bytes = buffer.split_to(end).freeze();
    let (is_newer, mut head) = read(&bytes)?;
    let framing = framing(&head, is_head)?;
    // An answer without a body that announces one: the two sides may not agree where it ends.
    let declares = head.status == StatusCode::NO_CONTENT
        && [CONTENT_LENGTH, TRANSFER_ENCODING]
            .iter()
            .any(|name| head.fields.get(name).is_some_and(|value| value != "0"));
    if head.status == StatusCode::NO_CONTENT {
        head.fields.retain(|name| ![CONTENT_LENGTH, TRANSFER_ENCODING].contains(name));
    }
    let keep = !declares
        && is_newer
        && !says_close(&head.fields)
        && !matches!(framing, Framing::UntilClose)
        && !head.fields.has(&UPGRADE);
    Ok(Some((head, Rest { framing, keep })))
}

/// Whether it is of HTTP/1.1, and what a whole head says.
fn read(bytes: &Bytes) -> Result<(bool, AnswerHead), String> {
    let mut lines = Lines::unchecked(bytes).map(|line| line.map_err(|refused| refused.why));
    let first = lines.next().unwrap_or(Ok(b""))?;
    if first.iter().any(u8::is_ascii_control) {
        return Err("its head begins with a line that holds a control character".to_owned());
    }
    let (is_newer, rest) = match first.split_at_checked(9) {
        Some((version, rest)) if version == VERSIONS[0] => (true, rest),
        Some((version, rest)) if version == VERSIONS[1] => (false, rest),
        _ => return Err(no_answer()),
    };
    let status = match rest.split_at_checked(3) {
        Some((digits, [] | [b' ', ..])) => StatusCode::from_bytes(digits).ok(),
        _ => None,
    };
    let status = status.ok_or("its status is not a number from 100 to 999")?;
    let mut fields = Fields::with_room();
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        let (name, value) = field(bytes, line)
            .ok_or_else(|| format!("its header line `{}` cannot be read", line.escape_ascii()))?;
        fields.add(name, value);
    }
    if fields.iter().count() > MOST_HEADERS {
        return Err(format!("its head has more than {MOST_HEADERS} header lines"));
    }
    Ok((is_newer, AnswerHead { status, fields }))
}

/// Refuses what can no longer become a head.
fn still_to_come(begun: &[u8]) -> Result<(), String> {
    if begun.len() > LONGEST_HEAD {
        return Err(too_long());
    }
    if begun.len() > KNOWN_BY {
        return Ok(());
    }
    let begins_so = |start: &&[u8]| begun.starts_with(start) || start.starts_with(begun);
    if !VERSIONS.iter().any(begins_so) {
        return Err(no_answer());
    }
    // Lines that have ended are sound, or never will be.
    Lines::of(begun).try_for_each(|line| line.map(|_| ()).map_err(|refused| refused.why))
}

fn no_answer() -> String {
    "its head does not begin with HTTP/1.1 and a status".to_owned()
}

fn too_long() -> String {
    format!("its head is longer than the limit of {LONGEST_HEAD} bytes")
}

/// How the body ends that follows this head (RFC 9112, section 6.3).
fn framing(head: &AnswerHead, is_head: bool) -> Result<Framing, String> {
    let mut lengths = head.fields.all(CONTENT_LENGTH);
    let mut codings = head.fields.all(TRANSFER_ENCODING);
    let length = match (lengths.next(), lengths.next()) {
        (None, _) => None,
        (Some(length), None) => Some(
            number(length)
                .ok_or_else(|| format!("its Content-Length is no number of bytes: {length:?}"))?,
        ),
        (Some(_), Some(_)) => return Err("it has several Content-Length headers".to_owned()),
    };
    let framing = match (length, codings.next(), codings.next()) {
        (Some(_), Some(_), _) => {
            return Err("it has both Content-Length and Transfer-Encoding".to_owned());
        }
        (Some(0), None, _) => Framing::Over,
        (Some(length), None, _) => Framing::Length(length),
        (None, None, _) => Framing::UntilClose,
        (None, Some(coding), None)
            if coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") =>
        {
            Framing::Chunks(Chunks::default())
        }
        (None, Some(_), _) => {
            return Err("its transfer coding is another one than `chunked`".to_owned());
        }
    };
    let has_none = is_head
        || head.status.is_informational()
        || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&head.status);
    Ok(if has_none { Framing::Over } else { framing })
}

/// A number of nothing but digits.
fn number(value: &HeaderValue) -> Option<u64> {
    let digits = value.to_str().ok()?.trim();
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

impl Body {
    pub(super) fn new(exchange: Box<Exchange>) -> Self {
        Self(exchange)
    }

    /// The bytes that are still to come, if that is known.
    pub(in crate::balancer) fn length(&self) -> Option<u64> {
        match self.0.rest.framing {
            Framing::Length(left) => Some(left),
            Framing::Over => Some(0),
            Framing::Chunks(_) | Framing::UntilClose => None,
        }
    }

    /// The whole body, if it is all here: a short one mostly comes with its head.
    pub(in crate::balancer) fn take_all(&mut self) -> Option<Bytes> {
        let Exchange { buffer, sending, rest, .. } = &mut *self.0;
        let length = match rest.framing {
            Framing::Over => 0,
            Framing::Length(left) => usize::try_from(left).ok()?,
            Framing::Chunks(_) | Framing::UntilClose => return None,
        };
        if sending.is_some() || buffer.len() < length {
            return None;
        }
        rest.framing = Framing::Over;
        Some(buffer.split_to(length).freeze())
    }

    /// The connection, if it can take another request.
    pub(in crate::balancer) fn into_connection(self) -> Option<Connection> {
        let Exchange { buffer, sending, rest, .. } = &*self.0;
        let is_over = matches!(rest.framing, Framing::Over);
        // Bytes after the answer belong to nothing; they must not become the next one.
        let is_clean = buffer.is_empty() && sending.is_none();
        (is_over && rest.keep && is_clean).then_some(Connection(self.0))
    }

    /// The connection and what has come after the head, for another protocol.
    pub(in crate::balancer) fn into_stream(self) -> (Wire, BytesMut) {
        let Exchange { stream, buffer, .. } = *self.0;
        (stream, buffer)
    }

    /// The next part; none at the end.
    pub(in crate::balancer) async fn part(&mut self) -> Option<Result<Frame<Bytes>, AnswerError>> {
        std::future::poll_fn(|cx| self.poll_part(cx)).await
    }

    /// As [`Self::part`].
    pub(in crate::balancer) fn poll_part(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        // A VM may answer while it still reads.
        let fault = match self.0.poll_send(cx) {
            Poll::Ready(Err(AskError::Body(fault))) => Some(fault),
            _ => None,
        };
        let exchange = &mut *self.0;
        loop {
            match &mut exchange.rest.framing {
                Framing::Over => return Poll::Ready(None),
                Framing::Length(left) if !exchange.buffer.is_empty() => {
                    let buffered = exchange.buffer.len();
                    let now = usize::try_from(*left).map_or(buffered, |left| left.min(buffered));
                    *left -= now as u64;
                    if *left == 0 {
                        exchange.rest.framing = Framing::Over;
                    }
                    let data = exchange.buffer.split_to(now).freeze();
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Framing::Chunks(chunks) => match chunks.next(&mut exchange.buffer) {
                    Ok(Some(Piece::Data(data))) => {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    Ok(Some(Piece::End(trailers))) => {
                        exchange.rest.framing = Framing::Over;
                        return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
                    }
                    Ok(None) => {}
                    Err(why) => {
                        return Poll::Ready(Some(Err(AnswerError::Garbled(why.to_owned()))));
                    }
                },
                Framing::UntilClose if !exchange.buffer.is_empty() => {
                    let data = exchange.buffer.split().freeze();
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Framing::Length(_) | Framing::UntilClose => {}
            }
            if let Framing::Length(left @ WORTH_A_BUFFER..) = &mut exchange.rest.framing {
                let read = buffers::poll_read(&mut exchange.stream, cx, *left);
                let part = match ready!(or_fault(read, fault)) {
                    Err(fault) => Err(AnswerError::Request(fault)),
                    Ok(Ok(data)) if data.is_empty() => Err(AnswerError::early()),
                    Ok(Ok(data)) => {
                        *left -= data.len() as u64;
                        Ok(Frame::data(data))
                    }
                    Ok(Err(error)) => Err(AnswerError::Cut(error.to_string())),
                };
                if matches!(exchange.rest.framing, Framing::Length(0)) {
                    exchange.rest.framing = Framing::Over;
                }
                return Poll::Ready(Some(part));
            }
            let read = or_fault(exchange.poll_fill(cx), fault.clone());
            let error = match ready!(read) {
                Ok(Ok(1..)) => continue,
                Ok(Ok(0)) if matches!(exchange.rest.framing, Framing::UntilClose) => {
                    exchange.rest.framing = Framing::Over;
                    continue;
                }
                Ok(Ok(_)) => AnswerError::early(),
                Ok(Err(error)) => AnswerError::Cut(error.to_string()),
                Err(fault) => AnswerError::Request(fault),
            };
            return Poll::Ready(Some(Err(error)));
        }
    }
}

/// What was read, or the fault that nothing more is to be waited for with.
fn or_fault<T>(read: Poll<T>, fault: Option<Fault>) -> Poll<Result<T, Fault>> {
    match (read, fault) {
        (Poll::Ready(read), _) => Poll::Ready(Ok(read)),
        (Poll::Pending, Some(fault)) => Poll::Ready(Err(fault)),
        (Poll::Pending, None) => Poll::Pending,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<(AnswerHead, Rest)>, String> {
        head(&mut BytesMut::from(text.as_bytes()), false)
    }

    fn ends(lines: &str) -> String {
        let read = read(&format!("HTTP/1.1 {lines}\r\n\r\n"));
        read.map_or_else(|why| why, |found| format!("{:?}", found.unwrap().1.framing))
    }

    #[test]
    fn the_end_of_a_body_is_what_its_head_says() {
        assert_eq!(ends("200 OK\r\nContent-Length: 7"), "Length(7)");
        assert_eq!(ends("200 OK\r\ncontent-length: 0"), "Over");
        assert_eq!(ends("204 No Content"), "Over");
        assert_eq!(ends("304 Not Modified\r\nContent-Length: 7"), "Over");
        assert_eq!(ends("200 OK"), "UntilClose");
        assert!(ends("200 OK\r\nTransfer-Encoding: Chunked").starts_with("Chunks"));
    }

    #[test]
    fn a_head_with_two_readings_is_refused() {
        for lines in [
            "200 OK\r\nContent-Length: 7\r\nContent-Length: 7",
            "200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked",
            "200 OK\r\nContent-Length: +7",
            "200 OK\r\nContent-Length: 7, 7",
            "200 OK\r\nTransfer-Encoding: gzip, chunked",
            "200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        ] {
            assert!(!ends(lines).contains('('), "{lines}: {}", ends(lines));
        }
        for text in ["HTTP/1.1 20 OK\r\n\r\n", "garbage\r\n\r\n", "garb", "HTTP/1.1 200 OK\n\n"] {
            read(text).unwrap_err();
        }
        assert!(read("HTTP/1.1 200 O").unwrap().is_none());
    }

    #[test]
    fn whether_a_connection_is_kept_is_what_both_sides_understand() {
        let keep = |text: &str| read(text).unwrap().unwrap().1.keep;
        assert!(keep("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
        assert!(!keep("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, Close\r\n\r\n"));
        assert!(!keep("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"));
        assert!(!keep("HTTP/1.1 200 OK\r\n\r\n"));
    }
}
