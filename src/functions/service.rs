//! What can be asked of the service: to invoke a function with an event, or to answer a request
//! that no VM could take.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use jiff::Timestamp;

use super::environment::{Environment, Failure, Launch, append};
use super::pool::{Outcome, Pool, Refused};
use crate::domain::cost::Kind;
use crate::domain::function::{Function, FunctionName};
use crate::domain::vm::VmId;
use crate::http::{self, Problem, X_CUMULET_ATTEMPTS, X_REQUEST_ID};
use crate::state::function_log::{Invocation, aside};
use crate::state::metrics::{EXTRA, Metric};
use crate::workload::wire::event;

/// The longest event, in bytes: the vendor's limit for one that is answered at once
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>, November 2026).
const LONGEST_EVENT: usize = 6 << 20;
/// A function's log that has grown to this is set aside as `NAME.1`, in the place of the one
/// before.
const SET_ASIDE_AT_BYTES: u64 = 8 << 20;
/// Whether an environment was started for an invocation: `cold` or `warm`.
const X_CUMULET_START: HeaderName = HeaderName::from_static("x-cumulet-start");

type Answer = Response<Full<Bytes>>;

/// What all invocations share.
#[derive(Debug)]
pub(super) struct Service {
    launch: Launch,
    pool: Mutex<Pool<Environment>>,
}

/// An answer of a function.
pub(super) struct Answered {
    pub(super) answer: Vec<u8>,
    cold: bool,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("there is no function `{0}`; `cumulet function list` names those that are there")]
    Unknown(FunctionName),
    #[error("the function `{0}` runs {1} times already, which is as often as it may at once")]
    Throttled(FunctionName, u32),
    #[error("the function `{0}` gave no answer: {1}")]
    Failed(FunctionName, #[source] Failure),
    #[error("the invocation ended badly; this is a fault of the service")]
    Lost,
}

impl NoAnswer {
    /// Whether nothing is wrong but the moment.
    pub(super) fn is_throttled(&self) -> bool {
        matches!(self, Self::Throttled(..))
    }

    fn problem(&self) -> Problem {
        let detail = self.to_string();
        match self {
            Self::Unknown(_) => Problem::new(StatusCode::NOT_FOUND, detail),
            Self::Throttled(..) => Problem::retry_later(StatusCode::TOO_MANY_REQUESTS, 1, detail),
            Self::Failed(_, Failure::TimedOut(_)) => {
                Problem::new(StatusCode::GATEWAY_TIMEOUT, detail)
            }
            Self::Failed(..) => Problem::new(StatusCode::BAD_GATEWAY, detail),
            Self::Lost => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail),
        }
    }
}

impl Service {
    pub(super) fn new(launch: Launch, pool: Pool<Environment>) -> Self {
        Self { launch, pool: Mutex::new(pool) }
    }

    /// A pool has no state in between: one that a panic left behind is as good as any.
    pub(super) fn pool(&self) -> MutexGuard<'_, Pool<Environment>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a function answer an event. What has begun goes on to its end, whether or not anybody
    /// still waits for it, and is billed.
    pub(super) async fn invoke(
        self: &Arc<Self>,
        name: &FunctionName,
        event: Bytes,
        request: String,
    ) -> Result<Answered, NoAnswer> {
        let begun = self.pool().begin(name);
        let (function, warm) = begun.map_err(|refused| match refused {
            Refused::Unknown => NoAnswer::Unknown(name.clone()),
            Refused::Throttled(most) => NoAnswer::Throttled(name.clone(), most),
        })?;
        let service = self.clone();
        let run = tokio::spawn(async move { service.run(function, warm, &event, request).await });
        let answered = run.await.map_err(|_| NoAnswer::Lost)?;
        answered.map_err(|failure| NoAnswer::Failed(name.clone(), failure))
    }

    async fn run(
        self: Arc<Self>,
        function: Function,
        warm: Option<Environment>,
        event: &[u8],
        request: String,
    ) -> Result<Answered, Failure> {
        let begun = Instant::now();
        let mut warm = warm;
        let usable = warm.take_if(Environment::is_ready);
        let cold = usable.is_none();
        let started = match usable {
            Some(environment) => {
                environment.thaw();
                Ok(environment)
            }
            None => self.launch.start(&function).await,
        };
        let (answer, environment) = match started {
            Ok(mut environment) => match environment.answer(event, &request).await {
                Ok(answer) => (Ok(answer), Some(environment)),
                Err(failure) => (Err(failure), None),
            },
            Err(failure) => (Err(failure), None),
        };
        let time = begun.elapsed();
        let keep = environment.and_then(|mut it| it.is_ready().then_some(it));
        if let Some(environment) = &keep {
            environment.freeze();
        }
        let outcome = Outcome { time, cold, failed: answer.is_err() };
        let useless = self.pool().end(&function, keep, outcome, Instant::now());
        drop(useless);
        let error = answer.as_ref().err().map(ToString::to_string);
        if let Some(error) = &error {
            tracing::warn!(request, function = %function.name, "no answer: {error}");
        }
        let memory_mib = function.memory_mib;
        let at = Timestamp::now();
        let line = Invocation { at, request, cold, duration: time, memory_mib, error };
        self.log(function.name, line).await;
        answer.map(|answer| Answered { answer, cold })
    }

    /// Writes a line, and sets the log aside when it has grown.
    async fn log(&self, name: FunctionName, line: Invocation) {
        let path = self.launch.folder.function_log_path(&name);
        let written = tokio::task::spawn_blocking(move || {
            if append(&path, &line)?.metadata()?.len() > SET_ASIDE_AT_BYTES {
                std::fs::rename(&path, aside(&path))?;
            }
            std::io::Result::Ok(())
        });
        if let Ok(Err(error)) = written.await {
            tracing::warn!(%error, "a line of a function's log is lost");
        }
    }
}

/// Answers whatever is asked.
pub(super) async fn answer(service: Arc<Service>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    if path == "/health" {
        return Response::new(Full::from("OK"));
    }
    if let Some(kind) = workload(&path) {
        return overflow(&service, kind, &head, body).await;
    }
    let answered = match invoked(&head.method, &path) {
        Ok(name) => match receive(body).await {
            Ok(event) => {
                let id = request_id(&head.headers);
                service.invoke(&name, one_line(event), id).await.map_err(|none| none.problem())
            }
            Err(problem) => Err(problem),
        },
        Err(problem) => Err(problem),
    };
    match answered {
        Ok(Answered { answer, cold }) => {
            let mut response = Response::new(Full::from(answer));
            let start = if cold { "cold" } else { "warm" };
            let headers = response.headers_mut();
            headers.insert(X_CUMULET_START, HeaderValue::from_static(start));
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(problem) => problem.into_response(),
    }
}

/// The function in `/functions/NAME/invocations`.
fn invoked(method: &Method, path: &str) -> Result<FunctionName, Problem> {
    let name = path.strip_prefix("/functions/").and_then(|it| it.strip_suffix("/invocations"));
    let Some(name) = name else {
        let detail = "functions are invoked at /functions/NAME/invocations";
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    };
    if method != Method::POST {
        let detail = "an invocation is a POST, its body the event";
        return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail));
    }
    name.parse().map_err(|error: crate::domain::function::BadFunction| {
        Problem::new(StatusCode::NOT_FOUND, error.to_string())
    })
}

/// An event as one line, whatever line breaks its writer put between its parts.
fn one_line(event: Bytes) -> Bytes {
    if !event.contains(&b'\n') && !event.contains(&b'\r') {
        return event;
    }
    // In JSON a line break is either white space or an error.
    event.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect()
}

async fn receive(body: Incoming) -> Result<Bytes, Problem> {
    match Limited::new(body, LONGEST_EVENT).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let detail = format!("the event is longer than {LONGEST_EVENT} bytes");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail))
        }
        Err(error) => Err(Problem::new(StatusCode::BAD_REQUEST, error.to_string())),
    }
}

fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(X_REQUEST_ID).and_then(|id| id.to_str().ok());
    given.map_or_else(|| format!("{:016x}", fastrand::u64(..)), str::to_owned)
}

fn workload(path: &str) -> Option<Kind> {
    let kinds = [
        ("/blurimage", Kind::Blur),
        ("/enhanceimage", Kind::Enhance),
        ("/raytracer", Kind::Raytrace),
    ];
    kinds.iter().find(|(prefix, _)| path.starts_with(prefix)).map(|(_, kind)| *kind)
}

/// Answers a request as a VM would. If that is not possible, for whatever reason that is not the
/// request's own, the answer is 503: a VM then does it.
async fn overflow(service: &Arc<Service>, kind: Kind, head: &Parts, body: Incoming) -> Answer {
    let begun = Instant::now();
    let elsewhere = |detail: String| {
        Problem::retry_later(StatusCode::SERVICE_UNAVAILABLE, 1, detail).into_response()
    };
    let Some(name) = service.pool().built_in(kind) else {
        return elsewhere(format!("no function does {}", kind.as_str()));
    };
    let body = match receive(body).await {
        Ok(body) => body,
        Err(problem) => return elsewhere(problem.detail),
    };
    let input_bytes = body.len() as u64;
    let request = event_of(head, &body);
    drop(body);
    let id = request_id(&head.headers);
    let event = match serde_json::to_vec(&request) {
        Ok(event) => Bytes::from(event),
        Err(error) => return elsewhere(error.to_string()),
    };
    let answered = match service.invoke(&name, event, id.clone()).await {
        Ok(answered) => answered,
        Err(none) => return elsewhere(none.to_string()),
    };
    let answer = match serde_json::from_slice::<event::Answer>(&answered.answer) {
        Ok(answer) => answer,
        Err(error) => return elsewhere(format!("the function's answer is none: {error}")),
    };
    drop(answered);
    let Some((response, output_bytes)) = response(&answer) else {
        return elsewhere("the function's answer cannot be sent".to_owned());
    };
    let attempts =
        head.headers.get(X_CUMULET_ATTEMPTS).and_then(|it| it.to_str().ok()?.parse().ok());
    let figures = answer.figures.as_ref();
    let extra = |name: &'static str| Some((name, *figures?.extra.get(name)?));
    let metric = Metric {
        at: Timestamp::now(),
        request: id,
        workload: kind.as_str().to_owned(),
        vm: Some(VmId::of_function(&name)),
        status: answer.status_code,
        width: figures.map(|figures| figures.width),
        height: figures.map(|figures| figures.height),
        input_bytes,
        output_bytes,
        queue_us: Some(0),
        cpu_us: figures.map(|figures| figures.cpu_micros),
        wall_us: u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX),
        work: figures.map(|figures| figures.work),
        attempts: attempts.unwrap_or(1),
        extra: EXTRA.iter().filter_map(|name| extra(name)).collect(),
    };
    let folder = service.launch.folder.clone();
    let written = tokio::task::spawn_blocking(move || folder.append_metric(&metric));
    if let Ok(Err(error)) = written.await {
        tracing::warn!(%error, "a line of metrics.txt is lost");
    }
    response
}

/// A request as the event that a function of a workload understands.
fn event_of(head: &Parts, body: &[u8]) -> event::Request {
    let uri = head.uri.path_and_query().map_or("/", |uri| uri.as_str()).to_owned();
    let text = |name: &HeaderName| {
        let value = head.headers.get(name)?.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    };
    let headers = [CONTENT_TYPE, ACCEPT, X_REQUEST_ID].iter().filter_map(text).collect();
    event::Request { uri, headers, body: base64_simd::STANDARD.encode_to_string(body) }
}

/// The response that a function's answer describes, and how long its body is.
fn response(answer: &event::Answer) -> Option<(Answer, u64)> {
    let status = StatusCode::from_u16(answer.status_code).ok()?;
    if status.as_u16() >= 400 {
        return Some((Problem::new(status, answer.body.clone()).into_response(), 0));
    }
    let body = base64_simd::STANDARD.decode_to_vec(answer.body.as_bytes()).ok()?;
    let length = body.len() as u64;
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    http::allow_any_origin(response.headers_mut());
    for (name, value) in &answer.headers {
        let (name, value) = (HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
        response.headers_mut().insert(name, value);
    }
    Some((response, length))
}
