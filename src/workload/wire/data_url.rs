//! Pictures as text: `data:image/FORMAT;base64,DATA` (RFC 2397), as existing clients send it.
//!
//! The header goes up to the first comma; FORMAT is what stands between its first slash and its
//! first semicolon; DATA goes up to the next comma or the end. DATA is base64 (RFC 4648) of the
//! standard alphabet; ASCII whitespace in it is skipped and its padding may be missing.

use super::{Error, malformed, name_byte};
use base64_simd::STANDARD;

/// A picture that came as a data URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataUrl<'a> {
    /// FORMAT as sent. It asks for the answer's format; the picture's own is seen from its bytes.
    pub label: &'a str,
    /// The decoded bytes.
    pub payload: Vec<u8>,
}

/// Parses a body.
///
/// # Errors
/// [`Error::Malformed`] if there is no comma, slash or semicolon where one is needed, or if DATA is
/// not base64.
pub fn parse(body: &[u8]) -> Result<DataUrl<'_>, Error> {
    let (label, start) = parse_header(body)?;
    let data = &body[start..];
    let data = memchr::memchr(b',', data).map_or(data, |end| &data[..end]);
    let payload = decode(data).ok_or_else(|| explain(data, start))?;
    Ok(DataUrl { label, payload })
}

/// Parses the first bytes of a body, to see what picture it holds before the rest has come.
///
/// The payload holds as many bytes as could be decoded. `None` if the header is not complete, or
/// is not that of a data URL.
#[must_use]
pub fn parse_head(beginning: &[u8]) -> Option<DataUrl<'_>> {
    let (label, start) = parse_header(beginning).ok()?;
    let mut data = without_whitespace(&beginning[start..]);
    let valid = data.iter().position(|byte| !is_symbol(*byte)).unwrap_or(data.len());
    // Whole groups of four symbols: the next one may be cut.
    data.truncate(valid - valid % 4);
    let payload = STANDARD.decode_to_vec(&data).ok()?;
    Some(DataUrl { label, payload })
}

/// Writes the answer that a client expects; `label` is echoed as it was sent.
#[must_use]
pub fn write(label: &str, payload: &[u8]) -> Vec<u8> {
    let header = format!("data:image/{label};base64,");
    let mut body = Vec::with_capacity(header.len() + STANDARD.encoded_length(payload.len()));
    body.extend(header.into_bytes());
    STANDARD.encode_append(payload, &mut body);
    body
}

/// The label, and where the data start.
fn parse_header(body: &[u8]) -> Result<(&str, usize), Error> {
    const EXPECTED: &str = "expected data:image/FORMAT;base64,DATA";
    let comma = memchr::memchr(b',', body).ok_or_else(|| {
        malformed(format!("the body is no picture as a data URL, it has no comma: {EXPECTED}"))
    })?;
    let header = &body[..comma];
    let missing = |what: &str| {
        malformed(format!(
            "the header before the comma at byte {comma} of the body has no {what}: {EXPECTED}"
        ))
    };
    let slash = memchr::memchr(b'/', header).ok_or_else(|| missing("slash"))?;
    let end = memchr::memchr(b';', header).ok_or_else(|| missing("semicolon"))?;
    let label = header.get(slash + 1..end).ok_or_else(|| missing("semicolon after its slash"))?;
    let label = str::from_utf8(label)
        .map_err(|_| malformed(format!("FORMAT at byte {} of the body is not UTF-8", slash + 1)))?;
    Ok((label, comma + 1))
}

fn decode(data: &[u8]) -> Option<Vec<u8>> {
    if has_whitespace(data) {
        base64_simd::forgiving_decode_to_vec(&without_whitespace(data)).ok()
    } else {
        base64_simd::forgiving_decode_to_vec(data).ok()
    }
}

/// Whether any byte is a space or a control character.
fn has_whitespace(data: &[u8]) -> bool {
    data.chunks(4096).any(|chunk| lowest(chunk) <= b' ')
}

/// Without branches, so the compiler makes vectors of it.
fn lowest(chunk: &[u8]) -> u8 {
    chunk.iter().fold(u8::MAX, |lowest, byte| lowest.min(*byte))
}

fn without_whitespace(data: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(data.len());
    // Lines are longer than a chunk: most chunks are copied whole.
    for chunk in data.chunks(16) {
        if lowest(chunk) <= b' ' {
            clean.extend(chunk.iter().filter(|byte| !byte.is_ascii_whitespace()));
        } else {
            clean.extend_from_slice(chunk);
        }
    }
    clean
}

fn is_symbol(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}

/// Finds out what is wrong with data that start at byte `start` of the body.
fn explain(data: &[u8], start: usize) -> Error {
    let bytes = || data.iter().zip(start..).filter(|(byte, _)| !byte.is_ascii_whitespace());
    let at =
        |what: &str, position: usize| malformed(format!("{what} at byte {position} of the body"));
    let stray = bytes().find(|(byte, _)| !is_symbol(**byte) && **byte != b'=');
    if let Some((byte, position)) = stray {
        return at(&format!("the base64 data have {} in them", name_byte(*byte)), position);
    }
    let padding = bytes().find(|(byte, _)| **byte == b'=').map(|(_, position)| position);
    if let Some(first) = padding {
        let behind = bytes().find(|(byte, position)| **byte != b'=' && *position > first);
        if let Some((_, position)) = behind {
            return at("the base64 data go on behind their padding", position);
        }
    }
    let symbols = bytes().filter(|(byte, _)| **byte != b'=').count();
    let end = padding.unwrap_or(start + data.len());
    if symbols % 4 == 1 {
        return at("the base64 data end within a byte: they are cut", end);
    }
    at("the base64 data have the wrong padding", end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(body: &[u8]) -> String {
        parse(body).expect_err("not base64").to_string()
    }

    #[test]
    fn the_label_stands_between_slash_and_semicolon() {
        let url = parse(b"data:image/svg+xml;base64,aGk=").unwrap();
        assert_eq!((url.label, &url.payload[..]), ("svg+xml", &b"hi"[..]));
        assert_eq!(parse(b"x/Jpg;,aGk=").unwrap().label, "Jpg", "nothing else is looked at");
    }

    #[test]
    fn what_follows_a_second_comma_is_ignored() {
        assert_eq!(parse(b"data:image/jpg;base64,aGk=,!!").unwrap().payload, b"hi");
    }

    #[test]
    fn whitespace_is_skipped_and_padding_may_be_missing() {
        assert_eq!(parse(b"data:image/jpg;base64,a\r\nGk \n").unwrap().payload, b"hi");
        assert_eq!(parse(b"data:image/jpg;base64,").unwrap().payload, b"");
    }

    #[test]
    fn a_bad_byte_is_named_with_its_place() {
        assert_eq!(
            message(b"data:image/jpg;base64,aG\n!=aGk="),
            "the base64 data have `!` in them at byte 25 of the body"
        );
        assert!(message(b"data:image/jpg;base64,aGk=aGk=").contains("padding at byte 26"));
        assert!(message(b"data:image/jpg;base64,aGkaaGkaa").contains("cut at byte 31"));
        assert!(message(b"no such thing").contains("no comma"));
        assert!(message(b"data:image;base64,aGk=").contains("no slash"));
        assert!(message(b"data:image/jpg,aGk=").contains("no semicolon"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            label in "[a-z0-9+-]{0,12}", payload in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let body = write(&label, &payload);
            let url = parse(&body).unwrap();
            prop_assert_eq!(url, DataUrl { label: &label, payload: payload.clone() });
            let unpadded: Vec<u8> = body.into_iter().filter(|byte| *byte != b'=').collect();
            let lines = unpadded.chunks(76).collect::<Vec<_>>().join(&b'\n');
            prop_assert_eq!(parse(&lines).unwrap().payload, payload);
        }

        #[test]
        fn a_head_gives_the_first_bytes(
            payload in proptest::collection::vec(any::<u8>(), 0..300), cut in 0usize..450,
        ) {
            let body = write("png", &payload);
            let Some(head) = parse_head(&body[..cut.min(body.len())]) else {
                prop_assert!(cut < 22);
                return Ok(());
            };
            prop_assert_eq!(head.label, "png");
            prop_assert!(payload.starts_with(&head.payload));
            prop_assert!(head.payload.len() + 22 + 3 >= cut.min(body.len()) * 3 / 4 - 16);
        }

        #[test]
        fn no_body_makes_it_panic(
            body in "(data:image/jpg;base64,)?[A-Za-z0-9+/=,; \n\\PC]{0,60}",
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let _ = (parse(body.as_bytes()), parse_head(body.as_bytes()));
            let _ = (parse(&bytes), parse_head(&bytes));
        }
    }
}
