//! Reads along with the HTTP parser and stops what two servers could understand differently.
//!
//! A parser that is lenient about where a message ends lets an attacker hide one request inside
//! another (request smuggling, RFC 9112, section 11.2). The parser used here accepts lines that end
//! with a bare LF, and drops `Content-Length` beside `Transfer-Encoding` without a trace. So every
//! byte from a client passes a scanner first that knows only one way to frame a message. At the
//! first byte that breaks the rules the scanner puts a NUL in its place, which no parser accepts:
//! the client gets a 400, and nothing of the message goes on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection of which every byte that is read has been scanned.
pub(super) struct Strict<S> {
    stream: S,
    scanner: Scanner,
    stopped: bool,
}

impl<S> Strict<S> {
    /// Scans what is read from `stream`.
    pub(super) fn new(stream: S) -> Self {
        Self { stream, scanner: Scanner::default(), stopped: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.stopped {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let new = buf.filled().get(before..).unwrap_or_default();
        if let Err(Fault { at }) = this.scanner.scan(new) {
            this.stopped = true;
            // There is room for it: the byte at fault was there before.
            buf.set_filled(before + at);
            buf.put_slice(b"\0");
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// A head longer than this is refused by the parser, so there is no need to understand it.
const LONGEST_HEAD: usize = 64 << 10;
/// A chunk's size has at most this many hexadecimal digits: 16 of them fill a 64-bit number.
const SIZE_DIGITS: u32 = 16;

/// Follows the framing of the requests on one connection.
#[derive(Default)]
struct Scanner {
    state: State,
    head: Vec<u8>,
}

/// The byte at this place of the input must not be passed on.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    at: usize,
}

/// Where in a request the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// In a head, or before one.
    #[default]
    Head,
    /// In a body of which so many bytes are left.
    Body(u64),
    /// In the size of a chunk.
    Size { size: u64, digits: u32 },
    /// In the extension of a chunk of this size.
    Extension { size: u64 },
    /// Before the LF that ends the line with a chunk's size.
    SizeEnd { size: u64 },
    /// In a chunk of which so many bytes are left.
    Chunk(u64),
    /// Before the CR that follows a chunk.
    ChunkCr,
    /// Before the LF that follows a chunk.
    ChunkLf,
    /// In the trailers: whether the line has begun, and whether a CR was the last byte.
    Trailer { begun: bool, after_cr: bool },
    /// In a head that the parser refuses.
    Refused,
}

impl Scanner {
    fn scan(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let left = (bytes.len() - at) as u64;
            match &mut self.state {
                State::Refused => return Ok(()),
                State::Body(rest) | State::Chunk(rest) => {
                    let passed = left.min(*rest);
                    *rest -= passed;
                    at += usize::try_from(passed).unwrap_or(bytes.len());
                    match self.state {
                        State::Body(0) => self.state = State::Head,
                        State::Chunk(0) => self.state = State::ChunkCr,
                        _ => {}
                    }
                }
                State::Head => {
                    self.head_byte(byte).ok_or(Fault { at })?;
                    at += 1;
                }
                state => {
                    *state = state.after_chunk_byte(byte).ok_or(Fault { at })?;
                    at += 1;
                }
            }
        }
        Ok(())
    }

    /// Takes one byte of a head; nothing if it must not be there.
    fn head_byte(&mut self, byte: u8) -> Option<()> {
        let after_cr = self.head.last() == Some(&b'\r');
        if byte == 0 || after_cr != (byte == b'\n') {
            return None;
        }
        self.head.push(byte);
        if self.head == b"\r\n" {
            // An empty line before a request is allowed (RFC 9112, section 2.2).
            self.head.clear();
        } else if self.head.ends_with(b"\r\n\r\n") {
            self.state = framing(&self.head)?;
            self.head.clear();
        } else if self.head.len() > LONGEST_HEAD {
            self.state = State::Refused;
        }
        Some(())
    }
}

impl State {
    /// The state after one more byte around the chunks of a body; nothing if it must not be there.
    fn after_chunk_byte(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16)?;
                (digits < SIZE_DIGITS).then_some(())?;
                Self::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (Self::Size { digits: 0, .. }, _) => return None,
            (Self::Size { size, .. }, b';')
            | (Self::Extension { size }, b'\t' | b' '..=b'~' | 0x80..) => Self::Extension { size },
            (Self::Size { size, .. } | Self::Extension { size }, b'\r') => Self::SizeEnd { size },
            (Self::SizeEnd { size: 0 }, b'\n') => Self::Trailer { begun: false, after_cr: false },
            (Self::SizeEnd { size }, b'\n') => Self::Chunk(size),
            (Self::ChunkCr, b'\r') => Self::ChunkLf,
            (Self::ChunkLf, b'\n') => Self::Size { size: 0, digits: 0 },
            (Self::Trailer { begun: false, after_cr: true }, b'\n') => Self::Head,
            (Self::Trailer { begun: true, after_cr: true }, b'\n') => {
                Self::Trailer { begun: false, after_cr: false }
            }
            (Self::Trailer { after_cr: true, .. }, _) | (Self::Trailer { .. }, b'\n' | 0) => {
                return None;
            }
            (Self::Trailer { begun, .. }, b'\r') => Self::Trailer { begun, after_cr: true },
            (Self::Trailer { .. }, _) => Self::Trailer { begun: true, after_cr: false },
            _ => return None,
        })
    }
}

/// How the message goes on after this head; nothing if there could be two opinions.
fn framing(head: &[u8]) -> Option<State> {
    let mut lines =
        head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let version = request_line(lines.next()?)?;
    let (mut length, mut chunked) = (None, false);
    for line in lines.filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        let value = value.get(1..)?.trim_ascii();
        if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
            return None;
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            let is_second = length.is_some();
            length = Some(number(value).filter(|_| !is_second)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let last = value.rsplit(|&byte| byte == b',').next()?.trim_ascii();
            if chunked || version == b"HTTP/1.0" || !last.eq_ignore_ascii_case(b"chunked") {
                return None;
            }
            chunked = true;
        }
    }
    match (length, chunked) {
        (Some(_), true) => None,
        (None, true) => Some(State::Size { size: 0, digits: 0 }),
        (None | Some(0), false) => Some(State::Head),
        (Some(length), false) => Some(State::Body(length)),
    }
}

/// The version in a request line that has three words and single spaces between them.
fn request_line(line: &[u8]) -> Option<&[u8]> {
    let mut words = line.split(|&byte| byte == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let is_clean = !method.is_empty()
        && method.iter().all(|&byte| is_token(byte))
        && !target.is_empty()
        && target.iter().all(|&byte| byte > b' ' && byte != 0x7f);
    let is_known = matches!(version, b"HTTP/1.0" | b"HTTP/1.1");
    (is_clean && is_known && words.next().is_none()).then_some(version)
}

/// A number of nothing but digits.
fn number(digits: &[u8]) -> Option<u64> {
    let is_plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| is_plain)?.parse().ok()
}

/// What may stand in a name (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: &str = "POST / HTTP/1.1\r\nHost: a\r\n";

    fn fault(request: &str) -> Option<usize> {
        Scanner::default().scan(request.as_bytes()).err().map(|fault| fault.at)
    }

    #[test]
    fn requests_that_follow_one_another_pass() {
        let requests = [
            format!("{START}Content-Length: 3\r\n\r\nabc"),
            "\r\nGET /a?b HTTP/1.0\r\n\r\n".to_owned(),
            format!("{START}Transfer-Encoding: chunked\r\n\r\n3;x=\"y\"\r\nabc\r\n0\r\n\r\n"),
            format!(
                "{START}Transfer-Encoding: Chunked\r\n\r\nA\r\n0123456789\r\n00\r\nT: v\r\n\r\n"
            ),
            format!("{START}Content-Length: 0\r\n\r\n"),
        ];
        let mut scanner = Scanner::default();
        for request in requests.iter().chain(&requests) {
            assert_eq!(scanner.scan(request.as_bytes()), Ok(()), "{request:?}");
            assert_eq!(scanner.state, State::Head, "{request:?}");
        }
    }

    #[test]
    fn the_byte_at_fault_is_the_first_that_breaks_a_rule() {
        assert_eq!(fault("GET / HTTP/1.1\n"), Some(14));
        assert_eq!(fault("GET / HTTP/1.1\rX"), Some(15));
        assert_eq!(fault("GET / HTTP/1.1\r\nA: \0"), Some(19));
        let both = format!("{START}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(fault(&both), Some(both.len() - 1));
    }

    #[test]
    fn no_head_with_two_readings_passes() {
        for lines in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 1",
            "Content-Length: 1\r\nContent-Length: 1",
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: 1, 1",
            "Content-Length: +1",
            "Content-Length: -1",
            "Content-Length: 0x1",
            "Content-Length: 1 1",
            "Content-Length:",
            "Content-Length: 99999999999999999999",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: \u{b}chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding : chunked",
            "Content-Length : 1",
            "Transfer-Encoding\u{b}: chunked",
            "A: b\r\n folded",
            "A: b\r\n\tfolded",
            "no colon",
            ": no name",
            "X(A: b",
            "X A: b",
        ] {
            assert!(fault(&format!("{START}{lines}\r\n\r\n")).is_some(), "{lines:?}");
        }
        for line in [
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET /a b HTTP/1.1",
            "GET /\u{7f} HTTP/1.1",
            "GET /\u{1} HTTP/1.1",
            "GET\t/ HTTP/1.1",
            "GET / HTTP/1.15",
            "GET / HTTP/9.9",
            "GET / HTTP/2.0",
            "GET /",
            " GET / HTTP/1.1",
        ] {
            assert!(fault(&format!("{line}\r\nHost: a\r\n\r\n")).is_some(), "{line:?}");
        }
        let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(fault(old).is_some());
    }

    #[test]
    fn no_chunk_with_two_readings_passes() {
        for body in [
            "0x5\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "0_5\r\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "5 \r\nhello\r\n0\r\n\r\n",
            "00000000000000005\r\nhello\r\n0\r\n\r\n",
            "\r\n",
            "5\nhello\r\n0\r\n\r\n",
            "5;a\nb\r\nhello\r\n0\r\n\r\n",
            "5\rhello\r\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhelloXX0\r\n\r\n",
            "0\r\nA: b\n\r\n",
            "0\r\n\n",
        ] {
            let request = format!("{START}Transfer-Encoding: chunked\r\n\r\n{body}");
            assert!(fault(&request).is_some(), "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn how_the_bytes_are_cut_into_pieces_makes_no_difference(
            cuts in proptest::collection::vec(1..40_usize, 0..20),
            bad in any::<bool>(),
        ) {
            let end = if bad { "5\nhello" } else { "5\r\nhello\r\n0\r\n\r\n" };
            let whole = format!(
                "{START}Content-Length: 4\r\n\r\nabcd{START}Transfer-Encoding: chunked\r\n\r\n{end}"
            );
            let expected = fault(&whole);
            prop_assert_eq!(expected.is_some(), bad);
            let mut scanner = Scanner::default();
            let (mut rest, mut passed, mut found) = (whole.as_bytes(), 0, None);
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                if let Err(Fault { at }) = scanner.scan(piece) {
                    found = Some(passed + at);
                    break;
                }
                passed += piece.len();
                rest = after;
            }
            prop_assert_eq!(found, expected);
        }
    }
}
