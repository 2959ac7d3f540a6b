//! The picture workload: a file in, blurred or enhanced, a file out.
//!
//! ```text
//!  file ─▶ header ─▶ decode ─▶ blur │ enhance ─▶ encode ─▶ file
//!          limits    └──────── pipeline, by strips ───────┘
//! ```
//!
//! Both filters, and what happens to each kind of picture on its way in and out, reproduce
//! services built on the widely used Java library `BoofCV` and the Java picture readers and writers:
//! equal pixels, and for JPEG equal bytes.

mod blur;
mod bmp_files;
mod buffers;
mod cost;
mod enhance;
mod filters;
mod format;
mod gif_files;
mod grey;
mod header;
mod jpeg;
mod other_files;
mod paced;
mod pipeline;
mod png_files;
mod rows;
mod samples;
mod ticker;
mod transpose;
mod wbmp_files;

pub use cost::nominal_work;
pub use format::{Format, OutputFormat};
pub use header::{PictureHeader, probe_channels, probe_header};
pub use jpeg::{jpeg_description, jpeg_is_exact};
pub use rows::Channels;

use crate::workload::{Error, FullSpeed, Instructions, Limits, Pacer, Run, Usage};
use paced::PacedFile;
use rows::{Decoded, Gather, Layout, RowSink, RowSource};
use std::time::Duration;
use ticker::{Ticker, thread_cpu_time};

/// What to do to a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Filter {
    /// Gaussian blur with a standard deviation of 13 pixels; keeps the channels.
    Blur,
    /// Local histogram equalisation over 101 × 101 pixels; the result is grey.
    Enhance,
}

/// The result of [`apply`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processed {
    /// The file; empty if `refusal` says why there is none.
    pub bytes: Vec<u8>,
    /// Why nothing was written although the picture was fine. Existing clients get an empty
    /// answer with status 200 in these cases.
    pub refusal: Option<Refusal>,
    /// Columns of pixels.
    pub width: u32,
    /// Rows of pixels.
    pub height: u32,
    /// What the input was.
    pub input_format: Format,
    /// What `bytes` are, if there are any.
    pub output_format: Option<Format>,
    /// What it cost.
    pub usage: Usage,
}

/// Why a picture that could be read has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The label asked for names no format that is written here.
    #[error("no picture format of that name is written here: ask for jpg, png, bmp, gif or tiff")]
    UnknownOutput,
    /// JPEG and BMP files have no place for alpha.
    #[error("the picture has an alpha channel, which {} files cannot hold: ask for png", .0.name())]
    Alpha(Format),
    /// WBMP files hold black and white alone.
    #[error("WBMP files hold black and white alone, which no result is: ask for png")]
    TwoLevels,
}

/// A decoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Columns of pixels.
    pub width: u32,
    /// Rows of pixels.
    pub height: u32,
    /// What the bytes of a pixel are.
    pub channels: Channels,
    /// Rows from the top, without gaps, eight bits a sample.
    pub samples: Vec<u8>,
}

/// Reads a file, applies `filter` and writes a file.
///
/// The bytes of the result depend on nothing but `filter`, `input` and `output`.
///
/// # Errors
/// [`Error::Unsupported`] if `input` is no picture of a kind that is read here,
/// [`Error::Malformed`] if it is broken or ends too early, [`Error::TooLarge`] if its header
/// announces more pixels than the limit, [`Error::Unprocessable`] if the output format cannot hold
/// so large a picture, [`Error::Cancelled`].
pub fn apply(
    filter: Filter,
    input: &[u8],
    output: OutputFormat,
    run: &Run,
) -> Result<Processed, Error> {
    apply_with(Instructions::best(), filter, input, output, run)
}

/// As [`apply`], with these instructions if the processor has them.
///
/// # Errors
/// Those of [`apply`].
pub fn apply_with(
    instructions: Instructions,
    filter: Filter,
    input: &[u8],
    output: OutputFormat,
    run: &Run,
) -> Result<Processed, Error> {
    let start = thread_cpu_time();
    let header = read_header(input, run.limits.picture_pixels, "picture_pixels")?;
    run.pacer.checkpoint()?;
    let output_format = match output {
        OutputFormat::SameAsInput => Some(header.format),
        OutputFormat::As(format) => Some(format),
        OutputFormat::Unwritable => None,
    };
    let mut processed = Processed {
        bytes: Vec::new(),
        refusal: None,
        width: header.width,
        height: header.height,
        input_format: header.format,
        output_format,
        usage: Usage::default(),
    };
    let Some(output_format) = output_format else {
        return Ok(refuse(processed, Refusal::UnknownOutput, start));
    };
    if output_format == Format::Wbmp {
        return Ok(refuse(processed, Refusal::TwoLevels, start));
    }
    let source = open(input, header, run.pacer)?;
    let layout = source.layout();
    processed.usage.work =
        nominal_work(filter, header.pixels(), layout.channels, header.format, Some(output_format));
    let result = Layout { channels: filters::result_channels(filter, layout.channels), ..layout };
    if result.channels == Channels::Rgba && !holds_alpha(output_format) {
        return Ok(refuse(processed, Refusal::Alpha(output_format), start));
    }
    let sink = create(output_format, result)?;
    let opened = thread_cpu_time().saturating_sub(start);
    let (bytes, cpu) = filters::run(instructions, filter, source, sink, run)?;
    processed.bytes = bytes;
    processed.usage.cpu = opened + cpu;
    Ok(processed)
}

/// Filters a picture that is decoded already. Gives the result and the CPU time of all threads.
///
/// # Errors
/// [`Error::Cancelled`].
pub fn filter_with(
    instructions: Instructions,
    filter: Filter,
    picture: Picture,
    run: &Run,
) -> Result<(Picture, Duration), Error> {
    let Picture { width, height, channels, samples } = picture;
    let layout = Layout { width: width as usize, height: height as usize, channels };
    let result = Layout { channels: filters::result_channels(filter, channels), ..layout };
    let source = Box::new(Decoded::new(layout, samples, false));
    let sink = Box::new(Gather::new(result, |_, samples, _| Ok(std::mem::take(samples))));
    let (samples, cpu) = filters::run(instructions, filter, source, sink, run)?;
    Ok((Picture { width, height, channels: result.channels, samples }, cpu))
}

/// A picture as colours alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Colors {
    /// Columns of pixels.
    pub width: u32,
    /// Rows of pixels.
    pub height: u32,
    /// Rows from the top, without gaps: red, green, blue.
    pub pixels: Vec<[u8; 3]>,
}

/// Reads a picture file for a texture. Alpha is dropped: the colour stored under it counts. Grey
/// of 8 or 16 bits is taken for linear light and encoded as sRGB, as existing services do.
///
/// # Errors
/// As for [`apply`], with the limit on textures.
pub fn decode_colors(input: &[u8], run: &Run) -> Result<Colors, Error> {
    let header = read_header(input, run.limits.texture_pixels, "texture_pixels")?;
    let mut source = open(input, header, run.pacer)?;
    let Layout { width, height, channels } = source.layout();
    let is_linear = source.is_linear_grey();
    let level = |grey: u8| if is_linear { grey::SRGB_OF_LINEAR[usize::from(grey)] } else { grey };
    let mut pixels = Vec::with_capacity(width * height);
    let stride = width * channels.count();
    let mut rows = vec![0; stride * pipeline::STRIP.min(height)];
    let mut ticker = Ticker::new(run.pacer);
    for top in (0..height).step_by(pipeline::STRIP) {
        let rows = &mut rows[..stride * pipeline::STRIP.min(height - top)];
        source.read(rows, &mut ticker)?;
        match channels {
            Channels::Grey => pixels.extend(rows.iter().map(|grey| [level(*grey); 3])),
            Channels::Rgb => pixels.extend_from_slice(rows.as_chunks::<3>().0),
            Channels::Rgba => {
                pixels.extend(rows.as_chunks::<4>().0.iter().map(|[r, g, b, _]| [*r, *g, *b]));
            }
        }
        ticker.spend(rows.len() as u64)?;
    }
    let PictureHeader { width, height, .. } = header;
    Ok(Colors { width, height, pixels })
}

/// Reads a picture file, as [`apply`] does, without filtering it.
///
/// # Errors
/// As for [`apply`], with the limit on textures.
pub fn decode(input: &[u8], limits: &Limits) -> Result<Picture, Error> {
    let header = read_header(input, limits.texture_pixels, "texture_pixels")?;
    let mut source = open(input, header, &FullSpeed)?;
    let layout = source.layout();
    let mut samples = vec![0; layout.stride() * layout.height];
    source.read(&mut samples, &mut Ticker::new(&FullSpeed))?;
    let PictureHeader { width, height, .. } = header;
    Ok(Picture { width, height, channels: layout.channels, samples })
}

/// Writes a picture file.
///
/// # Errors
/// [`Error::Unprocessable`] if files of this format cannot hold the picture: they cannot be so
/// large, or, for JPEG and BMP, have no alpha.
pub fn encode(picture: &Picture, format: Format) -> Result<Vec<u8>, Error> {
    let layout = Layout {
        width: picture.width as usize,
        height: picture.height as usize,
        channels: picture.channels,
    };
    if layout.channels == Channels::Rgba && !holds_alpha(format) {
        return Err(Error::Unprocessable(Refusal::Alpha(format).to_string()));
    }
    let mut sink = create(format, layout)?;
    let mut ticker = Ticker::new(&FullSpeed);
    sink.write(&picture.samples, &mut ticker)?;
    sink.finish(&mut ticker)
}

/// Ends a request that has no result, begun at `start` of the thread's CPU time.
fn refuse(mut processed: Processed, refusal: Refusal, start: Duration) -> Processed {
    processed.refusal = Some(refusal);
    processed.output_format = None;
    processed.usage.cpu = thread_cpu_time().saturating_sub(start);
    processed
}

const fn holds_alpha(format: Format) -> bool {
    !matches!(format, Format::Jpeg | Format::Bmp | Format::Wbmp)
}

/// The header of a picture that is not larger than allowed.
fn read_header(input: &[u8], pixels: u64, limit: &'static str) -> Result<PictureHeader, Error> {
    let Some(format) = Format::sniff(input) else {
        let what = match format::name_unreadable(input) {
            Some(name) => format!("it looks like {name}"),
            None if input.is_empty() => "it is empty".to_owned(),
            None => "it begins like none".to_owned(),
        };
        return Err(Error::Unsupported(format!(
            "the input is no JPEG, PNG, GIF, BMP, TIFF or WBMP picture: {what}"
        )));
    };
    let name = format.name();
    let header = probe_header(input).ok_or_else(|| {
        Error::Malformed(format!("the {name} picture's size cannot be read: its header is broken"))
    })?;
    if header.pixels() == 0 {
        let (width, height) = (header.width, header.height);
        return Err(Error::Malformed(format!(
            "the {name} picture has no pixels: it is {width} × {height}"
        )));
    }
    if header.pixels() > pixels {
        return Err(Error::TooLarge {
            what: "the picture's number of pixels",
            actual: header.pixels(),
            limit,
            allowed: pixels,
        });
    }
    Ok(header)
}

fn open<'a>(
    input: &'a [u8],
    header: PictureHeader,
    pacer: &'a dyn Pacer,
) -> Result<Box<dyn RowSource + 'a>, Error> {
    let decoded = decoder(input, header, pacer).or_else(|error| {
        // Decoders call it an error of the file if reading on was refused.
        pacer.checkpoint()?;
        Err(error)
    })?;
    let Layout { width, height, .. } = decoded.layout();
    if (width, height) != (header.width as usize, header.height as usize) {
        // Two readers of one header disagree, so the check against the limit means nothing.
        return Err(Error::Malformed(format!(
            "the {} picture has two sizes: {} × {} and {width} × {height}",
            header.format.name(),
            header.width,
            header.height
        )));
    }
    Ok(decoded)
}

fn decoder<'a>(
    input: &'a [u8],
    header: PictureHeader,
    pacer: &'a dyn Pacer,
) -> Result<Box<dyn RowSource + 'a>, Error> {
    let file = PacedFile::new(input, pacer);
    Ok(match header.format {
        Format::Jpeg => jpeg::open(input)?,
        Format::Png => png_files::open(file, header.pixels())?,
        Format::Gif => Box::new(gif_files::decode(file, header.pixels())?),
        Format::Bmp => Box::new(other_files::decode_bmp(file)?),
        Format::Tiff => Box::new(other_files::decode_tiff(file, header.pixels())?),
        Format::Wbmp => Box::new(wbmp_files::open(input, header)?),
    })
}

fn create(format: Format, layout: Layout) -> Result<Box<dyn RowSink>, Error> {
    match format {
        Format::Jpeg => jpeg::create(layout),
        Format::Png => png_files::create(layout),
        Format::Bmp => bmp_files::create(layout),
        Format::Gif => Ok(Box::new(Gather::new(layout, gif_files::encode))),
        Format::Tiff => Ok(Box::new(Gather::new(layout, |layout, samples, _| {
            other_files::encode_tiff(layout, samples)
        }))),
        Format::Wbmp => Err(Error::Unprocessable(Refusal::TwoLevels.to_string())),
    }
}
