//! What a proxy must do to the heads of messages, and which heads it must refuse.

use bytes::BufMut;
use hyper::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, COOKIE, EXPECT, HOST, HeaderName, HeaderValue, MAX_FORWARDS, SET_COOKIE, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use hyper::http::uri::{Authority, PathAndQuery};
use hyper::{Method, StatusCode, Uri, Version};

use super::message::{Fields, Peer, RequestHead};
use crate::http::{Problem, X_REQUEST_ID};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// Who this proxy is in the `Via` of an answer (RFC 9110, section 7.6.3).
const VIA_CUMULET: HeaderValue = HeaderValue::from_static("1.1 cumulet");

/// Whether a header concerns one connection only (RFC 9110, section 7.6.1, and the older ones that
/// RFC 2616, section 13.5.1 listed). `Transfer-Encoding` is set anew for the next hop. `Trailer`
/// goes on, as the trailers do that it announces.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Refuses a request that two servers could understand differently, and those that a balancer
/// does not serve.
pub(super) fn check(head: &RequestHead) -> Result<(), Problem> {
    if head.method == Method::CONNECT {
        return Err(not_allowed("CONNECT: this is a balancer, not a tunnel to anywhere"));
    }
    if head.method == Method::TRACE {
        return Err(not_allowed("TRACE: it would show headers that others added"));
    }
    check_framing(&head.fields)?;
    check_host(head)
}

fn check_framing(fields: &Fields) -> Result<(), Problem> {
    let lengths = fields.all(CONTENT_LENGTH).count();
    let mut codings = fields.all(TRANSFER_ENCODING);
    let Some(coding) = codings.next() else {
        return match lengths {
            0 | 1 => Ok(()),
            _ => Err(bad("several Content-Length headers: send one")),
        };
    };
    if lengths > 0 {
        return Err(bad("both Content-Length and Transfer-Encoding: send one of them"));
    }
    let is_chunked = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    if !is_chunked || codings.next().is_some() {
        return Err(Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "the only transfer coding that is understood here is one `chunked`",
        ));
    }
    Ok(())
}

fn check_host(head: &RequestHead) -> Result<(), Problem> {
    let mut hosts = head.fields.all(HOST);
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(bad("several Host headers: send one"));
    }
    match host {
        None if head.version == Version::HTTP_11 => {
            return Err(bad("no Host header, which HTTP/1.1 asks for"));
        }
        None if head.version == Version::HTTP_2 && head.uri.authority().is_none() => {
            return Err(bad("neither :authority nor a Host header, one of which HTTP/2 asks for"));
        }
        Some(host) if !host.is_empty() && !is_authority(host.as_bytes()) => {
            return Err(bad("the Host header is not a host name with an optional port"));
        }
        _ => {}
    }
    let foreign_scheme = head.uri.scheme_str().is_some_and(|scheme| scheme != "http");
    let has_user = head.uri.authority().is_some_and(|a| a.as_str().contains('@'));
    if foreign_scheme || has_user {
        return Err(bad("the target is a URI that is not `http://HOST[:PORT]/PATH`"));
    }
    Ok(())
}

fn is_authority(host: &[u8]) -> bool {
    // Nearly all are like this, which takes less time to see.
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let mut parts = host.splitn(2, |&byte| byte == b':');
    let (name, port) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if !name.is_empty() && name.iter().all(is_name) && port.iter().all(u8::is_ascii_digit) {
        return true;
    }
    !host.contains(&b'@') && Authority::try_from(host).is_ok()
}

fn bad(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

fn not_allowed(detail: &str) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("no {detail}"))
}

/// Whether a request's body comes in chunks, of a length that nobody has declared.
pub(super) fn is_chunked(fields: &Fields) -> bool {
    fields.has(&TRANSFER_ENCODING)
}

/// Whether the message comes to its end here: it was to be forwarded zero times (RFC 9110, section
/// 7.6.2).
pub(super) fn ends_here(head: &RequestHead) -> bool {
    head.method == Method::OPTIONS
        && head.fields.get(&MAX_FORWARDS).is_some_and(|left| left.as_bytes() == b"0")
}

/// Makes of the client's head the one that a VM gets. With `upgrade` it asks for another protocol
/// still.
pub(super) fn towards_vm(head: &mut RequestHead, peer: &Peer, id: &HeaderValue, upgrade: bool) {
    let chunked = is_chunked(&head.fields);
    let protocol = head.fields.get(&UPGRADE).filter(|_| upgrade).cloned();
    let wants_trailers = wants_trailers(&head.fields);
    let via = HeaderValue::from_static(match head.version {
        Version::HTTP_2 => "2 cumulet",
        Version::HTTP_10 => "1.0 cumulet",
        _ => "1.1 cumulet",
    });
    let authority = head.uri.authority().and_then(|a| HeaderValue::from_str(a.as_str()).ok());
    let fields = &mut head.fields;
    remove_hop_by_hop(fields);
    // The answer `100 Continue` was given, or will be, when the body is asked for.
    fields.remove(&EXPECT);
    if chunked {
        // Said aloud because a client of GET with a body gets no body sent otherwise.
        fields.add(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if let Some(authority) = authority {
        // RFC 9112, section 3.2.2: a target that names the host overrides the header.
        fields.set(HOST, authority);
        head.uri = origin_form(&head.uri);
    }
    if let Some(protocol) = protocol {
        fields.add(CONNECTION, HeaderValue::from_static("upgrade"));
        fields.add(UPGRADE, protocol);
    } else if wants_trailers {
        fields.add(CONNECTION, HeaderValue::from_static("te"));
        fields.add(TE, HeaderValue::from_static("trailers"));
    }
    join_cookies(fields);
    count_down_forwards(fields);
    append_forwarded_for(fields, peer);
    fields.add_missing(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    if let Some(host) = fields.get(&HOST).cloned() {
        fields.add_missing(X_FORWARDED_HOST, host);
    }
    fields.add(VIA, via);
    fields.set(X_REQUEST_ID, id.clone());
    head.version = Version::HTTP_11;
}

/// Whether the sender understands trailers (RFC 9110, section 10.1.4).
fn wants_trailers(fields: &Fields) -> bool {
    fields
        .all(TE)
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// HTTP/2 may send a cookie in pieces, which HTTP/1 must get in one (RFC 9113, section 8.2.3).
fn join_cookies(fields: &mut Fields) {
    if fields.all(COOKIE).nth(1).is_none() {
        return;
    }
    let pieces: Vec<&[u8]> = fields.all(COOKIE).map(HeaderValue::as_bytes).collect();
    if let Ok(whole) = HeaderValue::from_bytes(&pieces.join(&b"; "[..])) {
        fields.set(COOKIE, whole);
    }
}

/// The path and query alone, which is what a server, unlike a proxy, is asked for.
fn origin_form(uri: &Uri) -> Uri {
    let path = uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    Uri::from(path)
}

fn count_down_forwards(fields: &mut Fields) {
    let left = fields.get(&MAX_FORWARDS).and_then(|v| v.to_str().ok()?.parse::<u32>().ok());
    if let Some(left) = left {
        fields.set(MAX_FORWARDS, left.saturating_sub(1).into());
    }
}

fn append_forwarded_for(fields: &mut Fields, peer: &Peer) {
    if !fields.has(&X_FORWARDED_FOR) {
        return fields.add(X_FORWARDED_FOR, peer.name.clone());
    }
    let all = fields.all(X_FORWARDED_FOR).chain([&peer.name]);
    let line = all.filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(", ");
    if let Ok(value) = HeaderValue::from_str(&line) {
        fields.set(X_FORWARDED_FOR, value);
    }
}

/// Makes of a VM's head the one that the client gets, as far as a proxy has to. With `switched` it
/// says which protocol begins.
pub(super) fn towards_client(fields: &mut Fields, switched: bool) {
    let protocol = fields.get(&UPGRADE).filter(|_| switched).cloned();
    remove_hop_by_hop(fields);
    if let Some(protocol) = protocol {
        fields.add(CONNECTION, HeaderValue::from_static("upgrade"));
        fields.add(UPGRADE, protocol);
    }
    fields.add(VIA, VIA_CUMULET);
}

/// Adds header lines to a head, or trailers.
pub(super) fn write<'a>(
    out: &mut impl BufMut,
    fields: impl IntoIterator<Item = (&'a HeaderName, &'a HeaderValue)>,
) {
    for (name, value) in fields {
        write_line(out, &[name.as_str().as_bytes(), b": ", value.as_bytes()]);
    }
}

/// Adds one line of a head, of these parts.
pub(super) fn write_line(out: &mut impl BufMut, parts: &[&[u8]]) {
    for part in parts {
        out.put_slice(part);
    }
    out.put_slice(b"\r\n");
}

/// Whether a field may stand in trailers: not if the message is framed, routed or understood by it
/// (RFC 9110, section 6.5.1).
pub(super) fn may_trail(name: &HeaderName) -> bool {
    const NEVER: [HeaderName; 14] = [
        AUTHORIZATION,
        CACHE_CONTROL,
        CONNECTION,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_RANGE,
        CONTENT_TYPE,
        HOST,
        MAX_FORWARDS,
        SET_COOKIE,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    !NEVER.contains(name)
}

/// Whether `Connection` lists `close`.
pub(super) fn says_close(fields: &Fields) -> bool {
    fields
        .all(CONNECTION)
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// Removes what concerns this connection alone, also what its `Connection` header lists; but never
/// the length and the host, which a sender could list to have the next server misread the message.
fn remove_hop_by_hop(fields: &mut Fields) {
    let listed: Vec<HeaderName> = fields
        .all(CONNECTION)
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        // What is nearly always there names no header that could be.
        .filter(|word| !word.eq_ignore_ascii_case(b"keep-alive"))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(|name| name != CONTENT_LENGTH && name != HOST && !is_hop_by_hop(name))
        .collect();
    fields.retain(|name| !is_hop_by_hop(name) && !listed.contains(name));
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn head(target: &str, headers: &[(&str, &str)]) -> RequestHead {
        let mut request = Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0.into()
    }

    fn status(head: &RequestHead) -> u16 {
        check(head).err().map_or(200, |problem| problem.status.as_u16())
    }

    #[test]
    fn heads_that_could_be_read_in_two_ways_are_refused() {
        type Headers<'a> = &'a [(&'a str, &'a str)];
        let cases: &[(&str, Headers<'_>, u16)] = &[
            ("/", &[("host", "a")], 200),
            ("/", &[("host", "[::1]:8000")], 200),
            ("/", &[("host", "")], 200),
            ("/", &[], 400),
            ("/", &[("host", "a"), ("host", "a")], 400),
            ("/", &[("host", "a/b")], 400),
            ("/", &[("host", "user@a")], 400),
            ("http://a/", &[("host", "b")], 200),
            ("http://user@a/", &[("host", "a")], 400),
            ("ftp://a/", &[("host", "a")], 400),
            ("/", &[("host", "a"), ("content-length", "1"), ("content-length", "1")], 400),
            ("/", &[("host", "a"), ("content-length", "1"), ("transfer-encoding", "chunked")], 400),
            ("/", &[("host", "a"), ("transfer-encoding", "Chunked")], 200),
            ("/", &[("host", "a"), ("transfer-encoding", "gzip, chunked")], 501),
        ];
        for (target, headers, expected) in cases {
            assert_eq!(status(&head(target, headers)), *expected, "{target} {headers:?}");
        }
    }

    #[test]
    fn what_concerns_one_connection_stays_there_and_the_length_does_not() {
        let mut head = head(
            "http://real:80/a?b=c",
            &[
                ("host", "fake"),
                ("connection", "close, x-mine, content-length, Host"),
                ("x-mine", "1"),
                ("content-length", "5"),
                ("keep-alive", "timeout=5"),
                ("te", "trailers"),
                ("upgrade", "h2c"),
                ("expect", "100-continue"),
                ("x-forwarded-for", "10.0.0.1"),
                ("max-forwards", "3"),
                ("via", "1.0 other"),
            ],
        );
        towards_vm(
            &mut head,
            &Peer::new([127, 0, 0, 1].into()),
            &HeaderValue::from_static("id-1"),
            false,
        );
        let mut left: Vec<String> = head
            .fields
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        left.sort();
        assert_eq!(
            left,
            [
                "connection: te",
                "content-length: 5",
                "host: real:80",
                "max-forwards: 2",
                "te: trailers",
                "via: 1.0 other",
                "via: 1.1 cumulet",
                "x-forwarded-for: 10.0.0.1, 127.0.0.1",
                "x-forwarded-host: real:80",
                "x-forwarded-proto: http",
                "x-request-id: id-1",
            ]
        );
        assert_eq!(head.uri, "/a?b=c");
    }
}
