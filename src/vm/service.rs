//! One request: from its head to its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::header::{
    ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use hyper::{Request, Response, StatusCode};
use jiff::Timestamp;

use super::job::{Job, Output};
use super::machine::Machine;
use super::route::{Kind, Route, allowed, route};
use super::{accept, body};
use crate::http::{
    self, Cost, Problem, SERVER_TIMING, X_CUMULET_ATTEMPTS, X_CUMULET_LOAD, X_CUMULET_VM,
    X_CUMULET_WORK, X_REQUEST_ID,
};
use crate::state::metrics::Metric;
use crate::workload::Error;

type Answer = Response<Full<Bytes>>;

const PAGE: &str = include_str!("page.html");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// The state of the VM, on answers to `/health`.
const X_CUMULET_STATE: HeaderName = HeaderName::from_static("x-cumulet-state");
/// What a page from elsewhere may read of an answer.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "X-Cumulet-VM, X-Cumulet-Attempts, X-Cumulet-Load, X-Cumulet-State, X-Cumulet-Work, \
     X-Cumulet-Reason, X-Request-Id, Server-Timing, Retry-After",
);

/// Answers a request.
pub(super) async fn answer(machine: Arc<Machine>, request: Request<Incoming>) -> Answer {
    let mut call = Call::of(request.headers());
    let path = request.uri().path().to_owned();
    let has_body = !request.body().is_end_stream();
    let by_balancer = request.headers().contains_key(X_CUMULET_ATTEMPTS);
    let mut answer = match route(request.method(), &path, has_body, by_balancer) {
        Ok(Route::Work(kind)) => work(&machine, kind, request, &mut call).await,
        Ok(small) => {
            let answer = read(&machine, small, request.headers());
            body::discard(request);
            answer
        }
        Err(problem) => {
            let mut answer = problem.into_response();
            if answer.status() == StatusCode::METHOD_NOT_ALLOWED {
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed(&path)));
            }
            body::discard(request);
            answer
        }
    };
    call.stamp(&machine, answer.headers_mut());
    answer
}

/// What is known of a request and of where its time went.
struct Call {
    id: HeaderValue,
    attempts: u32,
    begin: Instant,
    input_bytes: u64,
    received: Duration,
    queued: Duration,
    cpu: Duration,
}

impl Call {
    fn of(headers: &HeaderMap) -> Self {
        let attempts = headers.get(X_CUMULET_ATTEMPTS).and_then(|value| value.to_str().ok());
        Self {
            id: http::request_id(headers),
            attempts: attempts.and_then(|number| number.parse().ok()).unwrap_or(1),
            begin: Instant::now(),
            input_bytes: 0,
            received: Duration::ZERO,
            queued: Duration::ZERO,
            cpu: Duration::ZERO,
        }
    }

    /// What every answer carries.
    fn stamp(self, machine: &Machine, headers: &mut HeaderMap) {
        http::allow_any_origin(headers);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let timing = format!(
            "receive;dur={:.3}, queue;dur={:.3}, cpu;dur={:.3}, total;dur={:.3}",
            milliseconds(self.received),
            milliseconds(self.queued),
            milliseconds(self.cpu),
            milliseconds(self.begin.elapsed()),
        );
        let counts = machine.admission.counts();
        let load = format!(
            "cpu={} in_flight={} queued={}",
            machine.cpu_share(),
            counts.in_flight,
            counts.queued
        );
        let vm = machine.settings.id.as_str();
        for (name, text) in [(SERVER_TIMING, &*timing), (X_CUMULET_LOAD, &load), (X_CUMULET_VM, vm)]
        {
            // All of it is letters, digits and punctuation, which any header can hold.
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(name, value);
            }
        }
        headers.insert(X_CUMULET_ATTEMPTS, self.attempts.into());
        headers.insert(X_REQUEST_ID, self.id);
    }
}

/// The answers that need no work, and that are quick however busy the VM is.
fn read(machine: &Machine, route: Route, headers: &HeaderMap) -> Answer {
    match route {
        Route::Preflight | Route::Work(_) => {
            let mut answer = Response::new(Full::default());
            *answer.status_mut() = StatusCode::NO_CONTENT;
            http::preflight(answer.headers_mut());
            answer
        }
        Route::Root if accept::names_html(headers) => content(HTML, PAGE),
        Route::Root => {
            let (id, state) = (&machine.settings.id, machine.phase.borrow().life.state());
            content(TEXT, format!("{id} is {state}\n"))
        }
        Route::Test => content(TEXT, "OK"),
        Route::Requests => content(JSON, machine.register.to_json().to_string()),
        Route::Health => {
            let mut answer = content(TEXT, format!("OK: {}", machine.cpu_share()));
            let state = machine.phase.borrow().life.state().as_str();
            answer.headers_mut().insert(X_CUMULET_STATE, HeaderValue::from_static(state));
            answer
        }
    }
}

fn content(content_type: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

/// Answers a request for work, and books it.
async fn work(
    machine: &Arc<Machine>,
    kind: Kind,
    request: Request<Incoming>,
    call: &mut Call,
) -> Answer {
    let result = process(machine, kind, request, call).await;
    let status = result.as_ref().map_or_else(|problem| problem.status, |_| StatusCode::OK);
    machine.count(status);
    machine.ledger.book(metric(machine, kind, call, status, result.as_ref().ok()));
    match result {
        Ok(output) => {
            let content_type = HeaderValue::from_static(output.content_type);
            let mut answer = content(content_type, output.body);
            if output.refusal.is_none() {
                let cost = Cost { work: output.usage.work, cpu: call.cpu };
                answer.headers_mut().insert(X_CUMULET_WORK, cost.to_header());
            }
            let reason = output.refusal.and_then(|reason| HeaderValue::try_from(reason).ok());
            if let Some(reason) = reason {
                answer.headers_mut().insert("x-cumulet-reason", reason);
            }
            answer
        }
        Err(problem) => {
            // That it is full it tells the balancer, which asks again.
            if status != StatusCode::SERVICE_UNAVAILABLE {
                let request = call.id.to_str().unwrap_or_default();
                let (workload, status) = (kind.as_str(), status.as_u16());
                tracing::info!(request, workload, status, "refused: {}", problem.detail);
            }
            problem.into_response()
        }
    }
}

async fn process(
    machine: &Arc<Machine>,
    kind: Kind,
    request: Request<Incoming>,
    call: &mut Call,
) -> Result<Output, Problem> {
    let waiting = match machine.let_in() {
        Ok(waiting) => waiting,
        Err(problem) => {
            body::discard(request);
            return Err(problem);
        }
    };
    let inside = machine.register.enter(call.id.to_str().unwrap_or_default(), kind.as_str());
    let (head, body) = request.into_parts();
    let received = machine.bodies.receive(&head.headers, body).await;
    call.received = call.begin.elapsed();
    let body = received?;
    call.input_bytes = body.bytes.len() as u64;
    let place = waiting.place().await;
    call.queued = call.begin.elapsed().saturating_sub(call.received);
    inside.begin();
    let job = Job { kind, head, body };
    let done = machine.work(job, place).await?;
    call.cpu = done.cpu;
    done.result.map_err(|error| problem(&error))
}

/// What a failed job is to its client.
pub(super) fn problem(error: &Error) -> Problem {
    let status = match error {
        Error::Malformed(_) => StatusCode::BAD_REQUEST,
        Error::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Error::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Error::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        // The client is still there, or nobody would read this: it is the VM that gave up.
        Error::Cancelled => {
            let detail = "the VM stops and cannot finish this request";
            return Problem::retry_later(StatusCode::SERVICE_UNAVAILABLE, 1, detail);
        }
    };
    Problem::new(status, error.to_string())
}

fn metric(
    machine: &Machine,
    kind: Kind,
    call: &Call,
    status: StatusCode,
    output: Option<&Output>,
) -> Metric {
    let microseconds = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    Metric {
        at: Timestamp::now(),
        request: call.id.to_str().unwrap_or_default().to_owned(),
        workload: kind.as_str().to_owned(),
        vm: Some(machine.settings.id.clone()),
        status: status.as_u16(),
        width: output.map(|output| output.width),
        height: output.map(|output| output.height),
        input_bytes: call.input_bytes,
        output_bytes: output.map_or(0, |output| output.body.len() as u64),
        queue_us: Some(microseconds(call.queued)),
        cpu_us: Some(microseconds(call.cpu)),
        wall_us: microseconds(call.begin.elapsed()),
        work: output.map(|output| output.usage.work),
        attempts: call.attempts,
        extra: output.map(|output| output.extra.clone()).unwrap_or_default(),
    }
}
