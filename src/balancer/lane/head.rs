//! Heads that are for the short way, and those that are not.

use bytes::{Bytes, BytesMut};
use hyper::header::{CONNECTION, EXPECT, HeaderMap, HeaderName, HeaderValue, TE, UPGRADE};
use hyper::http::request::Parts;
use hyper::{Method, Request, Uri};
use memchr::{memchr, memmem};

use crate::balancer::strict::{self, After};

/// What stands at the front of a connection's buffer.
pub(super) enum Found {
    /// A head, and the length of the body after it.
    Whole(Box<Parts>, u64),
    /// Something for the parser; it stays where it is.
    Strange,
    /// Nothing yet.
    Nothing,
}

/// Takes a head from the front of `buffer`.
pub(super) fn take(buffer: &mut BytesMut) -> Found {
    if buffer.is_empty() {
        return Found::Nothing;
    }
    let Some(end) = memmem::find(buffer, b"\r\n\r\n") else { return Found::Strange };
    let bytes = buffer.split_to(end + 4).freeze();
    if let Some((parts, length)) = parse(&bytes) {
        return Found::Whole(Box::new(parts), length);
    }
    let mut whole = BytesMut::from(&bytes[..]);
    whole.extend_from_slice(buffer);
    *buffer = whole;
    Found::Strange
}

/// The head in `bytes` and the length of its body, unless it is for the parser.
fn parse(bytes: &Bytes) -> Option<(Parts, u64)> {
    let length = match strict::read_head(bytes).ok()? {
        After::Head => 0,
        After::Body(length) => length,
        After::Chunks | After::OtherProtocol => return None,
    };
    // From here on every line is known to end with CR LF and to be as it should.
    let end = memchr(b'\r', bytes)?;
    let mut words = bytes.get(..end)?.split(|&byte| byte == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if version != b"HTTP/1.1" || method == b"CONNECT" {
        return None;
    }
    let mut parts = Request::new(()).into_parts().0;
    parts.method = Method::from_bytes(method).ok()?;
    parts.uri = Uri::from_maybe_shared(bytes.slice_ref(target)).ok()?;
    parts.headers = HeaderMap::with_capacity(16);
    let mut rest = bytes.get(end + 2..)?;
    loop {
        let end = memchr(b'\r', rest)?;
        let line = rest.get(..end)?;
        if line.is_empty() {
            break;
        }
        let colon = memchr(b':', line)?;
        let name = HeaderName::from_bytes(line.get(..colon)?).ok()?;
        let value = line.get(colon + 1..)?.trim_ascii();
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(value)).ok()?;
        parts.headers.append(name, value);
        rest = rest.get(end + 2..)?;
    }
    let is_strange = [EXPECT, UPGRADE, TE].iter().any(|name| parts.headers.contains_key(name));
    (!is_strange).then_some((parts, length))
}

/// Whether the client wants the connection closed after the answer.
pub(super) fn asks_to_close(headers: &HeaderMap) -> bool {
    headers.contains_key(CONNECTION) && crate::balancer::headers::says_close(headers)
}
