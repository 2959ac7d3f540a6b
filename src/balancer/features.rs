//! What the cost of a request is guessed from: its head and the first bytes of its body.

use std::time::Duration;

use hyper::Method;
use hyper::http::request::Parts;

use super::tape::Tape;
use crate::domain::cost::{Features, Kind};

/// How long to wait for the first bytes of a picture. They follow the head at once, or else the
/// client has something else to do first and is not kept waiting.
const PATIENCE: Duration = Duration::from_millis(10);

/// What kind of work a request asks for.
pub(super) fn kind(head: &Parts) -> Kind {
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

/// The features of a request.
pub(super) async fn of(head: &Parts, tape: &Tape) -> Features {
    let kind = kind(head);
    let mut features = Features { kind, body_bytes: tape.declared(), ..Features::default() };
    match kind {
        Kind::Blur | Kind::Enhance => {
            let first = tape.first_chunk(PATIENCE).await;
            features.picture_pixels = first.and_then(|bytes| picture_pixels(&bytes));
        }
        Kind::Raytrace => {
            let query = head.uri.query().unwrap_or_default();
            features.window_pixels = window_pixels(query);
            features.antialias = parameter(query, "aa") == Some("true");
        }
        Kind::Other => {}
    }
    features
}

/// Width times height of the window that a query asks for.
fn window_pixels(query: &str) -> Option<u64> {
    let columns: u64 = parameter(query, "wcols")?.parse().ok()?;
    let rows: u64 = parameter(query, "wrows")?.parse().ok()?;
    Some(columns.saturating_mul(rows))
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_read_from_the_query() {
        let query = "scols=9&srows=9&wcols=400&wrows=300&coff=0&roff=0&aa=true";
        assert_eq!(window_pixels(query), Some(120_000));
        assert_eq!(parameter(query, "aa"), Some("true"));
        assert_eq!(window_pixels("wcols=x&wrows=3"), None);
        assert_eq!(window_pixels(""), None);
    }
}
