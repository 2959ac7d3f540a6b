//! What every server here says alike: header names, problem documents, and an accept loop that
//! ends well.

mod cost;
pub mod post;
pub mod problem;
mod request_id;
pub mod server;
pub mod socket;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

pub use cost::Cost;
pub use problem::Problem;
pub use request_id::{TRACEPARENT, name_of, request_id};

/// Which VM answered.
pub const X_CUMULET_VM: HeaderName = HeaderName::from_static("x-cumulet-vm");
/// How many VMs were tried until one answered, 1 if the first did.
pub const X_CUMULET_ATTEMPTS: HeaderName = HeaderName::from_static("x-cumulet-attempts");
/// The load of the VM when it answered: `cpu=0.430 in_flight=2 queued=0`.
pub const X_CUMULET_LOAD: HeaderName = HeaderName::from_static("x-cumulet-load");
/// What an answer cost its VM: see [`Cost`].
pub const X_CUMULET_WORK: HeaderName = HeaderName::from_static("x-cumulet-work");
/// A client that sends this with the value 1 is told in [`X_CUMULET_ROUTE`] why its request went
/// where it went.
pub const X_CUMULET_EXPLAIN: HeaderName = HeaderName::from_static("x-cumulet-explain");
/// The policy, how the chosen VM stood, and the alternatives.
pub const X_CUMULET_ROUTE: HeaderName = HeaderName::from_static("x-cumulet-route");
/// The name of the request, the client's own if it sent one.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Where the time went (W3C Server Timing).
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Lets a page from anywhere read the answer. Every answer carries it.
pub fn allow_any_origin(headers: &mut HeaderMap) {
    headers.insert(hyper::header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}

/// What a browser wants to know before it sends a request to another origin.
pub fn preflight(headers: &mut HeaderMap) {
    allow_any_origin(headers);
    headers.insert(
        hyper::header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, OPTIONS"),
    );
    headers.insert(
        hyper::header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("Content-Type, Authorization, Traceparent, X-Request-Id"),
    );
}
