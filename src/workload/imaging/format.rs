//! Kinds of picture files, and how an answer's label chooses one.

use super::wbmp_files;

/// A picture file format that is read here, and but for the last written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// JPEG (ITU-T T.81), baseline or progressive.
    Jpeg,
    /// Portable Network Graphics.
    Png,
    /// Graphics Interchange Format; the first frame.
    Gif,
    /// Windows bitmap.
    Bmp,
    /// Tagged Image File Format; the first image.
    Tiff,
    /// Wireless bitmap (WAP-237): black and white. Read, not written.
    Wbmp,
}

impl Format {
    /// The format that the first bytes of a file announce, by its signature.
    #[must_use]
    pub fn sniff(bytes: &[u8]) -> Option<Self> {
        const SIGNATURES: [(&[u8], Format); 6] = [
            (b"\xff\xd8\xff", Format::Jpeg),
            (b"\x89PNG\r\n\x1a\n", Format::Png),
            (b"GIF87a", Format::Gif),
            (b"GIF89a", Format::Gif),
            (b"II*\0", Format::Tiff),
            (b"MM\0*", Format::Tiff),
        ];
        let signed = SIGNATURES.iter().find(|(signature, _)| bytes.starts_with(signature));
        let signed = signed.map(|(_, format)| *format);
        signed
            .or_else(|| is_bitmap(bytes).then_some(Self::Bmp))
            .or_else(|| wbmp_files::header(bytes).is_some().then_some(Self::Wbmp))
    }

    /// The media type (RFC 6838), for a `Content-Type` header.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::Bmp => "image/bmp",
            Self::Tiff => "image/tiff",
            Self::Wbmp => "image/vnd.wap.wbmp",
        }
    }

    /// The name people use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Gif => "GIF",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
            Self::Wbmp => "WBMP",
        }
    }
}

/// "BM" alone opens many a text, so the size of the second header must be a known one too.
fn is_bitmap(bytes: &[u8]) -> bool {
    const HEADER_SIZES: [u8; 7] = [12, 16, 40, 52, 56, 64, 108];
    bytes.starts_with(b"BM")
        && bytes.get(14..18).is_some_and(|size| {
            size[1..] == [0, 0, 0] && (HEADER_SIZES.contains(&size[0]) || size[0] == 124)
        })
}

/// What an unreadable file seems to be, for a message that helps.
pub(super) fn name_unreadable(bytes: &[u8]) -> Option<&'static str> {
    let brand = bytes.get(4..12).unwrap_or_default();
    match bytes {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("a WebP picture"),
        _ if brand.starts_with(b"ftypavif") => Some("an AVIF picture"),
        _ if brand.starts_with(b"ftyphei") || brand == b"ftypmif1" => Some("an HEIF picture"),
        [b'I', b'I', b'+', 0, ..] | [b'M', b'M', 0, b'+', ..] => Some("a TIFF picture over 4 GiB"),
        [b'%', b'P', b'D', b'F', ..] => Some("a PDF document"),
        [b'<', ..] => Some("a text with markup, such as SVG or HTML"),
        [b'P', b'1'..=b'6', b' ' | b'\n' | b'\r' | b'\t', ..] => Some("a portable anymap"),
        [0xff, 0x0a, ..] => Some("a JPEG XL picture"),
        _ => None,
    }
}

/// Which format an answer is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// That of the input.
    SameAsInput,
    /// This one.
    As(Format),
    /// The label asked for names a format that nothing here writes.
    Unwritable,
}

impl OutputFormat {
    /// The format named by the label of a data URL (`image/LABEL`), in all lower or all upper case.
    ///
    /// `wbmp` counts as unwritable: it holds two-level pictures only, which no filter gives.
    #[must_use]
    pub fn from_label(label: &str) -> Self {
        let lower = label.to_ascii_lowercase();
        if label != lower && label != label.to_ascii_uppercase() {
            return Self::Unwritable;
        }
        match lower.as_str() {
            "jpg" | "jpeg" => Self::As(Format::Jpeg),
            "png" => Self::As(Format::Png),
            "bmp" => Self::As(Format::Bmp),
            "gif" => Self::As(Format::Gif),
            "tif" | "tiff" => Self::As(Format::Tiff),
            _ => Self::Unwritable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn labels_choose_a_writer_in_one_case_only() {
        assert_eq!(OutputFormat::from_label("jpg"), OutputFormat::As(Format::Jpeg));
        assert_eq!(OutputFormat::from_label("JPEG"), OutputFormat::As(Format::Jpeg));
        assert_eq!(OutputFormat::from_label("TIF"), OutputFormat::As(Format::Tiff));
        for label in ["Jpg", "webp", "svg+xml", "x-ms-bmp", "wbmp", ""] {
            assert_eq!(OutputFormat::from_label(label), OutputFormat::Unwritable, "{label}");
        }
    }

    #[test]
    fn text_that_begins_like_a_bitmap_is_no_bitmap() {
        assert_eq!(Format::sniff(b"BMW builds cars in Munich"), None);
    }

    proptest! {
        #[test]
        fn sniffing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (Format::sniff(&bytes), name_unreadable(&bytes));
        }
    }
}
