//! What the cost of a request is guessed from: its head and the first bytes of its body.

use std::time::Duration;

use base64_simd::STANDARD_NO_PAD;
use hyper::Method;
use hyper::http::request::Parts;

use super::tape::Tape;
use crate::domain::cost::{Features, Kind};
use crate::workload::imaging::probe_header;

/// How long to wait for the first bytes of a picture. They follow the head at once, or else the
/// client has something else to do first and is not kept waiting.
const PATIENCE: Duration = Duration::from_millis(10);

/// So much of a body is looked at: nearly every picture tells its size in its first 64 KiB.
const LOOKED_AT: usize = 64 << 10;
/// What stands before the picture in a data URL or a form is shorter than this.
const PREAMBLE: usize = 1 << 10;

/// What kind of work a request asks for.
pub(super) fn kind(head: &Parts) -> Kind {
    if head.method != Method::POST {
        return Kind::Other;
    }
    let path = head.uri.path();
    if path.starts_with("/blurimage") {
        Kind::Blur
    } else if path.starts_with("/enhanceimage") {
        Kind::Enhance
    } else if path.starts_with("/raytracer") {
        Kind::Raytrace
    } else {
        Kind::Other
    }
}

/// The features of a request.
pub(super) async fn of(head: &Parts, tape: &Tape) -> Features {
    let kind = kind(head);
    let mut features = Features { kind, body_bytes: tape.declared(), ..Features::default() };
    match kind {
        Kind::Blur | Kind::Enhance => {
            let first = tape.first_chunk(PATIENCE).await;
            features.picture_pixels = first.and_then(|bytes| picture_pixels(&bytes));
        }
        Kind::Raytrace => {
            let query = head.uri.query().unwrap_or_default();
            features.window_pixels = window_pixels(query);
            features.antialias =
                parameter(query, "aa").is_some_and(|aa| aa.eq_ignore_ascii_case("true"));
        }
        Kind::Other => {}
    }
    features
}

/// Width times height of the picture that begins in these bytes: a data URL, a picture file, or a
/// form with a file.
fn picture_pixels(body: &[u8]) -> Option<u64> {
    let body = body.get(..LOOKED_AT).unwrap_or(body);
    let preamble = body.get(..PREAMBLE).unwrap_or(body);
    let after = |mark: &[u8]| {
        let at = preamble.windows(mark.len()).position(|window| window == mark)?;
        body.get(at + mark.len()..)
    };
    let header = if body.starts_with(b"data:") {
        probe_header(&decode_start(after(b"base64,")?))
    } else if body.starts_with(b"--") {
        probe_header(after(b"\r\n\r\n")?)
    } else {
        probe_header(body)
    };
    header.map(|header| header.pixels())
}

/// Decodes base64 as far as its start goes: to the last whole group of four, line breaks aside.
fn decode_start(base64: &[u8]) -> Vec<u8> {
    let mut digits: Vec<u8> = base64
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=')
        .collect();
    digits.truncate(digits.len() / 4 * 4);
    STANDARD_NO_PAD.decode_to_vec(&digits).unwrap_or_default()
}

/// Width times height of the window that a query asks for.
fn window_pixels(query: &str) -> Option<u64> {
    let columns: u64 = parameter(query, "wcols")?.parse().ok()?;
    let rows: u64 = parameter(query, "wrows")?.parse().ok()?;
    Some(columns.saturating_mul(rows))
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PNG file up to its size: 640 x 480.
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x02\0\0\0";

    #[test]
    fn a_picture_tells_its_size_however_it_is_sent() {
        let pixels = Some(640 * 480);
        assert_eq!(picture_pixels(PNG), pixels);
        let base64 = base64_simd::STANDARD.encode_to_string(PNG);
        let (first, second) = base64.split_at(17);
        let url = format!("data:image/png;base64,{first}\r\n{second}");
        assert_eq!(picture_pixels(url.as_bytes()), pixels);
        let mut form = b"--x\r\nContent-Disposition: form-data; name=f\r\n\r\n".to_vec();
        form.extend_from_slice(PNG);
        assert_eq!(picture_pixels(&form), pixels);
        assert_eq!(picture_pixels(b"data:image/png,plain"), None);
        assert_eq!(picture_pixels(b""), None);
    }

    #[test]
    fn the_window_is_read_from_the_query() {
        let query = "scols=9&srows=9&wcols=400&wrows=300&coff=0&roff=0&aa=true";
        assert_eq!(window_pixels(query), Some(120_000));
        assert_eq!(parameter(query, "aa"), Some("true"));
        assert_eq!(window_pixels("wcols=x&wrows=3"), None);
        assert_eq!(window_pixels(""), None);
    }
}
