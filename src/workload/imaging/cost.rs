//! What a request costs in nominal time: a deterministic count, known before the work is done.
//!
//! The figures are measured on one core of a present-day processor with AVX2, in tenths of a
//! nanosecond a pixel; for blurring and colour files they are of three channels.

use super::{Channels, Filter, Format};

/// Tenths of a nanosecond to decode a pixel.
const fn decoding(format: Format) -> u64 {
    match format {
        Format::Jpeg => 25,
        Format::Png => 60,
        Format::Gif => 50,
        Format::Bmp | Format::Tiff | Format::Wbmp => 15,
    }
}

/// Tenths of a nanosecond to encode a pixel of three channels.
const fn encoding(format: Format) -> u64 {
    match format {
        Format::Jpeg => 15,
        Format::Png => 50,
        Format::Gif => 400,
        Format::Bmp | Format::Tiff | Format::Wbmp => 7,
    }
}

/// Nominal nanoseconds of a request: decoding, the filter and encoding. Base64 is not in it.
///
/// `pixels` and `input` are in the picture's header; `channels` are those of the decoded picture,
/// three if unknown. `output` is the format written, if any.
#[must_use]
pub fn nominal_work(
    filter: Filter,
    pixels: u64,
    channels: Channels,
    input: Format,
    output: Option<Format>,
) -> u64 {
    /// Tenths of a nanosecond to blur one sample: two passes.
    const BLUR_A_SAMPLE: u64 = 14;
    /// Tenths of a nanosecond to equalise a pixel, and to make it grey.
    const EQUALISE_A_PIXEL: u64 = 90;
    /// What a request costs apart from its pixels.
    const FIXED: u64 = 50_000;
    let samples = channels.count() as u64;
    let (filtering, written) = match filter {
        Filter::Blur => (BLUR_A_SAMPLE * samples, samples),
        Filter::Enhance => (EQUALISE_A_PIXEL, 1),
    };
    // Grey takes about half the time of three channels.
    let encoded = output.map_or(0, |format| encoding(format) * (1 + written) / 4);
    let decoded = decoding(input) * (1 + samples) / 4;
    FIXED + pixels * (decoded + filtering + encoded) / 10
}
