//! What a request asks for, read from its head and the first bytes of its body: the features that
//! its cost is foretold from.
//!
//! The body need not be there: a picture says its size in its first bytes, and of a render the
//! query names the window. A render is foretold much better once its scene is there, by tracing a
//! few of its rays.

use std::borrow::Cow;

use base64_simd::STANDARD_NO_PAD;

use super::imaging::{
    Channels, Filter, Format, PictureHeader, nominal_work, probe_channels, probe_header,
};
use super::raytracer::{Arrangement, Counters, Foretold, LONG_LIST, View, foretell};
use super::wire::{self, query, render_json};
use super::{Error, Limits};
use crate::domain::cost::{Features, Form, Kind, Work};

/// So much of a body is looked at: nearly every picture tells its size in its first 64 KiB.
pub const LOOKED_AT: usize = 64 << 10;
/// What stands before the picture in a data URL or a form is shorter than this.
const PREAMBLE: usize = 1 << 10;

/// Pixels that a byte of a picture stands for when its head was not read: a photograph as JPEG has
/// about two bits a pixel, and base64 adds a third.
const PIXELS_PER_BYTE: u64 = 3;
/// A picture of unknown size and unknown length.
const PICTURE_PIXELS: u64 = 1_000_000;
/// Cost of a camera ray with the shadow and mirror rays that follow it, in a scene of few shapes,
/// in nominal nanoseconds.
const NS_PER_RAY: u64 = 120;
/// Bytes of scene text after which a ray costs a nanosecond more: a shape takes about forty
/// bytes to write down.
const SCENE_BYTES_PER_NS: u64 = 20;
/// What exceeds this costs a ray no more: from some 128 shapes on hierarchies spare most tests, or
/// it is texture, not scene.
const SCENE_BYTES: u64 = 8 << 10;
/// A window of unknown size: VGA.
const WINDOW: [u32; 2] = [640, 480];
/// Rays per pixel with antialiasing.
const SAMPLES: u64 = 4;

/// The features of a picture to be blurred or enhanced, from the `start` of its body, which may be
/// shorter than [`LOOKED_AT`], and the body's `length` in bytes, if it is known.
///
/// [`Form::Guessed`] if the size of the picture is not among these bytes.
#[must_use]
pub fn picture(filter: Filter, start: &[u8], length: Option<u64>) -> Features {
    let is_url = start.starts_with(b"data:");
    // Four digits of base64 stand for three bytes.
    let file_bytes = |length: u64| if is_url { length / 4 * 3 } else { length };
    let bytes = length.map_or(0, file_bytes);
    let (form, pixels, channels, format) = if let Some((header, channels)) = header(start) {
        let PictureHeader { format, width, height } = header;
        (form(format), u64::from(width) * u64::from(height), channels, format)
    } else {
        let pixels = length.map_or(PICTURE_PIXELS, |bytes| bytes.saturating_mul(PIXELS_PER_BYTE));
        (Form::Guessed, pixels, Channels::Rgb, Format::Jpeg)
    };
    // A header can announce more pixels than there are nanoseconds to count; no VM takes those.
    let pixels = pixels.min(Limits::default().picture_pixels);
    let nominal = nominal_work(filter, pixels, channels, format, Some(format));
    let nominal = Work::from_nanos(nominal);
    Features { kind: kind(filter), form, nominal, tests: Work::NONE, bytes }
}

/// The features of a picture that was processed, from the `work` that its VM counted: only one
/// format and kind of pixels counts so much for so many pixels. The `length` is that of a data URL,
/// as existing clients send them.
#[must_use]
pub fn picture_of_work(
    filter: Filter,
    [width, height]: [u32; 2],
    work: u64,
    length: u64,
) -> Option<Features> {
    const FORMATS: [Format; 5] =
        [Format::Jpeg, Format::Png, Format::Bmp, Format::Gif, Format::Tiff];
    const CHANNELS: [Channels; 3] = [Channels::Rgb, Channels::Grey, Channels::Rgba];
    let pixels = u64::from(width) * u64::from(height);
    let mut all = FORMATS.into_iter().flat_map(|format| CHANNELS.map(|kind| (format, kind)));
    let (format, _) = all.find(|&(format, channels)| {
        nominal_work(filter, pixels, channels, format, Some(format)) == work
    })?;
    let nominal = Work::from_nanos(work);
    let (kind, form, bytes) = (kind(filter), form(format), length / 4 * 3);
    Some(Features { kind, form, nominal, tests: Work::NONE, bytes })
}

/// The features of a render that was done, from the `work` that its VM counted, the number of tests
/// of rays against shapes, and that of shapes: of many, other things are counted too, which are not
/// told.
#[must_use]
pub fn render_of_work(work: u64, tests: u64, shapes: u64, bytes: u64) -> Option<Features> {
    if shapes >= LONG_LIST as u64 {
        return None;
    }
    let tests = Counters { tests, ..Counters::default() }.test_work().min(work);
    let (kind, form) = (Kind::Raytrace, Form::ShortList);
    let [nominal, tests] = [work, tests].map(Work::from_nanos);
    (tests > Work::NONE).then_some(Features { kind, form, nominal, tests, bytes })
}

const fn kind(filter: Filter) -> Kind {
    match filter {
        Filter::Blur => Kind::Blur,
        Filter::Enhance => Kind::Enhance,
    }
}

const fn form(format: Format) -> Form {
    match format {
        Format::Jpeg => Form::Jpeg,
        Format::Png => Form::Png,
        Format::Gif => Form::Gif,
        // A rare kind of bitmap, counted as one.
        Format::Bmp | Format::Wbmp => Form::Bmp,
        Format::Tiff => Form::Tiff,
    }
}

/// What the picture that begins in these bytes says of itself: a data URL, a picture file, or a
/// form with a file.
fn header(body: &[u8]) -> Option<(PictureHeader, Channels)> {
    let body = body.get(..LOOKED_AT).unwrap_or(body);
    let preamble = body.get(..PREAMBLE).unwrap_or(body);
    let after = |mark: &[u8]| {
        let at = preamble.windows(mark.len()).position(|window| window == mark)?;
        body.get(at + mark.len()..)
    };
    let file = if body.starts_with(b"data:") {
        Cow::Owned(decode_start(after(b"base64,")?))
    } else if body.starts_with(b"--") {
        Cow::Borrowed(after(b"\r\n\r\n")?)
    } else {
        Cow::Borrowed(body)
    };
    Some((probe_header(&file)?, probe_channels(&file)))
}

/// Decodes base64 as far as its start goes: to the last whole group of four, line breaks aside.
fn decode_start(base64: &[u8]) -> Vec<u8> {
    let mut digits: Vec<u8> = base64
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=')
        .collect();
    digits.truncate(digits.len() / 4 * 4);
    STANDARD_NO_PAD.decode_to_vec(&digits).unwrap_or_default()
}

/// The features of a render, from its query and the `length` of its body in bytes, if it is known.
#[must_use]
pub fn render(query: &str, length: Option<u64>) -> Features {
    let size = |length: i32| u32::try_from(length).unwrap_or(0);
    match query::parse(query) {
        Ok(wanted) => render_of([size(wanted.wcols), size(wanted.wrows)], wanted.aa, length),
        Err(_) => render_of(WINDOW, false, length),
    }
}

/// The features of a render of a `window`, width and height in pixels.
#[must_use]
pub fn render_of(window: [u32; 2], antialias: bool, length: Option<u64>) -> Features {
    let pixels = window.into_iter().map(u64::from).fold(1, u64::saturating_mul);
    let rays = pixels.saturating_mul(if antialias { SAMPLES } else { 1 });
    let bytes = length.unwrap_or(0);
    let per_ray = NS_PER_RAY + bytes.min(SCENE_BYTES) / SCENE_BYTES_PER_NS;
    let nominal = Work::from_nanos(rays.saturating_mul(per_ray));
    Features { kind: Kind::Raytrace, form: Form::Guessed, nominal, tests: Work::NONE, bytes }
}

/// A render of which some rays are to be traced.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sampling {
    /// The text of the scene.
    scene: Vec<u8>,
    view: View,
    points: u32,
    bytes: u64,
}

impl Sampling {
    /// A sampling of the render with this query and the body that begins with `start`; nothing if
    /// the scene is not there whole, or if sampling would cost much beside rendering.
    ///
    /// `is_whole` says whether `start` is the body; else `length` is its length, if it is known.
    #[must_use]
    pub fn of(query: &str, start: &[u8], is_whole: bool, length: Option<u64>) -> Option<Self> {
        let wanted = query::parse(query).ok()?;
        let view = View {
            scene_columns: wanted.scols,
            scene_rows: wanted.srows,
            window_columns: wanted.wcols,
            window_rows: wanted.wrows,
            column_offset: wanted.coff,
            row_offset: wanted.roff,
            antialias: wanted.aa,
        };
        let (width, height) = view.size(&Limits::default()).ok()?;
        let scene = if wire::classify(start) == wire::Body::Json {
            render_json::scene(start)?.into_bytes()
        } else {
            let is_scene = is_whole && start.first().is_some_and(|first| *first != b'-');
            is_scene.then(|| start.to_vec())?
        };
        let points = points(u64::from(width) * u64::from(height))?;
        let length = length.unwrap_or(start.len() as u64);
        let reading = NS_PER_SCENE_BYTE * scene.len() as u64;
        let rendering = render(query, Some(scene.len() as u64)).nominal.nanos();
        (reading <= rendering / WORTH).then_some(Self { scene, view, points, bytes: length })
    }

    /// Traces the rays, and gives the features that the render has by them.
    ///
    /// # Errors
    /// Those of [`foretell`]: a VM will refuse this render for the same reason.
    pub fn run(&self) -> Result<Features, Error> {
        let limits = Limits::default();
        let Foretold { work, tests, arrangement } =
            foretell(&self.scene, &self.view, self.points, &limits)?;
        let form = match arrangement {
            Arrangement::ShortList => Form::ShortList,
            Arrangement::LongList => Form::LongList,
            Arrangement::Hierarchy => Form::Hierarchy,
        };
        let [nominal, tests] = [work, tests].map(Work::from_nanos);
        Ok(Features { kind: Kind::Raytrace, form, nominal, tests, bytes: self.bytes })
    }
}

/// Rendering must cost so many times what reading the scene once more does.
const WORTH: u64 = 50;
/// Reading a byte of scene, and arranging the shapes that take some forty, in nanoseconds.
const NS_PER_SCENE_BYTE: u64 = 8;

/// How many pixels of a window are traced: four hundred, fewer of a small one, none of one so
/// small that it is as well rendered.
fn points(pixels: u64) -> Option<u32> {
    /// Fewer say too little.
    const FEWEST: u64 = 64;
    /// More say little more.
    const MOST: u64 = 400;
    /// So many pixels are rendered for each that is traced. Rays far from each other cost some
    /// three times what neighbours do, so tracing costs a fiftieth of rendering.
    const SPARSE: u64 = 150;
    let most = (pixels / SPARSE).min(MOST);
    // At most MOST, so it fits.
    if most < FEWEST { None } else { u32::try_from(most).ok() }
}

#[cfg(test)]
mod tests;
