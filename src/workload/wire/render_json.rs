//! The JSON body of a render: `{"scene": "…", "texmap": [bytes as integers]}` (RFC 8259).
//!
//! A texture comes as one integer a byte, so a body of 32 MB is common: the integers go straight
//! into bytes, and nothing else is built of them.

mod integers;

use super::{Error, malformed, name_byte};
use crate::workload::Limits;

/// How deep members that nobody asked for may be nested.
const DEEPEST: usize = 64;

/// What is to be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderBody {
    /// The scene's text.
    pub scene: String,
    /// The bytes of an encoded picture.
    pub texmap: Option<Vec<u8>>,
}

/// Parses a body. Members of other names are ignored; of equal names the last holds.
///
/// The integers of `texmap` are taken modulo 256; `null` is as good as absent.
///
/// # Errors
/// [`Error::Malformed`] if the body is not JSON, not an object, or its members are of other types;
/// [`Error::TooLarge`] if the texture has more bytes than allowed.
pub fn parse(body: &[u8], limits: &Limits) -> Result<RenderBody, Error> {
    let start = if body.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let mut scanner = Scanner { body, at: start };
    let (mut scene, mut texmap) = (None, None);
    scanner.skip_whitespace();
    scanner.expect(b'{', "the `{` of an object with the member `scene`")?;
    scanner.skip_whitespace();
    if scanner.peek() == Some(b'}') {
        scanner.at += 1;
    } else {
        loop {
            scanner.skip_whitespace();
            let name = scanner.string("the name of a member, in quotes")?;
            scanner.skip_whitespace();
            scanner.expect(b':', "a `:` behind a member's name")?;
            scanner.skip_whitespace();
            match name.as_str() {
                "scene" => scene = Some(scanner.string("`scene`, a text in quotes")?),
                "texmap" => texmap = scanner.texmap(limits.texture_bytes)?,
                _ => scanner.skip_value(DEEPEST)?,
            }
            if !scanner.goes_on(b'}')? {
                break;
            }
        }
    }
    scanner.skip_whitespace();
    if scanner.peek().is_some() {
        return Err(scanner.error("the end of the body behind the object"));
    }
    let scene = scene.ok_or_else(|| malformed("the JSON body has no member `scene`"))?;
    Ok(RenderBody { scene, texmap })
}

/// The scene in a body of which the rest may not be there yet; nothing if the scene is not whole.
#[must_use]
pub fn scene(start: &[u8]) -> Option<String> {
    let at = if start.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let mut scanner = Scanner { body: start, at };
    scanner.skip_whitespace();
    scanner.expect(b'{', "an object").ok()?;
    loop {
        scanner.skip_whitespace();
        let name = scanner.string("a name").ok()?;
        scanner.skip_whitespace();
        scanner.expect(b':', "a colon").ok()?;
        scanner.skip_whitespace();
        if name == "scene" {
            return scanner.string("a scene").ok();
        }
        scanner.skip_value(DEEPEST).ok()?;
        if !scanner.goes_on(b'}').ok()? {
            return None;
        }
    }
}

/// A place in the body.
struct Scanner<'a> {
    body: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn error(&self, expected: &str) -> Error {
        let at = self.at.min(self.body.len());
        match self.peek() {
            Some(byte) => malformed(format!(
                "the JSON body has {} at byte {at}: expected {expected}",
                name_byte(byte)
            )),
            None => malformed(format!("the JSON body ends at byte {at}: expected {expected}")),
        }
    }

    fn skip_whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8, what: &str) -> Result<(), Error> {
        if self.peek() != Some(byte) {
            return Err(self.error(what));
        }
        self.at += 1;
        Ok(())
    }

    /// Passes what follows an element: true for a comma, false for the end of the list.
    fn goes_on(&mut self, end: u8) -> Result<bool, Error> {
        self.skip_whitespace();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.error(&format!("`,` or `{}`", char::from(end)))),
        }
    }

    fn string(&mut self, what: &str) -> Result<String, Error> {
        self.expect(b'"', what)?;
        let mut text = Vec::new();
        let start = self.at;
        loop {
            let rest = self.body.get(self.at..).unwrap_or_default();
            let plain = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            if let Some(control) = rest[..plain].iter().position(|byte| *byte < b' ') {
                self.at += control;
                return Err(
                    self.error("no control character within a text: write it as \\n or \\u00XX")
                );
            }
            text.extend_from_slice(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape(&mut text)?,
                _ => return Err(self.error("the quote that ends a text")),
            }
        }
        self.at += 1;
        String::from_utf8(text).map_err(|_| {
            malformed(format!("the text at byte {start} of the JSON body is not UTF-8"))
        })
    }

    /// Reads an escape sequence (RFC 8259, section 7).
    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), Error> {
        let start = self.at;
        self.at += 1;
        let byte = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let unit = self.code_unit()?;
                let is_first_half = (0xd800..0xdc00).contains(&unit);
                let character = if is_first_half && self.body[self.at..].starts_with(b"\\u") {
                    self.at += 1;
                    let second = self.code_unit()?;
                    char::decode_utf16([unit, second]).next().and_then(Result::ok)
                } else {
                    char::from_u32(u32::from(unit))
                };
                let character = character.ok_or_else(|| {
                    malformed(format!(
                        "the escape at byte {start} of the JSON body is half a character: \
                         expected a pair of surrogates"
                    ))
                })?;
                text.extend(character.encode_utf8(&mut [0; 4]).bytes());
                return Ok(());
            }
            _ => return Err(self.error("one of \" \\ / b f n r t u behind a backslash")),
        };
        self.at += 1;
        text.push(byte);
        Ok(())
    }

    /// Reads the four digits behind `u`.
    fn code_unit(&mut self) -> Result<u16, Error> {
        self.at += 1;
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let digit = digit.ok_or_else(|| self.error("four hexadecimal digits behind \\u"))?;
            unit = unit << 4 | digit;
            self.at += 1;
        }
        u16::try_from(unit).map_err(|_| self.error("four hexadecimal digits behind \\u"))
    }

    fn texmap(&mut self, most: u64) -> Result<Option<Vec<u8>>, Error> {
        if self.body[self.at.min(self.body.len())..].starts_with(b"null") {
            self.at += 4;
            return Ok(None);
        }
        self.expect(b'[', "`texmap`, a list of integers")?;
        // An integer with spaces before it takes about as many bytes: so it hardly ever has to grow.
        let mut values = Vec::with_capacity((self.body.len() - self.at) / 8);
        self.skip_whitespace();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Some(values));
        }
        loop {
            self.at = integers::read(self.body, self.at, &mut values);
            self.skip_whitespace();
            values.push(self.integer()?);
            if values.len() as u64 > most {
                return Err(Error::TooLarge {
                    what: "the texture's number of bytes",
                    actual: values.len() as u64,
                    limit: "texture_bytes",
                    allowed: most,
                });
            }
            if !self.goes_on(b']')? {
                return Ok(Some(values));
            }
        }
    }

    /// Reads an integer of 32 bits; gives it modulo 256.
    fn integer(&mut self) -> Result<u8, Error> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        let digits = str::from_utf8(&self.body[start..self.at]).unwrap_or_default();
        let whole = !matches!(self.peek(), Some(b'.' | b'e' | b'E'));
        match digits.parse::<i32>() {
            Ok(number) if whole => Ok(number.to_le_bytes()[0]),
            _ => {
                self.at = if digits.is_empty() || digits == "-" || whole { start } else { self.at };
                Err(self.error("whole numbers of 32 bits in `texmap`"))
            }
        }
    }

    /// Passes a value of any kind, with at most `depth` levels of lists and objects.
    fn skip_value(&mut self, depth: usize) -> Result<(), Error> {
        match self.peek() {
            Some(b'"') => self.string("a text").map(drop),
            Some(open @ (b'{' | b'[')) => {
                if depth == 0 {
                    return Err(self.error("no more than 64 levels of lists and objects"));
                }
                self.at += 1;
                self.skip_whitespace();
                let end = if open == b'{' { b'}' } else { b']' };
                if self.peek() == Some(end) {
                    self.at += 1;
                    return Ok(());
                }
                loop {
                    self.skip_whitespace();
                    if open == b'{' {
                        self.string("the name of a member, in quotes")?;
                        self.skip_whitespace();
                        self.expect(b':', "a `:` behind a member's name")?;
                        self.skip_whitespace();
                    }
                    self.skip_value(depth - 1)?;
                    if !self.goes_on(end)? {
                        return Ok(());
                    }
                }
            }
            _ => self.skip_scalar(),
        }
    }

    /// Passes a number, `true`, `false` or `null`.
    fn skip_scalar(&mut self) -> Result<(), Error> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        if let Some(word) =
            [&b"true"[..], b"false", b"null"].iter().find(|word| rest.starts_with(word))
        {
            self.at += word.len();
            return Ok(());
        }
        let is_numeric =
            |byte: &&u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.iter().take_while(is_numeric).count();
        let number = str::from_utf8(&rest[..length]).unwrap_or_default().parse::<f64>();
        if number.is_err() {
            return Err(self.error("a JSON value"));
        }
        self.at += length;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
