//! Splits a scene's text into words and says exactly where it went wrong.

use crate::workload::raytracer::vector::Vector;
use crate::workload::{Cancelled, Error, Pacer};

/// How much of an unexpected word an error shows, in bytes.
const SHOWN: usize = 40;

/// Bytes of text between two calls of the pacer: about half a millisecond.
pub(in crate::workload::raytracer) const PACE: usize = 64 << 10;

/// The words of a text, one after another.
pub(super) struct Words<'a> {
    text: &'a [u8],
    /// Where the next word is looked for.
    position: usize,
    /// Where the last word began.
    start: usize,
    /// How many words were read.
    count: usize,
    /// The item being read, for errors: what, which one from 0, of how many.
    item: Option<(&'static str, usize, usize)>,
    pacer: &'a dyn Pacer,
    /// Where the pacer was last called.
    paced: usize,
}

impl<'a> Words<'a> {
    pub(super) const fn new(text: &'a [u8], pacer: &'a dyn Pacer) -> Self {
        Self { text, position: 0, start: 0, count: 0, item: None, pacer, paced: 0 }
    }

    /// Lets the pacer have a say now and then. Called between things of bounded length.
    pub(super) fn pace(&mut self) -> Result<(), Cancelled> {
        if self.position - self.paced < PACE {
            return Ok(());
        }
        self.paced = self.position;
        self.pacer.checkpoint()
    }

    /// How much text is left to read.
    pub(super) const fn bytes_left(&self) -> usize {
        self.text.len() - self.position
    }

    /// Says that an item of a list is being read from here on.
    pub(super) const fn enter(&mut self, item: &'static str, number: usize, of: usize) {
        self.item = Some((item, number, of));
    }

    /// Says that the list is over.
    pub(super) const fn leave(&mut self) {
        self.item = None;
    }

    /// The next word, whatever it is.
    pub(super) fn word(&mut self, expected: &str) -> Result<&'a [u8], Error> {
        self.next().ok_or_else(|| self.unexpected(expected))
    }

    /// The next word; none at the end of the text.
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = &self.text[self.position..];
        let blank = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let rest = &rest[blank..];
        let length = rest.iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
        self.start = self.position + blank;
        self.position = self.start + length;
        self.count += 1;
        (length > 0).then(|| &rest[..length])
    }

    /// A number in double precision.
    pub(super) fn double(&mut self, what: &str) -> Result<f64, Error> {
        self.number(what)
    }

    /// A number in single precision, rounded once from its decimal digits.
    pub(super) fn single(&mut self, what: &str) -> Result<f32, Error> {
        self.number(what)
    }

    /// Three numbers.
    pub(super) fn point(&mut self, what: &str) -> Result<Vector, Error> {
        Ok(Vector::new(self.number(what)?, self.number(what)?, self.number(what)?))
    }

    /// A whole number of 32 bits.
    pub(super) fn integer(&mut self, expected: &str) -> Result<i32, Error> {
        self.next()
            .and_then(|word| std::str::from_utf8(word).ok()?.parse().ok())
            .ok_or_else(|| self.unexpected(expected))
    }

    /// The index of one of `length` things.
    pub(super) fn index(&mut self, what: &str, length: usize) -> Result<u32, Error> {
        let index = self.integer(what)?;
        match u32::try_from(index) {
            Ok(valid) if usize::try_from(valid).is_ok_and(|valid| valid < length) => Ok(valid),
            _ => Err(Error::Unprocessable(format!(
                "Index {index} out of bounds for length {length}: {what}, {}.",
                self.place()
            ))),
        }
    }

    /// The last word is not one of those known.
    pub(super) fn unrecognized(&self, what: &str, expected: &str) -> Error {
        let (found, place) = (self.found(), self.place());
        Error::Malformed(format!("Unrecognized {what}: '{found}'. Expected {expected} at {place}."))
    }

    fn number<T: std::str::FromStr>(&mut self, what: &str) -> Result<T, Error> {
        self.next()
            // `parse` alone would also take "inf" and "nan".
            .filter(|word| word.iter().all(|byte| b"0123456789+-.eE".contains(byte)))
            .and_then(|word| std::str::from_utf8(word).ok()?.parse().ok())
            .ok_or_else(|| self.unexpected(&format!("{what} (a number)")))
    }

    fn unexpected(&self, expected: &str) -> Error {
        let place = self.place();
        let found = if self.start == self.text.len() {
            "the end of the text".to_owned()
        } else {
            format!("'{}'", self.found())
        };
        Error::Malformed(format!("The scene has {found} where {expected} belongs, {place}."))
    }

    /// The last word, shortened if need be.
    fn found(&self) -> String {
        let end = self.position.min(self.start + SHOWN);
        let mut found = String::from_utf8_lossy(&self.text[self.start..end]).into_owned();
        if end < self.position {
            found.push('…');
        }
        found
    }

    /// Where the last word stands: its number, line and column, and the item it is part of.
    fn place(&self) -> String {
        let before = &self.text[..self.start];
        let line = before.split(|byte| *byte == b'\n').count();
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let column = self.start - line_start + 1;
        let place = format!("word {} (line {line}, column {column})", self.count);
        match self.item {
            Some((item, number, of)) => format!("{place}, in {item} {} of {of}", number + 1),
            None => place,
        }
    }
}
