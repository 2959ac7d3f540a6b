//! What a request for work asks for, done: bytes in, bytes out.

use bytes::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;

use super::accept;
use super::body::Received;
pub use super::route::Kind;
use crate::workload::imaging::{self, Filter, OutputFormat, Processed};
use crate::workload::raytracer::{self, RenderRequest, Rendered, View};
use crate::workload::wire::multipart::{self, Part};
use crate::workload::wire::{self, Body, data_url, query, render_json};
use crate::workload::{Error, Run, Usage};

/// A request for work, whole.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) kind: Kind,
    pub(super) head: Parts,
    pub(super) body: Received,
}

/// What a job made.
#[derive(Debug)]
pub struct Output {
    /// The media type of `body`.
    pub content_type: &'static str,
    /// The answer.
    pub body: Bytes,
    /// Width in pixels of the picture or of the window that was rendered.
    pub width: u32,
    /// Height of the same.
    pub height: u32,
    /// What it cost.
    pub usage: Usage,
    /// Fields of metrics.txt that only this workload has.
    pub extra: Vec<(&'static str, u64)>,
    /// Why the answer holds no picture although nothing is wrong.
    pub refusal: Option<String>,
}

/// The type of answers that are data URLs.
const TEXT: &str = "text/plain; charset=utf-8";

/// Does what a request asks for: `head` has its query, the type of its body and what its client
/// would rather have. The body's memory is given back as soon as it has been read.
///
/// # Errors
/// Those of the wire formats and of the workload.
pub fn perform(kind: Kind, head: &Parts, body: Bytes, run: &Run<'_>) -> Result<Output, Error> {
    match kind {
        Kind::Blur => picture(Filter::Blur, head, body, run),
        Kind::Enhance => picture(Filter::Enhance, head, body, run),
        Kind::Raytrace => scene(head, body, run),
    }
}

/// The answer comes as the picture came: as a data URL or as the bytes of a file.
fn picture(filter: Filter, head: &Parts, body: Bytes, run: &Run<'_>) -> Result<Output, Error> {
    if body.is_empty() {
        let sentence = "the body is empty: send a picture, as a data URL or as it is";
        return Err(Error::Malformed(sentence.to_owned()));
    }
    if wire::classify(&body) == Body::DataUrl {
        let sent = data_url::parse(&body)?;
        let (label, file) = (sent.label.to_owned(), sent.payload);
        drop(body);
        let done = imaging::apply(filter, &file, OutputFormat::from_label(&label), run)?;
        drop(file);
        let refusal = done.refusal.map(|refusal| refusal.to_string());
        let answer = data_url::write(&label, &done.bytes);
        return Ok(Output { refusal, ..picture_output(TEXT, answer, &done) });
    }
    let form = form(head, &body).transpose()?;
    let file = form.as_deref().map_or(Ok(&*body), file)?;
    let mut done = imaging::apply(filter, file, OutputFormat::SameAsInput, run)?;
    if let Some(refusal) = done.refusal {
        return Err(Error::Unprocessable(refusal.to_string()));
    }
    let answer = std::mem::take(&mut done.bytes);
    Ok(picture_output(done.input_format.media_type(), answer, &done))
}

fn picture_output(content_type: &'static str, answer: Vec<u8>, done: &Processed) -> Output {
    Output {
        content_type,
        body: answer.into(),
        width: done.width,
        height: done.height,
        usage: done.usage,
        extra: Vec::new(),
        refusal: None,
    }
}

/// A scene in JSON is answered with a data URL, any other with a picture file.
fn scene(head: &Parts, body: Bytes, run: &Run<'_>) -> Result<Output, Error> {
    let wanted = query::parse(head.uri.query().unwrap_or_default())?;
    let view = View {
        scene_columns: wanted.scols,
        scene_rows: wanted.srows,
        window_columns: wanted.wcols,
        window_rows: wanted.wrows,
        column_offset: wanted.coff,
        row_offset: wanted.roff,
        antialias: wanted.aa,
    };
    let render = |scene, texmap| raytracer::render(&RenderRequest { scene, texmap, view }, run);
    if wire::classify(&body) == Body::Json {
        let sent = render_json::parse(&body, run.limits)?;
        drop(body);
        let done = render(sent.scene.as_bytes(), sent.texmap.as_deref())?;
        let answer = data_url::write("bmp", &done.bmp);
        return Ok(scene_output(TEXT, answer, &done));
    }
    let mut done = match form(head, &body).transpose()? {
        None => render(&body, None)?,
        Some(parts) => {
            let content = |name| parts.iter().find(|part| part.name == name).map(|p| p.content);
            let Some(scene) = content("scene") else {
                let sentence = "the form has no field `scene`";
                return Err(Error::Malformed(sentence.to_owned()));
            };
            // A browser sends a field without content for a file that was not chosen.
            render(scene, content("texmap").filter(|texmap| !texmap.is_empty()))?
        }
    };
    if accept::prefers_png(&head.headers) {
        let answer = png(&done)?;
        return Ok(scene_output("image/png", answer, &done));
    }
    let answer = std::mem::take(&mut done.bmp);
    Ok(scene_output("image/bmp", answer, &done))
}

fn scene_output(content_type: &'static str, answer: Vec<u8>, done: &Rendered) -> Output {
    let (features, counters) = (&done.features, &done.counters);
    Output {
        content_type,
        body: answer.into(),
        width: done.width,
        height: done.height,
        usage: done.usage,
        extra: vec![
            ("rays", counters.primary + counters.secondary + counters.shadow),
            ("tests", counters.tests),
            ("scene_bytes", features.scene_bytes),
            ("primitives", features.primitives),
            ("lights", features.lights),
            ("antialias", features.antialias.into()),
        ],
        refusal: None,
    }
}

/// The parts of a form, if the body is one. The declared type alone does not make it one: existing
/// clients send pictures and scenes under any.
fn form<'a>(head: &Parts, body: &'a [u8]) -> Option<Result<Vec<Part<'a>>, Error>> {
    let content_type = head.headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    (media_type.eq_ignore_ascii_case("multipart/form-data") && body.starts_with(b"--"))
        .then(|| multipart::parse(content_type, body))
}

/// The picture in a form: its first file, or else its first field.
fn file<'a>(parts: &[Part<'a>]) -> Result<&'a [u8], Error> {
    let file = parts.iter().find(|part| part.filename.is_some()).or(parts.first());
    file.map(|part| part.content)
        .ok_or_else(|| Error::Malformed("the form has no field with a picture".to_owned()))
}

/// The rendered picture as a PNG file. Compressed for speed: it is looked at once.
fn png(done: &Rendered) -> Result<Vec<u8>, Error> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, done.width, done.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::Fast);
    let written =
        encoder.write_header().and_then(|mut writer| writer.write_image_data(&done.rgb()));
    match written {
        Ok(()) => Ok(file),
        Err(error) => Err(Error::Unprocessable(format!(
            "a PNG file cannot hold {} × {} pixels: {error}",
            done.width, done.height
        ))),
    }
}
