//! Heads that are for the short way, and those that are not.

use bytes::{Bytes, BytesMut};
use hyper::header::{EXPECT, TE, UPGRADE};
use hyper::{Method, Uri, Version};

use crate::balancer::message::{Fields, RequestHead, end_of_head, field};
use crate::balancer::strict::{self, After, Lines, RequestLine};

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
    // Names and values that hold what they may not are none.
    let read = strict::read_head(Lines::unchecked(bytes), |line| match field(bytes, line) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_goes_the_short_way_would_pass_the_scanner_and_mean_the_same(
            lines in proptest::collection::vec(
                prop_oneof![
                    "[aA:, \t\r\n\u{1}\u{b}\u{c}\u{7f}\u{e4}]{1,9}",
                    "(Content-Length|Transfer-Encoding|Connection)[ :]{1,2}(5|chunked|upgrade)[ \t\r\u{c}]?",
                    "A: b",
                ],
                0..4,
            ),
        ) {
            let mut head = "POST /a HTTP/1.1\r\n".to_owned();
            for line in lines {
                head.push_str(&line);
                head.push_str("\r\n");
            }
            head.push_str("\r\n");
            let bytes = Bytes::from(head);
            if let Some((short, length)) = parse(&bytes) {
                let (_, after) = strict::read_head(Lines::of(&bytes), |_| ()).unwrap();
                let expected = if length == 0 { After::Head } else { After::Body(length) };
                prop_assert_eq!(after, expected);
                prop_assert!(!short.fields.has(&TE));
            }
        }
    }
}
