//! What all documents of the state folder have in common.

use std::fmt::Debug;

use super::xml::{self, Element, Fields, Problem};

/// The version of the format that this program writes, and the only one that it reads.
pub const VERSION: u32 = 1;

/// A document of the state folder.
pub trait Document: Clone + Default + PartialEq + Debug + Send + Sync + 'static {
    /// The name of its file.
    const FILE: &'static str;
    /// The name of its root element.
    const ROOT: &'static str;

    /// The number of its last write.
    fn seq(&self) -> u64;

    /// Sets the number of its last write.
    fn set_seq(&mut self, seq: u64);

    /// What the root says of the document; its name and version have been checked.
    ///
    /// # Errors
    /// [`Problem`] for an attribute or element that is missing or makes no sense.
    fn from_element(root: &Element) -> Result<Self, Problem>;

    /// The document as a tree.
    fn to_element(&self) -> Element;

    /// Reads a document from the bytes of a file.
    ///
    /// # Errors
    /// [`Problem`] for bytes that are not one well-formed document of this kind and version,
    /// within the bounds that [`xml`] names.
    fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let root = xml::parse(bytes)?;
        if root.name != Self::ROOT {
            let message = format!("the root is <{}>, it must be <{}>", root.name, Self::ROOT);
            return Err(Problem::new(root.at, message));
        }
        let mut fields = Fields::of(&root);
        let version = fields.whole("version")?;
        let version: u32 = fields.required("version", version)?;
        if version != VERSION {
            let message = format!(
                "version {version} of <{}> is not known here; this program reads version {VERSION}",
                Self::ROOT
            );
            return Err(Problem::new(root.at, message));
        }
        Self::from_element(&root)
    }

    /// The document as the text of a file.
    fn render(&self) -> String {
        xml::write(&self.to_element())
    }
}

/// The root of a document, with the attributes that every root has.
pub(in crate::state) fn root<D: Document>(document: &D) -> Element {
    Element::new(D::ROOT).with("version", VERSION).with("seq", document.seq())
}

/// The number of the last write that the root carries. A person who writes a file by hand need not
/// know of it.
pub(in crate::state) fn seq(fields: &mut Fields) -> Result<u64, Problem> {
    // The version has been checked before the rest is looked at: it is known, not foreign.
    fields.text("version");
    Ok(fields.whole("seq")?.unwrap_or(0))
}

/// Says that an id is used twice.
pub(in crate::state) fn twice(element: &Element, id: &impl std::fmt::Display) -> Problem {
    Problem::new(element.at, format!("there are two <{}> with the id `{id}`", element.name))
}
