//! JPEG, by libjpeg if it was built in, which reproduces existing services' files to the byte.

#[cfg(feature = "libjpeg")]
mod cmyk;
#[cfg(feature = "libjpeg")]
mod libjpeg;
#[cfg(not(feature = "libjpeg"))]
mod portable;

#[cfg(feature = "libjpeg")]
use libjpeg as codec;
#[cfg(not(feature = "libjpeg"))]
use portable as codec;

use super::rows::{Layout, RowSink, RowSource};
use crate::workload::Error;

/// The quality that answers are written with, from 1 to 100.
const QUALITY: u8 = 75;

/// Whether JPEG files are written byte for byte as libjpeg writes them, and read pixel for pixel
/// as it reads them: true with the feature `libjpeg`.
#[must_use]
pub const fn jpeg_is_exact() -> bool {
    cfg!(feature = "libjpeg")
}

/// One sentence about the JPEG codec in use, for a log.
#[must_use]
pub const fn jpeg_description() -> &'static str {
    if jpeg_is_exact() {
        "JPEG by libjpeg: answers equal those of libjpeg-based services to the byte"
    } else {
        "JPEG by portable codecs: valid files whose bytes differ from libjpeg's \
         (build with the feature `libjpeg` and a C compiler for equal ones)"
    }
}

/// Starts to read a JPEG file: grey or RGB.
pub(super) fn open(input: &[u8]) -> Result<Box<dyn RowSource + '_>, Error> {
    Ok(Box::new(codec::open(input)?))
}

/// Starts to write a JPEG file, grey or RGB, with [`QUALITY`] and colour at half resolution.
pub(super) fn create(layout: Layout) -> Result<Box<dyn RowSink>, Error> {
    Ok(Box::new(codec::create(layout)?))
}

fn malformed(reason: &str) -> Error {
    Error::Malformed(format!("the JPEG picture cannot be read: {reason}"))
}

fn unsupported(reason: &str) -> Error {
    Error::Unsupported(format!("this kind of JPEG picture is not read here: {reason}"))
}
