//! From bytes to a tree.

use quick_xml::Reader;
use quick_xml::events::attributes::AttrError;
use quick_xml::events::{BytesDecl, BytesStart, Event};

use super::{
    Attribute, Element, MAX_ATTRIBUTES, MAX_BYTES, MAX_DEPTH, MAX_ELEMENTS, Node, Position,
    Problem, is_legal, is_name,
};

/// Reads one document, and nothing but one document.
///
/// # Errors
/// [`Problem`] says where and why.
pub(in crate::state) fn parse(bytes: &[u8]) -> Result<Element, Problem> {
    let text = decode(bytes)?;
    let mut reader = Reader::from_str(text);
    let config = reader.config_mut();
    config.check_comments = true;
    config.trim_markup_names_in_closing_tags = true;
    let mut tree = Tree {
        text,
        cursor: Cursor::default(),
        before: Vec::new(),
        open: Vec::new(),
        root: None,
        elements: 0,
    };
    loop {
        let start = offset(reader.buffer_position());
        match reader.read_event() {
            Ok(Event::Eof) => return tree.finish(),
            Ok(event) => tree.take(start, event)?,
            Err(error) => {
                let at = tree.cursor.at(text, offset(reader.error_position()).max(start));
                return Err(Problem::new(at, format!("this is not well-formed XML: {error}")));
            }
        }
    }
}

/// The text in the bytes: UTF-8, without its byte order mark, of a length that may be read.
fn decode(bytes: &[u8]) -> Result<&str, Problem> {
    let start = |message: String| Problem::new(Position::START, message);
    if bytes.len() as u64 > MAX_BYTES {
        return Err(start(format!(
            "the document has {} bytes; at most {MAX_BYTES} are read",
            bytes.len()
        )));
    }
    if matches!(bytes, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [b'<', 0, ..] | [0, b'<', ..]) {
        return Err(start("this is UTF-16; save the file as UTF-8".to_owned()));
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let at = Cursor::default().at(&String::from_utf8_lossy(good), good.len());
            return Err(Problem::new(at, "this byte is not UTF-8; save the file as UTF-8"));
        }
    };
    match text.char_indices().find(|(_, c)| !is_legal(*c)) {
        None => Ok(text),
        Some((place, c)) => {
            let at = Cursor::default().at(text, place);
            Err(Problem::new(at, format!("the character U+{:04X} is not allowed", u32::from(c))))
        }
    }
}

/// Turns offsets into lines and columns, going forward through the text once.
#[derive(Default)]
struct Cursor {
    offset: usize,
    newlines: u32,
    characters: u32,
}

impl Cursor {
    /// The position of the byte at `offset`. An offset before the last one asked for gives the
    /// last one's position.
    fn at(&mut self, text: &str, offset: usize) -> Position {
        let passed = text.as_bytes().get(self.offset..offset.min(text.len())).unwrap_or_default();
        for byte in passed {
            if *byte == b'\n' {
                self.newlines = self.newlines.saturating_add(1);
                self.characters = 0;
            } else if byte & 0xC0 != 0x80 {
                // Not the continuation of a character that has been counted.
                self.characters = self.characters.saturating_add(1);
            }
        }
        self.offset += passed.len();
        Position {
            line: self.newlines.saturating_add(1),
            column: self.characters.saturating_add(1),
        }
    }
}

/// The tree as far as it has been read.
struct Tree<'a> {
    text: &'a str,
    cursor: Cursor,
    /// Comments before the root.
    before: Vec<String>,
    /// The elements that are still open, the root first.
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
}

impl<'a> Tree<'a> {
    fn at(&mut self, offset: usize) -> Position {
        self.cursor.at(self.text, offset)
    }

    fn problem<T>(&mut self, offset: usize, message: impl Into<String>) -> Result<T, Problem> {
        Err(Problem::new(self.at(offset), message))
    }

    /// Takes in the event that starts at the byte `start`.
    fn take(&mut self, start: usize, event: Event<'a>) -> Result<(), Problem> {
        match event {
            Event::Start(tag) => {
                let element = self.element(start, &tag)?;
                self.open.push(element);
                Ok(())
            }
            Event::Empty(tag) => {
                let element = self.element(start, &tag)?;
                self.close(element);
                Ok(())
            }
            // The reader has checked that the names match.
            Event::End(_) => {
                if let Some(element) = self.open.pop() {
                    self.close(element);
                }
                Ok(())
            }
            Event::Text(text) => self.characters(start, &text.xml10_content()),
            Event::CData(text) => self.characters(start, &text.xml10_content()),
            Event::GeneralRef(name) => {
                let text = self.resolve(start, &format!("&{};", &*name))?;
                self.characters(start, &text)
            }
            Event::Comment(text) => {
                self.comment(text.xml10_content().into_owned());
                Ok(())
            }
            Event::Decl(declaration) => self.declaration(start, &declaration),
            Event::DocType(_) => self.problem(
                start,
                "a document type definition (<!DOCTYPE>) is not allowed here; remove it",
            ),
            Event::PI(_) => self
                .problem(start, "a processing instruction (<?…?>) is not allowed here; remove it"),
            Event::Eof => Ok(()),
        }
    }

    fn declaration(&mut self, start: usize, declaration: &BytesDecl) -> Result<(), Problem> {
        if start != 0 {
            return self.problem(start, "<?xml …?> may only stand at the very start of the file");
        }
        if declaration.version().ok().as_deref() != Some("1.0") {
            return self.problem(start, "the declaration must say version=\"1.0\"");
        }
        match declaration.encoding() {
            None => Ok(()),
            Some(Ok(name)) if ["utf-8", "us-ascii"].contains(&&*name.to_ascii_lowercase()) => {
                Ok(())
            }
            Some(_) => self.problem(start, "the declaration must say encoding=\"UTF-8\""),
        }
    }

    fn element(&mut self, start: usize, tag: &BytesStart<'a>) -> Result<Element, Problem> {
        let name = tag.name().as_ref().to_owned();
        if self.open.is_empty() && self.root.is_some() {
            return self.problem(start, format!("a second root element, <{}>", brief(&name)));
        }
        if self.open.len() >= MAX_DEPTH {
            return self.problem(start, format!("elements are nested deeper than {MAX_DEPTH}"));
        }
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            return self.problem(start, format!("there are more than {MAX_ELEMENTS} elements"));
        }
        if !is_name(&name) {
            return self.problem(start, format!("`{}` cannot name an element", brief(&name)));
        }
        let at = self.at(start);
        let mut element = Element { at, ..Element::new(&name) };
        self.attributes(start, tag, &mut element)?;
        Ok(element)
    }

    fn attributes(
        &mut self,
        start: usize,
        tag: &BytesStart<'a>,
        element: &mut Element,
    ) -> Result<(), Problem> {
        // Where the name of the element starts: offsets in the tag count from there.
        let tag_start = start + 1;
        // Duplicates are looked for here: the reader's own search takes quadratic time.
        let mut attributes = tag.attributes();
        attributes.with_checks(false);
        let mut value_end = tag_start + element.name.len();
        for attribute in attributes {
            let attribute = match attribute {
                Ok(attribute) => attribute,
                Err(error) => return self.bad_attribute(tag_start, &element.name, &error),
            };
            let name = attribute.key.as_ref();
            let name_start = self.place(value_end, name);
            let at = self.at(name_start);
            if name_start == value_end {
                return self.problem(name_start, "attributes need a space between them");
            }
            if element.attributes.len() >= MAX_ATTRIBUTES {
                return self.problem(
                    name_start,
                    format!("<{}> has more than {MAX_ATTRIBUTES} attributes", element.name),
                );
            }
            if !is_name(name) {
                return self
                    .problem(name_start, format!("`{}` cannot name an attribute", brief(name)));
            }
            if element.attributes.iter().any(|other| other.name == name) {
                return self.problem(
                    name_start,
                    format!("<{}> has the attribute `{name}` twice", element.name),
                );
            }
            let value_start = self.place(name_start + name.len(), &attribute.value);
            value_end = value_start + attribute.value.len() + 1;
            let value = self.value(value_start, &attribute.value)?;
            element.attributes.push(Attribute { name: name.to_owned(), value, at });
        }
        Ok(())
    }

    /// Where `part`, a slice of the text, stands in it. The reader borrows all it can; should it
    /// ever copy, the answer is `or`, a place a little before.
    fn place(&self, or: usize, part: &str) -> usize {
        let place = part.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
        if place >= or && place <= self.text.len() { place } else { or }
    }

    fn bad_attribute<T>(
        &mut self,
        tag_start: usize,
        element: &str,
        error: &AttrError,
    ) -> Result<T, Problem> {
        let (place, what) = match error {
            AttrError::ExpectedEq(place) => (*place, "has an attribute without `=\"value\"`"),
            AttrError::ExpectedValue(place) => (*place, "has an attribute without a value"),
            AttrError::UnquotedValue(place) => (*place, "has a value without quotes around it"),
            AttrError::ExpectedQuote(place, _) => (*place, "has a value without a closing quote"),
            AttrError::Duplicated(place, _) => (*place, "has an attribute twice"),
        };
        self.problem(tag_start + place, format!("<{element}> {what}"))
    }

    /// An attribute's value: references resolved, white space as XML normalizes it.
    fn value(&mut self, start: usize, raw: &str) -> Result<String, Problem> {
        if let Some(place) = raw.find('<') {
            return self.problem(start + place, "`<` in an attribute's value is written `&lt;`");
        }
        if !raw.bytes().any(|byte| matches!(byte, b'&' | b'\t' | b'\n' | b'\r')) {
            return Ok(raw.to_owned());
        }
        let mut value = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some(c) = rest.chars().next() {
            if c == '&' {
                let place = start + (raw.len() - rest.len());
                let end = rest.find(';').map_or(rest.len(), |end| end + 1);
                let (reference, after) = rest.split_at(end);
                value.push_str(&self.resolve(place, reference)?);
                rest = after;
                continue;
            }
            rest = &rest[c.len_utf8()..];
            match c {
                '\r' if rest.starts_with('\n') => {}
                '\t' | '\n' | '\r' => value.push(' '),
                c => value.push(c),
            }
        }
        Ok(value)
    }

    /// What a reference such as `&amp;` or `&#65;` stands for.
    fn resolve(&mut self, start: usize, reference: &str) -> Result<String, Problem> {
        let name = reference.strip_prefix('&').and_then(|name| name.strip_suffix(';'));
        let Some(name) = name else {
            return self.problem(start, "`&` is written `&amp;`");
        };
        let resolved = match name {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "apos" => Some('\''),
            "quot" => Some('"'),
            _ => name.strip_prefix('#').and_then(|number| {
                let (digits, radix) =
                    number.strip_prefix('x').map_or((number, 10), |digits| (digits, 16));
                let digits = Some(digits).filter(|digits| !digits.starts_with('+'))?;
                let c = char::from_u32(u32::from_str_radix(digits, radix).ok()?)?;
                is_legal(c).then_some(c)
            }),
        };
        match resolved {
            Some(c) => Ok(c.to_string()),
            None => self.problem(
                start,
                format!("`&{};` stands for nothing; a plain `&` is written `&amp;`", brief(name)),
            ),
        }
    }

    fn characters(&mut self, start: usize, text: &str) -> Result<(), Problem> {
        let Some(parent) = self.open.last_mut() else {
            if is_blank(text) {
                return Ok(());
            }
            let spaces = text.len() - text.trim_start_matches(is_space).len();
            let found = brief(text.trim_matches(is_space)).to_owned();
            return self.problem(start + spaces, format!("text outside the root: `{found}`"));
        };
        if let Some(Node::Text(before)) = parent.children.last_mut() {
            before.push_str(text);
        } else {
            parent.children.push(Node::Text(text.to_owned()));
        }
        Ok(())
    }

    fn comment(&mut self, text: String) {
        match (self.open.last_mut(), &mut self.root) {
            (Some(parent), _) => parent.children.push(Node::Comment(text)),
            (None, Some(root)) => root.children.push(Node::Comment(text)),
            (None, None) => self.before.push(text),
        }
    }

    /// Puts a finished element where it belongs.
    fn close(&mut self, mut element: Element) {
        tidy(&mut element);
        if let Some(parent) = self.open.last_mut() {
            parent.children.push(Node::Element(element));
        } else {
            element.comments = std::mem::take(&mut self.before);
            self.root = Some(element);
        }
    }

    fn finish(mut self) -> Result<Element, Problem> {
        let end = self.text.len();
        if let Some(open) = self.open.pop() {
            let Position { line, column } = open.at;
            return self.problem(
                end,
                format!("the file ends before </{}> (opened at {line}:{column})", open.name),
            );
        }
        match self.root.take() {
            Some(root) => Ok(root),
            None => self.problem(end, "the file holds no element"),
        }
    }
}

/// Drops white space between elements and gives each comment to the element that follows it. An
/// element with text of its own stays exactly as it is.
fn tidy(element: &mut Element) {
    let is_text = |node: &Node| matches!(node, Node::Text(text) if !is_blank(text));
    if element.children.iter().any(is_text) {
        return;
    }
    let mut comments = Vec::new();
    let mut children = Vec::with_capacity(element.children.len());
    for node in std::mem::take(&mut element.children) {
        match node {
            Node::Text(_) => {}
            Node::Comment(text) => comments.push(text),
            Node::Element(mut child) => {
                child.comments = std::mem::take(&mut comments);
                children.push(Node::Element(child));
            }
        }
    }
    children.extend(comments.into_iter().map(Node::Comment));
    element.children = children;
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn is_blank(text: &str) -> bool {
    text.chars().all(is_space)
}

/// The start of a text, short enough for a message.
fn brief(text: &str) -> &str {
    text.char_indices().nth(40).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// An offset of the reader in a text that is in memory.
fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
