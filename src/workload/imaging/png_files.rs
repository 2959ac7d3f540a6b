//! PNG.

use super::grey::SRGB_OF_LINEAR;
use super::paced::PacedFile;
use super::rows::{Channels, Decoded, Layout, RowSink, RowSource};
use super::samples::{high_bytes, nearest_bytes, repeat_grey};
use super::ticker::Ticker;
use crate::workload::Error;
use png::{BitDepth, ColorType, Transformations};
use std::borrow::Cow;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// A file being decoded.
struct Decoder<'a> {
    reader: png::Reader<PacedFile<'a>>,
    layout: Layout,
    /// An interlaced picture, which can only be decoded whole.
    whole: Option<Decoded>,
}

/// Starts to read a PNG file whose size, `pixels`, has been checked against the limits.
pub(super) fn open(input: PacedFile<'_>, pixels: u64) -> Result<Box<dyn RowSource + '_>, Error> {
    // Room for 16-bit RGBA, and for what stands beside the pixels.
    let bytes = usize::try_from(pixels).unwrap_or(usize::MAX).saturating_mul(8);
    let limits = png::Limits { bytes: bytes.saturating_add(16 << 20) };
    let mut decoder = png::Decoder::new_with_limits(input, limits);
    decoder.set_transformations(Transformations::EXPAND);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let reader = decoder.read_info().map_err(|error| malformed(&error))?;
    let info = reader.info();
    let (width, height, interlaced) = (info.width as usize, info.height as usize, info.interlaced);
    let (channels, _) = arrange(&reader, &[]);
    let layout = Layout { width, height, channels };
    let mut decoder = Decoder { reader, layout, whole: None };
    if interlaced {
        decoder.whole = Some(decoder.decode_whole()?);
    }
    Ok(Box::new(decoder))
}

impl Decoder<'_> {
    fn decode_whole(&mut self) -> Result<Decoded, Error> {
        let size = self.reader.output_buffer_size().ok_or_else(|| {
            Error::Malformed("the PNG picture cannot be read: its size overflows".to_owned())
        })?;
        let mut samples = vec![0; size];
        self.reader.next_frame(&mut samples).map_err(|error| malformed(&error))?;
        let (_, samples) = arrange(&self.reader, &samples);
        Ok(Decoded::new(self.layout, samples.into_owned(), self.is_linear_grey()))
    }
}

impl RowSource for Decoder<'_> {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn is_linear_grey(&self) -> bool {
        self.layout.channels == Channels::Grey && self.reader.info().bit_depth == BitDepth::Eight
    }

    fn read(&mut self, rows: &mut [u8], ticker: &mut Ticker) -> Result<(), Error> {
        if let Some(whole) = &mut self.whole {
            return whole.read(rows, ticker);
        }
        let size = self.reader.output_line_size(self.reader.info().width).unwrap_or_default();
        let mut samples = vec![0; size];
        for row in rows.chunks_exact_mut(self.layout.stride()) {
            match self.reader.read_row(&mut samples) {
                Ok(Some(_)) => {}
                Ok(None) => {
                    let why = "the PNG picture cannot be read: it lacks rows";
                    return Err(Error::Malformed(why.to_owned()));
                }
                Err(error) => {
                    ticker.look()?;
                    return Err(malformed(&error));
                }
            }
            row.copy_from_slice(&arrange(&self.reader, &samples).1);
            ticker.spend(3 * row.len() as u64)?;
        }
        Ok(())
    }
}

fn malformed(error: &png::DecodingError) -> Error {
    Error::Malformed(format!("the PNG picture cannot be read: {}", reason(error)))
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
fn arrange<'s>(
    reader: &png::Reader<PacedFile<'_>>,
    samples: &'s [u8],
) -> (Channels, Cow<'s, [u8]>) {
    let (stored, depth) = (reader.info().color_type, reader.info().bit_depth);
    let is_wide = depth == BitDepth::Sixteen;
    let brighten = |level: u8| SRGB_OF_LINEAR[usize::from(level)];
    match reader.output_color_type().0 {
        ColorType::Grayscale if is_wide => {
            let grey: Vec<u8> = high_bytes(samples).into_iter().map(brighten).collect();
            (Channels::Grey, grey.into())
        }
        ColorType::Grayscale if depth == BitDepth::Eight => (Channels::Grey, samples.into()),
        ColorType::Grayscale => (Channels::Rgb, repeat_grey(samples.iter().copied()).into()),
        ColorType::GrayscaleAlpha => {
            let samples = if is_wide { high_bytes(samples).into() } else { Cow::from(samples) };
            let grey = samples.chunks_exact(2).map(|pixel| {
                // Fewer bits than eight are read as a palette, which holds sRGB already.
                let is_linear = depth == BitDepth::Eight || is_wide;
                if is_linear { brighten(pixel[0]) } else { pixel[0] }
            });
            (Channels::Rgb, repeat_grey(grey).into())
        }
        ColorType::Rgba if stored == ColorType::Indexed => {
            let (pixels, _) = samples.as_chunks::<4>();
            let colours: Vec<u8> = pixels.iter().flat_map(|[r, g, b, _]| [*r, *g, *b]).collect();
            (Channels::Rgb, colours.into())
        }
        ColorType::Rgba if is_wide => (Channels::Rgba, nearest_bytes(samples).into()),
        ColorType::Rgba => (Channels::Rgba, samples.into()),
        ColorType::Rgb if is_wide => (Channels::Rgb, nearest_bytes(samples).into()),
        ColorType::Rgb | ColorType::Indexed => (Channels::Rgb, samples.into()),
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

    fn finish(self: Box<Self>, _: &mut Ticker) -> Result<Vec<u8>, Error> {
        self.rows.finish().map_err(|error| unwritable(&error))?;
        let mut file = self.file.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut *file))
    }
}
