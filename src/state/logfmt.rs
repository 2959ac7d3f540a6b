//! Lines of `key=value` pairs, as events, metrics and samples are written.
//!
//! A value with anything but plain visible characters stands in double quotes, with JSON's escapes
//! (`\"`, `\\`, `\n`, `\r`, `\t`, `\u001b`). A value that is not known is a bare `-`.

use std::fmt::{self, Display, Write as _};
use std::str::FromStr;

/// Lines of one kind, and the file in the state folder that holds them.
pub trait Line: Display + FromStr {
    /// The name of the file.
    const FILE: &'static str;
}

/// A line being put together.
#[derive(Debug, Clone, Default)]
pub(in crate::state) struct Builder(String);

impl Builder {
    /// Adds a pair.
    #[must_use]
    pub(in crate::state) fn pair(mut self, key: &str, value: impl Display) -> Self {
        self.key(key);
        let start = self.0.len();
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{value}");
        quote_if_needed(&mut self.0, start);
        self
    }

    /// Adds a pair whose value may be unknown.
    #[must_use]
    pub(in crate::state) fn known(mut self, key: &str, value: Option<impl Display>) -> Self {
        if let Some(value) = value {
            return self.pair(key, value);
        }
        self.key(key);
        self.0.push('-');
        self
    }

    fn key(&mut self, key: &str) {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        self.0.push_str(key);
        self.0.push('=');
    }
}

impl Display for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Adds a number in decimal digits.
pub(in crate::state) fn push_number(text: &mut String, number: u64) {
    text.push_str(itoa::Buffer::new().format(number));
}

/// Adds a value, in quotes if it needs them.
pub(in crate::state) fn push_value(text: &mut String, value: &str) {
    if is_plain(value) {
        text.push_str(value);
    } else {
        quote(text, value);
    }
}

/// True if a value needs no quotes.
fn is_plain(value: &str) -> bool {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=' | '\\');
    let plain_ascii = |c: u8| c.is_ascii_graphic() & !matches!(c, b'"' | b'=' | b'\\');
    // Nearly all values are ASCII. All bytes are looked at, for then several are at once.
    let is_ascii = value.bytes().fold(true, |all, c| all & plain_ascii(c));
    !value.is_empty() && value != "-" && (is_ascii || value.chars().all(plain))
}

/// Puts the value that stands in `text` from `start` on into quotes, unless it is plain.
fn quote_if_needed(text: &mut String, start: usize) {
    if !is_plain(text.get(start..).unwrap_or_default()) {
        let value = text.split_off(start);
        quote(text, &value);
    }
}

fn quote(out: &mut String, value: &str) {
    out.push('"');
    let mut rest = value;
    while let Some(at) = rest.find(|c: char| c.is_control() || matches!(c, '"' | '\\')) {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = special.chars();
        match chars.next().unwrap_or_default() {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => {
                // Writing to a String cannot fail; control characters all lie below U+00A0.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

/// Why a line was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadLine(String);

impl BadLine {
    fn at(line: &str, rest: &str, what: &str) -> Self {
        let column = line.len().saturating_sub(rest.len()) + 1;
        Self(format!("column {column}: {what}"))
    }
}

/// The pairs of a line, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::state) struct Pairs(pub(in crate::state) Vec<(String, Option<String>)>);

impl Pairs {
    /// Splits a line into its pairs.
    pub(in crate::state) fn parse(line: &str) -> Result<Self, BadLine> {
        let mut pairs = Vec::new();
        let mut rest = line.trim_start_matches(' ');
        while !rest.is_empty() {
            let (key, after) = rest
                .split_once('=')
                .filter(|(key, _)| !key.is_empty() && !key.contains([' ', '"']))
                .ok_or_else(|| BadLine::at(line, rest, "`key=value` is expected"))?;
            let (value, after) = if let Some(quoted) = after.strip_prefix('"') {
                let (value, after) = unquote(quoted).ok_or_else(|| {
                    BadLine::at(line, after, "the quotes do not end, or hold a bad escape")
                })?;
                (Some(value), after)
            } else {
                let end = after.find(' ').unwrap_or(after.len());
                let (value, after) = after.split_at(end);
                if value.is_empty() || value.contains('"') {
                    return Err(BadLine::at(line, after, "a value is expected after `=`"));
                }
                (Some(value.to_owned()).filter(|value| value != "-"), after)
            };
            if !after.is_empty() && !after.starts_with(' ') {
                return Err(BadLine::at(line, after, "a space is expected after a value"));
            }
            pairs.push((key.to_owned(), value));
            rest = after.trim_start_matches(' ');
        }
        Ok(Self(pairs))
    }

    /// The value of a key, if it is there and known.
    pub(in crate::state) fn optional<T: FromStr>(&self, key: &str) -> Result<Option<T>, BadLine> {
        let value =
            self.0.iter().find(|(name, _)| name == key).and_then(|(_, value)| value.as_ref());
        match value {
            None => Ok(None),
            Some(value) => match value.parse() {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(BadLine(format!("`{key}` cannot be `{value}`"))),
            },
        }
    }

    /// The value of a key that every line has.
    pub(in crate::state) fn required<T: FromStr>(&self, key: &str) -> Result<T, BadLine> {
        self.optional(key)?.ok_or_else(|| BadLine(format!("`{key}` is missing")))
    }
}

/// The text up to the closing quote, and what follows it.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => match characters.next()? {
                c @ ('"' | '\\') => value.push(c),
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                'u' => {
                    let (digits, after) = characters.as_str().split_at_checked(4)?;
                    value.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
                    characters = after.chars();
                }
                _ => return None,
            },
            c => value.push(c),
        }
    }
}
