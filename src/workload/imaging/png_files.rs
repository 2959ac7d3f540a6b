//! PNG.

use super::grey::SRGB_OF_LINEAR;
use super::rows::{Channels, Decoded, Layout, RowSink};
use super::samples::{high_bytes, nearest_bytes, repeat_grey};
use super::ticker::Ticker;
use crate::workload::Error;
use png::{BitDepth, ColorType, Transformations};
use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Decodes the picture; its size has been checked against the limits.
pub(super) fn decode(input: &[u8], pixels: u64) -> Result<Decoded, Error> {
    let malformed =
        |error| Error::Malformed(format!("the PNG picture cannot be read: {}", reason(&error)));
    // Room for 16-bit RGBA, and for what stands beside the pixels.
    let bytes = usize::try_from(pixels).unwrap_or(usize::MAX).saturating_mul(8);
    let limits = png::Limits { bytes: bytes.saturating_add(16 << 20) };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(input), limits);
    decoder.set_transformations(Transformations::EXPAND);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let mut reader = decoder.read_info().map_err(malformed)?;
    let (stored, depth) = (reader.info().color_type, reader.info().bit_depth);
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    let size = reader.output_buffer_size().ok_or_else(|| {
        Error::Malformed("the PNG picture cannot be read: its size overflows".to_owned())
    })?;
    let mut samples = vec![0; size];
    let output = reader.next_frame(&mut samples).map_err(malformed)?;
    let (channels, samples) = arrange(stored, depth, output.color_type, samples);
    Ok(Decoded::new(Layout { width, height, channels }, samples))
}

/// The decoder's words without its name for the kind of error.
fn reason(error: &png::DecodingError) -> String {
    match error {
        png::DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "it ends too early".to_owned()
        }
        other => other.to_string(),
    }
}

/// Brings decoded samples to eight bits and one, three or four channels, as existing services do:
/// 8-bit grey as it is; 16-bit grey and grey with alpha through the sRGB curve; palettes and grey
/// of fewer bits as colours without alpha.
fn arrange(
    stored: ColorType,
    depth: BitDepth,
    output: ColorType,
    samples: Vec<u8>,
) -> (Channels, Vec<u8>) {
    let is_wide = depth == BitDepth::Sixteen;
    match output {
        ColorType::Grayscale if is_wide => {
            let mut samples = high_bytes(&samples);
            for sample in &mut samples {
                *sample = SRGB_OF_LINEAR[usize::from(*sample)];
            }
            (Channels::Grey, samples)
        }
        ColorType::Grayscale if depth == BitDepth::Eight => (Channels::Grey, samples),
        ColorType::Grayscale => (Channels::Rgb, repeat_grey(samples.into_iter())),
        ColorType::GrayscaleAlpha => {
            let samples = if is_wide { high_bytes(&samples) } else { samples };
            let grey = samples.chunks_exact(2).map(|pixel| {
                // Fewer bits than eight are read as a palette, which holds sRGB already.
                let is_linear = depth == BitDepth::Eight || is_wide;
                if is_linear { SRGB_OF_LINEAR[usize::from(pixel[0])] } else { pixel[0] }
            });
            (Channels::Rgb, repeat_grey(grey))
        }
        ColorType::Rgba if stored == ColorType::Indexed => {
            let (pixels, _) = samples.as_chunks::<4>();
            (Channels::Rgb, pixels.iter().flat_map(|[r, g, b, _]| [*r, *g, *b]).collect())
        }
        ColorType::Rgba if is_wide => (Channels::Rgba, nearest_bytes(&samples)),
        ColorType::Rgba => (Channels::Rgba, samples),
        ColorType::Rgb if is_wide => (Channels::Rgb, nearest_bytes(&samples)),
        ColorType::Rgb | ColorType::Indexed => (Channels::Rgb, samples),
    }
}

/// Bytes that the encoder owns and that can be had back from outside.
#[derive(Clone, Default)]
struct SharedFile(Arc<Mutex<Vec<u8>>>);

impl Write for SharedFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A file being encoded.
struct Encoder {
    rows: png::StreamWriter<'static, SharedFile>,
    file: SharedFile,
}

/// Starts to write a PNG file, compressed fast rather than well.
pub(super) fn create(layout: Layout) -> Result<Box<dyn RowSink>, Error> {
    let file = SharedFile::default();
    let side = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let mut encoder = png::Encoder::new(file.clone(), side(layout.width), side(layout.height));
    encoder.set_color(match layout.channels {
        Channels::Grey => ColorType::Grayscale,
        Channels::Rgb => ColorType::Rgb,
        Channels::Rgba => ColorType::Rgba,
    });
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let rows = encoder.write_header().and_then(png::Writer::into_stream_writer);
    let rows = rows.map_err(|error| unwritable(&error))?;
    Ok(Box::new(Encoder { rows, file }))
}

fn unwritable(error: &dyn std::fmt::Display) -> Error {
    Error::Unprocessable(format!("a PNG file cannot hold the result: {error}"))
}

impl RowSink for Encoder {
    fn write(&mut self, rows: &[u8], _: &mut Ticker) -> Result<(), Error> {
        self.rows.write_all(rows).map_err(|error| unwritable(&error))
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, Error> {
        self.rows.finish().map_err(|error| unwritable(&error))?;
        let mut file = self.file.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut *file))
    }
}
