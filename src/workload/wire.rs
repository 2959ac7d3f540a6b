//! The request bodies and parameters that existing clients send, and the answers they expect.
//!
//! Parsers and writers over bytes; they know nothing of HTTP connections. Each refuses what it
//! can't read with [`Error::Malformed`] that says what was expected and at
//! which byte. None panics, whatever it is given.

pub mod data_url;
pub mod event;
pub mod multipart;
pub mod query;
pub mod render_json;

use super::Error;
use super::imaging::Format;

/// What a request body seems to be, judged by how it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// A picture as text: see [`data_url`].
    DataUrl,
    /// A picture file.
    Picture(Format),
    /// A JSON object: see [`render_json`].
    Json,
    /// Anything else; for the ray tracer, a plain scene.
    Other,
}

/// Judges a body by its first bytes (a few dozen are enough).
#[must_use]
pub fn classify(body: &[u8]) -> Body {
    if let Some(format) = Format::sniff(body) {
        return Body::Picture(format);
    }
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    if text.first() == Some(&b'{') {
        Body::Json
    } else if text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"data:")) {
        Body::DataUrl
    } else {
        Body::Other
    }
}

fn malformed(sentence: impl Into<String>) -> Error {
    Error::Malformed(sentence.into())
}

/// A byte, as a person would name it.
fn name_byte(byte: u8) -> String {
    match byte {
        b'\n' => "a line feed".to_owned(),
        b'\r' => "a carriage return".to_owned(),
        b'\t' => "a tab".to_owned(),
        b' ' => "a space".to_owned(),
        0x21..=0x7e => format!("`{}`", char::from(byte)),
        _ => format!("the byte 0x{byte:02x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bodies_are_known_by_their_beginning() {
        assert_eq!(classify(b"data:image/jpg;base64,AAAA"), Body::DataUrl);
        assert_eq!(classify(b"\xff\xd8\xff\xe0"), Body::Picture(Format::Jpeg));
        assert_eq!(classify(b"\xef\xbb\xbf \r\n{\"scene\": \"\"}"), Body::Json);
        assert_eq!(classify(b"0 2 9\n0 0.5 0"), Body::Other);
        assert_eq!(classify(b""), Body::Other);
    }

    proptest! {
        #[test]
        fn classifying_never_panics(body in proptest::collection::vec(any::<u8>(), 0..50)) {
            let _ = classify(&body);
        }
    }
}
