//! XML as a small tree of elements: strict, bounded, and with a line and a column for every
//! problem.
//!
//! What the documents of the state folder need is far less than XML can do, so most of XML is
//! refused: document type definitions, entities of one's own, processing instructions, encodings
//! other than UTF-8. What a person's editor adds is kept: comments, and attributes and elements
//! that this version does not know.

mod fields;
mod parse;
mod write;

use std::fmt;

pub(in crate::state) use fields::{Fields, decimal, milliseconds, time};
pub(in crate::state) use parse::parse;
pub(in crate::state) use write::write;

/// The largest document that is read, in bytes: some hundred times the largest cluster.
pub const MAX_BYTES: u64 = 16 << 20;
/// How deep elements may be nested. The documents themselves need three levels.
pub const MAX_DEPTH: usize = 8;
/// How many elements a document may have.
pub const MAX_ELEMENTS: usize = 100_000;
/// How many attributes an element may have.
pub const MAX_ATTRIBUTES: usize = 64;

/// A place in a text, as editors count: both from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl Position {
    /// Where a text starts.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// Why a document is not used, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{}: {message}", .at.line, .at.column)]
pub struct Problem {
    /// Where.
    pub at: Position,
    /// What was found and what was expected, as one sentence.
    pub message: String,
}

impl Problem {
    /// A problem at a place.
    pub fn new(at: Position, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }
}

/// An element.
///
/// Two elements are equal if they say the same; where they stood does not matter.
#[derive(Debug, Clone)]
pub struct Element {
    /// The comments just before it.
    pub comments: Vec<String>,
    /// Its name.
    pub name: String,
    /// Its attributes, in the order of the file.
    pub attributes: Vec<Attribute>,
    /// What is in it. Text that is only white space is left out, unless other text stands beside.
    pub children: Vec<Node>,
    /// Where its start tag stood.
    pub at: Position,
}

/// An attribute.
#[derive(Debug, Clone)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Its value, with references resolved.
    pub value: String,
    /// Where its name stood.
    pub at: Position,
}

/// What can be in an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// An element.
    Element(Element),
    /// Text, with references resolved.
    Text(String),
    /// A comment that no element follows.
    Comment(String),
}

impl PartialEq for Attribute {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.value == other.value
    }
}

impl Eq for Attribute {}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.attributes == other.attributes
            && self.comments == other.comments
            && self.children == other.children
    }
}

impl Eq for Element {}

impl Element {
    /// An empty element.
    pub fn new(name: &str) -> Self {
        Self {
            comments: Vec::new(),
            name: name.to_owned(),
            attributes: Vec::new(),
            children: Vec::new(),
            at: Position::START,
        }
    }

    /// Adds an attribute.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        let value = value.to_string();
        self.attributes.push(Attribute { name: name.to_owned(), value, at: self.at });
        self
    }

    /// Adds an attribute if there is a value.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds an element.
    pub fn push(&mut self, child: Self) {
        self.children.push(Node::Element(child));
    }

    /// Adds what this version did not know when the element was read.
    #[must_use]
    pub fn with_foreign(mut self, foreign: &Foreign) -> Self {
        self.comments.extend(foreign.comments.iter().cloned());
        for (name, value) in &foreign.attributes {
            self = self.with(name, value);
        }
        self.children.extend(foreign.children.iter().cloned());
        self
    }
}

/// What a document holds that this version does not know, kept as it was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Foreign {
    /// The comments just before the element.
    pub comments: Vec<String>,
    /// Attributes, in the order of the file.
    pub attributes: Vec<(String, String)>,
    /// Elements, and comments that no element follows, in the order of the file. They are written
    /// after the elements that are known.
    pub children: Vec<Node>,
    /// What is unknown in those known elements inside that have no place of their own for it, by
    /// the name that the document gives to such an element. It goes when the element goes.
    pub parts: Vec<(String, Foreign)>,
}

impl Foreign {
    /// True if there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.comments.is_empty()
            && self.attributes.is_empty()
            && self.children.is_empty()
            && self.parts.is_empty()
    }

    /// Keeps what is unknown in the element that the document calls `part`.
    pub(in crate::state) fn keep_part(&mut self, part: String, foreign: Self) {
        if !foreign.is_empty() {
            self.parts.push((part, foreign));
        }
    }

    /// Adds to `element`, which the document calls `part`, what was unknown in it.
    pub(in crate::state) fn restore(&self, part: &str, element: Element) -> Element {
        match self.parts.iter().find(|(name, _)| name == part) {
            Some((_, foreign)) => element.with_foreign(foreign),
            None => element,
        }
    }
}

/// True if XML 1.0 allows the character (its production 2, `Char`,
/// <https://www.w3.org/TR/xml/#charsets>).
fn is_legal(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// True if the text can name an element or an attribute: XML's production 5, `Name`, with at most
/// one colon, as namespaces want it (<https://www.w3.org/TR/xml-names/#NT-QName>).
fn is_name(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    parts.len() <= 2
        && parts.iter().all(|part| {
            let mut characters = part.chars();
            characters.next().is_some_and(starts_name) && characters.all(continues_name)
        })
}

fn starts_name(c: char) -> bool {
    matches!(c,
        'A'..='Z' | '_' | 'a'..='z' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}'
        | '\u{F8}'..='\u{2FF}' | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}'
        | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}'
        | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}'
        | '\u{10000}'..='\u{EFFFF}')
}

fn continues_name(c: char) -> bool {
    starts_name(c)
        || matches!(c,
            '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}
