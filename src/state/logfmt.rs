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
pub(in crate::state) struct Builder {
    text: String,
    /// Where in the text the line begins.
    start: usize,
}

impl Builder {
    /// A line behind all that stands in `text`.
    pub(in crate::state) fn behind(text: String) -> Self {
        let start = text.len();
        Self { text, start }
    }

    /// The text with the line in it.
    pub(in crate::state) fn into_text(self) -> String {
        self.text
    }

    /// Adds a pair.
    #[must_use]
    pub(in crate::state) fn pair(mut self, key: &str, value: impl Display) -> Self {
        self.key(key);
        let start = self.text.len();
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{value}");
        quote_if_needed(&mut self.text, start);
        self
    }

    /// Adds a pair whose value is a word that needs no quotes, as [`Self::pair`] does in more time.
    #[must_use]
    pub(in crate::state) fn word(mut self, key: &str, value: &str) -> Self {
        self.key(key);
        self.text.push_str(value);
        self
    }

    /// Adds a pair whose value is a number, as [`Self::pair`] does in more time.
    #[must_use]
    pub(in crate::state) fn number(mut self, key: &str, value: u64) -> Self {
        self.key(key);
        push_decimal(&mut self.text, value);
        self
    }

    /// Adds a pair whose value may be unknown.
    #[must_use]
    pub(in crate::state) fn known(mut self, key: &str, value: Option<impl Display>) -> Self {
        if let Some(value) = value {
            return self.pair(key, value);
        }
        self.key(key);
        self.text.push('-');
        self
    }

    fn key(&mut self, key: &str) {
        if self.text.len() > self.start {
            self.text.push(' ');
        }
        self.text.push_str(key);
        self.text.push('=');
    }
}

impl Display for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.get(self.start..).unwrap_or_default())
    }
}

/// Adds a number in decimal digits.
fn push_decimal(text: &mut String, number: u64) {
    if number >= 10 {
        push_decimal(text, number / 10);
    }
    let digit = u32::try_from(number % 10).ok().and_then(|digit| char::from_digit(digit, 10));
    // Never none: it is below 10.
    text.extend(digit);
}

/// True if a value needs no quotes.
fn is_plain(value: &str) -> bool {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=' | '\\');
    // Nearly all values are ASCII, of which that takes less time to tell.
    let is_ascii = value.bytes().all(|c| c.is_ascii_graphic() && !matches!(c, b'"' | b'=' | b'\\'));
    !value.is_empty() && value != "-" && (is_ascii || value.chars().all(plain))
}

/// Puts the value that stands in `text` from `start` on into quotes, unless it is plain.
fn quote_if_needed(text: &mut String, start: usize) {
    let value = text.get(start..).unwrap_or_default();
    let stays = |c: u8| (b' '..=b'~').contains(&c) && !matches!(c, b'"' | b'\\');
    if is_plain(value) {
        return;
    }
    // All of them are looked at, for then several are at once.
    if value.bytes().fold(true, |all, c| all & stays(c)) {
        text.insert(start, '"');
        text.push('"');
    } else {
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
