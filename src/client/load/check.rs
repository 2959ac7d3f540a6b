//! Whether an answer is what was asked for.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::ask::Ready;
use super::tally::Trouble;
use super::wire::{Answer, Body, Lost};
use crate::workload::Limits;
use crate::workload::imaging::{self, PictureHeader};

/// Answers that later ones are compared with take at most so much memory, in bytes, all together.
/// What finds no room is decoded each time.
const MOST_KEPT: u64 = 512 << 20;

/// What is known of the answers so far: for each input the first good one.
pub(super) struct References {
    first: Vec<OnceLock<Bytes>>,
    kept: AtomicU64,
}

impl References {
    pub(super) fn new(inputs: usize) -> Self {
        Self { first: (0..inputs).map(|_| OnceLock::new()).collect(), kept: AtomicU64::new(0) }
    }

    /// What the answer to this input has to be equal to, if that is known.
    pub(super) fn known(&self, input: usize) -> Option<&Bytes> {
        self.first.get(input)?.get()
    }

    /// Looks at an answer: a picture has to be whole and of the right size the first time, and the
    /// same to the byte from then on.
    pub(super) async fn check(
        &self,
        input: usize,
        ready: &Ready,
        answer: &mut Answer,
    ) -> Result<(), Trouble> {
        let body = match std::mem::replace(&mut answer.body, Body::Compared(true)) {
            Body::Compared(true) => return Ok(()),
            Body::Compared(false) => return Err(differs()),
            Body::Refusal(sentence) => {
                let kind = format!("status {}", answer.status.as_u16());
                return Err(Trouble::Failed { kind, example: sentence });
            }
            Body::Whole(body) => body,
        };
        let Some(expected) = ready.expected else { return Ok(()) };
        if let Some(known) = self.known(input) {
            return if *known == body { Ok(()) } else { Err(differs()) };
        }
        let copy = body.clone();
        let judged = tokio::task::spawn_blocking(move || judge(&copy, expected)).await;
        judged.unwrap_or_else(|error| Err(error.to_string())).map_err(|example| {
            Trouble::Failed { kind: "not the picture asked for".to_owned(), example }
        })?;
        let bytes = body.len() as u64;
        if self.kept.fetch_add(bytes, Ordering::Relaxed) + bytes > MOST_KEPT {
            self.kept.fetch_sub(bytes, Ordering::Relaxed);
            return Ok(());
        }
        // Another answer to the same input may have been first.
        match self.first.get(input).map(|first| first.get_or_init(|| body.clone()) == &body) {
            Some(false) => Err(differs()),
            _ => Ok(()),
        }
    }
}

fn differs() -> Trouble {
    Trouble::Failed {
        kind: "not the same picture as before".to_owned(),
        example: "the answer to the same request was another one the first time".to_owned(),
    }
}

/// # Errors
/// What is wrong with the picture.
fn judge(body: &[u8], expected: PictureHeader) -> Result<(), String> {
    let limits = Limits { texture_pixels: u64::MAX, ..Limits::default() };
    let picture = imaging::decode(body, &limits).map_err(|error| error.to_string())?;
    let header = imaging::probe_header(body);
    let PictureHeader { width, height, format } = expected;
    if header.is_none_or(|header| header.format != format) {
        return Err(format!("the answer is no {} picture", format.name()));
    }
    if (picture.width, picture.height) != (width, height) {
        return Err(format!(
            "the answer is {} × {} pixels, not {width} × {height}",
            picture.width, picture.height
        ));
    }
    Ok(())
}

/// A request without an answer.
pub(super) fn lost(lost: &Lost) -> Trouble {
    let kind = lost.to_string();
    let cause = std::error::Error::source(lost).map(deepest);
    Trouble::Lost { example: cause.unwrap_or_else(|| kind.clone()), kind }
}

/// The error below all others, which says most.
fn deepest(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut error = error;
    while let Some(below) = error.source() {
        error = below;
        told = format!("{told}: {error}");
    }
    told
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use hyper::{Method, StatusCode};

    use super::*;
    use crate::client::load::mix::Workload;
    use crate::client::load::paint;
    use crate::client::load::wire::Timing;
    use crate::workload::imaging::Format;

    fn ready(format: Format, width: u32, height: u32) -> Ready {
        Ready {
            workload: Workload::Blur,
            method: Method::POST,
            path: "/blurimage".parse().unwrap(),
            content_type: None,
            body: Bytes::new(),
            expected: Some(PictureHeader { format, width, height }),
        }
    }

    fn answer(body: Body) -> Answer {
        Answer {
            status: StatusCode::OK,
            at: Instant::now(),
            vm: None,
            attempts: 1,
            timing: Timing::default(),
            bytes: 0,
            body,
        }
    }

    async fn verdict(references: &References, ready: &Ready, body: &[u8]) -> Option<String> {
        let body = Body::Whole(Bytes::copy_from_slice(body));
        match references.check(0, ready, &mut answer(body)).await {
            Ok(()) => None,
            Err(Trouble::Failed { kind, .. } | Trouble::Lost { kind, .. }) => Some(kind),
        }
    }

    #[tokio::test]
    async fn a_picture_is_whole_of_its_size_and_its_format_and_stays_the_same() {
        let png = paint::picture(60, 40, Format::Png, 1).unwrap();
        let other = paint::picture(60, 40, Format::Png, 2).unwrap();
        let bmp = paint::picture(60, 40, Format::Bmp, 1).unwrap();
        let wanted = ready(Format::Png, 60, 40);
        let fresh = || References::new(1);
        let wrong = Some("not the picture asked for".to_owned());
        for body in [&png[..png.len() / 4], &bmp, b"", b"<html>"] {
            assert_eq!(verdict(&fresh(), &wanted, body).await, wrong);
        }
        let turned = ready(Format::Png, 40, 60);
        assert_eq!(verdict(&fresh(), &turned, &png).await, wrong);

        let references = fresh();
        assert_eq!(verdict(&references, &wanted, &png).await, None);
        assert_eq!(references.known(0).unwrap(), &png);
        assert_eq!(verdict(&references, &wanted, &png).await, None);
        let differs = Some("not the same picture as before".to_owned());
        assert_eq!(verdict(&references, &wanted, &other).await, differs);
        let compared = references.check(0, &wanted, &mut answer(Body::Compared(false))).await;
        assert!(compared.is_err());
    }

    #[tokio::test]
    async fn a_refusal_is_counted_by_its_status_and_told_in_its_words() {
        let mut answer = answer(Body::Refusal("503: no VM runs".to_owned()));
        answer.status = StatusCode::SERVICE_UNAVAILABLE;
        let checked = References::new(1).check(0, &ready(Format::Png, 1, 1), &mut answer).await;
        let (kind, example) = ("status 503".to_owned(), "503: no VM runs".to_owned());
        assert_eq!(checked, Err(Trouble::Failed { kind, example }));
    }
}
