//! From a tree to text.

use super::{Element, Node, is_legal};

/// The document as text: declaration, two spaces of indentation, attributes on one line.
///
/// A character that XML cannot hold becomes U+FFFD, the replacement character.
pub(in crate::state) fn write(root: &Element) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    element(&mut out, root, Some(0));
    out
}

/// Writes an element: on lines of its own at that depth, or without a break inside text.
fn element(out: &mut String, element: &Element, depth: Option<usize>) {
    for text in &element.comments {
        comment(out, text, depth);
    }
    indent(out, depth);
    out.push('<');
    out.push_str(&element.name);
    for attribute in &element.attributes {
        out.push(' ');
        out.push_str(&attribute.name);
        out.push_str("=\"");
        escape(out, &attribute.value, true);
        out.push('"');
    }
    if element.children.is_empty() {
        out.push_str("/>");
        end_line(out, depth);
        return;
    }
    out.push('>');
    let has_text = element.children.iter().any(|node| matches!(node, Node::Text(_)));
    let inside = depth.filter(|_| !has_text).map(|depth| depth + 1);
    end_line(out, inside);
    for child in &element.children {
        match child {
            Node::Element(child) => self::element(out, child, inside),
            Node::Text(text) => escape(out, text, false),
            Node::Comment(text) => comment(out, text, inside),
        }
    }
    indent(out, inside.map(|depth| depth - 1));
    out.push_str("</");
    out.push_str(&element.name);
    out.push('>');
    end_line(out, depth);
}

fn indent(out: &mut String, depth: Option<usize>) {
    for _ in 0..depth.unwrap_or(0) {
        out.push_str("  ");
    }
}

fn end_line(out: &mut String, depth: Option<usize>) {
    if depth.is_some() {
        out.push('\n');
    }
}

fn comment(out: &mut String, text: &str, depth: Option<usize>) {
    indent(out, depth);
    out.push_str("<!--");
    // Two hyphens would end the comment, and so would one at its end.
    let mut last = ' ';
    for c in text.chars() {
        if last == '-' && c == '-' {
            out.push(' ');
        }
        out.push(if is_legal(c) { c } else { char::REPLACEMENT_CHARACTER });
        last = c;
    }
    if last == '-' {
        out.push(' ');
    }
    out.push_str("-->");
    end_line(out, depth);
}

fn escape(out: &mut String, text: &str, in_attribute: bool) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' if in_attribute => out.push_str("&quot;"),
            '\t' if in_attribute => out.push_str("&#9;"),
            '\n' if in_attribute => out.push_str("&#10;"),
            // Readers turn a plain carriage return into a line feed, everywhere.
            '\r' => out.push_str("&#13;"),
            c if is_legal(c) => out.push(c),
            _ => out.push(char::REPLACEMENT_CHARACTER),
        }
    }
}
