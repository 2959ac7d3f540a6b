//! What a whole head says about how its message goes on, or why it is refused.

use hyper::{StatusCode, Uri};
use memchr::memchr;

use crate::balancer::message::trim;
use crate::http::Problem;

/// A head with more header lines than this is refused.
pub(super) const MOST_HEADERS: usize = 100;
/// A longer body is nobody's: the number would not fit where bytes are counted.
const LONGEST_BODY: u64 = i64::MAX as u64;

/// What follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::balancer) enum After {
    /// The next head, or the end.
    Head,
    /// So many bytes.
    Body(u64),
    /// Chunks.
    Chunks,
    /// Another protocol, if the answer is that it may begin; until then nobody can tell.
    OtherProtocol,
}

/// Why a head is refused: a status and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::balancer) struct Refused {
    pub(super) status: StatusCode,
    pub(in crate::balancer) why: String,
}

impl Refused {
    /// 400, because of this.
    pub(super) fn bad(why: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, why: why.into() }
    }

    /// The answer to it.
    pub(super) fn problem(self) -> Problem {
        Problem::new(self.status, self.why)
    }
}

/// The three words of a request line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::balancer) struct RequestLine<'a> {
    /// What is to be done.
    pub(in crate::balancer) method: &'a [u8],
    /// With what.
    pub(in crate::balancer) target: &'a [u8],
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub(in crate::balancer) version: &'a [u8],
}

/// Reads a head by its lines, the last of which is empty; `each` gets every header line that is sound.
pub(in crate::balancer) fn read<'a>(
    mut lines: Lines<'a>,
    mut each: impl FnMut(&'a [u8]),
) -> Result<(RequestLine<'a>, After), Refused> {
    let first = request_line(lines.next().unwrap_or(Ok(b""))?)?;
    let mut found = Found::default();
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        found.headers += 1;
        header(line, &mut found).map_err(|why| {
            Refused::bad(format!("header line {}, {}: {why}", found.headers, quoted(line)))
        })?;
        each(line);
    }
    after(&first, &found).map(|after| (first, after))
}

/// What follows a head with this first line, by what its header lines say.
fn after(first: &RequestLine<'_>, found: &Found) -> Result<After, Refused> {
    let version = first.version;
    if found.headers > MOST_HEADERS {
        return Err(Refused {
            status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            why: format!("{} header lines, the limit is {MOST_HEADERS}", found.headers),
        });
    }
    if found.chunked && version == b"HTTP/1.0" {
        return Err(Refused::bad("Transfer-Encoding in HTTP/1.0, which does not know it"));
    }
    match (found.length, found.chunked) {
        (Some(_), true) => {
            let why = "both Content-Length and Transfer-Encoding: send one of them";
            Err(Refused::bad(why))
        }
        (None, true) => Ok(After::Chunks),
        (None | Some(0), false) if found.is_upgrade() && version == b"HTTP/1.1" => {
            Ok(After::OtherProtocol)
        }
        (None | Some(0), false) => Ok(After::Head),
        (Some(length), false) => Ok(After::Body(length)),
    }
}

/// The method and target of a head that is to be refused, if they can be shown.
pub(super) fn method_and_path(head: &[u8]) -> Option<(&str, &str)> {
    let line = head.split(|&byte| byte == b'\r' || byte == b'\n').find(|line| !line.is_empty())?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let is_shown = method.len() <= 32
        && method.bytes().all(is_token)
        && !method.is_empty()
        && method != "CONNECT"
        && target.starts_with('/')
        && target.len() <= 1024
        && target.bytes().all(|byte| byte.is_ascii_graphic())
        && Uri::try_from(target).is_ok();
    is_shown.then_some((method, target))
}

/// What the header lines have said so far.
#[derive(Default)]
struct Found {
    headers: usize,
    length: Option<u64>,
    chunked: bool,
    /// `Connection` lists `upgrade`.
    connection_upgrade: bool,
    /// `Upgrade` names a protocol that is passed through.
    protocol: bool,
}

impl Found {
    fn is_upgrade(&self) -> bool {
        self.connection_upgrade && self.protocol
    }
}

/// The lines of a head without their ends; an error at a line that does not end with CR and LF or
/// holds a byte that may stand in no line.
pub(in crate::balancer) struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
    checked: bool,
}

impl<'a> Lines<'a> {
    /// The lines of a head.
    pub(in crate::balancer) fn of(head: &'a [u8]) -> Self {
        Self { rest: head, number: 0, checked: true }
    }

    /// The same, but without a look at each byte: for who looks at names and values anyway.
    pub(in crate::balancer) fn unchecked(head: &'a [u8]) -> Self {
        Self { checked: false, ..Self::of(head) }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<&'a [u8], Refused>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = memchr(b'\n', self.rest)?;
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..).unwrap_or_default();
        self.number += 1;
        let place = if self.number == 1 { "the first line" } else { "a header line" };
        let Some(line) = line.strip_suffix(b"\r") else {
            return Some(Err(Refused::bad(format!(
                "{place}, {}, ends with a line feed alone: CR LF is needed",
                quoted(line)
            ))));
        };
        let control = line.iter().find(|&&byte| is_control(byte) && self.checked);
        match control {
            None => Some(Ok(line)),
            Some(byte) => Some(Err(Refused::bad(format!(
                "{place}, {}, holds the control character 0x{byte:02x}",
                quoted(line)
            )))),
        }
    }
}

/// What may stand in no line.
fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

/// Takes in one header line.
fn header(line: &[u8], found: &mut Found) -> Result<(), String> {
    let colon = memchr(b':', line).ok_or("it has no colon")?;
    let (name, value) = line.split_at(colon);
    let value = value.get(1..).unwrap_or_default();
    if name.is_empty() || !name.iter().copied().all(is_token) {
        return Err(match line.first() {
            Some(b' ' | b'\t') => "a folded line is not allowed",
            _ if name.is_empty() => "it has no name",
            _ => "its name holds what may not stand in a name",
        }
        .to_owned());
    }
    match name.len() {
        7 if name.eq_ignore_ascii_case(b"upgrade") => {
            found.protocol |= !list(value).any(|word| word.eq_ignore_ascii_case(b"h2c"));
        }
        10 if name.eq_ignore_ascii_case(b"connection") => {
            found.connection_upgrade |=
                list(value).any(|word| word.eq_ignore_ascii_case(b"upgrade"));
        }
        14 if name.eq_ignore_ascii_case(b"content-length") => {
            if found.length.is_some() {
                return Err("a second Content-Length".to_owned());
            }
            found.length = Some(number(value.trim_ascii())?);
        }
        17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
            let last = list(value).next_back().unwrap_or_default();
            if found.chunked || !last.eq_ignore_ascii_case(b"chunked") {
                return Err("one transfer coding that ends with `chunked` is needed".to_owned());
            }
            found.chunked = true;
        }
        _ => {}
    }
    Ok(())
}

/// The words of a request line that has three words and single spaces between them.
fn request_line(line: &[u8]) -> Result<RequestLine<'_>, Refused> {
    let bad = |what| Refused::bad(format!("the request line, {}, {what}", quoted(line)));
    let mut words = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(bad("is not three words with single spaces between them"));
    };
    if method.is_empty() || !method.iter().copied().all(is_token) {
        return Err(bad("does not begin with a method"));
    }
    if !matches!(version, b"HTTP/1.0" | b"HTTP/1.1") {
        return Err(bad("does not end with HTTP/1.1 or HTTP/1.0"));
    }
    // The parser has its own opinion of the rarer characters in a target: it is asked beforehand,
    // so that its refusal comes with a sentence too.
    let is_plain = target.first() == Some(&b'/') && target.iter().copied().all(is_common);
    if !is_plain && Uri::try_from(target).is_err() {
        return Err(bad("asks for a target that is not a URI"));
    }
    Ok(RequestLine { method, target, version })
}

/// The members of a list.
fn list(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim)
}

/// A number of nothing but digits.
fn number(digits: &[u8]) -> Result<u64, String> {
    let is_plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(digits).ok().filter(|_| is_plain).and_then(|d| d.parse().ok());
    number
        .filter(|&length| length <= LONGEST_BODY)
        .ok_or_else(|| "a length is a number of bytes in decimal digits".to_owned())
}

/// What may stand in a name (RFC 9110, section 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    // A table, for every byte of every name is asked for.
    const TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 128_u8 {
            table[byte as usize] = byte.is_ascii_alphanumeric();
            byte += 1;
        }
        let marks = b"!#$%&'*+-.^_`|~";
        let mut at = 0;
        while at < marks.len() {
            table[marks[at] as usize] = true;
            at += 1;
        }
        table
    };
    TOKEN[usize::from(byte)]
}

/// What stands in a path or query and is never in dispute (RFC 3986, section 3.3).
fn is_common(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/?&=%-._~+:,;@!$'()*".contains(&byte)
}

/// The first bytes of a line, for a sentence.
fn quoted(line: &[u8]) -> String {
    const SHOWN: usize = 60;
    let shown = line.get(..SHOWN).unwrap_or(line);
    let dots = if line.len() > SHOWN { "…" } else { "" };
    format!("`{}{dots}`", shown.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_lines(line: &str, lines: &str) -> Result<After, Refused> {
        let head = format!("{line}\r\n{lines}\r\n");
        read(Lines::of(head.as_bytes()), |_| ()).map(|(_, after)| after)
    }

    fn sentence(line: &str, lines: &str) -> String {
        read_lines(line, lines).unwrap_err().why
    }

    #[test]
    fn a_refusal_says_where_and_what_to_do() {
        assert_eq!(
            sentence("GET / HTTP/1.1", "Host: a\r\nA B: c\r\n"),
            "header line 2, `A B: c`: its name holds what may not stand in a name"
        );
        assert_eq!(
            sentence("GET / HTTP/9.9", ""),
            "the request line, `GET / HTTP/9.9`, does not end with HTTP/1.1 or HTTP/1.0"
        );
        assert_eq!(
            sentence("GET / HTTP/1.1", "A: b\nB: c\r\n"),
            "a header line, `A: b`, ends with a line feed alone: CR LF is needed"
        );
        assert_eq!(
            sentence("GET / HTTP/1.1", "A: b\rc\r\n"),
            "a header line, `A: b\\rc`, holds the control character 0x0d"
        );
        let many = "A: b\r\n".repeat(101);
        let refused = read_lines("GET / HTTP/1.1", &many).unwrap_err();
        assert_eq!(refused.status.as_u16(), 431);
        assert_eq!(refused.why, "101 header lines, the limit is 100");
    }

    #[test]
    fn what_follows_a_head_is_what_its_headers_say() {
        let after = |lines| read_lines("POST /a HTTP/1.1", lines).unwrap();
        assert_eq!(after(""), After::Head);
        assert_eq!(after("Content-Length: 0\r\n"), After::Head);
        assert_eq!(after("Content-Length: 7\r\n"), After::Body(7));
        assert_eq!(after("Transfer-Encoding: gzip, Chunked\r\n"), After::Chunks);
        let upgrade = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n";
        assert_eq!(after(upgrade), After::OtherProtocol);
        assert_eq!(after("Connection: Upgrade\r\nUpgrade: h2c\r\n"), After::Head);
        assert_eq!(after("Upgrade: websocket\r\n"), After::Head);
        assert_eq!(read_lines("GET / HTTP/1.0", upgrade).unwrap(), After::Head);
    }

    #[test]
    fn only_what_can_be_shown_is_shown_of_a_refused_head() {
        assert_eq!(method_and_path(b"GET /a?b HTTP/9.9\r\n"), Some(("GET", "/a?b")));
        assert_eq!(method_and_path(b"\r\nPUT /a\nB"), Some(("PUT", "/a")));
        for head in ["", "GET", "GET a", "G(T /", "CONNECT /", "GET /\u{7f} x", "GET /\u{e4}"] {
            assert_eq!(method_and_path(head.as_bytes()), None, "{head:?}");
        }
    }
}
