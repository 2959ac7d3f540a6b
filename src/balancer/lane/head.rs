//! Heads that are for the short way, and those that are not.

use bytes::{Bytes, BytesMut};
use hyper::header::{EXPECT, TE, UPGRADE};
use hyper::{Method, Uri, Version};

use crate::balancer::message::{Fields, RequestHead, end_of_head, field};
use crate::balancer::strict::{self, After, RequestLine};

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
    let mut fields = Fields::with_room();
    let mut is_ordinary = true;
    let read = strict::read_head(bytes, |line| match field(bytes, line) {
        Some((name, value)) if ![EXPECT, UPGRADE, TE].contains(&name) => fields.add(name, value),
        _ => is_ordinary = false,
    });
    let (RequestLine { method, target, version }, after) = read.ok()?;
    let length = match after {
        After::Head => 0,
        After::Body(length) => length,
        After::Chunks | After::OtherProtocol => return None,
    };
    if !is_ordinary || version != b"HTTP/1.1" || method == b"CONNECT" {
        return None;
    }
    let method = Method::from_bytes(method).ok()?;
    let uri = Uri::from_maybe_shared(bytes.slice_ref(target)).ok()?;
    Some((RequestHead { method, uri, version: Version::HTTP_11, fields }, length))
}
