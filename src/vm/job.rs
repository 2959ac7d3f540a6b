//! What a request for work asks for, done: bytes in, bytes out.

use bytes::Bytes;
use hyper::http::request::Parts;

use super::body::Received;
use super::route::Kind;
use crate::workload::imaging::{self, Filter, OutputFormat};
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
pub(super) struct Output {
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) usage: Usage,
    /// Fields of metrics.txt that only this workload has.
    pub(super) extra: Vec<(&'static str, u64)>,
}

pub(super) fn perform(job: &Job, run: &Run<'_>) -> Result<Output, Error> {
    let filter = match job.kind {
        Kind::Blur => Filter::Blur,
        Kind::Enhance => Filter::Enhance,
        Kind::Raytrace => return Err(Error::Malformed("scols".into())),
    };
    let p = imaging::apply(filter, &job.body.bytes, OutputFormat::SameAsInput, run)?;
    Ok(Output {
        content_type: p.input_format.media_type(),
        body: p.bytes.into(),
        width: p.width,
        height: p.height,
        usage: p.usage,
        extra: Vec::new(),
    })
}
