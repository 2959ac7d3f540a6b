//! The heads of messages, the same whichever way they came in.

use std::net::IpAddr;
use std::sync::LazyLock;

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::{request, response};
use hyper::{Method, StatusCode, Uri, Version};
use memchr::memchr;
use memchr::memmem::Finder;

/// The header lines of a head, in their order.
///
/// A list and not a map: a head has a dozen lines, and to compare a name with each of them takes
/// less time than to hash it once.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    lines: Vec<(HeaderName, HeaderValue)>,
    /// The mark of each name there is, or was: most names that are asked for are not there, which is
    /// known so without a look at the lines.
    marks: u64,
}

/// One of 64 bits, by the length and the last letter of a name.
fn mark(name: &HeaderName) -> u64 {
    let name = name.as_str().as_bytes();
    let last = name.last().map_or(0, |&byte| usize::from(byte));
    1 << ((5 * name.len() + last) % 64)
}

/// So many lines a head has room for at first: its own and those that are added here.
const ROOM: usize = 12;

impl Fields {
    /// None yet, with room for what is usual.
    pub(super) fn with_room() -> Self {
        Self { lines: Vec::with_capacity(ROOM), marks: 0 }
    }

    /// The value of the first line of this name.
    pub(super) fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        if self.marks & mark(name) == 0 {
            return None;
        }
        self.lines.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// The values of all lines of this name.
    pub(super) fn all(&self, name: HeaderName) -> impl Iterator<Item = &HeaderValue> {
        let may_be_there = self.marks & mark(&name) != 0;
        let lines = if may_be_there { self.lines.as_slice() } else { &[] };
        lines.iter().filter(move |(other, _)| *other == name).map(|(_, value)| value)
    }

    /// Whether there is a line of this name.
    pub(super) fn has(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    /// All lines.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.lines.iter().map(|(name, value)| (name, value))
    }

    /// One more line, at the end.
    pub(super) fn add(&mut self, name: HeaderName, value: HeaderValue) {
        self.marks |= mark(&name);
        self.lines.push((name, value));
    }

    /// This line instead of all others of its name.
    pub(super) fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.remove(&name);
        self.add(name, value);
    }

    /// This line, unless there is one of its name.
    pub(super) fn add_missing(&mut self, name: HeaderName, value: HeaderValue) {
        if !self.has(&name) {
            self.add(name, value);
        }
    }

    /// Takes all lines of this name out.
    pub(super) fn remove(&mut self, name: &HeaderName) {
        // To look first takes a quarter of the time that it takes to sift them.
        if self.has(name) {
            self.retain(|other| other != name);
        }
    }

    /// Takes all lines out whose names are not to be kept.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&HeaderName) -> bool) {
        self.lines.retain(|(name, _)| keep(name));
    }
}

impl From<HeaderMap> for Fields {
    fn from(map: HeaderMap) -> Self {
        let lines = Vec::with_capacity(map.len() + ROOM);
        let mut fields = Self { lines, marks: 0 };
        let mut last = None;
        for (name, value) in map {
            // The second and later values of a name come without it.
            last = name.or(last);
            if let Some(name) = &last {
                fields.add(name.clone(), value);
            }
        }
        fields
    }
}

impl From<Fields> for HeaderMap {
    fn from(fields: Fields) -> Self {
        let mut map = Self::with_capacity(fields.lines.len());
        for (name, value) in fields.lines {
            map.append(name, value);
        }
        map
    }
}

/// The head of a request.
#[derive(Debug)]
pub(super) struct RequestHead {
    /// What is to be done.
    pub(super) method: Method,
    /// With what.
    pub(super) uri: Uri,
    /// The version of HTTP that the client spoke.
    pub(super) version: Version,
    /// The header lines.
    pub(super) fields: Fields,
}

impl From<request::Parts> for RequestHead {
    fn from(parts: request::Parts) -> Self {
        let request::Parts { method, uri, version, headers, .. } = parts;
        Self { method, uri, version, fields: headers.into() }
    }
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct AnswerHead {
    /// What came of the request.
    pub(super) status: StatusCode,
    /// The header lines.
    pub(super) fields: Fields,
}

impl From<response::Parts> for AnswerHead {
    fn from(parts: response::Parts) -> Self {
        Self { status: parts.status, fields: parts.headers.into() }
    }
}

/// Where the head ends that `bytes` begin with: behind its empty line. None if that has not come.
pub(super) fn end_of_head(bytes: &[u8]) -> Option<usize> {
    static END: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));
    END.find(bytes).map(|at| at + 4)
}

/// Without the spaces and tabs around it; other white space is no white space here.
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The name and the value in a header line of `head`, without its end.
pub(super) fn field(head: &Bytes, line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_at_checked(memchr(b':', line)?)?;
    let name = HeaderName::from_bytes(name).ok()?;
    let value = head.slice_ref(trim(value.get(1..)?));
    Some((name, HeaderValue::from_maybe_shared(value).ok()?))
}

/// Who sends requests on a connection.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// Its address.
    pub(super) ip: IpAddr,
    /// The same as text.
    pub(super) name: HeaderValue,
}

impl Peer {
    /// A client at this address.
    pub(super) fn new(ip: IpAddr) -> Self {
        let name = HeaderValue::try_from(ip.to_string());
        // Cannot fail: an address is digits, letters, dots and colons.
        Self { ip, name: name.unwrap_or(HeaderValue::from_static("unknown")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{ACCEPT, HOST, VIA};
    use proptest::prelude::*;

    fn lines(fields: &Fields) -> Vec<String> {
        fields.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    }

    #[test]
    fn lines_stay_in_their_order_and_names_may_come_again() {
        let mut fields = Fields::with_room();
        fields.add(VIA, HeaderValue::from_static("1"));
        fields.add(HOST, HeaderValue::from_static("a"));
        fields.add(VIA, HeaderValue::from_static("2"));
        fields.add_missing(HOST, HeaderValue::from_static("b"));
        assert_eq!(lines(&fields), ["via: 1", "host: a", "via: 2"]);
        assert_eq!(fields.get(&VIA).unwrap(), "1");
        assert_eq!(fields.all(VIA).count(), 2);
        fields.set(VIA, HeaderValue::from_static("3"));
        assert_eq!(lines(&fields), ["host: a", "via: 3"]);
        fields.remove(&HOST);
        assert!(!fields.has(&HOST) && !fields.has(&ACCEPT));
    }

    proptest! {
        #[test]
        fn a_map_of_lines_has_the_same_values_of_each_name(
            names in proptest::collection::vec("[a-c]", 0..9),
        ) {
            let mut fields = Fields::default();
            for (number, name) in names.iter().enumerate() {
                fields.add(name.parse().unwrap(), number.into());
            }
            let back = Fields::from(HeaderMap::from(fields.clone()));
            for name in ["a", "b", "c"].map(HeaderName::from_static) {
                let (one, other) = (fields.all(name.clone()), back.all(name.clone()));
                prop_assert_eq!(one.collect::<Vec<_>>(), other.collect::<Vec<_>>());
            }
        }
    }
}
