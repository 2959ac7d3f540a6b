//! What clients are told when no VM has answered them.

use hyper::StatusCode;

use super::fleet::NoVm;
use super::forward::ForwardError;
use super::tape::Fault;
use crate::http::Problem;

/// What the client is told of a failure that nobody can make good.
pub(super) fn problem_of(error: &ForwardError) -> Problem {
    match error {
        ForwardError::Body(Fault::TooLong { limit }) => too_long("longer", *limit),
        ForwardError::Body(Fault::TooSlow(_)) => {
            Problem::new(StatusCode::REQUEST_TIMEOUT, error.to_string())
        }
        ForwardError::Body(_) => Problem::new(StatusCode::BAD_REQUEST, error.to_string()),
        ForwardError::Declined { retry_after, .. } => Problem::retry_later(
            StatusCode::SERVICE_UNAVAILABLE,
            *retry_after,
            "every VM is full or draining",
        ),
        ForwardError::TooLate { .. } | ForwardError::Hangs { .. } => {
            Problem::new(StatusCode::GATEWAY_TIMEOUT, error.to_string())
        }
        _ => Problem::new(StatusCode::BAD_GATEWAY, error.to_string()),
    }
}

/// What the client is told when no VM can take its request, after an attempt failed with `last`.
pub(super) fn no_vm_problem(
    no_vm: &NoVm,
    last: Option<&ForwardError>,
    retry_after: u32,
) -> Problem {
    let why = match no_vm {
        NoVm::AtAll(why) => why.clone(),
        NoVm::QueueFull(limit) => format!("{limit} requests wait for a VM already"),
        NoVm::WaitedTooLong(waited) => {
            format!("no VM could take it within {:.1} s", waited.as_secs_f64())
        }
    };
    let sentence = match last {
        Some(error) => format!("{error}; then {why}"),
        None => why,
    };
    Problem::retry_later(StatusCode::SERVICE_UNAVAILABLE, retry_after, sentence)
}

/// What the client is told of a body that is too long.
pub(super) fn too_long(length: &str, limit: u64) -> Problem {
    let detail = format!(
        "the body is {length}, the limit for a body is {limit} bytes: send a smaller picture or scene"
    );
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}
