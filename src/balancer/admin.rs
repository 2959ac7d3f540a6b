//! The admin listener: is it alive, is it ready, how is it doing.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;

use super::fleet::Fleet;
use super::learner::Learner;
use super::report::{self, Identity};
use super::{merged, prometheus};
use crate::http::{Problem, server};
use crate::state::View;
use crate::state::function_state::FunctionStateFile;

/// Questions are answered from memory: one that is not done by then never will be.
const GRACE: Duration = Duration::from_millis(500);

/// Answers questions until `stop`.
pub(super) async fn serve(
    listener: TcpListener,
    fleet: Arc<Fleet>,
    learner: Arc<Learner>,
    (identity, functions): (Identity, Receiver<View<FunctionStateFile>>),
    stop: CancellationToken,
) {
    let identity = Arc::new(identity);
    let service = service_fn(move |request: Request<Incoming>| {
        let functions = functions.borrow().document.clone();
        let response = answer(&request, (&fleet, &learner, functions.as_deref()), &identity);
        async move { Ok::<_, Infallible>(response) }
    });
    server::serve(listener, service, stop, GRACE).await;
}

fn answer(
    request: &Request<Incoming>,
    (fleet, learner, functions): (&Fleet, &Learner, Option<&FunctionStateFile>),
    identity: &Identity,
) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal =
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD here").into_response();
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    let seen = || report::snapshot(fleet, learner, identity, Instant::now());
    match request.uri().path() {
        "/healthz" => text("text/plain; charset=utf-8", "ok\n".to_owned()),
        "/readyz" if fleet.is_ready() => text("text/plain; charset=utf-8", "ready\n".to_owned()),
        "/readyz" => {
            Problem::retry_later(StatusCode::SERVICE_UNAVAILABLE, 1, "no VM is in rotation")
                .into_response()
        }
        "/metrics" => text(
            "text/plain; version=0.0.4; charset=utf-8",
            prometheus::render(fleet, learner, &identity.pulse, functions),
        ),
        "/state" => {
            let (vm_state, as_state) = fleet.files();
            let state = merged::view(&vm_state, &as_state, &seen());
            text("application/json", format!("{state:#}\n"))
        }
        other => Problem::new(
            StatusCode::NOT_FOUND,
            format!("nothing at {other}; there are /healthz, /readyz, /metrics and /state"),
        )
        .into_response(),
    }
}

fn text(kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    crate::http::allow_any_origin(headers);
    response
}
