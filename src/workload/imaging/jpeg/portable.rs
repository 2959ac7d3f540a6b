//! JPEG without C code. Files are valid; their bytes, and some pixels by a little, are not
//! libjpeg's.

use super::{QUALITY, malformed};
use crate::workload::Error;
use crate::workload::imaging::rows::{Channels, Decoded, Gather, Layout};
use crate::workload::imaging::ticker::Ticker;
use image::ImageDecoder;
use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use std::io::Cursor;

pub(super) fn open(input: &[u8]) -> Result<Decoded, Error> {
    if is_cut(input) {
        return Err(malformed("it ends before its last row"));
    }
    let reason = |error: image::ImageError| malformed(&error.to_string());
    let decoder = JpegDecoder::new(Cursor::new(input)).map_err(reason)?;
    let (width, height) = decoder.dimensions();
    let channels = match decoder.color_type() {
        image::ColorType::L8 => Channels::Grey,
        image::ColorType::Rgb8 => Channels::Rgb,
        other => return Err(super::unsupported(&format!("its pixels are {other:?}"))),
    };
    let layout = Layout { width: width as usize, height: height as usize, channels };
    let mut samples = vec![0; layout.stride() * layout.height];
    decoder.read_image(&mut samples).map_err(reason)?;
    Ok(Decoded::new(layout, samples, channels == Channels::Grey))
}

/// Whether the last scan has no end of image behind it (T.81, section B.1.1.3). The decoder would
/// fill what is missing with grey. Within a scan's data neither marker can occur.
fn is_cut(input: &[u8]) -> bool {
    let last_scan = memchr::memmem::rfind(input, b"\xff\xda");
    last_scan.is_some_and(|at| memchr::memmem::find(&input[at..], b"\xff\xd9").is_none())
}

#[expect(clippy::unnecessary_wraps, reason = "the same signature as with libjpeg")]
pub(super) fn create(layout: Layout) -> Result<Gather, Error> {
    Ok(Gather::new(layout, encode))
}

#[expect(clippy::ptr_arg, reason = "the same signature as with libjpeg")]
fn encode(layout: Layout, samples: &mut Vec<u8>, _: &mut Ticker) -> Result<Vec<u8>, Error> {
    let refused = || Error::Unprocessable("JPEG holds at most 65535 × 65535 pixels".to_owned());
    let width = u32::try_from(layout.width).map_err(|_| refused())?;
    let height = u32::try_from(layout.height).map_err(|_| refused())?;
    let colours = match layout.channels {
        Channels::Grey => image::ExtendedColorType::L8,
        _ => image::ExtendedColorType::Rgb8,
    };
    let mut file = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut file, QUALITY);
    encoder.encode(samples, width, height, colours).map_err(|_| refused())?;
    Ok(file)
}
