//! Forms with files: `multipart/form-data` (RFC 7578), the parts of a body as slices of it.

use super::{Error, malformed};
use memchr::memmem;

/// The most parts that a form may have.
pub const MOST_PARTS: usize = 16;

/// One field of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// The field's name.
    pub name: &'a str,
    /// The file's name, if the field is a file.
    pub filename: Option<&'a str>,
    /// The field's value or the file's bytes.
    pub content: &'a [u8],
}

/// Parses a body whose `Content-Type` is `content_type`.
///
/// # Errors
/// [`Error::Malformed`] if the type has no usable boundary, if the body does not begin and end with
/// it, or if a part has no name; [`Error::TooLarge`] for more than [`MOST_PARTS`] parts.
pub fn parse<'a>(content_type: &str, body: &'a [u8]) -> Result<Vec<Part<'a>>, Error> {
    let boundary = boundary(content_type)?;
    let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
    let finder = memmem::Finder::new(&delimiter);
    let mut at = first_delimiter(body, &delimiter)?;
    let mut parts = Vec::new();
    loop {
        let rest = &body[at..];
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        // Spaces may follow a delimiter (RFC 2046, section 5.1.1).
        let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if !rest[blank..].starts_with(b"\r\n") {
            return Err(malformed(format!(
                "the form is broken at byte {at} of the body: expected the end of the line"
            )));
        }
        if parts.len() == MOST_PARTS {
            return Err(Error::TooLarge {
                what: "the form's number of parts",
                actual: MOST_PARTS as u64 + 1,
                limit: "form parts",
                allowed: MOST_PARTS as u64,
            });
        }
        let start = at + blank;
        let length = finder.find(&body[start..]).ok_or_else(|| {
            malformed(format!("the form's part at byte {start} of the body has no end: it is cut"))
        });
        // A part without content: its headers' last line end is the delimiter's first.
        let part = &body[start..start + length?];
        parts.push(parse_part(part, start)?);
        at = start + part.len() + delimiter.len();
    }
}

/// Where the first delimiter line goes on behind the boundary.
fn first_delimiter(body: &[u8], delimiter: &[u8]) -> Result<usize, Error> {
    let opening = &delimiter[2..];
    if body.starts_with(opening) {
        return Ok(opening.len());
    }
    // What stands before the first delimiter is to be ignored.
    memmem::find(body, delimiter).map(|at| at + delimiter.len()).ok_or_else(|| {
        malformed("the form does not hold the boundary that its Content-Type announces")
    })
}

/// The boundary parameter of a media type (RFC 2046, section 5.1.1).
fn boundary(content_type: &str) -> Result<&str, Error> {
    let boundary = parameter(content_type, "boundary")
        .ok_or_else(|| malformed("the form's Content-Type has no boundary"))?;
    if boundary.is_empty() || boundary.len() > 70 {
        return Err(malformed("the form's boundary must have 1 to 70 characters"));
    }
    Ok(boundary)
}

/// The value of a parameter of a header, `; name=value` or `; name="value"`.
fn parameter<'a>(header: &'a str, wanted: &str) -> Option<&'a str> {
    let mut rest = &header[header.find(';')? + 1..];
    loop {
        let (name, value) = rest.split_once('=')?;
        let value = value.trim_start();
        let (value, behind) = if let Some(quoted) = value.strip_prefix('"') {
            quoted.split_once('"')?
        } else {
            let end = value.find(';').unwrap_or(value.len());
            (value[..end].trim_end(), &value[end..])
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = &behind[behind.find(';')? + 1..];
    }
}

/// Parses a part, which begins with the line end of the delimiter before it.
fn parse_part(part: &[u8], start: usize) -> Result<Part<'_>, Error> {
    let broken =
        |what: &str| malformed(format!("the form's part at byte {start} of the body {what}"));
    let end = memmem::find(part, b"\r\n\r\n")
        .ok_or_else(|| broken("has no empty line between its headers and its content"))?;
    let headers =
        str::from_utf8(&part[..end]).map_err(|_| broken("has headers that are not UTF-8"))?;
    let disposition = headers
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"));
    let (_, disposition) = disposition.ok_or_else(|| broken("has no Content-Disposition"))?;
    let name = parameter(disposition, "name").ok_or_else(|| broken("has no name"))?;
    let filename = parameter(disposition, "filename");
    Ok(Part { name, filename, content: &part[end + 4..] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TYPE: &str = "multipart/form-data; charset=utf-8; boundary=\"x y\"";

    #[test]
    fn fields_and_files_are_told_apart() {
        let body = b"ignored\r\n--x y \t\r\nContent-Disposition: form-data; name=\"scene\"\r\n\r\n\
            1 2\r\n--x\r\n\r\n--x y\r\nContent-Type: image/bmp\r\ncontent-disposition: form-data; \
            filename=\"a;b=c.bmp\"; name=texmap\r\n\r\nBM\0\r\n--x y--\r\nignored";
        let parts = parse(TYPE, body).unwrap();
        let expected = [
            Part { name: "scene", filename: None, content: b"1 2\r\n--x\r\n" },
            Part { name: "texmap", filename: Some("a;b=c.bmp"), content: b"BM\0" },
        ];
        assert_eq!(parts, expected);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let message = |kind: &str, body: &[u8]| parse(kind, body).unwrap_err().to_string();
        assert!(message("multipart/form-data", b"").contains("no boundary"));
        assert!(message(TYPE, b"--z\r\n").contains("does not hold the boundary"));
        assert!(message(TYPE, b"--x y\r\nA: b\r\n\r\n1").contains("it is cut"));
        assert!(
            message(TYPE, b"--x y\r\nA: b\r\n\r\n1\r\n--x y--").contains("Content-Disposition")
        );
        assert!(message(TYPE, b"--x yz\r\n").contains("byte 5"));
        let part = b"--x y\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n".repeat(17);
        assert!(message(TYPE, &part).contains("17"));
    }

    #[test]
    fn a_form_may_be_empty_and_so_may_a_field() {
        assert_eq!(parse(TYPE, b"--x y--\r\n"), Ok(Vec::new()));
        let body = b"--x y\r\nContent-Disposition: form-data; name=\"\"\r\n\r\n\r\n--x y--";
        assert_eq!(parse(TYPE, body).unwrap()[0].content, b"");
    }

    proptest! {
        #[test]
        fn contents_come_back(contents in proptest::collection::vec("[a-z\r\n-]{0,30}", 0..5)) {
            let mut body = String::new();
            for content in &contents {
                let header = "Content-Disposition: form-data; name=\"f\"";
                body += &["--BOUND\r\n", header, "\r\n\r\n", content, "\r\n"].concat();
            }
            body.push_str("--BOUND--\r\n");
            let parts = parse("multipart/form-data;boundary=BOUND", body.as_bytes()).unwrap();
            let read: Vec<_> = parts.iter().map(|part| part.content).collect();
            prop_assert_eq!(read, contents.iter().map(String::as_bytes).collect::<Vec<_>>());
        }

        #[test]
        fn no_form_makes_it_panic(
            kind in "(multipart/form-data)?(; ?[a-z]{1,8}=?\"?\\PC{0,5}\"?){0,3}",
            body in "(--x|\r\n|\r\n\r\n|Content-Disposition: |name=|;|\"|\\PC){0,40}",
        ) {
            let _ = (parse(&kind, body.as_bytes()), parse("a;boundary=x", body.as_bytes()));
        }
    }
}
