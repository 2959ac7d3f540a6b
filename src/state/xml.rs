//! XML as a small tree of elements.

/// What a document holds that this version does not know, kept as it was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Foreign {
    /// Attributes, in the order of the file.
    pub attributes: Vec<(String, String)>,
}
