//! Errors as RFC 9457 problem documents, with a sentence that a person understands.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use super::allow_any_origin;

/// A request that gets no answer but this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// What is wrong, where, and what to do about it.
    pub detail: String,
    /// Whole seconds after which it is worth trying again.
    pub retry_after: Option<u32>,
}

impl Problem {
    /// A problem that will not go away by trying again.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after: None }
    }

    /// A problem that time may cure: 429 or 503.
    pub fn retry_later(status: StatusCode, seconds: u32, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after: Some(seconds) }
    }

    /// The answer. A 503 has an empty body: existing scripts retry on exactly that. Its sentence
    /// goes into the header `X-Cumulet-Reason` instead.
    pub fn into_response(self) -> Response<Full<Bytes>> {
        let empty = self.status == StatusCode::SERVICE_UNAVAILABLE;
        let body = if empty { Bytes::new() } else { self.document().into() };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        allow_any_origin(headers);
        if empty {
            // Control characters and non-ASCII cannot stand in a header; the sentences here are
            // our own, but they may quote a name from a file.
            let line: String = self
                .detail
                .chars()
                .map(|c| if (' '..='~').contains(&c) { c } else { '?' })
                .collect();
            if let Ok(value) = HeaderValue::from_str(&line) {
                headers.insert("x-cumulet-reason", value);
            }
        } else {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }

    fn document(&self) -> String {
        let mut text = serde_json::json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        })
        .to_string();
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    fn body_of(problem: Problem) -> (hyper::HeaderMap, Bytes) {
        let (parts, body) = problem.into_response().into_parts();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        (parts.headers, runtime.block_on(body.collect()).unwrap().to_bytes())
    }

    #[test]
    fn a_problem_is_a_document_with_its_sentence() {
        let (headers, body) =
            body_of(Problem::new(StatusCode::BAD_REQUEST, "byte 17: `{` expected, found `x`"));
        assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
        assert_eq!(headers["access-control-allow-origin"], "*");
        let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(document["status"], 400);
        assert_eq!(document["detail"], "byte 17: `{` expected, found `x`");
    }

    #[test]
    fn a_503_is_empty_and_says_when_to_come_back() {
        let later = Problem::retry_later(StatusCode::SERVICE_UNAVAILABLE, 3, "no VM runs\nyet");
        let (headers, body) = body_of(later);
        assert!(body.is_empty());
        assert_eq!(headers[RETRY_AFTER], "3");
        assert_eq!(headers["x-cumulet-reason"], "no VM runs?yet");
    }
}
