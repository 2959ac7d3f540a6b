//! What is known of a request before it is run, and what that makes it cost.

use std::time::Duration;

use hyper::Method;

use super::learner::Learner;
use super::message::RequestHead;
use super::sampler::Sampler;
use super::tape::Tape;
use crate::domain::cost::{Features, Kind, Work};
use crate::workload::foresight::{self, LOOKED_AT, Sampling};
use crate::workload::imaging::Filter;

/// How long to wait for the first bytes of a body. They follow the head at once, or else the
/// client has something else to do first and is not kept waiting.
const PATIENCE: Duration = Duration::from_millis(10);
/// The scenes that are looked at begin and end within so many bytes of a body.
const SCENE_LOOKED_AT: usize = 1 << 20;
/// A render that is guessed to cost less is not worth a closer look.
const WORTH_SAMPLING: Work = Work::from_nanos(1_000_000);

/// What a request was foretold to cost, and from what.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Foretold {
    /// What is known of it.
    pub(super) features: Features,
    /// CPU time on a typical VM.
    pub(super) work: Work,
}

/// What kind of work a request asks for.
pub(super) fn kind(head: &RequestHead) -> Kind {
    if head.method != Method::POST {
        return Kind::Other;
    }
    let path = head.uri.path();
    if path.starts_with("/blurimage") {
        Kind::Blur
    } else if path.starts_with("/enhanceimage") {
        Kind::Enhance
    } else if path.starts_with("/raytracer") {
        Kind::Raytrace
    } else {
        Kind::Other
    }
}

/// Foretells what a request will cost, from its head and as much of its body as comes at once.
pub(super) async fn foretell(
    head: &RequestHead,
    tape: &Tape,
    learner: &Learner,
    sampler: &Sampler,
) -> Foretold {
    let features = match kind(head) {
        Kind::Blur => picture(Filter::Blur, tape).await,
        Kind::Enhance => picture(Filter::Enhance, tape).await,
        Kind::Raytrace => {
            let query = head.uri.query().unwrap_or_default();
            let features = foresight::render(query, tape.declared());
            let looked_at = if features.nominal >= WORTH_SAMPLING {
                sampled(query, tape, sampler).await
            } else {
                None
            };
            looked_at.unwrap_or(features)
        }
        Kind::Other => Features::default(),
    };
    Foretold { features, work: learner.predict(&features) }
}

async fn picture(filter: Filter, tape: &Tape) -> Features {
    let first = tape.start(1, PATIENCE).await;
    let features = foresight::picture(filter, &first.bytes, tape.declared());
    // A header that stands behind a long preamble is worth a second look.
    if features.is_guess() && !first.is_all && (1..LOOKED_AT).contains(&first.bytes.len()) {
        let more = tape.start(LOOKED_AT, PATIENCE).await;
        return foresight::picture(filter, &more.bytes, tape.declared());
    }
    features
}

/// The features of a render some rays of which were traced, if its scene is there and the sampler
/// has time for it.
async fn sampled(query: &str, tape: &Tape, sampler: &Sampler) -> Option<Features> {
    let length = tape.declared();
    let first = tape.start(1, PATIENCE).await;
    let sampling = Sampling::of(query, &first.bytes, first.is_all, length);
    let sampling = match sampling {
        None if !first.is_all && (1..SCENE_LOOKED_AT).contains(&first.bytes.len()) => {
            let more = tape.start(SCENE_LOOKED_AT, PATIENCE).await;
            Sampling::of(query, &more.bytes, more.is_all, length)
        }
        sampling => sampling,
    };
    sampler.sample(sampling?).await
}
