//! Heads that are for the short way, and those that are not.

use bytes::{Bytes, BytesMut};
use hyper::header::{EXPECT, HeaderName, HeaderValue, TE, UPGRADE};
use hyper::{Method, Uri, Version};
use memchr::memchr;

use crate::balancer::message::{Fields, RequestHead, end_of_head};
use crate::balancer::strict::{self, After};

/// What stands at the front of a connection's buffer.
pub(super) enum Found {
    /// A head, and the length of the body after it.
    Whole(RequestHead, u64),
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
    let Some(end) = end_of_head(buffer) else { return Found::Strange };
    let bytes = buffer.split_to(end).freeze();
    if let Some((head, length)) = parse(&bytes) {
        return Found::Whole(head, length);
    }
    let mut whole = BytesMut::from(&bytes[..]);
    whole.extend_from_slice(buffer);
    *buffer = whole;
    Found::Strange
}

/// The head in `bytes` and the length of its body, unless it is for the parser.
fn parse(bytes: &Bytes) -> Option<(RequestHead, u64)> {
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
    let method = Method::from_bytes(method).ok()?;
    let uri = Uri::from_maybe_shared(bytes.slice_ref(target)).ok()?;
    let mut fields = Fields::with_room();
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
        if [EXPECT, UPGRADE, TE].contains(&name) {
            return None;
        }
        fields.add(name, value);
        rest = rest.get(end + 2..)?;
    }
    Some((RequestHead { method, uri, version: Version::HTTP_11, fields }, length))
}
